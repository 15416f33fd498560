"""What a job that speaks Mistral's wire leaves at home: never weights."""

import json

from ftctl import __version__
from ftctl.job import JobEvent
from ftctl.providers.mistral.wire import Job
from ftctl.providers.transport.documents import lines_of

_CARD = """# {name}

A model tuned from `{base}` by job `{job}` at {base_url}, noted by ftctl {version}.

Its weights stay there: it answers under the name `{name}`. Settings stand in `job.json`, what the
job said in `events.jsonl`, what it measured in `metrics.jsonl`.
"""


def files_of(job: Job, events: list[JobEvent], base_url: str) -> dict[str, bytes]:
    """Card, record, events and metrics of a job that succeeded, by file name."""
    card = _CARD.format(
        name=job.tuned, base=job.model, job=job.id, base_url=base_url, version=__version__
    )
    record = job.model_dump(mode="json", exclude={"events", "modified_at"})
    return {
        "README.md": card.encode(),
        "job.json": json.dumps(record, indent=1, sort_keys=True).encode(),
        "events.jsonl": lines_of(event for event in events if event.kind != "metrics"),
        "metrics.jsonl": lines_of(event for event in events if event.kind == "metrics"),
    }
