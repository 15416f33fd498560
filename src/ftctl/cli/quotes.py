"""How a quote is shown: line by line, and what each rests on, with origin, source and day."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from ftctl.catalog.load import stale
from ftctl.cli.render import Output, duration

if TYPE_CHECKING:
    from ftctl.estimation.estimate import Assumption, Estimate
    from ftctl.estimation.lines import QuoteLine
    from ftctl.estimation.quote import Quote


def show_quote(out: Output, quoted: "Quote", day: date) -> None:
    """Two tables for a person: what is billed, and what that and the time were computed from."""
    show_lines(out, quoted.lines, (quoted.time,), day)


def show_lines(
    out: Output,
    lines: "Sequence[QuoteLine]",
    beside: "Sequence[Estimate | None]",
    day: date,
) -> None:
    """What is billed, and what that and the estimates beside it were computed from."""
    billed = [(line.name, spread(line.amount), line.says) for line in lines]
    out.table(("billed", "low – likely – high", "for"), billed, title="quote")
    amounts = [amount for amount in (*(line.amount for line in lines), *beside) if amount]
    basis = dict.fromkeys(assumption for amount in amounts for assumption in amount.basis)
    rows = [(a.name, a.value, a.origin, a.source, checked_on(a, day)) for a in basis]
    if rows:
        out.table(("computed from", "value", "origin", "source", "checked"), rows)


def checked_on(assumption: "Assumption", day: date) -> str:
    """The day on which a value was checked, marked where that is long ago."""
    if assumption.as_of is None:
        return ""
    return f"{assumption.as_of}{' (old)' if stale(assumption.as_of, day) else ''}"


def spread(amount: "Estimate | None") -> str:
    """Low, likely and high as a person reads them; what isn't known says so."""
    if amount is None:
        return "unknown"
    ends = [_number(value, amount.unit) for value in (amount.low, amount.likely, amount.high)]
    shown = " – ".join(dict.fromkeys(ends))
    return shown if amount.unit == "s" else f"{shown} {amount.unit}"


def _number(value: float, unit: str) -> str:
    if unit == "s":
        return duration(value)
    if unit == "tokens":
        return f"{value:,.0f}"
    return f"{value:,.2f}" if value == 0 or value >= 0.01 else f"{value:.2g}"
