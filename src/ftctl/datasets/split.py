"""Split a dataset into parts that share no prompt, or into a file for each task."""

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

from ftctl.datasets.digest import file_sha256
from ftctl.datasets.document import Value
from ftctl.datasets.fingerprints import answer_of, fingerprints
from ftctl.datasets.near import near_rows
from ftctl.datasets.read import TELL_LINES, Line, LineReader, OnProgress, must_be_readable_twice
from ftctl.datasets.rules.json_text import parse_line
from ftctl.datasets.rules.structure import iter_messages_problems
from ftctl.datasets.rules.types import Example, read_example
from ftctl.datasets.shapes import OTHER, TOOL_CALL, shape_of, tasks
from ftctl.errors import DataInvalid, UsageError

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")

_SHAPES_KEPT = 10_000  # forms of answer told apart; rows of others are strays
_NAME = 40  # characters of a task in a file's name
_Key = TypeVar("_Key", bound=str)


class SplitResult(Value):
    """What a split wrote: `ftctl.data-split/1`.

    `files` and `rows` have one entry a part that was asked for; `groups` is how many different
    prompts there are, or clusters of them, which are never divided.
    """

    files: dict[Part, Path]
    rows: dict[Part, int]
    groups: int
    seed: int


class TaskSplit(Value):
    """What a split by task wrote: `ftctl.data-split-tasks/1`; most rows first."""

    files: dict[str, Path]
    rows: dict[str, int]


def split(  # noqa: PLR0913 - keywords are the flags of the command line
    path: Path,
    *,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    near: bool = False,
    out_dir: Path | None = None,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> SplitResult:
    """Write `<stem>.train.jsonl`, `.validation.jsonl` and `.test.jsonl`.

    Rows that ask the same, but for case, spacing and punctuation, stay together, so no part can
    give another's answers away. Which part a prompt falls into depends on the seed and the
    prompts alone, not on the order of lines. A row's bytes are kept; lines end in LF, and blank
    lines are left out.

    Args:
        path: OpenAI-format JSONL.
        validation: Share of the rows, 0 to 1; 0 writes no such file.
        test: Likewise.
        seed: Another seed gives another split.
        near: Keep prompts together, too, whose users say nearly the same; that reads the file
            twice more.
        out_dir: Where the parts go; beside the input when left out. Made if need be.
        force: Replace files that hold something else.
        on_progress: Called now and then with bytes read and to read, in each pass.

    Raises:
        UsageError: the file can't be read, a share is none, the parts can't be written, or would
            replace other files.
        DataInvalid: a line isn't a chat example, or there are too few prompts to fill the parts.
    """
    shares = {"validation": validation, "test": test}
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise UsageError(f"{name} {share:g} is no share", hint=f"--{name} 0.1")
    if validation + test >= 1:
        raise UsageError("validation and test leave nothing to train on", hint="--test 0.1")
    must_be_readable_twice(path)
    rows_read = partial(_iter_rows, path, on_progress)
    prompts = array("Q", (fingerprints(example).prompt for example, _ in rows_read()))
    heads = _heads(path, prompts) if near else {}
    together = array("Q", (heads.get(prompt, prompt) for prompt in prompts))
    assigned = _assign(together, validation, test, seed)
    asked: list[Part] = [part for part in PARTS if shares.get(part, 1) > 0]
    folder = out_dir if out_dir is not None else path.parent
    files = {part: folder / f"{path.stem}.{part}.jsonl" for part in asked}

    def part_of(example: Example) -> Part:
        prompt = fingerprints(example).prompt
        return assigned.get(heads.get(prompt, prompt), "train")

    rows = _write(rows_read(), part_of, files, force=force)
    return SplitResult(files=files, rows=rows, groups=len(assigned), seed=seed)


def split_by_task(
    path: Path,
    *,
    out_dir: Path | None = None,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> TaskSplit:
    """Write `<stem>.task-<task>.jsonl` for each task, as the form of the last answer tells it.

    Each row is in one file, its bytes kept, in the order of the input.

    Args:
        path: OpenAI-format JSONL.
        out_dir: Where the files go; beside the input when left out. Made if need be.
        force: Replace files that hold something else.
        on_progress: Called now and then with bytes read and to read, in each pass.

    Raises:
        UsageError: the file can't be read, or the files can't be written or would replace others.
        DataInvalid: a line isn't a chat example, or all answers have one form.
    """
    must_be_readable_twice(path)
    counts: Counter[str] = Counter()
    for example, _ in _iter_rows(path, on_progress):
        shape = _shape(example)
        if shape in counts or len(counts) < _SHAPES_KEPT:
            counts[shape] += 1
    named = tasks(counts)
    sizes: Counter[str] = Counter()
    for shape, task in named.items():
        sizes[task] += counts[shape]
    if len(sizes) < 2:
        said = f"the {counts.total():,} answers have one form: there is no second task to tell"
        raise DataInvalid(f"{path}: {said}", hint=f"ftctl data split {path}")
    folder = out_dir if out_dir is not None else path.parent
    names = _file_names([task for task, _ in sizes.most_common()])
    files = {task: folder / f"{path.stem}.task-{name}.jsonl" for task, name in names.items()}
    if len(counts) >= _SHAPES_KEPT:
        files[OTHER] = folder / f"{path.stem}.task-{OTHER}.jsonl"
    found = _iter_rows(path, on_progress)
    rows = _write(found, lambda example: named.get(_shape(example), OTHER), files, force=force)
    return TaskSplit(files=files, rows=rows)


def _heads(path: Path, prompts: "array[int]") -> dict[int, int]:
    """For each prompt the least of those that it must stay with, whatever the order of lines."""
    heads = {prompt: prompt for prompt in prompts}

    def head(prompt: int) -> int:
        while heads[prompt] != prompt:
            heads[prompt] = heads[heads[prompt]]
            prompt = heads[prompt]
        return prompt

    for place, first in enumerate(near_rows(path, ("user",))):
        one, other = sorted((head(prompts[place]), head(prompts[first])))
        heads[other] = one
    return {prompt: head(prompt) for prompt in heads}


def _shape(example: Example) -> str:
    answer = answer_of(example)
    return TOOL_CALL if answer is None else shape_of(answer)


def _file_names(found: list[str]) -> dict[str, str]:
    """What each task is called in a file's name; no two alike."""
    names: dict[str, str] = {}
    for task in found:
        plain = re.sub(r"[^a-z0-9]+", "-", task.casefold()).strip("-")[:_NAME].strip("-") or "task"
        taken = sum(name == plain or name.startswith(f"{plain}.") for name in names.values())
        names[task] = f"{plain}.{taken + 1}" if taken else plain
    return names


def _iter_rows(path: Path, on_progress: OnProgress | None) -> Iterator[tuple[Example, bytes]]:
    """Each row and its bytes."""
    with LineReader(path) as reader:
        if reader.oddity:
            raise _invalid(path, 1, f"the file is {reader.oddity}")
        number = 0
        for line in reader:
            number = line.number
            if on_progress is not None and number % TELL_LINES == 0:
                on_progress(reader.read_bytes, reader.size_bytes)
            if line.whole and not line.data.strip(b" \t\r"):
                continue
            yield _example(path, line), line.data
        if reader.damage:
            raise _invalid(path, max(number, 1), f"the compressed data is damaged: {reader.damage}")


def _example(path: Path, line: Line) -> Example:
    if not line.whole:
        raise _invalid(path, line.number, f"the line has {line.size_bytes:,} bytes, too many")
    parsed = parse_line(line.data, ended=line.ended)
    if not parsed.valid:
        raise _invalid(path, line.number, parsed.findings[0].message)
    if not isinstance(parsed.value, dict):
        raise _invalid(path, line.number, "the line isn't an object")
    problem = next(iter_messages_problems(parsed.value), None)
    if problem is not None:
        raise _invalid(path, line.number, problem.message)
    return read_example(parsed.value)


def _invalid(path: Path, number: int, said: str) -> DataInvalid:
    return DataInvalid(f"{path}:{number}: {said}", hint=f"ftctl data check {path}")


def _assign(prompts: "array[int]", validation: float, test: float, seed: int) -> dict[int, Part]:
    """The part of each prompt: by the rank of its seeded hash, until a part has its rows.

    A part takes a prompt's rows only if that brings it no further from its share than leaving
    them out would; what fits in neither is trained on.
    """
    sizes: dict[int, int] = {}
    for prompt in prompts:
        sizes[prompt] = sizes.get(prompt, 0) + 1
    wanted = _wanted_rows(len(prompts), validation, test)
    if len(sizes) <= len(wanted):
        raise DataInvalid(
            f"{len(sizes)} different prompts are too few to split into the parts asked for",
            hint="write more examples, or leave a part out with --test 0",
        )
    groups: dict[Part, list[int]] = {"train": [], **{part: [] for part in wanted}}
    for prompt in sorted(sizes, key=lambda prompt: _rank(prompt, seed)):
        size = sizes[prompt]
        takes: Part = next((part for part, rows in wanted.items() if 0 < size <= 2 * rows), "train")
        groups[takes].append(prompt)
        if takes != "train":
            wanted[takes] = max(0, wanted[takes] - size)
    for members in groups.values():
        if not members:  # only large groups: rather a part too big than one with nothing in it
            donor = max(groups.values(), key=len)
            members.append(min(donor, key=lambda prompt: sizes[prompt]))
            donor.remove(members[0])
    return {prompt: part for part, members in groups.items() for prompt in members}


def _wanted_rows(total: int, validation: float, test: float) -> dict[Part, int]:
    """How many rows each held-out part should get: its share, but one at least."""
    shares: dict[Part, float] = {"test": test, "validation": validation}
    return {part: max(1, round(share * total)) for part, share in shares.items() if share > 0}


def _rank(prompt: int, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}:{prompt}".encode(), digest_size=16).digest()


def _write(
    found: Iterator[tuple[Example, bytes]],
    part_of: Callable[[Example], _Key],
    files: Mapping[_Key, Path],
    *,
    force: bool,
) -> dict[_Key, int]:
    """Write the parts beside their final names, and rename them once all are whole."""
    partial = {part: file.with_name(f"{file.name}.part") for part, file in files.items()}
    rows = dict.fromkeys(files, 0)
    folder = next(iter(files.values())).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            streams: dict[_Key, BinaryIO] = {
                part: stack.enter_context(file.open("wb")) for part, file in partial.items()
            }
            for example, data in found:
                part = part_of(example)
                streams[part].write(data + b"\n")
                rows[part] += 1
        for part, file in files.items():
            if not force and file.exists() and file_sha256(file) != file_sha256(partial[part]):
                raise UsageError(
                    f"{file} exists and holds something else",
                    hint="--force replaces it, -o DIR writes elsewhere",
                )
        for part, file in files.items():
            partial[part].replace(file)
    except OSError as error:
        raise UsageError(
            f"the parts can't be written: {error.filename or folder}: {error.strerror}",
            hint="-o DIR writes elsewhere",
        ) from None
    finally:
        with suppress(OSError):  # where nothing can be written nothing is left, either
            for file in partial.values():
                file.unlink(missing_ok=True)
    return rows
