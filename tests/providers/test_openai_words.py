"""Every word of the SDK's own types is mapped, and what the loopback vendor says is valid there."""

import http.client
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest
from openai.types import FileDeleted, FileObject, Model, ModelDeleted, Upload
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from openai.types.fine_tuning.checkpoints import PermissionCreateResponse
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint
from openai.types.uploads import UploadPart
from pydantic import BaseModel, ValidationError

from ftctl.config import load_settings
from ftctl.job import JobSpec, JobState
from ftctl.providers.openai import wire as wire
from ftctl.providers.openai.driver import OpenAIProvider
from ftctl.store import Store
from ftctl.submission import submit
from ftctl.testing.openai_documents import job_document
from ftctl.testing.openai_vendor import OpenAIVendor
from ftctl.watcher import refresh


def words(model: type[BaseModel], name: str) -> set[str]:
    """The literal values that a field of the SDK may take."""
    hint = model.model_fields[name].annotation
    inner = [arg for arg in get_args(hint) if get_args(arg)]
    return {word for part in inner or [hint] for word in get_args(part)}


def test_every_status_word_is_mapped() -> None:
    said = words(FineTuningJob, "status")
    assert len(said) >= 6
    assert said <= set(wire.STATUS)
    assert set(wire.STATUS) - said == {"paused"}  # in OpenAI's OpenAPI description only


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("validating_files", JobState.VALIDATING),
        ("queued", JobState.QUEUED),
        ("running", JobState.RUNNING),
        ("paused", JobState.PAUSED),
        ("failed", JobState.FAILED),
        ("cancelled", JobState.CANCELLED),
        ("pondering", None),  # an observation, no state
    ],
)
def test_each_word_means_one_state(said: str, state: JobState | None) -> None:
    seen = wire.snapshot_of(wire.Job(id="ftjob-1", status=said))
    assert (seen.state, seen.provider_status) == (state, said)


def test_success_needs_a_model_or_a_little_time() -> None:
    def state(**more: Any) -> JobState | None:
        return wire.snapshot_of(wire.Job(id="ftjob-1", status="succeeded", **more)).state

    assert state(fine_tuned_model="ft:m") is JobState.SUCCEEDED
    assert state(finished_at=time.time() - 60) is JobState.RUNNING
    assert state(finished_at=time.time() - 3600) is JobState.SUCCEEDED  # the core calls it failed
    assert state() is JobState.SUCCEEDED


def test_every_event_level_and_type_is_mapped() -> None:
    assert words(FineTuningJobEvent, "level") == set(wire.EVENT_LEVEL)
    assert words(FineTuningJobEvent, "type") == set(wire.EVENT_TYPE)


def test_every_method_of_the_wire_is_known() -> None:
    field = FineTuningJob.model_fields["method"].annotation
    (method,) = (arg for arg in get_args(field) if isinstance(arg, type) and arg is not type(None))
    assert words(method, "type") == {"supervised", "dpo", "reinforcement"}
    assert OpenAIProvider.capabilities.methods == {"sft", "dpo", "rft"}


def test_the_words_test_can_fail() -> None:
    with pytest.raises(ValidationError):
        FineTuningJob.model_validate({"id": "x", "status": "pondering"}, strict=True)


def test_what_the_loopback_vendor_says_is_valid(
    vendor: OpenAIVendor, key: str, start: Callable[..., str]
) -> None:
    def get(path: str, method: str = "GET") -> Any:
        url = urlsplit(vendor.base_url + path)
        line = http.client.HTTPConnection(url.netloc)
        line.request(method, f"{url.path}?{url.query}", headers={"Authorization": f"Bearer {key}"})
        answer = json.load(line.getresponse())
        line.close()
        return answer

    job = start("job-1")
    for _ in range(4):
        FineTuningJob.model_validate(get(f"/fine_tuning/jobs/{job}"), strict=True)
    failed = start("job-2")
    vendor.move(failed, "failed")
    listed = get("/fine_tuning/jobs?limit=1")
    assert listed["has_more"]
    for row in [*listed["data"], *get("/fine_tuning/jobs")["data"]]:
        FineTuningJob.model_validate(row, strict=True)
    for row in get(f"/fine_tuning/jobs/{job}/events")["data"]:
        FineTuningJobEvent.model_validate(row, strict=True)
    for row in get(f"/fine_tuning/jobs/{job}/checkpoints")["data"]:
        FineTuningJobCheckpoint.model_validate(row, strict=True)
    for row in get("/models")["data"]:
        Model.model_validate(row, strict=True)
    files = get("/files")["data"]
    for row in files:
        FileObject.model_validate(row, strict=True)
    FileDeleted.model_validate(get(f"/files/{files[0]['id']}", "DELETE"), strict=True)
    model = vendor.jobs[job].document["fine_tuned_model"]
    ModelDeleted.model_validate(get(f"/models/{model}", "DELETE"), strict=True)


@pytest.mark.parametrize("strange", ["NaN", "Infinity", "-Infinity", "1e300", "1" + "0" * 400])
def test_numbers_that_are_none_are_no_traceback_and_damage_no_record(
    strange: str, vendor: OpenAIVendor, start: Callable[..., str], spec: JobSpec, tmp_path: Path
) -> None:
    driver = OpenAIProvider(load_settings(), vendor.base_url)
    with Store(f"sqlite:///{tmp_path / 'words.db'}") as store:
        there = spec.model_copy(update={"base_url": vendor.base_url})  # open on any day
        job = submit(there, store=store, provider=driver)
        assert job.remote_id is not None
        vendor.move(job.remote_id, "running")
        for event in vendor.jobs[job.remote_id].events:
            event["created_at"] = json.loads(strange)
            event["data"] = {"step": 1, "train_loss": json.loads(strange)}
        assert refresh(store, driver, job).progress["step"] == 1
        vendor.move(job.remote_id, "failed")
        vendor.jobs[job.remote_id].document["trained_tokens"] = json.loads(strange)
        vendor.jobs[job.remote_id].document["finished_at"] = json.loads(strange)
        refresh(store, driver, job)
        assert store.get_job(job.id).progress["step"] == 1


def post(vendor: OpenAIVendor, key: str, path: str, body: bytes, kind: str) -> Any:
    url = urlsplit(vendor.base_url + path)
    line = http.client.HTTPConnection(url.netloc)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}
    line.request("POST", url.path, body, headers)
    answer = json.load(line.getresponse())
    line.close()
    return answer


def test_parts_and_permissions_of_the_loopback_vendor_are_valid(
    vendor: OpenAIVendor, key: str
) -> None:
    def asked(path: str, body: dict[str, Any]) -> Any:
        return post(vendor, key, path, json.dumps(body).encode(), "application/json")

    begin = {"bytes": 3, "filename": "f.jsonl", "mime_type": "text/jsonl", "purpose": "fine-tune"}
    upload = Upload.model_validate(asked("/uploads", begin), strict=True)
    form = b'--b\r\nContent-Disposition: form-data; name="data"\r\n\r\nabc\r\n--b--\r\n'
    sent = post(vendor, key, f"/uploads/{upload.id}/parts", form, "multipart/form-data; boundary=b")
    part = UploadPart.model_validate(sent, strict=True)
    done = asked(f"/uploads/{upload.id}/complete", {"part_ids": [part.id]})
    assert Upload.model_validate(done, strict=True).file is not None
    shared = asked("/fine_tuning/checkpoints/ft:m/permissions", {"project_ids": ["proj_a"]})
    for row in shared["data"]:
        PermissionCreateResponse.model_validate(row, strict=True)


@pytest.mark.parametrize(
    "method",
    [
        {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.1}}},
        {
            "type": "reinforcement",
            "reinforcement": {
                "grader": {
                    "type": "string_check",
                    "name": "same",
                    "input": "a",
                    "reference": "b",
                    "operation": "eq",
                }
            },
        },
    ],
)
def test_jobs_of_every_method_are_shown_as_the_sdk_has_them(method: dict[str, Any]) -> None:
    asked = {"model": "m", "training_file": "file-1", "method": method}
    FineTuningJob.model_validate(job_document(asked, "running"), strict=True)
