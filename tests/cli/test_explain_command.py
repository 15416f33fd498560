"""`ftctl job` and `ftctl explain` say in plain words what curves show and what went wrong."""

import json
import math
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from command_line import Cli

from ftctl.config import load_settings
from ftctl.job import Hyperparameters, JobEvent, JobRecord, JobSpec, JobState
from ftctl.store import Store

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OVERFIT = [0.9, 0.7, 0.8, 0.95]
SUCCEEDED = (JobState.QUEUED, JobState.SUCCEEDED)


def losses(steps: int = 40) -> list[float]:
    """Falls from 2.5 to 0.5, with a ripple."""
    return [0.5 + 2 * math.exp(-i / 5) + 0.02 * (-1) ** i for i in range(steps)]


def change_to(fields: dict[str, Any], _: JobRecord) -> dict[str, Any]:
    return fields


def make_job(
    states: tuple[JobState, ...],
    provider: str = "local",
    events: tuple[JobEvent, ...] = (),
    **fields: Any,
) -> JobRecord:
    """A job that went through states, in the store."""
    spec = JobSpec(
        provider=provider,
        model="m",
        data=Path("train.jsonl"),
        data_sha256="0",
        name="mails",
        hyperparameters=Hyperparameters(epochs=3),
    )
    with Store(load_settings().database_url) as store:
        record = store.add_job(spec, "one")
        for state in (JobState.UPLOADING, JobState.SUBMITTING, *states):
            move: dict[str, Any] = {"state": state}
            record = store.update(record.id, partial(change_to, move))
        record = store.update(record.id, partial(change_to, {"remote_id": record.id, **fields}))
        store.add_events(record.id, events)
    return record


def run_with(record: JobRecord, home: Path, scores: list[float] | None = None) -> None:
    """The job's run folder, as far as it holds metrics."""
    rows: list[dict[str, object]] = [
        {"kind": "step", "step": i, "loss": loss} for i, loss in enumerate(losses(), 1)
    ]
    rows += [
        {"kind": "validation", "step": 10 * i, "loss": loss}
        for i, loss in enumerate(scores or [], 1)
    ]
    folder = home / "runs" / record.id
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def test_job_shows_what_the_curves_show_and_the_next_command(
    cli: Cli, clean_environment: Path
) -> None:
    record = make_job(SUCCEEDED)
    run_with(record, clean_environment, OVERFIT)
    ran = cli("job", record.id)
    assert ran.returncode == 0, ran.stderr
    shown = ran.stdout
    assert "overfit: The validation loss was best at step 20 (0.7)" in shown
    assert "rule: OpenAI, fine-tuning guide" in shown
    assert f"→ ftctl submit --from {record.id} --set epochs=2" in shown


def test_the_findings_are_an_additional_key_of_the_job_document(
    cli: Cli, clean_environment: Path
) -> None:
    record = make_job(SUCCEEDED)
    run_with(record, clean_environment, OVERFIT)
    document = cli("job", record.id, "--json").json()
    assert document["schema"] == "ftctl.job/1"
    finding = document["diagnosis"][0]
    assert finding["name"] == "overfit"
    assert finding["change"] == [{"setting": "epochs", "before": 3.0, "after": 2.0}]
    assert {"what": "validation loss, best", "value": 0.7, "step": 20} in finding["evidence"]


def test_job_shows_what_was_quoted_and_what_it_came_to(cli: Cli) -> None:
    cost = {"low": 1.0, "likely": 2.0, "high": 3.0, "unit": "USD", "basis": []}
    record = make_job(
        SUCCEEDED,
        "openai",
        estimate={"cost": cost, "time": None, "trained_tokens": cost | {"low": 3.0}},
        actual={"cost_usd": 2.5, "seconds": 65.0},
    )
    lines = [line.strip() for line in cli("job", record.id).stdout.splitlines()]
    rows = dict(line.split(maxsplit=1) for line in lines if "quoted" in line)
    assert rows == {
        "cost": "quoted 1.00 USD to 3.00 USD; was 2.50 USD",
        "time": "quoted unknown; was 1 min 05 s",
        "trained_tokens": "quoted 3",
    }


def test_a_run_that_was_cut_short_is_not_called_healthy(cli: Cli, clean_environment: Path) -> None:
    record = make_job((JobState.RUNNING, JobState.CANCELLED))
    run_with(record, clean_environment)
    assert cli("explain", record.id, "--json").json()["diagnosis"] == []
    other = make_job((JobState.RUNNING, JobState.FAILED))
    run_with(other, clean_environment, OVERFIT)
    told = cli("explain", other.id, "--json").json()["diagnosis"]
    assert [finding["name"] for finding in told] == ["overfit"]


def test_a_vendor_s_metric_events_are_read_alike(cli: Cli) -> None:
    events = tuple(
        JobEvent(
            source_id=f"e{i}",
            at=NOW,
            kind="metrics",
            message=f"Step {i}",
            data={"step": i, "train_loss": 2.0 + 0.001 * (-1) ** i, "valid_loss": None},
        )
        for i in range(1, 31)
    )
    record = make_job(SUCCEEDED, "openai", events, progress={"learning_rate_multiplier": 1.8})
    ran = cli("job", record.id)
    assert "flat: Nothing was learned" in ran.stdout
    assert f"→ ftctl submit --from {record.id} --set learning_rate_multiplier=3.6" in ran.stdout


def test_a_job_that_has_not_begun_has_no_diagnosis(cli: Cli) -> None:
    record = make_job((JobState.QUEUED,))
    assert cli("job", record.id, "--json").json()["diagnosis"] == []


def test_a_damaged_run_folder_costs_only_what_it_held(cli: Cli, clean_environment: Path) -> None:
    record = make_job(SUCCEEDED)
    run_with(record, clean_environment)
    folder = clean_environment / "runs" / record.id
    for name in ("plan.json", "config.json"):
        (folder / name).write_text("{", encoding="utf-8")
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as lines:
        lines.write('{"step": 41, "lo')
    ran = cli("job", record.id)
    assert ran.returncode == 0, ran.stderr
    assert "healthy" in ran.stdout


def test_explain_a_healthy_job(cli: Cli, clean_environment: Path) -> None:
    record = make_job(SUCCEEDED)
    run_with(record, clean_environment)
    ran = cli("explain", record.id)
    assert ran.returncode == 0, ran.stderr
    assert "It succeeded; nothing went wrong." in ran.stdout
    assert "healthy" in ran.stdout
    assert f"→ ftctl fetch {record.id} -o DIR" in ran.stdout


def test_explain_a_failed_job_and_exit_0(cli: Cli) -> None:
    error = {"kind": "exceeded_quota", "message": "over the limit", "hint": ""}
    said = JobEvent(source_id="e1", at=NOW, level="error", message="The job failed")
    record = make_job((JobState.QUEUED, JobState.FAILED), "openai", (said,), error=error)
    ran = cli("explain", record.id)
    assert ran.returncode == 0, ran.stderr
    for words in ("It failed (quota)", "over the limit", "The job failed", "--from"):
        assert words in ran.stdout
    told = cli("explain", record.id, "--json").json()
    assert told["schema"] == "ftctl.explanation/1"
    assert told["healthy"] is False
    assert (told["fault"]["word"], told["fault"]["kind"]) == ("quota", "exceeded_quota")
    assert told["diagnosis"] == []
    assert told["next"] == told["fault"]["next"]
    assert [line["message"] for line in told["log"]] == ["The job failed"]


def test_explain_says_how_fresh_it_is(cli: Cli) -> None:
    record = make_job((JobState.RUNNING,), "openai", stale_because="OpenAI answered 503")
    ran = cli("explain", record.id)
    assert "not seen since: OpenAI answered 503" in ran.stdout
    assert f"→ ftctl job {record.id} --refresh" in ran.stdout


def test_explain_a_job_whose_provider_is_no_longer_installed(cli: Cli) -> None:
    record = make_job((JobState.RUNNING,), "acme")
    ran = cli("explain", record.id)
    assert ran.returncode == 0, ran.stderr
    assert "not_enough_metrics" in ran.stdout


@pytest.mark.parametrize("verb", ["explain", "job"])
def test_an_unknown_job_is_told_by_both(cli: Cli, verb: str) -> None:
    ran = cli(verb, "job-nothing")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "no job job-nothing" in ran.stderr
