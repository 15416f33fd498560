"""An adapter in a hub's repository, brought to this machine: no pickle, no code."""

from pathlib import Path
from typing import Any, cast

from ftctl.datasets.render import load_tokenizer
from ftctl.errors import UsageError
from ftctl.local_backend.base_models import find_base, hub_key, quiet_transformers
from ftctl.local_backend.model import adapter_base

CONFIG = "adapter_config.json"
_TAKEN = ["adapter_model*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt"]


def fetch_adapter(repo: str, home: Path) -> Path | None:
    """The adapter of a repository as a folder; None where it holds none, or doesn't answer.

    Only what an adapter needs is fetched, and again only what has changed. Where it has no
    tokenizer of its own the base model's is put beside it.

    Args:
        repo: A hub id.
        home: The ftctl home, under whose cache it is kept.

    Raises:
        UsageError: its weights aren't safetensors, it doesn't come whole, or has no known base.
    """
    from huggingface_hub import hf_hub_download, snapshot_download

    key = hub_key(repo, home)
    folder = home / "cache" / "adapters" / repo.replace("/", "--")
    with quiet_transformers():
        try:
            hf_hub_download(repo, CONFIG, token=key)
        except (OSError, ValueError):
            return None  # a whole model, or what loading one says better
        try:
            snapshot_download(repo, allow_patterns=_TAKEN, local_dir=folder, token=key)
        except (OSError, ValueError) as error:
            said = str(error).strip().partition("\n")[0] or type(error).__name__
            raise UsageError(
                f"{repo}: the adapter could not be fetched ({said})", hint="run it again"
            ) from None
    if not any(folder.glob("adapter_model*.safetensors")):
        raise UsageError(
            f"{repo}: the adapter's weights aren't safetensors; other formats can run any program",
            hint="ask its author for adapter_model.safetensors",
        )
    if not any(folder.glob("tokenizer*")):
        base = find_base(adapter_base(folder), home)
        # transformers' own, of which our protocol names what we need most
        cast(Any, load_tokenizer(base, key=hub_key(base, home))).save_pretrained(folder)
    return folder
