"""Write the generated pages, from the parser, the catalog and the tables of rules and formats.

`make docs` writes them; with `--check` it only says which are out of date.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
from advice_page import advice
from formats_page import formats

from ftctl.catalog.load import load_shipped
from ftctl.catalog.types import Phase, Provider
from ftctl.catalog.user import EXAMPLE
from ftctl.cli.main import COMMANDS, ftctl
from ftctl.cli.providers import base_says, provider_prices
from ftctl.datasets.rules.rule import SOURCES, Rule
from ftctl.datasets.rules.table import SECTIONS
from ftctl.fault_words import FaultWord

DOCS = Path(__file__).resolve().parent.parent / "docs"
COLUMN_HEADS = "Os Od Or Az M3 M7 M11 Hf Tg Fw Ge Br Lo At"  # of `Rule.letters`, short
EVERYWHERE = ("json", "quiet", "no_color", "verbose", "help")


def main() -> None:
    """Write the pages, or with `--check` exit 1 when one of them isn't what it would be."""
    pages = {
        "cli.md": command_line(),
        "providers.md": providers(),
        "data-rules.md": data_rules(),
        "formats.md": formats(),
        "advice.md": advice(),
    }
    for name, text in pages.items():
        path = DOCS / name
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"docs/{name} is out of date: make docs")


def command_line() -> str:
    """Every command with what it does and takes."""
    parts = [
        "# Command line",
        "Written by `make docs` from the parser.",
        "Every command also takes `--json` (one document on stdout), `--quiet`, `--no-color`, "
        "`-v`/`-vv` and `--help`.",
        'With `--json` an error is a document, too: `{"schema": "ftctl.error/1", "error": {"kind", '
        '"word", "message", "hint", "exit_code"}}`. The word is null or one of '
        f"{', '.join(f'`{word}`' for word in FaultWord)}; a job's `error` (`ftctl.job/1`) carries "
        "the same, and `ftctl explain ID` says what to do about it.",
    ]
    context = click.Context(ftctl, info_name="ftctl")
    for name in COMMANDS:
        found = ftctl.get_command(context, name)
        assert found is not None  # noqa: S101 - the table names it
        for words, command in commands(f"ftctl {name}", found):
            parts += [f"## {words}", description(command), *arguments(command)]
    return "\n\n".join(parts) + "\n"


def commands(words: str, found: click.Command) -> Iterator[tuple[str, click.Command]]:
    """The command itself, or those of a group, with the words that call each."""
    if isinstance(found, click.Group):
        if found.invoke_without_command:
            yield words, found
        for name, inner in found.commands.items():
            yield from commands(f"{words} {name}", inner)
    else:
        yield words, found


def description(command: click.Command) -> str:
    """The command's own words; its example as a block that can be copied."""
    text, _, example = (command.help or "").partition("Example:")
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    lines = [line.strip() for line in example.strip().splitlines() if line.strip()]
    block = "```sh\n" + "\n".join(lines) + "\n```" if lines else ""
    return "\n\n".join(filter(None, [*paragraphs, block]))


def arguments(command: click.Command) -> Iterator[str]:
    """A table of what the command takes, but for what every command takes."""
    context = click.Context(command)
    rows = [
        parameter.get_help_record(context) or (parameter.make_metavar(context), "")
        for parameter in command.params
        if parameter.name not in EVERYWHERE
    ]
    if rows:
        cells = [f"| `{cell(taken)}` | {cell(says)} |" for taken, says in rows]
        yield "\n".join(["| takes | |", "|---|---|", *cells])


def providers() -> str:
    """Who takes fine-tuning jobs, with the day and the source of every statement."""
    parts = [
        "# Providers",
        "Written by `make docs` from the catalog. `ftctl providers --as-of DATE` answers for a "
        "day.",
        "Rows of your own, such as a quote or a negotiated price, take the place of these: in "
        "`catalog.toml` of FTCTL_HOME, or in the file that the setting `catalog` names. A row says "
        "what it is about, `as_of`, `source` and what differs; `ftctl catalog diff` shows it.",
        f"```toml\n{EXAMPLE}```",
        *(provider(row) for row in load_shipped().providers),
    ]
    return "\n\n".join(parts) + "\n"


def provider(row: Provider) -> str:
    """One provider: its phases in order, and what is left afterwards."""
    lines = [f"## {row.title} (`{row.name}`)", "", "| from | jobs | as of | source |"]
    lines += ["|---|---|---|---|"]
    lines += [
        f"| {starts(phase)} | {cell(phase.says)} | {phase.as_of} | {cell(phase.source)} |"
        for phase in row.phases
    ]
    weights = "come home" if row.weights_returned else "stay with the vendor"
    lines += ["", f"Methods: {', '.join(row.methods) or 'none'}. Weights {weights}."]
    lines += [f"Takes {limits(row)} (as of {row.as_of}: {row.source})."]
    lines += [
        f"Residency: {row.residency.says} (as of {row.residency.as_of}: {row.residency.source})."
    ]
    lines += [f"Answers: {row.serving.kind}. {served(row)}"]
    lines += [f"Afterwards: {row.after_closing}."] if row.after_closing else []
    lines += [f"Way out: {row.way_out}."]
    return "\n".join([*lines, *tuned_bases(row), *prices(row)])


def served(row: Provider) -> str:
    """Where a tuned model answers and what that costs."""
    serving = row.serving
    hour = f"{serving.usd_per_gpu_hour:g} USD an hour; " if serving.usd_per_gpu_hour else ""
    return f"{hour}{serving.note} (as of {serving.as_of}: {serving.source})."


def tuned_bases(row: Provider) -> Iterator[str]:
    """The models that it has tuned, as a table."""
    pairs = [(model.name, t) for model in load_shipped().models for t in model.tunable]
    found = [(name, tunable) for name, tunable in pairs if tunable.provider == row.name]
    if found:
        yield from ("", "| base | tuned by | as of | source |", "|---|---|---|---|")
    for name, tunable in found:
        yield f"| {name} | {base_says(tunable)} | {tunable.as_of} | {cell(tunable.source)} |"


def prices(row: Provider) -> Iterator[str]:
    """What training costs there, as a table."""
    found = provider_prices(load_shipped(), row)
    if found:
        yield from ("", "| for | price | as of | source |", "|---|---|---|---|")
    for what, says, fact in found:
        yield f"| {what} | {says} | {fact.as_of}, {fact.confidence} | {cell(fact.source)} |"


def starts(phase: Phase) -> str:
    """The day a phase began, marked where that day is less sure than the rest."""
    day = str(phase.starts or "ever since")
    return f"{day} ({phase.starts_confidence})" if phase.starts_confidence else day


def limits(row: Provider) -> str:
    """How much data a job may have."""
    most = f" to {row.max_rows:,}" if row.max_rows else " or more"
    size = f", files up to {row.max_file_mb:,.0f} MB" if row.max_file_mb else ""
    return f"{row.min_rows}{most} examples{size}"


def data_rules() -> str:
    """Every rule of `data check`: what it finds, who minds, where that is written."""
    parts = [
        "# Data rules",
        "Written by `make docs` from the table that `ftctl data check` applies; `ftctl data rules` "
        "prints it for the providers and the method that you name.",
        "One letter a provider: E error, W warning, ? warning without a text of that provider's "
        "that says so, - fine or not applicable. OpenAI has a column each for SFT, DPO and RFT, "
        "Mistral one for each generation of its tokenizer: `--for mistral` means the strictest "
        "that is still met, `--for mistral-v7` that one. The columns of Gemini and Bedrock (Nova) "
        "mean the file after conversion. `data check --fix` mends what is marked *.",
        "\n".join(
            [
                "| column | source |",
                "|---|---|",
                *(f"| {k} | {cell(v)} |" for k, v in SOURCES.items()),
            ]
        ),
    ]
    for title, rows in SECTIONS.items():
        head = ["rule", "finds", "limit", *COLUMN_HEADS.split(), "to mend it", "source, as of"]
        lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        lines += [data_rule(key, row) for key, row in rows.items()]
        parts += [f"## {title}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def data_rule(key: str, rule: Rule) -> str:
    """One rule as a row of a table."""
    name, _, variant = key.partition("/")
    shown = f"`{name}`" + (f" ({variant})" if variant else "") + (" *" if rule.certain else "")
    source = f"{rule.source or 'as the columns'}, {rule.as_of}"
    letters = rule.letters.values()
    cells = [shown, rule.checks, rule.limit, *letters, rule.hint, source]
    return f"| {' | '.join(cell(text) for text in cells)} |"


def cell(text: str) -> str:
    """Text that doesn't end its table cell."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    main()
