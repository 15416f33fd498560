"""The routes there could be: every place and model of the catalog that adapts or tunes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from ftctl.advisor.bases import by_suitability, shortlist
from ftctl.advisor.situation import Situation
from ftctl.advisor.types import Adaptation, Hosting, Label
from ftctl.catalog.types import Gpu, InferencePrice, Model, Provider, Tunable
from ftctl.estimation.money import Usage, request_usd
from ftctl.estimation.speed import likely_answer_s


@dataclass(frozen=True)
class Route:
    """One way to do the task: how to adapt which model, and where it runs.

    `ends` is the day from which it no longer answers, if one is known.
    """

    label: Label
    adaptation: tuple[Adaptation, ...]
    hosting: Hosting
    provider: Provider
    model: Model
    gpu: Gpu | None = None
    tunable: Tunable | None = None
    price: InferencePrice | None = None
    ends: date | None = None

    @property
    def resold(self) -> bool:
        """Whether a prompted model is taken to be sold by another than the price is known of."""
        return self.price is not None and self.price.provider != self.provider.name

    @property
    def tuned(self) -> bool:
        """Whether weights are changed."""
        return "tune" in self.adaptation


def known_end(model: Model, tunable: Tunable | None, day: date) -> date | None:
    """The day from which a vendor's model no longer answers, if it was announced by a day."""
    announced = model.shutdown_announced
    if tunable is None or tunable.serves_until is None:
        return model.known_shutdown(day)
    # Its tuned models end with the base: what isn't known of the one isn't of the other.
    with_the_base = tunable.serves_until == model.shutdown
    hidden = with_the_base and announced is not None and day < announced
    return None if hidden else tunable.serves_until


def candidates(situation: Situation) -> Iterator[Route]:
    """Every route worth a look, prompted ones first, the cheapest of a kind first."""
    steps: tuple[Adaptation, ...] = ("rag",) if situation.needs_knowledge else ()
    for price in prompt_prices(situation):
        model = situation.catalog.get_model(price.model)
        ends = known_end(model, None, situation.as_of)
        for provider in _sellers(situation, price):
            prompt = Route(
                "prompt", ("prompt",), "vendor_api", provider, model, price=price, ends=ends
            )
            yield prompt
            yield replace(prompt, label="rag", adaptation=("rag",))
    yield from _hosted_routes(situation, steps)
    local = situation.catalog.get_provider("local")
    for model, gpu in own_places(situation):
        yield Route("prompt", ("prompt",), "own", local, model, gpu)
        yield Route("rag", ("rag",), "own", local, model, gpu)
        yield Route("self_hosted", (*steps, "tune"), "own", local, model, gpu)


def own_models(situation: Situation) -> list[Model]:
    """Open bases for one's own cards, the first to try first.

    What a pilot measured on the user's own rows comes before what nobody did, the best first.
    """
    piloted = sorted(situation.facts.piloted or (), key=lambda one: -one.score)
    known = [situation.catalog.find_model(one.model) for one in piloted]
    mine = [
        model
        for model in situation.catalog.models
        if any(row.provider == "local" for row in model.tunable)
    ]
    listed = shortlist(mine, situation.as_of, situation.facts.task_kind)
    models = [model for model in known if model is not None and model.open_weights]
    return [*models, *(model for model in listed if model not in models)]


def own_places(situation: Situation) -> list[tuple[Model, Gpu]]:
    """Models on the user's card, or on any of the catalog, the best place first.

    Those likely in time come first in the order of the shortlist, each on the cheapest card that
    is in time even under load, then on the cheapest; where none is in time, the fastest.
    """
    cards = [situation.gpu] if situation.gpu else list(situation.catalog.gpus)
    target = situation.facts.latency_p95_s if situation.knows("output_tokens") else None
    models = own_models(situation)

    def order(place: tuple[int, Gpu]) -> tuple[float, int, bool, float]:
        rank, gpu = place
        if target is None:
            return 0.0, rank, False, gpu.price.likely
        likely = likely_answer_s(
            models[rank].parameters or 0, situation.fresh_tokens, situation.output_tokens, gpu
        )
        late = likely if likely > target else 0.0
        return late, rank, 2 * likely > target, gpu.price.likely

    places = [(rank, gpu) for rank in range(len(models)) for gpu in cards]
    return [(models[rank], gpu) for rank, gpu in sorted(places, key=order)]


def prompt_prices(situation: Situation) -> list[InferencePrice]:
    """Prompted models alive on the day, the cheapest first."""
    usage = Usage(1.0, situation.input_tokens, situation.prefix_tokens, situation.output_tokens)
    rows = [row for row in situation.catalog.inference if not row.tuned]
    alive = [row for row in rows if _known_alive(situation, row)]
    # Before the first start known to the catalog the oldest model has to stand in.
    chosen = alive or [row for row in rows if row.model == "gpt-4o-mini"]
    return sorted(chosen, key=lambda row: request_usd(row, usage))


def _sellers(situation: Situation, price: InferencePrice) -> list[Provider]:
    """Who answers prompts: its maker, and where rows are regulated the clouds that suit them.

    Clouds sell other makers' models; which ones the catalog doesn't know, so the route says so.
    """
    sellers = [situation.catalog.get_provider(price.provider)]
    if situation.facts.privacy == "regulated":
        clouds = (row for row in situation.catalog.providers if row.residency.regulated)
        sellers += [row for row in clouds if row.serving.kind != "own"]
    return sellers


def _known_alive(situation: Situation, row: InferencePrice) -> bool:
    model = situation.catalog.get_model(row.model)
    start_known = model.available_from is not None or situation.as_of >= model.as_of
    return start_known and model.alive(situation.as_of)


def _hosted_routes(situation: Situation, steps: tuple[Adaptation, ...]) -> Iterator[Route]:
    """Every vendor's own models, then the open ones that it tunes, the first to try first."""
    catalog = situation.catalog
    tuned: dict[str, list[tuple[Model, Tunable]]] = {}
    closed = [model for model in catalog.models if not model.open_weights]
    opened = [model for model in catalog.models if model.open_weights]
    for model in (*closed, *by_suitability(opened, situation.facts.task_kind)):
        for tunable in model.tunable:
            tuned.setdefault(tunable.provider, []).append((model, tunable))
    for provider in catalog.providers:
        if provider.serving.kind == "own":
            continue
        card = catalog.get_gpu(provider.serving.gpu) if provider.serving.gpu else None
        for model, tunable in tuned.get(provider.name, ()):
            price = catalog.find_inference_price(model.name, provider.name, tuned=True)
            yield Route(
                "hosted", (*steps, "tune"), "hosted_custom", provider, model, card, tunable, price,
                known_end(model, tunable, situation.as_of),
            )  # fmt: skip
