"""Lines of a chat dataset, rendered as in training."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ftctl.datasets.formats import CHAT, format_of
from ftctl.datasets.read import Line, LineReader
from ftctl.datasets.render import render
from ftctl.datasets.report import printable
from ftctl.datasets.rules.json_text import parse_line
from ftctl.datasets.rules.types import JsonObject
from ftctl.datasets.show.pick import Row
from ftctl.datasets.show.tokens import Look, example_of
from ftctl.datasets.show.types import Example, Said
from ftctl.datasets.tokens.mistral import MistralCounter
from ftctl.datasets.tokens.pieces import is_trained
from ftctl.errors import DataInvalid

LINE_CAP_BYTES = 2 * 2**20  # tokens of a longer line take hundreds of MB, and nobody reads them
_MOST_CHARACTERS = 10_000  # of a message, where no tokens are shown


def chat_rows(file: Path, first: int, look: Look) -> Iterator[Row]:
    """The examples of a JSONL file from a line on; blank lines are passed over.

    Raises:
        UsageError: the file can't be read.
        DataInvalid: it isn't UTF-8, or is damaged.
    """
    with LineReader(file, cap_bytes=LINE_CAP_BYTES) as lines:
        if lines.oddity:
            raise DataInvalid(
                f"{file}: it is {lines.oddity}, not lines of UTF-8", hint=f"ftctl data check {file}"
            )
        for line in lines:
            if line.number >= first and line.data.strip():
                yield Row(line.number, functools.partial(_example, file, line, look))
        if lines.damage:
            raise DataInvalid(f"{file}: {lines.damage}", hint="unpack it, or make it again")


def _example(file: Path, line: Line, look: Look) -> Example:
    row = _decoded(file, line)
    if look.tokenizer is None:
        return Example(line=line.number, messages=tuple(_said(row["messages"])))
    try:
        if isinstance(look.tokenizer, MistralCounter):
            made = look.tokenizer.rendered(row)
        else:
            made = render(look.tokenizer, row["messages"], row.get("tools"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _no_chat(file, error) from None
    example = example_of(line.number, made, look)
    return example.model_copy(update={"remarks": tuple(_remarks(row["messages"], example, look))})


def _decoded(file: Path, line: Line) -> dict[str, Any]:
    if not line.whole:
        raise DataInvalid(
            f"the line is {line.size_bytes:,} bytes long; up to {LINE_CAP_BYTES:,} are shown"
        )
    parsed = parse_line(line.data)
    if not parsed.valid:
        raise DataInvalid(parsed.findings[0].message, hint=f"ftctl data check {file}")
    row = parsed.value
    if not isinstance(row, dict):
        raise DataInvalid("not a JSON object", hint=f"ftctl data check {file}")
    if not isinstance(row.get("messages"), list):
        found = format_of(row)
        name = "no chat example" if found is None or found.name == CHAT else f"{found.name} format"
        raise DataInvalid(
            f"this is {name}: it has no list of messages",
            hint=f"ftctl data convert {file} -o chat.jsonl, then show chat.jsonl",
        )
    return row


def _no_chat(file: Path, error: Exception) -> DataInvalid:
    said = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
    return DataInvalid(
        f"not a chat example ({printable(said)[:200]})", hint=f"ftctl data check {file}"
    )


def _remarks(messages: list[JsonObject], example: Example, look: Look) -> Iterator[str]:
    unseen = 0
    for message in reversed(messages):
        if message.get("role") == "assistant":
            break
        unseen += 1
    if unseen and unseen < len(messages):
        yield f"training stops at the last answer: the last {unseen} messages are left out"
    here = not isinstance(look.tokenizer, MistralCounter)  # and not at Mistral
    if not example.trained_tokens and not example.cut_tokens:
        yield "no token is trained on" + ": training here leaves this example out" * here
    if example.cut_tokens:
        yield (
            f"{example.cut_tokens:,} tokens are beyond {look.max_length:,}: where examples are cut "
            "these are lost" + "; training here leaves the whole example out" * here
        )


def _said(messages: list[object]) -> Iterator[Said]:
    for i, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise DataInvalid(f"messages[{i}] has no role")
        text = _text(message)
        yield Said(
            role=message["role"],
            text=text[:_MOST_CHARACTERS],
            kind="trained" if is_trained(message["role"], message.get("weight")) else "untrained",
            left_out_characters=max(0, len(text) - _MOST_CHARACTERS),
        )


def _text(message: JsonObject) -> str:
    content = message.get("content")
    parts = content if isinstance(content, list) else [content]
    texts = []
    for part in parts:
        text = part.get("text") if isinstance(part, dict) else part
        texts.append(text if isinstance(text, str) else "" if part is None else json.dumps(part))
    others = {k: v for k, v in message.items() if k not in ("role", "content", "weight")}
    if others:
        texts.append(("\n" if any(texts) else "") + json.dumps(others, ensure_ascii=False))
    return "".join(texts)
