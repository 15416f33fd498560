"""The frame of every page: head, style, parts, and a file that appears once it is whole.

A page holds no script, no font and no address to fetch; its own policy forbids them, too.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ftctl.errors import UsageError
from ftctl.pages.text import safe

_MARK = '<meta name="generator" content="ftctl '
_STYLE = """
:root { color-scheme: light dark; --back: #fff; --ink: #1f2328; --soft: #57606a; --line: #d0d7de;
  --fill: #2f6fb0; --a: #1f6fb2; --b: #a85400; --c: #1a7f37; --d: #8250df; --off: #8c959f; }
@media (prefers-color-scheme: dark) { :root { --back: #0d1117; --ink: #e6edf3; --soft: #a3adb8;
  --line: #30363d; --fill: #6ea8e0; --a: #6cb6ff; --b: #f0a04b; --c: #57c46d; --d: #c297ff;
  --off: #768390; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--back); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; line-height: 1.3; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { padding: .25rem .5rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; } tbody th { overflow-wrap: anywhere; min-width: 7rem; }
td.n, th.n { text-align: right; } td.n { white-space: nowrap; }
.wide { overflow-x: auto; overflow-wrap: break-word; }
dl, dd { margin: 0; } dt { font-weight: 600; margin-top: .5rem; }
dl.short { display: grid; grid-template-columns: 9rem 1fr; gap: .25rem .75rem; }
dl.short dt { margin: 0; }
@media (min-width: 40rem) { dl { display: grid; grid-template-columns: 14rem 1fr;
  gap: .25rem 1rem; } dt { margin: 0; } }
figure { margin: .5rem 0 1rem; } svg { display: block; max-width: 100%; }
summary { cursor: pointer; font-size: .9rem; color: var(--soft); }
code { font: .9rem/1.5 ui-monospace, monospace; }
.note { color: var(--soft); font-size: .9rem; margin: .25rem 0; }
"""


@dataclass(frozen=True)
class Number:
    """A number as it is, and as a person reads it."""

    value: float
    said: str


Cell = str | Number


class PageFile:
    """A page that is written piece by piece and appears under its name once it is whole.

    Args:
        path: Where it goes; a page of ours there is replaced.
        kind: What wrote it, such as `data show`.
        title: What is shown, such as a file's name.
        style: More CSS.

    Raises:
        UsageError: something else stands there, or nothing can be written.
    """

    def __init__(self, path: Path, kind: str, title: str, style: str = "") -> None:
        self._path = path
        _require_ours(path)
        try:
            number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        except OSError as error:
            raise _unwritable(path, error) from None
        self._part = Path(name)
        self._file = os.fdopen(number, "w", encoding="utf-8")
        self._file.write(_head(kind, title, style))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._file.write("</main></body></html>\n")
                self._file.close()
                self._part.replace(self._path)
        except OSError as full:
            raise _unwritable(self._path, full) from None
        finally:
            with contextlib.suppress(OSError):
                self._file.close()
            self._part.unlink(missing_ok=True)

    def write(self, pieces: Iterable[str]) -> None:
        """Add HTML to the page's body.

        Raises:
            UsageError: the disk takes no more.
        """
        try:
            self._file.writelines(pieces)
        except OSError as error:
            raise _unwritable(self._path, error) from None


def table(heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A table whose first column names its rows; on a narrow screen it scrolls by itself."""
    lines = [*rows]
    body = "".join(
        f'<tr><th scope="row">{_narrow(first)}</th>{"".join(map(_column, others))}</tr>'
        for first, *others in lines
    )
    # A head stands over its numbers, which end at the right; the first column names the rows.
    kinds = ["", *map(_kind, lines[0][1:])] if lines else [""] * len(heads)
    top = "".join(
        f'<th scope="col"{kind}>{safe(head)}</th>' for head, kind in zip(heads, kinds, strict=True)
    )
    return (
        f'<div class="wide" tabindex="0"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>\n"
    )


def terms(pairs: Iterable[tuple[str, Cell]], *, short: bool = False) -> str:
    """Names with what is to say of each: beside it, on a phone below unless all are short."""
    each = (f"<dt>{safe(name)}</dt><dd>{cell(said)}</dd>" for name, said in pairs)
    kind = ' class="short"' if short else ""
    return f"<dl{kind}>{''.join(each)}</dl>\n"


def bullets(items: Iterable[str]) -> str:
    """A list of sentences."""
    return f"<ul>{''.join(f'<li>{safe(item)}</li>' for item in items)}</ul>\n"


def cell(said: Cell) -> str:
    """Text, or a number that a script can read, too."""
    if isinstance(said, str):
        return safe(said)
    return f'<data value="{said.value!r}">{safe(said.said)}</data>'


def _column(said: Cell) -> str:
    return f"<td{_kind(said)}>{_narrow(said)}</td>"


def _narrow(said: Cell) -> str:
    """A cell that may be broken where a name has an underscore."""
    return cell(said).replace("_", "_<wbr>") if isinstance(said, str) else cell(said)


def _kind(said: Cell) -> str:
    return ' class="n"' if isinstance(said, Number) else ""


def _head(kind: str, title: str, style: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'{_MARK}{kind}">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{safe(title)}</title>\n<style>{_STYLE}{style}</style></head>\n<body><main>"
    )


def _require_ours(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint=f"--html {path}/page.html")
    try:
        with path.open("rb") as file:
            ours = _MARK.encode() in file.read(1024)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(path, error) from None
    if not ours:
        raise UsageError(f"{path} holds something else", hint="name a new file for the page")


def _unwritable(path: Path, error: OSError) -> UsageError:
    said = f"{path} can't be written: {error.strerror}"
    return UsageError(said, hint="--html OUT names a file in a folder that can be written to")
