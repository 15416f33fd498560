"""Cold start of `ftctl --help` beside an empty Python: `make bench`.

Each round starts one of either, so that both see the same load. Prints a table row for
docs/log.md: date, machine, versions, median and spread of both.
"""

import argparse
import datetime
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import ftctl

EMPTY = [sys.executable, "-c", "pass"]
HELP = [str(Path(sys.executable).with_name("ftctl")), "--help"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    for command in (EMPTY, HELP):
        seconds_of(command)  # once for nothing: files get into the cache, bytecode gets written
    pairs = [(seconds_of(EMPTY), seconds_of(HELP)) for _ in range(rounds)]
    empty, shown = ([pair[side] for pair in pairs] for side in (0, 1))
    machine = f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    versions = f"ftctl {ftctl.__version__}, Python {platform.python_version()}"
    today = datetime.datetime.now(tz=datetime.UTC).date()
    print("| date | machine | versions | n | `ftctl --help` | `python -c pass` |")
    print("|---|---|---|---|---|---|")
    print(f"| {today} | {machine} | {versions} | {rounds} | {told(shown)} | {told(empty)} |")


def seconds_of(command: list[str]) -> float:
    """Wall time of one run, in seconds."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def told(seconds: list[float]) -> str:
    """Median and the range from the fastest to the slowest, in seconds."""
    return f"{statistics.median(seconds):.3f} s ({min(seconds):.3f}–{max(seconds):.3f})"


def processor() -> str:
    """The processor's name where Linux tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
