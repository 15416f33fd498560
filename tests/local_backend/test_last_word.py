"""Whoever sees that an attempt has ended also hears its last word, once and in its place."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from specimens import worker_config

from ftctl.job import JobState
from ftctl.local_backend.run_folder import ExitRecord, RunFolder
from ftctl.local_backend.worker import _write_down
from ftctl.providers.local import LocalProvider

JOB = "job-aaaaaaaaaa"


@pytest.fixture
def provider(tmp_path: Path) -> LocalProvider:
    return LocalProvider(tmp_path)


@pytest.fixture
def attempt(tmp_path: Path) -> Callable[[int], RunFolder]:
    """Begin an attempt; returns the run folder as its worker has it."""

    def begin(number: int) -> RunFolder:
        run = RunFolder(tmp_path / "runs" / JOB, number)
        run.path.mkdir(parents=True, exist_ok=True)
        config = worker_config(tmp_path, attempt=number, job_id=JOB)
        run.write(run.config_file, config)
        return run

    return begin


def told(provider: LocalProvider, after: int = 0) -> list[tuple[str, str]]:
    return [(event.source_id, event.message) for event in provider.events(JOB, after)]


def end(run: RunFolder, number: int, message: str) -> None:
    outcome = "succeeded" if message == "done" else "failed"
    record = ExitRecord(attempt=number, outcome=outcome, message=message, at=datetime.now(UTC))
    assert _write_down(run, record)


def test_the_end_and_its_last_word_are_seen_together(
    provider: LocalProvider, attempt: Callable[[int], RunFolder]
) -> None:
    run = attempt(1)
    run.append(run.events_file, {"message": "6 steps"})
    assert told(provider) == [("line-1", "6 steps")]
    end(run, 1, "done")
    # One write made both, so no kill can come in between.
    assert [row["message"] for row in run.rows(run.events_file)] == ["6 steps"]
    assert provider.poll(JOB).state is JobState.SUCCEEDED
    assert told(provider, after=1) == [("line-2", "done")]


def test_a_last_word_keeps_its_place_when_the_next_attempt_speaks(
    provider: LocalProvider, attempt: Callable[[int], RunFolder]
) -> None:
    first = attempt(1)
    end(first, 1, "stopped from outside")
    heard = provider.events(JOB, 0)
    for _ in range(2):  # the second time as if the first had been cut short
        RunFolder(first.path).settle()
        assert provider.events(JOB, 0) == heard
    second = attempt(2)
    end(first, 1, "a word of one believed dead")
    second.append(second.events_file, {"message": "goes on"})
    end(second, 2, "stopped from outside")
    RunFolder(first.path).settle()
    assert told(provider) == [
        ("line-1", "stopped from outside"),
        ("line-2", "goes on"),
        ("line-3", "stopped from outside"),
    ]


def test_a_damaged_exit_record_takes_no_event_with_it(
    provider: LocalProvider, attempt: Callable[[int], RunFolder]
) -> None:
    run = attempt(1)
    run.append(run.events_file, {"message": "6 steps"})
    run.exit_file(1).write_text("{", encoding="utf-8")
    assert told(provider) == [("line-1", "6 steps")]
