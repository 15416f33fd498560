"""What a job at a vendor of OpenAI's wire leaves at home: metrics as CSV, a record, a card."""

import base64
import binascii
import contextlib
import csv
import functools
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

from ftctl.errors import Unavailable
from ftctl.job import TunedModel
from ftctl.providers.artifacts.download import Download, Stream
from ftctl.providers.artifacts.notes import card, record
from ftctl.providers.openai import wire as wire
from ftctl.providers.openai.connection import Connection

_BLOCK = 1 << 20  # bytes
_LARGEST_RESULT = 16 << 20  # bytes that are read for the steps; fetch brings all
_MOST_STEPS = 400
_BEGINS = b"step"  # as the columns of every result file do


def metrics_download(at: Connection, file_id: str) -> Download:
    """A result file to bring home as CSV: the vendor has been seen to send it in base64.

    Args:
        at: Where it is.
        file_id: The vendor's.
    """
    return Download(functools.partial(_open, at, file_id))


def steps_of(at: Connection, job: wire.Job) -> Iterator[wire.Measured]:
    """What a job's result file tells of its steps, the last one included; at most a few hundred.

    Args:
        at: Where it is.
        job: One that has ended.
    """
    for file_id in (job.result_files or ())[:1]:
        with metrics_download(at, file_id).open(0, None) as stream:
            content = b"".join(_at_most(stream.chunks, _LARGEST_RESULT))
        rows = list(_rows(content.decode("utf-8", "replace")))
        every = -(-len(rows) // _MOST_STEPS) or 1
        for row in rows[::-every][::-1]:
            if "step" in row:
                yield wire.Measured(f"{file_id}-{row['step']:g}", job.finished_at or 0.0, row)


def _rows(text: str) -> Iterator[dict[str, float]]:
    """The numbers of each line; what else stands in it, or after what is no CSV, is left out."""
    with contextlib.suppress(csv.Error):
        for row in csv.DictReader(io.StringIO(text)):
            row.pop(None, None)  # more cells than columns
            numbers = {name: _number(cell) for name, cell in row.items()}
            yield {name: number for name, number in numbers.items() if number is not None}


def checkpoints_measured(
    job: wire.Job, checkpoints: Sequence[wire.Checkpoint]
) -> Iterator[wire.Measured]:
    """What was measured at a job's checkpoints, by their steps."""
    for checkpoint in sorted(checkpoints, key=lambda row: row.step_number or 0):
        told = {name: value for name, value in (checkpoint.metrics or {}).items() if value}
        if told:
            values = {"step": float(checkpoint.step_number or 0)} | told
            yield wire.Measured(f"{checkpoint.id}-metrics", job.finished_at or 0.0, values)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _at_most(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        size -= len(chunk)
        if size < 0:
            return
        yield chunk


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
    return record(
        {
            "job": job.model_dump(mode="json"),
            "checkpoints": [checkpoint.model_dump(mode="json") for checkpoint in checkpoints],
        }
    )


_THERE = """It answers under the name `{model}` at that base URL; its weights can't be downloaded.
Settings and checkpoints stand in `job.json`, the loss of every step in `metrics*.csv`."""
_HERE = """Its weights are in this folder, as the vendor's checkpoint `{model}` holds them.
Settings, checkpoints and what was measured at them stand in `job.json`."""


def card_of(job: wire.Job, tuned: TunedModel, base_url: str, *, weights: bool) -> bytes:
    """The model card: which model, from what, where it answers.

    Args:
        job: The vendor's.
        tuned: What it made.
        base_url: Of the vendor's API.
        weights: Whether its weights are brought home with the card.
    """
    name = (job.metadata or {}).get(wire.NAME) or job.suffix or job.id
    says = (_HERE if weights else _THERE).format(model=tuned.name)
    return card(name, base=job.model, job=job.id, base_url=base_url, says=says)
