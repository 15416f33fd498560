"""What a route costs in USD a month in every draw: one-off, standing and per request."""

from dataclasses import dataclass
from functools import cached_property
from statistics import median

import numpy as np

from ftctl.advisor.draws import DRAWS, Array, Draws
from ftctl.advisor.routes import Route, prompt_prices
from ftctl.advisor.situation import Situation
from ftctl.catalog.load import Catalog
from ftctl.catalog.types import Fact, Gpu
from ftctl.estimation.estimate import Assumption, Estimate
from ftctl.estimation.money import (
    ENGINEER_USD_PER_MONTH,
    HOURS_PER_MONTH,
    Usage,
    people_usd,
    request_usd,
    training_usd,
    widened,
)
from ftctl.estimation.speed import capacity_per_s

Share = tuple[float, float, float]

# Engineer-months once (labels, evaluation, pipeline) and engineers all along: priors, wide.
_RAG_ONCE, _RAG_PEOPLE = (0.5, 1.0, 2.0), (0.02, 0.05, 0.10)
_HOSTED_ONCE, _HOSTED_PEOPLE = (0.25, 0.75, 2.0), (0.02, 0.05, 0.10)
# Who serves models from GPUs already adds one more to what is there: the same work as at a vendor.
_OWN_ONCE, _OWN_PEOPLE = _HOSTED_ONCE, _HOSTED_PEOPLE
# And only a part of a card: 25 adapters answered from one A100 (LoRA Land, arXiv 2405.00732).
_CARD_SHARE = Estimate(low=1 / 25, likely=0.5, high=1.0, unit="cards")
# Without GPUs in production somebody must first learn to run them, day and night.
_FIRST_ONCE, _FIRST_PEOPLE = (1.0, 3.0, 6.0), (0.20, 0.45, 1.0)
# The busiest hour over the mean: how much capacity stands idle.
_PEAK_OVER_MEAN = 3.0
# USD per million tokens in and out of the dearest model that was widely used, GPT-4 of 2023
# (genai-prices 0.2.3): no prompt in use costs more.
_DEAREST_USD = (30.0, 60.0)
# The monthly cost whose value is nothing: a bit more than two engineers.
ZERO_VALUE_USD = 30_000.0
_SECONDS_PER_MONTH = HOURS_PER_MONTH * 3600


@dataclass(frozen=True)
class MonthlyCost:
    """USD a month in every draw, and what the figure rests on."""

    usd: Array
    basis: tuple[Assumption, ...]

    def interval(self) -> Estimate:
        """P10, P50 and P90."""
        low, likely, high = np.quantile(self.usd, [0.1, 0.5, 0.9]).round(2)
        return Estimate(low=low, likely=likely, high=high, unit="USD/month", basis=self.basis)


class Money:
    """Costs of routes in one set of draws.

    A further card of one's own is only added where it is cheaper than the alternatives: capacity
    beyond the first costs at most what a vendor's card or the API would for the same requests.
    """

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        self._situation = draws.situation

    def of(self, route: Route) -> MonthlyCost:
        """The whole monthly cost of a route."""
        standing, basis = self._standing(route)
        people, once, why = self._labour(route)
        work = people_usd(people, why)
        months = max(1.0, self._months(route))
        one_off = people_usd(once, why).scaled(1 / months)
        labour = Assumption.prior(
            f"people for {route.label}",
            f"{people[0]:g} to {people[2]:g} engineers, and {once[0]:g} to {once[2]:g} months of "
            f"one to begin with; {ENGINEER_USD_PER_MONTH:,.0f} USD a month each",
            why,
        )
        usd = standing + self._draws.between("people", work) + self._draws.between("once", one_off)
        retraining = self._retraining(route, once)
        training, training_basis = self._training(route)
        usd = usd + training / months
        notes = (*basis, *((labour,) if why else ()), *training_basis)
        if retraining is None:
            return MonthlyCost(usd, notes)
        usd = usd + self._draws.between("retraining", retraining)
        return MonthlyCost(usd, (*notes, *retraining.basis))

    def dearest_prompt(self) -> Array | None:
        """USD a month that no prompt in use costs more than; None where nobody told the volume."""
        situation = self._situation
        if situation.requests is None:
            return None
        dear_in, dear_out = _DEAREST_USD
        tokens_usd = situation.input_tokens * dear_in + situation.output_tokens * dear_out
        return self._draws.requests * tokens_usd / 1e6

    def _standing(self, route: Route) -> tuple[Array, tuple[Assumption, ...]]:
        if route.price is not None:
            usage = self._usage()
            per_request = request_usd(route.price, usage)
            name = f"{route.model.name} price"
            said = (
                f"{route.price.input_usd:g} in, {route.price.cached_usd:g} cached, "
                f"{route.price.output_usd:g} out USD per million tokens"
            )
            drift, aged = self._drift(name, route.price)
            basis = (Assumption.from_fact(name, said, route.price), *aged)
            if route.resold:
                why = f"no price of it at {route.provider.title} was found"
                same = Assumption.prior(f"{route.provider.name} tokens", "as at its maker", why)
                basis = (*basis, same)
            return self._draws.requests * per_request * drift, basis
        if route.hosting == "hosted_custom":
            return self._endpoint(route)
        return self._own_cards(route)

    def _own_cards(self, route: Route) -> tuple[Array, tuple[Assumption, ...]]:
        if route.gpu is None:
            return np.zeros(DRAWS), ()
        price = route.gpu.price
        hour = self._draws.between(
            "gpu_hour", Estimate(low=price.low, likely=price.likely, high=price.high, unit="USD/h")
        )
        own = self._capacity_usd(route.model.parameters, route.gpu, hour)
        more = np.minimum(own, self._dedicated_more())
        if self._situation.facts.peak_requests_per_s is None:  # a named peak must be served
            more = np.minimum(more, self._draws.requests * self._api_usd)
        said = f"{price.low:g} to {price.high:g} USD/h, likely {price.likely:g}"
        basis = Assumption.from_fact(f"{route.gpu.name} price", said, price)
        drift, aged = self._drift(f"{route.gpu.name} price", price)
        standing = hour * drift * HOURS_PER_MONTH
        if not self._situation.runs_gpus:
            return standing + more, (basis, *aged)
        why = "GPUs already serve production; 25 adapters answered from one A100"
        part = Assumption.prior("part of a card", "1/25 to a whole, likely half", why)
        shared = self._draws.between("card_share", _CARD_SHARE) * standing
        return shared + more, (basis, part, *aged)

    def _endpoint(self, route: Route) -> tuple[Array, tuple[Assumption, ...]]:
        serving = route.provider.serving
        hour = serving.usd_per_gpu_hour or 0.0
        drift, aged = self._drift(f"{route.provider.name} endpoint", serving)
        said = Assumption.from_fact(f"{route.provider.name} endpoint", f"{hour:g} USD/h", serving)
        basis = (said, *aged)
        usd = hour * drift * HOURS_PER_MONTH + self._dedicated_more()
        if serving.complete:
            return usd, basis
        name = f"{route.provider.name} tokens"
        price = self._situation.catalog.find_inference_price(route.model.name)
        if price is None:
            return usd, (*basis, Assumption.prior(name, "not counted", "no price was found"))
        usd = usd + self._draws.requests * request_usd(price, self._usage())
        why = f"as for prompting {route.model.name} at {price.provider}; no price was found"
        return usd, (*basis, Assumption.prior(name, f"{price.input_usd:g} USD per million in", why))

    def _drift(self, name: str, fact: Fact) -> tuple[Array | float, tuple[Assumption, ...]]:
        """By what a listed price may have moved: 1, or from half to twice where it is old."""
        factor = widened(Estimate.exact(1.0, "USD"), fact, self._situation.as_of)
        if not factor.basis:
            return 1.0, ()
        return self._draws.between(f"drift of {name}", factor), factor.basis

    def _dedicated_more(self) -> Array:
        """USD of capacity beyond the first card at a vendor's price: the same at every vendor."""
        catalog = self._situation.catalog
        together = catalog.get_provider("together")
        card = catalog.get_gpu(together.serving.gpu or "h100")
        hour = np.full(DRAWS, together.serving.usd_per_gpu_hour or 0.0)
        return self._capacity_usd(catalog.get_model("llama-3.1-8b-instruct").parameters, card, hour)

    def _capacity_usd(self, size: int | None, gpu: Gpu, hour: Array) -> Array:
        situation = self._situation
        estimate = capacity_per_s(
            size or 0, max(situation.fresh_tokens, 1.0), max(situation.output_tokens, 1.0), gpu
        )
        capacity = self._draws.between("capacity", estimate)
        peak = situation.facts.peak_requests_per_s
        if peak is not None:
            cards = peak / capacity
        else:
            cards = self._draws.requests * _PEAK_OVER_MEAN / (capacity * _SECONDS_PER_MONTH)
        return np.asarray(cards * hour * HOURS_PER_MONTH)

    @cached_property
    def _api_usd(self) -> float:
        """A request at the cheapest API of the day."""
        return request_usd(prompt_prices(self._situation)[0], self._usage())

    def _usage(self) -> Usage:
        situation = self._situation
        return Usage(1.0, situation.input_tokens, situation.prefix_tokens, situation.output_tokens)

    def _retraining(self, route: Route, once: Share) -> Estimate | None:
        """USD a month of doing it again on the next base, where the vendor retires its own.

        Half of what it took at first: the examples and the evaluation are there by then.
        """
        if not route.tuned or route.model.open_weights:
            return None
        low, likely, high = base_months(self._situation.catalog)
        said = f"every {low:.0f} to {high:.0f} months, likely {likely:.0f}"
        note = Assumption.prior("retraining", said, "how long bases of the catalog could be tuned")
        again = people_usd(_times(once, 0.5), "").scaled(1 / likely)
        return again.model_copy(update={"basis": (note,)})

    def _months(self, route: Route) -> float:
        left = self._situation.months
        if route.ends is not None:
            left = min(left, (route.ends - self._situation.as_of).days / 30.0)
        return left

    def _labour(self, route: Route) -> tuple[Share, Share, str]:
        """Engineers all along, engineer-months once, and why."""
        people, once, why = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), ""
        if "rag" in route.adaptation:
            people, once, why = _RAG_PEOPLE, _RAG_ONCE, "an index to build and keep"
        if route.hosting == "own":
            first = not self._situation.runs_gpus
            more = _FIRST_PEOPLE if first else _OWN_PEOPLE
            start = _FIRST_ONCE if first else _OWN_ONCE
            why = "the first GPUs in production" if first else "GPUs already serve production"
            if self._situation.facts.ml_engineers == 0:
                more, start = _times(more, 1.5), _times(start, 1.5)
            return _plus(people, more), _plus(once, start), why
        if route.tuned:
            why = "data, evaluation and a vendor's endpoint"
            return _plus(people, _HOSTED_PEOPLE), _plus(once, _HOSTED_ONCE), why
        return people, once, why

    def _training(self, route: Route) -> tuple[Array | float, tuple[Assumption, ...]]:
        """USD of one training run; a vendor's bill where its price is known."""
        if not route.tuned or route.hosting == "own":
            return 0.0, ()
        price = self._situation.catalog.find_training_price(route.provider.name, route.model)
        if price is None:
            unknown = Assumption.prior(
                f"{route.provider.name} training", "not counted", "no price was found"
            )
            return 0.0, (unknown,)
        rows = self._situation.rows or 1_000.0
        tokens = rows * (self._situation.input_tokens + self._situation.output_tokens) * 3
        bill = training_usd(price, Estimate.exact(tokens, "tokens"), self._situation.as_of)
        return self._draws.between(f"drift of {route.provider.name} training", bill), bill.basis


def base_months(catalog: Catalog) -> Share:
    """Least, median and most months from the first tuning of a vendor's base to its shutdown."""
    lived = sorted(
        (row.serves_until - row.starts).days / 30.4
        for model in catalog.models
        if not model.open_weights
        for row in model.tunable
        if row.starts is not None and row.serves_until is not None
    )
    return (lived[0], median(lived), lived[-1]) if lived else (12.0, 24.0, 36.0)


def cost_value(situation: Situation, route: Route, usd: Array, cheaper: Array | bool) -> Array:
    """Fixed anchors: 1 at nothing, 0 at 30,000 USD a month, on without end; −1 where it is missed.

    Linear, as a dollar is a dollar at any volume. That the prompt costs too much speaks for tuning
    only where tuning can be cheaper.
    """
    missed = situation.facts.prompt_meets_cost is False
    prompted = not route.tuned and route.hosting == "vendor_api"
    return 1 - usd / ZERO_VALUE_USD - (1.0 * np.asarray(cheaper) if missed and prompted else 0.0)


def usd_text(value: float) -> str:
    """USD in words: cents only where they count."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.2f}"


def _plus(left: Share, right: Share) -> Share:
    return left[0] + right[0], left[1] + right[1], left[2] + right[2]


def _times(share: Share, factor: float) -> Share:
    return share[0] * factor, share[1] * factor, share[2] * factor
