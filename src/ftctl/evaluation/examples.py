"""Held-out examples: the messages a model is asked with, and the answer it should give."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftctl.datasets.render import Message
from ftctl.datasets.rules.types import text_in
from ftctl.errors import DataInvalid, Unsupported, UsageError


@dataclass(frozen=True, slots=True)
class Example:
    """One question with its reference answer.

    Attributes:
        id: SHA-256 of the prompt's messages; when a file asks the same again, `-2` and so on
            behind it, so that every example has an id of its own.
        prompt: The messages before the last assistant message.
        reference: The text of the last assistant message.
        line: Where it stands in its file, from 1.
    """

    id: str
    prompt: tuple[Message, ...]
    reference: str
    line: int

    @property
    def prompt_sha256(self) -> str:
        """SHA-256 of the prompt alone: the same for every example that asks the same."""
        return self.id.partition("-")[0]


@dataclass(frozen=True, slots=True)
class ExampleFile:
    """The examples of one file and the hash of its bytes."""

    path: Path
    sha256: str
    examples: tuple[Example, ...]


def load_examples(path: Path) -> ExampleFile:
    """Read a chat JSONL file, every example ending in the assistant's answer.

    Raises:
        UsageError: the file can't be read.
        DataInvalid: a line can't be used, or there is none; the message names file and line.
        Unsupported: an example brings tools, which eval doesn't hand to a model yet.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path}: can't be read ({error.strerror or error})",
            hint="name a JSONL file of held-out chat examples",
        ) from None
    seen: dict[str, int] = {}
    examples = []
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        example = _example(line, f"{path}:{number}", number, path)
        seen[example.id] = count = seen.get(example.id, 0) + 1
        if count > 1:
            again = f"{example.id}-{count}"
            example = Example(again, example.prompt, example.reference, number)
        examples.append(example)
    if not examples:
        raise DataInvalid(f"{path}: there are no examples in it", hint=_hint(path))
    return ExampleFile(path, hashlib.sha256(raw).hexdigest(), tuple(examples))


def prompt_sha256(prompt: Sequence[Message]) -> str:
    """SHA-256 of the messages as JSON with sorted keys, in hexadecimal.

    Raises:
        UnicodeEncodeError: a text holds half of a surrogate pair, which is no character.
    """
    text = json.dumps(list(prompt), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def message_text(message: Message) -> str:
    """What a message says: its content, or the text parts of it joined; empty when neither."""
    return text_in(message.get("content"))


def _example(line: bytes, where: str, number: int, path: Path) -> Example:
    try:
        row = json.loads(line.decode())
        messages = _messages(row)
        last = max(i for i, message in enumerate(messages) if message["role"] == "assistant")
        reference = message_text(messages[last])
        reference.encode()
        example = Example(prompt_sha256(messages[:last]), tuple(messages[:last]), reference, number)
    except UnicodeError:
        raise DataInvalid(f"{where}: the text isn't valid UTF-8", hint=_hint(path)) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise DataInvalid(f"{where}: {_why(error)}", hint=_hint(path)) from None
    if row.get("tools") or row.get("functions"):
        raise Unsupported(
            f"{where}: the example brings tools, and eval can't hand tools to a model yet",
            hint="take the examples with tools out of the file",
        )
    if not example.prompt or not reference.strip():
        missing = "message before the last answer" if not example.prompt else "text in its answer"
        raise DataInvalid(f"{where}: there is no {missing}", hint=_hint(path))
    return example


def _messages(row: Any) -> list[Message]:  # noqa: ANN401 - whatever a line of JSON holds
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list):
        raise TypeError("a line must be an object with a list `messages`")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise TypeError(f"messages[{index}] must be an object with a `role`")
    if not any(message["role"] == "assistant" for message in messages):
        raise TypeError("there is no assistant message to compare an answer with")
    return messages


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} at column {error.colno}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error)


def _hint(path: Path) -> str:
    return f"ftctl data check {path}"
