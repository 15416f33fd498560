"""What the contract asks of a provider, and the tools with which it asks."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

from ftctl.errors import (
    AuthError,
    FtctlError,
    InvalidRequest,
    NotFound,
    RateLimited,
    Retired,
    Unavailable,
)
from ftctl.job import JobSpec
from ftctl.providers.base import Provider, RemoteFile
from ftctl.submission import Patience
from ftctl.watcher import utc_now

Refusal = Literal["auth", "invalid", "not_found", "retired", "rate_limited", "unavailable"]
REFUSALS: dict[Refusal, type[FtctlError]] = {
    "auth": AuthError,
    "invalid": InvalidRequest,
    "not_found": NotFound,
    "retired": Retired,
    "rate_limited": RateLimited,
    "unavailable": Unavailable,
}
TROUBLE = "one shard failed"  # what a vendor says of a job that goes on, or ends well, anyhow
RETRY_AFTER_S = 7.0  # how long `rate_limited` asks to wait
# A create that is refused so was certainly not done; anything else leaves it open.
CERTAIN: tuple[Refusal, ...] = ("auth", "invalid", "not_found", "retired", "rate_limited")
Verb = Literal["upload", "create", "find", "poll", "events", "cancel", "fetch", "tuned_model"]
VERBS: tuple[Verb, ...] = (
    "upload",
    "create",
    "find",
    "poll",
    "events",
    "cancel",
    "fetch",
    "tuned_model",
)
CRASHES = ("before upload", "after upload", "before create", "after create")


class ProviderUnderTest(Protocol):
    """What a provider needs to be put to the test."""

    @property
    def spec(self) -> JobSpec:
        """A job that it takes."""

    def driver(self) -> Provider:
        """A fresh driver, as another process would make it."""

    def finish(self, remote_id: str) -> None:
        """Let a job succeed."""

    def made(self) -> int:
        """How many jobs were made there so far."""


class RemoteUnderTest(ProviderUnderTest, Protocol):
    """What a vendor behind a network needs besides."""

    def refuse(self, verb: Verb, how: Refusal) -> None:
        """Let the next call of a verb be refused, before anything is done."""

    def lose_the_answer(self) -> None:
        """Let the next create make a job and never say so."""

    def hide(self, looks: int) -> None:
        """Let the lists not show a new job for so many looks."""

    def say(self, remote_id: str, word: str) -> None:
        """Let the job's status be this word from now on."""

    def name_no_model(self, remote_id: str) -> None:
        """Let the job succeed without a model."""


class Crash(BaseException):
    """The process ends here: nothing after it runs."""


class Crashing:
    """A driver whose process dies before or after one verb."""

    def __init__(self, driver: Provider, at: str) -> None:
        self._driver = driver
        self._when, _, self._verb = at.partition(" ")
        self.capabilities = driver.capabilities

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the verb is
        verb = getattr(self._driver, name)
        if name != self._verb:
            return verb

        def dying(*args: Any, **options: Any) -> None:  # noqa: ANN401 - the verb's own
            if self._when == "after":
                verb(*args, **options)
            raise Crash

        return dying


class Time:
    """A clock that only sleeping moves; the settle window passes in no time."""

    def __init__(self) -> None:
        self.passed = timedelta()

    def patience(self, settle_s: float = 60.0) -> Patience:
        """How long to look for an unanswered create, on this clock."""
        return Patience(settle_s, clock=lambda: utc_now() + self.passed, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.passed += timedelta(seconds=seconds)


def start(under_test: ProviderUnderTest, marker: str = "job-contract") -> str:
    """Upload and create; the remote id."""
    driver, spec = under_test.driver(), under_test.spec
    files = {"training": driver.upload(spec.data, spec.data_sha256)}
    return driver.create(spec, files, marker)


def call(driver: Provider, verb: Verb, spec: JobSpec, remote_id: str, folder: Path) -> object:
    """Ask one verb."""
    files = {"training": RemoteFile("file-1", spec.data_sha256)}
    if verb in ("upload", "create"):
        files = {"training": driver.upload(spec.data, spec.data_sha256)}
        return files if verb == "upload" else driver.create(spec, files, "job-other")
    arguments: Mapping[Verb, tuple[object, ...]] = {
        "find": ("job-contract",),
        "events": (remote_id, 0),
        "fetch": (remote_id, folder),
    }
    return getattr(driver, verb)(*arguments.get(verb, (remote_id,)))
