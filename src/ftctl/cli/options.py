"""Flags that mean the same wherever they stand; and what every command has: an `Output`."""

import functools
import logging
from collections.abc import Callable
from typing import Any

import click

from ftctl.cli.render import Output
from ftctl.config import switch_off_telemetry

METHODS = ("sft", "dpo", "rft")
TUNINGS = ("lora", "qlora", "full")

as_of = click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="Prices and dates of another day; today's if not given.",
)
base_url = click.option(
    "--base-url", metavar="URL", help="A gateway that speaks the provider's wire."
)
max_cost = click.option("--max-cost", type=float, metavar="USD", help="Refuse a quote above this.")
allow_scan_hits = click.option(
    "--allow-scan-hits", is_flag=True, help="Send rows in which the scan found something."
)
hyperparameters = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A hyperparameter, or an option of the provider (@FILE: its text); repeatable.",
)
method = click.option("--method", type=click.Choice(METHODS), help="sft when not given.")
tuning = click.option("--tuning", type=click.Choice(TUNINGS), help="lora when not given.")


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
