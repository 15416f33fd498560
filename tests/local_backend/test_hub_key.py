"""A key kept with `ftctl config set-key huggingface` reaches the hub, and no other place."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from specimens import worker_config
from typing_extensions import override

from ftctl.config import keep_key
from ftctl.errors import UsageError
from ftctl.local_backend.base_models import hub_key
from ftctl.local_backend.executors import process
from ftctl.local_backend.run_folder import RunFolder

KEY = "hf_kept0123456789"
MODEL = "somebody/private"


def test_a_kept_key_is_found_for_a_hub_model_alone(
    clean_environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub_key(MODEL, clean_environment) is None
    keep_key("huggingface", KEY, home=clean_environment)
    assert hub_key(MODEL, clean_environment) == KEY
    assert hub_key(tmp_path, clean_environment) is None
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_environment")
    assert hub_key(MODEL, clean_environment) == "hf_of_the_environment"


def test_a_key_that_others_could_read_is_not_used_and_stops_nothing(
    clean_environment: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep_key("huggingface", KEY, home=clean_environment)
    (clean_environment / "credentials.toml").chmod(0o644)
    assert hub_key(MODEL, clean_environment) is None
    assert "no key for the hub" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.medium
def test_the_worker_gets_the_key_in_its_environment_alone(
    clean_environment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    keep_key("huggingface", KEY, home=clean_environment)
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    config = worker_config(clean_environment, model=MODEL)
    run.write(run.config_file, config)
    worker = tmp_path / "worker"
    worker.write_text(f'#!/bin/sh\necho "$@"\nprintf %s "$HF_TOKEN" > {tmp_path}/seen\n')
    worker.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(worker))
    caplog.set_level(logging.DEBUG)
    process.start(run)
    while process.is_alive(run):
        threading.Event().wait(0.01)
    assert (tmp_path / "seen").read_text() == KEY
    assert "ftctl.local_backend.worker" in run.log_file.read_text()  # its arguments
    assert KEY not in caplog.text
    for file in run.path.iterdir():
        assert KEY not in file.read_text(), file


class _Hub(BaseHTTPRequestHandler):
    """Has no model, and remembers what it was shown."""

    shown: list[str | None]

    def do_HEAD(self) -> None:
        """Answer that there is nothing."""
        self.shown.append(self.headers.get("Authorization"))
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD  # noqa: N815 - the base class's name

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str | None]]]:
    """Its address, and the credentials it was shown."""
    shown: list[str | None] = []
    handler = type("Hub", (_Hub,), {"shown": shown})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", shown
        server.shutdown()


@pytest.mark.medium
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "load",
    [
        "from ftctl.local_backend.chat import load_model; load_model(MODEL, HOME)",
        "from ftctl.datasets.render import load_tokenizer; load_tokenizer(MODEL, key=KEY)",
    ],
)
def test_a_model_loaded_here_is_asked_for_with_the_kept_key(
    clean_environment: Path, hub: tuple[str, list[str | None]], load: str
) -> None:
    keep_key("huggingface", KEY, home=clean_environment)
    address, shown = hub
    program = (
        f"from pathlib import Path; MODEL, HOME = {MODEL!r}, Path({str(clean_environment)!r});"
        f"KEY = {KEY!r}; {load}"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert UsageError.__name__ in ran.stderr
    assert KEY not in ran.stdout + ran.stderr
    assert set(shown) == {f"Bearer {KEY}"}
