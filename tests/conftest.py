"""What every test gets: a clean environment, a home of its own, and no network but loopback."""

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import time_machine
from command_line import Cli, Ran
from hypothesis.internal.conjecture import providers as draws
from hypothesis.internal.constants_ast import Constants

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
SLOWER = {"slow", "medium", "gpu", "live"}

# The same examples each time: what fails on one machine fails on every one. New ones are looked for
# with FTCTL_TEST_SEARCH=1.
hypothesis.settings.register_profile("the same", derandomize=True)
if not os.environ.get("FTCTL_TEST_SEARCH"):
    hypothesis.settings.load_profile("the same")
    # Hypothesis also draws constants from whichever of our modules are loaded by then, which hangs
    # on the tests that this process happened to run before.
    assert callable(draws._get_local_constants)
    draws._get_local_constants = Constants

# Read before the environment is cleaned: a day to which the clock of in-process tests is moved.
TODAY = os.environ.get("FTCTL_TEST_TODAY")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not SLOWER & {mark.name for mark in item.iter_markers()}:
            item.add_marker("fast")


def pytest_configure() -> None:
    """Programs that tests start can be interrupted, even where a shell in the background ran us."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def moved_clock() -> Iterator[None]:
    """With FTCTL_TEST_TODAY=2027-03-01 the test lives on that day; the clock goes on ticking."""
    if TODAY is None:
        yield
        return
    with time_machine.travel(datetime.fromisoformat(TODAY).replace(tzinfo=UTC), tick=True):
        yield


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
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
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


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line in this process: quick, and on the test's own clock."""
    from ftctl.cli.main import main

    def run(*args: str | Path, stdin: str | None = None) -> Ran:
        streams = {name: io.TextIOWrapper(io.BytesIO(), "utf-8") for name in ("out", "err")}
        typed = io.TextIOWrapper(io.BytesIO((stdin or "").encode()), "utf-8")
        monkeypatch.setattr(sys, "stdin", typed)
        with (
            contextlib.redirect_stdout(streams["out"]),
            contextlib.redirect_stderr(streams["err"]),
            pytest.raises(SystemExit) as ended,
        ):
            main([str(arg) for arg in args])
        printed = {}
        for name, stream in streams.items():
            stream.flush()
            stream.seek(0)
            printed[name] = stream.read()
        code = ended.value.code
        return Ran(printed["out"], printed["err"], code if isinstance(code, int) else 1)

    return run


@pytest.fixture
def cli_process() -> Cli:
    """The command line in a process of its own, as a user starts it."""

    def run(*args: str | Path, stdin: str | None = None) -> Ran:
        ran = subprocess.run(
            [sys.executable, "-m", "ftctl.cli", *map(str, args)],
            input=stdin,
            check=False,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
        )
        return Ran(ran.stdout, ran.stderr, ran.returncode)

    return run
