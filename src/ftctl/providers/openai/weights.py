"""Weights that a vendor of OpenAI's wire gives: the files of a job's last checkpoint."""

from collections.abc import Iterator, Sequence

from ftctl.config import Credential
from ftctl.providers.artifacts.download import Download, http_download
from ftctl.providers.openai import wire as wire
from ftctl.providers.openai.connection import Connection
from ftctl.providers.transport.http_connection import require_key, segment


def last_with_weights(checkpoints: Sequence[wire.Checkpoint]) -> wire.Checkpoint | None:
    """The checkpoint after the most steps that has files; None where none has."""
    whole = [checkpoint for checkpoint in checkpoints if checkpoint.result_files]
    return max(whole, key=lambda checkpoint: checkpoint.step_number or 0, default=None)


def weights_of(
    at: Connection, checkpoint: wire.Checkpoint, *, who: str, base_url: str, provider: str
) -> Iterator[tuple[str, Download]]:
    """A checkpoint's files to bring home, by the vendor's names without the folder of its own.

    Args:
        at: Where they are.
        checkpoint: Whose.
        who: Whom messages name.
        base_url: Of the vendor's API, which sends them.
        provider: Whose key opens it.
    """
    files = [
        at.one(
            f"show file {file_id}",
            wire.File,
            lambda c, held=file_id: c.files.with_raw_response.retrieve(held),  # type: ignore[misc]
        )
        for file_id in checkpoint.result_files or ()
    ]
    own = _own_folder([file.filename for file in files])
    credential = require_key(provider, who)
    for file in files:
        name = file.filename.removeprefix(own)
        yield name, _download(file, name, base_url, credential, who)


def _download(
    file: wire.File, name: str, base_url: str, credential: Credential, who: str
) -> Download:
    link = f"{base_url}/files/{segment(file.id)}/content"
    return http_download(
        name, lambda: link, who=who, base_url=base_url, credential=credential, size=file.bytes
    )


def _own_folder(names: Sequence[str]) -> str:
    """The folder that stands before every name, where they all stand in one."""
    folders = {name.rpartition("/")[0] for name in names}
    return f"{folders.pop()}/" if len(folders) == 1 and folders != {""} else ""
