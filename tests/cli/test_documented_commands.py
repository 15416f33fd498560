"""Every command that README and docs show is one that the parser takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ftctl.cli.main import ftctl

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if page.name not in ("cli.md", "log.md")]  # generated; a diary


def commands(page: Path) -> Iterator[str]:
    """Lines of code blocks, fenced or indented, that begin with `ftctl`; continued ones joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"```(?:bash|sh|console)?\n(.*?)```", text, flags=re.S)
    blocks += re.findall(r"(?:^ {4}.*\n)+", text, flags=re.M)
    for line in "\n".join(blocks).splitlines():
        found = line.strip().removeprefix("$ ")
        if found.startswith("ftctl "):
            yield found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_parser_takes_them(page: Path) -> None:
    for line in commands(page):
        words = shlex.split(re.split(r" [|>] | && |  # ", line)[0], comments=True)[1:]
        words = [word for word in words if word != "…"]
        found: click.Command = ftctl
        context = click.Context(ftctl, info_name="ftctl")
        while isinstance(found, click.Group) and words and not words[0].startswith("-"):
            inner = found.get_command(context, words.pop(0))
            assert inner is not None, line
            found, context = inner, click.Context(inner, parent=context)
        try:
            found.parse_args(context, words)
        except click.UsageError as error:
            said = error.format_message()
            if "does not exist" not in said:  # as only a reader's file may
                pytest.fail(f"{line}: {said}")


def test_there_are_many() -> None:
    assert sum(len(list(commands(page))) for page in PAGES) > 60
