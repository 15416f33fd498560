"""The OpenAI driver over real HTTP, against a loopback vendor."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ftctl.config import load_settings
from ftctl.errors import (
    CredentialsMissing,
    IllegalMove,
    InvalidRequest,
    NotFound,
    Unavailable,
    Unsupported,
    UsageError,
)
from ftctl.job import Hyperparameters, JobSpec, JobState
from ftctl.providers.openai.connection import PAGE
from ftctl.providers.openai.driver import OpenAIProvider
from ftctl.testing.loopback import Fault, Json
from ftctl.testing.openai_documents import nulls_while_running, without_model
from ftctl.testing.openai_vendor import OpenAIVendor

pytestmark = pytest.mark.medium

JOBS = "POST /fine_tuning/jobs"
ONE_JOB = "GET /fine_tuning/jobs/*"


def test_what_is_asked_for_arrives(
    vendor: OpenAIVendor, start: Callable[[str], str], spec: JobSpec
) -> None:
    start("job-abc")
    (upload,) = vendor.files.values()
    assert upload.content == spec.data.read_bytes()
    assert upload.document["purpose"] == "fine-tune"
    (asked,) = vendor.asked(JOBS)
    assert asked.json() == {
        "model": spec.model,
        "training_file": upload.document["id"],
        "suffix": "colours",
        "seed": 7,
        "metadata": {"ftctl_marker": "job-abc", "ftctl_name": "colours"},
        "method": {
            "type": "supervised",
            "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": 4}},
        },
    }


def test_the_same_file_is_sent_once_and_another_one_again(
    vendor: OpenAIVendor, driver: OpenAIProvider, spec: JobSpec, tmp_path: Path
) -> None:
    first = driver.upload(spec.data, spec.data_sha256)
    assert driver.upload(spec.data, spec.data_sha256) == first
    other = tmp_path / "other.jsonl"
    other.write_text("{}\n")
    assert driver.upload(other, "0" * 64).id != first.id
    assert len(vendor.asked("POST /files")) == 2


def test_a_short_name_is_sent_as_the_dated_one(
    vendor: OpenAIVendor, driver: OpenAIProvider, spec: JobSpec
) -> None:
    held = driver.upload(spec.data, spec.data_sha256)
    driver.create(spec.model_copy(update={"model": "gpt-4.1-mini"}), {"training": held}, "m")
    assert vendor.asked(JOBS)[0].json()["model"] == "gpt-4.1-mini-2025-04-14"


@pytest.mark.parametrize("gateway", [True, False])
def test_found_by_its_marker_on_any_page(
    vendor: OpenAIVendor, driver: OpenAIProvider, start: Callable[[str], str], gateway: bool
) -> None:
    driver._gateway = gateway
    wanted = start("job-wanted")
    for n in range(120):
        start(f"job-{n}")
    assert driver.find("job-wanted") == wanted
    assert driver.find("job-nobody") is None
    lists = vendor.asked("GET /fine_tuning/jobs")
    assert len(lists) == (4 if gateway else 2)  # only OpenAI itself surely knows the filter
    assert any("metadata[ftctl_marker]" in request.query for request in lists) is not gateway


def test_a_gateway_that_drops_metadata_says_no_to_nobody(
    vendor: OpenAIVendor, driver: OpenAIProvider, start: Callable[[str], str], tmp_path: Path
) -> None:
    vendor.metadata = "dropped"
    assert driver.find("job-1") is None
    made = start("job-1")
    with pytest.raises(InvalidRequest, match=f"keeps no metadata.*{made}"):
        driver.find("job-1")
    # Jobs that other tools made of their own files can be told apart.
    vendor.files[vendor.jobs[made].document["training_file"]].document["filename"] = "mine.jsonl"
    assert driver.find("job-1") is None


def test_a_list_that_never_goes_on_is_no_answer(
    vendor: OpenAIVendor, driver: OpenAIProvider, start: Callable[[str], str]
) -> None:
    start("job-1")
    endless = Fault(
        "GET /fine_tuning/jobs",
        "changed",
        times=None,
        change=lambda page: page | {"data": vendor_rows(vendor), "has_more": True},
    )
    vendor.faults.append(endless)
    with pytest.raises(Unavailable, match="same page"):
        driver.find("job-2")


@pytest.mark.parametrize("rows", [99, 100, 101])
def test_a_list_that_may_be_cut_is_no_answer(
    vendor: OpenAIVendor, driver: OpenAIProvider, start: Callable[[str], str], rows: int
) -> None:
    made = vendor.jobs[start("job-1")].document

    def unpaged(page: Json) -> Json:
        return {"data": [made | {"id": f"ftjob-{n}"} for n in range(rows)]}

    vendor.faults.append(Fault("GET /fine_tuning/jobs", "changed", times=None, change=unpaged))
    assert driver.find("job-1") == "ftjob-0"
    if rows == PAGE:  # all that there is, or the page of a gateway that turns none
        with pytest.raises(Unavailable, match="same page"):
            driver.find("job-2")
    else:
        assert driver.find("job-2") is None


def vendor_rows(vendor: OpenAIVendor) -> list[dict[str, object]]:
    return [job.document for job in vendor.jobs.values()]


def test_a_job_is_followed_from_files_to_model(
    driver: OpenAIProvider, start: Callable[[str], str], vendor: OpenAIVendor
) -> None:
    job = start("job-1")
    seen = [driver.poll(job) for _ in range(4)]
    assert [snapshot.state for snapshot in seen] == ["validating", "queued", "running", "succeeded"]
    assert seen[-1].fine_tuned_model in vendor.models
    assert seen[-1].progress["trained_tokens"] == 1234
    events = driver.events(job, 0)
    assert events[0].message.startswith("Created fine-tuning job")
    assert [e.data["step"] for e in events if e.kind == "metrics"] == [1, 2]
    assert len({event.source_id for event in events}) == len(events)
    assert driver.events(job, 2) == events[2:]


def say(vendor: OpenAIVendor, job: str, *messages: object) -> None:
    events = vendor.jobs[job].events
    events += [events[0] | {"id": f"e-{said}", "message": str(said)} for said in messages]


def test_of_many_events_only_the_new_ones_are_asked_for(
    driver: OpenAIProvider, start: Callable[[str], str], vendor: OpenAIVendor
) -> None:
    job = start("job-1")
    vendor.by_polls = False
    say(vendor, job, *range(250))

    def told(after: int) -> tuple[list[str], int]:
        before = len(vendor.requests)
        events = driver.events(job, after)
        asked = [request for request in vendor.requests[before:] if "/events" in request.path]
        return [event.message for event in events], len(asked)

    assert told(1) == ([str(n) for n in range(250)], 3)
    assert told(251) == ([], 1)
    say(vendor, job, "a", "b")
    assert told(251) == (["a", "b"], 1)
    assert told(252) == (["b"], 3)  # asked for what it has told: read again
    say(vendor, job, *range(250, 400))
    assert told(253) == ([str(n) for n in range(250, 400)], 2)
    assert told(402) == (["399"], 5)
    assert len(driver.events(job, 0)) == 403


def test_what_is_said_while_we_page_is_told_next_time(
    driver: OpenAIProvider, start: Callable[[str], str], vendor: OpenAIVendor
) -> None:
    job = start("job-1")
    vendor.by_polls = False
    say(vendor, job, *range(149))
    busy = iter(("x", "y"))
    vendor.on_moment = lambda moment, request: (
        say(vendor, job, next(busy)) if moment == "worked" and "/events" in request.path else None
    )
    assert [event.message for event in driver.events(job, 1)] == [str(n) for n in range(149)]
    vendor.on_moment = None
    assert [event.message for event in driver.events(job, 150)] == ["x", "y"]


def test_an_error_object_of_nulls_is_no_error(
    vendor: OpenAIVendor, driver: OpenAIProvider, start: Callable[[str], str]
) -> None:
    job = start("job-1")
    vendor.faults.append(Fault(ONE_JOB, "changed", change=nulls_while_running))
    seen = driver.poll(job)
    assert (seen.state, seen.error) == (JobState.VALIDATING, None)


def test_a_word_nobody_knows_is_an_observation(
    vendor: OpenAIVendor, driver: OpenAIProvider, start: Callable[[str], str]
) -> None:
    job = start("job-1")
    vendor.faults.append(Fault(ONE_JOB, "changed", change=lambda d: d | {"status": "pondering"}))
    seen = driver.poll(job)
    assert (seen.state, seen.provider_status) == (None, "pondering")


def test_success_without_a_model_is_reported_as_it_is(
    vendor: OpenAIVendor, driver: OpenAIProvider, start: Callable[[str], str]
) -> None:
    job = start("job-1")
    vendor.faults.append(Fault(ONE_JOB, "changed", times=None, change=without_model))
    seen = driver.poll(job)
    assert (seen.state, seen.fine_tuned_model) == (JobState.SUCCEEDED, None)
    with pytest.raises(NotFound):
        driver.tuned_model(job)


def test_a_file_that_the_vendor_refuses_names_what_to_do(
    vendor: OpenAIVendor, driver: OpenAIProvider, start: Callable[[str], str], spec: JobSpec
) -> None:
    job = start("job-1")
    vendor.move(job, "failed")
    error = driver.poll(job).error
    assert error is not None
    assert error["kind"] == "invalid_n_examples"
    assert "at least 10 examples (training_file)" in error["message"]
    assert "ftctl data check" in error["hint"]


def test_fetch_brings_what_there_is(
    vendor: OpenAIVendor, driver: OpenAIProvider, start: Callable[[str], str], tmp_path: Path
) -> None:
    job = start("job-1")
    with pytest.raises(NotFound, match="no tuned model yet"):
        driver.fetch(job, tmp_path / "out")
    vendor.move(job, "succeeded")
    results = vendor.files[vendor.jobs[job].document["result_files"][0]]
    plain, results.content = results.content, base64.b64encode(results.content)
    tuned = driver.fetch(job, tmp_path / "out")
    assert tuned.base_url == vendor.base_url
    assert tuned.name == driver.tuned_model(job).name
    assert (tmp_path / "out" / "metrics.csv").read_bytes() == plain
    record = json.loads((tmp_path / "out" / "job.json").read_text())
    assert record["checkpoints"][0]["step_number"] == 2
    assert tuned.name in (tmp_path / "out" / "README.md").read_text()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(UsageError, match="isn't this job's results"):
        driver.fetch(job, tmp_path / "full")


def test_forget_deletes_files_and_model_but_nothing_that_another_job_reads(
    vendor: OpenAIVendor, driver: OpenAIProvider, start: Callable[[str], str]
) -> None:
    job, other = start("job-1"), start("job-2")
    with pytest.raises(IllegalMove):
        driver.forget(job)
    vendor.move(job, "succeeded")
    model = vendor.jobs[job].document["fine_tuned_model"]
    driver.forget(job)
    assert model not in vendor.models
    assert set(vendor.files) == {vendor.jobs[other].document["training_file"]}
    vendor.move(other, "cancelled")
    driver.forget(other)
    driver.forget(other)
    assert not vendor.files


def test_forget_leaves_a_file_that_others_sent(
    vendor: OpenAIVendor, driver: OpenAIProvider, start: Callable[[str], str]
) -> None:
    job = start("job-1")  # as one that a person has named: ftctl jobs resolve --remote
    theirs = vendor.jobs[job].document["training_file"]
    vendor.files[theirs].document["filename"] = "mine.jsonl"
    vendor.move(job, "succeeded")
    driver.forget(job)
    assert set(vendor.files) == {theirs}


def test_forget_says_when_something_stays(
    vendor: OpenAIVendor, driver: OpenAIProvider, start: Callable[[str], str]
) -> None:
    job = start("job-1")
    vendor.move(job, "cancelled")
    vendor.faults.append(Fault("DELETE /files/*", "status", status=200, times=None))
    with pytest.raises(Unavailable, match="still shows"):
        driver.forget(job)


def test_a_running_job_that_refuses_to_be_cancelled_is_an_error(
    vendor: OpenAIVendor, driver: OpenAIProvider, start: Callable[[str], str]
) -> None:
    job = start("job-1")
    vendor.faults.append(Fault("POST */cancel", status=409))
    with pytest.raises(InvalidRequest):
        driver.cancel(job)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (
            {"method": "rft", "model": "o4-mini", "options": {"eval_interval": "1e999"}},
            UsageError,
            "whole numbers from 1",
        ),
        (
            {"method": "dpo", "model": "gpt-4o-mini"},
            Unsupported,
            "doesn't tune gpt-4o-mini with dpo",
        ),
        ({"method": "rft"}, Unsupported, "doesn't tune gpt-4.1-mini with rft"),
        ({"name": "n" * 65}, UsageError, "65 characters"),
        ({"model": "gpt-4.1-mimi"}, UsageError, "did you mean gpt-4.1-mini"),
        ({"model": "smollm2-135m-instruct"}, Unsupported, "doesn't tune"),
        ({"model": "o4-mini"}, Unsupported, "doesn't tune"),
        ({"hyperparameters": Hyperparameters(epochs=2.5)}, UsageError, "whole numbers"),
        ({"hyperparameters": Hyperparameters(batch_size=257)}, UsageError, "1 to 256"),
    ],
)
def test_refused_before_anything_is_sent(
    key: str, spec: JobSpec, change: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        OpenAIProvider(load_settings()).check(spec.model_copy(update=change))


@pytest.mark.parametrize("model", ["gpt-4o-mini", "ft:gpt-4o-mini-2024-07-18:org:colours:a1"])
def test_a_model_that_is_tuned_there_passes(key: str, spec: JobSpec, model: str) -> None:
    OpenAIProvider(load_settings()).check(spec.model_copy(update={"model": model}))


def test_a_gateway_may_tune_models_that_nobody_knows(driver: OpenAIProvider, spec: JobSpec) -> None:
    driver.check(spec.model_copy(update={"model": "house-model"}))


@pytest.mark.parametrize("url", ["127.0.0.1:80/v1", "ftp://host/v1", "http://", "http://h:x/v1"])
def test_what_is_no_base_url_is_refused(key: str, spec: JobSpec, url: str) -> None:
    with pytest.raises(UsageError, match="isn't a base URL"):
        OpenAIProvider(load_settings(), url).check(spec)


def test_without_a_usable_key_nothing_is_asked(
    driver: OpenAIProvider, vendor: OpenAIVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bad in ("", "sk-ünusual", "two words"):
        monkeypatch.setenv("OPENAI_API_KEY", bad)
        with pytest.raises(CredentialsMissing, match="OPENAI_API_KEY") as caught:
            driver.poll("ftjob-1")
        assert not bad or bad not in caught.value.message
    assert not vendor.requests


def test_ids_stay_inside_their_path(vendor: OpenAIVendor, driver: OpenAIProvider) -> None:
    for strange in ("../files", "a/b", "ftjob-1?x=1"):
        with pytest.raises(NotFound):
            driver.poll(strange)
    with pytest.raises(UsageError, match="can't be asked"):
        driver.poll("")
    paths = {request.path for request in vendor.requests}
    assert all(path.startswith("/fine_tuning/jobs/") for path in paths), paths
