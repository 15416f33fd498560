"""`ftctl advise` as a person or a script meets it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from command_line import Cli

from ftctl.advisor.types import Facts
from ftctl.cli.advise import command, read_facts
from ftctl.errors import UsageError

pytestmark = pytest.mark.medium

DAY = ["--as-of", "2026-11-24"]


def run(*args: str) -> Result:
    return CliRunner().invoke(command, [*args, *DAY], catch_exceptions=False)


def test_every_fact_has_a_flag_of_its_name() -> None:
    flags = {option for parameter in command.params for option in parameter.opts}
    assert {f"--{name.replace('_', '-')}" for name in Facts.model_fields} <= flags


def test_the_reason_stands_first_and_undecided_is_four() -> None:
    result = run()
    assert result.exit_code == 4
    assert result.stdout.startswith("Measure first:")
    assert "next: ftctl data check FILE" in result.stdout


def test_a_decision_shows_its_routes_gates_and_assumptions() -> None:
    result = run("--prompt-meets-quality", "false", "--data-rows", "2000", "--runs-gpus")
    assert result.exit_code == 0
    for part in ("self_hosted", "wins", "ruled out", "2026-07-15", "assumed", "genai-prices"):
        assert part in result.stdout
    assert "ftctl submit --provider local" in result.stdout
    # Together's training price was checked on 2026-07-31, more than 90 days before.
    assert "2026-07-31 (old)" in run("--prompt-meets-quality", "false").stdout


def test_json_is_one_document() -> None:
    result = run("--json", "--failure-mix", '{"knowledge": 1}', "--priorities", "cost,quality")
    document = json.loads(result.stdout)
    assert document["schema"] == "ftctl.advice/1"
    assert document["decision"] == "rag"
    assert document["adaptation"] == ["rag"]
    assert result.exit_code == 0


def test_models_closed_alike_are_one_row_for_a_person_and_all_in_json() -> None:
    facts = ["--prompt-meets-quality", "false", "--data-rows", "2000"]
    closed = json.loads(run("--json", *facts).stdout)["rejected"]
    openai = {line["model"] for line in closed if line["provider"] == "openai"}
    assert {"gpt-4.1", "gpt-4.1-mini", "gpt-4o", "gpt-4o-mini"} <= openai
    shown = run(*facts).stdout.splitlines()
    rows = [row for row in shown if "openai" in row and "availability" in row]
    assert len(rows) == 1
    assert "models" in rows[0]


def test_a_route_that_may_be_late_is_warned_of() -> None:
    slow = ["--latency-p95-s", "0.3", "--output-tokens", "100", "--prompt-meets-quality", "false"]
    assert "the 0.3 s you ask for" in run(*slow, "--data-rows", "2000").stdout


def test_schema_is_json_schema_of_the_facts() -> None:
    schema = json.loads(run("--schema").stdout)
    assert set(schema["properties"]) == set(Facts.model_fields)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("facts.json", '{"data_rows": 5, "prompt_meets_quality": false}'),
        ("facts.toml", "data_rows = 5\nprompt_meets_quality = false\nas_of = 2026-11-24\n"),
        ("bom.json", '\ufeff{"data_rows": 5}'),
    ],
)
def test_facts_come_from_a_file_and_flags_win(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    few = json.loads(run("--json", "--facts", str(path)).stdout)
    assert few["decision"] == "prompt"
    flags = ["--data-rows", "2000", "--prompt-meets-quality", "false"]
    many = json.loads(run("--json", "--facts", str(path), *flags).stdout)
    assert many["decision"] == "hosted"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"{", "not JSON"),
        ("a.toml", b"= 1", "not TOML"),
        ("a.json", b"[1]", "holds list, not a mapping"),
        ("a.json", b"\xff\xfe{", "not UTF-8 text"),
        ("a.json", b'{"data_row": 3}', "did you mean data_rows"),
        ("a.json", b"", "holds no facts"),
        ("a.toml", b"\n", "holds no facts"),
        ("a.json", b"[" * 100_000, "not JSON .maximum recursion"),
        ("a.json", b'{"data_rows": true}', "fact data_rows: yes or no is no answer here"),
        (
            "a.json",
            b'{"failure_mix": {"knowlege": 1}}',
            "knowlege: unknown; did you mean knowledge",
        ),
        ("a.json", b'{"regions": "eu"}', "fact regions: should be a list .got 'eu'"),
        ("a.json", b'{"accounts": []}', "fact accounts: should be a mapping"),
    ],
)
def test_a_bad_facts_file_is_one_message(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        Facts.parse(read_facts(str(path)))


def test_a_missing_file_and_a_folder_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_facts(str(tmp_path / "none.json"))
    with pytest.raises(UsageError, match="directory"):
        read_facts(str(tmp_path))


def test_yaml_is_read_where_pyyaml_is_and_else_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "facts.yaml"
    path.write_text("data_rows: 5\n", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(UsageError, match="needs PyYAML") as caught:
        read_facts(str(path))
    assert "JSON or TOML" in caught.value.hint
    monkeypatch.undo()
    yaml: Any = pytest.importorskip("yaml")
    assert read_facts(str(path)) == yaml.safe_load("data_rows: 5") == {"data_rows": 5}


def write_rows(path: Path, rows: list[tuple[str, str]]) -> str:
    lines = [
        json.dumps(
            {
                "messages": [
                    {"role": "system", "content": "Name the kind of this message."},
                    {"role": "user", "content": question},
                    {"role": "assistant", "content": answer},
                ]
            }
        )
        for question, answer in rows
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_a_data_file_is_measured_and_copies_order_and_names_change_nothing(tmp_path: Path) -> None:
    rows = [
        (f"message number {i} about topic {i * i}", "spam" if i % 3 else "ham") for i in range(90)
    ]
    renamed = [(question, {"spam": "junk", "ham": "good"}[answer]) for question, answer in rows]
    files = [
        write_rows(tmp_path / "once.jsonl", rows),
        write_rows(tmp_path / "twice.jsonl", rows + rows),
        write_rows(tmp_path / "turned.jsonl", renamed[::-1]),
    ]
    score = ["--baseline-score", "0.6", "--target-score", "0.9", "--runs-gpus", "true"]
    answers = [json.loads(run("--json", "--data", file, *score).stdout) for file in files]
    notes = {note["name"]: note for note in answers[1]["assumptions"]}
    assert (notes["data_rows"]["value"], notes["data_rows"]["origin"]) == ("90", "measured")
    for answer in answers[1:]:
        for key in ("decision", "leading", "confidence", "rejected"):
            assert answer[key] == answers[0][key]


def test_a_flag_that_is_no_json_is_named() -> None:
    with pytest.raises(UsageError, match="--accounts: not JSON"):
        run("--accounts", "{openai")


def test_the_report_is_written_as_a_page_too(cli: Cli, tmp_path: Path) -> None:
    page = tmp_path / "advice.html"
    asked = ("advise", "--as-of", "2026-11-24", "--baseline-score", "0.6", "--target-score", "0.9")
    ran = cli(*asked, "--html", page, "--json")
    assert ran.returncode == cli(*asked).returncode
    assert f"wrote {page}" in ran.stderr
    text = page.read_text("utf-8")
    assert f'<data value="{ran.json()["confidence"]}">' in text
    assert text.count("<svg role") == 4
    refused = cli(*asked, "--html", tmp_path / "no" / "advice.html")
    assert refused.returncode == 2
    assert "can't be written" in refused.stderr
