"""What a job at Together leaves at home beside its weights."""

import json
from collections.abc import Iterator

from pydantic import ValidationError

from ftctl.providers.artifacts.notes import card, record
from ftctl.providers.together.wire import Checkpoints, Job
from ftctl.providers.transport.documents import Document, Item

# What may change after a job has ended says nothing of which job it is.
_PASSING = {"events", "progress", "queue_depth", "updated_at"}
_SAYS = """\
The weights stand here in safetensors. At the vendor the model answers under the name `{name}` once
somebody makes a dedicated endpoint for it, billed by the minute. Settings and checkpoints stand in
`job.json`, what the job said in `events.jsonl`, the loss of every step in `metrics.jsonl`."""


class _Models(Document):
    data: tuple[Item, ...] = ()


def card_of(job: Job, base_url: str) -> bytes:
    """The model card: which model, from what, where it answers."""
    says = _SAYS.format(name=job.tuned)
    return card(job.tuned, base=job.model, job=job.id, base_url=base_url, says=says)


def record_of(job: Job, checkpoints: Checkpoints) -> bytes:
    """The job and its checkpoints as one JSON document to keep."""
    return record(
        {
            "job": job.model_dump(mode="json", exclude=_PASSING),
            "checkpoints": [row.model_dump(mode="json") for row in checkpoints.data],
        }
    )


def models_in(answer: bytes) -> Iterator[Item]:
    """The models of a list, which the vendor sends bare and gateways in an object."""
    try:
        said = json.loads(answer)
        rows = said if isinstance(said, list) else said["data"]
        yield from _Models.model_validate({"data": rows}).data
    except (ValueError, ValidationError, KeyError, TypeError):
        return
