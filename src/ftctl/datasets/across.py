"""Rules across a file's lines, and across files: counts, duplicates, balance, truncation."""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ftctl.datasets.examine import ChatLine
from ftctl.datasets.fingerprints import normal_column
from ftctl.datasets.prints import Prints
from ftctl.datasets.rules.limits import MIN_EXAMPLES
from ftctl.datasets.rules.types import Finding
from ftctl.datasets.shapes import task_counts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LABEL_SHARE = 0.9  # of the most common label, above which the others are hardly learnt
MINORITY_SHARE = 0.1  # below it, a difference between lines is an exception and not a mix
MAX_VALIDATION_BYTES = 10**6  # source: Mistral's fine-tuning guide, read 2026-11
MAX_VALIDATION_SHARE = 0.05  # same source
GROUNDED_SHARE = 0.8  # of the answers with facts, from which the others are exceptions
_UNGROUNDED_KEPT = 1000
_FACTS_SEEN = 200  # in a part of a file, from which it is plain that answers bring their own
_ADVISED_FROM = 100  # answers with facts: fewer say little of a file
_MOST_IMAGES = 50_000  # source: OpenAI's vision guide
_TASK_SHARE = 0.2  # of the answers, from which a form is a task and no exception
_CUT_SPREAD = 0.15  # of 64 or more tokens of English, as characters; a starting point
_CUT_SHARE = 0.8  # of the unfinished answers: what ends so by itself is of any length
_FORMS_KEPT = 10_000
# Keys that some lines may have and others not, without being unknown.
_OPTIONAL_KEYS = ("tools", "parallel_tool_calls", "functions")
_SYSTEMS_KEPT = 100_000  # different prompts; more of them are one another's exceptions
_PART_BITS = 4
_PARTS = 2**_PART_BITS
_BLOCK = 2**16
At = tuple[int, Finding]  # line and finding


class Lines:
    """What has to be remembered of a file's examples: some counters, and their prints if asked."""

    def __init__(self, *, duplicates: bool = True) -> None:
        self.count = 0
        self.prints = Prints() if duplicates else None
        self.first_line = 0
        self.with_key: Counter[str] = Counter()
        self.first_with: dict[str, int] = {}
        self.first_without: dict[str, int] = {}
        self.lengths: Counter[int] = Counter()
        self.first_of_length: dict[int, tuple[int, str]] = {}
        self.forms: Counter[str] = Counter()
        self.images = 0
        self.with_facts = self.ungrounded = 0
        self.first_ungrounded: list[tuple[int, str, tuple[str, ...]]] = []
        self.systems: Counter[int] = Counter()
        self.first_of_system: dict[int, int] = {}

    def __len__(self) -> int:
        return self.count

    def add(self, number: int, line: ChatLine) -> None:
        """Remember a chat example."""
        if self.prints is not None and line.prints is not None:
            self.prints.add(number, line.prints, label_like=line.label_like)
        self.add_alike(number, 1, system=line.system, keys=line.keys)
        if line.form:
            self.add_forms({line.form: 1})
        if line.open_length:
            self.add_open(line.open_length, number, line.answer_path)
        self.images += line.image
        if line.grounds is not None:
            self.add_facts(number, line.answer_path, line.grounds)

    def extend(self, other: "Lines", before: int) -> None:
        """Remember the examples of the lines that follow the first `before` ones."""
        if self.prints is not None and other.prints is not None:
            self.prints.extend(other.prints, before)
        self.count += other.count
        self.first_line = self.first_line or (other.count and other.first_line + before)
        self.with_key += other.with_key
        for mine, theirs in (
            (self.first_with, other.first_with),
            (self.first_without, other.first_without),
        ):
            for key, number in theirs.items():
                mine.setdefault(key, number + before)
        self.lengths += other.lengths
        for length, (number, path) in other.first_of_length.items():
            self.first_of_length.setdefault(length, (number + before, path))
        self.add_forms(other.forms)
        self.images += other.images
        self.with_facts += other.with_facts  # as far as each part was looked at
        self.ungrounded += other.ungrounded
        room = _UNGROUNDED_KEPT - len(self.first_ungrounded)
        self.first_ungrounded += [
            (number + before, path, said) for number, path, said in other.first_ungrounded[:room]
        ]
        for system, count in other.systems.items():
            self._add_system(system, count, other.first_of_system[system] + before)

    def add_open(self, length: int, number: int, path: str) -> None:
        """Remember an answer that ends without punctuation."""
        self.lengths[length] += 1
        self.first_of_length.setdefault(length, (number, path))

    def add_alike(self, first: int, count: int, *, system: int, keys: frozenset[str]) -> None:
        """Remember examples of one system prompt and the same keys.

        Args:
            first: The line of the first of them.
            count: How many they are.
            system: The hash of their system prompt; 0 when there is none.
            keys: Those beside `messages`.
        """
        self.count += count
        self.first_line = min(self.first_line or first, first)
        for key in _OPTIONAL_KEYS:
            if key in keys:
                self.with_key[key] += count
            firsts = self.first_with if key in keys else self.first_without
            firsts[key] = min(firsts.get(key, first), first)
        self._add_system(system, count, first)

    @property
    def look_for_facts(self) -> bool:
        """Whether more answers would tell anything: not where most have facts from elsewhere."""
        return self.with_facts < _FACTS_SEEN or 2 * self.ungrounded < self.with_facts

    @property
    def more_ungrounded(self) -> int:
        """How many lines that `iter_findings` would name aren't kept."""
        few = self.ungrounded <= (1 - GROUNDED_SHARE) * self.with_facts
        return self.ungrounded - len(self.first_ungrounded) if few else 0

    def add_forms(self, forms: Mapping[str, int]) -> None:
        """Count answers by their form."""
        for form, count in forms.items():
            if form in self.forms or len(self.forms) < _FORMS_KEPT:
                self.forms[form] += count

    def add_facts(self, number: int, path: str, missing: tuple[str, ...]) -> None:
        """Remember an answer with numbers, names or quotes, and those that its prompt lacks."""
        if not self.look_for_facts:
            return
        self.with_facts += 1
        if missing:
            self.ungrounded += 1
            if len(self.first_ungrounded) < _UNGROUNDED_KEPT:
                self.first_ungrounded.append((number, path, missing))

    def _add_system(self, system: int, count: int, number: int) -> None:
        if system in self.systems or len(self.systems) < _SYSTEMS_KEPT:
            self.systems[system] += count
            earliest = self.first_of_system.get(system, number)
            self.first_of_system[system] = min(earliest, number)

    def iter_findings(self) -> Iterator[At]:
        """What the lines show together."""
        yield from self._heterogeneous_keys()
        if self.prints is not None:
            yield from _repeats(self.prints)
            yield from _labels(self.prints)
        yield from self._systems_differ()
        yield from self._same_lengths()
        yield from self._mixed_tasks()
        yield from self._facts()
        if self.images > _MOST_IMAGES:
            said = f"{self.images:,} examples with images; {_MOST_IMAGES:,} are the maximum"
            yield self.first_line, Finding("max-examples/images", "", said)

    def _heterogeneous_keys(self) -> Iterator[At]:
        for key in _OPTIONAL_KEYS:
            count = self.with_key[key]
            if 0 < count < len(self):
                said = f"{count} of {len(self)} lines have the key {key!r}"
                line = max(self.first_with[key], self.first_without[key])
                yield line, Finding("heterogeneous-keys", key, said)

    def _systems_differ(self) -> Iterator[At]:
        """`system-inconsistent`: several system prompts, or none on part of the lines."""
        counts = self.systems
        usual = [system for system, n in counts.items() if n >= MINORITY_SHARE * len(self)]
        if len(usual) < 2 or (min(counts.values()) < 2 and len(self) <= MIN_EXAMPLES):
            return
        line = max(self.first_of_system[system] for system in usual)
        more = "more than " if len(counts) == _SYSTEMS_KEPT else ""
        said = f"{more}{len(counts) - (0 in counts)} system prompts; {counts[0]} lines have none"
        yield line, Finding("system-inconsistent", "messages", said)

    def _same_lengths(self) -> Iterator[At]:
        """`truncated-answer`, where many unfinished answers are about equally long.

        So many tokens, which is where answers are cut, are about so many characters.
        """
        count = self.lengths.total()
        if count < max(3, 0.2 * len(self)):
            return
        usual = _median(self.lengths)
        near = {n for n in self.lengths if abs(n - usual) <= _CUT_SPREAD * usual}
        alike = sum(self.lengths[n] for n in near)
        if alike >= max(3, 0.2 * len(self), _CUT_SHARE * count):
            line, path = min(self.first_of_length[n] for n in near)
            said = (
                f"{alike} answers without final punctuation are about equally long, as if they had "
                f"been cut: {min(near):,} to {max(near):,} characters"
            )
            yield line, Finding("truncated-answer", path, said)

    def _mixed_tasks(self) -> Iterator[At]:
        """`mixed-tasks`: answers of several forms, each with its share of the lines."""
        total = self.forms.total()
        counts = task_counts(self.forms)
        named = [form for form, n in counts.most_common() if n >= _TASK_SHARE * total]
        if total >= MIN_EXAMPLES and len(named) > 1:
            shares = ", ".join(f"{form[:60]} {counts[form] / total:.0%}" for form in named)
            said = f"{len(named)} forms of answer among {total:,}: {shares}"
            yield self.first_line, Finding("mixed-tasks", "", said)

    def _facts(self) -> Iterator[At]:
        """`ungrounded`: by line where they are exceptions, once where they are many."""
        if self.with_facts < MIN_EXAMPLES or not self.ungrounded:
            return
        if self.ungrounded <= (1 - GROUNDED_SHARE) * self.with_facts:
            for number, path, missing in self.first_ungrounded:
                said = f"nowhere before the answer: {', '.join(missing)}"
                yield number, Finding("ungrounded", path, said)
            return
        if self.with_facts < _ADVISED_FROM:
            return
        number, path, missing = self.first_ungrounded[0]
        said = (
            f"{self.ungrounded:,} of the {self.with_facts:,} answers with numbers, names or quotes "
            f"that were looked at have some that stand nowhere before, here {', '.join(missing)}"
        )
        yield number, Finding("ungrounded/advice", path, said)


def _median(counts: Counter[int]) -> int:
    half, seen = counts.total() / 2, 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= half:
            return value
    return 0


def _repeats(prints: Prints) -> Iterator[At]:
    """`duplicate-example`, `near-duplicate`, `conflicting-answers`."""
    numbers = prints.numbers
    exact, prompt, answer = map(as_column, (prints.exact, prints.prompt, prints.answer))
    copies, firsts = repeats(exact)
    for later, first in zip(copies, firsts, strict=True):
        said = f"the same example as line {numbers[first]}"
        yield numbers[later], Finding("duplicate-example", "", said)
    for later, first in _others(copies, *repeats(normal_column(prompt, answer))):
        said = f"line {numbers[first]} but for case, spacing or punctuation"
        yield numbers[later], Finding("near-duplicate", "", said)
    for later, first in zip(*repeats(prompt), strict=True):
        if answer[later] != answer[first]:
            said = f"the prompt of line {numbers[first]} with another answer"
            yield numbers[later], Finding("conflicting-answers", "", said)


def _others(
    copies: "NDArray[np.int64]", later: "NDArray[np.int64]", first: "NDArray[np.int64]"
) -> Iterator[tuple[int, int]]:
    """The repeats that aren't copies."""
    import numpy as np

    other = ~np.isin(later, copies, assume_unique=True)
    yield from zip(later[other], first[other], strict=True)


def _labels(prints: Prints) -> Iterator[At]:
    """`label-imbalance`: answers from a closed set, of which one takes nearly all."""
    import numpy as np

    count = len(prints.numbers)
    short = np.full(count, prints.all_label_like, dtype=np.uint8)
    share = label_share(as_column(prints.answer), short)
    if share is not None and share > LABEL_SHARE:
        said = f"{share:.0%} of the {count} answers are the same"
        yield prints.numbers[0], Finding("label-imbalance", "", said)


def as_column(values: "array[int]") -> "NDArray[np.uint64]":
    """An array's numbers as they stand in memory, [numbers]."""
    import numpy as np

    return np.frombuffer(values, dtype=np.uint64)


def repeats(column: "NDArray[np.uint64]") -> tuple["NDArray[np.int64]", "NDArray[np.int64]"]:
    """The places whose value came before, in order, and the place where each came first.

    Values are sorted a sixteenth at a time, so that little more than the column is held.
    """
    import numpy as np

    twice = [np.empty(0, dtype=np.uint64)]
    for part in range(_PARTS):
        low = np.uint64(part << 64 - _PART_BITS)
        some = column[(column >= low) & (column <= low + np.uint64((1 << 64 - _PART_BITS) - 1))]
        some.sort()
        twice.append(some[1:][some[1:] == some[:-1]])
    places = _places(column, np.unique(np.concatenate(twice)))
    order = np.argsort(column[places], kind="stable")
    values = column[places][order]
    same = np.concatenate([[False], values[1:] == values[:-1]]) if len(values) else order > 0
    heads = np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))
    later, first = places[order][same], places[order][heads[same]]
    by_place = np.argsort(later)
    return later[by_place], first[by_place]


def _places(column: "NDArray[np.uint64]", values: "NDArray[np.uint64]") -> "NDArray[np.int64]":
    """Where a column holds one of some values, which are sorted."""
    import numpy as np

    found = [np.empty(0, dtype=np.int64)]
    for start in range(0, len(column) if len(values) else 0, _BLOCK):
        block = column[start : start + _BLOCK]
        near = values[np.minimum(np.searchsorted(values, block), len(values) - 1)]
        found.append(np.flatnonzero(near == block) + start)
    return np.concatenate(found)


def label_share(answers: "NDArray[np.uint64]", short: "NDArray[np.uint8]") -> float | None:
    """The share of the most common answer, when answers form a closed set; else None.

    Closed: at least ten answers, all short, each label used four times on average.
    """
    import numpy as np

    if len(answers) < MIN_EXAMPLES or not short.all():
        return None
    _, counts = np.unique(answers, return_counts=True)
    if len(counts) * 4 > len(answers):
        return None
    return float(counts.max() / len(answers))


def overlaps(
    file: Path, lines: Lines, other_file: Path, other: Lines
) -> Iterator[tuple[Path, int, Finding]]:
    """`train-val-overlap`: prompts that are in both files, told on both sides."""
    import numpy as np

    one, two = lines.prints, other.prints
    if one is None or two is None:
        return
    _, here, there = np.intersect1d(
        as_column(one.prompt), as_column(two.prompt), return_indices=True
    )
    for a, b in sorted(zip(here.tolist(), there.tolist(), strict=True)):
        said = "this prompt, with another answer, is also"
        if one.exact[a] == two.exact[b]:
            said = "this example is also"
        elif one.answer[a] == two.answer[b]:
            said = "this example, but for case, spacing or punctuation, is also"
        finding = Finding("train-val-overlap", "", f"{said} {other_file.name}:{two.numbers[b]}")
        yield file, one.numbers[a], finding
        back = Finding("train-val-overlap", "", f"{said} {file.name}:{one.numbers[a]}")
        yield other_file, two.numbers[b], back


def validation_size(validation_bytes: int, training_bytes: int) -> Iterator[At]:
    """`validation-size`."""
    limit = min(MAX_VALIDATION_BYTES, MAX_VALIDATION_SHARE * training_bytes)
    if validation_bytes > limit:
        said = f"{validation_bytes:,} bytes; at most {limit:,.0f} here"
        yield 1, Finding("validation-size", "", said)
