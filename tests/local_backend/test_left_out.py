"""Lines that the rules let pass with a warning don't stop a run: they are left out, and named."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from ftctl.admission import require_valid
from ftctl.datasets.digest import file_sha256
from ftctl.datasets.render import load_tokenizer
from ftctl.errors import DataInvalid
from ftctl.job import JobSpec
from ftctl.local_backend.data import load_examples

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
