"""A vendor's own price is held against the limit before the job is made."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from specimens import write_chats

from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.errors import OverMaxCost
from ftctl.job import JobSpec
from ftctl.providers.together import TogetherProvider
from ftctl.store import Store
from ftctl.submission import submit
from ftctl.testing.loopback import Fault
from ftctl.testing.together_vendor import TogetherVendor

pytestmark = pytest.mark.medium


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[TogetherVendor]:
    monkeypatch.setenv("TOGETHER_API_KEY", "tgp-right")
    with TogetherVendor("tgp-right") as running:
        yield running


def send(vendor: TogetherVendor, folder: Path, limit: float | None) -> list[str]:
    data = write_chats(folder / "train.jsonl")
    spec = JobSpec(
        provider="together",
        model="qwen3-8b",
        data=data,
        data_sha256=file_sha256(data),
        name="n",
        base_url=vendor.base_url,
        max_cost_usd=limit,
    )
    told: list[str] = []
    with Store(load_settings().database_url) as store:
        driver = TogetherProvider(load_settings(), vendor.base_url)
        submit(spec, store=store, provider=driver, on_step=told.append)
    return told


def test_a_price_above_the_limit_makes_no_job_until_the_limit_is_raised(
    vendor: TogetherVendor, tmp_path: Path
) -> None:
    with pytest.raises(OverMaxCost, match=r"1\.25 USD; the limit is 1\.00"):
        send(vendor, tmp_path, 1.00)
    assert vendor.asked("POST /fine-tunes") == []
    assert "together itself says that the job costs 1.25 USD" in send(vendor, tmp_path, 1.25)
    assert len(vendor.asked("POST /fine-tunes")) == 1


def test_who_will_not_say_a_price_is_sent_the_job(vendor: TogetherVendor, tmp_path: Path) -> None:
    vendor.faults.append(Fault("POST */estimate-price", status=404))
    assert not [said for said in send(vendor, tmp_path, 1.00) if "itself says" in said]
    assert len(vendor.asked("POST /fine-tunes")) == 1
