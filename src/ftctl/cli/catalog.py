"""`ftctl catalog`: whether the facts hold, which are old, and what differs."""

from datetime import UTC, date, datetime

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.errors import UsageError

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group("catalog", short_help="Whether facts and prices hold, which are old, what differs.")
def command() -> None:
    """Whether facts and prices hold, which are old, what differs.

    Rows of your own, such as a quote or a negotiated price, stand in `catalog.toml` of FTCTL_HOME
    or in the file that the setting `catalog` names, and take the place of the shipped ones.
    """


@make_command("lint", short_help="Check every row; warn where other price lists differ.")
@click.option("--as-of", type=_DAY, help="The day on which it is checked.")
def lint(out: Output, as_of: datetime | None) -> None:
    """Check every row, and compare with genai-prices and, where installed, LiteLLM's price file.

    Exits 1 when a row is wrong; where others differ is only a warning.

    Example: ftctl catalog lint
    """
    from ftctl.catalog.lint import lint as find
    from ftctl.catalog.load import load_catalog

    day = _day(as_of)
    findings = find(load_catalog(), day)
    errors = sum(finding.severity == "error" for finding in findings)
    if out.json:
        out.document(
            {
                "schema": "ftctl.catalog-lint/1",
                "as_of": str(day),
                "errors": errors,
                "warnings": len(findings) - errors,
                "findings": [finding._asdict() for finding in findings],
            }
        )
    else:
        if findings:
            out.table(("severity", "where", "what"), findings)
        out.line(f"{errors} errors, {len(findings) - errors} warnings")
    raise click.exceptions.Exit(1 if errors else 0)


@make_command("stale", short_help="Facts checked more than 90 days before a day.")
@click.option("--as-of", type=_DAY, help="The day from which 90 days are counted back.")
def stale(out: Output, as_of: datetime | None) -> None:
    """List facts that were checked more than 90 days before, the oldest first.

    Exits 1 when there are any.

    Example: ftctl catalog stale --as-of 2026-11-24
    """
    from ftctl.catalog.lint import iter_facts
    from ftctl.catalog.load import load_catalog
    from ftctl.catalog.load import stale as is_stale

    day = _day(as_of)
    facts = list(iter_facts(load_catalog()))
    old = sorted(
        ((where, fact) for where, fact in facts if is_stale(fact.as_of, day)),
        key=lambda pair: pair[1].as_of,
    )
    if out.json:
        rows = [
            {
                "where": where,
                "as_of": str(fact.as_of),
                "days": (day - fact.as_of).days,
                "source": fact.source,
                "confidence": fact.confidence,
            }
            for where, fact in old
        ]
        out.document({"schema": "ftctl.catalog-stale/1", "as_of": str(day), "facts": rows})
    else:
        table = [(where, fact.as_of, (day - fact.as_of).days, fact.source) for where, fact in old]
        if table:
            out.table(("fact", "checked", "days ago", "source"), table, title=f"on {day}")
        out.line(f"{len(old)} of {len(facts)} facts are older than 90 days on {day}")
    raise click.exceptions.Exit(1 if old else 0)


@make_command("diff", short_help="Your rows against the shipped ones, or one day against another.")
@click.option("--from", "first", type=_DAY, help="One day; the other is --to, or today.")
@click.option("--to", "last", type=_DAY, help="The other day.")
def diff(out: Output, first: datetime | None, last: datetime | None) -> None:
    """Show where your own rows differ from the shipped ones; with --from, what days change.

    Example: ftctl catalog diff --from 2026-11-24 --to 2027-01-15
    """
    from ftctl.catalog.changes import changes_between, changes_of_user
    from ftctl.catalog.load import load_catalog, load_shipped

    if first is None and last is not None:
        raise UsageError("--to needs --from", hint="ftctl catalog diff --from DAY --to DAY")
    if first is None:
        names, changes = ("shipped", "yours"), changes_of_user(load_shipped(), load_catalog())
    else:
        days = (first.date(), _day(last))
        names = (str(days[0]), str(days[1]))
        changes = changes_between(load_catalog(), *days)
    if out.json:
        rows = [change._asdict() for change in changes]
        document = {"schema": "ftctl.catalog-diff/1", "before": names[0], "after": names[1]}
        out.document(document | {"changes": rows})
        return
    if changes:
        out.table(("what", *names), changes)
    else:
        out.line("no difference")


def _day(given: datetime | None) -> date:
    return given.date() if given else datetime.now(UTC).date()


command.add_command(lint)
command.add_command(stale)
command.add_command(diff)
