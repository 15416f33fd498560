"""Files, jobs and models in OpenAI's shapes, held against the types of OpenAI's own SDK."""

import os
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import pytest
from openai.pagination import SyncCursorPage, SyncPage
from openai.types import FileDeleted, FileObject, Model
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint
from pydantic import BaseModel
from starlette.testclient import TestClient
from tiny_model import write_data

from ftctl.job import JobState
from ftctl.server.files import FileStore
from ftctl.server.openai_api.jobs import STATUS

JOBS = "/v1/fine_tuning/jobs"


def strictly(kind: type[BaseModel], answer: Any) -> Any:
    """The SDK itself builds its objects of anything; we don't let it."""
    kind.model_validate(answer, strict=True)
    return answer


def upload(client: TestClient, data: bytes, name: str = "train.jsonl") -> str:
    sent = client.post("/v1/files", files={"file": (name, data)}, data={"purpose": "fine-tune"})
    assert sent.status_code == 200, sent.text
    return str(strictly(FileObject, sent.json())["id"])


def rows(count: int, tmp_path: Path) -> bytes:
    return write_data(tmp_path / "rows.jsonl", count).read_bytes()


def ended(client: TestClient, job_id: str) -> dict[str, Any]:
    give_up = time.monotonic() + 30
    while (job := client.get(f"{JOBS}/{job_id}").json())["finished_at"] is None:
        assert time.monotonic() < give_up, job
        time.sleep(0.02)
    found: dict[str, Any] = strictly(FineTuningJob, job)
    return found


def test_a_file_comes_back_byte_for_byte_and_goes(client: TestClient) -> None:
    data = b'{"a": "\xff\x00"}\r\n' * 3
    file_id = upload(client, data, "zähne.jsonl")
    found = strictly(FileObject, client.get(f"/v1/files/{file_id}").json())
    assert (found["bytes"], found["filename"], found["status"]) == (39, "zähne.jsonl", "processed")
    assert client.get(f"/v1/files/{file_id}/content").content == data
    assert strictly(FileDeleted, client.delete(f"/v1/files/{file_id}").json())["deleted"] is True
    assert client.get(f"/v1/files/{file_id}").status_code == 404
    assert client.get(f"/v1/files/{file_id}/content").status_code == 404


def test_uploads_are_their_owners_alone(client: TestClient, clean_environment: Path) -> None:
    upload(client, b"{}")
    assert stat.S_IMODE((clean_environment / "server" / "files").stat().st_mode) == 0o700


def test_files_are_listed_in_pages_newest_first(client: TestClient) -> None:
    ids = [upload(client, b"%d" % n) for n in range(3)]
    page = client.get("/v1/files", params={"limit": 2}).json()
    assert [row["id"] for row in page["data"]] == ids[:0:-1]
    assert (page["has_more"], page["last_id"]) == (True, ids[1])
    rest = client.get("/v1/files", params={"limit": 2, "after": page["last_id"]}).json()
    assert [row["id"] for row in rest["data"]] == ids[:1]
    assert rest["has_more"] is False
    forwards = client.get("/v1/files", params={"order": "asc"}).json()["data"]
    assert [row["id"] for row in forwards] == ids
    assert client.get("/v1/files", params={"purpose": "fine-tune-results"}).json()["data"] == []


def test_an_expired_file_is_gone(client: TestClient) -> None:
    form = {"purpose": "fine-tune", "expires_after[anchor]": "created_at"}
    kept = client.post(
        "/v1/files",
        files={"file": ("a.jsonl", b"{}")},
        data=form | {"expires_after[seconds]": "3600"},
    ).json()
    assert strictly(FileObject, kept)["expires_at"] == pytest.approx(time.time() + 3600, abs=60)
    soon = client.post(
        "/v1/files", files={"file": ("a.jsonl", b"{}")}, data=form | {"expires_after[seconds]": "5"}
    )
    assert soon.status_code == 400


def test_too_few_examples_fail_the_job_not_the_request(client: TestClient, tmp_path: Path) -> None:
    file_id = upload(client, rows(7, tmp_path))
    made = client.post(JOBS, json={"model": "hollow", "training_file": file_id})
    assert made.status_code == 200
    job = strictly(FineTuningJob, made.json())
    assert job["status"] == "validating_files"
    assert (job["error"], job["fine_tuned_model"], job["trained_tokens"]) == (None, None, None)
    failed = ended(client, job["id"])
    assert failed["status"] == "failed"
    assert failed["error"] == {
        "code": "invalid_n_examples",
        "message": "Training file has 7 example(s), but must have at least 10 examples",
        "param": "training_file",
    }
    told = client.get(f"{JOBS}/{job['id']}/events").json()["data"]
    for event in told:
        strictly(FineTuningJobEvent, event)
    said = {event["message"].partition(":")[0]: event["level"] for event in told[::-1]}
    ours = ["Created fine-tuning job", "Validating training file", "The job failed"]
    assert [message for message in said if message in ours] == ours
    assert said["The job failed"] == "error"
    assert client.post(f"{JOBS}/{job['id']}/cancel").status_code == 400


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        (b'{"messages": [{"role": "user", "content": "hi"}]}\n', "line 11"),
        (b'{"messages": "hello"}\n', "line 11, messages"),
        (b'{"messages": [\n', "line 11"),
        (b"\xff\xfe\n", "line 11"),
    ],
)
def test_an_invalid_row_fails_the_job_and_names_the_line(
    client: TestClient, tmp_path: Path, broken: bytes, where: str
) -> None:
    file_id = upload(client, rows(10, tmp_path) + broken)
    job = client.post(JOBS, json={"model": "hollow", "training_file": file_id}).json()
    error = ended(client, job["id"])["error"]
    assert (error["code"], error["param"]) == ("invalid_training_file", "training_file")
    assert error["message"].startswith(f"Invalid file {file_id}: {where}")
    assert str(tmp_path) not in error["message"]


def test_an_invalid_validation_file_is_named_as_such(client: TestClient, tmp_path: Path) -> None:
    good, bad = upload(client, rows(10, tmp_path)), upload(client, b"nonsense\n")
    asked = {"model": "hollow", "training_file": good, "validation_file": bad}
    error = ended(client, client.post(JOBS, json=asked).json()["id"])["error"]
    assert (error["code"], error["param"]) == ("invalid_validation_file", "validation_file")


def test_what_was_asked_is_kept_and_shown(client: TestClient, tmp_path: Path) -> None:
    file_id = upload(client, rows(3, tmp_path))
    hyper = {"n_epochs": 2, "batch_size": "auto", "learning_rate_multiplier": 0.5}
    asked = {
        "model": "hollow",
        "training_file": file_id,
        "suffix": "My Colours!",
        "seed": 7,
        "metadata": {"ftctl_marker": "job-abc", "team": "π"},
        "method": {"type": "supervised", "supervised": {"hyperparameters": hyper}},
    }
    job = client.post(JOBS, json=asked).json()
    ended(client, job["id"])
    found = client.get(f"{JOBS}/{job['id']}").json()
    assert found["hyperparameters"] == hyper
    assert found["method"] == asked["method"]
    assert (found["seed"], found["metadata"]) == (7, asked["metadata"])
    assert found["user_provided_suffix"] == "My Colours!"
    from ftctl.api.job_handle import jobs

    (kept,) = jobs()
    assert kept.record.spec.hyperparameters.learning_rate == pytest.approx(1e-4)
    older = {"model": "hollow", "training_file": file_id, "hyperparameters": {"n_epochs": "auto"}}
    shown = client.post(JOBS, json=older).json()
    ended(client, shown["id"])
    assert set(shown["hyperparameters"].values()) == {"auto"}


def hold_back_starts(client: TestClient) -> threading.Event:
    """No job is validated or started until the event is set."""
    app: Any = client.app
    going_on = threading.Event()
    for _ in range(2):
        app.state.backend.tuning._starting.submit(going_on.wait, 60)
    return going_on


def test_a_job_keeps_its_rows_when_the_file_is_deleted(client: TestClient, tmp_path: Path) -> None:
    file_id = upload(client, rows(4, tmp_path))
    asked = {"model": "hollow", "training_file": file_id}
    going_on = hold_back_starts(client)
    job = client.post(JOBS, json=asked).json()
    assert client.delete(f"/v1/files/{file_id}").status_code == 200
    going_on.set()
    assert ended(client, job["id"])["error"]["message"].startswith("Training file has 4 example(s)")


@pytest.mark.medium
def test_a_base_that_cant_be_tuned_fails_the_job_under_its_own_name(
    client: TestClient, tmp_path: Path, hollow_base: Path
) -> None:
    file_id = upload(client, rows(12, tmp_path))
    job = client.post(JOBS, json={"model": "hollow", "training_file": file_id}).json()
    failed = ended(client, job["id"])
    assert failed["error"]["message"].startswith("hollow: no tokenizer could be read")
    told = client.get(f"{JOBS}/{job['id']}/events").text
    assert str(hollow_base) not in told
    assert failed["error"]["code"] == "usage_error"


def test_held_out_rows_are_others(client: TestClient, tmp_path: Path) -> None:
    training, same = (upload(client, rows(12, tmp_path)) for _ in range(2))
    for held_out in (training, same):
        asked = {"model": "hollow", "training_file": training, "validation_file": held_out}
        refused = client.post(JOBS, json=asked)
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "validation_file"


def test_jobs_of_one_file_can_be_made_at_once(client: TestClient, tmp_path: Path) -> None:
    file_id = upload(client, rows(4, tmp_path))
    asked = {"model": "hollow", "training_file": file_id}
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: client.post(JOBS, json=asked), range(6)))
    assert [answer.status_code for answer in made] == [200] * 6
    assert len({answer.json()["id"] for answer in made}) == 6
    codes = {ended(client, answer.json()["id"])["error"]["code"] for answer in made}
    assert codes == {"invalid_n_examples"}


def test_a_job_is_cancelled_before_it_starts_and_only_once(
    client: TestClient, tmp_path: Path
) -> None:
    file_id = upload(client, rows(12, tmp_path))
    going_on = hold_back_starts(client)
    made = client.post(JOBS, json={"model": "hollow", "training_file": file_id}).json()
    job = f"{JOBS}/{made['id']}"
    assert strictly(FineTuningJob, client.post(f"{job}/cancel").json())["status"] == "cancelled"
    again = client.post(f"{job}/cancel")
    assert again.status_code == 400
    assert "it is cancelled" in again.json()["error"]["message"]
    going_on.set()
    hold_back_starts(client).set()
    assert client.get(job).json()["status"] == "cancelled"


def test_events_come_in_pages(client: TestClient, tmp_path: Path) -> None:
    file_id = upload(client, rows(2, tmp_path))
    job = client.post(JOBS, json={"model": "hollow", "training_file": file_id}).json()
    ended(client, job["id"])
    path = f"{JOBS}/{job['id']}/events"
    every = [event["id"] for event in client.get(path).json()["data"]]
    seen: list[str] = []
    more = True
    while more:
        query: dict[str, Any] = {"limit": 2, "after": seen[-1]} if seen else {"limit": 2}
        page = client.get(path, params=query).json()
        strictly(SyncCursorPage[FineTuningJobEvent], page)
        seen += [event["id"] for event in page["data"]]
        more = page["has_more"]
    assert seen == every
    assert len(every) >= 3


def test_lists_are_envelopes_of_the_sdk(client: TestClient, tmp_path: Path) -> None:
    file_id = upload(client, rows(2, tmp_path))
    job = client.post(JOBS, json={"model": "hollow", "training_file": file_id}).json()
    ended(client, job["id"])
    strictly(SyncCursorPage[FileObject], client.get("/v1/files").json())
    strictly(SyncCursorPage[FineTuningJob], client.get(JOBS).json())
    strictly(SyncPage[Model], client.get("/v1/models").json())
    empty = client.get(f"{JOBS}/{job['id']}/checkpoints").json()
    assert strictly(SyncCursorPage[FineTuningJobCheckpoint], empty)["data"] == []


def test_jobs_are_listed_in_pages_and_by_their_metadata(client: TestClient, tmp_path: Path) -> None:
    file_id = upload(client, rows(2, tmp_path))
    marks: list[dict[str, str] | None] = [None, {"ftctl_marker": "m1"}, {"ftctl_marker": "m2"}]
    ids = []
    for metadata in marks:
        asked = {"model": "hollow", "training_file": file_id, "metadata": metadata}
        ids.append(client.post(JOBS, json=asked).json()["id"])
        ended(client, ids[-1])

    def listed(**params: Any) -> list[str]:
        page = client.get(JOBS, params=params).json()
        return [strictly(FineTuningJob, row)["id"] for row in page["data"]]

    assert listed() == ids[::-1]
    assert listed(limit=1) == ids[2:]
    assert listed(after=ids[2], limit=1) == [ids[1]]
    assert listed(**{"metadata[ftctl_marker]": "m1"}) == [ids[1]]
    assert listed(**{"metadata[ftctl_marker]": "m3"}) == []
    assert listed(metadata="null") == [ids[0]]


def test_every_state_has_a_word_of_the_sdk() -> None:
    words = set(get_args(FineTuningJob.model_fields["status"].annotation))
    assert set(STATUS) == set(JobState)
    # It stands in OpenAI's API specification, and its SDK has the verbs, but not the word.
    assert set(STATUS.values()) == words | {"paused"}


def test_bases_are_listed_looked_at_and_never_deleted(client: TestClient) -> None:
    page = client.get("/v1/models").json()
    assert [strictly(Model, row)["id"] for row in page["data"]] == ["hollow"]
    assert strictly(Model, client.get("/v1/models/hollow").json())["owned_by"] == "base"
    assert client.delete("/v1/models/hollow").status_code == 403
    for method in ("GET", "DELETE"):
        missing = client.request(method, "/v1/models/ft:hollow:ftctl:x:2345678923")
        assert missing.status_code == 404
        assert missing.json()["error"]["code"] == "model_not_found"


def test_what_a_kill_left_of_an_upload_is_swept_after_a_day(tmp_path: Path) -> None:
    old, young = tmp_path / "file-a.part-1", tmp_path / "file-b.part-2"
    for part, age_s in ((old, 90_000), (young, 80_000)):
        part.write_bytes(b"x")
        os.utime(part, (time.time() - age_s,) * 2)
    FileStore(tmp_path).sweep()
    assert list(tmp_path.iterdir()) == [young]
