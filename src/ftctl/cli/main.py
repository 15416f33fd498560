"""The command line: one table of commands, each imported only when it is asked for."""

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from typing_extensions import override

from ftctl import __version__

# name: (module under ftctl.cli, one-line help). The help stands here so that `ftctl --help`
# imports none of the modules; a test holds it equal to each command's own.
COMMANDS: dict[str, tuple[str, str]] = {
    "data": ("data", "Check, convert and split datasets."),
    "advise": ("advise", "Should we fine-tune at all, and where?"),
    "estimate": ("estimate", "Cost, time and memory of a job, before anything is spent."),
    "submit": ("submit", "Check, quote and submit a fine-tuning job."),
    "jobs": ("jobs", "List jobs."),
    "job": ("job", "Show one job whole."),
    "watch": ("watch", "Follow jobs live: progress, loss curve, ETA."),
    "logs": ("logs", "Print what a job said."),
    "explain": ("explain", "What went wrong with a job, and what to do."),
    "cancel": ("cancel", "Stop a job."),
    "pause": ("pause", "Hold a job where it is; resume lets it go on."),
    "resume": ("resume", "Go on with a job that was paused, cancelled, or failed."),
    "fetch": ("fetch", "Bring home a job's adapter, metrics and model card."),
    "export": ("export", "Write a tuned model in another shape, or send it to a hub."),
    "migrate": ("migrate", "Run a job's data and settings at another provider."),
    "forget": ("forget", "Delete what a job left at its provider."),
    "chat": ("chat", "Talk to a base or tuned model."),
    "eval": ("eval", "Score models on held-out examples, with intervals."),
    "probe": ("probe", "How long a model takes to answer, measured."),
    "pilot": ("pilot", "What 25, 50 and 100 % of the rows bring, tuned here."),
    "serve": ("serve", "OpenAI's fine-tuning and chat API on your own GPUs."),
    "token": ("token", "Where the token of `ftctl serve` is; or a new one."),
    "providers": ("providers", "Who takes fine-tuning jobs, until when, with source and date."),
    "models": ("models", "Base models, where they can be tuned, until when, at what price."),
    "catalog": ("catalog", "Whether facts and prices hold, which are old, what differs."),
    "config": ("config", "Show settings and where each value comes from."),
    "doctor": ("doctor", "What this machine can do, and how to fix what it can't."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"ftctl.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            ctx.fail(f"No such command `{args[0]}`.{hint}")
        return super().resolve_command(ctx, args)

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ftctl")
def ftctl() -> None:
    """Decide whether, where and how to fine-tune a model, then run it anywhere.

    Start with `ftctl data check FILE`, then `ftctl advise --data FILE`.
    """


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and turn every failure into one message and an exit code.

    Args:
        argv: The words after `ftctl`; those of this process when None.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _open_missing_streams()
    # A dataset's bytes are UTF-8 whatever the terminal's locale says, and so is what we print.
    kept = "surrogateescape"  # bytes that are no text: who reads them refuses them
    for stream, errors in (
        (sys.stdin, kept),
        (sys.stdout, "backslashreplace"),
        (sys.stderr, "backslashreplace"),
    ):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors=errors)
    try:
        _require_text(arguments)
        # Without click's own standalone mode `ctx.exit(1)` comes back as a value.
        code = ftctl.main(arguments, prog_name="ftctl", standalone_mode=False)
    except BaseException as error:  # noqa: BLE001 - the one place where failures become messages
        from ftctl.cli.failures import exit_with

        exit_with(error, arguments)
    sys.exit(code if isinstance(code, int) else 0)


def _open_missing_streams() -> None:
    """Streams that whoever started us has closed read nothing and write nowhere."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for good


def _require_text(arguments: Sequence[str]) -> None:
    """Refuse bytes that are no text: they could stand in no record, report or request."""
    from ftctl.errors import UsageError

    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            shown = argument.encode("utf-8", "backslashreplace").decode()
            said = f"the argument {shown} isn't UTF-8"
            hint = "write it in UTF-8; a file can be renamed, or reached by a link"
            if _as_utf8(argument):
                said = f"the argument {_as_utf8(argument)} can't be read in this locale"
                hint = "LC_ALL=C.UTF-8 ftctl …, or unset PYTHONUTF8"
            raise UsageError(said, hint=hint) from None


def _as_utf8(argument: str) -> str:
    """What an argument says that only the locale keeps from being UTF-8; "" where nothing."""
    try:
        return os.fsencode(argument).decode()
    except UnicodeError:
        return ""
