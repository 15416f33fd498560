"""Lines that the rules let pass with a warning don't stop a run: they are left out, and named."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from tiny_model import write_family
from training_runs import run_of, settings, watch

from ftctl.admission import require_valid
from ftctl.datasets.digest import file_sha256
from ftctl.datasets.render import load_tokenizer
from ftctl.errors import DataInvalid, UsageError
from ftctl.job import JobSpec
from ftctl.local_backend.data import load_examples, longest_taken
from ftctl.local_backend.train import train

pytestmark = pytest.mark.medium


def line(answer: str = "4", question: str = "2+2?", **more: Any) -> bytes:
    asked = {"role": "user", "content": question}
    said = {"role": "assistant", "content": answer, **more}
    return json.dumps({"messages": [asked, said]}).encode() + b"\n"


def test_lines_that_train_nothing_are_left_out_and_named(tmp_path: Path, tiny_model: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(
        line() + line(weight=0) + b"\n" + line("long " * 80) + line(weight=False) + line("5")
    )
    tokenizer = load_tokenizer(tiny_model)
    loaded = load_examples(file, tokenizer, 128)
    assert [example.line for example in loaded.examples] == [1, 6]
    longest = len(load_examples(file, tokenizer, 10_000).examples[1].rendered.ids)
    assert loaded.remarks == [
        f"1 of 5 examples left out, longer than 128 tokens (--set max_length={longest} keeps "
        "them): lines 4",
        "2 of 5 examples left out, without a token to train on: lines 2, 5",
    ]
    assert load_examples(file, tokenizer, longest).remarks == loaded.remarks[1:]


def test_only_a_file_of_which_nothing_is_left_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(line(weight=0) * 12)
    with pytest.raises(DataInvalid) as caught:
        load_examples(file, load_tokenizer(tiny_model), 128)
    assert caught.value.message == (
        f"{file}: no example to train on: 12 of 12 examples left out, without a token to train "
        "on: lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"
    )


def test_no_example_is_longer_than_a_model_s_table_of_positions(tmp_path: Path, data: Path) -> None:
    """Behind its end the lookup fails, on a GPU with words that nobody understands."""
    with_table = write_family(tmp_path / "gpt2", "gpt2", max_position_embeddings=120)
    assert longest_taken(with_table, None) == 120
    assert longest_taken(with_table, 64) == 64
    with pytest.raises(UsageError, match="max_length=121: gpt2 has a table of 120 positions"):
        longest_taken(with_table, 121)
    computed = write_family(tmp_path / "llama", "llama", max_position_embeddings=120)
    assert longest_taken(computed, None) == 120
    assert longest_taken(computed, 4096) == 4096
    data.write_bytes(data.read_bytes() + line("long " * 40))
    few = settings(max_steps=2)
    run, config = run_of(tmp_path, with_table, data, few, options={"max_left_out": "1"})
    assert train(config, run, watch()).step == 2
    told = [row["message"] for row in run.rows(run.events_file)]
    assert any("1 of 25 examples left out, longer than 120 tokens" in said for said in told)


def test_whatever_submit_lets_pass_is_loaded(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "datasets")
    rows = importlib.import_module("test_check_table").ROWS
    tokenizer = load_tokenizer(tiny_model)
    file = tmp_path / "x.jsonl"
    passed = set()
    for rule, *_, row in rows:
        odd = row if isinstance(row, bytes) else json.dumps(row).encode()
        good = b"".join(line(question=f"question {i}?") for i in range(12))
        file.write_bytes(good + odd + b"\n")
        spec = JobSpec(
            provider="local",
            model=str(tiny_model),
            data=file,
            data_sha256=file_sha256(file),
            name="n",
        )
        try:
            require_valid(spec, "local")
        except DataInvalid:
            continue
        passed.add(rule)
        assert len(load_examples(file, tokenizer, 2048).examples) >= 12, rule
    assert {"no-trained-token", "too-long", "weight", "tools-type", "tool-arguments"} <= passed
