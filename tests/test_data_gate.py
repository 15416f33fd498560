"""What `submit` asks of the data: each method's rules, and what the trainer itself can read."""

import json
from pathlib import Path
from typing import Any

import pytest
from rule_rows import SAYS, USER, WORSE, Row, chat, pair

from ftctl.admission import require_valid
from ftctl.errors import DataInvalid
from ftctl.job import JobSpec, Method

pytestmark = pytest.mark.medium  # the check of a file reads what counts tokens


def spec(folder: Path, rows: list[Row], method: Method, **more: Any) -> JobSpec:
    data = folder / "train.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    fields = {"provider": "openai", "model": "gpt-4.1-mini", "name": "a"} | more
    return JobSpec(data=data, data_sha256="0" * 64, method=method, **fields)


def asked(i: int) -> Row:
    return {**USER, "content": f"What is {i}?"}


GOOD_PAIRS = [pair(asked(i)) for i in range(12)]
GOOD_PROMPTS = [chat(asked(i), answer=str(i)) for i in range(12)]


def test_good_pairs_and_prompts_pass(tmp_path: Path) -> None:
    for dialect in ("openai", "azure", "together", "fireworks", "huggingface"):
        assert require_valid(spec(tmp_path, GOOD_PAIRS, "dpo"), dialect).examples == 12
    for dialect in ("openai", "azure", "bedrock"):
        assert require_valid(spec(tmp_path, GOOD_PROMPTS, "rft"), dialect).examples == 12


def test_a_pair_that_one_vendor_refuses_is_refused_for_that_vendor(tmp_path: Path) -> None:
    rows = [*GOOD_PAIRS, pair(asked(99), rejected=[WORSE, {**SAYS, "content": "6"}])]
    job = spec(tmp_path, rows, "dpo")
    assert require_valid(job, "openai").ok
    with pytest.raises(DataInvalid, match=r"train.jsonl:13 non_preferred_output.*dpo-one") as told:
        require_valid(job, "together")
    assert "--for together --method dpo" in told.value.hint


def test_the_graders_fields_are_part_of_the_gate(tmp_path: Path) -> None:
    grader = json.dumps({"type": "string_check", "input": "", "reference": "{{item.answr}}"})
    job = spec(tmp_path, GOOD_PROMPTS, "rft", options={"grader": grader})
    with pytest.raises(DataInvalid, match=r"train.jsonl:1 answr.*rft-grader-field"):
        require_valid(job, "openai")


@pytest.mark.parametrize(
    ("method", "row"),
    [
        ("sft", {"prompt": "2+2?", "completion": "4"}),
        ("dpo", {"prompt": "2+2?", "chosen": "4", "rejected": "5"}),
    ],
)
def test_what_only_trl_reads_is_refused_with_the_way_to_convert_it(
    method: Method, row: Row, tmp_path: Path
) -> None:
    with pytest.raises(DataInvalid, match=r"train.jsonl:1: not a") as told:
        require_valid(spec(tmp_path, [row] * 2, method), "huggingface")
    assert "ftctl data convert" in told.value.hint
