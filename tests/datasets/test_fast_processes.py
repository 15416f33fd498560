"""Several processes find what one finds; memory is bounded; Ctrl-C tells what is known."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ftctl.datasets.check import check
from ftctl.datasets.fast import processes
from ftctl.datasets.fast.options import Options
from ftctl.datasets.fast.worker import Task
from ftctl.datasets.read import BLOCK_BYTES, RANGE_BYTES, ranges

PEAK = "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"


def row(number: int, answer: str = "It is so.") -> bytes:
    text = f"Question {number}: " + "why? " * 200
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": messages}).encode() + b"\n"


def big(file: Path, *, size_bytes: int, first: bytes = b"") -> Path:
    """Rows of 1 kB; of each thousand some are bad, of each ten thousand one comes again."""
    with file.open("wb") as out:
        out.write(first)
        number = 0
        while out.tell() < size_bytes:
            number += 1
            out.write(
                row(number % 10_000, "" if number % 1000 < 3 else f"It is {number % 10_000}.")
            )
            if number % 1500 == 0:
                out.write(b"{\n\n[1]\r\n")
            if number == 12_000:
                out.write(b'{"text": "' + b"long " * (BLOCK_BYTES // 2) + b'"}\n')
    return file


@pytest.mark.medium
@pytest.mark.parametrize("first", [b"", b"\xef\xbb\xbf", b'{"text": "a"}\n', b"{}\n" * 30])
def test_several_processes_find_what_one_finds_in_the_same_order(
    tmp_path: Path, first: bytes
) -> None:
    file = big(tmp_path / "x.jsonl", size_bytes=3 * RANGE_BYTES, first=first)
    seen: list[tuple[int, int]] = []
    several = check([file], process_count=2, on_progress=lambda *at: seen.append(at))
    assert several == check([file], process_count=1)
    assert several.rule_counts["duplicate-example"]
    assert several.lines["fast"] > 0 or first.startswith(b'{"text"')
    size = file.stat().st_size
    assert seen == sorted(seen)
    assert seen[-1] == (size, size)
    assert len(seen) >= 4


@pytest.mark.medium
def test_a_process_that_dies_is_done_without(tmp_path: Path) -> None:
    file = big(tmp_path / "x.jsonl", size_bytes=2 * RANGE_BYTES)
    tasks = [Task(file, begin, end, None, Options()) for begin, end in ranges(file, 0)]
    alone = [task.done().examples for task in tasks]
    with processes.doing(0, 2) as done:
        for child in children(os.getpid()):
            os.kill(child, signal.SIGKILL)
        assert [part.examples for part in done(iter(tasks))] == alone
    assert not children(os.getpid())


def children(of: int) -> list[int]:
    """Our worker processes, by what the kernel says."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            if parent == of and b"fast.worker" in (stat.parent / "cmdline").read_bytes():
                found.append(int(stat.parent.name))
        except (OSError, IndexError):
            continue
    return found


def peak_kib(file: Path, options: str) -> int:
    """The most memory that a check of the file took, in KiB, in a process of its own."""
    program = (
        "import re, sys; from pathlib import Path; from ftctl.datasets.check import check\n"
        f"report = check([Path(sys.argv[1])], {options}); assert report.lines['fast']\n{PEAK}"
    )
    run = [sys.executable, "-c", program, str(file)]
    return int(subprocess.check_output(run, text=True))


@pytest.mark.medium
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel tells it there")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    small = big(tmp_path / "small.jsonl", size_bytes=2 * RANGE_BYTES)
    large = big(tmp_path / "large.jsonl", size_bytes=12 * RANGE_BYTES)
    bare = "duplicates=False, scan=False, process_count=1"
    assert peak_kib(large, bare) < peak_kib(small, bare) + 8 * 1024
    assert peak_kib(large, bare) < 150 * 1024


@pytest.mark.medium
def test_ctrl_c_prints_what_is_known_so_far(tmp_path: Path) -> None:
    pipe = tmp_path / "x.jsonl"
    os.mkfifo(pipe)
    command = [str(Path(sys.executable).with_name("ftctl")), "data", "check", str(pipe), "--json"]
    piped = subprocess.PIPE
    with subprocess.Popen(command, stdout=piped, stderr=piped) as run, pipe.open("wb") as out:
        for number in range(20_000):
            out.write(row(number, "") if number == 5 else row(number))
        out.flush()  # what is beyond the pipe's room was read
        run.send_signal(signal.SIGINT)
        said, told = run.communicate(timeout=60)
    report = json.loads(said)
    assert run.returncode == 130, told
    assert not report["complete"]
    assert not report["ok"]  # nobody knows yet
    assert 10_000 < report["examples"] < 20_000
    assert {(issue["line"], issue["rule"]) for issue in report["issues"]} >= {(6, "empty-content")}
    assert not re.search("min-examples|Traceback", said.decode() + told.decode())
