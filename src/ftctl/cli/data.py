"""`ftctl data`: check, convert and split datasets."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftctl.cli import options
from ftctl.cli.data_compare import compare_command
from ftctl.cli.data_convert import convert_command
from ftctl.cli.data_fix import fixed_copy, fixed_document, grader_text, print_fixed
from ftctl.cli.data_label import export_command, import_command
from ftctl.cli.data_progress import file_progress
from ftctl.cli.data_rules import rules_command
from ftctl.cli.data_show import show_command
from ftctl.cli.data_split import split_command
from ftctl.cli.data_stats import stats_command
from ftctl.cli.options import METHODS
from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output, counted
from ftctl.errors import UsageError

if TYPE_CHECKING:
    from ftctl.datasets.fix import Fixed
    from ftctl.datasets.report import Issue, Report, TokenEstimate
    from ftctl.datasets.tokens.types import TokenCounter

_FILE = click.Path(path_type=Path)


def _named(
    context: click.Context, argument: click.Parameter, given: tuple[Path, ...]
) -> list[Path]:
    """The files that are meant; a pattern that no shell has filled in is filled in here.

    Raises:
        UsageError: a pattern fits no file.
    """
    del context, argument
    return [file for path in given for file in ([path] if _is_file(path) else _fitting(path))]


def _is_file(path: Path) -> bool:
    return not glob.has_magic(str(path)) or os.path.lexists(path)


def _fitting(pattern: Path) -> list[Path]:
    found = sorted(glob.glob(str(pattern.expanduser()), recursive=True))  # noqa: PTH207 - absolute
    if not found:
        said = f"no file fits {pattern}"
        raise UsageError(said, hint="name a JSONL file, or a pattern that fits one")
    return [Path(file) for file in found]


@click.group("data", short_help="Check, convert and split datasets.")
def command() -> None:
    """Check, convert and split datasets.

    Example: ftctl data check train.jsonl --for openai
    """


@make_command("check", short_help="Apply every rule of the providers you name.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=_FILE, callback=_named)
@click.option(
    "--for",
    "providers",
    metavar="P[,P]",
    help="Whose rules, or all; openai, mistral, local if not. `ftctl data rules` lists them.",
)
@options.method
@click.option("--validation", type=_FILE, metavar="FILE", help="Held-out file, for overlap too.")
@click.option(
    "--grader", callback=grader_text, metavar="FILE", help="For rft: the fields that it reads."
)
@click.option("--fix", "new", type=_FILE, metavar="OUT", help="Write a corrected copy, check it.")
@click.option("--model", metavar="M", help="Whose tokens: a name, a folder, or a GGUF file.")
@click.option(
    "--max-errors",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Issues kept of each rule; all are counted.",
)
@click.option(
    "--no-duplicates",
    is_flag=True,
    help="Don't compare examples: no duplicates, conflicting answers, label balance, overlap.",
)
@click.option("--near", is_flag=True, help="Look for examples with nearly the same words, too.")
@click.option("--no-scan", is_flag=True, help="Don't look for personal data and secrets.")
@click.option("--no-tokens", is_flag=True, help="Don't estimate tokens.")
@click.pass_context
def check_command(
    context: click.Context,
    out: Output,
    *,
    files: list[Path],
    providers: str | None,
    method: str | None,
    validation: Path | None,
    grader: str | None,
    new: Path | None,
    model: str | None,
    max_errors: int,
    no_duplicates: bool,
    near: bool,
    no_scan: bool,
    no_tokens: bool,
) -> None:
    """Check training files against the rules of one or more providers.

    Says for every problem where it is, who minds it and how to mend it.
    Exits 0 when no provider has an error, else 1. With --model it counts tokens as that model's
    tokenizer does, and says what is cut of an example that is too long; else it estimates them.
    Ctrl-C prints what is known so far, and exits 130.

    FILE may be packed (.jsonl.gz, .jsonl.zst), a pattern in quotes, or - for standard input.

    With --fix it writes OUT, in which all is mended that those who are named mind and that has
    but one mend, lists the changes, and checks OUT: what it names then is left for you.

    The rules alone are checked at the speed of the disk: with --no-duplicates, --no-scan and
    --no-tokens. `ftctl submit` asks for everything.

    Example: ftctl data check train.jsonl --validation held-out.jsonl --for openai,local
    """
    from ftctl.datasets.rules.table import providers_named

    names, method = providers_named(providers), method or METHODS[0]
    fixed = fixed_copy(files, new, names, method, max_errors) if new else None
    counter, limit = _counting(model, names)
    report = _checked(
        out,
        [new] if new else files,
        providers=names,
        method=method,
        validation=validation,
        grader=grader,
        counter=counter,
        limit=limit,
        max_errors=max_errors,
        duplicates=not no_duplicates,
        near=near,
        scan=not no_scan,
        tokens=not no_tokens,
    )
    _told(out, report, fixed, new)
    context.exit((0 if report.ok else 1) if report.complete else 130)


def _checked(
    out: Output,
    files: Sequence[Path],
    **options: Any,  # noqa: ANN401 - of `check`
) -> "Report":
    """The report, or on Ctrl-C as much of it as is known."""
    from ftctl.datasets.check import LeftOff, check

    with file_progress(out, "checking") as show:
        try:
            return check(files, on_progress=show, **options)
        except LeftOff as left:
            return left.report


def _told(out: Output, report: "Report", fixed: "Fixed | None", new: Path | None) -> None:
    if out.json:
        left_off = {} if report.complete else {"complete": False, "ok": False}
        mended = fixed_document(fixed) if fixed else {}
        out.document(report.model_dump(mode="json") | left_off | mended)
        return
    if new and fixed:
        print_fixed(out, fixed, new)
    _print_report(out, report)


def _counting(
    model: str | None, providers: Sequence[str]
) -> "tuple[TokenCounter | None, int | None]":
    """What counts a model's tokens, and how many of them an example may have."""
    from ftctl.datasets.tokens.choose import counter_for, max_example_tokens

    if not model:
        return None, None
    one = providers[0] if len(providers) == 1 else ""
    return counter_for(model, one), max_example_tokens(model, one)


def _print_report(out: Output, report: "Report") -> None:
    for severity in ("error", "warning"):
        shown = [issue for issue in report.issues if issue.severity == severity]
        if shown and not (out.quiet and severity == "warning"):
            _print_issues(out, report, shown, f"{severity.capitalize()}s")
    hidden = report.errors + report.warnings - len(report.issues)
    if hidden:
        out.line(f"{hidden:,} more issues of these rules; --max-errors shows more of each.")
    if not report.complete:
        out.line("Left off: this is what was found so far, and the rest is not known.")
    told = "" if report.tokens.method == "none" else f", {_tokens_said(report.tokens)}"
    out.line(f"{counted(report.examples, 'example')}{told}.")
    for name, verdict in report.providers.items():
        word = ("ok", "green") if verdict.ok else ("not ok", "red")
        if verdict.ok and not report.complete:
            word = ("nothing found so far", "yellow")
        counts = f", {counted(verdict.errors, 'error')}, {counted(verdict.warnings, 'warning')}"
        out.styled(f"{name}: ", word, counts)


def _tokens_said(tokens: "TokenEstimate") -> str:
    about = "" if tokens.exact else "about "
    said = f"{about}{tokens.total_tokens:,} tokens (longest {tokens.max_example_tokens:,})"
    if tokens.trained is None:
        return f"{said}; {tokens.says}; {tokens.error}"
    above = f"; {tokens.above_limit:,} above {tokens.limit:,}" if tokens.above_limit else ""
    error = f"; {tokens.error}" if tokens.error else ""
    return f"{said}, {tokens.trained:,} trained on{above}; {tokens.says}{error}"


def _print_issues(out: Output, report: "Report", issues: list["Issue"], title: str) -> None:
    several = len(report.files) > 1
    rows = [
        (
            f"{issue.file}:{issue.line}" if several else issue.line,
            issue.path,
            issue.rule,
            ", ".join(issue.providers) or "advice",
            issue.message,
            issue.hint,
        )
        for issue in issues
    ]
    out.table(("Line", "Path", "Rule", "For", "What", "How to mend it"), rows, title)


command.add_command(check_command)
command.add_command(convert_command)
command.add_command(rules_command)
command.add_command(show_command)
command.add_command(split_command)
command.add_command(stats_command)
command.add_command(compare_command)
command.add_command(import_command)
command.add_command(export_command)
