"""The card and the record of a finished run: adapter or whole model, system prompts, vLLM."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from training_runs import run_of, settings

from ftctl.datasets.render import load_tokenizer
from ftctl.job import Hyperparameters
from ftctl.local_backend.checkpoint import Progress
from ftctl.local_backend.model import add_adapter, load_base
from ftctl.local_backend.output import (
    SystemPrompts,
    is_whole,
    system_prompts_of,
    write_output,
)
from ftctl.local_backend.plan import Plan


@pytest.mark.parametrize(
    ("prompts", "known", "words"),
    [
        ([], SystemPrompts(), "not recorded"),
        ([None, None], SystemPrompts(share=1.0), "none"),
        (["a|b\nc"] * 3, SystemPrompts(distinct=1, most_common="a|b\nc", share=1.0), "100% of the"),
        (["a", "a", "b", None], SystemPrompts(distinct=2, most_common="a", share=0.5), ": a"),
        ([None, None, "a"], SystemPrompts(distinct=1, share=2 / 3), "none in 67%"),
    ],
)
def test_system_prompts_are_counted(
    prompts: list[str | None], known: SystemPrompts, words: str
) -> None:
    assert system_prompts_of(prompts) == known
    assert words in known.in_words()
    assert "\n" not in known.in_words()


def plan() -> Plan:
    fields: dict[str, Any] = {"total_steps": 6, "steps_reason": "max_steps=6"}
    known = Plan.model_fields
    given = {
        name: fields.get(name, "float32" if name == "dtype" else "x" if of.annotation is str else 1)
        for name, of in known.items()
        if of.is_required()
    }
    return Plan.model_construct(**given)


def written(tmp_path: Path, tiny: Path, data: Path, model: Any) -> Path:
    run, config = run_of(tmp_path, tiny, data, settings())
    tokenizer = load_tokenizer(tiny)
    at = Progress(step=6)
    write_output(run, config, plan(), at, model, tokenizer, tiny, system_prompts=["Be brief."])
    assert is_whole(run.output)
    return run.output


@pytest.mark.medium
@pytest.mark.parametrize(("rank", "more"), [(8, None), (16, None), (17, "32"), (200, "256")])
def test_vllm_is_told_a_rank_that_it_takes(
    tmp_path: Path, tiny_model: Path, data: Path, rank: int, more: str | None
) -> None:
    import torch

    base = load_base(tiny_model, torch.float32, "cpu")
    folder = written(
        tmp_path, tiny_model, data, add_adapter(base, Hyperparameters(lora_r=rank, last_layers=1))
    )
    card = (folder / "README.md").read_text("utf-8")
    line = next(line for line in card.splitlines() if line.startswith("vllm serve"))
    words = shlex.split(line)
    assert words[:5] == ["vllm", "serve", str(tiny_model), "--enable-lora", "--lora-modules"]
    assert words[5:] == ["test=."] + (["--max-lora-rank", more] if more else [])
    assert "| system prompt | 100% of the examples: Be brief. |" in card
    said = json.loads((folder / "run.json").read_bytes())["system_prompts"]
    assert said == {"distinct": 1, "most_common": "Be brief.", "share": 1.0}


@pytest.mark.medium
def test_full_fine_tuning_leaves_a_whole_model(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    import torch

    folder = written(tmp_path, tiny_model, data, load_base(tiny_model, torch.float32, "cpu"))
    card = (folder / "README.md").read_text("utf-8")
    assert "no adapter" in card
    assert "library_name: transformers" in card
    assert "vllm serve ." in card.splitlines()
    assert json.loads((folder / "config.json").read_bytes())["model_type"] == "llama"
    assert load_base(folder, torch.float32, "cpu").config.num_hidden_layers == 3
