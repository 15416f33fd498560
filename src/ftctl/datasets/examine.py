"""Everything that one line shows by itself: a pure function of its bytes."""

import functools
import re
from dataclasses import dataclass

from ftctl.datasets.fingerprints import (
    Fingerprints,
    answer_of,
    canonical,
    estimate_tokens,
    fingerprints,
    system_print,
)
from ftctl.datasets.formats import CHAT, Format, format_of, second_format
from ftctl.datasets.methods import ROWS
from ftctl.datasets.rules import (
    content,
    grounds,
    image_skipped,
    messages,
    nova,
    own_shapes,
    structure,
    trl,
)
from ftctl.datasets.rules.json_text import parse_line
from ftctl.datasets.rules.privacy import privacy, privacy_of_text
from ftctl.datasets.rules.types import Example, Finding, JsonObject, kind, read_example
from ftctl.datasets.shapes import form_of

MAX_EXAMPLE_TOKENS = 65_536  # source: OpenAI's fine-tuning guide; longer ones are cut at the end
TRL_TOKENS = 1024  # source: TRL 1.16's SFTConfig.max_length, which cuts at the end
_GEMINI_TOKENS = 131_072  # source: Gemini's page on tuning data
# The estimate is at most this much above the truth (Hindi), so only beyond it are we sure.
_WORST_OVERCOUNT = 2.5
LABEL_CHARACTERS = 64  # a longer answer is no label
_UNFINISHED_WORDS = 8  # a shorter answer may well be a label or a title
# No English sentence ends with one of these.
_UNFINISHED_ENDS = (
    *("the", "a", "an", "of", "and", "or", "to", "that", "with", "from", "because", "which"),
    *("whose", "their", "its", "than", "into"),
)
_UNFINISHED = re.compile(rf"\b(?:{'|'.join(_UNFINISHED_ENDS)})[,:]?$", re.IGNORECASE)
_CACHED_BYTES = 4096


@dataclass(frozen=True, slots=True)
class ChatLine:
    """What rules across lines need of a chat example.

    Attributes:
        prints: Its hashes; None when nobody asks for duplicates.
        system: The hash of its system messages; 0 when there are none.
        keys: Keys of the row beside `messages`.
        label_like: Whether the answer is text short enough for a label.
        form: What the answer looks like, see `shapes.form_of`; "" when it isn't text, or empty.
        open_length: Characters of an answer that ends without punctuation; 0 of any other.
        answer_path: Where the answer stands.
        image: Whether a message holds an image.
        grounds: What of the answer stands nowhere before it; None when it has nothing of the kind,
            or nobody asks.
    """

    prints: Fingerprints | None
    system: int
    keys: frozenset[str]
    label_like: bool
    form: str
    open_length: int
    answer_path: str
    image: bool = False
    grounds: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """One line, looked at.

    Attributes:
        findings: What its rules found.
        row: Whether it holds an object.
        format: The row's format; None where its keys are those of no format.
        chat: For what lines show together; None when it isn't a chat example.
        tokens: Estimated.
    """

    findings: tuple[Finding, ...]
    row: bool = False
    format: Format | None = None
    chat: ChatLine | None = None
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """What is looked for in a line.

    Attributes:
        method: How the model will be tuned.
        duplicates: Whether lines will be compared with each other.
        scan: Whether personal data and secrets are looked for, and what answers have from nowhere.
        tokens: Whether tokens are counted.
        nova: Whether what only Nova refuses is looked for, of which even plain rows have some.
        most_tokens: Above so many, as far as they are estimated, an example is too long for
            somebody who is asked.
    """

    method: str = "sft"
    duplicates: bool = True
    scan: bool = True
    tokens: bool = True
    nova: bool = False
    most_tokens: int = MAX_EXAMPLE_TOKENS


EVERYTHING = Asked()


def examine(data: bytes, *, ended: bool = True, asked: Asked = EVERYTHING) -> Examined:
    """Look at one line; short lines that come again and again are remembered.

    Args:
        data: The line without its end.
        ended: Whether a line end followed.
        asked: What is looked for.
    """
    look = _examine_cached if len(data) <= _CACHED_BYTES else _examine
    return look(data, ended, asked)


def _examine(data: bytes, ended: bool, asked: Asked) -> Examined:
    parsed = parse_line(data, ended=ended)
    if not parsed.valid:
        return Examined((*parsed.findings, *(privacy_of_text(data) if asked.scan else ())))
    row = parsed.value
    private = tuple(privacy(row)) if asked.scan else ()
    if not isinstance(row, dict):
        return Examined((*parsed.findings, _not_object(row), *private))
    if asked.method in ROWS:
        told = (*parsed.findings, *ROWS[asked.method](row), *private)
        return Examined(told, True, None, None, -(-len(data) // 4))
    found = format_of(row)
    if found is not None and found.name != CHAT:
        own = own_shapes.values(found.key, row)
        told = (*parsed.findings, *own, *trl.values(row), *private)
        return Examined(told, True, found, None, -(-len(data) // 4))
    findings = parsed.findings
    if other := second_format(row):
        findings.append(Finding("format-two", other, f"{other} beside messages"))
    broken = list(structure.iter_messages_problems(row))
    example = read_example(row)
    findings += broken
    if not is_plain(row):
        for rule in messages.RULES if messages.has_tools(example) else messages.TALK_RULES:
            findings += rule(example)
    findings += content.special_tokens(example)
    for rule in nova.RULES if asked.nova else ():
        findings += rule(example)
    findings += private
    tokens = 0
    if asked.tokens or len(data) > asked.most_tokens:
        tokens, prompt_tokens = estimate_tokens(example)
        findings += _too_long(tokens, prompt_tokens, asked.most_tokens)
    chat = None if broken else _chat_line(example, findings, asked)
    return Examined(tuple(findings), True, found, chat, tokens)


_examine_cached = functools.lru_cache(maxsize=1024)(_examine)


def is_plain(row: JsonObject) -> bool:
    """Whether a row is so simple that no rule on its shape can find anything.

    Most rows are: messages alone, each of role and text, a system message first if at all, then
    user and assistant in turn, the assistant last.
    """
    messages = row.get("messages")
    if len(row) != 1 or not isinstance(messages, list) or len(messages) < 2:
        return False
    expected = "user"
    for i, message in enumerate(messages):
        if not isinstance(message, dict) or len(message) != 2:
            return False
        role, text = message.get("role"), message.get("content")
        if not isinstance(text, str) or not text or text[0].isspace() or text[-1].isspace():
            return False
        if role == expected:
            expected = "assistant" if role == "user" else "user"
        elif i or role != "system":
            return False
    return expected == "user" and bool(messages[-1].get("role") == "assistant")


def _not_object(value: object) -> Finding:
    rows = isinstance(value, list) and value and all(isinstance(item, dict) for item in value)
    key = "line-not-object/list" if rows else "line-not-object"
    return Finding(key, "", f"the line is {kind(value)}, not an object")


def _too_long(tokens: int, prompt_tokens: int, most_tokens: int) -> list[Finding]:
    if tokens <= most_tokens:
        return []
    said = f"about {tokens:,} tokens, {prompt_tokens:,} before the answer"
    found = []
    if most_tokens == TRL_TOKENS:
        sure = prompt_tokens > TRL_TOKENS * _WORST_OVERCOUNT
        key = "too-long/trl-prompt" if sure else "too-long/trl"
        goes = "nothing of the answer is" if sure else f"what comes after {TRL_TOKENS:,} isn't"
        found.append(Finding(key, "messages", f"{said}; {goes} kept"))
    if tokens > MAX_EXAMPLE_TOKENS:
        sure = prompt_tokens > MAX_EXAMPLE_TOKENS * _WORST_OVERCOUNT
        key = "too-long/prompt" if sure else "too-long"
        found.append(Finding(key, "messages", f"{said}; {MAX_EXAMPLE_TOKENS:,} are kept"))
    if tokens > _GEMINI_TOKENS:
        said = f"about {tokens:,} tokens; {_GEMINI_TOKENS:,} are taken"
        found.append(Finding("too-long/131072", "messages", said))
    return found


def _chat_line(example: Example, findings: list[Finding], asked: Asked) -> ChatLine:
    """The example in short; an answer that plainly breaks off is told (`truncated-answer`)."""
    answer = answer_of(example)
    path, open_length = "messages", 0
    if answer is not None:
        last = max(m.index for m in example.messages if m.role == "assistant")
        path = f"messages[{last}].content"
        open_length = open_characters(answer)
        if open_length and breaks_off(answer):
            open_length = 0
            said = "the answer stops in the middle of a sentence"
            findings.append(Finding("truncated-answer", path, said))
    return ChatLine(
        prints=fingerprints(example) if asked.duplicates else None,
        system=system_print(example),
        keys=frozenset(example.row) - {"messages"},
        label_like=answer is not None and len(answer) <= LABEL_CHARACTERS,
        form=form_of(answer.lstrip()) if answer else "",
        open_length=open_length,
        answer_path=path,
        image=image_skipped.has_image(example),
        grounds=_grounds(example, answer, path) if asked.scan and answer else None,
    )


def _grounds(example: Example, answer: str, path: str) -> tuple[str, ...] | None:
    found = grounds.items(answer)
    if not found:
        return None
    before = [text for at, _, text in example.iter_texts() if at != path]
    if tools := example.row.get("tools"):
        before.append(canonical(tools))
    return grounds.told(found, before)


def open_characters(answer: str) -> int:
    """Characters of an answer that ends without punctuation and is no label; 0 of any other."""
    if not answer[-1:].isalnum() or len(answer.split(None, _UNFINISHED_WORDS)) <= _UNFINISHED_WORDS:
        return 0
    return len(answer)


def breaks_off(answer: str) -> bool:
    """Whether an answer ends with a word that no English sentence ends with."""
    tail = answer[-40:]
    if tail.isascii() and not tail.rstrip(",:\n").lower().endswith(_UNFINISHED_ENDS):
        return False  # fifty times as fast
    return _UNFINISHED.search(tail) is not None
