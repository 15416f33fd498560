"""Documents of OpenAI's wire as the loopback vendor shows them, and as it does at odd moments."""

import secrets
import time
from collections.abc import Sequence
from typing import Any

from ftctl.testing.loopback import Answer, Json, Request
from ftctl.testing.under_test import TROUBLE


def page(oldest_first: Sequence[Json], request: Request) -> Answer:
    """One page, newest first, as every list of this API is."""
    rows = list(reversed(oldest_first))
    after = request.query.get("after")
    if after is not None:
        ids = [row["id"] for row in rows]
        rows = rows[ids.index(after) + 1 :] if after in ids else []
    limit = int(request.query.get("limit", "20"))
    return Answer({"object": "list", "data": rows[:limit], "has_more": len(rows) > limit})


def job_document(asked: Json, status: str) -> Json:
    """A new job as the vendor shows it."""
    method = asked.get("method") or {"type": "supervised", "supervised": {}}
    kind = method["type"]
    inner = method.get(kind) or {}
    settings = {"n_epochs": 3, "batch_size": 1, "learning_rate_multiplier": 2.0}
    settings |= inner.get("hyperparameters") or {}
    return {
        "id": f"ftjob-{secrets.token_hex(8)}",
        "object": "fine_tuning.job",
        "created_at": int(time.time()),
        "finished_at": None,
        "estimated_finish": None,
        "model": asked["model"],
        "fine_tuned_model": None,
        "organization_id": "org-loopback",
        "status": status,
        "error": None,
        "training_file": asked["training_file"],
        "validation_file": asked.get("validation_file"),
        "result_files": [],
        "trained_tokens": None,
        "seed": asked.get("seed") or 0,
        "hyperparameters": settings,
        "method": {"type": kind, kind: inner | {"hyperparameters": settings}},
        "integrations": [],
        "metadata": asked.get("metadata"),
        "user_provided_suffix": asked.get("suffix"),
    }


def nebius_job_document(asked: Json, status: str) -> Json:
    """A new job as Nebius shows it: no method and no metadata, but steps and the suffix."""
    given = asked.get("hyperparameters") or {}
    document = job_document({**asked, "metadata": None, "method": None}, status)
    for name in ("method", "metadata", "fine_tuned_model", "user_provided_suffix"):
        del document[name]
    return document | {
        "hyperparameters": {"n_epochs": 3, "batch_size": 8, "learning_rate": 1e-5} | given,
        "suffix": asked.get("suffix"),
        "trained_steps": 0,
        "total_steps": 2,
    }


def event(message: str, **more: Any) -> Json:  # noqa: ANN401 - an event's other fields
    """A line that a job says."""
    return {
        "id": f"ftevent-{secrets.token_hex(8)}",
        "object": "fine_tuning.job.event",
        "created_at": int(time.time()),
        "level": "info",
        "message": message,
        "type": "message",
        "data": None,
        **more,
    }


def metrics(step: int) -> Json:
    """A line with what was measured at a step."""
    data = {"step": step, "total_steps": 2, "train_loss": 2.0 / step}
    said = f"Step {step}/2: training loss={data['train_loss']:.2f}"
    return event(said, type="metrics", data=data)


def checkpoint(job_id: str, model: str, step: int) -> Json:
    """A model kept at a step."""
    return {
        "id": f"ftckpt-{job_id[-6:]}-{step}",
        "object": "fine_tuning.job.checkpoint",
        "created_at": int(time.time()),
        "fine_tuned_model_checkpoint": f"{model}:ckpt-step-{step}",
        "fine_tuning_job_id": job_id,
        "metrics": {"step": float(step), "train_loss": 2.0 / step},
        "step_number": step,
    }


def model(name: str, owner: str, shutdown: str | None = None) -> Json:
    """A model that can be asked."""
    made = int(time.time())
    shown = {"id": name, "object": "model", "created": made, "owned_by": owner}
    return shown | {"shutdown_date": shutdown}


def file(name: str, purpose: str, size: int, status: str = "processed") -> Json:
    """A file that is held."""
    return {
        "id": f"file-{secrets.token_hex(6)}",
        "object": "file",
        "bytes": size,
        "created_at": int(time.time()),
        "filename": name,
        "purpose": purpose,
        "status": status,
    }


def permission(project: str) -> Json:
    """Who may use a checkpoint."""
    made = {"id": f"cp_{secrets.token_hex(6)}", "object": "checkpoint.permission"}
    return made | {"created_at": int(time.time()), "project_id": project}


def nulls_while_running(document: Json) -> Json:
    """What the vendor really says of a healthy job: an error object in which all is null."""
    return document | {"error": {"code": None, "message": None, "param": None}}


def trouble_while_running(document: Json) -> Json:
    """A job that runs on and shows an error object all the same."""
    error = {"code": "slow", "message": TROUBLE, "param": None}
    return document | {"status": "running", "error": error}


def succeeded_in_part(document: Json) -> Json:
    """A job that succeeded with a model, and says what went wrong on the way."""
    error = {"code": "partial", "message": TROUBLE, "param": None}
    return document | {"status": "succeeded", "fine_tuned_model": "ft:part", "error": error}


def without_model(document: Json) -> Json:
    """A job that succeeded and names no model."""
    return document | {"status": "succeeded", "fine_tuned_model": None}
