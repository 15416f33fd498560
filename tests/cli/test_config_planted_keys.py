"""A planted key, wherever it is from, is in nothing that real commands write or print."""

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from command_line import Cli, Ran
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring
from typing_extensions import override

from ftctl.testing.loopback import Fault
from ftctl.testing.openai_vendor import OpenAIVendor

pytestmark = pytest.mark.medium

KEY = "sk-planted-0123456789abcdef"
TRACES = (KEY.encode(), KEY[-8:].encode(), base64.b64encode(KEY.encode()))
MODEL = "gpt-4.1-mini-2025-04-14"


class PlantedKeyring(KeyringBackend):
    """A desktop's keyring in memory; what can't be kept is an error that holds the key."""

    priority = 9

    @override
    def get_password(self, service: str, username: str) -> str | None:
        return KEY if (service, username) == ("ftctl", "openai") else None

    @override
    def set_password(self, service: str, username: str, password: str) -> None:
        raise RuntimeError(password)


@pytest.fixture
def vendor() -> Iterator[OpenAIVendor]:
    with OpenAIVendor(KEY) as running:
        yield running


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "train.jsonl"
    turns = [("user", "Which colour is item {}?"), ("assistant", "green")]
    rows = [
        {"messages": [{"role": role, "content": said.format(n)} for role, said in turns]}
        for n in range(12)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture
def planted(
    request: pytest.FixtureRequest, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Ran]]:
    """The key in one of the three places, and what was printed when it was put there."""
    before = keyring.get_keyring()
    keyring.set_keyring(PlantedKeyring() if request.param == "keyring" else Keyring())  # type: ignore[no-untyped-call]
    if request.param == "environment":
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield []
    else:
        words = ["--keyring"] if request.param == "keyring" else []
        ran = cli("config", "set-key", "openai", "-vv", *words, stdin=f"{KEY}\n")
        assert ran.returncode == (3 if words else 0)
        yield [ran]
    keyring.set_keyring(before)


@pytest.mark.parametrize(
    ("planted", "named"),
    [("environment", "OPENAI_API_KEY"), ("file", "credentials.toml"), ("keyring", "keyring(")],
    indirect=["planted"],
)
def test_a_planted_key_is_in_nothing_that_is_written_or_printed(
    cli: Cli,
    caplog: pytest.LogCaptureFixture,
    clean_environment: Path,
    vendor: OpenAIVendor,
    data: Path,
    planted: list[Ran],
    named: str,
) -> None:
    caplog.set_level(logging.DEBUG)  # as -vv does where nobody else has set logging up
    ran = list(planted)
    at = ("--provider", "openai", "--data", data, "--model", MODEL, "--base-url", vendor.base_url)
    echo = Fault("POST /fine_tuning/jobs", status=400, message=f"not with {KEY}")
    vendor.faults.append(echo)
    ran.append(cli("submit", *at, "-vv"))
    assert ran[-1].returncode == 1, ran[-1].stderr
    ran.append(cli("submit", *at, "-vv", "--json", "--name", "second"))
    assert ran[-1].returncode == 0, ran[-1].stdout
    job: str = ran[-1].json()["id"]
    vendor.faults.append(Fault("GET /fine_tuning/jobs/*", status=401, message=f"no {KEY}"))
    ran.append(cli("job", job, "--refresh", "-vv", "--json"))
    for words in (
        ("watch", job, "--every", "0.05", "-vv", "--json"),
        ("jobs", "-vv"),
        ("logs", job, "-vv"),
        ("fetch", job, "-o", clean_environment / "fetched", "-vv"),
        ("config", "show", "--origin", "-vv"),
        ("doctor", "-vv", "--json"),
    ):
        ran.append(cli(*words))
        assert ran[-1].returncode == 0, ran[-1].stderr
    assert named in "".join(ran[-2].stdout.split())  # a table wraps long paths
    assert "/fine_tuning/jobs" in caplog.text  # the HTTP client's own log is looked at, too
    assert any(request.authorised for request in vendor.requests)
    printed = "".join([*(one.stdout + one.stderr for one in ran), caplog.text]).encode()
    own = clean_environment / "credentials.toml"
    assert own.exists() == (named == "credentials.toml")
    files = [file for file in clean_environment.rglob("*") if file.is_file() and file != own]
    assert {"ftctl.db"} < {file.name for file in files}
    for trace in TRACES:
        assert trace not in printed
        assert [file for file in files if trace in file.read_bytes()] == []
