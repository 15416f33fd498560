"""`ftctl providers`: who takes fine-tuning jobs, from whom, until when."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import click

from ftctl.cli import options
from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output

if TYPE_CHECKING:
    from ftctl.catalog.load import Catalog
    from ftctl.catalog.types import Fact, Phase, Provider, Tunable
    from ftctl.policy import Availability


@make_command(
    "providers", short_help="Who takes fine-tuning jobs, until when, with source and date."
)
@click.argument("name", required=False)
@options.as_of
def command(out: Output, name: str | None, as_of: datetime | None) -> None:
    """List the places that fine-tune, or one of them whole.

    Facts checked more than 90 days before that day are marked as old.

    Example: ftctl providers openai --as-of 2027-01-06
    """
    from ftctl.catalog.load import load_catalog
    from ftctl.policy import availability

    day = as_of.date() if as_of else datetime.now(UTC).date()
    catalog = load_catalog()
    rows = [catalog.get_provider(name)] if name else list(catalog.providers)
    found = [(row, availability(row.name, as_of=day, catalog=catalog)) for row in rows]
    if out.json:
        providers = [_document(catalog, row, state, day) for row, state in found]
        out.document({"schema": "ftctl.providers/1", "as_of": str(day), "providers": providers})
    elif name:
        _show_one(out, catalog, *found[0], day)
    else:
        columns = ["provider", "jobs", "next change", "weights", "served", "source", "checked"]
        out.table(columns, [_row(row, state, day) for row, state in found], title=f"on {day}")
        out.line("`ftctl providers NAME` says why, with sources.")


def checked(fact: "Fact | Availability", day: date) -> str:
    """When a fact was checked, whether that is long ago, and how sure it is."""
    from ftctl.catalog.load import stale

    return f"{fact.as_of}{' (old)' if stale(fact.as_of, day) else ''}, {fact.confidence}"


def starts(fact: "Phase | Tunable") -> str:
    """The day from which it holds, marked where that day is less sure than the rest."""
    day = str(fact.starts or "the beginning")
    return f"{day} ({fact.starts_confidence})" if fact.starts_confidence else day


def _row(row: "Provider", state: "Availability", day: date) -> list[str]:
    return [
        row.name,
        state.status,
        str(state.closes_on or ""),
        "yes" if row.weights_returned else "no",
        row.serving.kind,
        state.source,
        checked(state, day),
    ]


def _show_one(
    out: Output, catalog: "Catalog", row: "Provider", state: "Availability", day: date
) -> None:
    serving = row.serving
    price = f", {serving.usd_per_gpu_hour:g} USD an hour" if serving.usd_per_gpu_hour else ""
    terms = row.outputs_trainable
    out.plain(f"{row.title} ({row.name}) on {day}: {state.status}. {state.reason}")
    parts: list[tuple[str, str, Fact]] = [
        (f"from {starts(p)}: {p.who}", p.says, p) for p in row.phases
    ]
    parts += [
        ("served", f"{serving.kind}{price}. {serving.note}", serving),
        ("where rows go", row.residency.says, row.residency),
        ("limits", f"{', '.join(row.methods) or 'nothing'}; {_limits(row)}", row),
        ("afterwards", row.after_closing or "unknown", row),
        *([("answers may train", f"{terms.trainable}: {terms.says}", terms)] if terms else []),
        *((f"base {name}", base_says(t), t) for name, t in bases(catalog, row, day)),
        *provider_prices(catalog, row),
    ]
    table = [[what, says, fact.source, checked(fact, day)] for what, says, fact in parts]
    out.table(["what", "says", "source", "checked"], table)
    out.plain(f"way out: {row.way_out}")


def bases(catalog: "Catalog", row: "Provider", day: date) -> "list[tuple[str, Tunable]]":
    """The models that it tunes on a day, and each one's fact."""
    pairs = [(model.name, tunable) for model in catalog.models for tunable in model.tunable]
    return [(name, t) for name, t in pairs if t.provider == row.name and t.open_on(day)]


def base_says(tunable: "Tunable") -> str:
    """How a base can be tuned, until when, and how long the result answers."""
    until = f", until {tunable.until}" if tunable.until else ""
    serves = f", answers until {tunable.serves_until}" if tunable.serves_until else ""
    only = ", existing customers only" if tunable.existing_only else ""
    return f"{', '.join(tunable.methods)}{only}{until}{serves}"


def _limits(row: "Provider") -> str:
    most = f" to {row.max_rows:,}" if row.max_rows else " or more"
    size = f", files up to {row.max_file_mb:,.0f} MB" if row.max_file_mb else ""
    return f"{row.min_rows}{most} examples{size}"


def provider_prices(catalog: "Catalog", row: "Provider") -> "list[tuple[str, str, Fact]]":
    """What it bills for training, besides serving."""
    parts: list[tuple[str, str, Fact]] = []
    for price in (price for price in catalog.training if price.provider == row.name):
        size = f"up to {(price.max_parameters or 0) / 1e9:,.0f}B"
        of = f"{price.method}, {price.tuning}: {price.model or size}"
        parts.append((of, f"{price.usd:g} USD per million trained tokens", price))
    for fee in (fee for fee in catalog.fees if fee.provider == row.name):
        what = {"minimum": "a job", "storage": "a model and month", "training_hour": "an hour"}
        low = "" if fee.low_usd is None else f"{fee.low_usd:g} to "
        parts.append((fee.kind.replace("_", " "), f"{low}{fee.usd:g} USD {what[fee.kind]}", fee))
    parts += [
        (f"machine {machine.name}", f"{machine.usd_per_hour:g} USD an hour", machine)
        for machine in catalog.hardware
        if machine.provider == row.name
    ]
    return parts


def _document(
    catalog: "Catalog", row: "Provider", state: "Availability", day: date
) -> dict[str, Any]:
    from ftctl.catalog.load import stale

    def rows(section: str) -> list[dict[str, Any]]:
        found = [fact for fact in getattr(catalog, section) if fact.provider == row.name]
        return [fact.model_dump(mode="json") | {"old": stale(fact.as_of, day)} for fact in found]

    return {
        **row.model_dump(mode="json"),
        "availability": state.model_dump(mode="json"),
        "old": stale(row.as_of, day) or stale(state.as_of, day),
        "bases": [
            {"model": name, **tunable.model_dump(mode="json"), "old": stale(tunable.as_of, day)}
            for name, tunable in bases(catalog, row, day)
        ],
        "training_prices": rows("training"),
        "fees": rows("fees"),
        "hardware": rows("hardware"),
    }
