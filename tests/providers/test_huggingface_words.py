"""What Hugging Face Jobs say, in our words."""

from datetime import UTC, datetime, timedelta

import pytest

from ftctl.job import JobState
from ftctl.providers.huggingface import wire as wire
from ftctl.providers.huggingface.connection import LogLine

AT = datetime(2026, 11, 24, 10, tzinfo=UTC)


def job(stage: str, message: str | None = None, seconds: float | None = None) -> wire.Job:
    return wire.Job(
        id="1",
        status=wire.Status(stage=stage, message=message),
        durations=wire.Durations(runningSecs=seconds),
    )


def lines(*texts: str) -> list[LogLine]:
    return [LogLine(AT + timedelta(seconds=n), text) for n, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("stage", "state"),
    [
        ("SCHEDULING", JobState.QUEUED),
        ("RUNNING", JobState.RUNNING),
        ("COMPLETED", JobState.SUCCEEDED),
        ("ERROR", JobState.FAILED),
        ("CANCELED", JobState.CANCELLED),
        ("DELETED", JobState.FAILED),
    ],
)
def test_each_stage_is_the_state_that_the_table_says(stage: str, state: JobState) -> None:
    assert wire.snapshot_of(job(stage), "me/model@1", None).state is state


@pytest.mark.medium
def test_every_stage_that_the_sdk_knows_is_mapped() -> None:
    from huggingface_hub import JobStage

    assert set(wire.STATUS) == {stage.value for stage in JobStage}


@pytest.mark.medium
def test_the_stages_that_end_a_job_are_the_sdks() -> None:
    from huggingface_hub._jobs_api import TERMINAL_JOB_STAGES

    ended = {stage for stage, state in wire.STATUS.items() if state.terminal}
    assert ended == {stage.value for stage in TERMINAL_JOB_STAGES}


def test_a_new_stage_decides_nothing() -> None:
    seen = wire.snapshot_of(job("PONDERING"), None, None)
    assert (seen.state, seen.provider_status) == (None, "PONDERING")


def test_completed_without_a_repository_names_no_model() -> None:
    seen = wire.snapshot_of(job("COMPLETED"), None, None)
    assert (seen.state, seen.fine_tuned_model) == (JobState.SUCCEEDED, None)  # the core: failed


def test_a_job_that_ran_out_of_time_says_how_to_give_it_more() -> None:
    error = wire.snapshot_of(job("ERROR", "Job timeout"), None, None).error
    assert error is not None
    assert error["message"] == "Job timeout"
    assert "max_minutes" in error["hint"]


def test_a_bill_is_by_the_minute_that_was_begun() -> None:
    from ftctl.catalog.load import load_catalog

    machine = next(row for row in load_catalog().hardware if row.name == "t4-small")
    seen = wire.snapshot_of(job("ERROR", seconds=61.0), None, machine)
    assert seen.progress["cost_usd"] == pytest.approx(2 * machine.usd_per_hour / 60)
    assert "cost_usd" not in wire.snapshot_of(job("RUNNING", seconds=61.0), None, machine).progress


@pytest.mark.parametrize(
    "text",
    [
        "{'loss': 1.5, 'grad_norm': 0.25, 'learning_rate': 2e-04, 'epoch': 0.5}",
        "{'loss': '1.5', 'epoch': '0.5'}",
        '{"step": 3, "total_steps": 8, "loss": 1.5}',
    ],
)
def test_a_line_with_a_loss_is_a_metric(text: str) -> None:
    (event,) = wire.events_of(lines(text))
    assert event.kind == "metrics"
    assert event.data["loss"] == 1.5
    assert event.message == "loss 1.5"


def test_the_loss_on_validation_stands_under_our_name() -> None:
    (event,) = wire.events_of(lines("{'eval_loss': 2.25, 'eval_runtime': 3.0}"))
    assert event.data["valid_loss"] == 2.25


@pytest.mark.parametrize(
    "text", ["{", "{}", "{'a': __import__('os')}", "{1}", "loss: 1.5", "{'x': 1" + "0" * 400 + "}"]
)
def test_other_lines_are_told_as_they_are(text: str) -> None:
    (event,) = wire.events_of(lines(text))
    assert (event.kind, event.message, event.data) == ("message", text, {})


def test_what_a_job_prints_moves_no_cursor() -> None:
    (event,) = wire.events_of(lines("\x1b[2Jgone\u202e"))
    assert event.message == "[2Jgone"


def test_lines_are_numbered_as_they_are_told() -> None:
    events = list(wire.events_of(lines("===== Job started at", "", "one", "two")))
    assert [(e.source_id, e.message) for e in events] == [("line-1", "one"), ("line-2", "two")]


def test_times_never_go_back() -> None:
    back = [LogLine(AT, "one"), LogLine(AT - timedelta(hours=1), "two")]
    assert [event.at for event in wire.events_of(back)] == [AT, AT]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("My Job! (v2)", "my-job-v2"), ("---", "job"), ("ä/../b", "b"), ("x" * 99, "x" * 60)],
)
def test_a_name_becomes_what_labels_may_hold(text: str, wanted: str) -> None:
    assert wire.slug(text) == wanted


@pytest.mark.parametrize("text", ["..", ".", "", "a/b", "a?b", "a b", "a\n", "é"])
def test_what_is_no_part_of_a_path_isnt_asked_for(text: str) -> None:
    assert not wire.is_part(text)
