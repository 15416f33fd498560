"""Jobs that have ended, as a worker would have left them, without the time to train one."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.datasets.render import load_tokenizer
from ftctl.job import JobRecord, JobSpec, JobState, Tuning
from ftctl.local_backend.model import load_base
from ftctl.local_backend.output import write_manifest
from ftctl.local_backend.run_folder import ExitRecord, RunFolder, WorkerConfig
from ftctl.store import Store

SYSTEM_PROMPTS = {"distinct": 1, "most_common": "Be brief.", "share": 1.0}
_WAY = (JobState.UPLOADING, JobState.SUBMITTING, JobState.RUNNING)


def finished_job(
    model: Path, data: Path, *, validation: Path | None = None, tuning: Tuning = "lora"
) -> str:
    """A local job that has succeeded: its record, its run folder, a random adapter or model."""
    job = unfinished_job(model, data, validation=validation, tuning=tuning)
    run = RunFolder(load_settings().home / "runs" / job.marker, attempt=1)
    run.path.mkdir(parents=True)
    spec = job.spec
    config = WorkerConfig(
        attempt=1,
        job_id=job.marker,
        name=spec.name,
        model=spec.model,
        data=data,
        data_sha256=spec.data_sha256,
        validation=validation,
        validation_sha256=spec.validation_sha256,
        method="sft",
        tuning=tuning,
        hyperparameters=spec.hyperparameters,
        home=load_settings().home,
    )
    run.write(run.config_file, config)
    end = ExitRecord(attempt=1, outcome="succeeded", message="done", at=datetime.now(UTC))
    run.write(run.exit_file(1), end)
    tuned(model, run.output, whole=tuning == "full")
    return job.id


def unfinished_job(
    model: Path, data: Path, *, validation: Path | None = None, tuning: Tuning = "lora"
) -> JobRecord:
    """The record of a local job that was running when last seen."""
    spec = JobSpec(
        provider="local",
        model=str(model),
        data=data,
        data_sha256=file_sha256(data),
        validation=validation,
        validation_sha256=None if validation is None else file_sha256(validation),
        tuning=tuning,
        name="brief",
    )
    with Store(load_settings().database_url) as store:
        job = store.add_job(spec, "asked", new=True)
        for state in _WAY:
            change: dict[str, Any] = {"state": state, "remote_id": job.marker}
            job = store.update(job.id, lambda _, change=change: change)  # type: ignore[misc]
    return job


def tuned(base: Path, folder: Path, *, whole: bool = False, scale: float = 0.1) -> Path:
    """What a run leaves: a random adapter on the base, or the base with other weights."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    model = load_base(base, torch.float32, "cpu")
    if not whole:
        model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad and weight.dim() > 1:
                weight.add_(torch.randn_like(weight) * (scale if not whole else scale / 10))
    model.save_pretrained(folder)
    load_tokenizer(base).save_pretrained(folder)  # type: ignore[attr-defined]
    record = {"system_prompts": SYSTEM_PROMPTS, "config": {"model": str(base)}}
    (folder / "run.json").write_text(json.dumps(record), "utf-8")
    write_manifest(folder)
    return folder
