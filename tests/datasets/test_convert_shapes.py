"""Rows of Bedrock, Axolotl, TRL and the old Mistral trainer, in their makers' own shapes."""

from typing import Any

import pytest

from ftctl.datasets.convert.example import CannotCarryError, Notes
from ftctl.datasets.convert.formats import FORMATS
from ftctl.datasets.formats import id_of
from ftctl.datasets.rules.types import JsonObject


def said(row: JsonObject, to: str, of: str = "openai") -> tuple[Any, list[str]]:
    """What becomes of a row, and what is told of it."""
    notes = Notes()
    written = FORMATS[to].write(FORMATS[of].read(row, notes), notes)
    return written, [f"{note.kind} {note.path}: {note.what}" for note in notes]


ASKED: JsonObject = {"role": "user", "content": "2+2?"}
SAID: JsonObject = {"role": "assistant", "content": "4"}
BEDROCK: JsonObject = {
    "schemaVersion": "bedrock-conversation-2024",
    "system": [{"text": "Brief."}],
    "toolConfig": {
        "tools": [
            {
                "toolSpec": {
                    "name": "add",
                    "description": "adds",
                    "inputSchema": {"json": {"type": "object"}},
                }
            }
        ]
    },
    "messages": [
        {
            "role": "user",
            "content": [
                {"text": "What is it?"},
                {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/a.png"}}}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm"}}},
                {"text": "I add."},
                {"toolUse": {"toolUseId": "t-1", "name": "add", "input": {"a": 1}}},
                {"toolUse": {"toolUseId": "t-2", "name": "add", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "t-1", "content": [{"text": "4"}]}},
                {"toolResult": {"toolUseId": "t-2", "content": [{"text": "5"}]}},
                {"text": "So?"},
            ],
        },
        {"role": "assistant", "content": [{"text": "4"}]},
    ],
}


def test_bedrock_comes_back_as_it_was_and_its_ids_tools_and_images_are_carried() -> None:
    assert said(BEDROCK, "bedrock", "bedrock") == (BEDROCK, [])
    chat, notes = said(BEDROCK, "openai", "bedrock")
    assert notes == ["dropped messages[1].reasoning_content: reasoning before the answer"]
    assert chat["messages"][1]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "s3://b/a.png"},
    }
    assert [call["id"] for call in chat["messages"][2]["tool_calls"]] == ["t-1", "t-2"]
    assert [m["role"] for m in chat["messages"][3:]] == ["tool", "tool", "user", "assistant"]
    assert chat["tools"][0]["function"]["parameters"] == {"type": "object"}


def test_what_bedrock_cannot_say_is_told() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://e.example/a.png"}}
    row: JsonObject = {
        "messages": [
            {"role": "user", "name": "bob", "content": [{"type": "text", "text": "?"}, image]},
            {**SAID, "weight": 0},
            {**ASKED, "content": "sure?"},
            ASKED,
            {**SAID, "content": "yes"},
        ]
    }
    written, notes = said(row, "bedrock")
    assert [turn["role"] for turn in written["messages"]] == ["user", "assistant"] * 2
    assert [note.split(":")[0] for note in notes] == [
        "dropped messages[0].name",
        "dropped messages[1].weight",
        "dropped messages[0].content[1]",
        "changed messages[0].content",
        "changed messages[3]",
    ]


def test_what_only_bedrock_says_is_told_as_its_rows_are_read() -> None:
    place = {"uri": "s3://b/a.jpg", "bucketOwner": "123"}
    result = {"toolUseId": "t", "status": "error", "content": [{"json": {"a": 1}}]}
    row: JsonObject = {
        "schemaVersion": "any",
        "toolConfig": {"tools": [], "toolChoice": {"auto": {}}},
        "messages": [
            {
                "role": "user",
                "content": [{"image": {"format": "png", "source": {"s3Location": place}}}],
            },
            {
                "role": "assistant",
                "content": [{"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}],
            },
            {"role": "user", "content": [{"toolResult": result}]},
            {"role": "assistant", "content": [{"text": "4"}]},
        ],
    }
    _, notes = said(row, "openai", "bedrock")
    assert notes == [
        "dropped messages[0].content[0].image.source.s3Location.bucketOwner: the key 'bucketOwner'",
        "dropped messages[0].content[0].image.format: an image's format, other than by its address",
        "dropped messages[2].content[0].toolResult.status: the key 'status'",
        "changed messages[2].content[0].toolResult.content[0]: a result in JSON, to its text",
        "dropped toolConfig.toolChoice: the key 'toolChoice'",
    ]


def test_pairs_are_candidates_in_bedrock() -> None:
    pair: JsonObject = {
        "input": {"messages": [ASKED]},
        "preferred_output": [SAID],
        "non_preferred_output": [{**SAID, "content": "5"}],
    }
    row, notes = said(pair, "bedrock", "openai-dpo")
    assert row["messages"][1] == {
        "role": "assistant",
        "candidates": [
            {"content": [{"text": "4"}], "preferenceLabel": "preferred"},
            {"content": [{"text": "5"}], "preferenceLabel": "non-preferred"},
        ],
    }
    assert notes == []
    assert id_of(row) == "bedrock"
    assert said(row, "openai-dpo", "bedrock") == (pair, [])


@pytest.mark.parametrize(
    "row",
    [
        {"schemaVersion": "x", "messages": []},
        {"system": [{"text": "x"}], "messages": []},
        {"messages": [{"role": "user", "content": [{"text": "x"}]}]},
    ],
)
def test_bedrock_is_told_by_its_version_or_by_parts_without_a_type(row: JsonObject) -> None:
    assert id_of(row) == "bedrock"
    typed: JsonObject = {"messages": [{**ASKED, "content": [{"type": "text", "text": "x"}]}]}
    assert id_of(typed) == "openai"


def test_what_axolotl_trains_on_is_a_weight() -> None:
    spans = [{"begin_offset": 0, "end_offset": 0, "train": True}]
    row: JsonObject = {
        "messages": [
            {**ASKED, "train": False},
            {**SAID, "train": False},
            ASKED,
            {**SAID, "train": True, "train_detail": spans},
        ]
    }
    assert id_of(row) == "axolotl"
    chat, notes = said(row, "openai", "axolotl")
    assert [message.get("weight") for message in chat["messages"]] == [None, 0, None, 1]
    assert notes == ["dropped messages[3].train_detail: which stretches of an answer are learnt"]
    back, notes = said(row, "axolotl", "axolotl")
    assert notes == []
    assert back["messages"] == [ASKED, *row["messages"][1:]]  # type: ignore[index]
    trained: JsonObject = {"messages": [{**ASKED, "train": True}, SAID]}
    assert said(trained, "axolotl", "axolotl")[1] == [
        "dropped messages[0].train: train on what isn't an answer, or no truth"
    ]


def test_axolotls_turns_may_have_sharegpts_keys() -> None:
    row: JsonObject = {
        "conversations": [
            {"from": "human", "value": "2+2?"},
            {"from": "gpt", "value": "4", "train": False},
        ]
    }
    assert id_of(row) == "axolotl"
    assert said(row, "openai", "axolotl")[0] == {"messages": [ASKED, {**SAID, "weight": 0}]}


def test_a_prompt_that_is_not_learnt_is_a_segment() -> None:
    pair: JsonObject = {"prompt": "2+2=", "completion": "4"}
    segments = [{"label": False, "text": "2+2="}, {"label": True, "text": "4"}]
    row, notes = said(pair, "axolotl", "trl")
    assert (row, notes) == ({"segments": segments}, [])
    assert id_of(row) == "axolotl"
    assert said(row, "trl", "axolotl") == (pair, [])
    assert said({"segments": segments[::-1]}, "trl", "axolotl") == (
        {"text": "42+2="},
        [
            "dropped segments: that a segment isn't learnt: all of the text is",
            "changed segments: segments, to one text",
        ],
    )


@pytest.mark.parametrize(
    ("row", "system", "asked"),
    [
        ({"instruction": "2+2?", "response": "4"}, None, "2+2?"),
        ({"instruction": "Add", "input": "2+2?", "response": "4"}, None, "Add\n2+2?"),
        ({"INSTRUCTION": "2+2?", "RESPONSE": "4"}, None, "2+2?"),
        ({"question": "2+2?", "answer": "4"}, None, "2+2?"),
        ({"system_prompt": "Brief.", "question": "2+2?", "response": "4"}, "Brief.", "2+2?"),
        ({"article": "2+2?", "summary": "4"}, None, "2+2?"),
        ({"prompt": "2+2?", "generation": "4"}, None, "2+2?"),
    ],
)
def test_each_set_of_instruction_keys_is_read(
    row: JsonObject, system: str | None, asked: str
) -> None:
    assert id_of(row) == "axolotl"
    messages = [{"role": "system", "content": system}] if system else []
    chat, notes = said(row, "openai", "axolotl")
    assert chat == {"messages": [*messages, {**ASKED, "content": asked}, SAID]}
    assert [note for note in notes if note.startswith("dropped")] == []


def test_axolotls_pairs_stand_beside_their_messages() -> None:
    row: JsonObject = {"messages": [ASKED], "chosen": SAID, "rejected": {**SAID, "content": "5"}}
    assert id_of(row) == "axolotl"
    assert said(row, "axolotl", "axolotl") == (row, [])
    pair, notes = said(row, "openai-dpo", "axolotl")
    assert (pair["preferred_output"], notes) == ([SAID], [])


def test_the_old_mistral_trainers_keys_are_read() -> None:
    tool = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
    row: JsonObject = {
        "interactions": [ASKED, {"role": "assistant", "text": "5"}, ASKED, SAID],
        "system_prompt": "Brief.",
        "available_tools": [{"type": "function", "function": tool}],
        "only_last": True,
    }
    assert id_of(row) == "mistral"
    chat, notes = said(row, "mistral", "mistral")
    assert [m["role"] for m in chat["messages"]] == ["system", *("user", "assistant") * 2]
    assert [m.get("weight") for m in chat["messages"]] == [None, None, 0, None, None]
    assert chat["tools"] == row["available_tools"]
    assert notes == ["changed interactions[1].text: the key text, to content"]


@pytest.mark.parametrize(
    ("row", "written"),
    [
        ({"prompt": "2+2?"}, {"prompt": "2+2?"}),
        ({"prompt": [ASKED]}, {"prompt": [ASKED]}),
        (
            {"chosen": [ASKED, SAID], "rejected": [ASKED, {**SAID, "content": "5"}]},
            {"prompt": [ASKED], "chosen": [SAID], "rejected": [{**SAID, "content": "5"}]},
        ),
        (
            {"chosen": "2+2 is 4", "rejected": "2+2 is five"},
            {"prompt": "2+2 is", "chosen": " 4", "rejected": " five"},
        ),
        (
            {"prompt": [ASKED], "completion": [SAID], "label": False},
            {"prompt": [ASKED], "completion": [SAID], "label": False},
        ),
        (
            {"prompt": "2+2?", "completions": ["2+2 is 2*2,", "so 5"], "labels": [True, False]},
            {"prompt": "2+2?", "completions": ["2+2 is 2*2,", "so 5"], "labels": [True, False]},
        ),
        (
            {"messages": [ASKED, SAID], "tools": '[{"name": "f"}]'},
            {
                "messages": [ASKED, SAID],
                "tools": [{"type": "function", "function": {"name": "f"}}],
            },
        ),
    ],
)
def test_each_of_trls_formats_is_read_and_written(row: JsonObject, written: JsonObject) -> None:
    found, notes = said(row, "trl", "trl")
    assert found == written
    assert [note for note in notes if note.startswith("dropped")] == []


@pytest.mark.parametrize("to", [name for name in FORMATS if name not in ("trl", "axolotl")])
def test_an_answer_judged_by_steps_is_refused_elsewhere(to: str) -> None:
    row: JsonObject = {"prompt": "2+2?", "completions": ["4"], "labels": [True]}
    with pytest.raises(CannotCarryError):
        said(row, to, "trl")


@pytest.mark.parametrize("to", ["bedrock", "gemini"])
@pytest.mark.parametrize(
    ("messages", "path", "why"),
    [
        ([{"role": "system", "content": "Brief."}], "messages", "nothing but a system message"),
        ([ASKED, {"role": "assistant", "content": None}], "messages[1]", "nothing is left of"),
    ],
)
def test_turns_without_anything_in_them_are_refused_not_written(
    messages: list[JsonObject], path: str, why: str, to: str
) -> None:
    with pytest.raises(CannotCarryError, match=why) as caught:
        said({"messages": messages}, to)
    assert caught.value.path == path
