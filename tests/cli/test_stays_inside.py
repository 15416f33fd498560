"""Rows that must stay inside: not one byte leaves, whoever is named."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats

from ftctl.catalog.load import load_catalog
from ftctl.config import CREDENTIAL_VARIABLES
from ftctl.testing.openai_vendor import OpenAIVendor

_reached: list[str] | None = None


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _reached is not None and event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        _reached.append(
            f"{event} {arguments[-1] if event != 'socket.getaddrinfo' else arguments[0]}"
        )


sys.addaudithook(_hook)  # can't be taken back: outside `watching` it does nothing


@contextlib.contextmanager
def watching() -> Iterator[list[str]]:
    """Every connection and look-up of a name by this process, whoever makes it."""
    global _reached  # noqa: PLW0603 - an audit hook is for the whole process
    seen: list[str] = []
    _reached = seen
    try:
        yield seen
    finally:
        _reached = None


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_chats(tmp_path / "train.jsonl")


OUTSIDE = [("--provider", row.name) for row in load_catalog().providers if row.name != "local"]
GATEWAY = ("--provider", "openai", "--base-url", "https://gateway.example/v1")


@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=["submit", "dry-run"])
@pytest.mark.parametrize("to", [*OUTSIDE, GATEWAY], ids=lambda to: "-".join(to[1::2]))
def test_nothing_reaches_for_the_network(
    cli: Cli,
    data: Path,
    to: tuple[str, ...],
    more: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variables in CREDENTIAL_VARIABLES.values():
        monkeypatch.setenv(variables[0], "sk-there-is-one")
    with watching() as reached:
        ran = cli(
            *("submit", *to, "--data", str(data), "--model", "gpt-4.1-mini"),
            *("--privacy", "stays_inside", *more),
        )
    assert ran.returncode == 3, ran.stderr
    assert reached == []


def test_the_watch_is_not_blind(cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
    with OpenAIVendor("sk-right") as vendor, watching() as reached:
        ran = cli(
            *("submit", "--provider", "openai", "--data", data, "--model", "gpt-4.1-mini"),
            *("--privacy", "stays_inside", "--base-url", vendor.base_url),  # on this machine
        )
    assert ran.returncode == 0, ran.stderr
    assert any("socket.connect" in one for one in reached)
