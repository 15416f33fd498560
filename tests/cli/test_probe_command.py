"""`ftctl probe`, of a model at a vendor on loopback and of one here."""

import json
from pathlib import Path

import pytest
from command_line import Cli
from tiny_model import write_model

from ftctl.testing.loopback import Fault
from ftctl.testing.openai_vendor import OpenAIVendor

pytestmark = pytest.mark.medium


def test_a_vendor_s_model_is_timed_and_advice_reckons_with_it(
    cli: Cli, openai: OpenAIVendor, tmp_path: Path
) -> None:
    file, name = tmp_path / "probe.json", "gpt-4.1-mini-2025-04-14"
    ran = cli(
        "probe", name, "--provider", "openai", "--base-url", openai.base_url,
        "--calls", "4", "--input-tokens", "30", "--output-tokens", "5", "-o", file, "--json",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert document == json.loads(file.read_text("utf-8"))
    assert (document["schema"], document["provider"], document["model"], document["calls"]) == (
        "ftctl.probe/1", "openai", "gpt-4.1-mini", 4,
    )  # fmt: skip
    asked = openai.asked("POST /chat/completions")
    assert len(asked) == 5
    assert {request.json()["max_tokens"] for request in asked} == {5}
    advice = cli("advise", "--probed", file, "--as-of", "2026-11-24", "--json")
    assert "Traceback" not in advice.stderr
    assert "gpt-4.1-mini" in json.loads(advice.stdout)["reason"]  # of none of the routes of the day


def test_a_model_here_is_timed_on_its_device(cli: Cli, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    ran = cli("probe", model, "--calls", "2", "--input-tokens", "20", "--output-tokens", "3")
    assert ran.returncode == 0, ran.stderr
    assert "whole answer" in ran.stdout
    assert "at local on cpu" in ran.stdout
    assert "2 calls can't bound the slowest 5 %" in ran.stdout


def test_a_vendor_that_fails_is_told_as_such(cli: Cli, openai: OpenAIVendor) -> None:
    with openai.fault(Fault("POST /chat/completions", status=500, times=None)):
        ran = cli("probe", "gpt-4.1-mini", "--provider", "openai", "--base-url", openai.base_url)
    assert ran.returncode == 5
    assert "Traceback" not in ran.stderr


def test_another_file_is_no_measurement(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    ran = cli("advise", "--probed", tmp_path / "x.json")
    assert ran.returncode == 2
    assert "no document of ftctl probe" in ran.stderr
