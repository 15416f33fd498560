"""What another tool tuned, brought into the layout that ftctl and PEFT read."""

from pathlib import Path

from ftctl.api.export_request import Exported
from ftctl.api.submitting import whole_path
from ftctl.config import Settings, load_settings
from ftctl.errors import UsageError


def import_mistral_adapter(
    folder: Path,
    to: str,
    out: Path | None,
    *,
    model: str | None,
    settings: Settings | None = None,
) -> Exported:
    """Write the adapter of a mistral-finetune checkpoint as a PEFT folder.

    Args:
        folder: The checkpoint's folder, with `lora.safetensors` and `params.json`.
        to: Has to be `peft`.
        out: The folder to write.
        model: The base that it was tuned from: a name of `ftctl models`, a folder, a hub id.
        settings: Where things are on this machine.

    Raises: as `local_backend.mistral_adapter.import_adapter`.
    """
    from ftctl.local_backend.mistral_adapter import import_adapter

    settings = settings or load_settings()
    if to != "peft" or out is None:
        raise UsageError(
            f"{folder}: an adapter of mistral-finetune becomes a PEFT folder first",
            hint=f"ftctl export {folder} --to peft -o DIR --model BASE",
        )
    if model is None:
        raise UsageError(
            f"{folder}: it doesn't say which model it was tuned from",
            hint="--model BASE: a name of `ftctl models`, a folder or a hub id",
        )
    place = import_adapter(folder, whole_path(model), out.expanduser(), settings.home)
    files = sorted(file for file in place.iterdir() if file.is_file())
    return Exported(
        job="",
        to=to,
        place=str(place),
        files=tuple(file.name for file in files),
        bytes=sum(file.stat().st_size for file in files),
    )
