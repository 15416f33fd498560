"""Every command is listed, explains itself with an example, and says the same everywhere."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from command_line import Cli

from ftctl.cli.main import COMMANDS, ftctl

ROOT = Path(__file__).resolve().parents[2]


def every_command() -> Iterator[tuple[str, click.Command]]:
    def walk(words: str, found: click.Command) -> Iterator[tuple[str, click.Command]]:
        if not isinstance(found, click.Group):
            yield words, found
            return
        for name, inner in found.commands.items():
            yield from walk(f"{words} {name}", inner)

    context = click.Context(ftctl)
    for name in COMMANDS:
        found = ftctl.get_command(context, name)
        assert found is not None
        yield from walk(name, found)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_command_says(name: str) -> None:
    found = ftctl.get_command(click.Context(ftctl), name)
    assert found is not None
    assert found.name == name
    assert found.get_short_help_str(limit=200) == COMMANDS[name][1]


def test_every_command_has_the_output_flags_and_an_example() -> None:
    for words, found in every_command():
        flags = {flag for parameter in found.params for flag in parameter.opts}
        assert {"--json", "--quiet", "--no-color", "--verbose"} <= flags, words
        assert f"Example: ftctl {words}" in (found.help or ""), words


# Named like others and yet the command's own: what it reads, writes and names.
OWN = {"-o", "--data", "--validation", "--from", "--to", "--model", "--name", "--provider", "--for"}
OWN |= {"--as-of", "--base-url", "--dry-run", "--grader", "--html", "--method", "--near", "--new"}
OWN |= {"--port", "--seed", "--yes"}


def test_every_flag_says_what_it_does_and_the_same_everywhere() -> None:
    said: dict[str, set[str | None]] = {}
    for words, found in every_command():
        if words.split()[0] in ("advise", "pilot", "probe"):
            continue
        for option in (one for one in found.params if isinstance(one, click.Option)):
            assert option.help, f"{words} {option.opts[0]}"
            said.setdefault(option.opts[0], set()).add(option.help)
    assert {flag for flag, texts in said.items() if len(texts) > 1} == OWN


def test_the_group_lists_every_command_with_its_help(cli: Cli) -> None:
    ran = cli("--help")
    assert ran.returncode == 0
    for name, (_, text) in COMMANDS.items():
        assert any(line.split() == [name, *text.split()] for line in ran.stdout.splitlines()), name


def test_a_mistyped_command_names_the_nearest(cli: Cli) -> None:
    ran = cli("doctr")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Did you mean `doctor`?" in ran.stderr


def test_an_unknown_flag_is_a_usage_error_in_json_too(cli: Cli) -> None:
    ran = cli("doctor", "--jsom", "--json")
    assert ran.returncode == 2
    assert ran.json()["error"]["kind"] == "usage_error"
    assert ran.json()["error"]["exit_code"] == 2


def test_the_version_is_the_package_version(cli_process: Cli) -> None:
    import ftctl as package

    assert cli_process("--version").stdout.split() == ["ftctl,", "version", package.__version__]


def test_the_generated_pages_are_what_the_parser_and_the_catalog_say() -> None:
    check = [sys.executable, str(ROOT / "scripts" / "docs.py"), "--check"]
    ran = subprocess.run(check, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
