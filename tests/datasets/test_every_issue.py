"""Every rule has a specimen, and every issue says where, what, who minds and how to mend it."""

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from command_line import Cli
from rule_rows import SAYS, SYSTEM, USER, WORSE, Row, chat, image, pair
from test_check_rules import OWN, SOME
from test_check_rules_of_methods import PAIRS, PROMPTS
from test_check_table import ROWS

from ftctl.datasets.check import check
from ftctl.datasets.report import Collector, Issue, TokenEstimate
from ftctl.datasets.rules.limits import example_count, file_size, validation_count
from ftctl.datasets.rules.table import PROVIDERS, RULES

# What only a tokenizer shows: tests/datasets/test_template_check.py has the specimens.
ELSEWHERE = {"template-alternation", "template-empty"}
LARGEST = 16 * 2**20  # of one specimen


def bare(row: Row | bytes) -> bytes:
    return row if isinstance(row, bytes) else json.dumps(row).encode()


def asks(number: int, answer: str, *before: Row) -> Row:
    question = {"role": "user", "content": f"Question {number + 100} is this."}
    return chat(*before, question, {"role": "assistant", "content": answer})


def across() -> Iterator[Row]:
    """Rows that show something together."""
    yield from [asks(1, "Yes."), asks(1, "Yes."), asks(1, "yes"), asks(1, "No.")]
    yield from (asks(n, f"It is {n + 100}.", SYSTEM) for n in range(20))
    yield asks(40, "It is 4711.", SYSTEM)
    yield from (asks(n, json.dumps({"a": n})) for n in range(60, 80))
    yield asks(90, "It goes on like this until it stops in the middle of the")


def written(folder: Path) -> Iterator[tuple[list[Path], dict[str, str | Path]]]:
    """Files and how each is to be checked."""
    folder.mkdir(exist_ok=True)

    def file(name: str, *rows: Row | bytes, end: bytes = b"\n") -> Path:
        path = folder / name
        path.write_bytes(end.join([*map(bare, rows), b""]))
        return path

    sft = [*(row[3] for row in ROWS), *(row[3] for row in SOME), *(row[2] for row in OWN)]
    small = [line for line in map(bare, sft) if len(line) < LARGEST]
    yield [file("rows.jsonl", *small)], {}
    yield [file("dpo.jsonl", pair(), *(row[3] for row in PAIRS))], {"method": "dpo"}
    graders = chat(USER, answer=None), chat(USER, answer="4")
    prompts = [row[3] for row in PROMPTS]
    grader = json.dumps({"type": "string_check", "input": "{{ item.answer }}{{item.answer}}"})
    yield [file("rft.jsonl", *prompts, *graders)], {"method": "rft", "grader": grader}
    yield [file("across.jsonl", *across())], {"validation": file("v.jsonl", asks(1, "Yes."))}
    labels = [asks(n, "rare" if n == 7 else "common") for n in range(20)]
    yield [file("labels.jsonl", *labels)], {}
    yield [file("a b.json", b"\xef\xbb\xbf" + bare(chat(USER, SAYS)))], {}
    yield [file("cr.jsonl", chat(USER, SAYS), chat(USER, SAYS), end=b"\r")], {}
    yield [file("plain.jsonl.gz", chat(USER, SAYS))], {}
    yield [file("array.jsonl", b"[", bare(chat(USER, SAYS)), b"]")], {}
    yield [file("empty.jsonl")], {}
    yield [file("alpaca.jsonl", {"instruction": "2+2?", "output": "4"})], {}
    yield [file("people.jsonl", image("https://10.0.0.7/a.png"))], {}
    packed = folder / "packed.jsonl"
    packed.write_bytes(gzip.compress(bare(chat(USER, WORSE)))[:-4])
    yield [packed], {}


def issues_of_limits() -> list[Issue]:
    """Of what would take files of many gigabytes."""
    file = Path("large.jsonl")
    collector = Collector([file], PROVIDERS, 100, "sft")
    for finding in (*file_size(2**40), *example_count(4_000_000), *validation_count(6000)):
        collector.add(file, 1, finding)
    return collector.report(1, TokenEstimate()).issues


@pytest.mark.medium
def test_every_rule_has_a_specimen_and_every_issue_is_whole(tmp_path: Path) -> None:
    told = issues_of_limits()
    for files, options in written(tmp_path / "files"):
        report = check(files, providers=PROVIDERS, max_errors=10_000, **options)  # type: ignore[arg-type]
        lines = {str(path): path.read_bytes().count(b"\n") + 1 for path in tmp_path.rglob("*.*")}
        for issue in report.issues:
            assert 1 <= issue.line <= max(lines[issue.file], 3), issue
        told += report.issues
    assert {issue.rule for issue in told} == {key.partition("/")[0] for key in RULES} - ELSEWHERE
    for issue in told:
        require_whole(issue)


def require_whole(issue: Issue) -> None:
    assert issue.file
    assert issue.severity in ("error", "warning")
    assert set(issue.providers) <= set(PROVIDERS)
    assert issue.providers or issue.severity == "warning", issue  # advice is nobody's rule
    for said in (issue.message, issue.hint):
        assert said.strip(), issue
        assert "\n" not in said
        assert len(said) < 500
    assert issue.path == "" or not issue.path.startswith((".", "[")), issue


def shown(stdout: str) -> str:
    return " ".join(stdout.split())


@pytest.mark.medium
def test_text_and_json_say_the_same_of_every_issue(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "2000")  # so that no cell is broken
    rows: Sequence[Row | bytes] = [row[3] for row in ROWS if len(bare(row[3])) < 2**12]
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"\n".join([*map(bare, rows), b""]))
    ran = cli("data", "check", file, "--for", "all", "--json", "--max-errors", "1000")
    assert ran.returncode == 1
    document = ran.json()
    assert len(document["issues"]) > 150
    text = cli("data", "check", file, "--for", "all", "--max-errors", "1000")
    assert text.returncode == 1
    said = shown(text.stdout)
    for issue in document["issues"]:
        assert set(issue) == {
            *("file", "line", "path", "rule", "severity", "providers", "message", "hint"),
        }
        cells = (str(issue["line"]), issue["path"], issue["rule"], issue["message"], issue["hint"])
        for cell in (*cells, ", ".join(issue["providers"]) or "advice"):
            assert shown(cell) in said, issue
