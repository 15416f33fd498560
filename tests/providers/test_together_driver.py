"""The Together driver over real HTTP: what it sends where, and what it refuses before it does."""

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
    PrivacyForbids,
    Unavailable,
    Unsupported,
    UsageError,
)
from ftctl.job import Hyperparameters, JobSpec, JobState
from ftctl.providers.base import ListingProvider, ProbingProvider
from ftctl.providers.prices import QuotingProvider
from ftctl.providers.together.driver import TogetherProvider
from ftctl.testing.loopback import Answer, Fault, Json
from ftctl.testing.together_vendor import TogetherVendor

pytestmark = pytest.mark.medium
KEY = "tgp-planted-0123456789"


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[TogetherVendor]:
    monkeypatch.setenv("TOGETHER_API_KEY", KEY)
    with TogetherVendor(KEY) as running:
        yield running


@pytest.fixture
def waited() -> list[float]:
    return []


@pytest.fixture
def driver(vendor: TogetherVendor, waited: list[float]) -> TogetherProvider:
    return TogetherProvider(load_settings(), vendor.base_url, waited.append)


@pytest.fixture
def spec(tmp_path: Path) -> JobSpec:
    return spec_on_ten_rows(
        tmp_path,
        provider="together",
        model="llama-3.1-8b-instruct",
        name="colours",
        hyperparameters=Hyperparameters(epochs=2, learning_rate=2e-4),
    )


@pytest.fixture
def start(driver: TogetherProvider, spec: JobSpec) -> Callable[[str], str]:
    def run(marker: str = "job-1") -> str:
        held = driver.upload(spec.data, spec.data_sha256)
        return driver.create(spec, {"training": held}, marker)

    return run


def test_it_can_do_what_it_says(driver: TogetherProvider) -> None:
    for ability in (ListingProvider, ProbingProvider, QuotingProvider):
        assert isinstance(driver, ability)


def test_what_is_asked_for_arrives(
    vendor: TogetherVendor, start: Callable[[str], str], spec: JobSpec
) -> None:
    start("job-abc")
    (file_id,) = vendor.files
    assert vendor.storage.held[f"/{file_id}"] == spec.data.read_bytes()
    assert vendor.files[file_id]["filename"] == f"ftctl-{spec.data_sha256}.jsonl"
    (asked,) = vendor.asked("POST /fine-tunes")
    assert asked.json() == {
        "training_file": file_id,
        "model": "meta-llama/Meta-Llama-3.1-8B-Instruct-Reference",
        "suffix": "colours-job-abc",
        "training_method": {"method": "sft", "train_on_inputs": "auto"},
        "training_type": {"type": "Lora", "lora_r": 16, "lora_alpha": 32},
        "n_epochs": 2,
        "learning_rate": 2e-4,
    }


@pytest.mark.parametrize("remote_id", ["", "..", "."])
def test_an_id_never_names_another_folder(
    vendor: TogetherVendor, driver: TogetherProvider, remote_id: str
) -> None:
    with pytest.raises(UsageError, match="is no id"):
        driver.cancel(remote_id)
    assert vendor.requests == []


def test_the_signature_of_a_place_that_is_pointed_to_is_not_shown(
    vendor: TogetherVendor, driver: TogetherProvider
) -> None:
    away = {"Location": "https://elsewhere.example/v1?signature=planted"}
    vendor.faults.append(Fault("GET *", status=307, headers=away))
    with pytest.raises(InvalidRequest) as caught:
        driver.poll("ft-1")
    assert "elsewhere.example/v1" in caught.value.hint
    assert "planted" not in caught.value.hint


def test_the_rows_go_to_the_signed_link_without_our_key(
    vendor: TogetherVendor, start: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    start("job-1")
    (put,) = vendor.storage.asked("PUT *")
    assert put.authorised  # the bucket refuses whoever brings a key
    assert put.host.startswith("localhost:")
    assert put.query["signature"] not in caplog.text
    assert KEY not in caplog.text


def test_a_link_that_is_refused_is_no_wrong_key(
    vendor: TogetherVendor, driver: TogetherProvider, spec: JobSpec
) -> None:
    vendor.storage.faults.append(Fault("PUT *", status=403))
    with pytest.raises(Unavailable, match="may have run out"):
        driver.upload(spec.data, spec.data_sha256)
    assert driver.upload(spec.data, spec.data_sha256).id in vendor.files


@pytest.mark.parametrize("link", ["http://storage.example/x", "ftp://x/y", "https:///x"])
def test_an_unsafe_link_is_not_used(
    vendor: TogetherVendor, driver: TogetherProvider, spec: JobSpec, link: str
) -> None:
    headers = {"Location": link, "X-Together-File-Id": "file-1"}
    vendor.faults.append(Fault("POST /files", status=302, headers=headers))
    with pytest.raises(Unavailable, match="isn't https"):
        driver.upload(spec.data, spec.data_sha256)
    assert vendor.storage.requests == []


def test_rows_for_this_machine_go_to_no_other(
    vendor: TogetherVendor, driver: TogetherProvider, spec: JobSpec
) -> None:
    headers = {"Location": "https://storage.example/x", "X-Together-File-Id": "file-1"}
    vendor.faults.append(Fault("POST /files", status=302, headers=headers))
    with pytest.raises(PrivacyForbids, match=r"storage\.example"):
        driver.upload(spec.data, spec.data_sha256)


def test_the_same_content_under_another_name_is_not_sent_and_never_deleted(
    vendor: TogetherVendor, driver: TogetherProvider, start: Callable[[str], str]
) -> None:
    job = start("job-1")
    (held,) = vendor.files.values()
    held["filename"] = "mine.jsonl"
    again = start("job-2")
    assert len(vendor.storage.asked("PUT *")) == 1
    for one in (job, again):
        driver.cancel(one)
        driver.forget(one)
    assert list(vendor.files) == [held["id"]]


def test_a_file_that_never_came_is_sent_anew(
    vendor: TogetherVendor, driver: TogetherProvider, spec: JobSpec
) -> None:
    vendor.storage.faults.append(Fault("PUT *", "lost"))
    with pytest.raises(Unavailable):
        driver.upload(spec.data, spec.data_sha256)
    held = driver.upload(spec.data, spec.data_sha256)
    assert vendor.storage.held[f"/{held.id}"] == spec.data.read_bytes()


def test_the_vendors_check_is_waited_for(
    vendor: TogetherVendor, driver: TogetherProvider, spec: JobSpec, waited: list[float]
) -> None:
    vendor.checks = 3
    driver.upload(spec.data, spec.data_sha256)
    assert len(waited) == 3


def test_a_check_that_never_ends_is_said_so(
    vendor: TogetherVendor, driver: TogetherProvider, spec: JobSpec
) -> None:
    vendor.checks = 10**6
    with pytest.raises(Unavailable, match="has not checked"):
        driver.upload(spec.data, spec.data_sha256)


def test_what_the_vendors_check_refuses_is_told_in_its_words(
    driver: TogetherProvider, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\nnonsense\n")
    for _ in range(2):  # the second time it is held there
        with pytest.raises(DataInvalid, match="line 2 is no JSON object"):
            driver.upload(bad, file_sha256(bad))


def test_a_job_is_followed_to_its_model(
    driver: TogetherProvider, start: Callable[[str], str], vendor: TogetherVendor
) -> None:
    job = start("job-1")
    seen = [driver.poll(job) for _ in range(6)]
    assert [s.provider_status for s in seen] == list(vendor.statuses)
    assert seen[-1].state is JobState.SUCCEEDED
    assert seen[-1].fine_tuned_model in vendor.models
    assert seen[-1].progress["trained_tokens"] == 1234
    assert seen[-1].progress["cost_usd"] == pytest.approx(0.59232)
    events = driver.events(job, 0)
    assert events[0].message == "Fine tune request created"
    assert [e.data["step"] for e in events if e.kind == "metrics"] == [1, 2]
    assert driver.events(job, len(events)) == []


def test_measurements_that_come_late_are_told(
    vendor: TogetherVendor, driver: TogetherProvider, start: Callable[[str], str]
) -> None:
    job = start("job-1")
    vendor.move(job, "running")
    late, vendor.jobs[job].metrics = vendor.jobs[job].metrics, []
    vendor.move(job, "compressing")
    before = driver.events(job, 0)
    vendor.jobs[job].metrics = late
    new = [e for e in driver.events(job, len(before)) if e not in before]
    assert [event.data["step"] for event in new] == [1, 2]


def test_a_vendor_without_metrics_still_says_its_events(
    driver: TogetherProvider, start: Callable[[str], str], vendor: TogetherVendor
) -> None:
    job = start("job-1")
    vendor.faults.append(Fault("GET */metrics", status=404))
    assert [e.message for e in driver.events(job, 0)] == ["Fine tune request created"]


def test_looks_neither_spend_nor_deploy(
    driver: TogetherProvider, start: Callable[[str], str], vendor: TogetherVendor
) -> None:
    job = start("job-1")
    asked = len(vendor.asked("POST *"))
    for _ in range(6):
        driver.poll(job)
    list(driver.list_jobs())
    driver.tuned_model(job)
    assert len(vendor.asked("POST *")) == asked
    assert vendor.deployed == set()


def test_the_price_is_the_vendors_and_makes_nothing(
    vendor: TogetherVendor, driver: TogetherProvider, spec: JobSpec
) -> None:
    files = {"training": driver.upload(spec.data, spec.data_sha256)}
    price = driver.price(spec, files)
    assert price is not None
    assert (price.usd, price.allowed) == (1.25, True)
    assert vendor.jobs == {}


def test_no_price_is_none_and_not_nothing(
    vendor: TogetherVendor, driver: TogetherProvider, spec: JobSpec
) -> None:
    files = {"training": driver.upload(spec.data, spec.data_sha256)}
    no: Json = {"estimation_available": False, "unavailable_reason": "multimodal_dataset"}
    vendor.faults.append(Fault("POST */estimate-price", "changed", change=lambda _: no))
    assert driver.price(spec, files) is None


def test_a_model_that_is_not_tuned_there_is_refused_before_anything_is_sent(
    vendor: TogetherVendor, driver: TogetherProvider, spec: JobSpec
) -> None:
    other = spec.model_copy(update={"model": "nobody/knows"})
    with pytest.raises(Unsupported, match="nobody/knows"):
        driver.check(other)
    with pytest.raises(Unsupported):
        driver.probe("nobody/knows")
    assert vendor.asked("POST *") == []


def test_ranges_are_the_models_own(driver: TogetherProvider, spec: JobSpec) -> None:
    driver.check(spec)
    with pytest.raises(UsageError, match="8 to 16"):
        driver.check(spec.model_copy(update={"hyperparameters": Hyperparameters(batch_size=4)}))


def test_whoever_is_offline_may_still_ask_for_a_quote(
    vendor: TogetherVendor, driver: TogetherProvider, spec: JobSpec
) -> None:
    vendor.faults.append(Fault("GET */limits", status=503))
    driver.check(spec)


def test_a_wrong_key_or_none_is_told_before_anything_is_sent(
    vendor: TogetherVendor, driver: TogetherProvider, spec: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", "tgp-other")
    with pytest.raises(AuthError):
        TogetherProvider(load_settings(), vendor.base_url).check(spec)
    monkeypatch.delenv("TOGETHER_API_KEY")
    with pytest.raises(CredentialsMissing, match="TOGETHER_API_KEY"):
        TogetherProvider(load_settings(), vendor.base_url).check(spec)


def test_the_account_shows_whether_it_made_jobs(
    driver: TogetherProvider, start: Callable[[str], str]
) -> None:
    assert driver.probe("qwen3-8b").has_jobs is False
    start("job-1")
    seen = driver.probe(None)
    assert seen.has_jobs
    assert str(seen.last_job) == "2026-11-24"


def test_fetch_brings_the_adapter_and_what_was_said(
    driver: TogetherProvider, start: Callable[[str], str], vendor: TogetherVendor, tmp_path: Path
) -> None:
    job = start("job-1")
    vendor.move(job, "running")
    vendor.move(job, "completed")
    tuned = driver.fetch(job, tmp_path / "out")
    assert tuned.folder == tmp_path / "out"
    record = json.loads((tmp_path / "out" / "job.json").read_text())
    assert record["job"]["id"] == job
    assert record["checkpoints"][0]["step"] == 2
    metrics = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line) for line in metrics]
    assert [row["data"]["loss"] for row in losses] == [2.0, 1.0]
    assert "dedicated endpoint" in (tmp_path / "out" / "README.md").read_text()
    (asked,) = vendor.asked("GET /finetune/download")
    assert asked.query == {"ft_id": job, "checkpoint": "adapter"}


def test_all_weights_are_fetched_where_all_were_tuned(
    driver: TogetherProvider, spec: JobSpec, vendor: TogetherVendor, tmp_path: Path
) -> None:
    files = {"training": driver.upload(spec.data, spec.data_sha256)}
    job = driver.create(spec.model_copy(update={"tuning": "full"}), files, "job-1")
    vendor.move(job, "completed")
    driver.fetch(job, tmp_path / "out")
    assert vendor.asked("GET /finetune/download")[0].query["checkpoint"] == "model_output_path"


def test_weights_behind_a_redirect_are_fetched_without_our_key(
    driver: TogetherProvider, start: Callable[[str], str], vendor: TogetherVendor, tmp_path: Path
) -> None:
    job = start("job-1")
    vendor.move(job, "completed")
    vendor.storage.held["/weights"] = vendor.jobs[job].archive
    away = {"Location": vendor.storage.link("/weights")}
    vendor.faults.append(Fault("GET /finetune/download", status=302, headers=away))
    driver.fetch(job, tmp_path / "out")
    (asked,) = vendor.storage.asked("GET /weights")
    assert asked.authorised  # it brought no key


def test_forgotten_means_file_job_and_model(
    driver: TogetherProvider, start: Callable[[str], str], vendor: TogetherVendor
) -> None:
    job, running = start("job-1"), start("job-2")
    with pytest.raises(IllegalMove):
        driver.forget(job)
    vendor.move(job, "completed")
    driver.forget(job)
    assert len(vendor.files) == 1  # the other job still reads it
    assert set(vendor.jobs) == {running}
    assert vendor.models == set()
    driver.cancel(running)
    driver.forget(running)
    assert vendor.files == {}
    assert vendor.storage.held == {}


def test_what_is_still_there_after_deleting_is_said(
    driver: TogetherProvider, start: Callable[[str], str], vendor: TogetherVendor
) -> None:
    job = start("job-1")
    vendor.move(job, "completed")
    vendor.faults.append(
        Fault("DELETE /fine-tunes/*", status=200, body={"message": "deleted"}, times=None)
    )
    with pytest.raises(Unavailable, match="still shows"):
        driver.forget(job)


def test_a_stopped_job_goes_on_as_another_one(driver: TogetherProvider) -> None:
    with pytest.raises(Unsupported) as caught:
        driver.resume("ft-1", 2)
    assert "from_checkpoint=ft-1" in caught.value.hint


def test_numbers_that_are_none_are_no_traceback(
    driver: TogetherProvider, start: Callable[[str], str], vendor: TogetherVendor
) -> None:
    job = start("job-1")
    strange = {"timestamp": float("nan"), "train/loss": float("inf"), "train/global_step": 1}
    vendor.jobs[job].metrics = [strange]
    assert any(event.kind == "metrics" for event in driver.events(job, 0))


def test_what_the_vendor_does_not_know_it_refuses(vendor: TogetherVendor) -> None:
    import httpx2

    def ask(body: Json) -> int:
        bearer = {"Authorization": f"Bearer {KEY}"}
        answer = httpx2.post(f"{vendor.base_url}/fine-tunes", json=body, headers=bearer)
        return answer.status_code

    assert ask({"training_file": "f", "model": "m", "metadata": {}}) == 422
    assert ask({"training_file": "f", "model": "m", "suffix": "x" * 41}) == 422
    assert ask({"training_file": "f", "model": "m", "n_epochs": 2.0}) == 422
    assert isinstance(vendor.refusal(422, ""), Answer)
