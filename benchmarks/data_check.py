"""`ftctl data check` beside its peers, bare decoding, and itself on bad lines.

    python benchmarks/data_check.py --together PYTHON [--size MB] [--rounds 5]

Every candidate runs in its own process, one after the other in each round, so that all see the
same load; medians are printed. Speeds hold for this machine, ratios between lines of one run.

Peers report per line: Together's client 1.5.35 (`pip install together==1.5.35` in an environment
of its own, whose Python is named by `--together`; it refuses tools, so it gets the rows without),
and a stand-in for the data-preparation notebook of the OpenAI cookbook, written anew: the file
into a list, then a loop over its messages for format errors. It leaves out what takes longest
there, counting tokens.
"""

import argparse
import datetime
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import data_rows

import ftctl

CHECK = (
    "import sys; from pathlib import Path; from ftctl.datasets.check import check\n"
    "report = check([Path(sys.argv[1])], {})\n"
)
PEERS = ("together 1.5.35", "cookbook (stand-in)")
BARE = "duplicates=False, scan=False, tokens=False"
DECODE = """
import gc, sys
from pathlib import Path
from ftctl.datasets.fast.rows import decode_tools
from ftctl.datasets.read import ranges, read_range
gc.disable()
file, core, cores = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for begin, end in list(ranges(file, 0))[core::cores]:
    for block in read_range(file, begin, end):
        for line in block.split(b"\\n"):
            if line:
                decode_tools(line)
"""
BARE_DECODING = f"""
import os, subprocess, sys
cores = len(os.sched_getaffinity(0))
runs = [
    subprocess.Popen([sys.executable, "-c", {DECODE!r}, sys.argv[1], str(core), str(cores)])
    for core in range(cores)
]
assert not any([run.wait() for run in runs])
"""
TOGETHER = (
    "import sys; from pathlib import Path; from together.utils import check_file\n"
    "found = check_file(Path(sys.argv[1])); assert found['is_check_passed'], found\n"
)
NOTEBOOK = """
import collections, json, sys
rows = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
found = collections.Counter()
known = {"role", "content", "name", "weight", "function_call", "tool_calls", "tool_call_id"}
for row in rows:
    messages = row.get("messages") if isinstance(row, dict) else None
    if not messages:
        found["no messages"] += 1
        continue
    for message in messages:
        found["key missing"] += "role" not in message or "content" not in message
        found["key unknown"] += any(key not in known for key in message)
        found["role"] += message.get("role") not in ("system", "user", "assistant", "tool")
        text, calls = message.get("content"), message.get("tool_calls")
        found["content"] += not calls and not isinstance(text, str)
    found["no answer"] += not any(m.get("role") == "assistant" for m in messages)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--together", help="Python of an environment with together==1.5.35.")
    parser.add_argument("--size", type=int, default=250, help="Of the files, in MB.")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("FTCTL_BENCH_DIR")) as folder:
        measure(Path(folder), given.size * 10**6, given.rounds, given.together)


def measure(folder: Path, size: int, rounds: int, together: str | None) -> None:
    """Make the files, run every candidate in turn, print a table."""
    rows = data_rows.make(folder / "rows.jsonl", size)
    plain = without_tools(rows, folder / "plain.jsonl")
    real = data_rows.make_real(folder / "real.jsonl", size // 2)
    some_bad = data_rows.make(folder / "bad1.jsonl", size, bad=0.01)
    all_bad = data_rows.make(folder / "bad100.jsonl", size // 4, bad=1.0)
    files = {"rows": rows, "plain": plain, "real": real, "1 % bad": some_bad, "100 % bad": all_bad}
    here = sys.executable
    programs = {
        "check, rules only": (here, CHECK.format(BARE), tuple(files)),
        "check, and tokens": (here, CHECK.format("duplicates=False, scan=False"), ("rows", "real")),
        "check, and scan": (here, CHECK.format("duplicates=False"), ("rows", "real")),
        "check, everything": (here, CHECK.format(""), ("rows", "real")),
        "bare decoding": (here, BARE_DECODING, ("rows", "plain", "real")),
        "cookbook (stand-in)": (here, NOTEBOOK, ("rows", "plain", "real")),
    }
    if together:
        programs["together 1.5.35"] = (together, TOGETHER, ("plain", "real"))
    taken: dict[tuple[str, str], list[Speed]] = {}
    for _ in range(rounds):
        for name, (python, program, which) in programs.items():
            for file in which:
                found = speed_of([python, "-c", program, str(files[file])], files[file])
                taken.setdefault((name, file), []).append(found)
    speeds = {
        key: Speed(*map(statistics.median, zip(*found, strict=True)))
        for key, found in taken.items()
    }
    print_table(speeds, list(programs), list(files), rounds)
    print_ratios({key: speed.wall for key, speed in speeds.items()}, "by the clock")
    # What it would be on cores of one's own: peers have use for one, we for all.
    cores = len(os.sched_getaffinity(0))
    alone = {
        key: speed.processor * (1 if key[0] in PEERS else cores) for key, speed in speeds.items()
    }
    print_ratios(alone, "by processor time")
    print_memory(rows, data_rows.make(folder / "larger.jsonl", 4 * size, seed=1))


class Speed(NamedTuple):
    """MB a second, by the clock and of processor time."""

    wall: float
    processor: float


def without_tools(file: Path, to: Path) -> Path:
    """The rows that Together's client takes."""
    with file.open("rb") as lines, to.open("wb") as out:
        out.writelines(line for line in lines if b'"tools"' not in line)
    return to


def speed_of(command: list[str], file: Path) -> Speed:
    """How fast one run is, with all processes that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    quiet = {**os.environ, "TOGETHER_NO_BANNER": "1"}
    subprocess.run(command, check=True, capture_output=True, env=quiet)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    size = file.stat().st_size / 1e6
    return Speed(size / wall, size / processor)


def print_table(
    speeds: dict[tuple[str, str], Speed], names: list[str], files: list[str], rounds: int
) -> None:
    """MB/s of each candidate on each file, by the clock and of processor time."""
    today = datetime.datetime.now(tz=datetime.UTC).date()
    load = os.getloadavg()[0]
    print(
        f"{today}, ftctl {ftctl.__version__}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, load {load:.1f}, medians of {rounds}, "
        "MB/s by the clock (of processor time)"
    )
    print(f"| | {' | '.join(files)} |")
    print(f"|---|{'---|' * len(files)}")
    for name in names:
        cells = [speeds.get((name, file)) for file in files]
        told = ("" if c is None else f"{c.wall:.0f} ({c.processor:.0f})" for c in cells)
        print(f"| {name} | {' | '.join(told)} |")


def print_ratios(speeds: dict[tuple[str, str], float], how: str) -> None:
    """What is asked of the speeds, and what they are."""
    print(f"Ratios {how}:")
    rules = "check, rules only"
    for file in ("plain", "real"):
        fastest = max(speeds.get((peer, file), 0.0) for peer in PEERS)
        ratio = speeds[rules, file] / fastest
        print(f"{file}: {ratio:.1f} x the fastest peer (asked: 5)")
    for file in ("rows", "plain", "real"):
        share = speeds[rules, file] / speeds["bare decoding", file]
        print(f"{file}: {share:.2f} of bare decoding (asked: 0.5)")
    for file, asked in (("1 % bad", 0.9), ("100 % bad", 0.15)):
        print(f"{file}: {speeds[rules, file] / speeds[rules, 'rows']:.2f} of none (asked: {asked})")
    print(f"everything: {speeds['check, everything', 'rows']:.0f} MB/s (asked: 30)")


def print_memory(rows: Path, larger: Path) -> None:
    """Peak memory of all processes, with and without duplicates, and how it grows."""
    more_rows = sum(
        file.read_bytes().count(b"\n") * sign for file, sign in ((larger, 1), (rows, -1))
    )
    for name, options in (("rules only", BARE), ("duplicates too", "scan=False, tokens=False")):
        small, large = (peak_mb(file, options) for file in (rows, larger))
        print(
            f"peak memory, {name}: {small:.0f} MB at {rows.stat().st_size / 1e6:.0f} MB, "
            f"{large:.0f} MB at {larger.stat().st_size / 1e6:.0f} MB: "
            f"{(large - small) * 1e6 / more_rows:.0f} bytes a row more"
        )


def peak_mb(file: Path, options: str) -> float:
    """The most memory that a check and its processes hold at once, in MB."""
    run = subprocess.Popen([sys.executable, "-c", CHECK.format(options), str(file)])
    most = 0
    while run.poll() is None:
        most = max(most, sum(map(resident_kib, [run.pid, *children(run.pid)])))
        time.sleep(0.02)
    assert run.returncode == 0
    return most * 1024 / 1e6


def resident_kib(pid: int) -> int:
    """What a process holds; 0 when it is gone."""
    try:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    try:
        threads = [*Path(f"/proc/{pid}/task").glob("*/children")]
        return [int(child) for file in threads for child in file.read_text().split()]
    except OSError:
        return []


if __name__ == "__main__":
    main()
