"""Rules across a file's lines, and across files: counts, duplicates, balance, truncation."""

from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ftctl.datasets.examine import ChatLine
from ftctl.datasets.fingerprints import Fingerprints
from ftctl.datasets.rules.types import Finding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_EXAMPLES = 10  # source: OpenAI's supervised fine-tuning guide, read 2026-11
ADVISED_EXAMPLES = 50  # same source: 50 to 100 as a start
LABEL_SHARE = 0.9  # of the most common label, above which the others are hardly learnt
MINORITY_SHARE = 0.1  # below it, a difference between lines is an exception and not a mix
MAX_VALIDATION_BYTES = 10**6  # source: Mistral's fine-tuning guide, read 2026-11
MAX_VALIDATION_SHARE = 0.05  # same source

# Keys that some lines may have and others not, without being unknown.
_OPTIONAL_KEYS = ("tools", "parallel_tool_calls", "functions")
At = tuple[int, Finding]  # line and finding


class Lines:
    """What has to be remembered of a file's examples: 49 bytes a line, and some counters."""

    def __init__(self) -> None:
        self.numbers = array("Q")
        self._columns = {name: array("Q") for name in Fingerprints._fields}
        self._label_like = array("B")
        self._with_key: Counter[str] = Counter()
        self._first_with: dict[str, int] = {}
        self._first_without: dict[str, int] = {}
        self._lengths: Counter[int] = Counter()
        self._first_of_length: dict[int, tuple[int, str]] = {}
        self._shapes: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, number: int, line: ChatLine) -> None:
        """Remember a chat example."""
        self.numbers.append(number)
        for column, value in zip(self._columns.values(), line.prints, strict=True):
            column.append(value)
        self._label_like.append(line.label_like)
        for key in _OPTIONAL_KEYS:
            if key in line.keys:
                self._with_key[key] += 1
                self._first_with.setdefault(key, number)
            else:
                self._first_without.setdefault(key, number)
        if line.shape:
            self._shapes["json" if line.shape.startswith("json") else "other"] += 1
        if line.open_length:
            self._lengths[line.open_length] += 1
            self._first_of_length.setdefault(line.open_length, (number, line.answer_path))

    def iter_findings(self) -> Iterator[At]:
        """What the lines show together."""
        yield from self._heterogeneous_keys()
        yield from self._repeats()
        yield from self._labels()
        yield from self._systems()
        yield from self._same_lengths()
        yield from self._mixed_tasks()

    def column(self, name: str) -> "NDArray[np.uint64]":
        """One fingerprint of every example, [lines]."""
        import numpy as np

        return np.frombuffer(self._columns[name], dtype=np.uint64)

    def _heterogeneous_keys(self) -> Iterator[At]:
        for key, count in self._with_key.items():
            if count < len(self):
                said = f"{count} of {len(self)} lines have the key {key!r}"
                line = max(self._first_with[key], self._first_without[key])
                yield line, Finding("heterogeneous-keys", key, said)

    def _repeats(self) -> Iterator[At]:
        """`duplicate-example`, `near-duplicate`, `conflicting-answers`."""
        numbers = self.numbers
        exact, normal = self.column("exact"), self.column("normal")
        answers = self.column("answer")
        for later, first in repeats(exact):
            said = f"the same example as line {numbers[first]}"
            yield numbers[later], Finding("duplicate-example", "", said)
        copies = {later for later, _ in repeats(exact)} if len(self) else set()
        for later, first in repeats(normal):
            if later not in copies:
                said = f"line {numbers[first]} but for case, spacing or punctuation"
                yield numbers[later], Finding("near-duplicate", "", said)
        for later, first in repeats(self.column("prompt")):
            if answers[later] != answers[first]:
                said = f"the prompt of line {numbers[first]} with another answer"
                yield numbers[later], Finding("conflicting-answers", "", said)

    def _labels(self) -> Iterator[At]:
        """`label-imbalance`: answers from a closed set, of which one takes nearly all."""
        import numpy as np

        share = label_share(self.column("answer"), np.frombuffer(self._label_like, dtype=np.uint8))
        if share is not None and share > LABEL_SHARE:
            said = f"{share:.0%} of the {len(self)} answers are the same"
            yield self.numbers[0], Finding("label-imbalance", "", said)

    def _systems(self) -> Iterator[At]:
        """`system-inconsistent`: several system prompts, or none on part of the lines."""
        import numpy as np

        if not len(self):
            return
        prompts, firsts, counts = np.unique(
            self.column("system"), return_index=True, return_counts=True
        )
        usual = [i for i in range(len(counts)) if counts[i] >= MINORITY_SHARE * len(self)]
        if len(usual) < 2 or (counts.min() < 2 and len(self) <= MIN_EXAMPLES):
            return
        line = self.numbers[int(max(firsts[i] for i in usual))]
        missing = int(counts[prompts == 0].sum())
        said = f"{len(prompts) - bool(missing)} system prompts; {missing} lines have none"
        yield line, Finding("system-inconsistent", "messages", said)

    def _same_lengths(self) -> Iterator[At]:
        """`truncated-answer`, where many unfinished answers are equally long."""
        for length, count in self._lengths.most_common(1):
            if count >= max(3, 0.2 * len(self)):
                said = f"{count} answers without final punctuation have {length} characters each"
                line, path = self._first_of_length[length]
                yield line, Finding("truncated-answer", path, said)

    def _mixed_tasks(self) -> Iterator[At]:
        """`mixed-tasks`: part of the answers are JSON, part are prose."""
        total = self._shapes.total()
        data = self._shapes["json"]
        if total >= MIN_EXAMPLES and 0.2 * total <= data <= 0.8 * total:
            said = f"{data} of {total} answers are JSON, the others aren't"
            yield self.numbers[0], Finding("mixed-tasks", "", said)


def repeats(column: "NDArray[np.uint64]") -> list[tuple[int, int]]:
    """Each place whose value came before, with the place where it came first; in order."""
    import numpy as np

    if not len(column):
        return []
    order = np.argsort(column, kind="stable")
    same = np.concatenate([[False], column[order][1:] == column[order][:-1]])
    heads = np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))
    later, first = order[same], order[heads][same]
    by_place = np.argsort(later)
    return list(zip(later[by_place].tolist(), first[by_place].tolist(), strict=True))


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


def count_findings(count: int) -> Iterator[At]:
    """`min-examples` and `few-examples` of a training file."""
    if count < MIN_EXAMPLES:
        said = f"{count} example{'s' * (count != 1)}; {MIN_EXAMPLES} is the minimum"
        yield 1, Finding("min-examples", "", said)
    elif count < ADVISED_EXAMPLES:
        # The bare minimum is worth a provider's warning, a small file only a word of advice.
        key = "few-examples" if count == MIN_EXAMPLES else "few-examples/advice"
        yield 1, Finding(key, "", f"{count} examples are few")


def overlaps(
    file: Path, lines: Lines, other_file: Path, other: Lines
) -> Iterator[tuple[Path, int, Finding]]:
    """`train-val-overlap`: prompts that are in both files, told on both sides."""
    import numpy as np

    mine, theirs = lines.column("prompt"), other.column("prompt")
    _, here, there = np.intersect1d(mine, theirs, return_indices=True)
    for a, b in sorted(zip(here.tolist(), there.tolist(), strict=True)):
        same = lines.column("normal")[a] == other.column("normal")[b]
        said = "this example is also" if same else "this prompt, with another answer, is also"
        finding = Finding("train-val-overlap", "", f"{said} {other_file.name}:{other.numbers[b]}")
        yield file, lines.numbers[a], finding
        back = Finding("train-val-overlap", "", f"{said} {file.name}:{lines.numbers[a]}")
        yield other_file, other.numbers[b], back


def validation_size(validation_bytes: int, training_bytes: int) -> Iterator[At]:
    """`validation-size`."""
    limit = min(MAX_VALIDATION_BYTES, MAX_VALIDATION_SHARE * training_bytes)
    if validation_bytes > limit:
        said = f"{validation_bytes:,} bytes; at most {limit:,.0f} here"
        yield 1, Finding("validation-size", "", said)
