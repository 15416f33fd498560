"""Fuzz `ftctl data check`: on any bytes its two ways find the same, and neither raises.

    pip install atheris==3.0.0
    python benchmarks/fuzz_check.py [--runs 1000000] [--found DIR]

Coverage-guided by atheris, beside ftctl in an environment of its own. It begins with the tricky
files of tests/cases and good examples with and without tools, and changes them as JSON (values,
keys, messages, spellings) or as bytes. Each input is looked at in memory, the fast way and by every
rule; some as a file too, with the report and `--fix`. What it runs into ends the run with the input
in `--found`, where inputs that reach new code are kept as well.

`--keep` writes the smallest inputs that reach all code that those in `--found` do, as base64 in a
file that tests replay.
"""

import argparse
import base64
import importlib
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any
from zlib import crc32

from fuzz_inputs import CORPUS, LONGEST, changed, seeds

Step = tuple[str, int, int]  # a file, and the lines from and to which it goes
Tracer = Callable[[FrameType, str, Any], Any]
ROUND = 40_000  # inputs that a process looks at: atheris 3.0 keeps 45 KB of each for good
WHOLE_FILE = 256  # one input in so many is checked as a file too


def look(data: bytes, folder: Path | None = None) -> None:
    """Look at an input in all ways.

    Args:
        data: The input.
        folder: Where files may be written; None to do without.

    Raises:
        AssertionError: two ways find different things, or one is told of nowhere.
    """
    from ftctl.datasets.examine import Asked
    from ftctl.datasets.fast.options import Options
    from ftctl.datasets.fast.part import Part

    draw = crc32(data)
    kept, nine = 3 if draw & 1 else 50, bool(draw & 2)
    asked = Asked(nova=bool(draw & 4), duplicates=draw // 8 % 8 == 0)

    def part(**how: object) -> Part:
        made = Part(Options(**{"asked": asked, "kept": kept, "nine": nine, **how}), None)  # type: ignore[arg-type]
        made.look([data] if data else [])
        return made

    fast, slow = seen(part(fast=True)), seen(part(fast=False))
    assert fast == slow, next(pair for pair in zip(fast, slow, strict=True) if pair[0] != pair[1])
    if draw // 64 % 4 == 0:
        seen(part(asked=Asked(method="dpo" if draw & 256 else "rft")))
    if folder is not None and draw // 512 % WHOLE_FILE == 0:
        look_at_file(data, folder)


def seen(part: "object") -> tuple[object, ...]:
    """All that a part of a file shows, once each finding has its line and its rule."""
    from ftctl.datasets.fast.part import Part
    from ftctl.datasets.rules.table import RULES

    assert isinstance(part, Part)
    across = list(part.lines.iter_findings())
    for number, finding in [*part.findings, *across]:
        assert 0 < number <= part.lines_read, (number, finding)
        assert finding.key in RULES, finding
        assert finding.message, finding
    told = (part.lines_read, part.begun, part.examples, part.format, part.total_tokens)
    return (*told, part.longest, part.counts, part.findings, across)


def look_at_file(data: bytes, folder: Path) -> None:
    """Check an input as a file by either way, mend it, and mend what was mended."""
    from ftctl.datasets.check import check
    from ftctl.datasets.fix import fix
    from ftctl.datasets.rules.table import PROVIDERS
    from ftctl.errors import DataInvalid

    file, new, again = (folder / name for name in ("x.jsonl", "new.jsonl", "again.jsonl"))
    file.write_bytes(data)
    fast, slow = (check([file], providers=PROVIDERS, max_errors=5, fast=f) for f in (True, False))
    assert fast == slow.model_copy(update={"lines": fast.lines})
    assert all(issue.line >= 1 and issue.hint for issue in fast.issues)
    json.loads(fast.model_dump_json())
    try:
        fix(file, new, providers=PROVIDERS)
        fix(new, again, providers=PROVIDERS)
        assert new.read_bytes() == again.read_bytes()
    except DataInvalid:
        pass
    finally:
        new.unlink(missing_ok=True)
        again.unlink(missing_ok=True)


def keep(found: Path) -> None:
    """Write the shortest inputs of a folder that take every step that any of them does."""
    taken: set[Step] = set()
    kept: list[bytes] = []
    inputs = sorted(
        {file.read_bytes() for file in found.iterdir()}, key=lambda data: (len(data), data)
    )
    for data in inputs:
        new = steps(data) - taken
        if new and len(data) <= LONGEST:
            kept.append(data)
            taken |= new
    lines = [json.dumps(base64.b64encode(data).decode()) for data in kept]
    CORPUS.parent.mkdir(exist_ok=True)
    CORPUS.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    print(f"{len(kept)} of {len(inputs)} inputs, {CORPUS.stat().st_size:,} bytes")


def steps(data: bytes) -> set[Step]:
    """From which line to which other the checks go with an input."""
    taken: set[Step] = set()

    def enter(frame: FrameType, _: str, __: object) -> Tracer | None:
        file, before = frame.f_code.co_filename, 0

        def follow(frame: FrameType, event: str, _: object) -> Tracer:
            nonlocal before
            if event == "line":
                taken.add((file, before, frame.f_lineno))
                before = frame.f_lineno
            return follow

        return follow if "datasets" in Path(file).parts else None

    sys.settrace(enter)
    try:
        look(data)
    finally:
        sys.settrace(None)
    return taken


def main() -> None:
    """Fuzz, or keep what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=0, help="At most, of every 40,000 runs.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--found", type=Path, help="Inputs that reach new code, and findings.")
    parser.add_argument("--keep", action="store_true", help="Make the file that tests replay.")
    parser.add_argument("engine", nargs="*", help="After --: for libFuzzer as they are.")
    given = parser.parse_args()
    if given.engine:
        fuzz(given.engine)
    with tempfile.TemporaryDirectory() as scratch:
        found = given.found or Path(scratch) / "found"
        found.mkdir(parents=True, exist_ok=True)
        if given.keep:
            keep(found)
            return
        begin = Path(scratch) / "seeds"
        begin.mkdir()
        for i, data in enumerate(seeds()):
            (begin / f"{i:04}").write_bytes(data)
        for done in range(0, given.runs, ROUND):
            runs = min(ROUND, given.runs - done)
            limits = [f"-runs={runs}", f"-max_total_time={given.seconds}", f"-max_len={LONGEST}"]
            kept = [f"-artifact_prefix={found}/finding-", str(found), str(begin)]
            more = [f"-seed={given.seed + done}", "-timeout=30", "-rss_limit_mb=6000"]
            engine([*limits, *more, *kept])


def engine(arguments: list[str]) -> None:
    """Run libFuzzer in a process of its own."""
    subprocess.run([sys.executable, __file__, "--", *arguments], check=True)


def fuzz(arguments: list[str]) -> None:
    """Hand over to atheris; the process ends there."""
    atheris = importlib.import_module("atheris")  # where it isn't, the rest can be used
    with atheris.instrument_imports(include=["ftctl.datasets"]):
        for name in ("check", "fix"):  # compiled with what tells atheris where it is
            importlib.import_module(f"ftctl.datasets.{name}")

    folder = Path(tempfile.mkdtemp())

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)  # noqa: S311 - no secret
        if rng.random() < 0.2:
            return bytes(atheris.Mutate(data, most))
        for _ in range(rng.choice((1, 1, 2, 4))):
            data = changed(data, rng)
        return data[:most]

    atheris.Setup(
        [sys.argv[0], *arguments],
        lambda data: look(data, folder),
        custom_mutator=mutate,
        internal_libfuzzer=True,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
