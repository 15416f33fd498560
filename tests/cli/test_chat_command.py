"""`ftctl chat` in a terminal: the system message, history, and how it is left."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import Cli
from tiny_adapter import write_adapter
from tiny_model import SYSTEM, write_model

from ftctl.local_backend.chat import LocalModel, load_model

pytestmark = [pytest.mark.medium, pytest.mark.timeout(300)]
pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")

FIRST, SECOND = "Item 1: it looks red", "And item 2?"
SHORT = ("--max-new-tokens", "6")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(base, tmp_path_factory.mktemp("models") / "adapter")


@pytest.fixture(scope="module")
def model(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load_model(adapter, tmp_path_factory.mktemp("home"))


def answers(model: LocalModel, *questions: str) -> list[str]:
    """What the model says to each, knowing what was said before."""
    messages = [{"role": "system", "content": SYSTEM}]
    told = []
    for question in questions:
        messages.append({"role": "user", "content": question})
        told.append(model.chat(messages, max_new_tokens=6))
        messages.append({"role": "assistant", "content": told[-1]})
    return told


def test_the_system_message_it_was_tuned_with_is_sent_and_said_once(
    cli: Cli, adapter: Path, model: LocalModel
) -> None:
    ran = cli("chat", adapter, FIRST, *SHORT, "--json")
    asked = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": FIRST}]
    assert ran.json()["messages"][:-1] == asked
    assert ran.json()["answer"] == answers(model, FIRST)[0]
    assert ran.stderr.count(SYSTEM) == 1
    assert "--system sends another" in ran.stderr
    same = cli("chat", adapter, FIRST, *SHORT, "--system", SYSTEM, "--json")
    assert same.json() == ran.json()
    assert same.stderr == ""


@pytest.mark.parametrize(("other", "said"), [("Be brief.", "another is"), ("", "none is")])
def test_another_system_message_than_in_training_is_sent_and_warned_of(
    cli: Cli, adapter: Path, other: str, said: str
) -> None:
    ran = cli("chat", adapter, FIRST, *SHORT, "--system", other, "--json")
    sent = [message["content"] for message in ran.json()["messages"]]
    assert sent[:-1] == ([other, FIRST] if other else [FIRST])
    assert f'all of its training examples had the system message "{SYSTEM}"' in ran.stderr
    assert f"{said} sent: answers may be worse" in ran.stderr
    quiet = cli("chat", adapter, FIRST, *SHORT, "--system", other, "--json", "--quiet")
    assert (quiet.stdout, quiet.stderr) == (ran.stdout, "")


def test_a_conversation_keeps_its_history_until_reset(adapter: Path, model: LocalModel) -> None:
    with terminal(adapter) as (child, keys):
        keys.write(f"{FIRST}\n\n{SECOND}\n/reset\n{SECOND}\n/exit\n".encode())
        out, _ = child.communicate(timeout=60)
    first, second = answers(model, FIRST, SECOND)
    (afresh,) = answers(model, SECOND)
    assert second != afresh
    assert out.decode() == f"{first}\n{second}\n{afresh}\n"
    assert child.returncode == 0


def test_ctrl_d_ends_it_and_ctrl_c_at_the_prompt_interrupts_it(adapter: Path) -> None:
    with terminal(adapter) as (child, keys):
        keys.write(b"\x04")
        assert child.wait(60) == 0
    with terminal(adapter) as (child, keys):
        keys.read_until(b"> ")
        child.send_signal(signal.SIGINT)
        keys.write(b"\n")  # a signal in the moment before Python's read is seen after it
        assert child.wait(60) == 130
        assert keys.read_until().endswith(b"\r\nftctl: interrupted\r\n")


def test_ctrl_c_stops_an_answer_and_not_the_conversation(base: Path, tmp_path: Path) -> None:
    endless = shutil.copytree(base, tmp_path / "base")  # no answer ends before it is stopped
    config = json.loads((endless / "config.json").read_bytes())
    config["max_position_embeddings"] = 50_000
    (endless / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with terminal(endless, "--max-new-tokens", "40000") as (child, keys):
        keys.write(f"{FIRST}\n".encode())
        assert child.stdout is not None
        assert os.read(child.stdout.fileno(), 1)
        child.send_signal(signal.SIGINT)
        keys.read_until(b"stopped")
        keys.write(b"/reset\n/exit\n")
        child.communicate(timeout=60)
        assert child.returncode == 0
        shown = keys.read_until()
    assert b"a new conversation" in shown
    assert b"Traceback" not in shown


class Keys:
    """Our end of a terminal."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def write(self, keys: bytes) -> None:
        os.write(self._handle, keys)

    def read_until(self, what: bytes | None = None) -> bytes:
        """What it showed up to there, or until the other end was closed."""
        shown = b""
        while what is None or what not in shown:
            try:
                piece = os.read(self._handle, 4096)
            except OSError:
                return shown
            if not piece:
                return shown
            shown += piece
        return shown


@contextmanager
def terminal(adapter: Path, *words: str) -> Iterator[tuple["subprocess.Popen[bytes]", Keys]]:
    """`ftctl chat` with a terminal for what is typed and noted, and a pipe for answers."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ftctl.cli", "chat", str(adapter), *(words or SHORT)]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs) as child:
        os.close(theirs)
        try:
            yield child, Keys(ours)
        finally:
            child.kill()
    os.close(ours)
