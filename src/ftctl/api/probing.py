"""`probe`: how long a model takes to answer from here, measured."""

from collections.abc import Callable

from ftctl.api.model_handle import TunedModelHandle, find_model
from ftctl.catalog.load import load_catalog
from ftctl.config import Settings
from ftctl.evaluation.probe import Probe, Who
from ftctl.evaluation.probe import probe as time_calls


def probe(
    target: str,
    *,
    provider: str | None = None,
    base_url: str | None = None,
    calls: int = 30,
    input_tokens: int = 1_000,
    output_tokens: int = 200,
    on_call: Callable[[int], None] | None = None,
    settings: Settings | None = None,
) -> Probe:
    """Time a model's answers to made-up prompts: no row of anybody's is sent.

    A vendor bills each call as any other.

    Args:
        target: A job, a folder, a hub id or a model's name.
        provider: Who serves the model, where no job here made it.
        base_url: Where that is, if not at the vendor.
        calls: How many are timed, after one that warms up.
        input_tokens: About how long each prompt is.
        output_tokens: The longest answer.
        on_call: Told how many calls have ended.
        settings: Where jobs and converted models are.

    Raises:
        UsageError: the model can't be found or loaded.
        FtctlError: the first call failed, or most of the others.
    """
    handle = find_model(target, settings, provider=provider, base_url=base_url)
    model = handle.load()
    return time_calls(
        model,
        _who(target, handle),
        calls=calls,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        on_call=on_call,
    )


def _who(target: str, handle: TunedModelHandle) -> Who:
    where = handle.where
    base = where.base_model or where.name
    device = None
    if where.base_url is None and handle.provider == "local":
        from ftctl.local_backend.hardware import describe_device, find_device
        from ftctl.local_backend.model import adapter_base

        base = base if where.folder is None else adapter_base(where.folder)
        device = describe_device(find_device())
    known = load_catalog().find_model(base)
    return Who(target, handle.provider, base if known is None else known.name, device)
