"""A job that moves brings its data in the new provider's format, and says what that costs them."""

import json
import stat
from pathlib import Path

import pytest
from command_line import Cli
from specimens import install_provider

from ftctl.admission import ScanHits
from ftctl.api.migrating import migrate
from ftctl.datasets.check import check
from ftctl.errors import PrivacyForbids

pytestmark = pytest.mark.medium

# Mistral's own doors are closed; somebody else may still speak its dialect.
PLUGIN = """
from dataclasses import replace
from ftctl.providers.fake import FakeProvider

class Mistralish(FakeProvider):
    name = "mistralish"
    capabilities = replace(
        FakeProvider.capabilities, data_stays_here=False, dialect="mistral", lists_lag=False
    )

def make(settings, base_url):
    return Mistralish(settings.home / "mistralish")
"""
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "weather", "description": "Weather of a city.", "parameters": PARAMETERS}


@pytest.fixture(autouse=True)
def mistralish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_provider(tmp_path / "site", "mistralish", PLUGIN, monkeypatch)


def write_calls(file: Path, *, legacy: bool = False, asker: str = "I") -> Path:
    """Twelve examples that call a tool, with ids as OpenAI makes them."""
    lines = []
    for n in range(12):
        function = {"name": "weather", "arguments": json.dumps({"city": f"town {n}"})}
        call = {"id": f"call_{n}", "type": "function", "function": function}
        messages: list[dict[str, object]] = [
            {"role": "user", "content": f"{asker} ask: rain in town {n}?", "name": "kim"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"call_{n}", "content": "dry"},
            {"role": "assistant", "content": f"No rain in town {n}."},
        ]
        row: dict[str, object] = {"messages": messages}
        if legacy:
            messages[1] = {"role": "assistant", "content": None, "function_call": function}
            messages[2] = {"role": "function", "name": "weather", "content": "dry"}
            row["functions"] = [FUNCTION]
        else:
            row["tools"] = [{"type": "function", "function": FUNCTION}]
        lines.append(json.dumps(row) + "\n")
    file.write_text("".join(lines), "utf-8")
    return file


def submitted(cli: Cli, data: Path, *more: str | Path) -> str:
    ran = cli("submit", "--provider", "fake", "--data", data, "--model", "m-1", "--json", *more)
    assert ran.returncode == 0, ran.stderr
    return str(ran.json()["id"])


def test_data_come_in_the_new_dialect_and_what_is_lost_is_said(
    cli: Cli, tmp_path: Path, clean_environment: Path
) -> None:
    data = write_calls(tmp_path / "train.jsonl")
    held_out = write_calls(tmp_path / "held-out.jsonl", asker="We")
    old = submitted(cli, data, "--validation", held_out)
    before = data.read_bytes()
    ran = cli("migrate", old, "--to", "mistralish", "--yes", "--json")
    assert ran.returncode == 0, ran.stderr
    shown = ran.json()
    rows = {row["setting"]: row for row in shown["differences"]}
    assert rows["data"]["kind"] == rows["validation"]["kind"] == "changed"
    assert rows["data"]["before"] == "train.jsonl (openai)"
    assert "12 of 12 rows" in rows["data"]["why"]
    assert "dropped 12 × a speaker's name" in rows["data"]["why"]
    assert "changed 12 × a call's id" in rows["data"]["why"]
    losses = shown["conversions"][0]["losses"]
    assert {"file", "line", "path", "kind", "what"} == set(losses[0])
    spec = shown["job"]["spec"]
    new = Path(spec["data"])
    assert new == clean_environment / "converted" / f"{spec['data_sha256']}.jsonl"
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    assert check([new], providers=["mistral"], validation=Path(spec["validation"])).ok
    assert spec["metadata"][f"converted:{spec['data_sha256']}"].endswith(str(data))
    assert data.read_bytes() == before
    again = cli("migrate", old, "--to", "mistralish", "--yes", "--json").json()
    assert again["job"]["id"] == shown["job"]["id"]
    back = cli("migrate", shown["job"]["id"], "--to", "fake", "--dry-run", "--json").json()
    assert back["spec"]["data"] == str(data)  # as it was, not as it came out of Mistral's format
    assert back["spec"]["metadata"] == {}
    assert back["conversions"] == []


def test_the_table_shows_what_becomes_of_the_data(cli: Cli, tmp_path: Path) -> None:
    old = submitted(cli, write_calls(tmp_path / "train.jsonl"))
    ran = cli("migrate", old, "--to", "mistralish", "--dry-run")
    assert ran.returncode == 0, ran.stderr
    assert "messages[1].tool_calls[0].id" in ran.stdout
    assert "Not carried as it was" in ran.stdout


def test_functions_of_old_become_tools_where_templates_need_them(cli: Cli, tmp_path: Path) -> None:
    old = submitted(cli, write_calls(tmp_path / "train.jsonl", legacy=True))
    to = ("--to", "local", "--model", "qwen2.5-0.5b-instruct")
    ran = cli("migrate", old, *to, "--dry-run", "--json")
    assert ran.returncode == 0, ran.stderr
    (done,) = ran.json()["conversions"]
    assert (done["source_format"], done["target_format"]) == ("openai-legacy", "openai")
    assert done["dropped"] == 0
    assert check([Path(ran.json()["spec"]["data"])], providers=["local"]).ok


def test_a_file_that_the_other_reads_as_it_is_stays_what_it_is(
    cli: Cli, tmp_path: Path, clean_environment: Path
) -> None:
    data = write_calls(tmp_path / "train.jsonl")
    old = submitted(cli, data)
    to = ("--to", "local", "--model", "qwen2.5-0.5b-instruct")
    shown = cli("migrate", old, *to, "--dry-run", "--json").json()
    assert shown["spec"]["data"] == str(data)
    assert [d["kind"] for d in shown["differences"] if d["setting"] == "data"] == ["kept"]
    assert not (clean_environment / "converted").exists()


def test_converted_rows_leave_only_with_a_word_for_them(cli: Cli, tmp_path: Path) -> None:
    data = write_calls(tmp_path / "train.jsonl", asker="anna.berg@example.org")
    old = submitted(cli, data)
    with pytest.raises(PrivacyForbids) as refused:
        migrate(old, to="mistralish")
    assert f"{data}: the scan found" in refused.value.message
    assert "as converted" in refused.value.message
    asked: list[ScanHits] = []

    def say_yes(hits: ScanHits) -> bool:
        asked.append(hits)
        return True

    job = migrate(old, to="mistralish", on_scan_hits=say_yes)
    assert [(hits.sha256, str(data) in str(hits)) for hits in asked] == [
        (job.record.spec.data_sha256, True)
    ]
    assert "anna.berg" not in str(asked[0])
    migrate(old, to="mistralish")  # said once for these very bytes


def test_a_row_that_cannot_be_converted_is_named_and_nothing_sent(
    cli: Cli, tmp_path: Path, clean_environment: Path
) -> None:
    data = write_calls(tmp_path / "train.jsonl")
    lines = data.read_text().splitlines()
    lines[6] = lines[6].replace(
        '"name": "weather", "desc', '"strict": "y", "name": "weather", "desc'
    )
    data.write_text("\n".join(lines) + "\n")
    old = submitted(cli, data)
    ran = cli("migrate", old, "--to", "mistralish", "--yes")
    assert ran.returncode == 1, ran.stderr
    assert "train.jsonl:7 tools[0].function.strict" in ran.stderr
    assert "ftctl data convert" in ran.stderr
    assert list((clean_environment / "converted").iterdir()) == []
    assert not (clean_environment / "mistralish").exists()


def test_forgetting_drops_the_converted_copies_that_no_other_job_uses(
    cli: Cli, tmp_path: Path, clean_environment: Path
) -> None:
    data = write_calls(tmp_path / "train.jsonl")
    held_out = write_calls(tmp_path / "held-out.jsonl", asker="We")
    both = submitted(cli, data, "--validation", held_out)
    alone = submitted(cli, data)
    first, second = (
        cli("migrate", old, "--to", "mistralish", "--yes", "--json").json()["job"]
        for old in (both, alone)
    )
    shared, only = Path(first["spec"]["data"]), Path(first["spec"]["validation"])
    assert second["spec"]["data"] == str(shared)
    folder = clean_environment / "converted"
    assert set(folder.iterdir()) == {shared, only}
    for job, left in ((first, {shared}), (second, set())):
        assert cli("cancel", job["id"]).returncode in (0, 1)
        ran = cli("forget", job["id"])
        assert ran.returncode == 0, ran.stderr
        assert set(folder.iterdir()) == left
    assert data.exists()
    assert held_out.exists()
