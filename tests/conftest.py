"""What every test gets: a clean environment, a home of its own, and no network but loopback."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KEPT = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "SYSTEMROOT",
    "COVERAGE_PROCESS_START",
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Only a few variables, a home in a temporary folder, hubs offline; returns the ftctl home."""
    for name in list(os.environ):
        if name not in KEPT and not name.startswith(("PYTEST_", "COV_", "OPENBLAS_", "OMP_")):
            monkeypatch.delenv(name)
    home = tmp_path / "ftctl-home"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FTCTL_HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to any other host fails the test that makes it."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test reached for {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli() -> Cli:
    """Run the real command line in a process of its own: `cli("data", "check", "x.jsonl")`."""

    def run(*args: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ftctl.cli", *map(str, args)]
        return subprocess.run(
            command,
            input=stdin,
            check=False,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
        )

    return run
