"""Rules on what must not be learnt: personal data and secrets, wherever in a line they stand."""

import functools
from collections.abc import Iterable, Iterator

from ftctl.datasets.rules.types import Finding, join
from ftctl.datasets.scan import Hit, line_hits, scan_text

_SHORTEST = 6  # a@b.io; anything with digits is longer
_CACHED_CHARACTERS = 64  # keys, and the strings of tools that come on every line

Steps = tuple[str | int, ...]  # keys and indexes from the line to a value


def privacy(value: object) -> Iterator[Finding]:
    """`pii` and `secret` in any string or key of a line, told by kind and a masked sample."""
    for steps, hits in iter_hits(value):
        yield from _told(_path(steps), hits)


def privacy_of_text(data: bytes) -> Iterator[Finding]:
    """The same in a line that is no JSON."""
    yield from _told("", list(line_hits(data)))


def iter_hits(value: object) -> Iterator[tuple[Steps, list[Hit]]]:
    """Each string in a value that holds something, and where it is; in order."""
    stack: list[tuple[Steps, object]] = [((), value)]
    while stack:
        steps, node = stack.pop()
        if isinstance(node, str):
            if hits := _hits(node):
                yield steps, hits
        elif isinstance(node, dict):
            for key in node:
                if hits := _hits(key):
                    yield (*steps, key), hits
            stack += [((*steps, key), child) for key, child in reversed(node.items())]
        elif isinstance(node, list):
            stack += [((*steps, i), node[i]) for i in reversed(range(len(node)))]


def _hits(text: str) -> list[Hit]:
    if len(text) <= _CACHED_CHARACTERS:
        return _hits_cached(text) if len(text) >= _SHORTEST else []
    if text.startswith("data:") and ";base64," in text[:100]:
        return []  # an image, whose letters mean nothing
    return scan_text(text)


_hits_cached = functools.lru_cache(maxsize=4096)(scan_text)


def _path(steps: Iterable[str | int]) -> str:
    path = ""
    for step in steps:
        path = join(path, step) if isinstance(step, str) else f"{path}[{step}]"
    return path


def _told(path: str, hits: list[Hit]) -> Iterator[Finding]:
    for category, name in (("pii", "personal data"), ("secret", "a secret")):
        kinds = [f"{hit.kind} {hit.masked}" for hit in hits if hit.category == category]
        if kinds:
            more = f" and {len(kinds) - 3} more" if len(kinds) > 3 else ""
            yield Finding(category, path, f"{name}: {', '.join(kinds[:3])}{more}")
