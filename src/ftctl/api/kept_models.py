"""Tuned models that a vendor keeps, whoever made them: shown, renamed, put aside, deleted."""

from datetime import date

from pydantic import BaseModel, ConfigDict

from ftctl.api.job_handle import open_store
from ftctl.catalog.load import load_catalog
from ftctl.config import Settings, find_base_url, load_settings, require_base_url
from ftctl.errors import Unsupported, UsageError
from ftctl.job import JobState
from ftctl.policy import is_vendors_own
from ftctl.providers.base import KeptModel, ModelKeeper
from ftctl.providers.registry import canonical_name, get_provider
from ftctl.store import Store


class Storage(BaseModel):
    """What the vendor takes for keeping models, in USD a month."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    usd_per_model: float
    usd: float
    source: str
    as_of: date


class Keeper:
    """The tuned models of an account.

    Args:
        provider: Who keeps them.
        base_url: Where that is; the vendor's own, or the environment's, when None.
        settings: Where store and keys are.

    Raises:
        UsageError: no such provider, or no base URL.
        Unsupported: its models can't be looked after from here.
    """

    def __init__(
        self, provider: str, *, base_url: str | None = None, settings: Settings | None = None
    ) -> None:
        self._settings = settings or load_settings()
        self.provider = canonical_name(provider)
        if base_url is not None:
            require_base_url(base_url, origin="--base-url")
        self.base_url = base_url or find_base_url(self.provider)
        driver = get_provider(self.provider, self._settings, self.base_url)
        if not isinstance(driver, ModelKeeper):
            raise Unsupported(
                f"models at {self.provider} can't be looked after from here",
                hint="ftctl forget ID deletes what a job here made",
            )
        self._driver = driver

    def models(self) -> list[KeptModel]:
        """Every tuned model of the account, by base and id."""
        return sorted(self._driver.kept_models(), key=lambda model: (model.base, model.id))

    def show(self, model: str) -> KeptModel:
        """One of them."""
        return self._driver.kept_model(model)

    def rename(self, model: str, name: str, description: str | None = None) -> KeptModel:
        """Give it another name to be shown by; it answers to its id as before."""
        if not name.strip():
            raise UsageError("the new name is empty", hint="ftctl models rename ID NAME")
        return self._driver.rename_model(model, name, description)

    def archive(self, model: str, *, archived: bool = True) -> KeptModel:
        """Put it aside, or bring it back."""
        return self._driver.archive_model(model, archived=archived)

    def delete(self, model: str) -> None:
        """Delete it for good, see that it is gone, and keep a note of it in the audit log."""
        self._driver.delete_model(model)
        with open_store(self._settings) as store:
            store.audit("model_deleted", {"provider": self.provider, "model": model})

    def storage(self, models: int) -> Storage | None:
        """What so many models cost a month; None where no price is known, as of a gateway."""
        if not is_vendors_own(self.provider, self.base_url):
            return None
        fees = load_catalog().fees
        fee = next((f for f in fees if (f.provider, f.kind) == (self.provider, "storage")), None)
        if fee is None:
            return None
        return Storage(
            usd_per_model=fee.usd, usd=fee.usd * models, source=fee.source, as_of=fee.as_of
        )


def keeper_of(
    model: str,
    *,
    provider: str | None = None,
    base_url: str | None = None,
    settings: Settings | None = None,
) -> Keeper:
    """Who keeps a model: the one that is named, else that of the job here which made it.

    Raises:
        UsageError: neither is known.
        Unsupported: its models can't be looked after from here.
    """
    settings = settings or load_settings()
    if provider is not None:
        return Keeper(provider, base_url=base_url, settings=settings)
    with Store(settings.database_url) as store:
        done = store.jobs(states=frozenset({JobState.SUCCEEDED}))
    made = next((job for job in done if job.fine_tuned_model == model), None)
    if made is None:
        raise UsageError(
            f"no job here made {model!r}, so who keeps it isn't known",
            hint="name it: --provider mistral",
        )
    return Keeper(made.provider, base_url=base_url or made.base_url, settings=settings)
