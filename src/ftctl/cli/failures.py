"""Every failure as one message, or one JSON document, and the contract's exit code."""

import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import click

from ftctl.cli.render import Output, discard
from ftctl.errors import AuthError, FtctlError, ProviderError, Refused, StoreError
from ftctl.fault_words import FaultWord, word_of, word_of_error


@dataclass(frozen=True)
class _Failure:
    kind: str
    message: str
    hint: str
    exit_code: int
    word: FaultWord | None


def exit_with(error: BaseException, arguments: Sequence[str]) -> NoReturn:
    """Turn a failure into one message (or one JSON document) and the contract's exit code.

    Args:
        error: What ended the command.
        arguments: The words after `ftctl`.
    """
    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, click.exceptions.Exit):
        sys.exit(error.exit_code)
    json = "--json" in arguments
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not json:
        click.echo(error.format_message(), err=True)
        sys.exit(error.exit_code)
    failure = _described(error, arguments)
    try:
        _tell(failure, json=json)
    except OSError:  # a full disk behind stdout, for one: it is said where it still can be
        discard(1)
        _tell(failure, json=False)
    sys.exit(failure.exit_code)


def _tell(failure: _Failure, *, json: bool) -> None:
    if json:
        body = {
            "kind": failure.kind,
            "word": failure.word,
            "message": failure.message,
            "hint": failure.hint,
            "exit_code": failure.exit_code,
        }
        Output().document({"schema": "ftctl.error/1", "error": body})
        return
    told = f"ftctl: {failure.message}\n" + (f"  → {failure.hint}\n" if failure.hint else "")
    try:
        sys.stderr.write(told)
        sys.stderr.flush()
    except OSError:
        return  # nobody can be told


def _described(error: BaseException, arguments: Sequence[str]) -> _Failure:
    if isinstance(error, FtctlError):
        hint = error.hint or _next(error, arguments)
        return _Failure(error.kind, error.message, hint, error.exit_code, word_of_error(error))
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        words = f"{_command(arguments)} --help"
        said = "no command is named"
        return _Failure("usage_error", said, words, error.exit_code, word_of("usage_error"))
    if isinstance(error, click.ClickException):
        hint, word = f"{_command(arguments)} --help", word_of("usage_error")
        return _Failure("usage_error", error.format_message(), hint, 2, word)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return _Failure("interrupted", "interrupted", "", 130, None)
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        said = f"{error.strerror or error}{where}"
        hint = "free space or fix permissions, then run it again"
        return _Failure("os_error", said, hint, 1, FaultWord.CAPACITY)
    return _defect(error, arguments)


def _next(error: FtctlError, arguments: Sequence[str]) -> str:
    """What to do about a failure that doesn't say so itself."""
    if isinstance(error, ProviderError) and error.exit_code == ProviderError.exit_code:
        return "it is safe to run the same command again"
    if isinstance(error, StoreError | Refused | AuthError):
        return "ftctl doctor shows what this machine and its credentials can do"
    return f"{_command(arguments)} --help"


def _command(arguments: Sequence[str]) -> str:
    """The words that name the command, without what it was given."""
    from ftctl.cli.main import ftctl

    words = ["ftctl"]
    found: click.Command = ftctl
    for word in arguments:
        if not isinstance(found, click.Group):
            break
        inner = found.get_command(click.Context(found), word)
        if inner is None:
            break
        words.append(word)
        found = inner
    return " ".join(words)


def _defect(error: BaseException, arguments: Sequence[str]) -> _Failure:
    """What nobody foresaw: the place is told, and all of it with -v."""
    if any(word.startswith("-v") or word == "--verbose" for word in arguments):
        traceback.print_exception(error)
    *_, last = traceback.extract_tb(error.__traceback__)
    place = f"{Path(last.filename).name}:{last.lineno}"
    said = f"this is a defect of ftctl: {type(error).__name__} at {place}: {error}"
    hint = "please report it, with what the same command with -v prints"
    return _Failure("defect", said, hint, 1, FaultWord.BUG)
