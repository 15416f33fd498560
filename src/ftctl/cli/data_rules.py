"""`ftctl data rules`: the table of rules."""

from typing import TYPE_CHECKING

import click

from ftctl.cli.options import METHODS
from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output

if TYPE_CHECKING:
    from ftctl.datasets.rules.listing import ListedRule


@make_command("rules", short_help="Every rule, with limit, severity, source and date.")
@click.option("--for", "providers", metavar="P[,P]", help="Whose rules; everybody's if not.")
@click.option("--method", type=click.Choice(METHODS), help="All when not given.")
def rules_command(out: Output, *, providers: str | None, method: str | None) -> None:
    """Print the rules that `data check` applies: what each finds, who minds, how to mend it.

    Severities are error, warning, or unverified: a warning without a text of that provider's.
    Rules marked with * are mended by `data check --fix`.

    Example: ftctl data rules --for together,mistral-v7 --method sft
    """
    from ftctl.datasets.rules.listing import rules_for
    from ftctl.datasets.rules.table import providers_named

    names = providers_named(providers or "all")
    found = rules_for(names, method)
    if out.json:
        out.document(found)
        return
    columns = ("Rule", "What it finds", "Limit", "Who minds", "How to mend it", "Source")
    for section in dict.fromkeys(rule.section for rule in found.rules):
        rows = [_row(rule, len(names)) for rule in found.rules if rule.section == section]
        out.table(columns, rows, section)
    for name, source in found.sources.items():
        out.line(f"{name}: {source}. As of {found.as_of}.")


def _row(rule: "ListedRule", asked: int) -> tuple[str, ...]:
    name = rule.rule + (f" ({rule.variant})" if rule.variant else "") + (" *" if rule.fixed else "")
    source = f"{rule.source}, {rule.as_of}" if rule.source else ""
    return name, rule.checks, rule.limit, _who(rule, asked), rule.hint, source


def _who(rule: "ListedRule", asked: int) -> str:
    """The providers of each severity; only the severity when it is everybody's."""
    by: dict[str, list[str]] = {}
    for provider, severity in rule.severities.items():
        by.setdefault(severity, []).append(provider)
    if len(by) == 1 and len(rule.severities) == asked:
        return next(iter(by))
    return "; ".join(f"{severity}: {', '.join(who)}" for severity, who in by.items())
