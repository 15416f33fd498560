"""What a job at Fireworks leaves at home beside its weights."""

import re
from collections.abc import Sequence

from ftctl.job import TunedModel
from ftctl.providers.artifacts.notes import card, record
from ftctl.providers.fireworks.wire import Job

# What may change after a job has ended says nothing of which job it is.
_PASSING = {"job_progress", "metrics_file_signed_url", "status"}
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/")
_SAYS = """\
The weights stand here in safetensors. At the vendor the model answers under the name `{name}` once
somebody makes a deployment for it, billed by the second. Settings stand in `job.json`, what the job
measured in `metrics.jsonl`."""


def card_of(job: Job, tuned: TunedModel, base_url: str) -> bytes:
    """The model card: which model, from what, where it answers."""
    says = _SAYS.format(name=tuned.name)
    return card(tuned.name, base=job.base, job=job.name, base_url=base_url, says=says)


def record_of(job: Job) -> bytes:
    """The job as one JSON document to keep, without links that anybody who has them can use."""
    return record({"job": job.model_dump(mode="json", exclude=_PASSING)})


def without_folder(names: Sequence[str]) -> list[str]:
    """File names without the one folder that may stand before every one of them."""
    first = {found[0] if (found := _FOLDER.match(name)) else "" for name in names}
    prefix = next(iter(first)) if len(first) == 1 else ""
    return [name.removeprefix(prefix) for name in names]
