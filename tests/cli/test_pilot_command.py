"""`ftctl pilot` with real training of a tiny model; the second run uses what the first made."""

import json
from pathlib import Path

import pytest
from command_line import Cli
from tiny_model import write_data, write_model


@pytest.mark.slow
def test_parts_are_tuned_scored_and_extrapolated_and_advice_reads_it(
    cli: Cli, tmp_path: Path
) -> None:
    base = write_model(tmp_path / "tiny")
    rows = write_data(tmp_path / "rows.jsonl", count=40)
    test = write_data(tmp_path / "test.jsonl", count=12)
    file = tmp_path / "pilot.json"
    words = (
        "pilot", "--data", rows, "--test", test, "--models", str(base), "--shares", "0.5,1",
        "--set", "max_steps=4", "-o", file, "--json",
    )  # fmt: skip
    ran = cli(*words)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (found["schema"], found["n"]) == ("ftctl.pilot/1", 12)
    (one,) = found["models"]
    assert [part["rows"] for part in one["scored"]] == [20, 40]
    assert one["doubled"]["rows"] == 80
    for part in (*one["scored"], one["doubled"]):
        assert 0 <= part["low"] <= part.get("score", part.get("likely")) <= part["high"] <= 1
    small, whole = (
        set(Path(cli("job", part["job"], "--json").json()["spec"]["data"]).read_text().split("\n"))
        for part in one["scored"]
    )
    assert small < whole

    again = cli(*words)
    assert json.loads(again.stdout) == found
    assert len(cli("jobs", "--json").json()["jobs"]) == 2

    advice = cli("advise", "--piloted", file, "--json")
    assert "Traceback" not in advice.stderr
    said = json.loads(advice.stdout)["reason"]
    assert f"The pilot of {base} is of none of the routes here" in said


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_three_bases_are_compared_with_a_third_of_alpha_each(cli: Cli, tmp_path: Path) -> None:
    bases = [str(write_model(tmp_path / f"tiny-{name}")) for name in "abc"]
    rows = write_data(tmp_path / "rows.jsonl", count=20)
    test = write_data(tmp_path / "test.jsonl", count=12)
    ran = cli(
        "pilot", "--data", rows, "--test", test, "--models", ",".join(bases), "--shares", "1",
        "--set", "max_steps=2", "--json",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert [one["model"] for one in found["models"]] == bases
    assert len(found["comparisons"]) == 2
    best = max(found["models"], key=lambda one: one["scored"][-1]["score"])
    for comparison in found["comparisons"]:
        assert comparison["confidence"] == pytest.approx(1 - 0.05 / 3)
        assert comparison["reference"] == best["model"]
        low, high = comparison["interval"]
        assert low <= comparison["difference"] <= high

    judged = cli("advise", "--calibration", "--json").json()["coverage"]
    lines = {line["quantity"]: line for line in judged}
    assert {"time", "memory", "trained_tokens"} <= set(lines)
    for line in lines.values():
        assert (line["provider"], line["jobs"]) == ("local", 3)
        assert line["held"] + line["below"] + line["above"] == 3


def test_too_few_rows_are_refused_before_anything_is_trained(cli: Cli, tmp_path: Path) -> None:
    rows = write_data(tmp_path / "rows.jsonl", count=12)
    ran = cli("pilot", "--data", rows, "--test", rows, "--models", "smollm2-135m-instruct")
    assert ran.returncode == 1
    assert "12 rows to train on; the smallest part needs 10" in ran.stderr


def test_another_document_is_no_pilot(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    ran = cli("advise", "--piloted", tmp_path / "x.json")
    assert ran.returncode == 2
    assert "no document of ftctl pilot" in ran.stderr
