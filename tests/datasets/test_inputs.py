"""What a check reads from: packed files, pipes, standard input, patterns, giant lines."""

import gzip
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from ftctl.datasets.check import LeftOff, check
from ftctl.datasets.compare import compare
from ftctl.datasets.fix import fix
from ftctl.datasets.read import STDIN
from ftctl.datasets.report import Report
from ftctl.datasets.split import split
from ftctl.datasets.stats import stats
from ftctl.errors import UsageError

FTCTL = str(Path(sys.executable).with_name("ftctl"))
BAD = b'{"messages": [{"role": "user", "content": "a"}, {"role": "bot", "content": "b"}]}\n'


def row(number: int) -> bytes:
    messages = [
        {"role": "user", "content": f"question {number}"},
        {"role": "assistant", "content": f"answer {number}"},
    ]
    return json.dumps({"messages": messages}).encode() + b"\n"


GOOD = b"".join(map(row, range(60)))
ROWS = b"".join([*map(row, range(5)), BAD, *map(row, range(5, 60))])
Pack = Callable[[bytes], bytes]
PACKED: list[tuple[str, Pack]] = [
    ("x.jsonl.gz", gzip.compress),
    ("x.jsonl.zst", zstandard.compress),
]


def places(report: Report) -> list[tuple[int, str, str]]:
    about_file = ("compressed", "file-extension")
    return [(i.line, i.rule, i.path) for i in report.issues if i.rule not in about_file]


@pytest.mark.parametrize(("name", "pack"), PACKED)
@pytest.mark.parametrize("cut", [0, 2000], ids=["one stream", "two streams"])
def test_what_is_packed_is_read_as_if_it_were_not(
    name: str, pack: Pack, cut: int, tmp_path: Path
) -> None:
    plain, file = tmp_path / "plain.jsonl", tmp_path / name
    plain.write_bytes(ROWS)
    file.write_bytes(pack(ROWS[:cut]) + pack(ROWS[cut:]))
    found = check([file])
    assert places(found) == places(check([plain]))
    assert places(found)[0] == (6, "role", "messages[1].role")
    assert found.examples == 61
    assert {i.rule for i in found.issues if not i.path} >= {"compressed", "file-extension"}
    fixed = fix(file, tmp_path / "new.jsonl", providers=["openai"])
    assert fixed.counts["compressed"] == 1
    assert (tmp_path / "new.jsonl").read_bytes() == ROWS


@pytest.mark.parametrize(("name", "pack"), PACKED)
def test_packed_files_are_counted_compared_and_split(name: str, pack: Pack, tmp_path: Path) -> None:
    plain, file = tmp_path / "plain.jsonl", tmp_path / name
    plain.write_bytes(GOOD)
    file.write_bytes(pack(GOOD))
    assert stats(file).tokens == stats(plain).tokens
    assert compare(plain, file).alike is True
    parts = split(file, out_dir=tmp_path / "parts")
    assert sum(parts.rows.values()) == 60


@pytest.mark.parametrize(
    ("share", "end", "said"),
    [(0.5, b"", "the stream is cut off"), (1, b"garbage", "Unknown frame descriptor")],
)
def test_damaged_zstd_is_told_with_the_line_before_it(
    share: float, end: bytes, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "x.jsonl.zst"
    whole = zstandard.compress(b"".join(map(row, range(20_000))))  # several blocks
    file.write_bytes(whole[: int(share * len(whole))] + end)
    found = check([file], providers=["local"], duplicates=False, scan=False)
    (issue,) = (i for i in found.issues if i.rule == "compressed")
    assert said in issue.message
    assert issue.severity == "error"
    assert 1_000 < found.examples <= 20_000
    assert issue.line >= found.examples


def test_without_the_package_zstd_is_named_and_what_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    file = tmp_path / "x.jsonl.zst"
    file.write_bytes(zstandard.compress(GOOD))
    (issue,) = (i for i in check([file]).issues if i.rule == "compressed")
    assert issue.message == "the file is compressed (zstd)"
    assert "ftctl[zstd]" in issue.hint


def ran(*arguments: object, stdin: bytes = b"") -> tuple[int, str, str]:
    done = subprocess.run(
        [FTCTL, "data", *map(str, arguments)], input=stdin, capture_output=True, check=False
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.medium
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_standard_input_is_checked_like_a_file(pack: Pack, tmp_path: Path) -> None:
    code, said, told = ran("check", "-", "--json", "--for", "local", stdin=pack(ROWS))
    report = json.loads(said)
    assert (code, report["files"], report["examples"]) == (1, ["-"], 61), told
    issue = report["issues"][0]
    assert (issue["file"], issue["line"], issue["rule"]) == ("-", 6, "role")
    assert "file-extension" not in said
    other = tmp_path / "held.jsonl"
    other.write_bytes(row(7))
    code, said, _ = ran("check", "-", "--json", "--validation", other, stdin=pack(ROWS))
    assert "train-val-overlap" in said


@pytest.mark.medium
def test_standard_input_from_a_file_is_a_stream_too(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(ROWS)
    with file.open("rb") as stream:
        done = subprocess.run(
            [FTCTL, "data", "check", "-", "--json"], stdin=stream, capture_output=True, check=False
        )
    assert json.loads(done.stdout)["examples"] == 61


@pytest.mark.medium
def test_what_needs_a_second_look_is_refused_of_standard_input(tmp_path: Path) -> None:
    for arguments in (["check", "-", "--near"], ["check", "-", "--fix", tmp_path / "new"],
                      ["split", "-"], ["stats", "-", "--near"]):  # fmt: skip
        code, said, told = ran(*arguments, stdin=ROWS)
        assert (code, said) == (2, "")
        assert "standard input can't be read twice" in told
        assert "save it to a file first" in told
    with pytest.raises(UsageError, match="given twice"):
        check([STDIN, STDIN])


@pytest.mark.medium
def test_a_pattern_in_quotes_names_files_in_order(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "c.txt"):
        (tmp_path / name).write_bytes(b"".join(row(i + 100 * ord(name[0])) for i in range(60)))
    code, said, _ = ran("check", tmp_path / "*.jsonl", "--json")
    assert code == 0
    assert [Path(file).name for file in json.loads(said)["files"]] == ["a.jsonl", "b.jsonl"]
    assert ran("check", tmp_path / "*.csv")[0] == 2
    odd = tmp_path / "[odd].jsonl"
    odd.write_bytes(GOOD)
    assert ran("check", odd)[0] == 0


GIANT = """
import re, sys
from pathlib import Path
from typing import Any
from ftctl.datasets.check import check
report = check([Path(sys.argv[1])], providers=["local"])
status = Path("/proc/self/status").read_text()
print(report.examples, re.search(r"VmHWM:\\s+(\\d+)", status)[1])
"""


@pytest.mark.medium
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel tells it there")
@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd", "stdin"])
def test_a_line_that_memory_cannot_hold_is_checked_in_little(kind: str, tmp_path: Path) -> None:
    begin, end = (
        b'{"messages":[{"role":"user","content":"',
        b'"},' + BAD[BAD.index(b'{"role": "b') :],
    )
    file = tmp_path / "x.jsonl"
    openers: dict[str, Callable[..., Any]] = {"gzip": gzip.open, "zstd": zstandard.open}
    opened = openers.get(kind, open)
    with opened(file, "wb") as out:
        out.write(begin)
        for _ in range(320):
            out.write(b"x" * 2**20)
        out.write(end + row(1))
    program = [sys.executable, "-c", GIANT, "-" if kind == "stdin" else str(file)]
    with file.open("rb") as stream:
        said = subprocess.check_output(program, stdin=stream, text=True)
    examples, peak_kib = map(int, said.split())
    assert examples == 2
    assert peak_kib < 300 * 1024


@pytest.mark.medium
def test_ctrl_c_on_standard_input_says_what_is_known_and_that_it_is_not_all() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [FTCTL, "data", "check", "-"], stdin=pipe, stdout=pipe, stderr=pipe
    ) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdin.write(ROWS)
        run.stdin.write(b"".join(map(row, range(60, 20_000))))  # more than the pipe's room
        run.stdin.flush()
        run.send_signal(signal.SIGINT)
        said, told = run.stdout.read().decode(), run.stderr.read().decode()
        run.wait(60)
    assert run.returncode == 130
    assert "messages[1].role" in said
    assert "Left off: this is what was found so far" in said
    assert "Traceback" not in said + told


@pytest.mark.medium
def test_ctrl_c_while_near_duplicates_are_looked_for_says_what_the_rules_found(
    tmp_path: Path,
) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(BAD + b"".join(map(row, range(40_000))))
    timer = threading.Timer(0.05, signal.raise_signal, [signal.SIGINT])

    def told(done: int, total: int) -> None:
        if done == total and not timer.is_alive():  # every line is read; what is near comes next
            timer.start()

    with pytest.raises(LeftOff) as left:
        check([file], near=True, duplicates=False, process_count=1, on_progress=told)
    timer.join()
    assert left.value.report.examples == 40_001
    assert places(left.value.report)[0] == (1, "role", "messages[1].role")
    assert not left.value.report.complete


@pytest.mark.medium
@pytest.mark.parametrize(
    ("arguments", "doing"),
    [
        (("check", "x.jsonl", "--for", "local"), b"checking"),
        (("stats", "x.jsonl"), b"counting"),
        (("compare", "x.jsonl", "x.jsonl"), b"comparing"),
        (("split", "x.jsonl", "-o", "parts", "--force"), b"splitting"),
    ],
)
def test_progress_with_time_left_is_for_a_terminal_only(
    arguments: tuple[str, ...], doing: bytes, tmp_path: Path
) -> None:
    (tmp_path / "x.jsonl").write_bytes(b"".join(map(row, range(5_000))))
    command = [FTCTL, "data", *arguments]
    quiet = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert quiet.stderr == b""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs) as run:
        os.close(theirs)
        shown = bytearray()
        while piece := _read(ours):
            shown += piece
        assert run.stdout is not None
        said = run.stdout.read()
    os.close(ours)
    assert said == quiet.stdout
    assert doing in shown
    assert re.search(rb"\d:\d\d:\d\d|-:--:--", shown)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 2**16)
    except OSError:  # Linux's way to say that the other side is closed
        return b""
