"""What rules a route out, each time with the number or date that does it."""

from collections.abc import Callable, Iterable

from ftctl.advisor.bases import first_day, licence_forbids, needs_reason
from ftctl.advisor.draws import Draws
from ftctl.advisor.money import Money, usd_text
from ftctl.advisor.routes import Route, candidates, own_models
from ftctl.advisor.situation import Situation
from ftctl.advisor.types import Label, Rejected
from ftctl.catalog.types import Gpu, Model
from ftctl.estimation.estimate import Estimate
from ftctl.estimation.memory import GIB, serving_memory, training_memory, verdict
from ftctl.estimation.speed import answer_floor_s, token_floor_s
from ftctl.policy import Account, Availability, availability, privacy_allows

# Gains were seen at 50 to 100 examples (OpenAI's guide, now legacy); below that never tune.
MIN_ROWS = 50
# Tokens kept in flight while serving, and trained at once with every layer recomputed: small, as
# the gate must only rule out what can't work.
_SERVED_TOKENS, _TRAINED_TOKENS = 8_192, 1_024

Gate = Callable[[Situation, Route], str | None]


def sift(situation: Situation, *, explain: bool = True) -> tuple[list[Route], list[Rejected]]:
    """The routes that pass every gate, and the others with the gate that closed them.

    Of prompted models the first that passes is kept, of one's own models the first with the
    cheapest card that can do it. Of vendors that tune all with a whole price are, the others only
    where no such passes the gates besides the budget; one's own prompted model only where no
    vendor's may be used. Without `explain` what is closed isn't put into words.
    """
    found, money = _Sifted(), Money(Draws(situation))
    for route in candidates(situation):
        if not found.settles(route):
            found.add(route, judge(situation, route, money))
    kept = found.kept if found.priced else [*found.kept, *found.second]
    return kept, _distinct(money, found.closed, kept) if explain else []


class _Sifted:
    """The routes so far: those kept, those for want of better ones, and those closed."""

    def __init__(self) -> None:
        self.kept: list[Route] = []
        self.second: list[Route] = []
        self.closed: list[tuple[Route, str, str]] = []
        self.priced = False
        self._labels: set[Label] = set()
        self._open_at: set[str] = set()  # vendors of which a smaller open model is in
        self._too_dear: set[Label] = set()
        self._on_no_card: set[tuple[Label, str]] = set()

    def settles(self, route: Route) -> bool:
        """Whether a better route of this kind is already in, or was above the budget."""
        if route.label == "hosted":
            return route.model.open_weights and route.provider.name in self._open_at
        # The cheapest card that is in time was too dear already.
        too_dear = route.hosting == "own" and route.label in self._too_dear
        no_card = (route.label, route.model.name) in self._on_no_card
        return too_dear or no_card or route.label in self._labels

    def add(self, route: Route, closed: tuple[str, str] | None) -> None:
        """A route with the gate that closes it and why, or None."""
        whole = _comparable(route)
        if closed is None or closed[0] == "budget":
            self.priced = self.priced or (route.label == "hosted" and whole)
        if closed is not None:
            gate, reason = closed
            self.closed.append((route, gate, reason))
            if route.hosting == "own" and gate == "budget":
                self._too_dear.add(route.label)
            elif route.hosting == "own" and gate not in ("memory", "latency"):
                self._on_no_card.add((route.label, route.model.name))
            return
        (self.kept if whole else self.second).append(route)
        self._labels.add(route.label)
        if route.label == "hosted" and route.model.open_weights:
            self._open_at.add(route.provider.name)


def judge(situation: Situation, route: Route, money: Money) -> tuple[str, str] | None:
    """The first gate that closes a route and why, or None."""
    for name, gate in GATES:
        reason = gate(situation, route)
        if reason is not None:
            return name, reason
    reason = _budget(situation, route, money)
    return None if reason is None else ("budget", reason)


def _comparable(route: Route) -> bool:
    """Whether anybody can have the route, at a price that is whole."""
    serving = route.provider.serving
    return route.label != "hosted" or (serving.self_serve and serving.complete)


def _rejected(money: Money, route: Route, gate: str, reason: str) -> Rejected:
    return Rejected(
        route=route.label,
        provider=route.provider.name,
        model=route.model.name,
        gate=gate,
        reason=reason,
        usd_per_month=money.of(route).interval() if gate == "budget" else None,
    )


def _distinct(
    money: Money, closed: Iterable[tuple[Route, str, str]], kept: list[Route]
) -> list[Rejected]:
    """One line per route, place, model and gate; of several cards, the fastest one's line."""
    best: dict[tuple[str, ...], tuple[float, Route, str]] = {}
    with_a_card = {(other.label, other.model.name) for other in kept}
    for route, gate, reason in closed:
        if route.gpu is not None and (route.label, route.model.name) in with_a_card:
            continue  # another card can do it
        # What is wrong with the question itself is wrong at every vendor.
        anywhere = gate in ("knowledge", "prompt_limit")
        where = "" if anywhere else route.provider.name
        which = "" if anywhere else route.model.name
        key = (route.label, where, which, gate)
        speed = route.gpu.bandwidth_gb_s if route.gpu and not anywhere else 0.0
        if key not in best or best[key][0] < speed:
            best[key] = (speed, route, reason)
    return [_rejected(money, route, key[-1], reason) for key, (_, route, reason) in best.items()]


def _privacy(situation: Situation, route: Route) -> str | None:
    found = privacy_allows(route.provider.name, situation.facts.privacy, catalog=situation.catalog)
    return None if found.allowed else found.reason


def _knowledge(situation: Situation, route: Route) -> str | None:
    if route.label == "prompt" and situation.needs_knowledge:
        return "failures come from missing or changing facts, which a prompt alone can't supply"
    if route.label == "rag" and not situation.may_need_knowledge:
        return "nothing says that failures come from missing facts"
    return None


def _prompt_limit(situation: Situation, route: Route) -> str | None:
    """A prompt, and retrieval as well where facts aren't what fails: it lengthens the prompt."""
    prompted = route.label == "prompt" or (route.label == "rag" and not situation.needs_knowledge)
    if prompted and situation.facts.prompt_limit:
        return "prompting is impractical, you said"
    return None


def _licence(_situation: Situation, route: Route) -> str | None:
    """Of weights that one serves oneself or gets back; elsewhere the vendor's terms hold."""
    mine = route.hosting == "own" or (route.tuned and route.provider.weights_returned)
    return licence_forbids(route.model) if mine else None


def _size(situation: Situation, route: Route) -> str | None:
    """More than the 7B class needs a reason: a context that smaller ones lack, or a pilot of it."""
    if route.hosting != "own" or not needs_reason(route.model):
        return None
    if any(one.model == route.model.name for one in situation.facts.piloted or ()):
        return None
    smaller = [model for model in own_models(situation) if not needs_reason(model)]
    enough = [model for model in smaller if not _too_long(situation, model)]
    if not enough:
        return None
    return (
        f"{(route.model.parameters or 0) / 1e9:.3g} billion weights need a reason: no pilot was "
        f"made of them, and {len(enough)} smaller bases take {situation.longest_tokens:,.0f} "
        "tokens"
    )


def _availability(situation: Situation, route: Route) -> str | None:
    if route.label != "hosted" or route.tunable is None:
        return None
    account = account_at(situation, route.provider.name)
    found = _available(route.provider.name, situation, account)
    if found.open_to_you is not True:
        return f"{found.reason} (source: {found.source})"
    if route.tunable.existing_only and situation.as_of >= route.tunable.as_of:
        since = account.since if account else None
        if since is None or since >= route.tunable.as_of:
            return f"{route.model.title} is tuned there for existing customers only"
    return None


def _available(provider: str, situation: Situation, account: Account | None) -> Availability:
    """Asked once for all models of a provider."""
    known = situation.availability
    if provider not in known:
        known[provider] = availability(
            provider, as_of=situation.as_of, account=account, catalog=situation.catalog
        )
    return known[provider]


def _lifecycle(situation: Situation, route: Route) -> str | None:
    tunable, instead = route.tunable, _replacement(situation, route.model)
    if tunable is not None and tunable.until is not None and situation.as_of >= tunable.until:
        return f"{route.model.title} takes no tuning jobs there since {tunable.until}{instead}"
    first = first_day(route.model, tunable)
    if situation.as_of < first:
        if not route.tuned and route.hosting == "vendor_api":
            return None  # stands in for a prompted model of that day, whose end nobody knew
        return f"{route.model.title} isn't known to be {_there(route)} before {first}"
    if route.ends is not None and route.ends < situation.until:
        left = (route.ends - situation.as_of).days
        return (
            f"{route.model.title} shuts down on {route.ends}, {left} days from {situation.as_of}, "
            f"before your horizon ends on {situation.until}{instead}"
        )
    return None


def _replacement(situation: Situation, model: Model) -> str:
    """What the vendor named in a model's place, once it did."""
    if model.replacement is None or model.known_shutdown(situation.as_of) is None:
        return ""
    named = situation.catalog.get_model(model.replacement)
    untuned = "" if named.tunable else ", which isn't known to be tuned anywhere"
    return f"; its vendor's replacement is {named.title}{untuned}"


def _there(route: Route) -> str:
    return "out" if route.hosting == "own" else "tuned there"


def _rows(situation: Situation, route: Route) -> str | None:
    if not route.tuned or situation.rows is None:
        return None
    need = max(MIN_ROWS, route.provider.min_rows)
    if situation.rows >= need:
        return None
    return f"{situation.rows:g} distinct examples; tuning needs at least {need}"


def _context(situation: Situation, route: Route) -> str | None:
    if not _too_long(situation, route.model):
        return None
    need, context = situation.longest_tokens, route.model.context or 0
    return f"{need:,.0f} tokens a request; {route.model.title} takes {context:,}"


def _too_long(situation: Situation, model: Model) -> bool:
    return model.context is not None and situation.longest_tokens > model.context


def _memory(situation: Situation, route: Route) -> str | None:
    if route.hosting != "own" or route.gpu is None:
        return None
    cards = situation.facts.gpu_count or 1 if situation.gpu else 1
    have = route.gpu.memory_gib * cards
    needs = [("serving", serving_memory(route.model, _SERVED_TOKENS))]
    if route.tuned:
        trained = training_memory(route.model, _TRAINED_TOKENS, checkpointing=True)
        needs.append(("LoRA training", trained))
    if route.model.shape is None and route.model.parameters:
        weights = Estimate.exact(2 * route.model.parameters / GIB, "GiB")
        needs = [("bf16 weights", weights)]
    for what, need in needs:
        if need is not None and verdict(need, have) == "no":
            return (
                f"{what} of {route.model.title} needs about {need.likely:.1f} GiB; "
                f"{cards} × {route.gpu.title} has {have:g}"
            )
    return None


def _latency(situation: Situation, route: Route) -> str | None:
    """Roofline: rules out what physics rules out, on the fastest card where none is named."""
    target, size = situation.facts.latency_p95_s, route.model.parameters
    if target is None or size is None or not (route.tuned or route.hosting == "own"):
        return None
    gpu = route.gpu or max(situation.catalog.gpus, key=lambda card: card.bandwidth_gb_s)
    # A length that nobody named or measured must not rule anything out.
    answer = situation.output_tokens if situation.knows("output_tokens") else 1.0
    prompt = situation.fresh_tokens if situation.knows("input_tokens") else 1.0
    floor = answer_floor_s(size, prompt, answer, gpu)
    if floor <= target:
        return None
    return _floor_arithmetic(size, answer, floor, target, gpu)


def _floor_arithmetic(size: int, answer: float, floor: float, target: float, gpu: Gpu) -> str:
    token = token_floor_s(size, gpu)
    return (
        f"reading {size * 2 / 1e9:.1f} GB of weights at {gpu.bandwidth_gb_s:,.0f} GB/s takes "
        f"{token * 1000:.2g} ms a token on {gpu.title}; {answer:g} tokens and the prompt take at "
        f"least {floor:.2g} s, the target is {target:g} s"
    )


def _budget(situation: Situation, route: Route, money: Money) -> str | None:
    """A budget is the most anybody would spend: out is what costs more even at its low end."""
    budget = situation.facts.budget_usd_per_month
    if budget is None:
        return None
    month = money.of(route)
    if float(month.usd.max()) <= budget:
        return None
    cost = month.interval()
    if cost.low <= budget:
        return None
    return (
        f"costs at least {usd_text(cost.low)} USD a month (P10; likely {usd_text(cost.likely)}); "
        f"the budget is {usd_text(budget)}"
    )


def cheapest_too_dear(rejected: Iterable[Rejected]) -> tuple[Estimate, Rejected] | None:
    """Of the routes that only the budget closed the cheapest, with its cost."""
    dear = [(line.usd_per_month, line) for line in rejected if line.usd_per_month is not None]
    return min(dear, key=lambda pair: pair[0].low, default=None)


def _price(_situation: Situation, route: Route) -> str | None:
    if route.label != "hosted" or route.price is not None:
        return None
    if route.provider.serving.usd_per_gpu_hour is not None:
        return None
    return "no price for serving a tuned model there was found, so it can't be compared"


def account_at(situation: Situation, provider: str) -> Account | None:
    """The user's account at a provider; an empty one when accounts are given without it.

    Raises:
        UsageError: the facts name a provider that nobody knows.
    """
    accounts = situation.facts.accounts or {}
    named = {
        situation.catalog.get_provider(name).name: account for name, account in accounts.items()
    }
    return named.get(provider)


GATES: tuple[tuple[str, Gate], ...] = (
    ("knowledge", _knowledge),
    ("privacy", _privacy),
    ("prompt_limit", _prompt_limit),
    ("availability", _availability),
    ("lifecycle", _lifecycle),
    ("licence", _licence),
    ("min_rows", _rows),
    ("context", _context),
    ("size", _size),
    ("memory", _memory),
    ("latency", _latency),
    ("price", _price),
)
