"""OpenAI's result files come home as CSV, a block at a time, however long they are."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from ftctl.errors import Unavailable
from ftctl.job import JobState
from ftctl.providers.openai.driver import OpenAIProvider
from ftctl.testing.loopback import Fault
from ftctl.testing.openai_vendor import OpenAIVendor

pytestmark = pytest.mark.medium

CSV = b"step,train_loss,train_accuracy\n" + b"".join(b"%d,1.5,0.4\n" % n for n in range(300_000))


@pytest.fixture
def results(vendor: OpenAIVendor, start: Callable[[str], str]) -> Callable[[bytes], str]:
    """Lets a job succeed with such a result file; its id."""

    def make(content: bytes) -> str:
        job = start("job-1")
        vendor.move(job, "succeeded")
        vendor.files[vendor.jobs[job].document["result_files"][0]].content = content
        return job

    return make


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (CSV, CSV),
        (base64.b64encode(CSV), CSV),
        (base64.encodebytes(CSV), CSV),
        (base64.b64encode(CSV[:10]), CSV[:10]),
        (b"", b""),
        (b"step", b"step"),
        (b"Loss;Schritt\n1;2\n", b"Loss;Schritt\n1;2\n"),
        (base64.b64encode(b"neither"), base64.b64encode(b"neither")),
    ],
    ids=["plain", "base64", "in lines", "short", "empty", "step", "other columns", "other base64"],
)
def test_plain_or_in_base64_it_is_csv_at_home(
    results: Callable[[bytes], str],
    driver: OpenAIProvider,
    tmp_path: Path,
    sent: bytes,
    kept: bytes,
) -> None:
    driver.fetch(results(sent), tmp_path / "out")
    assert (tmp_path / "out" / "metrics.csv").read_bytes() == kept


def test_a_step_or_loss_of_nought_is_a_measurement(
    results: Callable[[bytes], str], vendor: OpenAIVendor, driver: OpenAIProvider
) -> None:
    job = results(b"step,train_loss,valid_loss\n0,1.5,\n1,0.0,0.5\n")
    for event in vendor.jobs[job].events:
        event["type"] = "message"  # its lines tell no measurement
    told = [event.data for event in driver.events(job, 0) if event.kind == "metrics"]
    assert [(row["step"], row["loss"]) for row in told] == [(0.0, 1.5), (1.0, 0.0)]
    assert "valid_loss" not in told[0]


@pytest.mark.parametrize("odd", [b"2,0.5,9,9", b'3,"' + b"x" * 200_000 + b'"'])
def test_odd_lines_of_a_result_file_hide_no_end(
    results: Callable[[bytes], str], vendor: OpenAIVendor, driver: OpenAIProvider, odd: bytes
) -> None:
    job = results(b"step,train_loss\n1,1.5\n" + odd + b"\n")
    for event in vendor.jobs[job].events:
        event["type"] = "message"
    assert driver.poll(job).state is JobState.SUCCEEDED
    assert driver.events(job, 0)


@pytest.mark.parametrize("end", [b"A", b"AAAA!", b"=="])
def test_half_of_its_base64_is_not_taken_for_the_file(
    results: Callable[[bytes], str], driver: OpenAIProvider, tmp_path: Path, end: bytes
) -> None:
    job = results(base64.b64encode(CSV[:999]) + end)
    with pytest.raises(Unavailable, match=r"metrics.csv: .*base64"):
        driver.fetch(job, tmp_path / "out")
    assert list(tmp_path.glob("out*")) == []


def test_a_file_that_breaks_off_leaves_no_folder(
    results: Callable[[bytes], str], vendor: OpenAIVendor, driver: OpenAIProvider, tmp_path: Path
) -> None:
    job = results(CSV)
    vendor.faults.append(Fault("GET /files/*/content", "cut"))
    with pytest.raises(Unavailable, match="connection broke"):
        driver.fetch(job, tmp_path / "out")
    assert list(tmp_path.glob("out*")) == []
    driver.fetch(job, tmp_path / "out")
    assert (tmp_path / "out" / "metrics.csv").read_bytes() == CSV
