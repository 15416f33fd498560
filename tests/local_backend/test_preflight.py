"""What a run looks at before its first step, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_model import TEMPLATE
from training_runs import run_of, settings, steps_of, watch

from ftctl.datasets.render import Tokenizer, load_tokenizer
from ftctl.errors import DataInvalid, JobFailed, Unsupported, UsageError
from ftctl.local_backend.data import load_examples
from ftctl.local_backend.divergence import has_diverged
from ftctl.local_backend.model import load_base
from ftctl.local_backend.preflight import check_examples
from ftctl.local_backend.run_options import options_of
from ftctl.local_backend.trackers import trackers_of
from ftctl.local_backend.train import train

pytestmark = [pytest.mark.medium, pytest.mark.timeout(600)]


def told(run: Any) -> list[str]:
    return [row["message"] for row in run.rows(run.events_file)]


def with_template(model: Path, template: str) -> Tokenizer:
    tokenizer: Any = load_tokenizer(model)
    tokenizer.chat_template = template
    return tokenizer  # type: ignore[no-any-return]


def test_a_run_says_what_it_checked(tmp_path: Path, tiny_model: Path, data: Path) -> None:
    run, config = run_of(tmp_path, tiny_model, data, settings(max_steps=1))
    train(config, run, watch())
    (checked,) = [message for message in told(run) if message.startswith("checked: ")]
    assert "24 of 24 answers end in a stop token" in checked
    assert "24 prompts are served in the tokens they are trained in" in checked
    assert "the heaviest micro-batch fits (8 examples" in checked


def test_answers_without_a_stop_token_are_refused(tiny_model: Path, data: Path) -> None:
    tokenizer = with_template(tiny_model, TEMPLATE.replace("<|im_end|>", ""))
    examples = load_examples(data, tokenizer, 512).examples
    with pytest.raises(DataInvalid, match=r"line 1: the last token .* would never learn to stop"):
        check_examples(examples, tokenizer, frozenset({1}))


def test_a_prompt_that_is_served_in_other_tokens_is_refused(tiny_model: Path, data: Path) -> None:
    trained = load_tokenizer(tiny_model)
    examples = load_examples(data, trained, 512).examples
    served = with_template(tiny_model, TEMPLATE.replace("{{ m.role }}", "{{ m.role|upper }}"))
    with pytest.raises(DataInvalid, match=r"line \d+: served, the prompt has 'SYSTEM"):
        check_examples(examples, served, frozenset({1}))


def test_a_gradient_of_zero_is_refused(tmp_path: Path, tiny_model: Path, data: Path) -> None:
    import torch

    dead = tmp_path / "dead"
    model = load_base(tiny_model, torch.float32, "cpu")
    with torch.no_grad():
        model.model.norm.weight.zero_()  # whatever comes before it, all logits are equal
    model.save_pretrained(dead)
    load_tokenizer(tiny_model).save_pretrained(dead)  # type: ignore[attr-defined]
    run, config = run_of(tmp_path, dead, data, settings())
    with pytest.raises(JobFailed, match=r"gradient of the longest examples is 0 .*lines \d+"):
        train(config, run, watch())
    assert steps_of(run) == []


def test_too_much_that_is_too_long_is_refused_unless_allowed(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    for row in rows[:6]:
        row["messages"][1]["content"] += " indeed" * 40
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run, config = run_of(tmp_path, tiny_model, data, settings(max_steps=1, max_length=200))
    with pytest.raises(
        DataInvalid, match=r"% of the tokens stand in examples that are too long"
    ) as e:
        train(config, run, watch())
    assert "6 of 24 examples left out, longer than 200 tokens" in e.value.message
    allowed = e.value.hint.rpartition("--set ")[2]
    name, _, value = allowed.partition("=")
    train(config.model_copy(update={"options": {name: value}}), run, watch())
    assert len(steps_of(run)) == 1


def test_it_stops_early_when_validation_gets_no_better(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    chosen = settings(learning_rate=1e-30, max_steps=40, checkpoint_steps=1)
    run, config = run_of(tmp_path, tiny_model, data, chosen)
    update = {"validation": data, "validation_sha256": config.data_sha256}
    config = config.model_copy(update={**update, "options": {"early_stopping": "3"}})
    done = train(config, run, watch())
    assert 3 < done.step < 40
    assert done.step == done.best_step + 3
    assert any(f"stopped at step {done.step}: no validation since" in said for said in told(run))
    again = train(config, run, watch())  # a resumed one sees that it was over
    assert again.step == done.step


def test_a_loss_that_runs_away_stops_with_the_worst_lines(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    known, config = run_of(
        tmp_path,
        tiny_model,
        data,
        settings(max_steps=60, learning_rate=1e-2),
        "known",
        tuning="full",
    )
    train(config, known, watch())
    chosen = settings(learning_rate=0.9, max_steps=60, checkpoint_steps=5)
    run, config = run_of(tmp_path, known.output, data, chosen)
    with pytest.raises(JobFailed, match=r"diverged: .* worst in the last one: lines \d+ \(") as e:
        train(config, run, watch())
    assert "--set learning_rate=0.225" in e.value.hint
    losses = [row["loss"] for row in steps_of(run)]
    assert len(losses) < 60
    assert min(losses[-8:]) > losses[0] + 2
    with pytest.raises(JobFailed, match="diverged"):  # a resumed one comes to the same
        train(config, run, watch())
    assert [row["loss"] for row in steps_of(run)] == losses


def test_one_bad_step_is_no_divergence() -> None:
    assert not has_diverged([2.0, *[9.0] * 7])
    assert not has_diverged([2.0, *[9.0] * 7, 3.9])
    assert has_diverged([2.0, 1.0, *[9.0] * 7, 4.1])


@pytest.mark.parametrize(
    ("option", "said"),
    [("processes", "0"), ("packing", "perhaps"), ("keep_checkpoints", "none"), ("unknown", "1")],
)
def test_an_option_out_of_range_names_what_is_meant(option: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"{option}='{said}'") as caught:
        options_of("sft", {option: said})
    assert caught.value.hint


def test_an_unknown_tracker_and_one_that_is_not_installed() -> None:
    with pytest.raises(UsageError, match="track='excel'"):
        trackers_of("excel")
    with pytest.raises(Unsupported, match="needs the package") as caught:
        trackers_of("trackio")
    assert caught.value.hint == "pip install trackio"
