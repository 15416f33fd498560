"""The providers whose commands are killed: a new one joins with a line of `DRIVERS`.

What a provider needs to be put to the test is what its contract test says of it already.
"""

import functools
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from contract.test_contract_fake import FakeUnderTest
from contract.test_contract_fireworks import FireworksUnderTest
from contract.test_contract_huggingface import HubUnderTest
from contract.test_contract_mistral import MistralUnderTest
from contract.test_contract_openai import (
    AzureUnderTest,
    BedrockUnderTest,
    NebiusUnderTest,
    OpenAIUnderTest,
)
from contract.test_contract_together import TogetherUnderTest
from specimens import spec_on_ten_rows

from ftctl.job import JobState
from ftctl.local_backend.run_folder import RunFolder
from ftctl.providers.base import Provider
from ftctl.providers.local import LocalProvider
from ftctl.testing import openai_dialects as dialects
from ftctl.testing.fireworks_vendor import FireworksVendor
from ftctl.testing.hub import Hub
from ftctl.testing.loopback import Loopback
from ftctl.testing.mistral_vendor import MistralVendor
from ftctl.testing.openai_vendor import OpenAIVendor
from ftctl.testing.together_vendor import TogetherVendor
from ftctl.testing.under_test import ProviderUnderTest

KEY = "sk-planted-to-be-killed"
_Vendor = TypeVar("_Vendor", bound=Loopback)
Open = Callable[[Path], AbstractContextManager[ProviderUnderTest]]

# Stands in for the worker: what it says in the run folder is the worker's, nothing is trained.
_WORKER = """\
import json, os, signal, socket, sys, time
from datetime import datetime, timezone
os.chdir(sys.argv[-1])
attempt = json.load(open("config.json"))["attempt"]
def write(name, value):
    part = f"{name}.part-{os.getpid()}"
    with open(part, "w") as stream:
        json.dump(value, stream)
    os.replace(part, name)
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
mine = {"pid": os.getpid(), "process_group": os.getpgrp(), "host": socket.gethostname()}
write("worker.json", {"attempt": attempt} | mine)
outcome = None
while os.path.exists("config.json") and outcome is None:
    if asked or os.path.exists("cancel"):
        outcome = "cancelled"
    elif os.path.exists("finish"):
        outcome = "succeeded"
    else:
        time.sleep(0.01)
if outcome is not None:
    now = datetime.now(timezone.utc).isoformat()
    exit = {"attempt": attempt, "outcome": outcome, "message": outcome, "at": now}
    write(f"exit-{attempt}.json", exit)
"""


@dataclass(frozen=True)
class Driver:
    """A provider to kill.

    Attributes:
        open: Makes it ready in an empty folder.
        doubles: Whether it makes a second job when it is asked twice, so that the control, which
            never looks first, must double some.
    """

    open: Open
    doubles: bool = True


def _hosted(
    variable: str,
    vendor: Callable[[], _Vendor],
    under_test: Callable[[_Vendor, Path], ProviderUnderTest],
    **more: str,
) -> Open:
    """One behind a network: its vendor on loopback, whose key a variable holds; more variables."""

    @contextmanager
    def opened(folder: Path) -> Iterator[ProviderUnderTest]:
        with patch.dict(os.environ, more | {variable: KEY}), vendor() as there:
            yield under_test(there, folder)

    return opened


def _openai(**dialect: Any) -> Callable[[], OpenAIVendor]:  # noqa: ANN401 - as the vendor takes it
    return functools.partial(OpenAIVendor, KEY, by_polls=False, **dialect)


class LocalUnderTest:
    """This machine, with workers that only wait to be told their end.

    Args:
        folder: An empty one.
    """

    def __init__(self, folder: Path) -> None:
        self._home = folder / "home"
        self.spec = spec_on_ten_rows(
            folder,
            provider="local",
            model=str(folder),
        )

    def driver(self) -> Provider:
        """A fresh driver."""
        return LocalProvider(self._home)

    def finish(self, remote_id: str) -> None:
        """Leave an adapter and end."""
        run = self._home / "runs" / remote_id
        (run / "output").mkdir()
        files = {"adapter_model.safetensors": b"weights" * 4000, "README.md": b"# n\n"}
        rows = {}
        for name, content in files.items():
            (run / "output" / name).write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            rows[name] = {"sha256": digest, "bytes": len(content)}
        (run / "output" / "manifest.json").write_text(json.dumps(rows), "utf-8")
        (run / "finish").touch()
        _wait(lambda: self.driver().poll(remote_id).state is JobState.SUCCEEDED)

    def made(self) -> int:
        """How many run folders there are with orders in them."""
        return len(list((self._home / "runs").glob("*/config.json")))

    def stop(self) -> None:
        """End the workers."""
        for folder in (self._home / "runs").glob("*"):
            RunFolder(folder).cancel_file.touch()


def _wait(until: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 30
    while not until():
        if time.monotonic() > give_up:
            raise RuntimeError("the worker's stand-in never came to its end")
        time.sleep(0.005)


@contextmanager
def _local(folder: Path) -> Iterator[ProviderUnderTest]:
    (folder / "worker.py").write_text(_WORKER, "utf-8")
    python = folder / "python"
    python.write_text(f"#!/bin/sh\nexec '{sys.executable}' -SE '{folder}/worker.py' \"$@\"\n")
    python.chmod(0o700)
    under_test = LocalUnderTest(folder)
    with patch.object(sys, "executable", str(python)):  # what a worker is started with
        yield under_test
    under_test.stop()


@contextmanager
def _fake(folder: Path) -> Iterator[ProviderUnderTest]:
    yield FakeUnderTest(folder)


DRIVERS: dict[str, Driver] = {
    "fake": Driver(_fake),
    "local": Driver(_local, doubles=False),
    "openai": Driver(_hosted("OPENAI_API_KEY", _openai(), OpenAIUnderTest)),
    "azure": Driver(
        _hosted(
            "AZURE_OPENAI_API_KEY", _openai(metadata="kept", dialect=dialects.AZURE), AzureUnderTest
        )
    ),
    "bedrock": Driver(
        _hosted(
            "AWS_BEARER_TOKEN_BEDROCK",
            _openai(metadata="kept", dialect=dialects.BEDROCK),
            BedrockUnderTest,
        )
    ),
    "nebius": Driver(_hosted("NEBIUS_API_KEY", _openai(dialect=dialects.NEBIUS), NebiusUnderTest)),
    "huggingface": Driver(_hosted("HF_TOKEN", lambda: Hub(KEY), HubUnderTest)),
    "together": Driver(
        _hosted("TOGETHER_API_KEY", lambda: TogetherVendor(KEY, by_polls=False), TogetherUnderTest)
    ),
    "fireworks": Driver(
        _hosted(
            "FIREWORKS_API_KEY", lambda: FireworksVendor(KEY, by_polls=False), FireworksUnderTest
        ),
        doubles=False,
    ),
    "mistral": Driver(
        _hosted("MISTRAL_API_KEY", lambda: MistralVendor(KEY, by_polls=False), MistralUnderTest)
    ),
}
