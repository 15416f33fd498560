"""There and back is the same, a valid example stays valid, and every loss is told."""

import contextlib
import json
from dataclasses import replace

import pytest
from conversion_examples import (
    EVERYTHING,
    Says,
    conversations,
    pairs,
    plain_texts,
    preferences,
    tasks,
    unpaired,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from ftctl.datasets.convert.example import CannotCarryError, Conversation, Example, Notes
from ftctl.datasets.convert.formats import FORMATS
from ftctl.datasets.examine import examine
from ftctl.datasets.rules.table import rule_on
from ftctl.datasets.rules.types import JsonObject

pytestmark = pytest.mark.medium

TOOLS = Says(tools=True, several_calls=True, own_ids=True, text_beside_calls=True)
TEXTS = Says()
# What each chat format can say; a conversation of it comes back as it was.
CHATS = {
    "openai": replace(EVERYTHING, reasoning=False),
    "openai-legacy": Says(
        names=True, weights=True, developer=True, parts=True, images=True, tools=True,
        text_beside_calls=True, refusals=True,
    ),
    "mistral": Says(
        weights=True, parts=True, images=True, tools=True, own_ids=True, several_calls=True,
        strict=True,
    ),
    "trl": replace(EVERYTHING, weights=False, parallel=False, refusals=False),
    "sharegpt": Says(tools=True),
    "alpaca": TEXTS,
    "gemini": Says(tools=True, several_calls=True, text_beside_calls=True),
    "together": replace(EVERYTHING, developer=False, parts=False, refusals=False),
    "fireworks": replace(EVERYTHING, developer=False, refusals=False),
}  # fmt: skip
KINDS: list[tuple[str, st.SearchStrategy[Example]]] = [
    *((name, conversations(says)) for name, says in CHATS.items()),
    ("openai-dpo", preferences(replace(TOOLS, names=True, parallel=True))),
    ("together", preferences(TOOLS)),
    ("fireworks", preferences(TOOLS)),
    ("trl", preferences(TOOLS)),
    ("trl", preferences(TEXTS, plain=True)),
    ("sharegpt", preferences(TEXTS)),
    ("gemini", preferences(Says(tools=True))),
    ("alpaca", preferences(TEXTS)),
    ("trl", unpaired(TOOLS)),
    ("trl", unpaired(TEXTS, plain=True)),
    ("alpaca", unpaired(TEXTS)),
    ("openai-rft", tasks(TOOLS)),
    ("trl", tasks(TOOLS)),
    ("trl", pairs),
    ("together", pairs),
    ("trl", plain_texts),
    ("together", plain_texts),
    ("text", plain_texts),
]
# Whose rules judge what each format writes.
JUDGES = {"openai": "openai", "mistral": "mistral", "trl": "local", "openai-legacy": "openai"}


def through(name: str, example: Example) -> tuple[Example, Notes]:
    """The example written in a format and read again, as a file would be."""
    notes = Notes()
    row = FORMATS[name].write(example, notes)
    assert row is not None
    return FORMATS[name].read(json.loads(json.dumps(row)), notes), notes


def errors(row: JsonObject | None, judge: str) -> list[str]:
    found = examine(json.dumps(row).encode()).findings
    ruled = [(f, ruling) for f in found for ruling in rule_on(f.key, (judge,))]
    return [f"{f.key} {f.path} {f.message}" for f, r in ruled if r.severity == "error"]


@pytest.mark.parametrize(("name", "examples"), KINDS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_there_and_back_is_the_same(
    name: str, examples: st.SearchStrategy[Example], data: st.DataObject
) -> None:
    example = data.draw(examples)
    back, notes = through(name, example)
    assert back == example
    assert [note for note in notes if note.kind == "dropped"] == []


@pytest.mark.parametrize("name", list(CHATS))
@given(example=conversations(EVERYTHING))
@settings(max_examples=60, deadline=None)
def test_a_valid_example_stays_valid_through_every_conversion(
    name: str, example: Conversation
) -> None:
    first = FORMATS["openai"].write(example, Notes())
    assert errors(first, "openai") == []
    written = FORMATS[name].write(example, Notes())
    if name in JUDGES and not _has_image(first, JUDGES[name]):
        assert errors(written, JUDGES[name]) == []
    back = FORMATS[name].read(json.loads(json.dumps(written)), Notes())
    for judge in ("openai", "mistral"):
        assert errors(FORMATS[judge].write(back, Notes()), judge) == []


CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
QUESTION: JsonObject = {"role": "user", "content": "2+2?"}
ANSWER: JsonObject = {"role": "assistant", "content": "4"}


def said(row: JsonObject, to: str, of: str = "openai") -> tuple[JsonObject | None, list[str]]:
    """What becomes of a row, and what is told of it."""
    notes = Notes()
    written = FORMATS[to].write(FORMATS[of].read(row, notes), notes)
    return written, [f"{note.kind} {note.path}: {note.what}" for note in notes]


def test_mistrals_ids_are_short_and_the_same_for_call_and_answer() -> None:
    calls = [CALL, {**CALL, "id": "call_2"}, {**CALL, "id": "abcDEF123"}]
    answers = [{"role": "tool", "tool_call_id": c["id"], "content": "1"} for c in reversed(calls)]
    called = {"role": "assistant", "content": None, "tool_calls": calls}
    row, notes = said({"messages": [QUESTION, called, *answers, ANSWER]}, "mistral")
    assert errors(row, "mistral") == []
    shown = json.dumps(row)
    assert shown.count("abcDEF123") == 2
    assert "call_1" not in shown
    assert "changed messages[1].tool_calls[0].id: a call's id, to nine letters and digits" in notes
    assert len([note for note in notes if "declared without a schema" in note]) == 1


@pytest.mark.parametrize(
    ("to", "row", "told"),
    [
        ("mistral", {"messages": [{**QUESTION, "name": "bob"}, ANSWER]}, "messages[0].name"),
        ("mistral", {"messages": [QUESTION, ANSWER, QUESTION]}, "messages[2]"),
        ("mistral", {"messages": [QUESTION, ANSWER], "parallel_tool_calls": False},
         "parallel_tool_calls"),
        ("mistral", {"messages": [QUESTION, {**ANSWER, "tool_calls": [CALL]}]},
         "messages[1].content"),
        ("openai", {"messages": [QUESTION, {**ANSWER, "reasoning_content": "hm"}]},
         "messages[1].reasoning_content"),
        ("openai", {"messages": [QUESTION, ANSWER], "id": 7}, "id"),
        ("openai", {"messages": [{**QUESTION, "weight": 1}, ANSWER]}, "messages[0].weight"),
        ("openai", {"messages": [QUESTION, {**ANSWER, "weight": 0.5}]}, "messages[1].weight"),
        ("trl", {"messages": [QUESTION, ANSWER, QUESTION, {**ANSWER, "weight": 0}]},
         "messages[3].weight"),
        ("sharegpt", {"messages": [QUESTION, {**ANSWER, "weight": 0}]}, "messages[1].weight"),
        ("alpaca", {"messages": [QUESTION, {**ANSWER, "tool_calls": [CALL]}]},
         "messages[1].tool_calls"),
        ("alpaca", {"messages": [{"role": "user", "content": [
            {"type": "text", "text": "?"},
            {"type": "image_url", "image_url": {"url": "https://e.example/a.png"}}]}, ANSWER]},
         "messages[0].content[1]"),
    ],
)  # fmt: skip
def test_what_is_dropped_is_told_with_its_place(to: str, row: JsonObject, told: str) -> None:
    _, notes = said(row, to)
    assert [note.split(":")[0] for note in notes if note.startswith("dropped")] == [
        f"dropped {told}"
    ]


def test_a_rejected_answer_and_a_bad_one_are_never_trained_on() -> None:
    pair: JsonObject = {"prompt": "2+2?", "chosen": "4", "rejected": "5"}
    row, notes = said(pair, "openai", "trl")
    assert row == {"messages": [QUESTION, ANSWER]}
    assert notes == ["dropped rejected: the worse answer of a pair"]
    bad: JsonObject = {"prompt": "2+2?", "completion": "5", "label": False}
    row, notes = said(bad, "openai", "trl")
    assert row is None
    assert notes == ["dropped : the whole row: its answer is labelled as bad"]


def test_only_the_completion_is_trained_on() -> None:
    row: JsonObject = {"prompt": [QUESTION, ANSWER, QUESTION], "completion": [ANSWER]}
    chat, _ = said(row, "openai", "trl")
    assert chat == {"messages": [QUESTION, {**ANSWER, "weight": 0}, QUESTION, ANSWER]}
    assert chat is not None
    assert said(chat, "trl")[0] == row


def test_gemini_keeps_images_by_address_and_its_system_instruction_apart() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://e.example/a.png"}}
    asked = {"role": "user", "content": [{"type": "text", "text": "?"}, image]}
    chat: JsonObject = {"messages": [{"role": "system", "content": "s"}, asked, ANSWER]}
    row, notes = said(chat, "gemini")
    assert row == {
        "systemInstruction": {"role": "system", "parts": [{"text": "s"}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "?"},
                    {"fileData": {"mimeType": "image/png", "fileUri": "https://e.example/a.png"}},
                ],
            },
            {"role": "model", "parts": [{"text": "4"}]},
        ],
    }
    assert notes == []
    assert said(row, "openai", "gemini")[0] == chat


def test_functions_of_old_become_tools() -> None:
    call = {"name": "f", "arguments": "{}"}
    row: JsonObject = {
        "messages": [
            QUESTION,
            {"role": "assistant", "content": None, "function_call": call},
            {"role": "function", "name": "f", "content": "4"},
            ANSWER,
        ],
        "functions": [{"name": "f", "parameters": {"type": "object", "properties": {}}}],
    }
    chat, notes = said(row, "openai", "openai-legacy")
    assert errors(chat, "local") == []
    assert not [note for note in notes if note.startswith("dropped")]
    assert chat is not None
    assert said(chat, "openai-legacy")[0] == row


@pytest.mark.parametrize(
    ("of", "row", "path"),
    [
        ("openai", {"messages": [{"role": "bot!", "content": "x"}]}, "messages[0].role"),
        ("openai", {"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ("openai", {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
         "messages[0].content[0]"),
        ("openai-dpo", {"input": {"messages": []}}, "input.messages"),
        ("trl", {"prompt": "x", "completions": ["y"], "labels": [True]}, ""),
        ("sharegpt", {"conversations": [{"from": "gpt", "value": None}]}, "conversations[0]"),
        ("sharegpt", {"conversations": [{"from": "function_call", "value": "f()"}]},
         "conversations[0]"),
        ("alpaca", {"instruction": "x", "output": None}, "output"),
        ("text", {"text": 1}, "text"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place(of: str, row: JsonObject, path: str) -> None:
    with pytest.raises(CannotCarryError) as refused:
        FORMATS[of].read(row, Notes())
    assert refused.value.path == path


@pytest.mark.parametrize(
    ("to", "row"),
    [
        ("openai-dpo", {"messages": [QUESTION, ANSWER]}),
        ("text", {"messages": [QUESTION, ANSWER]}),
        ("alpaca", {"messages": [ANSWER, QUESTION]}),
        ("alpaca", {"messages": [ANSWER]}),
        ("openai-rft", {"messages": [ANSWER, QUESTION]}),
    ],
)
def test_what_a_format_cannot_say_at_all_is_refused(to: str, row: JsonObject) -> None:
    with pytest.raises(CannotCarryError):
        said(row, to)


def _has_image(row: JsonObject | None, judge: str) -> bool:
    """Images, which the local backend doesn't take, are carried and left for it to refuse."""
    return judge == "local" and "image_url" in json.dumps(row)


KEYS = st.sampled_from(
    (
        *("messages", "role", "content", "tools", "functions", "function", "name", "arguments"),
        *("tool_calls", "id", "type", "text", "image_url", "url", "parameters", "function_call"),
        *("tool_call_id", "weight", "conversations", "from", "value", "system", "prompt"),
        *("completion", "label", "chosen", "rejected", "instruction", "input", "output", "history"),
        *("preferred_output", "non_preferred_output"),
    )
)
WORDS = st.sampled_from(("user", "assistant", "tool", "function", "function_call", "gpt", "{}", ""))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2) | st.floats(-1, 1) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


ROWS = st.dictionaries(KEYS, VALUES, max_size=6)


def must_convert_or_refuse(row: JsonObject, to: str) -> None:
    for codec in FORMATS.values():
        notes = Notes()
        with contextlib.suppress(CannotCarryError):
            json.dumps(FORMATS[to].write(codec.read(row, notes), notes))
        assert all(note.what for note in notes)


@given(row=ROWS, to=st.sampled_from(list(FORMATS)))
@settings(max_examples=100, deadline=None)
def test_any_row_is_converted_or_refused(row: JsonObject, to: str) -> None:
    must_convert_or_refuse(row, to)


@pytest.mark.slow
@given(row=ROWS, to=st.sampled_from(list(FORMATS)))
@settings(max_examples=4_000, deadline=None)
def test_very_many_rows_are_converted_or_refused(row: JsonObject, to: str) -> None:
    must_convert_or_refuse(row, to)
