"""The Mistral driver at a gateway on loopback: what only this wire has."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from specimens import write_chats

from ftctl.api.job_handle import get_job
from ftctl.api.submitting import submit
from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.errors import InvalidRequest, OverMaxCost, Retired, Unavailable, Unsupported, UsageError
from ftctl.job import Hyperparameters, JobSpec, JobState
from ftctl.providers.base import RemoteFile
from ftctl.providers.mistral.driver import MistralProvider
from ftctl.store import Store
from ftctl.testing.loopback import Fault
from ftctl.testing.mistral_vendor import DRY_RUN, MistralVendor

pytestmark = pytest.mark.medium
KEY = "mistral-planted-0123456789"
CREATE = "POST /fine_tuning/jobs"
DAY = date(2026, 11, 24)


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[MistralVendor]:
    monkeypatch.setenv("MISTRAL_API_KEY", KEY)
    with MistralVendor(KEY) as running:
        yield running


@pytest.fixture
def driver(vendor: MistralVendor) -> MistralProvider:
    return MistralProvider(load_settings(), vendor.base_url)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_chats(tmp_path / "train.jsonl")


def spec(data: Path, **fields: Any) -> JobSpec:
    base = {"provider": "mistral", "model": "open-mistral-7b", "data": data, "name": "n"}
    return JobSpec(**(base | {"data_sha256": file_sha256(data)} | fields))


def start(driver: MistralProvider, asked: JobSpec, marker: str = "job-0123456789") -> str:
    held = {"training": driver.upload(asked.data, asked.data_sha256)}
    return driver.create(asked, held, marker)


def ask(vendor: MistralVendor, data: Path, **more: Any) -> str:
    job = submit(
        provider="mistral",
        model="open-mistral-7b",
        data=data,
        base_url=vendor.base_url,
        as_of=DAY,
        **more,
    )
    return job.id


def test_measurements_that_come_late_are_told(
    vendor: MistralVendor, driver: MistralProvider, data: Path
) -> None:
    vendor.by_polls = False
    job = start(driver, spec(data))
    vendor.move(job, "RUNNING")
    late, vendor.jobs[job].checkpoints = vendor.jobs[job].checkpoints, []
    vendor.move(job, "CANCELLATION_REQUESTED")
    before = driver.events(job, 0)
    vendor.jobs[job].checkpoints = late
    new = [e for e in driver.events(job, len(before)) if e not in before]
    assert [event.kind for event in new] == ["metrics"]


def test_a_job_holds_every_setting_and_nothing_that_wasnt_asked(
    vendor: MistralVendor, driver: MistralProvider, data: Path, tmp_path: Path
) -> None:
    settings = Hyperparameters(
        max_steps=30,
        epochs=2,
        learning_rate=1e-5,
        weight_decay=0.2,
        warmup_fraction=0.1,
        max_length=2048,
    )
    options = {"invalid_sample_skip_percentage": "0.1", "fim_ratio": "0.5"}
    asked = spec(data, hyperparameters=settings, options=options)
    validation = write_chats(tmp_path / "validation.jsonl", "No.")
    files = {"training": driver.upload(data, asked.data_sha256)}
    files["validation"] = driver.upload(validation, file_sha256(validation))
    driver.create(asked, files, "job-0123456789")
    assert vendor.asked(CREATE)[0].json() == {
        "model": "open-mistral-7b",
        "training_files": [{"file_id": files["training"].id, "weight": 1.0}],
        "validation_files": [files["validation"].id],
        "suffix": "job-0123456789",
        "auto_start": True,
        "job_type": "completion",
        "invalid_sample_skip_percentage": 0.1,
        "hyperparameters": {
            "training_steps": 30,
            "learning_rate": 1e-5,
            "weight_decay": 0.2,
            "warmup_fraction": 0.1,
            "seq_len": 2048,
            "fim_ratio": 0.5,
        },
    }
    driver.create(spec(data, hyperparameters=Hyperparameters(epochs=2)), files, "job-2")
    assert vendor.asked(CREATE)[1].json()["hyperparameters"] == {"epochs": 2.0}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"hyperparameters": Hyperparameters(learning_rate=1e-9)}, "learning_rate"),
        ({"hyperparameters": Hyperparameters(max_length=64)}, "max_length"),
        ({"options": {"auto_start": "maybe"}}, "auto_start"),
        ({"options": {"fim_ratio": "2"}}, "fim_ratio"),
        ({"options": {"invalid_sample_skip_percentage": "much"}}, "invalid_sample"),
        ({"base_url": "gateway"}, "base URL"),
    ],
)
def test_what_is_out_of_its_range_is_refused_before_anything_is_asked(
    vendor: MistralVendor, data: Path, fields: dict[str, Any], said: str
) -> None:
    asked = spec(data, **fields)
    driver = MistralProvider(load_settings(), fields.get("base_url", vendor.base_url))
    with pytest.raises(UsageError, match=said):
        driver.check(asked)
    assert vendor.requests == []


def test_a_file_that_is_too_large_is_refused(driver: MistralProvider, tmp_path: Path) -> None:
    large = tmp_path / "large.jsonl"
    with large.open("wb") as stream:
        stream.truncate((512 << 20) + 1)
    with pytest.raises(Unsupported, match="536,870,912"):
        driver.check(spec(large, data_sha256="0" * 64))


def test_a_file_is_found_among_many_where_nothing_is_filtered(
    vendor: MistralVendor, driver: MistralProvider, data: Path
) -> None:
    held = driver.upload(data, file_sha256(data))
    vendor.filters = False
    for n in range(250):
        vendor.files[f"f-{n}"] = ({"id": f"f-{n}", "filename": f"other-{n}.jsonl"}, b"")
    vendor.files[held.id] = vendor.files.pop(held.id)  # on the last page
    assert driver.upload(data, file_sha256(data)) == held
    assert len(vendor.asked("POST /files")) == 1


def test_a_job_is_found_where_the_list_isnt_filtered(
    vendor: MistralVendor, driver: MistralProvider, data: Path
) -> None:
    wanted = start(driver, spec(data))
    for n in range(120):
        start(driver, spec(data), f"job-{n}")
    vendor.filters = False
    assert driver.find("job-0123456789") == wanted
    assert sum(len(page) for page in driver.list_jobs()) == 121
    vendor.largest_page = 20  # a gateway that gives fewer rows than are asked for
    assert driver.find("job-0123456789") == wanted


@pytest.mark.parametrize(
    ("rows", "more"), [(99, {}), (100, {}), (101, {}), (100, {"total": 100}), (20, {"total": 99})]
)
def test_a_list_that_may_be_cut_is_no_answer(
    vendor: MistralVendor, driver: MistralProvider, rows: int, more: dict[str, int]
) -> None:
    data = [{"id": f"x-{n}", "status": "QUEUED", "suffix": "s"} for n in range(rows)]
    same = Fault(
        f"GET {CREATE[5:]}", "changed", times=None, change=lambda _: {"data": data, **more}
    )
    vendor.faults.append(same)
    if rows == 100 or more:  # all that there is, or the page of a gateway that turns none
        with pytest.raises(Unavailable, match="same page"):
            driver.find("job-none")
    else:
        assert driver.find("job-none") is None


def test_a_gateway_that_keeps_no_suffix_leaves_the_question_open(
    vendor: MistralVendor, driver: MistralProvider, data: Path
) -> None:
    vendor.keeps_suffix = vendor.filters = False
    start(driver, spec(data))
    with pytest.raises(InvalidRequest, match="keeps no suffix"):
        driver.find("job-0123456789")
    vendor.files.clear()  # whoever's job that is, it isn't of our data
    assert driver.find("job-0123456789") is None


def test_a_similar_job_is_ours_or_a_no(
    vendor: MistralVendor, driver: MistralProvider, data: Path
) -> None:
    vendor.refuses_similar = True
    first = start(driver, spec(data))
    assert start(driver, spec(data)) == first  # its first answer got lost
    with pytest.raises(InvalidRequest, match="similar job") as caught:
        start(driver, spec(data), "job-another")
    assert caught.value.status == 409
    assert len(vendor.jobs) == 1


def test_the_vendors_quote_costs_and_makes_nothing(
    vendor: MistralVendor, driver: MistralProvider, data: Path
) -> None:
    asked = spec(data)
    files = {"training": driver.upload(data, asked.data_sha256)}
    price = driver.price(asked, files)
    assert price is not None
    assert price.usd == 4.5
    assert vendor.jobs == {}
    vendor.currency = "EUR"  # nobody's rate of exchange is ours
    assert driver.price(asked, files) is None
    for status in (404, 422):
        with vendor.fault(Fault(f"POST {DRY_RUN}", status=status)):
            assert driver.price(asked, files) is None
    with vendor.fault(Fault(f"POST {DRY_RUN}", status=410)), pytest.raises(Retired):
        driver.price(asked, files)


def test_a_gateway_that_takes_a_dry_run_for_a_create_trains_nothing(
    vendor: MistralVendor, driver: MistralProvider, data: Path
) -> None:
    vendor.knows_dry_runs = False
    asked = spec(data)
    assert driver.price(asked, {"training": driver.upload(data, asked.data_sha256)}) is None
    (job,) = vendor.jobs.values()
    assert (job.document["status"], job.document["auto_start"]) == ("CANCELLED", False)
    assert vendor.starts.total() == 0
    assert driver.find("job-0123456789") is None


@pytest.mark.parametrize(("limit", "currency"), [(4.0, "USD"), (100.0, "EUR")])
def test_above_the_limit_or_in_another_currency_no_job_is_made(
    vendor: MistralVendor, data: Path, limit: float, currency: str
) -> None:
    vendor.currency = currency
    with pytest.raises(OverMaxCost):
        ask(vendor, data, max_cost=limit)
    assert vendor.jobs == {}


def test_within_the_limit_the_job_is_made_once_with_the_vendors_price(
    vendor: MistralVendor, data: Path
) -> None:
    job = get_job(ask(vendor, data, max_cost=5.0))
    assert ask(vendor, data, max_cost=5.0) == job.id
    assert (len(vendor.jobs), job.record.estimate["cost"]["high"]) == (1, 4.5)  # type: ignore[index]


def test_a_job_that_waits_is_quoted_and_started_once_by_a_person(
    vendor: MistralVendor, data: Path
) -> None:
    job = get_job(ask(vendor, data, hyperparameters={"auto_start": "false"}))
    for _ in range(6):
        job.refresh()
    assert (job.state, job.record.provider_status) == (JobState.PAUSED, "VALIDATED")
    assert "4.50 USD, 10 minutes" in job.record.message
    assert job.record.progress["estimated_usd"] == 4.5
    assert vendor.starts.total() == 0  # no look starts it
    remote_id = job.record.remote_id or ""
    MistralProvider(load_settings(), vendor.base_url).unpause(remote_id)  # the answer is lost
    MistralProvider(load_settings(), vendor.base_url).unpause(remote_id)
    for _ in range(4):
        job.refresh()
    assert (job.state, job.record.attempt) == (JobState.SUCCEEDED, 1)
    assert vendor.starts.total() == 1


def test_resume_starts_it_within_the_limit_only(vendor: MistralVendor, data: Path) -> None:
    wait = {"auto_start": "false"}
    job = get_job(ask(vendor, data, hyperparameters=wait, max_cost=5.0))
    vendor.cost = 9.0  # validated, it costs more than the dry run said
    for _ in range(4):
        job.refresh()
    with pytest.raises(OverMaxCost, match=r"9\.00"):
        job.resume()
    assert vendor.starts.total() == 0
    job.cancel()
    assert job.state is JobState.CANCELLED
    vendor.cost = 4.5
    other = get_job(ask(vendor, data, hyperparameters=wait, max_cost=5.0))
    for _ in range(4):
        other.refresh()
    other.resume()
    assert (vendor.starts.total(), other.state) == (1, JobState.QUEUED)


def test_a_start_that_somebody_else_made_first_is_no_error(
    vendor: MistralVendor, driver: MistralProvider, data: Path
) -> None:
    remote_id = start(driver, spec(data, options={"auto_start": "false"}))
    vendor.move(remote_id, "VALIDATED")
    refused = Fault("POST */start", status=400)
    with vendor.fault(refused), pytest.raises(InvalidRequest):
        driver.unpause(remote_id)

    def start_first(moment: str, request: Any) -> None:
        if request.path.endswith("/start") and moment == "received":
            vendor.on_moment = None
            vendor.move(remote_id, "RUNNING")

    vendor.on_moment = start_first
    driver.unpause(remote_id)
    with pytest.raises(Unsupported):
        driver.pause(remote_id)
    with pytest.raises(Unsupported):
        driver.resume(remote_id, 2)


def test_data_that_the_vendor_refuses_are_named_as_the_fault(
    vendor: MistralVendor, data: Path
) -> None:
    job = get_job(ask(vendor, data))
    vendor.move(job.record.remote_id or "", "FAILED_VALIDATION")
    job.refresh()
    assert job.state is JobState.FAILED
    assert job.record.error is not None
    assert job.record.error["kind"] == "data_invalid"
    assert "line 3 has no messages" in job.record.message


def test_losses_and_steps_are_measured(vendor: MistralVendor, data: Path, tmp_path: Path) -> None:
    job = get_job(ask(vendor, data))
    for _ in range(6):
        job.refresh()
    assert job.state is JobState.SUCCEEDED
    assert job.record.progress["loss"] == 2.0
    assert job.record.progress["valid_loss"] == 2.5
    assert job.record.progress["trained_tokens"] == 131072
    tuned = job.fetch(tmp_path / "out")
    assert tuned.folder is None
    rows = (tmp_path / "out" / "metrics.jsonl").read_text("utf-8").splitlines()
    assert json.loads(rows[0])["data"]["loss"] == 2.0


def test_forget_leaves_nothing_and_no_other_jobs_data(
    vendor: MistralVendor, driver: MistralProvider, data: Path
) -> None:
    first, second = (start(driver, spec(data), f"job-{n}") for n in "ab")
    vendor.move(first, "SUCCESS")
    driver.forget(first)
    assert (vendor.models, len(vendor.files)) == ({}, 1)  # the other one still reads it
    vendor.move(second, "CANCELLED")
    driver.forget(second)
    assert vendor.files == {}
    driver.forget(second)


def test_a_file_that_is_shown_as_deleted_is_gone(
    vendor: MistralVendor, driver: MistralProvider, data: Path
) -> None:
    remote_id = start(driver, spec(data))
    vendor.move(remote_id, "CANCELLED")
    shown = {"id": vendor.jobs[remote_id].document["training_files"][0], "deleted": True}
    with vendor.fault(Fault("GET /files/*", status=200, body=shown)):
        driver.forget(remote_id)


def test_a_list_of_errors_is_said_with_its_places(
    vendor: MistralVendor, driver: MistralProvider, data: Path
) -> None:
    odd = spec(data, model="x" * 10)
    with pytest.raises(InvalidRequest, match="Model not available"):
        start(driver, odd)
    files = {"training": RemoteFile("f", odd.data_sha256)}
    wrong = {"detail": [{"type": "t", "loc": ["body", "hyperparameters", "x"], "msg": "is odd"}]}
    for body in (wrong, {"object": "error", "message": wrong}):
        with (
            vendor.fault(Fault(CREATE, status=422, body=body)),
            pytest.raises(InvalidRequest, match=r"answered 422: body\.hyperparameters\.x: is odd"),
        ):
            driver.create(odd, files, "job-1")


def test_a_gateways_retired_route_says_so_before_any_row_leaves(
    vendor: MistralVendor, data: Path
) -> None:
    vendor.retired = True
    with pytest.raises(Retired):
        ask(vendor, data)
    assert vendor.files == {}
    with Store(load_settings().database_url) as store:
        (job,) = store.jobs()
    assert job.remote_id is None
