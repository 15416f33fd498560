"""`ftctl models`: base models, where they can be tuned, until when, at what price."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftctl.cli import options
from ftctl.cli.kept_models import COMMANDS, ModelsGroup, show_kept
from ftctl.cli.options import command as make_command
from ftctl.cli.providers import checked, starts
from ftctl.cli.render import Output
from ftctl.errors import UsageError

if TYPE_CHECKING:
    from ftctl.catalog.load import Catalog
    from ftctl.catalog.types import Fact, InferencePrice, Model, Tunable


@make_command(
    "models",
    short_help="Base models, where they can be tuned, until when, at what price.",
    cls=ModelsGroup,
    invoke_without_command=True,
)
@click.argument("name", required=False)
@click.option("--mine", is_flag=True, help="The models your jobs made, and how long each answers.")
@click.option("--provider", help="With --mine: ask this vendor for all that it keeps of yours.")
@click.option("--base-url", metavar="URL", help="Where that is, if not at the vendor.")
@options.as_of
def command(
    out: Output,
    name: str | None,
    *,
    mine: bool,
    provider: str | None,
    base_url: str | None,
    as_of: datetime | None,
) -> None:
    """List base models, or one of them with every price and date that is known.

    Where the catalog has no price, genai-prices and LiteLLM's price file are asked. Facts checked
    more than 90 days before that day are marked as old. With `--mine` the models that your jobs
    made, those that stop answering first on top; no vendor is asked for them but one that
    `--provider` names: for every tuned model that it keeps of this account.

    Example: ftctl models smollm2-135m-instruct
    """
    from ftctl.catalog.load import load_catalog

    if click.get_current_context().invoked_subcommand is not None:
        return
    day = as_of.date() if as_of else datetime.now(UTC).date()
    if (provider and not mine) or (base_url and not provider):
        raise UsageError("--provider says whose models --mine lists", hint="ftctl models --mine")
    if mine:
        if name is not None:
            raise UsageError(
                "--mine lists all of them; a name is of another list", hint="ftctl jobs"
            )
        if provider is None:
            _show_mine(out, day)
        else:
            show_kept(out, provider, base_url)
        return
    catalog = load_catalog()
    rows = [catalog.get_model(name)] if name else list(catalog.models)
    if out.json:
        models = [_document(catalog, row, day) for row in rows]
        out.document({"schema": "ftctl.models/1", "as_of": str(day), "models": models})
        return
    columns = ["model", "size", "tuned at", "until", "USD/M in, out", "source", "checked"]
    out.table(columns, [_row(catalog, row, day) for row in rows], title=f"on {day}")
    for row in rows if name else []:
        _show_one(out, catalog, row, day)


for _verb in COMMANDS:
    command.add_command(_verb)  # type: ignore[attr-defined]  # it is a click.Group


def _show_mine(out: Output, day: date) -> None:
    from ftctl.api.tuned_models import my_models

    models = my_models(as_of=day)
    if out.json:
        rows = [model.model_dump(mode="json") for model in models]
        out.document({"schema": "ftctl.my-models/1", "as_of": str(day), "models": rows})
        return
    if not models:
        out.plain("no job has made a model yet; ftctl submit --help shows how to begin")
        return
    out.table(
        ("model", "base", "provider", "how long it answers", "job"),
        [(m.name, Path(m.base_model).name, m.provider, m.lifetime, m.job) for m in models],
        title=f"on {day}",
        whole=("job",),
    )
    for needed in dict.fromkeys(model.needed for model in models if model.needed):
        out.note(needed)
    for model in models:
        if model.ends_soon:
            left = model.days_left or 0
            when = f"stops answering in {left} days" if left > 0 else "has stopped answering"
            out.note(f"{model.name} {when}; ftctl migrate {model.job} --to local moves it")


def tuned_at(catalog: "Catalog", model: "Model", day: date) -> list[str]:
    """The providers that take jobs on this base on that day, at least from some customers."""
    from ftctl.policy import availability

    if not model.alive(day) and not model.open_weights:
        return []
    return [
        row.provider
        for row in model.tunable
        if row.open_on(day)
        and availability(row.provider, as_of=day, catalog=catalog).status != "closed"
    ]


def _row(catalog: "Catalog", model: "Model", day: date) -> list[str]:
    from ftctl.catalog.load import stale
    from ftctl.catalog.market import find_price

    price = find_price(catalog, model, day=day)
    mark = " (old)" if price and stale(price.as_of, day) else ""
    mine = " (user)" if price and price.confidence == "user" else ""
    until = f"{model.shutdown}{'' if model.alive(day) else ' (gone)'}" if model.shutdown else ""
    if model.available_from is not None and day < model.available_from:
        until = f"from {model.available_from}"
    return [
        model.name,
        _size(model.parameters),
        ", ".join(tuned_at(catalog, model, day)) or "nowhere",
        until,
        f"{price.input_usd:g}, {price.output_usd:g}{mark}{mine}" if price else "",
        model.source,
        checked(model, day),
    ]


def _size(parameters: int | None) -> str:
    if parameters is None:
        return ""
    return f"{parameters / 1e9:.3g}B" if parameters >= 1e9 else f"{parameters / 1e6:.4g}M"


def _show_one(out: Output, catalog: "Catalog", model: "Model", day: date) -> None:
    """Licence, and every place with its dates and prices, each with source and day."""
    from ftctl.catalog.litellm import find_retirement

    out.plain(f"licence: {model.licence}; {model.hub_id or 'weights not published'}")
    rows = [
        (f"tuned at {place.provider}", _dates(place), place.source, checked(place, day))
        for place in model.tunable
    ]
    for price in _known_prices(catalog, model, day):
        what = f"{'tuned' if price.tuned else 'prompted'} at {price.provider}"
        cached = f"{price.input_usd:g} in, {price.cached_usd:g} cached, {price.output_usd:g} out"
        rows.append((what, f"{cached} USD/M", price.source, checked(price, day)))
    for place in model.tunable:
        for method in place.methods:
            row = catalog.find_training_price(place.provider, model, method)
            if row is not None:
                what = f"{method} at {place.provider}"
                rows.append((what, f"{row.usd:g} USD/M", row.source, checked(row, day)))
    terms = model.outputs_trainable
    if terms is not None:
        said = f"{terms.trainable}: {terms.says}"
        rows.append(("answers may train", said, terms.source, checked(terms, day)))
    gone = find_retirement(model)
    if gone is not None and gone.day != model.shutdown:
        rows.append(("shuts down, others say", str(gone.day), gone.source, checked(gone, day)))
    out.table(("what", "says", "source", "checked"), rows)


def _dates(place: "Tunable") -> str:
    parts = [
        ", ".join(place.methods),
        f"from {starts(place)}" if place.starts else "",
        f"until {place.until}" if place.until else "",
        f"answers until {place.serves_until}" if place.serves_until else "",
        f"examples up to {place.max_example_tokens:,} tokens" if place.max_example_tokens else "",
        "existing customers only" if place.existing_only else "",
    ]
    return "; ".join(filter(None, parts))


def _known_prices(catalog: "Catalog", model: "Model", day: date) -> "list[InferencePrice]":
    """Our prices and the user's; where there are none, what others say."""
    from ftctl.catalog.market import find_price

    own = [row for row in catalog.inference if row.model == model.name]
    others = [
        find_price(catalog, model, day=day, tuned=tuned)
        for tuned in (False, True)
        if not any(row.tuned == tuned for row in own)
    ]
    return own + [price for price in others if price is not None]


def _document(catalog: "Catalog", model: "Model", day: date) -> dict[str, Any]:
    from ftctl.catalog.load import stale

    prices = _known_prices(catalog, model, day)
    training = [
        row
        for place in model.tunable
        for method in place.methods
        if (row := catalog.find_training_price(place.provider, model, method)) is not None
    ]

    def dated(fact: "Fact") -> dict[str, Any]:
        return fact.model_dump(mode="json") | {"old": stale(fact.as_of, day)}

    return {
        **model.model_dump(mode="json"),
        "alive": model.alive(day),
        "tuned_at": tuned_at(catalog, model, day),
        "old": stale(model.as_of, day),
        "inference_prices": [dated(row) for row in prices],
        "training_prices": [dated(row) for row in training],
    }
