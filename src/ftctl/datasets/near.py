"""Near-duplicates: texts that share most of their runs of five words.

Jaccard similarity of the sets of runs; MinHash and bands find the pairs that are worth comparing
(Broder 1997; Indyk and Motwani 1998), and each of those is compared as it is.
"""

import itertools
import string
import unicodedata
import zlib
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ftctl.datasets.across import At, repeats
from ftctl.datasets.features import ChatExamples
from ftctl.datasets.fingerprints import fingerprints
from ftctl.datasets.read import must_be_readable_twice
from ftctl.datasets.rules.types import Finding
from ftctl.errors import DataInvalid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ALIKE = 0.7  # share of all their runs that two texts have in common; a starting point
SHINGLE_WORDS = 5
PERMUTATIONS = 128
# A pair is compared if all hashes of a band agree: of pairs at 0.7 that is 93 %, at 0.8 99.8 %.
_BANDS, _BAND_ROWS = 21, 6
_BATCH_WORDS = 2**14  # at once, so that they stay in the processor's cache
_TABLE_WORDS = 2**20  # hashes kept
_HEADS = 16  # texts of one band that others are compared with
_PRIME = 0x01000193  # FNV's, that spreads words over 32 bits
_PAD = 1
_FOLDED = bytes.maketrans(
    string.ascii_uppercase.encode() + string.punctuation.encode(),
    string.ascii_lowercase.encode() + b" " * len(string.punctuation),
)


def near_rows(path: Path, roles: Collection[str] = ("user", "assistant")) -> list[int]:
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
    must_be_readable_twice(path)
    return near_firsts(lambda: _texts(path, roles))


def near_findings(path: Path) -> Iterator[At]:
    """`near-duplicate`: examples with nearly the words of an earlier one, but for those told apart.

    Exact copies, and copies but for case and punctuation, are found without this.

    Raises:
        UsageError: the file can't be read, or not as often as that takes.
    """
    import numpy as np

    must_be_readable_twice(path)
    numbers, _, normal = _columns(path)
    if not numbers:
        return
    copies = set(repeats(np.frombuffer(normal, dtype=np.uint64))[0].tolist())
    for place, first in enumerate(near_rows(path)):
        if first != place and place not in copies:
            said = f"nearly the words of line {numbers[first]}"
            yield numbers[place], Finding("near-duplicate", "", said)


def near_overlaps(file: Path, other: Path) -> Iterator[tuple[Path, int, Finding]]:
    """`train-val-overlap`: prompts that are in both files in nearly the same words.

    Prompts that are the same but for case and punctuation are found without this.

    Raises:
        UsageError: a file can't be read, or not as often as that takes.
    """
    for path in (file, other):
        must_be_readable_twice(path)
    numbers, prompts, _ = _columns(file)
    more_numbers, more_prompts, _ = _columns(other)
    if not numbers or not more_numbers:
        return
    same = set(prompts)
    roles = ("user",)
    firsts = near_firsts(lambda: itertools.chain(_texts(file, roles), _texts(other, roles)))
    for place, first in enumerate(firsts[len(numbers) :]):
        if first < len(numbers) and more_prompts[place] not in same:
            here, there = numbers[first], more_numbers[place]
            said = "this prompt, in nearly the same words, is also"
            yield file, here, Finding("train-val-overlap", "", f"{said} {other.name}:{there}")
            yield other, there, Finding("train-val-overlap", "", f"{said} {file.name}:{here}")


def _texts(path: Path, roles: Collection[str]) -> Iterator[str]:
    for _, example in ChatExamples(path):
        yield "\n".join(text for _, m, text in example.iter_texts() if m.role in roles)


def _columns(path: Path) -> "tuple[array[int], array[int], array[int]]":
    """Each example's line, its prompt's print, and its own; nothing where a file has none."""
    numbers, prompts, normal = array("Q"), array("Q"), array("Q")
    try:
        for line, example in ChatExamples(path):
            prints = fingerprints(example)
            numbers.append(line.number)
            prompts.append(prints.prompt)
            normal.append(prints.normal)
    except DataInvalid:
        pass
    return numbers, prompts, normal


def near_firsts(texts: Callable[[], Iterable[str]]) -> list[int]:
    """For each text the place of the first one of its cluster: its own where nothing is like it.

    A cluster is what likeness links, through others too. Texts without a word are like nothing.
    It takes 200 bytes a text, and the runs of those that are compared.

    Args:
        texts: Gives the same texts each time that it is called, which may be twice.
    """
    import numpy as np

    blocks = list(_iter_band_keys(texts()))
    if not blocks:
        return []
    keys = np.concatenate(blocks)
    groups = list(_groups(keys))
    if not groups:
        return list(range(len(keys)))
    wanted = np.zeros(len(keys), dtype=np.bool_)
    for group in groups:
        wanted[group] = True
    runs = {place: _runs_of(text) for place, text in enumerate(texts()) if wanted[place]}
    links = list(range(len(keys)))
    for group in groups:
        _link(group.tolist(), runs, links)
    return [_first(links, place) for place in range(len(links))]


class _Words(dict[bytes, int]):
    """Words and their hashes."""

    def __missing__(self, word: bytes) -> int:
        if len(self) >= _TABLE_WORDS:
            self.clear()
        found = self[word] = zlib.crc32(word)
        return found


_words = _Words()


def _hashes(text: str) -> list[int]:
    """The hashes of a text's words, as many as make a run at least; [] of no text."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).casefold()
    words = text.encode("utf-8", "surrogatepass").translate(_FOLDED).split()
    found = list(map(_words.__getitem__, words))
    return found + [_PAD] * (SHINGLE_WORDS - len(found)) if found else found


def _runs(words: "NDArray[np.uint32]") -> "NDArray[np.uint32]":
    """A hash of each run of words."""
    import numpy as np

    count = len(words) - SHINGLE_WORDS + 1
    runs = words[:count].copy()
    for place in range(1, SHINGLE_WORDS):
        runs *= np.uint32(_PRIME)
        runs ^= words[place : place + count]
    runs ^= runs >> np.uint32(16)  # murmur3's last steps: every bit depends on every other
    runs *= np.uint32(0x85EBCA6B)
    runs ^= runs >> np.uint32(13)
    runs *= np.uint32(0xC2B2AE35)
    runs ^= runs >> np.uint32(16)
    return runs


def _runs_of(text: str) -> "NDArray[np.uint32]":
    import numpy as np

    return np.unique(_runs(np.array(_hashes(text), dtype=np.uint32)))


def _iter_band_keys(texts: Iterable[str]) -> Iterator["NDArray[np.uint64]"]:
    """Of some texts at a time, [text, band]: 0 where a text has no word."""
    words: list[int] = []
    sizes: list[int] = []
    for text in texts:
        found = _hashes(text)
        words += found
        sizes.append(len(found))
        if len(words) >= _BATCH_WORDS:
            yield _band_keys(words, sizes)
            words, sizes = [], []
    if sizes:
        yield _band_keys(words, sizes)


def _band_keys(words: list[int], sizes: list[int]) -> "NDArray[np.uint64]":
    import numpy as np

    keys = np.zeros((len(sizes), _BANDS), dtype=np.uint64)
    count = np.array(sizes)
    has = count > 0
    if not has.any():
        return keys
    runs = _runs(np.array(words, dtype=np.uint32))
    # Runs that begin in one text and end in the next are nobody's.
    ends = np.cumsum(count[has])
    own = np.ones(len(words), dtype=np.bool_)
    for place in range(1, SHINGLE_WORDS):
        own[ends - place] = False
    runs = runs[own[: len(runs)]]
    starts = np.concatenate([[0], np.cumsum(count[has] - SHINGLE_WORDS + 1)[:-1]])
    chance = np.random.default_rng(0)
    odd = chance.integers(0, 2**31, PERMUTATIONS, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    added = chance.integers(0, 2**32, PERMUTATIONS, dtype=np.uint32)
    least = np.empty((PERMUTATIONS, len(ends)), dtype=np.uint32)
    held = np.empty_like(runs)
    for place in range(PERMUTATIONS):
        np.multiply(runs, odd[place], out=held)
        held ^= added[place]
        np.minimum.reduceat(held, starts, out=least[place])
    used = least[: _BANDS * _BAND_ROWS].reshape(_BANDS, _BAND_ROWS, -1).astype(np.uint64)
    mixed = np.zeros((_BANDS, len(ends)), dtype=np.uint64)
    for place in range(_BAND_ROWS):
        mixed = (mixed ^ used[:, place]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    keys[has] = mixed.T | np.uint64(1)
    return keys


def _groups(keys: "NDArray[np.uint64]") -> Iterator["NDArray[np.int64]"]:
    """The places, in order, of each key that several texts have in a band."""
    import numpy as np

    for band in range(_BANDS):
        column = keys[:, band]
        order = np.argsort(column, kind="stable")
        values = column[order]
        edges = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1], [True]]))
        for start, end in itertools.pairwise(edges.tolist()):
            if end - start > 1 and values[start]:
                yield order[start:end]


def _link(group: list[int], runs: "dict[int, NDArray[np.uint32]]", links: list[int]) -> None:
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


def _jaccard(one: "NDArray[np.uint32]", other: "NDArray[np.uint32]") -> float:
    import numpy as np

    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


def _first(links: list[int], place: int) -> int:
    while links[place] != place:
        links[place] = links[links[place]]
        place = links[place]
    return place
