"""Models that answer: a tuned one by its job, a folder, or a base by its name."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftctl.api.nothing_made import telling_of
from ftctl.config import Settings, find_base_url, load_settings, require_base_url
from ftctl.errors import NotFoundHere, Unsupported, UsageError
from ftctl.estimation.serving import endpoint_needed
from ftctl.job import JobRecord, JobState, TunedModel
from ftctl.providers.base import AnsweringModel, AnsweringProvider, OpenAIServing
from ftctl.providers.registry import canonical_name, get_provider
from ftctl.store import Store

if TYPE_CHECKING:
    from ftctl.local_backend.training_prompt import TrainingPrompt

Message = Mapping[str, Any]


class TunedModelHandle:
    """A model that can be called; loaded at the first call and kept.

    Args:
        where: Where it answers.
        settings: Where converted base models are.
        provider: Whose key opens its base URL.
        loaded: The model, where it is ready already.
    """

    def __init__(
        self,
        where: TunedModel,
        settings: Settings,
        provider: str = "local",
        loaded: AnsweringModel | None = None,
    ) -> None:
        self.where = where
        self.provider = provider
        self._settings = settings
        self._loaded = loaded

    def chat(
        self,
        messages: Sequence[Message],
        *,
        max_new_tokens: int = 512,
        on_text: Callable[[str], None] | None = None,
    ) -> str:
        """Answer one conversation.

        Args:
            messages: Chat messages, the last one from the user.
            max_new_tokens: Longest answer, in tokens.
            on_text: Gets the answer piece by piece as it grows.

        Raises:
            UsageError: the model can't be loaded.
            ExtraMissing: torch or transformers isn't installed.
        """
        return self.load().chat(messages, max_new_tokens=max_new_tokens, on_text=on_text)

    @property
    def training_prompt(self) -> "TrainingPrompt | None":
        """The system message it was tuned with, where its run recorded one; loads the model."""
        from ftctl.local_backend.chat import LocalModel

        model = self.load()
        return model.training_prompt if isinstance(model, LocalModel) else None

    def load(self, *, merge: bool = True) -> AnsweringModel:
        """The model ready to answer; a local one is loaded at the first call.

        Args:
            merge: Whether its adapter goes into it, rather than beside it.
        """
        if self._loaded is None and self.where.base_url is not None:
            from ftctl.providers.openai.chat import HostedModel

            today = datetime.now(UTC).date()
            at = self.where.base_url
            needed = endpoint_needed(self.provider, at, as_of=today)
            self._loaded = HostedModel(self.where.name, at, self.provider, needed)
        if self._loaded is None:
            from ftctl.local_backend.chat import load_model

            folder = self.where.folder
            self._loaded = load_model(
                folder or self.where.base_model,
                self._settings.home,
                base=None if folder is None else self.where.base_model or None,
                merge=merge,
            )
        return self._loaded


def find_model(
    target: str,
    settings: Settings | None = None,
    *,
    provider: str | None = None,
    base_url: str | None = None,
) -> TunedModelHandle:
    """What a person means by `target`: a job, a folder, a hub id or a base model's name.

    A tuned model's own name is known where a job here made it; else its provider has to be named.

    Raises:
        NotFoundHere: it looks like a job, and there is none.
        NotFound: the job has no model yet.
        UsageError: it looks like a tuned model's name, and who serves it isn't known.
        Unsupported: the provider isn't asked by name.
    """
    settings = settings or load_settings()
    if provider is not None:
        return _served(target, settings, provider, base_url)
    folder = Path(target).expanduser()
    if len(target) < 4096 and folder.exists():
        tuned = (folder / "adapter_config.json").is_file()
        where = TunedModel(
            name=target, base_model="" if tuned else target, folder=folder if tuned else None
        )
        return TunedModelHandle(where, settings)
    with Store(settings.database_url) as store:
        try:
            record = store.get_job(target)
        except NotFoundHere:
            if target.startswith("job-"):
                raise
            record = None
        if record is None and ":" in target:
            record = _made(target, store)
    if record is None:
        return TunedModelHandle(TunedModel(name=target, base_model=target), settings)
    if record.remote_id is None:
        raise UsageError(f"{target} was never submitted", hint=f"ftctl job {record.id}")
    driver = get_provider(record.provider, settings, record.base_url)
    with telling_of(record):
        where = driver.tuned_model(record.remote_id)
    loaded = driver.answering(where.name) if isinstance(driver, AnsweringProvider) else None
    return TunedModelHandle(where, settings, record.provider, loaded)


def _made(name: str, store: Store) -> JobRecord | None:
    """The job here that made a tuned model of that name."""
    done = store.jobs(states=frozenset({JobState.SUCCEEDED}))
    made = next((job for job in done if job.fine_tuned_model == name), None)
    if made is None and name.startswith("ft:"):  # no folder, hub id or base model begins so
        raise UsageError(
            f"no job here made {name}, so who serves it isn't known",
            hint=f"ftctl chat {name} --provider mistral",
        )
    return made


def _served(name: str, settings: Settings, provider: str, base_url: str | None) -> TunedModelHandle:
    """A model of an account, whoever made it, by its name there."""
    if base_url is not None:
        require_base_url(base_url, origin="--base-url")
    provider = canonical_name(provider)
    driver = get_provider(provider, settings, base_url or find_base_url(provider))
    if isinstance(driver, OpenAIServing):
        where = TunedModel(name=name, base_model=name, base_url=driver.base_url)
        return TunedModelHandle(where, settings, provider)
    if not isinstance(driver, AnsweringProvider):
        raise Unsupported(
            f"ftctl asks {provider} only for models that a job here made",
            hint="ftctl models --mine",
        )
    where = TunedModel(name=name, base_model=name, base_url=base_url)
    return TunedModelHandle(where, settings, provider, driver.answering(name))


def chat(
    target: str,
    messages: Sequence[Message] | str,
    *,
    max_new_tokens: int = 512,
    on_text: Callable[[str], None] | None = None,
    settings: Settings | None = None,
) -> str:
    """Ask a model one thing: the library's `ftctl chat`.

    Args:
        target: A job, a folder, a hub id or a base model's name.
        messages: Chat messages, or one user message as text.
        max_new_tokens: Longest answer, in tokens.
        on_text: Gets the answer piece by piece as it grows.
        settings: Where jobs and converted models are.
    """
    asked = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    handle = find_model(target, settings)
    return handle.chat(asked, max_new_tokens=max_new_tokens, on_text=on_text)
