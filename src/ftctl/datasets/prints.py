"""The fingerprints of a file's examples, kept small."""

from array import array

from ftctl.datasets.fingerprints import Fingerprints


class Prints:
    """Fingerprints of a file's examples and their lines: 28 bytes an example."""

    def __init__(self) -> None:
        self.numbers = array("I")
        self.exact = array("Q")
        self.prompt = array("Q")
        self.answer = array("Q")
        self.all_label_like = True

    def add(self, number: int, prints: Fingerprints, *, label_like: bool) -> None:
        """Remember an example."""
        self._add_numbers([number])
        self.exact.append(prints.exact)
        self.prompt.append(prints.prompt)
        self.answer.append(prints.answer)
        self.all_label_like = self.all_label_like and label_like

    def extend(self, other: "Prints", before: int) -> None:
        """Remember the examples of the lines that follow the first `before` ones."""
        self._add_numbers([number + before for number in other.numbers])
        self.exact.extend(other.exact)
        self.prompt.extend(other.prompt)
        self.answer.extend(other.answer)
        self.all_label_like = self.all_label_like and other.all_label_like

    def _add_numbers(self, numbers: list[int]) -> None:
        if numbers and numbers[-1] >> 8 * self.numbers.itemsize:
            self.numbers = array("Q", self.numbers)
        self.numbers.extend(numbers)
