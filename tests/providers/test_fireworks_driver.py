"""The Fireworks driver over real HTTP: what it sends where, and what it refuses before it does."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from specimens import spec_on_ten_rows

from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.errors import (
    AuthError,
    CredentialsMissing,
    DataInvalid,
    IllegalMove,
    InvalidRequest,
    Unavailable,
    Unsupported,
    UsageError,
)
from ftctl.job import Hyperparameters, JobSpec, JobState
from ftctl.providers.base import ListingProvider, ProbingProvider
from ftctl.providers.fireworks import files
from ftctl.providers.fireworks.driver import FireworksProvider
from ftctl.testing.fireworks_vendor import FireworksVendor
from ftctl.testing.loopback import Fault

pytestmark = pytest.mark.medium
KEY = "fw-planted-0123456789"
BASE = "accounts/fireworks/models/llama-v3p1-8b-instruct"


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[FireworksVendor]:
    monkeypatch.setenv("FIREWORKS_API_KEY", KEY)
    with FireworksVendor(KEY) as running:
        yield running


@pytest.fixture
def waited() -> list[float]:
    return []


@pytest.fixture
def driver(vendor: FireworksVendor, waited: list[float]) -> FireworksProvider:
    return FireworksProvider(load_settings(), vendor.base_url, waited.append)


@pytest.fixture
def spec(tmp_path: Path) -> JobSpec:
    return spec_on_ten_rows(
        tmp_path,
        provider="fireworks",
        model="llama-3.1-8b-instruct",
        name="colours",
        hyperparameters=Hyperparameters(epochs=2, learning_rate=1e-4),
    )


@pytest.fixture
def start(driver: FireworksProvider, spec: JobSpec) -> Callable[[str], str]:
    def run(marker: str = "job-1", **fields: object) -> str:
        held = driver.upload(spec.data, spec.data_sha256)
        return driver.create(spec.model_copy(update=fields), {"training": held}, marker)

    return run


def test_it_can_do_what_it_says(driver: FireworksProvider) -> None:
    assert isinstance(driver, ListingProvider)
    assert isinstance(driver, ProbingProvider)


def test_what_is_asked_for_arrives_under_our_marker(
    vendor: FireworksVendor, start: Callable[[str], str], spec: JobSpec
) -> None:
    assert start("job-abc") == "accounts/me/supervisedFineTuningJobs/job-abc"
    dataset = f"accounts/me/datasets/ftctl-{spec.data_sha256[:48]}"
    assert vendor.storage.held[f"/{dataset}"] == spec.data.read_bytes()
    (asked,) = vendor.asked("POST */supervisedFineTuningJobs")
    assert asked.query == {"supervisedFineTuningJobId": "job-abc"}
    assert asked.json() == {
        "dataset": dataset,
        "displayName": "colours job-abc",
        "baseModel": BASE,
        "evalAutoCarveout": False,
        "epochs": 2,
        "learningRate": 1e-4,
    }


def test_the_vendor_itself_makes_no_second_job(
    vendor: FireworksVendor, start: Callable[[str], str]
) -> None:
    vendor.faults.append(Fault("POST */supervisedFineTuningJobs", "lost"))
    with pytest.raises(Unavailable):
        start("job-1")
    assert start("job-1") == "accounts/me/supervisedFineTuningJobs/job-1"
    assert len(vendor.jobs) == 1


def test_a_preference_job_is_found_listed_and_followed_like_any(
    vendor: FireworksVendor, driver: FireworksProvider, start: Callable[..., str]
) -> None:
    start("job-1")
    job = start("job-2", method="dpo")
    assert job == "accounts/me/dpoJobs/job-2"
    assert driver.find("job-2") == job
    assert [set(page) for page in driver.list_jobs()] == [set(vendor.jobs)]
    vendor.move(job, "RUNNING")
    vendor.move(job, "COMPLETED")
    assert driver.poll(job).fine_tuned_model == "accounts/me/models/job-2"
    assert [e.data["loss"] for e in driver.events(job, 0) if e.kind == "metrics"] == [2.0, 1.0]


def test_found_on_any_page(
    vendor: FireworksVendor, driver: FireworksProvider, start: Callable[[str], str]
) -> None:
    start("job-0")
    for n in range(1, 450):
        name = f"accounts/me/supervisedFineTuningJobs/job-{n}"
        document = vendor.jobs["accounts/me/supervisedFineTuningJobs/job-0"].document
        vendor.jobs[name] = type(vendor.jobs[next(iter(vendor.jobs))])(
            document | {"name": name}, []
        )
    assert driver.find("job-449") == "accounts/me/supervisedFineTuningJobs/job-449"
    assert driver.find("job-nobody") is None
    assert len(vendor.asked("GET */supervisedFineTuningJobs")) == 6
    assert len(list(driver.list_jobs())) == 3


def test_a_list_that_never_goes_on_is_no_answer(
    vendor: FireworksVendor, driver: FireworksProvider
) -> None:
    endless = Fault(
        "GET */supervisedFineTuningJobs",
        "changed",
        times=None,
        change=lambda page: page | {"nextPageToken": "1"},
    )
    vendor.faults.append(endless)
    with pytest.raises(Unavailable, match="same page"):
        driver.find("job-1")


def test_a_large_file_goes_to_a_signed_link_without_our_key(
    vendor: FireworksVendor,
    driver: FireworksProvider,
    spec: JobSpec,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(files, "ONE_REQUEST", 10)
    held = driver.upload(spec.data, spec.data_sha256)
    assert vendor.storage.held[f"/{held.id}"] == spec.data.read_bytes()
    (put,) = vendor.storage.asked("PUT *")
    assert put.authorised  # the bucket refuses whoever brings a key
    assert put.query["signature"] not in caplog.text
    assert vendor.asked("POST *:upload") == []


def test_a_dataset_that_was_never_filled_is_filled(
    vendor: FireworksVendor, driver: FireworksProvider, spec: JobSpec
) -> None:
    vendor.faults.append(Fault("POST *:upload", status=503))
    with pytest.raises(Unavailable):
        driver.upload(spec.data, spec.data_sha256)
    held = driver.upload(spec.data, spec.data_sha256)
    assert vendor.datasets[held.id]["state"] == "READY"


def test_a_dataset_is_waited_for(
    vendor: FireworksVendor, driver: FireworksProvider, spec: JobSpec, waited: list[float]
) -> None:
    vendor.checks = 3
    driver.upload(spec.data, spec.data_sha256)
    assert len(waited) == 3


def test_what_never_becomes_ready_is_said_so(
    vendor: FireworksVendor, driver: FireworksProvider, spec: JobSpec
) -> None:
    vendor.checks = 10**6
    with pytest.raises(Unavailable, match="doesn't make"):
        driver.upload(spec.data, spec.data_sha256)


def test_a_dataset_that_is_refused_says_why(driver: FireworksProvider, tmp_path: Path) -> None:
    two = tmp_path / "two.jsonl"
    two.write_text("{}\n{}\n")
    for _ in range(2):
        with pytest.raises(DataInvalid, match="3 to 3000000 examples"):
            driver.upload(two, file_sha256(two))


def test_the_account_is_the_only_one_of_the_key_or_named(
    vendor: FireworksVendor,
    driver: FireworksProvider,
    spec: JobSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert driver.upload(spec.data, spec.data_sha256).id.startswith("accounts/me/")
    vendor.accounts = ["accounts/me", "accounts/team"]
    with pytest.raises(UsageError, match="The key opens me, team"):
        FireworksProvider(load_settings(), vendor.base_url).find("job-1")
    monkeypatch.setenv("FIREWORKS_ACCOUNT_ID", "team")
    other = FireworksProvider(load_settings(), vendor.base_url)
    assert other.upload(spec.data, spec.data_sha256).id.startswith("accounts/team/")
    monkeypatch.setenv("FIREWORKS_ACCOUNT_ID", "../me")
    with pytest.raises(UsageError, match="isn't an account's id"):
        other.check(spec)


def test_a_job_of_another_account_is_asked_for_there(
    vendor: FireworksVendor, start: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start("job-1")
    monkeypatch.setenv("FIREWORKS_ACCOUNT_ID", "team")
    driver = FireworksProvider(load_settings(), vendor.base_url)
    assert driver.poll(job).state is not None


def test_a_job_is_followed_to_its_model(
    vendor: FireworksVendor, driver: FireworksProvider, start: Callable[[str], str]
) -> None:
    job = start("job-1")
    seen = [driver.poll(job) for _ in range(6)]
    assert [s.provider_status.removeprefix("JOB_STATE_") for s in seen] == list(vendor.states)
    assert seen[-1].fine_tuned_model == "accounts/me/models/job-1"
    assert seen[-1].progress["trained_tokens"] == 1234
    assert seen[-1].progress["estimated_usd"] == 1.25
    events = driver.events(job, 0)
    assert [e.data["loss"] for e in events if e.kind == "metrics"] == [2.0, 1.0]
    assert events[-1].message == "completed"
    vendor.storage.faults.append(Fault("GET *", status=403))  # the metrics' link ran out
    assert driver.events(job, 3)[-1] == events[-1]
    tuned = driver.tuned_model(job)
    assert tuned.base_url == f"{vendor.base_url}/inference/v1"
    assert tuned.base_model == BASE


def test_a_metrics_link_that_ran_out_hides_nothing_else(
    vendor: FireworksVendor, driver: FireworksProvider, start: Callable[[str], str]
) -> None:
    job = start("job-1")
    vendor.move(job, "RUNNING")
    vendor.storage.faults.append(Fault("GET *", status=403))
    assert [event.message for event in driver.events(job, 0)] == ["created job-1"]


def test_looks_neither_spend_nor_deploy(
    vendor: FireworksVendor, driver: FireworksProvider, start: Callable[[str], str]
) -> None:
    job = start("job-1")
    asked = len(vendor.asked("POST *"))
    for _ in range(6):
        driver.poll(job)
    list(driver.list_jobs())
    driver.tuned_model(job)
    assert len(vendor.asked("POST *")) == asked
    assert vendor.deployed == set()


def test_a_stopped_job_goes_on(
    vendor: FireworksVendor, driver: FireworksProvider, start: Callable[[str], str]
) -> None:
    job = start("job-1")
    driver.cancel(job)
    assert driver.poll(job).state is JobState.CANCELLED
    driver.resume(job, 2)
    assert driver.poll(job).state is JobState.QUEUED
    with pytest.raises(InvalidRequest):
        driver.resume(job, 3)


@pytest.mark.parametrize("model", ["old", "nobody"])
def test_a_model_that_is_not_tuned_there_is_refused_before_anything_is_sent(
    vendor: FireworksVendor, driver: FireworksProvider, spec: JobSpec, model: str
) -> None:
    with pytest.raises(Unsupported, match=model):
        driver.check(spec.model_copy(update={"model": model}))
    with pytest.raises(Unsupported):
        driver.probe(model)
    assert vendor.asked("POST *") == []


def test_whoever_is_offline_may_still_ask_for_a_quote(
    vendor: FireworksVendor, driver: FireworksProvider, spec: JobSpec
) -> None:
    vendor.faults.append(Fault("GET */models/*", status=503))
    driver.check(spec)


def test_a_wrong_key_or_none_is_told_before_anything_is_sent(
    vendor: FireworksVendor, spec: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIREWORKS_API_KEY", "fw-other")
    with pytest.raises(AuthError):
        FireworksProvider(load_settings(), vendor.base_url).check(spec)
    monkeypatch.delenv("FIREWORKS_API_KEY")
    with pytest.raises(CredentialsMissing, match="FIREWORKS_API_KEY"):
        FireworksProvider(load_settings(), vendor.base_url).check(spec)


@pytest.mark.parametrize("end", ["", "/", "/v1", "/inference/v1"])
def test_any_form_of_its_base_url_is_taken(
    vendor: FireworksVendor, spec: JobSpec, end: str
) -> None:
    driver = FireworksProvider(load_settings(), vendor.base_url + end)
    driver.check(spec)
    assert driver.probe(None).has_jobs is False


def test_fetch_brings_the_adapter_by_fresh_links_and_no_link_stays(
    vendor: FireworksVendor, driver: FireworksProvider, start: Callable[[str], str], tmp_path: Path
) -> None:
    job = start("job-1")
    vendor.move(job, "RUNNING")
    vendor.move(job, "COMPLETED")
    tuned = driver.fetch(job, tmp_path / "out")
    assert tuned.folder == tmp_path / "out"
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
    record = (tmp_path / "out" / "job.json").read_text()
    assert json.loads(record)["job"]["name"] == job
    assert "signature" not in record
    losses = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["train_loss"] for line in losses] == [2.0, 1.0]
    assert "deployment" in (tmp_path / "out" / "README.md").read_text()
    assert all(request.authorised for request in vendor.storage.requests)  # no key came


def test_forgotten_means_dataset_model_and_job(
    vendor: FireworksVendor, driver: FireworksProvider, start: Callable[[str], str]
) -> None:
    job, running = start("job-1"), start("job-2")
    with pytest.raises(IllegalMove):
        driver.forget(job)
    vendor.move(job, "COMPLETED")
    driver.forget(job)
    assert len(vendor.datasets) == 1  # the other job still reads it
    assert set(vendor.jobs) == {running}
    assert "accounts/me/models/job-1" not in vendor.models
    driver.cancel(running)
    driver.forget(running)
    assert (vendor.datasets, vendor.jobs) == ({}, {})


def test_a_dataset_that_was_not_ours_is_kept(
    vendor: FireworksVendor, driver: FireworksProvider, start: Callable[[str], str]
) -> None:
    job = start("job-1")
    (name,) = vendor.datasets
    vendor.datasets["accounts/me/datasets/mine"] = vendor.datasets.pop(name)
    vendor.jobs[job].document["dataset"] = "accounts/me/datasets/mine"
    driver.cancel(job)
    driver.forget(job)
    assert list(vendor.datasets) == ["accounts/me/datasets/mine"]


def test_a_model_that_is_deployed_is_not_forgotten_in_silence(
    vendor: FireworksVendor, driver: FireworksProvider, start: Callable[[str], str]
) -> None:
    job = start("job-1")
    vendor.move(job, "COMPLETED")
    vendor.deploy(vendor.model_of(job))
    with pytest.raises(InvalidRequest, match="is deployed"):
        driver.forget(job)
    assert job in vendor.jobs


def test_what_is_still_there_after_deleting_is_said(
    vendor: FireworksVendor, driver: FireworksProvider, start: Callable[[str], str]
) -> None:
    job = start("job-1")
    driver.cancel(job)
    vendor.faults.append(Fault("DELETE */supervisedFineTuningJobs/*", status=200, body={}))
    with pytest.raises(Unavailable, match="still shows"):
        driver.forget(job)
