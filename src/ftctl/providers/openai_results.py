"""What a job at a vendor of OpenAI's wire leaves at home: metrics as CSV, a record, a card."""

import base64
import binascii
import functools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

from ftctl import __version__
from ftctl.errors import Unavailable
from ftctl.job import TunedModel
from ftctl.providers import openai_wire as wire
from ftctl.providers.download import Download, Stream
from ftctl.providers.openai_connection import Connection

_BLOCK = 1 << 20  # bytes
_BEGINS = b"step"  # as the columns of every result file do


def metrics_download(at: Connection, file_id: str) -> Download:
    """A result file to bring home as CSV: the vendor has been seen to send it in base64.

    Args:
        at: Where it is.
        file_id: The vendor's.
    """
    return Download(functools.partial(_open, at, file_id))


@contextmanager
def _open(at: Connection, file_id: str, offset: int, version: str | None) -> Iterator[Stream]:
    """The whole file, always: OpenAI's API says nothing of parts or versions of one."""
    del offset, version
    with (
        at.asking(f"send file {file_id}") as client,
        client.files.with_streaming_response.content(file_id) as response,
    ):
        yield Stream(_plain(response.iter_bytes(_BLOCK)))


def _plain(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Plain CSV, a block at a time; what is neither that nor base64 of it stays what it is."""
    first = next(chunks, b"")
    rest = chain([first], chunks)
    try:
        packed = base64.b64decode(first[:8], validate=True).startswith(_BEGINS)
    except (binascii.Error, ValueError):
        packed = False
    return _decoded(rest) if packed and not first.startswith(_BEGINS) else rest


def _decoded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    kept = b""
    for chunk in chunks:
        kept += b"".join(chunk.split())
        whole = len(kept) // 4 * 4  # characters that stand for whole bytes
        try:
            yield base64.b64decode(kept[:whole], validate=True)
        except (binascii.Error, ValueError):
            raise Unavailable(
                "a result file is base64 at its beginning and something else further on",
                hint="run the same command again",
            ) from None
        kept = kept[whole:]
    if kept:
        raise Unavailable(
            "a result file breaks off in the middle of its base64",
            hint="run the same command again",
        )


def record_of(job: wire.Job, checkpoints: Sequence[wire.Checkpoint]) -> bytes:
    """The job and its checkpoints as one JSON document to keep."""
    record = {
        "job": job.model_dump(mode="json"),
        "checkpoints": [checkpoint.model_dump(mode="json") for checkpoint in checkpoints],
    }
    return json.dumps(record, indent=1, sort_keys=True).encode()


_CARD = """# {name}

A model fine-tuned from `{base}` by job `{job}` at {base_url}, submitted by ftctl {version}.

{where}
"""
_THERE = """It answers under the name `{model}` at that base URL; its weights can't be downloaded.
Settings and checkpoints stand in `job.json`, the loss of every step in `metrics*.csv`."""
_HERE = """Its weights are in this folder, as the vendor's checkpoint `{model}` holds them.
Settings, checkpoints and what was measured stand in `job.json` and `events.jsonl`."""


def card_of(job: wire.Job, tuned: TunedModel, base_url: str, *, weights: bool) -> bytes:
    """The model card: which model, from what, where it answers.

    Args:
        job: The vendor's.
        tuned: What it made.
        base_url: Of the vendor's API.
        weights: Whether its weights are brought home with the card.
    """
    return _CARD.format(
        name=(job.metadata or {}).get(wire.NAME) or job.suffix or job.id,
        base=job.model,
        job=job.id,
        base_url=base_url,
        version=__version__,
        where=(_HERE if weights else _THERE).format(model=tuned.name),
    ).encode()
