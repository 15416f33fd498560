"""What a chat template is given: tools and messages in the one shape that all templates know."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from typing_extensions import override

from ftctl.datasets.render import prompt_text, render

DEFINITION = {"name": "f", "description": "Does it.", "parameters": {}}
WRAPPED = {"type": "function", "function": DEFINITION}


USER = [{"role": "user", "content": "a"}]


class Recorder:
    """A tokenizer whose template shows what it was given."""

    eos_token_id: int | None = None
    pad_token_id: int | None = None
    padding_side = "right"

    def apply_chat_template(self, conversation: Sequence[Any], **options: Any) -> str:
        return json.dumps({"messages": list(conversation), "tools": options["tools"]})

    def __call__(self, text: str, **options: Any) -> Any:
        raise NotImplementedError

    def decode(self, ids: Sequence[int], **options: Any) -> str:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("tools", "wanted"),
    [
        ([WRAPPED], [WRAPPED]),
        (json.dumps([WRAPPED]), [WRAPPED]),
        ([DEFINITION], [WRAPPED]),
        ([{"type": "function", **DEFINITION}], [WRAPPED]),
        (json.dumps([DEFINITION]), [WRAPPED]),
        ([], None),
        (None, None),
        ("[]", None),
    ],
)
def test_tools_come_as_a_list_of_wrapped_definitions(tools: Any, wanted: object) -> None:
    assert json.loads(prompt_text(Recorder(), USER, tools))["tools"] == wanted


def test_messages_come_as_text_by_roles_that_templates_know() -> None:
    given: list[dict[str, Any]] = [
        {"role": "developer", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "content": None, "weight": 0, "refusal": None},
    ]
    assert json.loads(prompt_text(Recorder(), given))["messages"] == [
        {"role": "system", "content": "a"},
        {"role": "assistant", "content": ""},
    ]


class Marked(Recorder):
    """A tokenizer of characters whose template puts a system message first, as many do."""

    @override
    def apply_chat_template(self, conversation: Sequence[Any], **options: Any) -> str:
        said: str = "".join(f"<{m['role']}>{m['content']}<end>" for m in conversation)
        return (
            "<system>hi<end>" + said + ("<assistant>" if options["add_generation_prompt"] else "")
        )

    @override
    def __call__(self, text: str, **options: Any) -> Any:
        return {"input_ids": [ord(letter) for letter in text]}


def test_an_answer_that_comes_first_is_trained_without_its_opening() -> None:
    rendered = render(Marked(), [{"role": "assistant", "content": "4"}])
    assert "".join(map(chr, rendered.ids)) == "<system>hi<end><assistant>4<end>"
    trained = [chr(i) for i, counts in zip(rendered.ids, rendered.mask, strict=True) if counts]
    assert "".join(trained) == "4<end>"
