"""Exact token counts beside what people use: `python benchmarks/tokens.py [--mb 8] [--cores 1]`.

Side by side in one run, turn by turn, medians; ratios are what to look at, as other programs may
share the machine. Two files: seeded rows of every kind, and what Python's library says of itself.

- bare: toktok-rs's `batch_count` on all texts at once, decoded before the clock starts.
- loop: the OpenAI cookbook's way: a line, `json`, a message, tiktoken on each value; one core, of
  a large file the first 16 MB.
- count: reading, decoding and counting, without any rule.
- rules: `data check --model` without duplicates and scan; all: with them.

On more cores than one, `bare` takes threads and `count`, `rules` and `all` take processes, which
pays on files of 64 MB and more. `--code-points` compares toktok-rs with tiktoken on every code
point instead, and says which differ.
"""

import argparse
import gc
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import toktok
from data_rows import make, make_real

from ftctl.datasets.check import check
from ftctl.datasets.read import ranges, read_range
from ftctl.datasets.tokens.choose import counter_for
from ftctl.datasets.tokens.new_code_points import RANGES
from ftctl.datasets.tokens.ranks import packaged_encoding
from ftctl.datasets.tokens.tally import Counting, Tally
from ftctl.datasets.tokens.texts import plain_rows
from ftctl.datasets.tokens.types import TokenCounter

ENCODING = "o200k_base"
MODEL = "gpt-4o"
LOOP_BYTES = 16 * 10**6  # each goes at one speed, and more of them take minutes
CONTEXTS = ("{}.the", " {}(a", "{}{}.the", "{}'s the", "{}", "a{}b", "!{}A b", "{}\n!a", "1{}1")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=float, default=8, help="size of each file")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--ways", default="bare,loop,count,rules,all")
    parser.add_argument("--code-points", action="store_true")
    asked = parser.parse_args()
    if asked.code_points:
        compare_code_points()
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (("seeded", make), ("real text", make_real)):
            file = write(Path(folder) / "x.jsonl", int(asked.mb * 1e6))
            compare(name, file, asked.runs, asked.cores, asked.ways.split(","))


def compare(name: str, file: Path, runs: int, cores: int, asked: Sequence[str]) -> None:
    """Time each way in turn, and print speeds and ratios."""
    counter = counter_for(MODEL, "openai")
    texts = list(_texts(file))
    ask = partial(check, [file], providers=["openai"], counter=counter, process_count=cores)
    ways: dict[str, Callable[[], object]] = {
        "bare": lambda: toktok.batch_count(texts, ENCODING, threads=cores),
        "loop": lambda: _loop(file),
        "count": lambda: _count(file, counter, cores),
        "rules": lambda: ask(duplicates=False, scan=False),
        "all": ask,
    }
    ways = {way: ways[way] for way in asked}
    took: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(runs):
        for way, run in ways.items():
            gc.collect()
            wall, cpu = time.perf_counter(), _cpu_s()
            run()
            took[way].append((time.perf_counter() - wall, _cpu_s() - cpu))
    size = file.stat().st_size / 1e6
    print(f"{name}, {size:.0f} MB, {ENCODING}, {cores} cores, medians of {runs} (least, most):")
    sizes = {way: min(size, LOOP_BYTES / 1e6) if way == "loop" else size for way in ways}
    for place, clock in enumerate(("wall", "CPU")):
        speeds = {way: sorted(sizes[way] / t[place] for t in took[way]) for way in ways}
        middle = {way: statistics.median(found) for way, found in speeds.items()}
        for way, fast in middle.items():
            to_loop, to_bare = fast / middle["loop"], fast / middle["bare"]
            said = f"{fast:7.1f} MB/s ({speeds[way][0]:.1f} to {speeds[way][-1]:.1f})"
            print(f"  {clock:4} {way:6} {said:32} {to_loop:6.1f} x loop {to_bare:7.0%} of bare")


def _cpu_s() -> float:
    """Processor time of this process and those it has ended, which other programs don't move."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _count(file: Path, counter: TokenCounter, cores: int) -> Tally:
    whole, count = Tally(), partial(_count_range, file, counter)
    if cores == 1:
        for tally in map(count, ranges(file, 0)):
            whole.append(tally)
    else:
        # Not forked: what this process holds would be copied as it is touched.
        with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
            for tally in pool.map(count, ranges(file, 0)):
                whole.append(tally)
    return whole


def _count_range(file: Path, counter: TokenCounter, place: tuple[int, int]) -> Tally:
    counting = Counting(counter, None)
    gc.disable()
    for piece in read_range(file, *place):
        if isinstance(piece, bytes):
            lines = piece.splitlines()
            counting.add(piece, len(lines), plain_rows(lines))
    counting.flush()
    gc.enable()
    return counting.tally


def _texts(file: Path) -> Iterator[str]:
    for line in file.read_bytes().splitlines():
        for message in json.loads(line)["messages"]:
            if isinstance(message.get("content"), str):
                yield message["content"]


def _loop(file: Path) -> int:
    """Tokens of a file's beginning, a value at a time."""
    encoding = packaged_encoding(ENCODING)
    total = read = 0
    with file.open("rb") as lines:
        for line in lines:
            if read >= LOOP_BYTES:
                break
            read += len(line)
            row: dict[str, Any] = json.loads(line)
            total += 3
            for message in row["messages"]:
                total += 3
                for key, value in message.items():
                    if isinstance(value, str):
                        total += len(encoding.encode(value, disallowed_special=()))
                    if key == "name":
                        total += 1
    return total


def compare_code_points() -> None:
    """Say on which code points the fast tokenizer and the reference differ in any context."""
    points = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    expected = {code for low, high in RANGES for code in range(low, high + 1)}
    for name in ("o200k_base", "cl100k_base"):
        encode = packaged_encoding(name).encode_ordinary
        blocks = _blocks(points)
        found: set[int] = set()
        for context in CONTEXTS:
            texts = ["\n".join(context.replace("{}", chr(c)) for c in block) for block in blocks]
            counts = toktok.batch_count(texts, name)
            for block, text, count in zip(blocks, texts, counts, strict=True):
                if count != len(encode(text)):
                    found.update(_differing(block, context, name))
        print(f"{name}: {len(found):,} differ, {len(found - expected):,} of them unexpected")


def _blocks(points: list[int], size: int = 32) -> list[list[int]]:
    return [points[i : i + size] for i in range(0, len(points), size)]


def _differing(block: list[int], context: str, name: str) -> Iterator[int]:
    encode = packaged_encoding(name).encode_ordinary
    for code in block:
        text = context.replace("{}", chr(code))
        if toktok.batch_count([text], name) != [len(encode(text))]:
            yield code


if __name__ == "__main__":
    main()
