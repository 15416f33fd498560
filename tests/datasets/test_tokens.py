"""Which tokenizer is a model's, and what an example is made of; nothing heavy is loaded."""

import json
from pathlib import Path
from typing import Any

import pytest
from token_counts import count_example

from ftctl.datasets.check import check
from ftctl.datasets.stats import stats
from ftctl.datasets.tokens.choose import counter_for, max_example_tokens
from ftctl.datasets.tokens.encodings import openai_encoding
from ftctl.datasets.tokens.mistral import shipped_file
from ftctl.datasets.tokens.new_code_points import RANGES, with_new_code_points
from ftctl.datasets.tokens.pieces import iter_pieces
from ftctl.datasets.tokens.tally import Tally
from ftctl.datasets.tokens.texts import EstimateCounter, plain_rows
from ftctl.errors import UsageError


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4.1-mini-2025-04-14", "o200k_base"),
        ("ft:gpt-4.1-nano-2025-04-14:org:name:id", "o200k_base"),
        ("ft:gpt-4o:org::id", "o200k_base"),
        ("ft:o4-mini-2025-04-16:org::id", "o200k_base"),
        ("chatgpt-4o-latest", "o200k_base"),
        ("gpt-5.1-mini", "o200k_base"),
        ("o3", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-0613", "cl100k_base"),
        ("gpt-35-turbo-16k", "cl100k_base"),
        ("ft:gpt-3.5-turbo-0125:org::id", "cl100k_base"),
        ("davinci-002", "cl100k_base"),
        ("openai/gpt-oss-20b", "o200k_harmony"),
    ],
)
def test_a_model_of_openai_has_the_encoding_of_its_base(model: str, encoding: str) -> None:
    assert openai_encoding(model) == (encoding, True)


def test_a_gpt_that_no_source_knows_is_taken_for_the_newest_encoding_and_says_so() -> None:
    assert openai_encoding("gpt-6-luna") == ("o200k_base", False)
    assert openai_encoding("gpt-50") == ("o200k_base", False)


@pytest.mark.parametrize("model", ["llama-3.1-8b", "open-mistral-7b", "gpt-neo-2.7b", "o", "gpt2"])
def test_other_names_are_none_of_openais(model: str) -> None:
    assert openai_encoding(model) is None


@pytest.mark.parametrize(
    ("model", "file"),
    [
        ("open-mistral-nemo", "tekken_240718.json"),
        ("open-mistral-nemo-2407", "tekken_240718.json"),
        ("ft:ministral-8b-2410:org:x", "tekken_240718.json"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistral_instruct_tokenizer_240323.model.v3"),
        ("open-mistral-7b", "tokenizer.model.v1"),
        ("mistral-large-2411", "mistral_instruct_tokenizer_241114.model.v7"),
    ],
)
def test_a_mistral_family_that_is_shipped_has_its_file(model: str, file: str) -> None:
    assert shipped_file(model) == file


@pytest.mark.parametrize("model", ["ministral-14b-2512", "mistral-small-2603", "mistral", ""])
def test_a_mistral_family_that_is_not_shipped_has_none(model: str) -> None:
    assert shipped_file(model) is None


def test_a_model_whose_tokenizer_is_not_here_is_estimated_with_its_error() -> None:
    counter = counter_for("llama-3.1-8b", "together")
    assert (counter.exact, counter.encoding) == (False, "")
    assert "bytes / 4" in counter.says
    assert "Hindi" in counter.error
    assert counter.count(["12345", "ü", ""]) == [2, 1, 0]


def test_a_path_without_a_model_is_a_mistake_to_be_told() -> None:
    with pytest.raises(UsageError, match="no such file"):
        counter_for("weights/none.gguf")


def test_the_limit_is_the_catalogs_or_openais_own() -> None:
    assert max_example_tokens("gpt-4.1-2025-04-14", "openai") == 65_536
    assert max_example_tokens("ft:gpt-4o:org::id") == 65_536
    assert max_example_tokens("nobody-knows-it") is None


def test_lines_are_decoded_one_by_one_whatever_stands_on_them() -> None:
    row = b'{"messages":[{"role":"user","content":"x"}]}'
    begun, ended = b'{"messages":[{"role":"user",', b'"content":"x"}]}'
    open_, closed = row[:-2], row[-2:]
    for lines, plain in (
        ([], []),
        ([row, row], [True, True]),
        ([row + b"\r", b" " + row], [True, True]),
        ([row, b"", row], [True, False, True]),
        ([row + row, b""], [False, False]),
        ([row + row, row, b"{}"], [False, True, False]),
        ([begun, ended, row + row], [False, False, False]),
        ([open_, closed, row + row], [False, False, False]),
        ([row, b"[1]"], [True, False]),
    ):
        assert [found is not None for found in plain_rows(lines)] == plain


def test_where_the_bases_context_is_the_limit_it_is_the_catalogs_or_the_folders(
    tmp_path: Path,
) -> None:
    for provider in ("together", "fireworks"):
        assert max_example_tokens("qwen3-8b", provider) == 32_768
        assert max_example_tokens("openai/gpt-oss-20b", provider) == 131_072
        assert max_example_tokens(str(tmp_path), provider) is None
    assert max_example_tokens("gemini-2.5-flash", "google") == 131_072
    assert max_example_tokens("qwen3-8b", "huggingface") is None
    config = tmp_path / "config.json"
    for text in (
        '{"max_position_embeddings": 4096}',
        '{"text_config": {"max_position_embeddings": 4096}}',
    ):
        config.write_text(text)
        assert max_example_tokens(str(tmp_path), "together") == 4096
    for text in ("[1]", "{", '{"max_position_embeddings": "many"}', '{"text_config": 7}'):
        config.write_text(text)
        assert max_example_tokens(str(tmp_path), "together") is None


def test_the_new_code_points_are_27_ranges_of_4699() -> None:
    assert len(RANGES) == 27
    assert sum(high - low + 1 for low, high in RANGES) == 4_699
    assert with_new_code_points(["a", "é", "\u088f", "x\U000323b0", "\U0001f600"]) == [2, 3]
    new = [chr(code) for low, high in RANGES for code in range(low, high + 1)]
    assert all(with_new_code_points(["é🙂तэ字", one]) == [1] for one in new)
    near = "".join(chr(code) for low, high in RANGES for code in (low - 1, high + 1))
    assert with_new_code_points([near]) == []


def test_a_chat_adds_three_tokens_a_message_one_a_name_and_three_for_the_reply() -> None:
    row: dict[str, object] = {
        "messages": [
            {"role": "user", "content": "hi", "name": "bob"},
            {"role": "assistant", "content": "yes", "weight": 0},
            {"role": "assistant", "content": "no"},
        ]
    }
    pieces = list(iter_pieces(row, "o200k_base"))
    assert sum(piece.before for piece in pieces) == 3 * 3 + 1 + 3
    assert [piece.path for piece in pieces if piece.trained] == ["messages[2].content"]
    assert all(piece.exact for piece in pieces)


def test_tools_follow_the_published_formula_and_what_it_leaves_open_is_not_exact() -> None:
    unit: dict[str, Any] = {"type": "string", "enum": ["C", "F"], "description": "U."}
    schema = {"properties": {"unit": unit}}
    tool = {"function": {"name": "f", "description": "Weather.", "parameters": schema}}
    chat = [{"role": "user", "content": "x"}]
    for encoding, per_function in (("o200k_base", 7), ("cl100k_base", 10)):
        pieces = list(iter_pieces({"messages": chat, "tools": [tool]}, encoding))
        tools = [piece for piece in pieces if piece.path.startswith("tools")]
        # properties 3, property 3, enum -3, items 3 each, at the end 12
        assert sum(piece.before for piece in tools) == per_function + 3 + 3 - 3 + 2 * 3 + 12
        texts = sorted(piece.text for piece in tools if piece.text)
        assert texts == ["C", "F", "f:Weather", "unit:string:U"]
        assert all(piece.exact for piece in tools)
    unit["properties"] = {"deep": {"type": "string"}}
    assert not all(p.exact for p in iter_pieces({"messages": chat, "tools": [tool]}, "o200k_base"))


def test_rows_of_other_formats_are_all_their_strings() -> None:
    counter = EstimateCounter("a test")
    found = count_example(counter, {"prompt": "12345678", "completion": "1234", "n": 3})
    assert found == (3, 1, True)
    pair: dict[str, object] = {
        "input": {"messages": [{"role": "user", "content": "hi"}]},
        "preferred_output": [{"role": "assistant", "content": "12345678"}],
    }
    found = count_example(counter, pair)
    assert found.trained == 2
    assert found.total == 2 * 3 + 3 + (1 + 3) + (1 + 2)  # roles and texts, after what a chat adds


def test_a_cut_says_which_answer_loses_how_much() -> None:
    counter = EstimateCounter("a test")
    row: dict[str, object] = {
        "messages": [
            {"role": "user", "content": "12345678"},
            {"role": "assistant", "content": "a" * 40},
        ]
    }
    total = 2 * 3 + 1 + 3 + 2 + 10 + 3  # what begins a message, roles, texts, the reply
    assert counter.cut(row, total).lost_tokens == 0
    cut = counter.cut(row, total - 3 - 4)  # the reply's 3 go first, then 4 of the answer's 10
    assert cut == (10, 4, "messages[1].content", 24)
    assert counter.cut(row, 2).lost_tokens == 10


def test_lines_count_the_same_in_whatever_runs_they_come() -> None:
    counter = EstimateCounter("a test")
    lines = [b'{"messages":[{"role":"user","content":"%s"}]}' % (b"a" * 9 * n) for n in range(40)]
    lines += [b"", b"not JSON", b"[1]", lines[20]]
    whole = Tally()
    cuts = whole.add(lines, counter, 60)
    assert whole.above_limit == len(cuts) > 0
    for size in (1, 7, 43):
        parts = Tally()
        for begin in range(0, len(lines), size):
            part = Tally()
            part.add(lines[begin : begin + size], counter, 60)
            parts.append(part)
        assert parts == whole
    assert whole.max_example_line == 40


def test_check_and_stats_estimate_the_same(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"messages": [{"role": "user", "content": "a" * n}, {"role": "assistant", "content": "é"}]}
        for n in range(1, 20)
    ]
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = {"role": "user", "content": "weather?"}
    rows.append({"messages": [asked, {"role": "assistant", "tool_calls": [call]}]})
    rows[3]["tools"] = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    checked = check([file], providers=["local"]).tokens
    counted = stats(file).tokens
    assert counted.total == checked.total_tokens
    assert counted.longest == checked.max_example_tokens
    unknown = check([file], providers=["local"], counter=counter_for("no-such-model")).tokens
    assert unknown.total_tokens == checked.total_tokens


def test_tools_that_are_no_text_count_nothing_and_stop_nothing() -> None:
    """The decoder leaves definitions as the bytes they are, sound or not."""
    counter = EstimateCounter("a test")
    bad = b'{"messages":[{"role":"user","content":"a"}],"tools":[{"type":"\xff"}]}'
    good = b'{"messages":[{"role":"user","content":"a"}],"tools":[]}'
    found = counter.count_lines([bad, good])
    assert found.total == [0, *counter.count_lines([good]).total]
