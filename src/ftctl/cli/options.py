"""What every command has: the output flags, logging, and the `Output` built from them."""

import functools
import logging
from collections.abc import Callable
from typing import Any

import click

from ftctl.cli.render import Output
from ftctl.config import switch_off_telemetry


def command(
    name: str, cls: type[click.Command] = click.Command, **attributes: Any
) -> Callable[[Callable[..., None]], click.Command]:
    """A click command that takes `--json --quiet --no-color -v` and gets an `Output` first."""

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(*, json: bool, quiet: bool, no_color: bool, verbose: int, **options: Any) -> None:
            level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
            logging.basicConfig(level=level, format="%(asctime)s %(name)s %(message)s")
            switch_off_telemetry()
            function(Output(json=json, quiet=quiet, color=not no_color), **options)

        made = click.command(name, cls=cls, **attributes)(run)
        made.params += [
            click.Option(["--json"], is_flag=True, help="One JSON document on stdout."),
            click.Option(["--quiet"], is_flag=True, help="Only the result, no progress or notes."),
            click.Option(["--no-color"], is_flag=True, help="Plain text."),
            click.Option(["-v", "--verbose"], count=True, help="Say more on stderr; -vv more."),
        ]
        return made

    return decorate
