"""Reading held-out examples: what is taken as it is, and what is refused, with its line."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftctl.datasets.render import Message
from ftctl.errors import DataInvalid, FtctlError, Unsupported, UsageError
from ftctl.evaluation.examples import load_examples, message_text, prompt_sha256

SYSTEM = {"role": "system", "content": "Answer briefly."}


def row(question: str = "2+2?", answer: object = "4", **more: object) -> str:
    messages = [
        SYSTEM,
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
    ]
    return json.dumps({"messages": messages, **more})


def written(folder: Path, *lines: str | bytes) -> Path:
    path = folder / "held-out.jsonl"
    path.write_bytes(b"\n".join(x.encode() if isinstance(x, str) else x for x in lines))
    return path


def test_the_last_assistant_message_is_the_reference(tmp_path: Path) -> None:
    messages: list[Message] = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": [{"type": "text", "text": "d"}]},
    ]
    file = load_examples(written(tmp_path, json.dumps({"messages": messages})))
    (example,) = file.examples
    assert example.reference == "d"
    assert list(example.prompt) == messages[:3]
    assert example.id == prompt_sha256(messages[:3])


def test_bom_crlf_and_blank_lines_change_nothing_but_the_line(tmp_path: Path) -> None:
    plain = load_examples(written(tmp_path, row("1"), row("2")))
    odd = load_examples(
        written(tmp_path, b"\xef\xbb\xbf" + row("1").encode() + b"\r", "  ", row("2"), "")
    )
    assert [e.id for e in odd.examples] == [e.id for e in plain.examples]
    assert [e.line for e in odd.examples] == [1, 3]
    assert odd.sha256 != plain.sha256


def test_the_order_of_keys_is_no_part_of_the_question() -> None:
    assert prompt_sha256([{"role": "user", "content": "é"}]) == prompt_sha256(
        [{"content": "é", "role": "user"}]
    )


def test_examples_that_ask_the_same_keep_ids_of_their_own(tmp_path: Path) -> None:
    file = load_examples(written(tmp_path, row("x", "1"), row("x", "2"), row("x", "1")))
    ids = [example.id for example in file.examples]
    assert len(set(ids)) == 3
    assert {example.prompt_sha256 for example in file.examples} == {ids[0]}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ("null", "must be an object"),
        ('{"messages": {}}', "must be an object with a list"),
        ('{"messages": [null]}', "messages[0] must be"),
        ('{"messages": [{"role": 1}]}', "messages[0] must be"),
        ('{"messages": []}', "no assistant message"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "no assistant message"),
        ('{"messages": [{"role": "assistant", "content": "a"}]}', "no message before"),
        (row(answer=None), "no text in its answer"),
        (row(answer="  "), "no text in its answer"),
        (row(answer=7), "no text in its answer"),
        (row(question="\ud800"), "isn't valid UTF-8"),
        (row(answer="\udfff"), "isn't valid UTF-8"),
        (b"\xff\xfe\x7b\x00", "isn't valid UTF-8"),
        ('{"messages":' + "[" * 100_000, "nested too deeply"),
        ('{"x": ' + "9" * 5000 + "}", "digits"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(line: str | bytes, says: str, tmp_path: Path) -> None:
    path = written(tmp_path, row(), line, row())
    with pytest.raises(DataInvalid) as caught:
        load_examples(path)
    assert caught.value.message.startswith(f"{path}:2: ")
    assert says in caught.value.message
    assert caught.value.hint == f"ftctl data check {path}"


def test_tools_are_refused_rather_than_left_out(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r":1: .* tools"):
        load_examples(written(tmp_path, row(tools=[{"type": "function"}])))


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_a_file_without_examples_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="no examples"):
        load_examples(written(tmp_path, content))


def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(UsageError, match="can't be read"):
            load_examples(path)


@given(st.lists(st.binary(max_size=60) | st.sampled_from([row().encode(), b'{"messages":[{'])))
def test_whatever_the_bytes_the_answer_is_examples_or_one_of_our_errors(
    tmp_path_factory: pytest.TempPathFactory, lines: Sequence[bytes]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(b"\n".join(lines))
    try:
        said = load_examples(path).path.name
    except FtctlError as error:
        said = error.message
    assert "any.jsonl" in said


def test_message_text_takes_text_and_nothing_else() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url"}, None, {"text": 3}, {"text": "b"}]
    assert message_text({"content": parts}) == "ab"
    assert message_text({"content": None}) == ""
    assert message_text({}) == ""
