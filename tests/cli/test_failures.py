"""Every failure says what to do next, and what nobody foresaw is a message, too."""

import click
import pytest
from command_line import Cli

from ftctl.cli.failures import exit_with
from ftctl.errors import FtctlError, StoreError, Unavailable, UsageError


def told(
    error: BaseException, words: list[str], capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        exit_with(error, words)
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "words", "code", "next_"),
    [
        (UsageError("no"), ["data", "check", "F"], 2, "ftctl data check --help"),
        (UsageError("no"), ["jobs", "--limit", "1"], 2, "ftctl jobs --help"),
        (Unavailable("no"), ["job", "j"], 5, "it is safe to run the same command again"),
        (StoreError("no"), ["jobs"], 1, "ftctl doctor shows"),
        (FtctlError("no", hint="do this"), ["jobs"], 1, "do this"),
        (click.UsageError("no"), ["jobs"], 2, "ftctl jobs --help"),
        (OSError(28, "No space left on device", "f"), ["jobs"], 1, "free space"),
    ],
)
def test_what_to_do_next_is_always_said(
    error: BaseException,
    words: list[str],
    code: int,
    next_: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended, said = told(error, words, capsys)
    assert ended == code
    assert f"  → {next_}" in said


def test_a_defect_is_a_message_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        divmod(1, 0)
    found = raised.value
    code, said = told(found, ["jobs"], capsys)
    assert code == 1
    assert "a defect of ftctl: ZeroDivisionError at test_failures.py:" in said
    assert "report it" in said
    assert "Traceback" not in said
    assert "Traceback" in told(found, ["jobs", "-v"], capsys)[1]


@pytest.mark.parametrize("words", [(), ("data",), ("catalog",), ("config",)])
def test_a_group_without_a_command_shows_its_help(cli: Cli, words: tuple[str, ...]) -> None:
    ran = cli(*words)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("Usage: ftctl")
