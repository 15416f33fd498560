"""Examples as one HTML file that needs nothing else."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ftctl.datasets.show.types import Broken, Example, Said, Token
from ftctl.pages.frame import PageFile
from ftctl.pages.text import safe

_STYLE = """
:root { --trained: #0a5c24; --trained-back: #d2f4da; --trained-odd: #b4e8c1;
  --untrained: #8f1420; --untrained-back: #ffe3e4; --untrained-odd: #ffd0d2;
  --cut: #424a53; --cut-back: #eceff2; --cut-odd: #dde2e7; }
@media (prefers-color-scheme: dark) { :root {
  --trained: #7ee49b; --trained-back: #0f2f1a; --trained-odd: #174526;
  --untrained: #ffa3a6; --untrained-back: #3a1417; --untrained-odd: #521c20;
  --cut: #b4bdc7; --cut-back: #21262d; --cut-odd: #2f363e; } }
section { border: 1px solid var(--line); border-radius: .5rem; margin: 1rem 0; padding: .75rem; }
section h2 { font-size: 1rem; margin: 0 0 .5rem; }
.text { font: .875rem/1.7 ui-monospace, monospace; white-space: pre-wrap; margin: 0; }
.trained { color: var(--trained); background: var(--trained-back); }
.untrained { color: var(--untrained); background: var(--untrained-back); }
.cut { color: var(--cut); background: var(--cut-back); text-decoration: line-through; }
.trained:nth-child(odd) { background: var(--trained-odd); }
.untrained:nth-child(odd) { background: var(--untrained-odd); }
.cut:nth-child(odd) { background: var(--cut-odd); }
.control { font-weight: bold; }
"""
_LEGEND = (
    ("trained", "trained on"),
    ("untrained", "not trained on"),
    ("cut", "cut: beyond the longest length"),
)


class Page(PageFile):
    """A page that grows by an example at a time.

    Args:
        path: Where it goes; a page of ours there is replaced.
        title: What is shown, such as a file's name.
        about: How: model and longest length.

    Raises:
        UsageError: something else stands there, or nothing can be written.
    """

    def __init__(self, path: Path, title: str, about: str) -> None:
        super().__init__(path, "data show", title, _STYLE)
        keys = " ".join(f'<span class="{kind}">{said}</span>' for kind, said in _LEGEND)
        self.write([f"<h1>{safe(title)}</h1><p>{safe(about)}</p><p>{keys}</p>\n"])

    def add(self, item: Example | Broken) -> None:
        """Write one example, or that a line can't be shown."""
        self.write(_section(item))


def _section(item: Example | Broken) -> Iterator[str]:
    yield f'<section id="line-{item.line}"><h2>Line {item.line}</h2>'
    if isinstance(item, Broken):
        yield f'<p class="note">can\'t be shown: {safe(item.message)}</p></section>\n'
        return
    if item.total_tokens is not None:
        yield f"<p>{counts_said(item)}</p>"
        yield '<p class="text" dir="auto">'
        yield from _tokens(item)
        yield "</p>"
    yield from _messages(item.messages)
    for remark in item.remarks:
        yield f'<p class="note">{safe(remark)}</p>'
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
    text = safe(token.text.replace("\n", "↵\n"))
    return f'<span class="{token.kind}{control}" title="{token.id}">{text}</span>'


def _messages(messages: Iterable[Said]) -> Iterator[str]:
    for said in messages:
        more = f" … {said.left_out_characters:,} more characters" * bool(said.left_out_characters)
        yield f"<h2>{safe(said.role)}</h2>"
        yield f'<p class="text"><span class="{said.kind}">{safe(said.text)}</span>{more}</p>'
