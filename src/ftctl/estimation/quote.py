"""What one submission costs and how long it takes, said before it is sent."""

import math
from datetime import UTC, date, datetime

from pydantic import BaseModel, ConfigDict

from ftctl.catalog.load import Catalog, load_catalog
from ftctl.catalog.types import Model, Provider
from ftctl.estimation.estimate import Assumption, Estimate
from ftctl.estimation.lines import QuoteLine, fee_line, find_fee, use_lines
from ftctl.estimation.money import training_usd
from ftctl.estimation.rented import cheapest_rental
from ftctl.estimation.speed import cpu_training_s
from ftctl.job import Hyperparameters, JobSpec, Method, Tuning
from ftctl.policy import is_gateway

_OTHER = 0.1  # another tokenizer than the one that counted may differ by a tenth


class Quote(BaseModel):
    """Money (USD), time (s) and trained tokens of one job; None is unknown, which isn't zero.

    `cost` is the job's own bill; `lines` say what it is made of, and what the result costs
    afterwards a month. `memory` is the peak of a run on this machine in GiB.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cost: Estimate | None
    time: Estimate | None
    trained_tokens: Estimate
    lines: tuple[QuoteLine, ...] = ()
    memory: Estimate | None = None


def quote(  # noqa: PLR0913 - each is one thing that a caller may know of the job
    provider: str,
    model: str,
    *,
    rows: int,
    tokens: int,
    epochs: float | None = None,
    method: Method = "sft",
    tuning: Tuning = "lora",
    base_url: str | None = None,
    as_of: date | None = None,
    catalog: Catalog | None = None,
    counted: bool = True,
    exact: bool = False,
    machine: str | None = None,
    pace: Estimate | None = None,
) -> Quote:
    """What training on so many rows costs at a provider, how long it takes, and what follows.

    Args:
        provider: A name or alias of the catalog; another one's price is unknown.
        model: A name of the catalog; for another one the price and the time are unknown.
        rows: Training examples.
        tokens: Tokens in the training file.
        epochs: Passes over the file; the provider's own choice, as a range, when left out.
        method: How it is tuned; vendors bill some methods at another rate.
        tuning: An adapter, or all weights.
        base_url: Where requests would go; the vendor's prices aren't a gateway's.
        as_of: The day on which a price checked more than 90 days before is old; today when left
            out.
        catalog: Facts to ask; the shipped ones and the user's when left out.
        counted: Whether the tokens were counted in a file; else they are the caller's word.
        exact: Whether they were counted with the model's own tokenizer.
        machine: The rented machine that was chosen, by its name; the cheapest one when left out.
        pace: Seconds a token on one's own machine; two cores' by the catalog when left out.
    """
    catalog = catalog or load_catalog()
    day = as_of or datetime.now(UTC).date()
    vendor = catalog.find_provider(provider)
    there = _tokens_there(tokens, counted=counted, exact=exact)
    trained = _trained_tokens(vendor, rows, tokens, epochs, there, 0.0 if exact else _OTHER)
    if vendor is None or is_gateway(vendor, base_url):
        says = f"no price of {base_url or provider} is known"
        unknown = QuoteLine(name="training", amount=None, says=says)
        return Quote(cost=None, time=None, trained_tokens=trained, lines=(unknown,))
    base = catalog.find_model(model)
    if vendor.name == "local":
        looks = _looks_of_pairs(trained, tokens) if method == "dpo" else trained
        training, time = _at_home(vendor, base, looks, pace)
    else:
        training, time = _at_vendor(catalog, vendor, base, trained, (method, tuning, machine), day)
    minimum = fee_line(catalog, vendor, "minimum", day)
    lines = [training, *([minimum] if minimum else []), *use_lines(catalog, vendor, base, day)]
    cost = _at_least(training.amount, minimum.amount if minimum else None)
    return Quote(cost=cost, time=time, trained_tokens=trained, lines=tuple(lines))


def billed_usd(spec: JobSpec, trained_tokens: float) -> float | None:
    """What an ended job cost by the vendor's own count of tokens; None where nothing is known.

    On your own machine it is nobody's bill, whatever was trained.

    Args:
        spec: The job.
        trained_tokens: As the vendor reports them: tokens of the file times epochs.
    """
    catalog = load_catalog()
    vendor, base = catalog.find_provider(spec.provider), catalog.find_model(spec.model)
    if vendor is not None and vendor.name == "local":
        return 0.0
    if vendor is None or base is None or is_gateway(vendor, spec.base_url):
        return None
    price = catalog.find_training_price(vendor.name, base, spec.method, spec.tuning)
    minimum = find_fee(catalog, vendor, "minimum")
    if price is None:
        return None
    return max(price.usd * trained_tokens / 1e6, minimum.usd if minimum else 0.0)


def _looks_of_pairs(trained: Estimate, tokens: int) -> Estimate:
    """Tokens that DPO at home takes 4N FLOPs for.

    The prompt goes through the model with either answer, so a row counts once (all answers) to
    twice (all prompt); and the reference looks at each token once, before training and forward
    only, which is half as much.
    """
    said = Assumption.prior(
        "tokens of both sequences", "1 to 2 times the row's", "prompts aren't counted apart"
    )
    return Estimate(
        low=trained.low + tokens / 2,
        likely=1.5 * (trained.likely + tokens / 2),
        high=2 * (trained.high + tokens / 2),
        unit=trained.unit,
        basis=(*trained.basis, said),
    )


def _at_home(
    vendor: Provider, base: Model | None, trained: Estimate, pace: Estimate | None
) -> tuple[QuoteLine, Estimate | None]:
    free = Assumption.from_fact("vendor's bill", "none: your own machine", vendor)
    bill = Estimate.exact(0.0, "USD", free)
    seconds = pace or (cpu_training_s(base, 1.0) if base else None)
    line = QuoteLine(name="training", amount=bill, says="your own machine: nobody's bill")
    return line, _product(trained, seconds) if seconds else None


def _at_vendor(
    catalog: Catalog,
    vendor: Provider,
    base: Model | None,
    trained: Estimate,
    how: tuple[Method, Tuning, str | None],
    day: date,
) -> tuple[QuoteLine, Estimate | None]:
    """Training billed by the token, by the hour of a machine, or why its price is unknown."""
    method, tuning, machine = how
    price = catalog.find_training_price(vendor.name, base, method, tuning) if base else None
    if price is not None:
        amount = training_usd(price, trained, day)
        says = f"{price.usd:g} USD per million trained tokens"
        return QuoteLine(name="training", amount=amount, says=says), None
    if base is not None and method != "rft" and tuning != "full":
        # The reference of DPO looks at each token once more, forward only.
        looks = trained.scaled(1.5) if method == "dpo" else trained
        rental = cheapest_rental(catalog, vendor.name, base, looks, day, machine=machine)
        if rental is not None:
            says = f"{rental.machine.name} at {rental.machine.usd_per_hour:g} USD an hour"
            return QuoteLine(name="training", amount=rental.cost, says=says), rental.time
    says = f"no price of {vendor.title} for {method} of this model was found"
    hour = find_fee(catalog, vendor, "training_hour", method)
    if hour is not None:
        says = (
            f"{hour.usd:g} USD per hour of {method}, of how many isn't known before "
            f"({hour.source}, checked {hour.as_of})"
        )
    return QuoteLine(name="training", amount=None, says=says), None


def _at_least(bill: Estimate | None, minimum: Estimate | None) -> Estimate | None:
    if bill is None or minimum is None:
        return bill
    return Estimate(
        low=max(bill.low, minimum.low),
        likely=max(bill.likely, minimum.likely),
        high=max(bill.high, minimum.high),
        unit=bill.unit,
        basis=(*bill.basis, *minimum.basis),
    )


def epochs_asked(settings: Hyperparameters, rows: int) -> float | None:
    """Passes over so many rows that the settings ask for; None leaves them to the provider."""
    if settings.max_steps is not None and rows:
        return settings.max_steps * (settings.batch_size or 16) / rows
    return settings.epochs


def openai_epochs(rows: int) -> int:
    """Epochs that OpenAI chooses when none are named.

    Source: rule of its cookbook, not re-read; one observed job agrees (10 rows, 10 epochs).
    """
    if rows * 3 < 100:
        return min(25, max(1, 100 // max(rows, 1)))
    if rows * 3 > 25_000:
        return max(1, 25_000 // rows)
    return 3


def _tokens_there(tokens: int, *, counted: bool, exact: bool) -> Assumption:
    if not counted:
        return Assumption.from_user("tokens in the file", f"{tokens:,}")
    source = "data, by the model's own tokenizer" if exact else "data"
    return Assumption(
        name="tokens in the file", value=f"{tokens:,}", origin="measured", as_of=None, source=source
    )


def _trained_tokens(
    vendor: Provider | None,
    rows: int,
    tokens: int,
    epochs: float | None,
    there: Assumption,
    spread: float,
) -> Estimate:
    if epochs is not None:
        said = Assumption.from_user("epochs", f"{epochs:g}")
        drawn = _spread_of_a_draw(rows, epochs)
        low, likely, high = epochs - drawn, epochs, epochs + drawn
    elif vendor is not None and vendor.default_epochs is not None:
        low = likely = high = float(vendor.default_epochs)
        said = Assumption.from_fact("epochs", f"{likely:g}, {vendor.title}'s own choice", vendor)
    elif vendor is not None and vendor.name == "openai":
        likely = openai_epochs(rows)
        low, high = min(likely, 3), max(likely, 3) + 1
        said = Assumption.prior("epochs", f"{low:g} to {high:g}", "OpenAI's rule, not re-read")
    else:
        low, likely, high = 1.0, 3.0, 4.0
        said = Assumption.prior("epochs", "1 to 4", "vendors' defaults run from 1 to 3")
    return Estimate(
        low=(1 - spread) * tokens * low,
        likely=tokens * likely,
        high=(1 + spread) * tokens * high,
        unit="tokens",
        basis=(there, said),
    )


def _spread_of_a_draw(rows: int, epochs: float) -> float:
    """How far tokens may stray, in epochs, where only some examples are taken once more.

    Which ones is chance: eight of ten means of n of them lie within 1.28 s / sqrt(n), with s half
    of the mean length (a prior; chat examples are seldom more uneven).
    """
    part = epochs % 1
    return part * min(1.0, 1.28 * 0.5 / math.sqrt(part * rows)) if part * rows > 0 else 0.0


def _product(tokens: Estimate, seconds_per_token: Estimate) -> Estimate:
    return Estimate(
        low=tokens.low * seconds_per_token.low,
        likely=tokens.likely * seconds_per_token.likely,
        high=tokens.high * seconds_per_token.high,
        unit="s",
        basis=(*tokens.basis, *seconds_per_token.basis),
    )
