"""Examples as one HTML file that needs nothing else: no script, no font, no address."""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from types import TracebackType
from typing import Self

from ftctl.datasets.show.types import Broken, Example, Said, Token, visible
from ftctl.errors import UsageError

_MARK = '<meta name="generator" content="ftctl data show">'
_STYLE = """
:root { color-scheme: light dark; --back: #fff; --ink: #1f2328; --line: #d0d7de;
  --trained: #0a5c24; --trained-back: #d2f4da; --trained-odd: #b4e8c1;
  --untrained: #8f1420; --untrained-back: #ffe3e4; --untrained-odd: #ffd0d2;
  --cut: #57606a; --cut-back: #eceff2; --cut-odd: #dde2e7; }
@media (prefers-color-scheme: dark) { :root { --back: #0d1117; --ink: #e6edf3; --line: #30363d;
  --trained: #7ee49b; --trained-back: #0f2f1a; --trained-odd: #174526;
  --untrained: #ffa3a6; --untrained-back: #3a1417; --untrained-odd: #521c20;
  --cut: #a3adb8; --cut-back: #21262d; --cut-odd: #2f363e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--back); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.25rem; } h2 { font-size: 1rem; margin: 0 0 .5rem; }
section { border: 1px solid var(--line); border-radius: .5rem; margin: 1rem 0; padding: .75rem; }
.text { font: .875rem/1.7 ui-monospace, monospace; white-space: pre-wrap; margin: 0; }
.trained { color: var(--trained); background: var(--trained-back); }
.untrained { color: var(--untrained); background: var(--untrained-back); }
.cut { color: var(--cut); background: var(--cut-back); text-decoration: line-through; }
.trained:nth-child(odd) { background: var(--trained-odd); }
.untrained:nth-child(odd) { background: var(--untrained-odd); }
.cut:nth-child(odd) { background: var(--cut-odd); }
.control { font-weight: bold; }
.note { color: var(--cut); margin: .5rem 0 0; }
"""


class Page:
    """A page that grows by an example at a time; it appears under its name once it is whole.

    Args:
        path: Where it goes; a page of ours there is replaced.
        title: What is shown, such as a file's name.
        about: How: model and longest length.

    Raises:
        UsageError: something else stands there, or nothing can be written.
    """

    def __init__(self, path: Path, title: str, about: str) -> None:
        self._path = path
        _require_ours(path)
        try:
            number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        except OSError as error:
            raise UsageError(
                f"{path}: {error.strerror}", hint="name a place that can be written to"
            ) from None
        self._part = Path(name)
        self._file = os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace")
        self._file.write(_head(title, about))

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
        finally:
            self._file.close()
            with contextlib.suppress(FileNotFoundError):
                self._part.unlink()

    def add(self, item: Example | Broken) -> None:
        """Write one example, or that a line can't be shown."""
        self._file.writelines(_section(item))


def _require_ours(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint=f"--html {path}/show.html")
    try:
        with path.open("rb") as file:
            ours = _MARK.encode() in file.read(1024)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="name another file") from None
    if not ours:
        raise UsageError(f"{path} holds something else", hint="name a new file for the page")


def _head(title: str, about: str) -> str:
    legend = [
        ("trained", "trained on"),
        ("untrained", "not trained on"),
        ("cut", "cut: beyond the longest length"),
    ]
    keys = " ".join(f'<span class="{kind}">{said}</span>' for kind, said in legend)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f"{_MARK}\n"
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_safe(title)}</title>\n<style>{_STYLE}</style></head>\n"
        f"<body><main><h1>{_safe(title)}</h1><p>{_safe(about)}</p><p>{keys}</p>\n"
    )


def _section(item: Example | Broken) -> Iterator[str]:
    yield f'<section id="line-{item.line}"><h2>Line {item.line}</h2>'
    if isinstance(item, Broken):
        yield f'<p class="note">can\'t be shown: {_safe(item.message)}</p></section>\n'
        return
    if item.total_tokens is not None:
        yield f"<p>{counts_said(item)}</p>"
        yield '<p class="text" dir="auto">'
        yield from _tokens(item)
        yield "</p>"
    yield from _messages(item.messages)
    for remark in item.remarks:
        yield f'<p class="note">{_safe(remark)}</p>'
    yield "</section>\n"


def counts_said(example: Example) -> str:
    """How many tokens of each kind an example has."""
    said = f"{example.total_tokens:,} tokens: {example.trained_tokens:,} trained on"
    return f"{said}, {example.cut_tokens:,} cut" if example.cut_tokens else said


def _tokens(example: Example) -> Iterator[str]:
    for i, token in enumerate(example.tokens):
        if example.left_out_tokens and i == example.left_out_after:
            yield f'<span class="note"> … {example.left_out_tokens:,} tokens … </span>'
        yield _token(token)


def _token(token: Token) -> str:
    control = " control" if token.control else ""
    text = _safe(token.text.replace("\n", "↵\n"))
    return f'<span class="{token.kind}{control}" title="{token.id}">{text}</span>'


def _messages(messages: Iterable[Said]) -> Iterator[str]:
    for said in messages:
        more = f" … {said.left_out_characters:,} more characters" * bool(said.left_out_characters)
        yield f"<h2>{_safe(said.role)}</h2>"
        yield f'<p class="text"><span class="{said.kind}">{_safe(said.text)}</span>{more}</p>'


def _safe(text: str) -> str:
    return escape(visible(text))
