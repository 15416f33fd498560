"""`ftctl advise`: on facts alone, and with a data file beside `ftctl data check` on it.

    python benchmarks/advise_time.py [--rows 20000] [--rounds 5]

Each command runs in its own process, one after the other in each round, so that all see the same
load; medians are printed. Goals: under 1 s on facts alone, with a file at most 1.5 times the check.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import data_rows

DAY = ("--as-of", "2026-11-24")
FACTS = ("--baseline-score", "0.6", "--target-score", "0.85", "--requests-per-month", "200000")


def main() -> None:
    """Time both, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = rows_file(Path(folder) / "rows.jsonl", asked.rows)
        commands = {
            "advise, facts alone": ("advise", *FACTS, *DAY),
            "data check": ("data", "check", str(file)),
            "advise --data": ("advise", "--data", str(file), *FACTS, *DAY),
        }
        took: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(asked.rounds):
            for name, words in commands.items():
                took[name].append(run(words))
        with file.open("rb") as lines:
            count = sum(1 for _ in lines)
        print(f"{count:,} rows, {file.stat().st_size / 1e6:.1f} MB, load {os.getloadavg()[0]:.1f}")
    for name, seconds in took.items():
        low, high = min(seconds), max(seconds)
        print(f"{name:20} {statistics.median(seconds):.2f} s ({low:.2f}–{high:.2f})")
    ratio = statistics.median(took["advise --data"]) / statistics.median(took["data check"])
    print(f"advise --data is {ratio:.2f} times the check")


def rows_file(path: Path, rows: int) -> Path:
    """At least so many seeded rows."""
    size = 1_000 * rows
    while True:
        data_rows.make(path, size)
        with path.open("rb") as lines:
            count = sum(1 for _ in lines)
        if count >= rows:
            return path
        size = int(size * 1.05 * rows / count)


def run(words: tuple[str, ...]) -> float:
    """Seconds of one command; an answer of 0, 1 or 4 is one."""
    began = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-m", "ftctl.cli", *words], check=False, capture_output=True, text=True
    )
    took = time.perf_counter() - began
    if ran.returncode not in (0, 1, 4):
        sys.exit(f"ftctl {' '.join(words)}: {ran.stderr}")
    return took


if __name__ == "__main__":
    main()
