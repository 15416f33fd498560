"""How a quote is shown: line by line, and what each rests on, with origin, source and day."""

from datetime import date
from typing import TYPE_CHECKING

from ftctl.catalog.load import stale
from ftctl.cli.render import Output

if TYPE_CHECKING:
    from ftctl.estimation.estimate import Assumption, Estimate
    from ftctl.estimation.quote import Quote


def show_quote(out: Output, quoted: "Quote", day: date) -> None:
    """Two tables for a person: what is billed, and what that was computed from."""
    billed = [(line.name, _range(line.amount), line.says) for line in quoted.lines]
    out.table(("billed", "low – likely – high", "for"), billed, title="quote")
    amounts = [line.amount for line in quoted.lines if line.amount is not None]
    basis = dict.fromkeys(assumption for amount in amounts for assumption in amount.basis)
    rows = [(a.name, a.value, a.origin, a.source, checked_on(a, day)) for a in basis]
    out.table(("computed from", "value", "origin", "source", "checked"), rows)


def checked_on(assumption: "Assumption", day: date) -> str:
    """The day on which a value was checked, marked where that is long ago."""
    if assumption.as_of is None:
        return ""
    return f"{assumption.as_of}{' (old)' if stale(assumption.as_of, day) else ''}"


def _range(amount: "Estimate | None") -> str:
    if amount is None:
        return "unknown"
    ends = [f"{value:,.2f}" for value in (amount.low, amount.likely, amount.high)]
    return f"{' – '.join(dict.fromkeys(ends))} {amount.unit}"
