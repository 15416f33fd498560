"""A look that fails never changes a job's state; a look that works changes it once."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typing_extensions import override

from ftctl.datasets.digest import file_sha256
from ftctl.errors import (
    AuthError,
    FtctlError,
    IllegalMove,
    InvalidRequest,
    NotFound,
    ProviderClosed,
    ProviderError,
    RateLimited,
    Retired,
    StoreError,
    Unavailable,
    UsageError,
)
from ftctl.job import JobEvent, JobRecord, JobSpec, JobState, Snapshot, TunedModel
from ftctl.providers.artifacts.download import Progress
from ftctl.providers.base import Capabilities, RemoteFile
from ftctl.store import Store
from ftctl.submission import Patience, carry_on, resolve, submit
from ftctl.watcher import adopt, look_at_page, refresh

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
RUNNING = Snapshot(state=JobState.RUNNING, provider_status="running", message="step 1 of 2")
DONE = Snapshot(
    state=JobState.SUCCEEDED,
    provider_status="succeeded",
    fine_tuned_model="model-1",
    progress={"trained_tokens": 7.0},
)


class Scripted:
    """A provider that answers each look as it was told to."""

    name = "scripted"
    capabilities = Capabilities(
        methods=frozenset({"sft"}),
        tunings=frozenset({"lora"}),
        hyperparameters=frozenset(),
        can_cancel=True,
        can_find=True,
        can_resume=False,
        returns_weights=False,
        data_stays_here=True,
        lists_lag=True,
    )

    def __init__(self, *looks: Snapshot | FtctlError) -> None:
        self.looks = list(looks)
        self.made: list[str] = []
        self.fails_at: str | None = None
        self.says: FtctlError | None = None
        self.shown_from: datetime | None = None
        self.clock: Callable[[], datetime] = lambda: NOW

    def check(self, spec: JobSpec) -> None: ...

    def upload(self, file: Path, sha256: str) -> RemoteFile:
        if self.fails_at == "upload":
            raise Unavailable("the line is cut")
        return RemoteFile(id="file-1", sha256=sha256)

    def create(self, spec: JobSpec, files: Mapping[str, RemoteFile], marker: str) -> str:
        if self.says is not None:
            raise self.says
        if self.fails_at == "before create":
            raise Unavailable("the line is cut")
        self.made.append(marker)
        if self.fails_at == "after create":
            raise Unavailable("the answer was lost")
        return f"remote-{marker}"

    def find(self, marker: str) -> str | None:
        if self.shown_from is not None and self.clock() < self.shown_from:
            return None
        return f"remote-{marker}" if marker in self.made else None

    def poll(self, remote_id: str) -> Snapshot:
        look = self.looks.pop(0)
        if isinstance(look, FtctlError):
            raise look
        return look

    def events(self, remote_id: str, after: int) -> Sequence[JobEvent]:
        return [JobEvent(source_id="line-1", at=NOW, message="said")] if after == 0 else []

    def cancel(self, remote_id: str) -> None: ...

    def resume(self, remote_id: str, attempt: int) -> None: ...

    def fetch(self, remote_id: str, folder: Path, progress: Progress | None = None) -> TunedModel:
        raise NotFound("nothing")

    def tuned_model(self, remote_id: str) -> TunedModel:
        raise NotFound("nothing")

    def forget(self, remote_id: str) -> None: ...


def quiet(_: str) -> None:
    """Nobody listens."""


def spec_of(store: Store) -> JobSpec:
    """A spec whose data file is there."""
    file = Path("x.jsonl")
    file.write_text("{}\n", encoding="utf-8")
    return spec().model_copy(update={"data_sha256": file_sha256(file)})


def spec() -> JobSpec:
    return JobSpec(
        provider="scripted", model="m", data=Path("x.jsonl"), data_sha256="0" * 64, name="n"
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path / 'ftctl.db'}") as opened:
        yield opened


def queued(store: Store) -> JobRecord:
    job = store.add_job(spec(), "i", new=True)
    for state in (JobState.UPLOADING, JobState.SUBMITTING):
        store.update(job.id, lambda _, state=state: {"state": state})  # type: ignore[misc]
    return adopt(store, job.id, "remote-1")


def look(store: Store, provider: Scripted, job: JobRecord) -> JobRecord:
    return refresh(store, provider, store.get_job(job.id), clock=lambda: NOW)


@pytest.mark.parametrize(
    "error", [AuthError("401"), RateLimited("429"), Unavailable("down"), StoreError("damaged")]
)
def test_a_failed_look_leaves_the_state(store: Store, error: FtctlError) -> None:
    job = queued(store)
    provider = Scripted(RUNNING, error, RUNNING)
    assert look(store, provider, job).state is JobState.RUNNING
    stale = look(store, provider, job)
    assert (stale.state, stale.stale_because) == (JobState.RUNNING, error.message)
    assert look(store, provider, job).stale_because is None


def test_lost_only_after_three_misses_and_back_when_seen(store: Store) -> None:
    job = queued(store)
    provider = Scripted(RUNNING, NotFound("404"), NotFound("404"), NotFound("404"), RUNNING)
    states = [look(store, provider, job).state for _ in range(5)]
    assert states == ["running", "running", "running", "lost", "running"]


def test_an_unknown_word_is_an_observation_not_a_state(store: Store) -> None:
    job = queued(store)
    odd = Snapshot(state=None, provider_status="pondering")
    seen = look(store, Scripted(odd), job)
    assert (seen.state, seen.provider_status) == (JobState.QUEUED, "pondering")


def test_success_without_a_model_is_no_success(store: Store) -> None:
    job = queued(store)
    seen = look(store, Scripted(DONE.model_copy(update={"fine_tuned_model": None})), job)
    assert seen.state is JobState.FAILED
    assert seen.error is not None
    assert seen.error["kind"] == "no_model"


def test_a_terminal_state_is_never_looked_at_again(store: Store) -> None:
    job = queued(store)
    provider = Scripted(DONE)
    assert look(store, provider, job).actual == {"trained_tokens": 7.0}
    assert look(store, provider, job).state is JobState.SUCCEEDED


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = NOW
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)

    def patience(self, settle_s: float = 120.0) -> Patience:
        return Patience(settle_s, clock=lambda: self.now, sleep=self.sleep)


@pytest.mark.parametrize("fails_at", ["upload", "before create", "after create"])
def test_a_submission_cut_short_goes_on_and_makes_one_job(store: Store, fails_at: str) -> None:
    provider, moving = Scripted(RUNNING), Time()
    provider.fails_at = fails_at
    with pytest.raises(Unavailable):
        submit(spec_of(store), store=store, provider=provider, patience=moving.patience())
    (cut,) = store.jobs()
    assert cut.state.open_intention
    provider.fails_at = None
    if fails_at == "after create":
        assert refresh(store, provider, cut).state is JobState.QUEUED  # watching adopts it, too
    done = submit(spec_of(store), store=store, provider=provider, patience=moving.patience())
    assert done.id == cut.id
    assert done.remote_id == f"remote-{cut.id}"
    assert provider.made == [cut.id]
    # Only a create that may have arrived is waited for, and for the whole settle window.
    assert sum(moving.slept) == pytest.approx(120.0 if fails_at == "before create" else 0.0)


def test_a_lagging_list_is_asked_until_the_job_appears(store: Store) -> None:
    provider, moving = Scripted(), Time()
    provider.fails_at = "after create"
    with pytest.raises(Unavailable, match="not known yet"):
        submit(spec_of(store), store=store, provider=provider, patience=moving.patience())
    provider.fails_at, provider.shown_from = None, NOW + timedelta(seconds=60)
    provider.clock = lambda: moving.now
    done = submit(spec_of(store), store=store, provider=provider, patience=moving.patience())
    assert done.state is JobState.QUEUED
    assert provider.made == [done.id]
    assert sum(moving.slept) == pytest.approx(60.0)


def test_a_route_that_closes_while_a_job_is_looked_for_is_not_sent_it(store: Store) -> None:
    provider, moving = Scripted(), Time()
    provider.capabilities = replace(provider.capabilities, data_stays_here=False)
    moving.now = datetime(2027, 1, 5, 23, 59, 30, tzinfo=UTC)
    asked = spec_of(store).model_copy(update={"provider": "openai", "model": "gpt-4.1"})
    provider.fails_at = "before create"
    with pytest.raises(Unavailable):
        submit(asked, store=store, provider=provider, patience=moving.patience())
    provider.fails_at = None
    with pytest.raises(ProviderClosed, match="2027-01-06"):
        submit(asked, store=store, provider=provider, patience=moving.patience())
    assert provider.made == []


def test_a_window_shorter_than_the_lag_would_pay_twice(store: Store) -> None:
    """The control: this is what the settle window is for."""
    provider, moving = Scripted(), Time()
    provider.fails_at = "after create"
    with pytest.raises(Unavailable):
        submit(spec_of(store), store=store, provider=provider, patience=moving.patience(1))
    provider.fails_at, provider.shown_from = None, NOW + timedelta(seconds=60)
    provider.clock = lambda: moving.now
    submit(spec_of(store), store=store, provider=provider, patience=moving.patience(1))
    assert len(provider.made) == 2


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (InvalidRequest("400"), JobState.FAILED),
        (Retired("410"), JobState.FAILED),
        (AuthError("401"), JobState.SUBMITTING),
        (RateLimited("429"), JobState.SUBMITTING),
    ],
)
def test_a_plain_no_is_no_doubt(store: Store, error: FtctlError, state: JobState) -> None:
    provider, moving = Scripted(), Time()
    provider.says = error
    with pytest.raises(type(error)):
        submit(spec_of(store), store=store, provider=provider, patience=moving.patience())
    (job,) = store.jobs()
    assert job.state is state
    provider.says = None
    again = submit(spec_of(store), store=store, provider=provider, patience=moving.patience())
    assert again.state is JobState.QUEUED
    assert moving.slept == []
    assert provider.made == [again.id]


def test_a_provider_that_cannot_be_asked_needs_a_person(store: Store) -> None:
    provider, moving = Scripted(), Time()
    provider.capabilities = replace(provider.capabilities, can_find=False)
    provider.fails_at = "after create"
    with pytest.raises(Unavailable):
        submit(spec_of(store), store=store, provider=provider, patience=moving.patience())
    provider.fails_at = None
    stuck = submit(spec_of(store), store=store, provider=provider, patience=moving.patience())
    assert stuck.state is JobState.NEEDS_ATTENTION
    assert "ftctl jobs resolve" in stuck.message
    assert submit(spec_of(store), store=store, provider=provider).id == stuck.id
    assert provider.made == [stuck.id]  # nothing was sent again

    with pytest.raises(UsageError):
        resolve(store, stuck, " ")
    assert resolve(store, stuck, " remote-9\n").remote_id == "remote-9"  # as it was copied
    with pytest.raises(IllegalMove, match="only a job of which nobody knows"):
        resolve(store, store.get_job(stuck.id), None)


def test_a_person_may_say_that_there_is_none(store: Store) -> None:
    provider, moving = Scripted(), Time()
    provider.capabilities = replace(provider.capabilities, can_find=False)
    provider.fails_at = "before create"
    with pytest.raises(Unavailable):
        submit(spec_of(store), store=store, provider=provider, patience=moving.patience())
    provider.fails_at = None
    stuck = submit(spec_of(store), store=store, provider=provider, patience=moving.patience())
    resolve(store, stuck, None)
    sent = submit(spec_of(store), store=store, provider=provider, patience=moving.patience())
    assert (sent.id, sent.state) == (stuck.id, JobState.QUEUED)


def test_two_that_submit_the_same_at_once_make_one_job(store: Store) -> None:
    provider, moving = Scripted(), Time()
    first = store.add_job(spec_of(store), "i")
    ahead = carry_on(store, provider, first, quiet, moving.patience())
    behind = carry_on(store, provider, first, quiet, moving.patience())  # holds the old record
    assert ahead == behind
    assert provider.made == [first.id]


def test_a_job_cancelled_while_it_is_made_is_stopped_there(store: Store) -> None:
    stopped: list[str] = []

    class Slow(Scripted):
        @override
        def create(self, spec: JobSpec, files: Mapping[str, RemoteFile], marker: str) -> str:
            cancelled = {"state": JobState.CANCELLED, "sent_at": None}
            store.update(marker, lambda _: cancelled)  # what another process's cancel writes
            return super().create(spec, files, marker)

        @override
        def cancel(self, remote_id: str) -> None:
            stopped.append(remote_id)

    job = submit(spec_of(store), store=store, provider=Slow(), patience=Time().patience())
    assert job.state is JobState.CANCELLED
    assert stopped == [f"remote-{job.id}"]


@pytest.mark.parametrize("error", [None, InvalidRequest("409"), RateLimited("429")])
def test_what_another_process_made_meanwhile_is_the_job_and_ours_is_stopped(
    store: Store, error: FtctlError | None
) -> None:
    stopped: list[str] = []

    class Late(Scripted):
        @override
        def create(self, spec: JobSpec, files: Mapping[str, RemoteFile], marker: str) -> str:
            adopt(store, marker, "remote-theirs")  # who found nothing for so long sent it anew
            return super().create(spec, files, marker)

        @override
        def cancel(self, remote_id: str) -> None:
            stopped.append(remote_id)

    provider = Late()
    provider.says = error
    with contextlib.suppress(ProviderError):
        submit(spec_of(store), store=store, provider=provider, patience=Time().patience())
    (job,) = store.jobs()
    assert (job.state, job.remote_id, job.error) == (JobState.QUEUED, "remote-theirs", None)
    assert stopped == ([] if error else [f"remote-{job.id}"])


def test_one_too_many_that_cannot_be_cancelled_is_named(store: Store) -> None:
    class Late(Scripted):
        @override
        def create(self, spec: JobSpec, files: Mapping[str, RemoteFile], marker: str) -> str:
            adopt(store, marker, "remote-theirs")
            return super().create(spec, files, marker)

        @override
        def cancel(self, remote_id: str) -> None:
            raise Unavailable("the line is cut")

    with pytest.raises(Unavailable, match=r"remote-job-.* is one too many.*the line is cut"):
        submit(spec_of(store), store=store, provider=Late(), patience=Time().patience())


def test_data_that_changed_since_is_not_sent(store: Store) -> None:
    spec = spec_of(store)
    job = store.add_job(spec, "i")
    spec.data.write_text("something else", encoding="utf-8")
    with pytest.raises(UsageError, match="changed since"):
        carry_on(store, Scripted(), job, quiet, Patience())


def test_a_job_that_never_left_says_how_to_go_on(store: Store) -> None:
    cut = store.add_job(spec(), "i")
    seen = refresh(store, Scripted(), cut)
    assert seen.state is JobState.CREATED
    assert "run it again" in seen.message


def test_a_look_that_began_before_a_resume_tells_nothing(store: Store) -> None:
    job = queued(store)
    failed = Snapshot(state=JobState.FAILED, provider_status="failed", message="attempt 1 failed")
    look(store, Scripted(failed), job)
    seen_before = store.get_job(job.id).model_copy(update={"state": JobState.RUNNING})
    store.update(job.id, lambda _: {"state": JobState.QUEUED, "attempt": 2})
    late = refresh(store, Scripted(failed), seen_before, clock=lambda: NOW)
    assert (late.state, late.attempt) == (JobState.QUEUED, 2)


def test_a_page_of_the_attempt_before_tells_nothing_of_the_next(store: Store) -> None:
    job = queued(store)
    failed = Snapshot(state=JobState.FAILED, provider_status="failed")
    attempts = {job.id: 1}
    store.update(job.id, lambda _: {"state": JobState.RUNNING, "attempt": 2})
    states = [
        [seen.state for seen in look_at_page(store, Scripted(), {job.id: failed}, attempts)]
        for _ in range(2)
    ]
    assert states == [["running"], ["failed"]]


def test_the_same_submit_finds_its_data_where_they_are_now(store: Store, tmp_path: Path) -> None:
    moving, provider = Time(), Scripted()
    provider.fails_at = "upload"
    first = spec_of(store)
    with pytest.raises(Unavailable):
        submit(first, store=store, provider=provider, patience=moving.patience())
    provider.fails_at = None
    moved = first.model_copy(update={"data": first.data.rename(tmp_path / "moved.jsonl")})
    done = submit(moved, store=store, provider=provider, patience=moving.patience())
    assert done.state is JobState.QUEUED
    assert len(store.jobs()) == 1


def unanswered(store: Store, provider: Scripted, moving: Time) -> JobRecord:
    """A job whose create was sent and got no answer."""
    provider.fails_at = "before create"
    with pytest.raises(Unavailable):
        submit(spec_of(store), store=store, provider=provider, patience=moving.patience())
    provider.fails_at = None
    (job,) = store.jobs()
    assert (job.state, job.sent_at) == (JobState.SUBMITTING, NOW)
    return job


@pytest.mark.parametrize("remote_id", ["remote-9", None])
def test_an_unanswered_create_takes_a_persons_word_after_its_window_only(
    store: Store, remote_id: str | None
) -> None:
    provider, moving = Scripted(), Time()
    job = unanswered(store, provider, moving)
    moving.sleep(119.0)
    with pytest.raises(IllegalMove, match="may still show up at scripted, for another 1 s"):
        resolve(store, job, remote_id, moving.patience())
    assert store.get_job(job.id) == job
    moving.sleep(1.0)
    said = resolve(store, job, remote_id, moving.patience())
    assert (said.remote_id, said.sent_at) == (remote_id, None)
    moving.slept.clear()
    done = submit(spec_of(store), store=store, provider=provider, patience=moving.patience())
    assert done.id == job.id
    assert moving.slept == []  # the word has settled it: nothing is waited for any more
    assert provider.made == ([] if remote_id else [job.id])


def test_a_word_on_what_another_process_has_sent_anew_is_refused(store: Store) -> None:
    moving = Time()
    job = unanswered(store, Scripted(), moving)
    moving.sleep(120.0)
    anew = store.update(job.id, lambda _: {"sent_at": moving.now})
    for remote_id in ("remote-9", None):
        with pytest.raises(IllegalMove, match="changed meanwhile"):
            resolve(store, job, remote_id, moving.patience())
    assert store.get_job(job.id) == anew


@pytest.mark.parametrize("state", [JobState.UPLOADING, JobState.SUBMITTING])
def test_a_job_of_which_nothing_was_sent_needs_no_word(store: Store, state: JobState) -> None:
    job = store.add_job(spec_of(store), "i")
    for step in (JobState.UPLOADING, state):
        job = store.update(job.id, lambda _, step=step: {"state": step})  # type: ignore[misc]
    with pytest.raises(IllegalMove, match="only a job of which nobody knows"):
        resolve(store, job, None)
