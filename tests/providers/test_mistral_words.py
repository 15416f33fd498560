"""What Mistral's wire says, in our words: every word of its enum, and what events may hold."""

from typing import Any

import pytest
from pydantic import ValidationError

from ftctl.fault_words import FaultWord, word_kept
from ftctl.job import JobState
from ftctl.providers.mistral import wire as wire

# The enum of the OpenAPI file that still had the job paths, with the state that the research of
# peers gives each.
STATUS = {
    "QUEUED": JobState.QUEUED,
    "STARTED": JobState.QUEUED,
    "VALIDATING": JobState.VALIDATING,
    "VALIDATED": JobState.PAUSED,
    "RUNNING": JobState.RUNNING,
    "FAILED_VALIDATION": JobState.FAILED,
    "FAILED": JobState.FAILED,
    "SUCCESS": JobState.SUCCEEDED,
    "CANCELLED": JobState.CANCELLED,
    "CANCELLATION_REQUESTED": JobState.CANCELLING,
}


def job(status: str, **fields: Any) -> wire.Job:
    return wire.Job.model_validate({"id": "j-1", "status": status, "auto_start": False, **fields})


@pytest.mark.parametrize("word", STATUS)
def test_each_status_is_the_state_that_the_table_says(word: str) -> None:
    seen = wire.snapshot_of(job(word, fine_tuned_model="ft:x"))
    assert (seen.state, seen.provider_status) == (STATUS[word], word)
    assert (seen.fine_tuned_model is None) == (word != "SUCCESS")
    assert (seen.error is None) == (STATUS[word] is not JobState.FAILED)
    assert STATUS.keys() == wire.STATUS.keys()


def test_a_validated_job_that_starts_by_itself_is_queued() -> None:
    for auto_start in (True, None):
        assert job("VALIDATED", auto_start=auto_start).state is JobState.QUEUED


def test_a_new_word_is_no_guess_and_no_crash() -> None:
    seen = wire.snapshot_of(job("MERGING"))
    assert (seen.state, seen.provider_status) == (None, "MERGING")
    assert "MERGING" in seen.message


@pytest.mark.parametrize(
    ("word", "fault"),
    [
        ("FAILED_VALIDATION", FaultWord.DATA),
        ("FAILED", FaultWord.CAPACITY),
    ],
)
def test_whose_fault_a_failure_is(word: str, fault: FaultWord) -> None:
    error = wire.snapshot_of(job(word)).error
    assert error is not None
    assert word_kept(error) is fault
    assert "no reason" in error["message"]


def test_the_reason_of_a_failure_stands_in_its_newest_event() -> None:
    events = [
        {"name": "e", "created_at": 3, "data": {"error": "too\x1b[31m long"}},
        {"name": "e", "created_at": 2, "data": {"error": "an older one"}},
        {"name": "status-updated", "created_at": 4, "data": {"status": "FAILED"}},
    ]
    assert wire.snapshot_of(job("FAILED", events=events)).message == "too[31m long"


def test_a_step_beyond_all_measure_is_no_answer() -> None:
    with pytest.raises(ValidationError):
        job("RUNNING", checkpoints=[{"step_number": 10**400}])


def test_events_and_measures_come_in_order_with_ids_of_their_own() -> None:
    twice = {"name": "status-updated", "created_at": 5, "data": {"status": "RUNNING"}}
    measured = {
        "metrics": {"train_loss": 0.5, "valid_loss": None},
        "step_number": 10,
        "created_at": 4,
    }
    odd = {"name": "x", "created_at": 1e30, "data": {"rows": [1], "n": 2, "ok": True}}
    told = wire.events_of(job("RUNNING", events=[twice, twice, odd], checkpoints=[measured]))
    assert len({event.source_id for event in told}) == 4
    assert [event.kind for event in told] == ["message", "metrics", "message", "message"]
    assert told[0].data == {"n": 2, "ok": True}  # a time out of all bounds is no time
    assert told[1].data == {"step": 10, "loss": 0.5}
    assert told[2].message == "status-updated: RUNNING"


def test_a_quote_keeps_its_own_currency() -> None:
    in_euros = {"cost": 12.3, "cost_currency": "EUR", "expected_duration_seconds": 3600}
    seen = wire.snapshot_of(job("VALIDATED", metadata=in_euros))
    assert "12.30 EUR, 60 minutes" in seen.message
    assert "estimated_usd" not in seen.progress
    in_dollars = in_euros | {"cost_currency": "USD"}
    assert wire.snapshot_of(job("QUEUED", metadata=in_dollars)).progress["estimated_usd"] == 12.3


def test_what_a_job_took_is_told_at_its_end() -> None:
    seen = wire.snapshot_of(
        job(
            "SUCCESS",
            created_at=100,
            modified_at=160,
            trained_tokens=7,
            hyperparameters={"training_steps": 3, "learning_rate": 1e-4},
            checkpoints=[{"metrics": {"train_loss": 1.5}, "step_number": 3}],
        )
    )
    wanted = {"seconds": 60, "trained_tokens": 7, "total_steps": 3, "step": 3, "loss": 1.5}
    assert wanted.items() <= seen.progress.items()
