"""There and back is the same, a valid example stays valid, and every loss is told."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import fields, replace

import pytest
from conversion_examples import EVERYTHING, KINDS, conversations, examples, preferences, tasks
from conversion_examples import unpaired as unpaired_examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ftctl.datasets.convert.example import (
    Call,
    CannotCarryError,
    Conversation,
    Example,
    ImagePart,
    Message,
    Notes,
    Preference,
    PromptCompletion,
    Span,
    TextPart,
    Tool,
    Unpaired,
)
from ftctl.datasets.convert.formats import FORMATS
from ftctl.datasets.convert.says import Says
from ftctl.datasets.examine import Asked, examine
from ftctl.datasets.formats import detect
from ftctl.datasets.rules.table import rule_on
from ftctl.datasets.rules.types import JsonObject

pytestmark = pytest.mark.medium

# Together wants parts in all messages where one holds an image: said otherwise, so not the same.
SAYS = {name: codec.says for name, codec in FORMATS.items()}
SAYS["together"] = replace(SAYS["together"], images=())
# Whose rules judge what each format writes.
JUDGES = {
    "openai": "openai",
    "openai-legacy": "openai",
    "mistral": "mistral",
    "trl": "local",
    "together": "together",
    "fireworks": "fireworks",
    "gemini": "gemini",
    "bedrock": "bedrock",
}
PAIR_JUDGES = {"openai-dpo": "openai", "together": "together", "fireworks": "fireworks"}
CHATS = [name for name, codec in FORMATS.items() if Conversation in codec.kinds]


def through(name: str, example: Example) -> tuple[Example, Notes]:
    """The example written in a format and read again, as a file would be."""
    notes = Notes()
    row = FORMATS[name].write(example, notes)
    assert row is not None
    return FORMATS[name].read(json.loads(json.dumps(row)), notes), notes


def errors(row: JsonObject | None, judge: str, method: str = "sft") -> list[str]:
    found = examine(json.dumps(row).encode(), asked=Asked(method)).findings
    ruled = [(f, ruling) for f in found for ruling in rule_on(f.key, (judge,), method)]
    return [f"{f.key} {f.path} {f.message}" for f, r in ruled if r.severity == "error"]


@pytest.mark.parametrize("one", FORMATS)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_there_and_back_is_the_same_by_way_of_every_other_format(
    one: str, data: st.DataObject
) -> None:
    ways = [(two, k) for two in FORMATS for k in FORMATS[one].kinds if k in FORMATS[two].kinds]
    two, kind = data.draw(st.sampled_from(ways))
    example = data.draw(examples(kind, SAYS[one].both(SAYS[two])))
    for name in (one, two):
        back, notes = through(name, example)
        assert back == example
        assert [note for note in notes if note.kind == "dropped"] == []


@pytest.mark.parametrize("made", [preferences, unpaired_examples, tasks])
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_bare_texts_come_back_from_trl_as_such(
    made: Callable[..., st.SearchStrategy[Example]], data: st.DataObject
) -> None:
    example = data.draw(made(Says(), plain=True))
    assert through("trl", example) == (example, [])


@pytest.mark.parametrize("name", CHATS)
@given(example=conversations(EVERYTHING))
@settings(max_examples=60, deadline=None)
def test_a_valid_example_stays_valid_through_every_conversion(
    name: str, example: Conversation
) -> None:
    first = FORMATS["openai"].write(example, Notes())
    assert errors(first, "openai") == []
    written = FORMATS[name].write(example, Notes())
    assert written is not None
    if name in JUDGES and not _has_image(first, JUDGES[name]):
        assert errors(written, JUDGES[name]) == []
    if name not in ("mistral", "together", "fireworks"):  # these look like OpenAI's
        assert detect([(1, written)]) in (name, "openai", "trl")
    back = FORMATS[name].read(json.loads(json.dumps(written)), Notes())
    for judge in ("openai", "mistral"):
        assert errors(FORMATS[judge].write(back, Notes()), judge) == []


@pytest.mark.parametrize("name", PAIR_JUDGES)
@given(example=preferences(EVERYTHING))
@settings(max_examples=30, deadline=None)
def test_a_valid_pair_stays_valid(name: str, example: Example) -> None:
    assert errors(FORMATS[name].write(example, Notes()), PAIR_JUDGES[name], "dpo") == []


ASKED = Message("user", "2+2?")
SAID = Message("assistant", "4")
F = Call("abcDEF123", "f", "{}")
G = Call("ghiJKL456", "g", "{}")
TOLD = Message("tool", "4", call_id=F.id)
TOOLS = (Tool("f", "d", {"type": "object", "properties": {}}),)
IMAGE = ImagePart("https://e.example/a.png")
# Something that only a format can say whose table says so.
SAYING: dict[str, Conversation] = {
    "weights": Conversation((ASKED, replace(SAID, weight=0))),
    "spans": Conversation((ASKED, replace(SAID, spans=(Span(0, 0, learnt=True),)))),
    "names": Conversation((replace(ASKED, name="bob"), SAID)),
    "tool_names": Conversation(
        (ASKED, Message("assistant", None, calls=(F,)), replace(TOLD, name="x"), SAID), TOOLS
    ),
    "developer": Conversation((Message("developer", "s"), ASKED, SAID)),
    "systems": Conversation((Message("system", "s"), ASKED, Message("system", "t"), SAID)),
    "refusals": Conversation((ASKED, Message("assistant", None, refusal="no"))),
    "reasoning": Conversation((ASKED, replace(SAID, reasoning="hm"))),
    "parts": Conversation((replace(ASKED, content=(TextPart("?"),)), SAID)),
    "tool_parts": Conversation(
        (
            ASKED,
            Message("assistant", None, calls=(F,)),
            replace(TOLD, content=(TextPart("4"), TextPart("!"))),
            SAID,
        ),
        TOOLS,
    ),
    "images": Conversation((replace(ASKED, content=(TextPart("?"), IMAGE)), SAID)),
    "details": Conversation(
        (replace(ASKED, content=(TextPart("?"), replace(IMAGE, detail="low"))), SAID)
    ),
    "tools": Conversation((ASKED, SAID), TOOLS),
    "several_calls": Conversation(
        (
            ASKED,
            Message("assistant", None, calls=(F, G)),
            TOLD,
            Message("tool", "5", call_id=G.id),
            SAID,
        ),
        (*TOOLS, replace(TOOLS[0], name="g")),
    ),
    "own_ids": Conversation((ASKED, Message("assistant", None, calls=(F,)), TOLD, SAID), TOOLS),
    "text_beside_calls": Conversation(
        (ASKED, Message("assistant", "so", calls=(F,)), TOLD, SAID), TOOLS
    ),
    "parallel": Conversation((ASKED, SAID), parallel=False),
    "strict": Conversation((ASKED, SAID), (replace(TOOLS[0], strict=True),)),
    "open_end": Conversation((ASKED, SAID, ASKED)),
    "same_speaker": Conversation((ASKED, ASKED, SAID)),
}


# What else an example of a thing needs to be said as it is.
BESIDES = {
    "tool_names": ("tools", "own_ids"),
    "tool_parts": ("tools", "own_ids"),
    "details": ("images",),
    "several_calls": ("tools", "own_ids"),
    "own_ids": ("tools",),
    "text_beside_calls": ("tools", "own_ids"),
    "strict": ("tools",),
}


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("said", [field.name for field in fields(Says)])
def test_a_format_says_what_its_table_says_and_tells_all_else(said: str, name: str) -> None:
    table = SAYS[name]
    able = {field.name: bool(getattr(table, field.name)) for field in fields(Says)}
    able["images"] = IMAGE.url.startswith(table.images)
    notes, example = Notes(), SAYING[said]
    written = None
    with contextlib.suppress(CannotCarryError):
        written = FORMATS[name].write(example, notes)
    if not able[said]:
        assert notes or written is None
    elif all(able[other] for other in BESIDES.get(said, ())):
        assert notes == []
        assert FORMATS[name].read(json.loads(json.dumps(written)), notes) == example
        assert "dropped" not in {note.kind for note in notes}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_what_is_no_kind_of_a_format_is_told_or_refused(
    kind: type[Example], data: st.DataObject
) -> None:
    example = data.draw(examples(kind, Says()))
    for codec in FORMATS.values():
        if kind in codec.kinds:
            continue
        notes = Notes()
        with contextlib.suppress(CannotCarryError):
            codec.write(example, notes)
            assert notes or kind is PromptCompletion  # as turns it says the same


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_nothing_is_lost_in_silence(name: str, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(FORMATS[name].kinds))
    example = data.draw(examples(kind, EVERYTHING))
    if isinstance(example, Preference):  # answers that say all that answers can
        answer = data.draw(conversations(EVERYTHING)).messages[-1]
        example = replace(example, chosen=(answer,))
    back, notes = through(name, example)
    assert _meant(back) == _meant(example) or notes


def _meant(example: Example) -> Example:
    """The same without weights of 1 and lists of no tools, which say no more than none does."""
    if isinstance(example, Conversation):
        return _unweighted(example)
    if isinstance(example, Preference):
        chosen = _unweighted(Conversation(example.chosen)).messages
        return replace(example, prompt=_unweighted(example.prompt), chosen=chosen)
    if isinstance(example, Unpaired):
        return replace(example, prompt=_unweighted(example.prompt))
    return example


def _unweighted(conversation: Conversation) -> Conversation:
    plain = tuple(replace(m, weight=0 if m.weight == 0 else None) for m in conversation.messages)
    return replace(conversation.with_messages(plain), tools=conversation.tools or None)


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
        ("trl", {"prompt": "x", "completions": ["y"], "labels": []}, "labels"),
        ("trl", {"prompt": [QUESTION], "completions": ["y"], "labels": [True]}, "prompt"),
        ("trl", {"chosen": "4", "rejected": "5"}, "prompt"),
        ("axolotl", {"input_ids": [1], "labels": [1]}, "input_ids"),
        ("axolotl", {"segments": [{"label": "x", "text": "y"}]}, "segments[0]"),
        ("axolotl", {"messages": [{**ANSWER, "train_detail": [{}]}]},
         "messages[0].train_detail[0]"),
        ("axolotl", {"question": 1, "answer": "y"}, "question"),
        ("bedrock", {"messages": [{"role": "user", "content": [{"video": {}}]}]},
         "messages[0].content[0]"),
        ("bedrock", {"messages": [{"role": "system", "content": [{"text": "x"}]}]},
         "messages[0].role"),
        ("bedrock", {"messages": [{"role": "assistant", "candidates": []}]},
         "messages[0].candidates"),
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
    """Images that a provider doesn't take, or not by address, are carried and left to its rules."""
    return judge in ("local", "together", "fireworks") and "image_url" in json.dumps(row)


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
