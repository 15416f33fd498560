"""A job explained: its state, what went wrong, and what to do next."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ftctl.diagnosis.explanation import explain_record, submit_again
from ftctl.diagnosis.types import Change, Finding
from ftctl.job import JobEvent, JobRecord, JobSpec, JobState

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OVERFIT = Finding(
    name="overfit",
    sentence="by heart",
    change=(Change(setting="epochs", before=3, after=2),),
    source="our choice",
)
FEW = Finding(name="too_few_examples", sentence="few", source="our choice")


def record(state: JobState, **fields: Any) -> JobRecord:
    spec = JobSpec(
        provider="openai", model="m", data=Path("my train.jsonl"), data_sha256="0", name="mails"
    )
    whole: dict[str, Any] = {
        "id": "job-abcdefghjk",
        "name": "mails",
        "provider": "openai",
        "base_url": None,
        "remote_id": "ftjob-1",
        "marker": "job-abcdefghjk",
        "state": state,
        "provider_status": None,
        "message": "",
        "model": "m",
        "method": "sft",
        "fine_tuned_model": None,
        "attempt": 1,
        "created_at": NOW,
        "observed_at": NOW,
        "stale_because": None,
        "estimate": None,
        "actual": None,
        "progress": {},
        "error": None,
        "spec": spec,
    }
    return JobRecord(**whole | fields)


def test_a_failure_has_its_word_its_meaning_and_commands_that_can_be_copied() -> None:
    error = {"kind": "invalid_training_file", "message": "line 3 is no chat", "hint": ""}
    told = explain_record(record(JobState.FAILED, error=error), [], [])
    assert told.fault is not None
    assert (told.fault.word, told.fault.message) == ("data", "line 3 is no chat")
    assert "(data)" in told.summary
    assert told.next[0] == "ftctl data check 'my train.jsonl' --for openai"
    assert not told.healthy


def test_a_code_nobody_knows_is_named_and_not_guessed() -> None:
    error = {"kind": "strange_new_code", "message": "no credit, no data", "hint": ""}
    told = explain_record(record(JobState.FAILED, error=error), [], [])
    assert told.fault is not None
    assert told.fault.word is None
    assert "strange_new_code" in told.summary


@pytest.mark.parametrize(
    ("state", "healthy", "first"),
    [
        (JobState.RUNNING, True, "ftctl watch job-abcdefghjk"),
        (JobState.SUCCEEDED, True, "ftctl chat job-abcdefghjk PROMPT"),
        (JobState.SUBMITTING, True, "ftctl jobs reconcile"),
        (JobState.NEEDS_ATTENTION, False, "look at the provider for job-abcdefghjk"),
        (JobState.LOST, False, "ftctl job job-abcdefghjk --refresh"),
        (JobState.CANCELLED, False, "ftctl logs job-abcdefghjk"),
        (JobState.FAILED, False, "ftctl logs job-abcdefghjk"),
    ],
)
def test_every_state_says_what_to_do(state: JobState, healthy: bool, first: str) -> None:
    told = explain_record(record(state), [], [])
    assert (told.healthy, told.next[0]) == (healthy, first)
    assert told.fault is None


@pytest.mark.parametrize("state", list(JobState))
def test_no_state_is_left_out(state: JobState) -> None:
    told = explain_record(record(state), [], [])
    assert told.summary
    assert told.next


def test_a_stale_job_is_not_called_well() -> None:
    told = explain_record(record(JobState.RUNNING, stale_because="no answer"), [], [])
    assert not told.healthy
    assert "when last seen" in told.summary
    assert told.next[0] == "ftctl job job-abcdefghjk --refresh"


def test_an_older_attempt_s_error_is_no_fault_of_a_job_that_runs() -> None:
    told = explain_record(record(JobState.RUNNING, error={"kind": "bug", "message": "x"}), [], [])
    assert told.fault is None


def test_what_keeps_a_job_from_its_provider_is_told_and_makes_no_second_one() -> None:
    error = {"kind": "auth_error", "message": "OpenAI answered 401", "hint": ""}
    told = explain_record(record(JobState.SUBMITTING, error=error), [], [])
    assert told.summary.startswith("Not at openai yet (auth)")
    assert told.next == ("ftctl doctor", "ftctl jobs reconcile")
    assert not told.healthy


def test_a_failed_run_is_resumed_where_it_can_be() -> None:
    killed = record(JobState.FAILED, error={"kind": "killed", "message": "", "hint": ""})
    assert explain_record(killed, [], [], can_resume=True).next == ("ftctl resume job-abcdefghjk",)
    assert explain_record(killed, [], []).next == ("ftctl submit --from job-abcdefghjk",)


def test_a_stopped_job_goes_on_where_its_provider_can() -> None:
    stopped = record(JobState.CANCELLED)
    assert "ftctl resume job-abcdefghjk" in explain_record(stopped, [], [], can_resume=True).next
    assert "ftctl submit --from job-abcdefghjk" in explain_record(stopped, [], []).next


def test_the_first_change_is_the_next_command() -> None:
    told = explain_record(record(JobState.SUCCEEDED), [FEW, OVERFIT], [])
    assert told.next[-1] == "ftctl submit --from job-abcdefghjk --set epochs=2"
    assert submit_again("job-1", [FEW]) is None
    assert submit_again("job-1", []) is None


def test_the_log_ends_with_the_last_words_and_holds_no_metrics() -> None:
    said = [
        JobEvent(source_id=str(n), at=NOW, message=f"line {n}", kind=kind)
        for n in range(10)
        for kind in ("message", "metrics", "state")
    ]
    told = explain_record(record(JobState.RUNNING), [], said)
    assert [line.message for line in told.log] == [f"line {n}" for n in range(5, 10)]
