"""The routes there could be: every place and model of the catalog that adapts or tunes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from ftctl.advisor.situation import Situation
from ftctl.advisor.types import Adaptation, Hosting, Label
from ftctl.catalog.types import Gpu, InferencePrice, Model, Provider, Tunable
from ftctl.estimation.money import Usage, request_usd
from ftctl.estimation.speed import answer_s

# Sizes whose tuning has the evidence of the research (models up to 8B); the 7B class first,
# the smaller one where the larger doesn't fit the card or the latency.
OWN_MODELS = ("llama-3.1-8b-instruct", "qwen2.5-1.5b-instruct")
# What one's own cards ran before the first of them was there.
_BEFORE = "llama-2-7b-chat"


@dataclass(frozen=True)
class Route:
    """One way to do the task: how to adapt which model, and where it runs."""

    label: Label
    adaptation: tuple[Adaptation, ...]
    hosting: Hosting
    provider: Provider
    model: Model
    gpu: Gpu | None = None
    tunable: Tunable | None = None
    price: InferencePrice | None = None

    @property
    def tuned(self) -> bool:
        """Whether weights are changed."""
        return "tune" in self.adaptation

    @property
    def ends(self) -> date | None:
        """The day from which the route no longer answers, if one is known."""
        if self.hosting == "own":
            return None
        if self.tunable is not None and self.tunable.serves_until is not None:
            return self.tunable.serves_until
        return self.model.shutdown


def candidates(situation: Situation) -> Iterator[Route]:
    """Every route worth a look, prompted ones first, the cheapest of a kind first."""
    steps: tuple[Adaptation, ...] = ("rag",) if situation.needs_knowledge else ()
    for price in _prompt_prices(situation):
        provider = situation.catalog.get_provider(price.provider)
        model = situation.catalog.get_model(price.model)
        yield Route("prompt", ("prompt",), "vendor_api", provider, model, price=price)
        yield Route("rag", ("rag",), "vendor_api", provider, model, price=price)
    yield from _hosted_routes(situation, steps)
    local = situation.catalog.get_provider("local")
    for model, gpu in own_places(situation):
        yield Route("prompt", ("prompt",), "own", local, model, gpu)
        yield Route("rag", ("rag",), "own", local, model, gpu)
        yield Route("self_hosted", (*steps, "tune"), "own", local, model, gpu)


def own_models(situation: Situation) -> list[Model]:
    """Open models for one's own cards, the preferred first; an older one before they came.

    What a pilot measured on the user's own rows comes before what nobody did, the best first.
    """
    piloted = sorted(situation.facts.piloted or (), key=lambda one: -one.score)
    named = dict.fromkeys([*(one.model for one in piloted), *OWN_MODELS])
    known = (situation.catalog.find_model(name) for name in named)
    models = [model for model in known if model is not None and model.open_weights]
    if situation.as_of < first_day(models[0]):
        models.insert(0, situation.catalog.get_model(_BEFORE))
    return models


def first_day(model: Model, tunable: Tunable | None = None) -> date:
    """The first day on which a model is known to be there, and to be tuned at a place.

    Where nobody knows when it began, the day its row was checked.
    """
    known = [model.available_from, tunable.starts if tunable else None]
    return max((day for day in known if day is not None), default=model.as_of)


def own_places(situation: Situation) -> list[tuple[Model, Gpu]]:
    """Models on the user's card, or on any of the catalog, the best place first.

    Those in time come first, then the larger model, then the cheaper card; where none is in time,
    the fastest.
    """
    cards = [situation.gpu] if situation.gpu else list(situation.catalog.gpus)
    target = situation.facts.latency_p95_s
    models = own_models(situation)

    def order(place: tuple[int, Gpu]) -> tuple[bool, float, int, float]:
        rank, gpu = place
        size = models[rank].parameters or 0
        likely = answer_s(size, situation.fresh_tokens, situation.output_tokens, gpu).likely
        late = target is not None and situation.knows("output_tokens") and likely > target
        return late, likely if late else 0.0, rank, gpu.price.likely

    places = [(rank, gpu) for rank in range(len(models)) for gpu in cards]
    return [(models[rank], gpu) for rank, gpu in sorted(places, key=order)]


def _prompt_prices(situation: Situation) -> list[InferencePrice]:
    """Prompted models alive on the day, the cheapest first."""
    usage = Usage(1.0, situation.input_tokens, situation.prefix_tokens, situation.output_tokens)
    rows = [row for row in situation.catalog.inference if not row.tuned]
    alive = [row for row in rows if _known_alive(situation, row)]
    # Before the first start known to the catalog the oldest model has to stand in.
    chosen = alive or [row for row in rows if row.model == "gpt-4o-mini"]
    return sorted(chosen, key=lambda row: request_usd(row, usage))


def _known_alive(situation: Situation, row: InferencePrice) -> bool:
    model = situation.catalog.get_model(row.model)
    start_known = model.available_from is not None or situation.as_of >= model.as_of
    return start_known and model.alive(situation.as_of)


def _hosted_routes(situation: Situation, steps: tuple[Adaptation, ...]) -> Iterator[Route]:
    """Every vendor's own models, then the open ones that it tunes, the smallest first."""
    catalog = situation.catalog
    for provider in catalog.providers:
        if provider.serving.kind == "own":
            continue
        card = catalog.get_gpu(provider.serving.gpu) if provider.serving.gpu else None
        tunables = [
            (model, tunable)
            for model in sorted(catalog.models, key=lambda m: m.parameters or 0)
            for tunable in model.tunable
            if tunable.provider == provider.name
        ]
        for model, tunable in sorted(tunables, key=lambda pair: pair[0].open_weights):
            price = catalog.find_inference_price(model.name, provider.name, tuned=True)
            yield Route(
                "hosted", (*steps, "tune"), "hosted_custom", provider, model, card, tunable, price
            )
