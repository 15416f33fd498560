"""Texts as sets of runs of words, and small keys that texts with many runs in common share.

MinHash and bands (Broder 1997; Indyk and Motwani 1998), for many texts at a time.
"""

import itertools
import re
import string
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

SHINGLE_WORDS = 3
# Texts are compared if all hashes of a band agree: of those with half of their runs in common
# 86 %, with six tenths 99 %, with a tenth 0.3 %.
BANDS, BAND_ROWS = 31, 4
_BATCH_BYTES = 2**16  # at once, so that they stay in the processor's cache
_PAD = 1
_SPACE, _END = ord(" "), ord("\n")
_FOLDED = bytes.maketrans(
    (string.ascii_uppercase + string.punctuation + string.whitespace).encode(),
    string.ascii_lowercase.encode() + b" " * len(string.punctuation + string.whitespace),
)
_MARKS = re.compile(r"[“”‘’«»„¿¡]")  # what `fingerprints.normalise` leaves out, beyond ASCII
# A word's hash is a polynomial in this number, which has an inverse modulo 2**64.
_BASE = 0x9E3779B97F4A7C15
_UNBASE = pow(_BASE, -1, 2**64)
_CHANCE = np.random.default_rng(0)
_ODD = _CHANCE.integers(0, 2**31, BANDS * BAND_ROWS, dtype=np.uint32) * np.uint32(2) + np.uint32(1)

Hashes = NDArray[np.uint32]


def iter_band_keys(texts: Iterable[str]) -> Iterator[Hashes]:
    """Of some texts at a time, [text, band]: 0 where a text has no word."""
    return itertools.starmap(_band_keys, _batches(texts))


def iter_runs(texts: Iterable[str]) -> Iterator[Hashes]:
    """The hashes of each text's runs of words, sorted, each once."""
    for words, sizes in _batches(texts):
        runs, counts = _runs(words, sizes)
        owners = np.repeat(np.arange(len(sizes), dtype=np.uint64), counts)
        keyed = owners << np.uint64(32) | runs
        keyed.sort()
        once = keyed[np.concatenate([[True], keyed[1:] != keyed[:-1]])[: len(keyed)]]
        ends = np.searchsorted(once >> np.uint64(32), np.arange(1, len(sizes)))
        yield from np.split(once.astype(np.uint32), ends)


def _batches(texts: Iterable[str]) -> Iterator[tuple[Hashes, NDArray[np.int64]]]:
    """Of some texts at a time the words, and how many each has."""
    batch: list[bytes] = []
    size_bytes = 0
    for text in texts:
        batch.append(_folded(text))
        size_bytes += len(batch[-1])
        if size_bytes >= _BATCH_BYTES:
            yield _words(batch)
            batch, size_bytes = [], 0
    if batch:
        yield _words(batch)


def _folded(text: str) -> bytes:
    """A text in lower case with spaces for punctuation; what is normal alike becomes the same."""
    if not text.isascii():
        plain = unicodedata.normalize("NFKC", text).casefold()
        text = " ".join(_MARKS.sub(" ", plain).split())
    return text.encode("utf-8", "surrogatepass").translate(_FOLDED)


def _powers(base: int, count: int) -> NDArray[np.uint64]:
    powers = np.full(count, base, dtype=np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers)


_powers_kept = [_powers(base, 2 * _BATCH_BYTES) for base in (_BASE, _UNBASE)]


def _words(texts: Sequence[bytes]) -> tuple[Hashes, NDArray[np.int64]]:
    """The hashes of all words in order, and how many each text has: those of a run, or none."""
    codes = np.frombuffer(b"\n".join([b"", *texts, b""]), dtype=np.uint8)
    up, down = _powers_kept
    if len(codes) > len(up):
        up, down = (_powers(base, len(codes)) for base in (_BASE, _UNBASE))
    gap = (codes == _SPACE) | (codes == _END)
    edges = np.flatnonzero(gap[1:] != gap[:-1])  # before a word's first byte, and on its last
    starts, ends = edges[::2], edges[1::2]
    # All before a place, so that a word's own is a difference: it is moved to the beginning.
    sums = np.cumsum(codes * up[: len(codes)], dtype=np.uint64)
    hashes = (sums[ends] - sums[starts]) * down[starts]
    hashes ^= hashes >> np.uint64(29)
    hashes *= np.uint64(_BASE)
    words = (hashes >> np.uint64(32)).astype(np.uint32)
    sizes = np.diff(np.searchsorted(starts, np.flatnonzero(codes == _END)))
    short = (sizes > 0) & (sizes < SHINGLE_WORDS)
    if short.any():
        lacking = np.where(short, SHINGLE_WORDS - sizes, 0)
        words = np.insert(words, np.repeat(np.cumsum(sizes), lacking), np.uint32(_PAD))
        sizes = sizes + lacking
    return words, sizes


def _runs(words: Hashes, sizes: NDArray[np.int64]) -> tuple[Hashes, NDArray[np.int64]]:
    """A hash of each run of words, and how many each text has."""
    count = max(len(words) - SHINGLE_WORDS + 1, 0)
    runs = words[:count].copy()
    for place in range(1, SHINGLE_WORDS):
        runs *= np.uint32(0x01000193)  # FNV's prime
        runs ^= words[place : place + count]
    runs ^= runs >> np.uint32(16)  # murmur3's last steps: every bit depends on every other
    runs *= np.uint32(0x85EBCA6B)
    runs ^= runs >> np.uint32(13)
    runs *= np.uint32(0xC2B2AE35)
    runs ^= runs >> np.uint32(16)
    # Runs that begin in one text and end in the next are nobody's.
    own = np.ones(len(words), dtype=np.bool_)
    ends = np.cumsum(sizes[sizes > 0])
    for place in range(1, SHINGLE_WORDS):
        own[ends - place] = False
    return runs[own[:count]], np.maximum(sizes - SHINGLE_WORDS + 1, 0)


def _band_keys(words: Hashes, sizes: NDArray[np.int64]) -> Hashes:
    keys = np.zeros((len(sizes), BANDS), dtype=np.uint32)
    has = sizes > 0
    if not has.any():
        return keys
    runs, counts = _runs(words, sizes)
    starts = np.concatenate([[0], np.cumsum(counts[has])[:-1]])
    least = np.empty((len(_ODD), len(starts)), dtype=np.uint32)
    held = np.empty_like(runs)
    for place, odd in enumerate(_ODD):
        np.multiply(runs, odd, out=held)
        np.minimum.reduceat(held, starts, out=least[place])
    used = least.reshape(BANDS, BAND_ROWS, -1).astype(np.uint64)
    mixed = np.zeros((BANDS, len(starts)), dtype=np.uint64)
    for place in range(BAND_ROWS):
        mixed = (mixed ^ used[:, place]) * np.uint64(_BASE)
        mixed ^= mixed >> np.uint64(29)
    keys[has] = (mixed.T >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
    return keys
