"""Which driver a provider's name means; imported when it is asked for."""

import difflib
import functools
import sys
from importlib.metadata import EntryPoint, entry_points

from ftctl.config import Settings
from ftctl.errors import Unsupported, UsageError
from ftctl.providers.base import Provider

_GROUP = "ftctl.providers"
# Each is called with the settings and the job's base URL.
_DRIVERS = {
    "fireworks": "ftctl.providers.fireworks.driver:FireworksProvider",
    "huggingface": "ftctl.providers.huggingface.driver:HuggingFaceProvider",
    "openai": "ftctl.providers.openai.driver:OpenAIProvider",
    "azure": "ftctl.providers.openai.driver:AzureProvider",
    "nebius": "ftctl.providers.openai.driver:NebiusProvider",
    "bedrock": "ftctl.providers.openai.driver:BedrockProvider",
    "mistral": "ftctl.providers.mistral.driver:MistralProvider",
    "together": "ftctl.providers.together.driver:TogetherProvider",
}


def is_plugin(name: str) -> bool:
    """Whether a provider comes from an installed package, or is the fake one: no catalog row."""
    return name == "fake" or name in _plugins(tuple(sys.path))


@functools.lru_cache(maxsize=1)
def _plugins(path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """What is installed along `path`; looking takes longer than a request to a vendor does."""
    del path  # only so that what is put on it later is found
    return {entry.name: entry for entry in entry_points(group=_GROUP)}


def canonical_name(name: str) -> str:
    """A provider's own name, where `name` is an alias that the catalog knows; else itself.

    Jobs are kept under it, so that an alias makes no second job.
    """
    if is_plugin(name):
        return name
    from ftctl.catalog.load import load_catalog

    row = load_catalog().find_provider(name)
    return name if row is None else row.name


def get_provider(name: str, settings: Settings, base_url: str | None = None) -> Provider:
    """The driver of a provider.

    Args:
        name: As the catalog or an installed package knows it.
        settings: Where things are on this machine.
        base_url: The job's own base URL; a key is sent nowhere else.

    Raises:
        UsageError: nothing of that name is known.
        Unsupported: the catalog knows it, this version of ftctl has no driver for it.
    """
    if name == "local":
        from ftctl.providers.local import LocalProvider

        return LocalProvider(settings.home)
    if name == "fake":  # for tests; in no list and no catalog
        from ftctl.providers.fake import FakeProvider

        return FakeProvider(settings.home / "fake")
    name = canonical_name(name)
    if name in _DRIVERS:
        entry: EntryPoint | None = EntryPoint(name, _DRIVERS[name], _GROUP)
    else:
        entry = _plugins(tuple(sys.path)).get(name)
    if entry is not None:
        made: Provider = entry.load()(settings, base_url)
        return made
    from ftctl.catalog.load import load_catalog

    known = load_catalog().provider_names()
    if name in known:
        raise Unsupported(
            f"this version of ftctl has no driver for {name}",
            hint="ftctl providers shows what is open; --provider local runs here",
        )
    near = difflib.get_close_matches(name, [*known, "local"], n=1)
    raise UsageError(
        f"unknown provider {name!r}" + (f"; did you mean {near[0]}?" if near else ""),
        hint="ftctl providers",
    )
