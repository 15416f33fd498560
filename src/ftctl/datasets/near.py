"""Near-duplicates: texts that share half of their runs of three words.

Jaccard similarity of the sets of runs. Small keys find the pairs that are worth comparing
(`near_hashes`), and each of those is compared as it is.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ftctl.datasets.across import At
from ftctl.datasets.fast.processes import doing
from ftctl.datasets.read import LineReader, joined, must_be_readable_twice, ranges
from ftctl.datasets.rules.types import Finding
from ftctl.errors import DataInvalid, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ftctl.datasets.fingerprints import Fingerprints
    from ftctl.datasets.near_hashes import Hashes
    from ftctl.datasets.near_part import Found, NearPart

# Share of all their runs that two texts have in common. Texts of which every twentieth word is
# another share 75 %, every tenth 57 %; with less, what all texts of a kind say makes them alike
# (measured on docstrings, 2026-11-29).
ALIKE = 0.5
_ROLES = ("user", "assistant")
Wanted = Sequence[bool]  # of each text, whether it is
_HEADS = 16  # texts of one band that others are compared with


def near_rows(path: Path, roles: Collection[str] = _ROLES) -> list[int]:
    """For each example of a file the place of the first of those that say nearly the same.

    Places are counted from 0 and leave out lines that aren't examples. System prompts are left
    out, as they would make all examples alike.

    Args:
        path: The file, which is read twice.
        roles: Whose texts are compared.

    Raises:
        UsageError: the file can't be read, or not twice.
        DataInvalid: no line of it is a chat example.
    """
    look = _Look([path], roles)
    if not look.firsts:
        said = f"{path}: no line is a chat example"
        raise DataInvalid(said, hint=f"ftctl data check {path}")
    return look.firsts


def near_findings(path: Path) -> Iterator[At]:
    """`near-duplicate`: examples with nearly the words of an earlier one, but for those told apart.

    Exact copies, and copies but for case and punctuation, are found without this.

    Raises:
        UsageError: the file can't be read, or not as often as that takes.
    """
    normal: dict[int, int] = {}
    look = _Look([path], _ROLES, lambda place, prints: normal.setdefault(prints.normal, place))
    numbers, firsts = look.parts[0].numbers, look.firsts
    # What is normal alike has all keys in common: of a copy the first was looked at, too.
    copies = look.asked - set(normal.values())
    for place, first in enumerate(firsts):
        if first != place and place not in copies:
            said = f"nearly the words of line {numbers[first]}"
            yield numbers[place], Finding("near-duplicate", "", said)


def near_overlaps(file: Path, other: Path) -> Iterator[tuple[Path, int, Finding]]:
    """`train-val-overlap`: prompts that are in both files in nearly the same words.

    Prompts that are the same but for case and punctuation are found without this.

    Raises:
        UsageError: a file can't be read, or not as often as that takes.
    """
    prompts: dict[int, int] = {}
    look = _Look([file, other], ("user",), lambda place, p: prompts.setdefault(place, p.prompt))
    one, two = (part.numbers for part in look.parts)
    same = {prompts[place] for place in look.asked if place < len(one)}
    for place, first in enumerate(look.firsts[len(one) :], len(one)):
        if first < len(one) and prompts[place] not in same:
            here, there = one[first], two[place - len(one)]
            said = "this prompt, in nearly the same words, is also"
            yield file, here, Finding("train-val-overlap", "", f"{said} {other.name}:{there}")
            yield other, there, Finding("train-val-overlap", "", f"{said} {file.name}:{here}")


class _Look:
    """The examples of some files, and which of them are alike.

    Args:
        paths: The files, each of which is read twice.
        roles: Whose texts are compared.
        note: Told the place and the prints of each example that is compared.

    Attributes:
        parts: What each file holds.
        asked: Places of the examples that were compared.
        firsts: For each example, over all files, the place of the first that is like it.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        roles: Collection[str],
        note: "Callable[[int, Fingerprints], object] | None" = None,
    ) -> None:
        import numpy as np

        for path in paths:
            must_be_readable_twice(path)
        self._paths, self._roles, self._note = paths, roles, note
        self.parts = [_part(path, roles) for path in paths]
        self.asked: set[int] = set()
        self.firsts = _firsts(np.concatenate([part.keys for part in self.parts]), self._texts)

    def _texts(self, wanted: Wanted) -> Iterator[str]:
        from ftctl.datasets.near_part import prints_of, text_of

        start = 0
        for path, part in zip(self._paths, self.parts, strict=True):
            end = start + len(part.numbers)
            for place, example in _examples(path, part, wanted[start:end]):
                self.asked.add(start + place)
                if self._note is not None:
                    self._note(start + place, prints_of(example))
                yield text_of(example, self._roles)
            start = end


def _part(path: Path, roles: Collection[str]) -> "NearPart":
    """All examples of a file, looked at by several processes where that helps."""
    import numpy as np

    from ftctl.datasets.near_part import NearPart, NearTask

    whole = NearPart()
    with LineReader(path) as reader:
        if not reader.plain:
            whole.look(joined(reader), roles)
            return whole
        start, size_bytes = 3 if reader.bom else 0, reader.size_bytes
    spans = ranges(path, start)
    tasks = (NearTask(path, begin, end, tuple(roles)) for begin, end in spans)
    keys = [whole.keys]
    with doing(size_bytes) as done:
        for part in done(tasks):
            whole.extend(part)
            keys.append(part.keys)
    whole.keys = np.concatenate(keys)
    return whole


def _examples(path: Path, part: "NearPart", wanted: Wanted) -> "Iterator[tuple[int, Found]]":
    """The wanted ones of a file's examples, with their places.

    Raises:
        UsageError: the file isn't what it was.
    """
    from ftctl.datasets.near_part import example_of

    places = iter(list(itertools.compress(range(len(wanted)), wanted)))
    place = next(places, None)
    with LineReader(path) as reader:
        for line in reader:
            if place is None:
                return
            if line.number == part.numbers[place]:
                example = example_of(line.data, ended=line.ended)
                if example is None:
                    break
                yield place, example
                place = next(places, None)
    if place is not None:
        raise UsageError(f"{path} changed while it was read", hint="try again when it is complete")


def _firsts(keys: "Hashes", texts: Callable[[Wanted], Iterable[str]]) -> list[int]:
    """For each text the place of the first one of its cluster: its own where nothing is like it.

    A cluster is what likeness links, through others too. Texts without a word are like nothing.
    It takes 124 bytes a text, and the runs of those that are compared.

    Args:
        keys: [text, band]; only texts that share one are compared.
        texts: Asked for those.
    """
    import numpy as np

    from ftctl.datasets.near_hashes import iter_runs

    links = list(range(len(keys)))
    groups = list(_groups(keys))
    wanted = np.zeros(len(keys), dtype=np.bool_)
    for group in groups:
        wanted[group] = True
    if not groups:
        return links
    places = np.flatnonzero(wanted).tolist()
    runs = dict(zip(places, iter_runs(texts(wanted.tolist())), strict=True))
    for group in groups:
        _link(group.tolist(), runs, links)
    return [_first(links, place) for place in range(len(links))]


def _groups(keys: "Hashes") -> Iterator["NDArray[np.int64]"]:
    """The places, in order, of each key that several texts have in a band."""
    import numpy as np

    for band in range(keys.shape[1]):
        column = keys[:, band]
        order = np.argsort(column, kind="stable")
        values = column[order]
        edges = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1], [True]]))
        for start, end in itertools.pairwise(edges.tolist()):
            if end - start > 1 and values[start]:
                yield order[start:end]


def _link(group: list[int], runs: "dict[int, Hashes]", links: list[int]) -> None:
    """Put those of a group together that are alike."""
    heads: list[int] = []
    for place in group:
        found = False
        for head in heads:
            one, other = sorted((_first(links, head), _first(links, place)))
            if one == other or _jaccard(runs[head], runs[place]) >= ALIKE:
                links[other] = one
                found = True
        if not found and len(heads) < _HEADS:
            heads.append(place)


def _jaccard(one: "Hashes", other: "Hashes") -> float:
    """The share of all runs, each of them sorted, that both have."""
    if len(one) > len(other):
        one, other = other, one
    places = other.searchsorted(one)
    places[places == len(other)] = 0
    shared = int((other[places] == one).sum())
    return shared / (len(one) + len(other) - shared)


def _first(links: list[int], place: int) -> int:
    while links[place] != place:
        links[place] = links[links[place]]
        place = links[place]
    return place
