"""What another place or trainer knows as preferences can be learnt from on this machine."""

import json
from datetime import date
from pathlib import Path

import pytest
from command_line import Cli
from preference_rows import write_pairs
from tiny_model import write_model

from ftctl.api.migrating import plan_migration
from ftctl.api.submitting import make_spec, preflight
from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.errors import DataInvalid, Unsupported, UsageError
from ftctl.job import Hyperparameters, JobSpec, JobState
from ftctl.store import Store

pytestmark = pytest.mark.medium
DAY = date(2026, 11, 24)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


def test_a_job_of_openai_comes_home_as_it_is(model: Path, tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "pairs.jsonl")
    spec = JobSpec(
        provider="openai",
        model="gpt-4.1-mini",
        data=data,
        data_sha256=file_sha256(data),
        name="colours",
        method="dpo",
        options={"beta": "0.3"},
        hyperparameters=Hyperparameters(epochs=2, learning_rate_multiplier=0.5),
    )
    with Store(load_settings().database_url) as store:
        job = store.add_job(spec, "openai", new=True)
        store.update(job.id, lambda _: {"state": JobState.CANCELLED})
    plan = plan_migration(job.id, to="local", model=str(model), as_of=DAY)
    assert (plan.spec.method, plan.spec.options) == ("dpo", {"beta": "0.3"})
    assert plan.spec.data_sha256 == spec.data_sha256
    assert plan.spec.hyperparameters.epochs == 2
    assert plan.spec.hyperparameters.learning_rate == pytest.approx(1e-5)
    assert (
        "a multiplier of 1 stands for 2e-05"
        in [line.why for line in plan.differences][
            [line.setting for line in plan.differences].index("learning_rate_multiplier")
        ]
    )
    assert plan.quote.cost is not None
    assert plan.quote.cost.high == 0


def test_rows_of_trl_are_refused_with_the_way_and_taken_once_converted(
    model: Path, tmp_path: Path, cli: Cli
) -> None:
    trl = tmp_path / "trl.jsonl"
    rows = [
        {
            "prompt": [{"role": "user", "content": f"Item {n}"}],
            "chosen": [{"role": "assistant", "content": "red"}],
            "rejected": [{"role": "assistant", "content": f"blue {n}"}],
        }
        for n in range(12)
    ]
    trl.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def ask(data: Path, **more: object) -> None:
        spec = make_spec(provider="local", data=data, model=str(model), method="dpo", **more)  # type: ignore[arg-type]
        preflight(spec, settings=load_settings(), as_of=DAY, consent=lambda _: False)

    with pytest.raises(DataInvalid) as refused:
        ask(trl)
    assert "--to openai-dpo" in refused.value.hint
    ours = tmp_path / "ours.jsonl"
    done = cli("data", "convert", trl, "-o", ours, "--to", "openai-dpo")
    assert done.returncode == 0, done.stderr
    ask(ours)
    ask(ours, hyperparameters={"beta": "0.5"})
    with pytest.raises(UsageError, match="beta='3'"):
        ask(ours, hyperparameters={"beta": "3"})
    with pytest.raises(Unsupported, match="can't do method rft; it can do dpo, sft"):
        preflight(
            make_spec(provider="local", data=ours, model=str(model), method="rft"),
            settings=load_settings(),
            as_of=DAY,
            consent=lambda _: False,
        )
