"""What a provider is: eight verbs that translate, and a value that says what it can do.

A provider keeps no records, retries nothing and decides nothing: states, quotes, privacy and
lifecycle live above, once for all. A look at a job never changes it and never spends.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ftctl.job import JobEvent, JobSpec, Method, Snapshot, TunedModel, Tuning
from ftctl.providers.artifacts.download import Progress


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do, declared so that it is known before anything is submitted.

    Attributes:
        methods: Fine-tuning methods it takes.
        tunings: Ways of tuning it takes.
        hyperparameters: Names of `Hyperparameters` fields that it honours.
        can_cancel: Whether a job can be stopped.
        can_find: Whether a job can be found again by our marker.
        can_resume: Whether a stopped job can go on from a checkpoint.
        returns_weights: Whether the tuned weights can be brought home.
        data_stays_here: Whether no row leaves this machine.
        lists_lag: Whether a job that was just made may not be found for a while.
        dialect: Whose rules the data must keep, as `ftctl data check --for` names them.
        engines: Its ways to run a job that `--engine` chooses from; the first is its choice.
        options: Settings that only this provider has, given with `--set`: name and what it says.
        can_pause: Whether a job can be held where it is: it is a `PausingProvider`.
    """

    methods: frozenset[Method]
    tunings: frozenset[Tuning]
    hyperparameters: frozenset[str]
    can_cancel: bool
    can_find: bool
    can_resume: bool
    returns_weights: bool
    data_stays_here: bool
    lists_lag: bool
    dialect: str = "openai"
    engines: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    can_pause: bool = False


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A dataset as the provider holds it."""

    id: str
    sha256: str


class Provider(Protocol):
    """A place that can run a job."""

    name: str
    capabilities: Capabilities

    def check(self, spec: JobSpec) -> None:
        """Refuse what can be known to fail before anything is written or sent."""

    def upload(self, file: Path, sha256: str) -> RemoteFile:
        """Bring a dataset to the provider; the same file again is not sent again."""

    def create(self, spec: JobSpec, files: Mapping[str, RemoteFile], marker: str) -> str:
        """Start a job that carries our marker; returns the provider's id for it.

        Sent once, never repeated here. `Unavailable` means that nobody knows whether the job was
        made; every other error, that it certainly wasn't.

        Args:
            spec: What is asked.
            files: `training` and, where there is one, `validation`.
            marker: Our id, kept on the remote object.
        """

    def find(self, marker: str) -> str | None:
        """The id of the job that carries our marker; None when the provider says there is none.

        A provider that can't be asked raises: that isn't a no.
        """

    def poll(self, remote_id: str) -> Snapshot:
        """One look at a job."""

    def events(self, remote_id: str, after: int) -> Sequence[JobEvent]:
        """What the job said, oldest first, leaving out the first `after` ones.

        Where lines may come late, in between, all are told again with them: ids tell repeats.
        """

    def cancel(self, remote_id: str) -> None:
        """Stop a job; harmless when it has ended."""

    def resume(self, remote_id: str, attempt: int) -> None:
        """Start a stopped job's next attempt, from its last checkpoint."""

    def fetch(self, remote_id: str, folder: Path, progress: Progress | None = None) -> TunedModel:
        """Bring home what the job made, whole or not at all; the same again is harmless.

        Args:
            remote_id: Whose results.
            folder: A new or empty one.
            progress: Told of the bytes that come, where there are many.
        """

    def tuned_model(self, remote_id: str) -> TunedModel:
        """Where the tuned model answers."""

    def forget(self, remote_id: str) -> None:
        """Delete what the job left at the provider; again, also after a crash, is harmless."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What one free question showed of an account; None is what it doesn't show.

    Attributes:
        has_jobs: Whether it made any job here.
        last_job: The day of the newest one.
        closes_on: The first day on which the provider says that it takes no more of these jobs.
    """

    has_jobs: bool | None = None
    last_job: date | None = None
    closes_on: date | None = None


@runtime_checkable
class ProbingProvider(Provider, Protocol):
    """A provider that can be asked more, before a job, than for the first page of its jobs."""

    def probe(self, model: str | None) -> Probe:
        """Ask one free question of the account; nothing is made or changed by it.

        Args:
            model: The base model that would be tuned; None when only the account is asked about.

        Raises:
            Unsupported: this account can't tune that model.
        """


@runtime_checkable
class PausingProvider(Provider, Protocol):
    """A provider that can hold a job where it is."""

    def pause(self, remote_id: str) -> None:
        """Hold a job; it keeps what it has learnt."""

    def unpause(self, remote_id: str) -> None:
        """Let a paused job go on, in the same attempt."""


@runtime_checkable
class DatingProvider(Provider, Protocol):
    """A provider that says itself how long its models answer."""

    def shutdown_dates(self) -> Mapping[str, date]:
        """The first day without an answer of each model whose end is announced, by its name."""


@runtime_checkable
class ListingProvider(Provider, Protocol):
    """A provider that can also show many jobs for one question."""

    def list_jobs(self) -> Iterator[Mapping[str, Snapshot]]:
        """Every job it holds, newest first, a page of its list at a time."""


class AnsweringModel(Protocol):
    """What a model does, wherever it is."""

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        max_new_tokens: int = 512,
        on_text: Callable[[str], None] | None = None,
    ) -> str:
        """Answer one conversation, piece by piece if somebody listens."""

    def answer(
        self, conversations: Sequence[Sequence[Mapping[str, Any]]], *, max_new_tokens: int = 256
    ) -> list[str]:
        """Answer many conversations, each by itself."""

    def count_tokens(self, text: str) -> int:
        """How many tokens a text has, or at most has."""


@runtime_checkable
class AnsweringProvider(Provider, Protocol):
    """A provider that is asked for answers in another way than by OpenAI's wire."""

    def answering(self, model: str) -> AnsweringModel:
        """The model of that name there, tuned or not, ready to be asked."""


@runtime_checkable
class OpenAIServing(Provider, Protocol):
    """A provider whose models, tuned or not, are asked by OpenAI's wire where its jobs are, too."""

    @property
    def base_url(self) -> str:
        """Where they answer."""


@dataclass(frozen=True, slots=True)
class KeptModel:
    """A tuned model that a vendor keeps, whoever made it, and whether or not it still tunes.

    Attributes:
        id: What it answers to.
        base: The model that was tuned.
        name: What a person called it; "" where nobody did.
        description: A person's words on it.
        archived: Whether it was put aside.
        created: The day it was made.
        ends: The day of its announced end; None where none is.
        job: The vendor's id of the job that made it.
    """

    id: str
    base: str
    name: str = ""
    description: str = ""
    archived: bool = False
    created: date | None = None
    ends: date | None = None
    job: str = ""


@runtime_checkable
class ModelKeeper(Provider, Protocol):
    """A provider whose tuned models can be looked after; `Unsupported` where one of these can't."""

    def kept_models(self) -> Sequence[KeptModel]:
        """Every tuned model of the account."""

    def kept_model(self, model: str) -> KeptModel:
        """One of them, by its id."""

    def rename_model(self, model: str, name: str, description: str | None = None) -> KeptModel:
        """Give it another name to be shown by; it answers to its id as before."""

    def archive_model(self, model: str, *, archived: bool) -> KeptModel:
        """Put it aside, or bring it back."""

    def delete_model(self, model: str) -> None:
        """Delete it for good, and see that it is gone."""
