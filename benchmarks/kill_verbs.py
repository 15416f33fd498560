"""What is done and killed: each verb with what must stand before it and what must hold after it."""

import contextlib
import functools
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any, Literal

from typing_extensions import override

from ftctl.api.job_handle import Job
from ftctl.config import load_settings
from ftctl.errors import FtctlError, IllegalMove, NotFound, Unavailable
from ftctl.job import JobRecord, JobState, TunedModel
from ftctl.providers.artifacts.download import Progress
from ftctl.providers.base import Provider
from ftctl.store import Store
from ftctl.submission import carry_on, submit
from ftctl.testing.under_test import ProviderUnderTest, Time
from ftctl.watcher import refresh

HIDDEN_LOOKS = 2  # lists that don't show a new job at first
Wrong = Literal["lost", "doubled", "broken"]


class WrongError(Exception):
    """What must never be, and how it was seen."""

    def __init__(self, kind: Wrong, said: str) -> None:
        super().__init__(kind, said)
        self.kind: Wrong = kind
        self.said = said


class Bad:
    """A driver that never finds what it made, and says that a folder is whole before it is."""

    def __init__(self, driver: Provider) -> None:
        self._driver = driver

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the verb is
        return getattr(self._driver, name)

    def find(self, marker: str) -> None:
        """Nothing, ever."""

    def fetch(self, remote_id: str, folder: Path, _progress: Progress | None = None) -> TunedModel:
        """The manifest first."""
        with tempfile.TemporaryDirectory() as other:
            tuned = self._driver.fetch(remote_id, Path(other) / "whole")
            files = sorted((Path(other) / "whole").iterdir())
            folder.mkdir(parents=True)
            for file in sorted(files, key=lambda file: file.name != "manifest.json"):
                (folder / file.name).write_bytes(file.read_bytes())
        return tuned


class Case:
    """One job of one provider, with a store of its own.

    Args:
        folder: Where everything of it stands.
        under_test: The provider.
        bad: Whether its driver is `Bad`.
    """

    def __init__(self, folder: Path, under_test: ProviderUnderTest, *, bad: bool = False) -> None:
        self.folder, self.under_test, self._bad = folder, under_test, bad
        self.settings = load_settings(
            home=folder / "home", database_url=f"sqlite:///{folder / 'home' / 'ftctl.db'}"
        )

    def driver(self) -> Provider:
        """A fresh one, as another process would make it."""
        driver: Any = self.under_test.driver()
        return Bad(driver) if self._bad else driver

    @functools.cached_property
    def store(self) -> Store:
        """The store; it holds no connection, so that a fork may go on with it."""
        return Store(self.settings.database_url)

    def job(self) -> JobRecord:
        """The one job that there is here."""
        with self.store as store:
            jobs = store.jobs()
        if len(jobs) != 1:
            raise WrongError("doubled" if jobs else "lost", f"{len(jobs)} jobs in the store")
        return jobs[0]

    def handle(self) -> "Handle":
        """The job with its verbs."""
        return Handle(self)

    def look(self) -> JobRecord:
        """Look at the job once."""
        job = self.job()
        with self.store as store:
            return refresh(store, self.driver(), job)

    def submit(self) -> JobRecord:
        """Submit the job: the same each time."""
        with self.store as store:
            spec = self.under_test.spec
            return submit(spec, store=store, provider=self.driver(), patience=Time().patience())

    def finish(self) -> None:
        """Submit it and let it succeed."""
        self.under_test.finish(self.submit().remote_id or "")


class Handle(Job):
    """`Job` at the provider of a case."""

    def __init__(self, case: Case) -> None:
        super().__init__(case.job(), case.settings)
        self._case = case

    @override
    def _provider(self) -> Provider:
        return self._case.driver()


class Verb:
    """What a child does until it is killed; the same again must bring it to its end."""

    def prepare(self, case: Case) -> None:
        """Bring about what it begins with."""

    def act(self, case: Case) -> None:
        """What the child does."""
        raise NotImplementedError

    def look_at_cut(self, case: Case) -> None:
        """What must hold at once, before anything is run again."""

    def again(self, case: Case, number: int) -> None:  # noqa: ARG002 - one way for most
        """The same command, by another process."""
        self.act(case)

    def judge(self, case: Case) -> None:
        """What must hold in the end.

        Raises:
            WrongError: it doesn't.
        """
        raise NotImplementedError


class Submit(Verb):
    """From nothing to a job at the provider."""

    @override
    def prepare(self, case: Case) -> None:
        hide = getattr(case.under_test, "hide", None)
        if hide is not None:
            hide(HIDDEN_LOOKS)

    @override
    def act(self, case: Case) -> None:
        case.submit()

    @override
    def again(self, case: Case, number: int) -> None:
        """In turn: the same submission; after a look; what `ftctl jobs reconcile` does."""
        with case.store as store:
            there = store.jobs()
            if there and number % 3 == 1:
                refresh(store, case.driver(), there[0])
            if there and number % 3 == 2:
                patience = Time().patience()
                carry_on(store, case.driver(), there[0], lambda _: None, patience)
        for _ in range(3):
            with contextlib.suppress(Unavailable):  # which says that again is safe
                case.submit()
                return
        raise WrongError("broken", "submitting again never came to an end")

    @override
    def judge(self, case: Case) -> None:
        require_one(case)
        job = case.look()
        if job.state is JobState.NEEDS_ATTENTION and not case.driver().capabilities.can_find:
            return  # a person must look there, and is told so
        found = None
        for _ in range(HIDDEN_LOOKS + 1):
            found = found or case.under_test.driver().find(job.marker)
        if job.remote_id is None or found != job.remote_id:
            raise WrongError("lost", f"{job.remote_id} here, {found} there: {job.message}")
        if job.state.terminal or job.state in (JobState.LOST, JobState.NEEDS_ATTENTION):
            raise WrongError("broken", f"{job.state} by our own crash: {job.message}")


class Poll(Verb):
    """A look at a job that has succeeded meanwhile."""

    @override
    def prepare(self, case: Case) -> None:
        case.finish()

    @override
    def act(self, case: Case) -> None:
        case.look()

    @override
    def judge(self, case: Case) -> None:
        require_one(case)
        job = case.job()
        if job.state is not JobState.SUCCEEDED or not job.fine_tuned_model:
            raise WrongError("broken", f"{job.state}, though it succeeded: {job.message}")
        with case.store as store:
            events = [event for _, event in store.events(job.id)]
        said = [event.source_id for event in events if event.kind != "state"]
        there = [event.source_id for event in case.driver().events(job.remote_id or "", 0)]
        ends = [event for event in events if event.message.startswith(JobState.SUCCEEDED.value)]
        if said != there or len([event for event in ends if event.kind == "state"]) != 1:
            raise WrongError("broken", f"{said} and {len(ends)} ends here, {there} there")


class Cancel(Verb):
    """The end of a job that runs."""

    @override
    def prepare(self, case: Case) -> None:
        case.submit()

    @override
    def act(self, case: Case) -> None:
        case.handle().cancel()

    @override
    def again(self, case: Case, number: int) -> None:
        with contextlib.suppress(IllegalMove):  # it has ended: by the first command, or so we judge
            self.act(case)

    @override
    def judge(self, case: Case) -> None:
        require_one(case)
        job = case.look()
        there = case.driver().poll(job.remote_id or "").state
        if job.state is not JobState.CANCELLED or there is not JobState.CANCELLED:
            raise WrongError("broken", f"{job.state} here, {there} there: {job.message}")


class Fetch(Verb):
    """What a job made is brought home.

    Args:
        existing: Whether the folder that it goes to is there, and empty.
    """

    def __init__(self, *, existing: bool) -> None:
        self._existing = existing

    @override
    def prepare(self, case: Case) -> None:
        case.finish()
        case.look()
        if self._existing:
            _target(case).mkdir(parents=True)

    @override
    def act(self, case: Case) -> None:
        case.handle().fetch(_target(case))

    @override
    def look_at_cut(self, case: Case) -> None:
        if (_target(case) / "manifest.json").exists():
            require_whole(_target(case))

    @override
    def judge(self, case: Case) -> None:
        require_one(case)
        require_whole(_target(case))
        beside = [path.name for path in _target(case).parent.iterdir() if path != _target(case)]
        if beside:
            raise WrongError("broken", f"left behind: {beside}")
        if case.job().state is not JobState.SUCCEEDED:
            raise WrongError("broken", f"{case.job().state} by being fetched")


class Forget(Verb):
    """What an ended job left at its provider is deleted."""

    @override
    def prepare(self, case: Case) -> None:
        case.finish()
        case.look()

    @override
    def act(self, case: Case) -> None:
        case.handle().forget()

    @override
    def judge(self, case: Case) -> None:
        job = case.job()
        with contextlib.suppress(NotFound):
            case.driver().forget(job.remote_id or "")  # which sees that all is gone
        with case.store as store:
            said = [line.action for line in store.audits(job.id)]
        kept = [path.name for path in (case.settings.home / "files").glob("*.jsonl")]
        if "forgotten" not in said or kept:
            raise WrongError("broken", f"audit log {said}; rows kept {kept}")


VERBS: dict[str, Verb] = {
    "submit": Submit(),
    "poll": Poll(),
    "cancel": Cancel(),
    "fetch": Fetch(existing=False),
    "fetch into a folder": Fetch(existing=True),
    "forget": Forget(),
}


def _target(case: Case) -> Path:
    return case.folder / "brought" / "home"


def require_one(case: Case) -> None:
    """Exactly one job was ever made there.

    Raises:
        WrongError: none, or more.
    """
    made = case.under_test.made()
    needy = case.job().state is JobState.NEEDS_ATTENTION
    if made != 1 and not (made == 0 and needy):
        raise WrongError("doubled" if made else "lost", f"{made} jobs were made there")


def require_clean(case: Case) -> None:
    """No half of anything lies about in the home, but in a run's own folder, which goes with it.

    Raises:
        WrongError: something does.
    """
    home = case.settings.home
    inside = (path.relative_to(home) for path in home.rglob("*"))
    half = [str(p) for p in inside if "part" in p.name and p.parts[0] not in ("runs", "fake")]
    if half:
        raise WrongError("broken", f"left behind: {half}")


def require_whole(folder: Path) -> None:
    """A folder that holds what its manifest says, and nothing else.

    Raises:
        WrongError: it doesn't.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        files = {f.name: f.read_bytes() for f in folder.iterdir() if f.name != "manifest.json"}
    except (OSError, ValueError) as error:
        raise WrongError("broken", f"no whole folder: {error}") from None
    held = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in files.items()
    }
    if held != manifest:
        raise WrongError("broken", f"{sorted(held)} held, {sorted(manifest)} in the manifest")


def run_again(verb: Verb, case: Case, number: int) -> None:
    """After a kill: judge what is there, do the same again, judge the end.

    Raises:
        WrongError: something is as it must never be.
    """
    verb.look_at_cut(case)
    try:
        verb.again(case, number)
        verb.judge(case)
    except FtctlError as error:
        said = f"the same again fails: {type(error).__name__}: {error.message}"
        raise WrongError("broken", said) from None
    require_clean(case)
