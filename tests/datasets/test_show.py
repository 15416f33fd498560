"""What is shown as trained on is what gets gradient; every token's text is there, once."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import write_model

from ftctl.datasets.render import Tokenizer, load_tokenizer
from ftctl.datasets.show.chat import LINE_CAP_BYTES, chat_rows
from ftctl.datasets.show.pick import pick
from ftctl.datasets.show.tokens import Look, token_texts
from ftctl.datasets.show.types import Broken, Example
from ftctl.errors import DataInvalid, UsageError
from ftctl.local_backend.data import collate, load_examples
from ftctl.local_backend.losses import token_losses
from ftctl.local_backend.model import load_base

pytestmark = pytest.mark.medium

CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "Name the colour."},
    {"role": "user", "content": "first 🎨"},
    {"role": "assistant", "content": "red", "weight": 0},
    {"role": "user", "content": "second"},
    {"role": "assistant", "content": "blue, naïve 東京", "weight": 1},
    {"role": "user", "content": "third"},
    {"role": "assistant", "content": "green"},
]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("shown") / "tiny")


@pytest.fixture(scope="session")
def tokenizer(model: Path) -> Tokenizer:
    return load_tokenizer(model)


def written(file: Path, *rows: object) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def seen(file: Path, look: Look, line: int | None = None, count: int = 100) -> list[Any]:
    return list(pick(chat_rows(file, line or 1, look), file, line=line, count=count))


def text_of(example: Example, kind: str) -> str:
    return "".join(token.text for token in example.tokens if token.kind == kind)


def test_green_is_exactly_what_gets_gradient(
    model: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    import torch

    file = written(tmp_path / "a.jsonl", {"messages": CONVERSATION}, {"messages": CONVERSATION[:5]})
    network = load_base(model, torch.float32, "cpu")
    examples = load_examples(file, tokenizer, 512).examples
    shown = seen(file, Look(tokenizer, 512))
    assert len(examples) == len(shown) == 2
    for example, view in zip(examples, shown, strict=True):
        batch = collate([example], tokenizer.pad_token_id or 0, 0, "cpu")
        kept: list[Any] = []
        hook = network.lm_head.register_forward_hook(lambda *call, to=kept: to.append(call[2]))
        network.zero_grad()
        value = token_losses(network, batch, plain=True).sum()
        hook.remove()
        (gradient,) = torch.autograd.grad(value, kept)
        # The logits at a position predict the token after it.
        learnt = [False, *(gradient[0].abs().sum(-1) > 0).tolist()[:-1]]
        assert [token.id for token in view.tokens] == batch.ids[0].tolist()
        assert [token.kind == "trained" for token in view.tokens] == learnt
        assert any(learnt)
        assert not all(learnt)


def test_answers_of_weight_0_and_what_others_say_are_red(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    (shown,) = seen(written(tmp_path / "a.jsonl", {"messages": CONVERSATION}), Look(tokenizer, 512))
    assert text_of(shown, "trained") == "blue, naïve 東京<|im_end|>green<|im_end|>"
    assert "red<|im_end|>" in text_of(shown, "untrained")
    assert "first 🎨" in text_of(shown, "untrained")
    whole = tokenizer.apply_chat_template(
        [{k: v for k, v in m.items() if k != "weight"} for m in CONVERSATION], tokenize=False
    )
    assert "".join(token.text for token in shown.tokens) == whole.removesuffix("\n")
    assert {token.text for token in shown.tokens if token.control} == {
        "<|im_start|>",
        "<|im_end|>",
    }


def test_what_is_too_long_is_cut_at_the_end(tokenizer: Tokenizer, tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", {"messages": CONVERSATION})
    (whole,) = seen(file, Look(tokenizer, 512))
    total = whole.total_tokens
    (shown,) = seen(file, Look(tokenizer, total - 3))
    assert [token.kind for token in shown.tokens][-4:] == ["trained", "cut", "cut", "cut"]
    assert (shown.total_tokens, shown.cut_tokens) == (total, 3)
    assert shown.trained_tokens == whole.trained_tokens - 3
    assert "leaves the whole example out" in shown.remarks[0]


def test_of_a_long_example_the_first_and_last_tokens_are_shown(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    file = written(tmp_path / "a.jsonl", {"messages": CONVERSATION})
    (whole,) = seen(file, Look(tokenizer))
    (part,) = seen(file, Look(tokenizer, most_tokens=11))
    assert len(part.tokens) == 11
    assert (part.left_out_after, part.left_out_tokens) == (6, whole.total_tokens - 11)
    ids = [token.id for token in whole.tokens]
    assert [token.id for token in part.tokens] == ids[:6] + ids[-5:]
    assert part.trained_tokens == whole.trained_tokens


def test_what_comes_after_the_last_answer_is_told(tokenizer: Tokenizer, tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", {"messages": CONVERSATION[:4]})
    (shown,) = seen(file, Look(tokenizer, 512))
    assert "the last 1 messages are left out" in shown.remarks[0]
    assert "no token is trained on" in shown.remarks[1]


@given(st.text(max_size=60))
def test_texts_of_tokens_are_the_text(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    texts = token_texts(tokenizer, ids)
    assert len(texts) == len(ids)
    assert "".join(texts) == text


def test_an_id_of_another_vocabulary_is_told(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataInvalid, match="isn't one of this model's"):
        token_texts(tokenizer, [5, -1])


def test_without_a_model_messages_are_shown(tmp_path: Path) -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]}
    parts = {"role": "user", "content": [{"type": "text", "text": "Hi "}, {"type": "image_url"}]}
    file = written(tmp_path / "a.jsonl", {"messages": [parts, CONVERSATION[2], call]})
    (shown,) = seen(file, Look())
    assert [(said.role, said.kind) for said in shown.messages] == [
        ("user", "untrained"),
        ("assistant", "untrained"),
        ("assistant", "trained"),
    ]
    assert shown.messages[0].text == 'Hi {"type": "image_url"}'
    assert shown.messages[2].text == '{"tool_calls": [{"id": "a"}]}'
    assert shown.total_tokens is None


def test_a_broken_line_hides_no_other(tokenizer: Tokenizer, tmp_path: Path) -> None:
    good = json.dumps({"messages": CONVERSATION})
    bad = [
        "{oops",
        "[]",
        '{"messages": ["a"]}',
        '{"messages": [{"role": "assistant", "content": 3}, {}]}',
        '{"conversations": []}',
        "[" * 100_000,
        '{"messages": "' + "a" * LINE_CAP_BYTES + '"}',
        '{"messages": "\udcff"}',
    ]
    file = tmp_path / "a.jsonl"
    file.write_bytes("\n\n".join([good, *bad, good]).encode(errors="surrogateescape"))
    shown = seen(file, Look(tokenizer))
    assert [item.line for item in shown] == list(range(1, 20, 2))
    assert [isinstance(item, Broken) for item in shown] == [False, *[True] * 8, False]
    told = {item.line: item for item in shown if isinstance(item, Broken)}
    assert "not JSON" in told[3].message
    assert "ShareGPT" in told[11].message
    assert "data convert" in told[11].hint
    assert f"up to {LINE_CAP_BYTES:,} are shown" in told[15].message
    assert told[17].message == "not UTF-8: byte 0xFF at column 15 (Latin-1 or cp1252?)"


@given(st.lists(st.binary(max_size=40), max_size=6), st.booleans())
def test_any_bytes_give_examples_or_lines_that_are_told(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer, lines: list[bytes], named: bool
) -> None:
    file = tmp_path_factory.mktemp("bytes") / "a.jsonl"
    file.write_bytes(b"\n".join([*lines, json.dumps({"messages": CONVERSATION}).encode()]))
    try:
        shown = seen(file, Look(tokenizer if named else None))
    except DataInvalid:
        return  # not UTF-8 as a whole, or damaged
    assert all(isinstance(item, Broken | Example) for item in shown)


def test_a_line_is_found_by_its_number(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": str(i)}]} for i in range(1, 6)]
    file = written(tmp_path / "a.jsonl", *rows)
    assert [item.messages[0].text for item in seen(file, Look(), line=3, count=2)] == ["3", "4"]
    with pytest.raises(UsageError, match="no line 6"):
        seen(file, Look(), line=6)
    file.write_text("\n" + file.read_text())
    with pytest.raises(DataInvalid, match=r"a\.jsonl:1: the line is blank"):
        seen(file, Look(), line=1)
    file.write_text("")
    with pytest.raises(DataInvalid, match="no example in it"):
        seen(file, Look())


def test_a_file_that_is_something_else_is_left_after_a_hundred_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("x\n" * 1000)
    assert len(seen(file, Look())) == 100
