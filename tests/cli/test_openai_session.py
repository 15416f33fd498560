"""A whole session at a hosted vendor, by real processes, with a planted key."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from command_line import Ran

from ftctl.testing.loopback import Fault
from ftctl.testing.openai_vendor import OpenAIVendor

pytestmark = pytest.mark.medium
KEY = "sk-planted-0123456789abcdef"


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIVendor]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with OpenAIVendor(KEY) as running:
        yield running


@dataclass
class Session:
    """Runs ftctl as a user does, always with -vv, and sees every command line under way."""

    vendor: OpenAIVendor
    ran: list[Ran] = field(default_factory=list)
    command_lines: set[bytes] = field(default_factory=set)
    last: int = 0

    def __call__(self, *words: str | Path, code: int = 0) -> Ran:
        argv = [sys.executable, "-m", "ftctl.cli", *map(str, words), "-vv"]
        # Whenever the vendor is asked, the process that asks is surely alive.
        self.vendor.on_moment = lambda *_: self.look()
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        ) as child:
            self.last = child.pid
            out, err = child.communicate(timeout=120)
        self.vendor.on_moment = None
        assert child.returncode == code, err
        assert "Traceback" not in err
        self.ran.append(Ran(out, err, code))
        return self.ran[-1]

    def look(self) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                self.command_lines.add((process / "cmdline").read_bytes())
            except OSError:
                continue  # ended, or somebody else's


def write_rows(file: Path) -> Path:
    rows = [
        [
            {"role": "user", "content": f"Which colour is item {n}?"},
            {"role": "assistant", "content": "green" if n % 2 else "red"},
        ]
        for n in range(12)
    ]
    file.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows), "utf-8")
    return file


def test_from_submit_to_forget_with_the_key_nowhere(
    vendor: OpenAIVendor, tmp_path: Path, clean_environment: Path
) -> None:
    ftctl = Session(vendor)
    data = write_rows(tmp_path / "train.jsonl")
    where = ("--provider", "openai", "--base-url", vendor.base_url)
    asked = ("submit", *where, "--model", "gpt-4.1-mini", "--data", data, "--name", "colours")
    vendor.faults.append(Fault("POST /fine_tuning/jobs", status=401, message=f"not {KEY}"))
    assert "not ***" in ftctl(*asked, code=3).stderr
    job = ftctl(*asked).stdout.strip()
    vendor.faults.append(Fault("GET /fine_tuning/jobs/*", status=429, message=f"not {KEY}"))
    assert "succeeded" in ftctl("watch", job, "--every", "0.05").stdout
    known = json.loads(ftctl("job", job, "--json").stdout)
    progress = known["progress"]
    assert (progress["step"], progress["total_steps"], progress["loss"]) == (2, 2, 1.0)
    assert known["actual"]["trained_tokens"] == 1234
    assert "training loss=1.00" in ftctl("logs", job).stdout
    told = ftctl("fetch", job, "-o", tmp_path / "out").stderr
    assert f"talk to it: ftctl chat {job}" in told  # no weights came, so not to the folder
    assert ftctl("chat", job, "Which colour?").stdout.strip() == vendor.reply
    assert vendor.asked("POST /chat/completions")[0].json()["model"] == known["fine_tuned_model"]
    ftctl("forget", job)
    assert not vendor.files
    assert known["fine_tuned_model"] not in vendor.models
    ftctl("chat", job, "Which colour?", code=1)

    printed = "".join(ran.stdout + ran.stderr for ran in ftctl.ran)
    assert "/fine_tuning/jobs" in printed  # -vv shows what is asked
    assert KEY not in printed
    written = [file for root in (clean_environment, tmp_path / "out") for file in root.rglob("*")]
    assert {"ftctl.db", "job.json"} <= {file.name for file in written}
    assert [f for f in written if f.is_file() and KEY.encode() in f.read_bytes()] == []
    if Path("/proc/self").is_dir():
        assert any(b"ftctl.cli\0submit" in line for line in ftctl.command_lines)
        assert not any(KEY.encode() in line for line in ftctl.command_lines)
