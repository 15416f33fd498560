"""A server in this process, and one as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running_server import Running
from starlette.testclient import TestClient
from tiny_model import write_model

from ftctl.config import load_settings
from ftctl.local_backend.executors import process
from ftctl.local_backend.run_folder import RunFolder
from ftctl.server.app import build_app
from ftctl.server.backend import Backend

TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that loads and answers nonsense."""
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def hollow_base(tmp_path: Path) -> Path:
    """A folder that looks like a model as long as nobody loads it."""
    folder = tmp_path / "hollow"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_text("{}", encoding="utf-8")
    return folder


@pytest.fixture
def client(hollow_base: Path) -> Iterator[TestClient]:
    """A client with the token, of a server with a small limit whose one base is hollow."""
    bases = {"hollow": str(hollow_base)}
    backend = Backend.open(load_settings(), bases, max_upload_bytes=200_000)
    app = build_app(backend, token=TOKEN)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with TestClient(app, headers=headers, raise_server_exceptions=False) as found:
        yield found


@pytest.fixture
def no_worker_left(clean_environment: Path) -> Iterator[None]:
    """Whatever a test does, no worker outlives it."""
    yield
    for file in (clean_environment / "runs").glob("*/worker.json"):
        run = RunFolder(file.parent)
        run.cancel_file.touch()
        process.stop(run, grace_s=1)


@pytest.fixture
def start_server(no_worker_left: None, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts `ftctl serve` on a free port, as a user does; ends what is left at the end."""
    started: list[subprocess.Popen[str]] = []
    log = (tmp_path / "serve.log").open("a+", encoding="utf-8")

    def start(*words: str) -> Running:
        command = [sys.executable, "-m", "ftctl.cli", "serve", "--port", "0", "--json", *words]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        started.append(server)
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, (tmp_path / "serve.log").read_text(encoding="utf-8")
        said = json.loads(line)
        kept = Path(said["token_origin"]).read_text(encoding="ascii").strip()
        return Running(server, said["base_url"], kept, tmp_path / "serve.log", said)

    yield start
    for server in started:
        if server.poll() is None:
            os.kill(server.pid, signal.SIGKILL)
        server.communicate()
    log.close()
