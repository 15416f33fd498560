"""Inputs for `fuzz_check.py`: what it begins with, and how one input becomes another."""

import base64
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "datasets" / "corpus" / "check.jsonl"
CASES = ROOT / "tests" / "cases" / "jsonl"
LONGEST = 1200  # bytes of an input: several rows, and quick
MOST_LINES = 4

KEYS = (
    *("messages", "role", "content", "name", "weight", "tool_calls", "tool_call_id", "refusal"),
    *("tools", "parallel_tool_calls", "functions", "function_call", "function", "arguments", "id"),
    *("type", "parameters", "properties", "required", "description", "text", "image_url", "url"),
    *("prompt", "completion", "chosen", "rejected", "contents", "parts", "schemaVersion", "prefix"),
    *("input", "preferred_output", "non_preferred_output", "conversations", "reasoning", "system"),
    *(
        "candidates",
        "completions",
        "score",
        "enum",
        "pattern",
        "$ref",
        "items",
        "additionalProperties",
    ),
)
TEXTS = (
    *("", " ", "a", "null", "0", "1", "user", "assistant", "system", "tool", "developer"),
    *("function", "human", "gpt", "User ", "{}", "[]", '{"city": "Oslo"}', '{"a": 1, "a": 2}'),
    *("NaN", "{", "<|im_end|>", "<|fim_prefix|>", "[INST]", "</s>", "<start_of_turn>", "[EOS]"),
    *("User: a", "jane.doe@example.com", "4111 1111 1111 1111", "+49 30 901820", "1234567"),
    *("sk-" + "aB3" * 9, "passwd: x9Kq2LmZ7pR4tW8vbb", "AKIAIOSFODNN7EXAMPLE", "gs://b/a"),
    *("https://u:p@example.org/a.gif", "data:image/png;base64,AAAA", "It stops in the"),
    *("nine words without an end are told of here so", "\x00", "\x1b[2J", "\x7f", "\u2028"),
    *("\x85", "\ufeff", "\ud800", "\udc00\ud800", "\U0001f600", "é" * 9, "object", "string"),
    *("integer", "aB3dE6gH9", "call_1", "weather", "f", "a b", "x" * 65, "(", "^(a+)+$"),
)
NUMBERS = (0, 1, -1, 2, 0.5, 1.0, float("nan"), float("inf"), 1e308, 10**30, 10**400, True, False)
BYTES = (
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b"\r", b"\n", b"\r\n", b"\x00", b"\xed\xa0\x80"),
    *(b"\xff", b"\xc3", b",", b"}", b"{", b"[", b"]", b'"', b"\\", b"\\ud800", b"\\u0022", b"//"),
    *(b"[" * 300, b"]" * 300, b"[" * 2000, b"9" * 400, b"1e999", b"NaN", b" ", b"\t", b"'"),
)

CALL = {
    "id": "aB3dE6gH9",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Oslo", "days": 2}'},
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "enum": ["Oslo", "Rome"]},
                "days": {"type": "integer"},
            },
            "required": ["city"],
        },
    },
}


class Pairs(list[list[object]]):
    """An object of JSON as its keys and values, of which some may come twice."""


def changed(data: bytes, rng: random.Random) -> bytes:
    """An input with one line changed as JSON, or a few bytes put in, doubled or left out."""
    lines = data.split(b"\n")
    while len(lines) > MOST_LINES:
        del lines[rng.randrange(len(lines))]
    at = rng.randrange(len(lines))
    if rng.random() < 0.15:
        other = rng.choice(lines)
        return b"\n".join([*lines[:at], other, *lines[at:]])
    if rng.random() < 0.75:
        try:
            value = json.loads(lines[at].decode("utf-8", "surrogatepass"), object_pairs_hook=_pairs)
        except (ValueError, RecursionError):
            pass
        else:
            for _ in range(rng.choice((1, 1, 1, 2, 3))):
                value = _changed_value(value, rng)
            lines[at] = written(value, rng).encode("utf-8", "surrogatepass")
            return b"\n".join(lines)
    lines[at] = _changed_bytes(lines[at], rng)
    return b"\n".join(lines)


def _pairs(pairs: list[tuple[str, object]]) -> Pairs:
    return Pairs(list(pair) for pair in pairs)


def _changed_bytes(line: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(line) + 1)
    end = min(len(line), start + rng.choice((0, 0, 1, 2, 8, 40)))
    middle = rng.choice((rng.choice(BYTES), line[start:end] * 2, b"", bytes([rng.randrange(256)])))
    return line[:start] + middle + line[end:]


class Slot(NamedTuple):
    """A place in a value: what holds it, and where there."""

    holder: list[object]
    at: int


def _slots(value: object) -> Iterator[Slot]:
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, Pairs):
            for pair in node:
                yield Slot(pair, 1)
                stack.append(pair[1])
        elif isinstance(node, list):
            for i, item in enumerate(node):
                yield Slot(node, i)
                stack.append(item)


def _lists(value: object) -> list[list[object]]:
    found = [value, *(slot.holder[slot.at] for slot in _slots(value))]
    return [node for node in found if isinstance(node, list) and node]


def _changed_value(value: object, rng: random.Random) -> object:
    root: list[object] = [value]
    slots = [Slot(root, 0), *_slots(value)]
    slot = rng.choice(slots)
    rng.choice(CHANGES)(slot, slots, rng)
    return root[0]


def _replace(slot: Slot, _: list[Slot], rng: random.Random) -> None:
    slot.holder[slot.at] = _odd(rng)


def _odd(rng: random.Random) -> object:
    made: object = rng.choice((*TEXTS, *NUMBERS, None, "[]", "{}"))
    if made in ("[]", "{}"):
        made = [] if made == "[]" else Pairs()
    wrap = rng.randrange(12)
    return [made] if wrap == 0 else Pairs([[rng.choice(KEYS), made]]) if wrap == 1 else made


def _copy(slot: Slot, slots: list[Slot], rng: random.Random) -> None:
    other = rng.choice(slots)
    copied = json.dumps(_plain(other.holder[other.at]))
    slot.holder[slot.at] = json.loads(copied, object_pairs_hook=_pairs)


def _plain(value: object) -> object:
    """The same with objects of JSON, for `json.dumps`: of a key that comes twice the last."""
    if isinstance(value, Pairs):
        return {str(key): _plain(item) for key, item in value}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _shuffle_list(slot: Slot, _: list[Slot], rng: random.Random) -> None:
    node = slot.holder[slot.at]
    lists = _lists(node)
    if not lists:
        return
    chosen, at = rng.choice(lists), 0
    at = rng.randrange(len(chosen))
    how = rng.randrange(4)
    if how == 0:
        del chosen[at]
    elif how == 1:
        chosen.insert(rng.randrange(len(chosen) + 1), chosen[at])
    elif how == 2:
        other = rng.randrange(len(chosen))
        chosen[at], chosen[other] = chosen[other], chosen[at]
    else:
        new = [rng.choice(KEYS), _odd(rng)] if isinstance(chosen, Pairs) else _odd(rng)
        chosen.insert(at, new)


def _rename(slot: Slot, _: list[Slot], rng: random.Random) -> None:
    if slot.at == 1 and len(slot.holder) == 2 and isinstance(slot.holder[0], str):
        slot.holder[0] = rng.choice((*KEYS, *TEXTS))


def _edit_text(slot: Slot, _: list[Slot], rng: random.Random) -> None:
    text = slot.holder[slot.at]
    if isinstance(text, str):
        at = rng.randrange(len(text) + 1)
        slot.holder[slot.at] = text[:at] + rng.choice(TEXTS) + text[at + rng.choice((0, 1, 4)) :]


CHANGES: tuple[Callable[[Slot, list[Slot], random.Random], None], ...] = (
    _replace, _replace, _copy, _shuffle_list, _shuffle_list, _rename, _edit_text, _edit_text,
)  # fmt: skip


def written(value: object, rng: random.Random) -> str:
    """A value as JSON in one of its spellings: escapes, white space, exponents."""
    space = rng.choice((" ", " ", "", "", "\t"))
    escapes = rng.choice((0.0, 0.0, 0.0, 0.02, 0.3))
    ascii_only = rng.random() < 0.5

    def text(said: str) -> str:
        made = json.dumps(said, ensure_ascii=ascii_only)
        if not escapes or "\\" in made:
            return made
        inner = (f"\\u{ord(c):04x}" if c < "\x80" and rng.random() < escapes else c for c in said)
        return f'"{"".join(inner)}"'

    def node(item: object) -> str:
        if isinstance(item, Pairs):
            members = [f"{text(str(key))}:{space}{node(inner)}" for key, inner in item]
            return f"{{{f',{space}'.join(members)}}}"
        if isinstance(item, list):
            return f"[{f',{space}'.join(map(node, item))}]"
        return text(item) if isinstance(item, str) else json.dumps(item)

    return node(value)


def seeds() -> list[bytes]:
    """Inputs to begin with."""
    talk = [{"role": "user", "content": "Is it warm?"}, {"role": "assistant", "content": "Yes."}]
    calls = [
        {"role": "system", "content": "Be kind."},
        talk[0],
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": CALL["id"], "content": "12: sunny", "name": "weather"},
        {"role": "assistant", "content": "It is 12 degrees.", "weight": 1},
    ]
    answers = {"preferred_output": [talk[1]], "non_preferred_output": [talk[1]]}
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    parts = [{"type": "text", "text": "What?"}, image]
    rows: list[object] = [
        {"messages": talk},
        {"messages": [calls[0], *talk, *talk]},
        {"messages": calls, "tools": [WEATHER]},
        {"messages": calls, "tools": [WEATHER], "parallel_tool_calls": True},
        {"messages": [{"role": "user", "content": parts}, talk[1]]},
        {"input": {"messages": talk[:1]}, **answers},
        {"messages": talk[:1], "answer": "yes"},
    ]
    lines = [json.dumps(row).encode() for row in rows]
    made = [line + b"\n" for line in lines] + [b"\n".join(lines), b"\n".join([lines[0]] * 3)]
    files = [file.read_bytes().split(b"\n") for file in sorted(CASES.glob("*.jsonl"))]
    times = Counter(line for file in files for line in file)
    odd = [b"\n".join(line for line in file if times[line] < 5) for file in files]
    return [data[:LONGEST] for data in (*made, *odd, *corpus())]


def corpus() -> list[bytes]:
    """The inputs that were kept."""
    if not CORPUS.exists():
        return []
    return [base64.b64decode(json.loads(line)) for line in CORPUS.read_bytes().splitlines()]
