"""Rules on a line above the cap, which nobody holds whole."""

import re
from collections.abc import Iterable, Iterator

from ftctl.datasets.read import Line
from ftctl.datasets.rules.json_text import open_path
from ftctl.datasets.rules.types import Finding

_ANSWERS = re.compile(rb'"role"\s*:\s*"assistant"')
# What only the whole of a string shows.
_OF_WHOLE_STRINGS = frozenset(
    {"trailing-space", "truncated-answer", "tool-arguments-json", "tool-arguments-schema"}
)


def of_outline(line: Line, findings: Iterable[Finding]) -> Iterator[Finding]:
    """What the findings on a line's outline mean for the line."""
    for finding in findings:
        if finding.key.startswith("too-long"):
            yield Finding(finding.key, open_path(line.data), _size(line))
        elif finding.key not in _OF_WHOLE_STRINGS:
            yield finding


def huge(line: Line) -> Finding:
    """What a line is that no outline makes small enough: judged by its head alone."""
    if line.data.lstrip()[:1] != b"{":
        return Finding("json", "", f"{_size(line)} and begins no object")
    key = "too-long" if _ANSWERS.search(line.data) else "too-long/prompt"
    return Finding(key, open_path(line.data), _size(line))


def _size(line: Line) -> str:
    return f"the line has {line.size_bytes:,} bytes"
