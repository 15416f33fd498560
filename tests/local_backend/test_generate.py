"""Answers in batches are the answers one by one, and those of transformers' own loop."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_model import write_family

from ftctl.datasets.render import load_tokenizer, prompt_text
from ftctl.errors import UsageError
from ftctl.local_backend.chat import load_model
from ftctl.local_backend.generate import common_prefix, generate
from ftctl.local_backend.model import adapter_base, load_base

# Seconds each on an idle machine; a busy one must not fail them.
pytestmark = [pytest.mark.medium, pytest.mark.timeout(600)]

QUESTIONS = ("short", "a question of middling length", "another one, a good deal longer than these")


def prompts(model: Path) -> list[list[int]]:
    tokenizer = load_tokenizer(model)
    texts = [prompt_text(tokenizer, [{"role": "user", "content": q}]) for q in QUESTIONS]
    return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("llama", {}),
        # Padding between a short prompt and its answer would push the prompt out of sight.
        ("mistral", {"sliding_window": 16}),
        ("falcon_h1", {}),  # it hands a state on
    ],
)
def test_a_batch_gives_what_transformers_gives_one_by_one(
    kind: str, more: dict[str, Any], tmp_path: Path
) -> None:
    import torch

    folder = write_family(tmp_path / "model", kind, **more)
    model = load_base(folder, torch.float32, "cpu").eval()
    asked = prompts(folder)
    assert common_prefix(asked) > 5
    together = generate(model, asked, stop_ids=frozenset({1}), max_new_tokens=12)
    for prompt, answer in zip(asked, together, strict=True):
        alone = model.generate(
            torch.tensor([prompt]), max_new_tokens=12, do_sample=False, eos_token_id=1
        )[0, len(prompt) :].tolist()
        assert answer == [token for token in alone if token != 1]
        assert generate(model, [prompt], stop_ids=frozenset({1}), max_new_tokens=12) == [answer]


def test_a_stop_token_ends_one_row_and_not_the_others(tiny_model: Path) -> None:
    import torch

    model = load_base(tiny_model, torch.float32, "cpu").eval()
    asked = prompts(tiny_model)
    free = generate(model, asked, stop_ids=frozenset(), max_new_tokens=12)
    stop = free[0][3]
    stopped = generate(model, asked, stop_ids=frozenset({stop}), max_new_tokens=12)
    for row, answer in zip(free, stopped, strict=True):
        assert answer == (row[: row.index(stop)] if stop in row else row)
    assert len(stopped[0]) <= 3


def test_chat_shows_the_answer_as_it_grows(tiny_model: Path, tmp_path: Path) -> None:
    model = load_model(tiny_model, tmp_path)
    pieces: list[str] = []
    messages = [{"role": "user", "content": "hello"}]
    answer = model.chat(messages, max_new_tokens=20, on_text=pieces.append)
    assert answer.startswith("".join(pieces))
    assert model.answer([messages], max_new_tokens=20) == [answer]


def test_an_adapter_whose_base_was_converted_elsewhere_is_found_by_its_name(
    tmp_path: Path,
) -> None:
    gone = {"base_model_name_or_path": str(tmp_path / "gone" / "cache")}
    (tmp_path / "adapter_config.json").write_text(json.dumps(gone), encoding="utf-8")
    with pytest.raises(UsageError, match=r"run\.json: can't tell"):
        adapter_base(tmp_path)
    run = {"config": {"model": "smollm2-135m-instruct"}}
    (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    assert adapter_base(tmp_path) == "smollm2-135m-instruct"
