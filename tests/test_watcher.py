"""A look that fails never changes a job's state; a look that works changes it once."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ftctl.errors import AuthError, FtctlError, NotFound, RateLimited, StoreError, Unavailable
from ftctl.job import JobEvent, JobRecord, JobSpec, JobState, Snapshot, TunedModel
from ftctl.providers.base import Capabilities, RemoteFile
from ftctl.store import Store
from ftctl.submission import carry_on, submit
from ftctl.watcher import adopt, refresh, watch_jobs

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
    )

    def __init__(self, *looks: Snapshot | FtctlError) -> None:
        self.looks = list(looks)
        self.made: list[str] = []
        self.fails_at: str | None = None

    def check(self, spec: JobSpec) -> None: ...

    def upload(self, file: Path, sha256: str) -> RemoteFile:
        if self.fails_at == "upload":
            raise Unavailable("the line is cut")
        return RemoteFile(id="file-1", sha256=sha256)

    def create(self, spec: JobSpec, files: Mapping[str, RemoteFile], marker: str) -> str:
        if self.fails_at == "before create":
            raise Unavailable("the line is cut")
        self.made.append(marker)
        if self.fails_at == "after create":
            raise Unavailable("the answer was lost")
        return f"remote-{marker}"

    def find(self, marker: str) -> str | None:
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

    def fetch(self, remote_id: str, folder: Path) -> TunedModel:
        raise NotFound("nothing")

    def tuned_model(self, remote_id: str) -> TunedModel:
        raise NotFound("nothing")

    def forget(self, remote_id: str) -> None: ...


def spec() -> JobSpec:
    return JobSpec(
        provider="scripted", model="m", data=Path("x.jsonl"), data_sha256="0" * 64, name="n"
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path / 'ftctl.db'}") as opened:
        yield opened


def queued(store: Store) -> JobRecord:
    return adopt(store, store.add_job(spec(), "i").id, "remote-1")


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


def test_watching_tells_changes_and_ends(store: Store) -> None:
    job = queued(store)
    provider = Scripted(RUNNING, RUNNING, Unavailable("down"), RUNNING, DONE)
    slept: list[float] = []
    told = list(
        watch_jobs(
            store, lambda _: provider, [job.id], every_s=2.0, sleep=slept.append, clock=lambda: NOW
        )
    )
    assert [(record.state, record.stale_because) for record in told] == [
        ("running", None),
        ("running", "down"),
        ("running", None),
        ("succeeded", None),
    ]
    assert slept == [2.0, 2.0, 4.0, 2.0]
    history = [event.message for _, event in store.events(job.id) if event.kind == "state"]
    assert history == ["running: step 1 of 2", "succeeded"]


@pytest.mark.parametrize("fails_at", ["upload", "before create", "after create"])
def test_a_submission_cut_short_goes_on_and_makes_one_job(store: Store, fails_at: str) -> None:
    provider = Scripted(RUNNING)
    provider.fails_at = fails_at
    with pytest.raises(Unavailable):
        submit(spec(), store=store, provider=provider)
    (cut,) = store.jobs()
    assert cut.state.open_intention
    provider.fails_at = None
    if fails_at == "after create":
        assert refresh(store, provider, cut).state is JobState.QUEUED  # watching adopts it, too
    done = submit(spec(), store=store, provider=provider)
    assert done.id == cut.id
    assert done.remote_id == f"remote-{cut.id}"
    assert provider.made == [cut.id]


def test_two_that_submit_the_same_at_once_make_one_job(store: Store) -> None:
    provider = Scripted()
    first = store.add_job(spec(), "i")
    ahead = carry_on(store, provider, first, lambda _: None)
    behind = carry_on(store, provider, first, lambda _: None)  # still holds the record of before
    assert ahead == behind
    assert provider.made == [first.id]


def test_a_job_that_never_left_says_how_to_go_on(store: Store) -> None:
    cut = store.add_job(spec(), "i")
    seen = refresh(store, Scripted(), cut)
    assert seen.state is JobState.CREATED
    assert "run it again" in seen.message
