"""The fingerprints of a file's examples, kept small."""

from array import array
from bisect import bisect_right

from ftctl.datasets.fingerprints import Fingerprints


class Numbers:
    """The lines that examples stand on, in order: a few bytes for each run of lines."""

    def __init__(self) -> None:
        self._places = array("Q")  # of the examples that begin a run
        self._lines = array("Q")  # on which they stand
        self._count = 0
        self._last = 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> int:
        run = bisect_right(self._places, place) - 1
        return self._lines[run] + place - self._places[run]

    def append(self, number: int) -> None:
        """Remember an example's line, which comes after all others."""
        self._add_run(number, 1)

    def extend(self, other: "Numbers", before: int) -> None:
        """Remember the examples of the lines that follow the first `before` ones."""
        ends = [*other._places[1:], len(other)]  # noqa: SLF001 - of the same class
        for place, end, number in zip(other._places, ends, other._lines, strict=False):  # noqa: SLF001
            self._add_run(number + before, end - place)

    def _add_run(self, number: int, count: int) -> None:
        if not self._count or self._last + 1 != number:
            self._places.append(self._count)
            self._lines.append(number)
        self._count += count
        self._last = number + count - 1


class Prints:
    """Fingerprints of a file's examples and their lines: 24 bytes an example."""

    def __init__(self) -> None:
        self.numbers = Numbers()
        self.exact = array("Q")
        self.prompt = array("Q")
        self.answer = array("Q")
        self.all_label_like = True

    def add(self, number: int, prints: Fingerprints, *, label_like: bool) -> None:
        """Remember an example."""
        self.numbers.append(number)
        self.exact.append(prints.exact)
        self.prompt.append(prints.prompt)
        self.answer.append(prints.answer)
        self.all_label_like = self.all_label_like and label_like

    def extend(self, other: "Prints", before: int) -> None:
        """Remember the examples of the lines that follow the first `before` ones."""
        self.numbers.extend(other.numbers, before)
        self.exact.extend(other.exact)
        self.prompt.extend(other.prompt)
        self.answer.extend(other.answer)
        self.all_label_like = self.all_label_like and other.all_label_like
