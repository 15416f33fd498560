"""`ftctl models`: base models, where they can be tuned, until when, at what price."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.providers import checked
from ftctl.cli.render import Output

if TYPE_CHECKING:
    from ftctl.catalog.load import Catalog
    from ftctl.catalog.types import Model


@make_command(
    "models", short_help="Base models, where they can be tuned, until when, at what price."
)
@click.argument("name", required=False)
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Answer for another day.")
def command(out: Output, name: str | None, as_of: datetime | None) -> None:
    """List base models, or one of them.

    Facts checked more than 90 days before that day are marked as old.

    Example: ftctl models smollm2-135m-instruct
    """
    from ftctl.catalog.load import load_catalog

    day = as_of.date() if as_of else datetime.now(UTC).date()
    catalog = load_catalog()
    rows = [catalog.get_model(name)] if name else list(catalog.models)
    if out.json:
        models = [_document(catalog, row, day) for row in rows]
        out.document({"schema": "ftctl.models/1", "as_of": str(day), "models": models})
        return
    columns = ["model", "size", "tuned at", "until", "USD/M in, out", "source", "checked"]
    out.table(columns, [_row(catalog, row, day) for row in rows], title=f"on {day}")
    for row in rows if name else []:
        out.plain(f"licence: {row.licence}; {row.hub_id or 'weights not published'}")
        for source in [f"{t.provider}: {t.source} ({checked(t, day)})" for t in row.tunable]:
            out.plain(f"tuned at {source}")


def tuned_at(catalog: "Catalog", model: "Model", day: date) -> list[str]:
    """The providers that take jobs on this base on that day, at least from some customers."""
    from ftctl.policy import availability

    if not model.alive(day) and not model.open_weights:
        return []
    return [
        row.provider
        for row in model.tunable
        if (row.until is None or day < row.until)
        and availability(row.provider, as_of=day, catalog=catalog).status != "closed"
    ]


def _row(catalog: "Catalog", model: "Model", day: date) -> list[str]:
    price = catalog.find_inference_price(model.name)
    until = f"{model.shutdown}{'' if model.alive(day) else ' (gone)'}" if model.shutdown else ""
    if model.available_from is not None and day < model.available_from:
        until = f"from {model.available_from}"
    return [
        model.name,
        _size(model.parameters),
        ", ".join(tuned_at(catalog, model, day)) or "nowhere",
        until,
        f"{price.input_usd:g}, {price.output_usd:g}" if price else "",
        model.source,
        checked(model, day),
    ]


def _size(parameters: int | None) -> str:
    if parameters is None:
        return ""
    return f"{parameters / 1e9:.3g}B" if parameters >= 1e9 else f"{parameters / 1e6:.4g}M"


def _document(catalog: "Catalog", model: "Model", day: date) -> dict[str, Any]:
    prices = [row for row in catalog.inference if row.model == model.name]
    training = [
        row
        for tunable in model.tunable
        if (row := catalog.find_training_price(tunable.provider, model)) is not None
    ]
    return {
        **model.model_dump(mode="json"),
        "alive": model.alive(day),
        "tuned_at": tuned_at(catalog, model, day),
        "inference_prices": [row.model_dump(mode="json") for row in prices],
        "training_prices": [row.model_dump(mode="json") for row in training],
    }
