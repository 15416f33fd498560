"""What a job that speaks Mistral's wire leaves at home: never weights."""

from ftctl.job import JobEvent
from ftctl.providers.artifacts.notes import card, record
from ftctl.providers.mistral.wire import Job
from ftctl.providers.transport.documents import lines_of

_SAYS = """\
Its weights stay there: it answers under the name `{name}`. Settings stand in `job.json`, what the
job said in `events.jsonl`, what it measured in `metrics.jsonl`."""


def files_of(job: Job, events: list[JobEvent], base_url: str) -> dict[str, bytes]:
    """Card, record, events and metrics of a job that succeeded, by file name."""
    says = _SAYS.format(name=job.tuned)
    return {
        "README.md": card(job.tuned, base=job.model, job=job.id, base_url=base_url, says=says),
        "job.json": record(job.model_dump(mode="json", exclude={"events", "modified_at"})),
        "events.jsonl": lines_of(event for event in events if event.kind != "metrics"),
        "metrics.jsonl": lines_of(event for event in events if event.kind == "metrics"),
    }
