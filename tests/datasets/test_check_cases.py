"""Every tricky file gets the verdict that its index names, with rule, line and path."""

import json
from pathlib import Path
from typing import Any

import pytest

from ftctl.datasets.check import check
from ftctl.datasets.report import Report

CASES = Path(__file__).parent.parent / "cases" / "jsonl"
INDEX: list[dict[str, Any]] = json.loads((CASES / "index.json").read_text(encoding="utf-8"))
GOOD = (CASES / "good_minimal.jsonl").read_bytes()
BAD_ROLE = b'{"messages":[{"role":"user","content":"a"},{"role":"bot","content":"b"}]}\n'


def file_of(case: dict[str, Any], folder: Path) -> Path:
    """The case's file; the big ones are made here, as the index tells."""
    name: str = case["file"]
    if (CASES / name).exists():
        return CASES / name
    made = folder / name
    lines = GOOD.splitlines(keepends=True)
    with made.open("wb") as out:
        if name == "deep_nesting_100k.jsonl":
            deep = b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
            out.writelines([*lines[:6], deep, *lines[6:10]])
        elif name == "huge_line_100mb.jsonl":
            out.writelines([*lines[:6], b'{"messages":[{"role":"user","content":"'])
            for _ in range(1024):
                out.write(b"0123456789" * 10_240)
            out.write(b'"},{"role":"assistant","content":"a"}]}\n')
            out.writelines(lines[6:10])
        elif name == "size_513mb.jsonl":
            for _ in range(513 * 2**20 // len(GOOD) + 1):
                out.write(GOOD)
        else:
            assert name == "million_bad_lines.jsonl"
            for _ in range(1000):
                out.write(BAD_ROLE * 1000)
    return made


def verdicts(report: Report) -> dict[str, str]:
    # The big file is made of copies, which is worth a warning but not what it is about.
    copies = report.rule_counts.get("duplicate-example", 0) if report.examples > 10**6 else 0
    return {
        name: "error" if not verdict.ok else "warning" if verdict.warnings > copies else "ok"
        for name, verdict in report.providers.items()
    }


BIG = {"huge_line_100mb.jsonl", "size_513mb.jsonl", "million_bad_lines.jsonl"}
PARAMETERS = [
    pytest.param(case, id=case["file"], marks=[pytest.mark.slow] if case["file"] in BIG else [])
    for case in INDEX
]


@pytest.mark.parametrize("case", PARAMETERS)
def test_a_case_gets_its_verdict(case: dict[str, Any], tmp_path: Path) -> None:
    companion = CASES / case["companion"] if "companion" in case else None
    file = file_of(case, tmp_path)
    report = check([file], validation=companion)
    wanted = {name: verdict for name, verdict in case["expect"].items() if verdict}
    found = {name: verdict for name, verdict in verdicts(report).items() if name in wanted}
    assert found == wanted, report.issues
    if case["rule"] is None:
        return
    path = (case["json_path"] or "").removeprefix("$").removeprefix(".")
    at_place = [
        issue
        for issue in report.issues
        if issue.rule == case["rule"]
        and issue.file == str(file)
        and case["line"] in (None, issue.line)
        and path in ("", issue.path)
    ]
    assert at_place, report.issues
    # The named rule itself, and not another one, gives each provider its verdict.
    for name, verdict in wanted.items():
        own = next((i.severity for i in at_place if name in i.providers), "ok")
        assert own == verdict


def test_the_index_names_every_file() -> None:
    named = {case["file"] for case in INDEX}
    assert {file.name for file in CASES.glob("*.jsonl")} <= named
