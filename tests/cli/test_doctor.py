"""What the doctor finds, how it says to fix it, and that it changes and reveals nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import Cli
from specimens import without_privilege

from ftctl.estimation.setting import Cards

KEY = "hf_planted0123456789"


def findings(cli: Cli, code: int = 0) -> dict[str, dict[str, Any]]:
    ran = cli("doctor", "--json")
    assert ran.returncode == code
    document = ran.json()
    assert document["schema"] == "ftctl.doctor/1"
    assert document["ok"] is (code == 0)
    return {f"{f['area']}/{f['name']}": f for f in document["findings"]}


def test_a_usable_machine_is_described_and_left_alone(cli: Cli, clean_environment: Path) -> None:
    found = findings(cli)
    assert found["machine/Python"]["status"] == "ok"
    assert found["home/folder"]["says"] == f"{clean_environment} (made at the first job)"
    assert not clean_environment.exists()
    assert "pydantic" not in found["extra/local"]["says"]
    assert "torch 2." in found["extra/local"]["says"]


def test_a_missing_extra_comes_with_the_command_that_adds_it(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftctl.cli.doctor.find_version", lambda _: None)
    found = findings(cli)
    assert found["extra/openai"]["status"] == "missing"
    assert found["extra/openai"]["fix"] == "pip install 'ftctl[openai]'"
    assert found["training/devices"]["fix"] == "pip install 'ftctl[local]'"
    assert not {"extra/dev", "extra/all"} & set(found)


def test_a_credential_is_named_and_never_shown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", KEY)
    monkeypatch.setenv("https_proxy", f"http://me:{KEY}@proxy:1")
    found = findings(cli)
    assert found["credential/huggingface"]["says"] == "HF_TOKEN is set"
    assert found["credential/openai"]["fix"].startswith("export OPENAI_API_KEY=")
    assert found["network/https_proxy"]["says"] == "http://***@proxy:1"
    assert KEY not in str(found) + cli("doctor").stdout


def test_a_file_of_keys_that_others_can_read_is_a_problem_with_its_command(
    cli: Cli, clean_environment: Path
) -> None:
    clean_environment.mkdir()
    file = clean_environment / "credentials.toml"
    file.write_text(f'openai = "{KEY}"')
    file.chmod(0o644)
    found = findings(cli)["credential/openai"]
    assert (found["status"], found["fix"]) == ("problem", f"chmod 600 {file}")
    file.chmod(0o600)
    assert findings(cli)["credential/openai"]["says"] == str(file)


def test_the_webhook_secret_is_named_and_never_shown(
    cli: Cli, clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = clean_environment / "webhook_secret"
    assert findings(cli)["credential/webhook secret"]["says"].endswith(str(file))
    monkeypatch.setenv("FTCTL_WEBHOOK_SECRET", KEY)
    assert findings(cli)["credential/webhook secret"]["says"] == "FTCTL_WEBHOOK_SECRET"


def test_a_certificate_file_that_is_not_there_is_a_problem(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    assert findings(cli)["network/SSL_CERT_FILE"]["status"] == "problem"


def test_a_home_that_is_a_file_is_unusable(cli: Cli, clean_environment: Path) -> None:
    clean_environment.write_text("")
    folder = findings(cli, code=1)["home/folder"]
    assert folder["status"] == "problem"
    assert "FTCTL_HOME" in folder["fix"]


@pytest.mark.medium
def test_a_home_that_cannot_be_written_to_is_unusable(clean_environment: Path) -> None:
    clean_environment.mkdir(mode=0o500)
    command = [*without_privilege(), sys.executable, "-m", "ftctl.cli", "doctor", "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1, ran.stderr
    rows = json.loads(ran.stdout)["findings"]
    (folder,) = (row for row in rows if (row["area"], row["name"]) == ("home", "folder"))
    assert folder["status"] == "problem"
    assert "can't be written to" in folder["says"]


def test_what_can_be_tuned_here_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [
        (Cards(name="a card", memory_gib=24, count=2), "2 × a card, 24.0 GiB each"),
        (Cards(name="memory", memory_gib=16, kind="memory"), "memory, 16.0 GiB"),
    ]
    for here, says in cards:
        monkeypatch.setattr("ftctl.estimation.machine.find_cards", lambda _, here=here: here)
        found = findings(cli)
        assert found["training/memory"]["says"] == says
        assert found["training/largest, lora"]["says"].startswith("qwen3-")
        assert (found["training/largest, qlora"]["status"] == "ok") is (here.kind == "gpu")
        assert ("training/sharding" in found) is (here.count > 1)
    assert "planned for GPUs alone" in found["training/largest, qlora"]["says"]
