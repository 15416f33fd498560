"""Whether a route is fast enough, as values with fixed anchors: 1 met, 0 missed."""

import numpy as np

from ftctl.advisor.draws import DRAWS, Array, Draws
from ftctl.advisor.routes import Route
from ftctl.advisor.situation import Situation
from ftctl.advisor.types import Probed
from ftctl.catalog.types import Gpu
from ftctl.estimation.estimate import Estimate
from ftctl.estimation.speed import answer_s

# Seconds to the first token and a token of a vendor's small model: first tokens of 0.10 to 0.60 s
# stood on four pages of 2026 for one model; the time per token is a wide default. What `ftctl
# probe` measured takes its place.
API_FIRST_S, API_TOKEN_S = (0.10, 0.60), (0.005, 0.020)


def latency_value(draws: Draws, route: Route, answers: Array) -> Array:
    """1 where 95 % of answers come in time, 0 where not, −0.5 where the user knows they don't."""
    facts = draws.situation.facts
    if not route.tuned and route.hosting == "vendor_api":
        if facts.prompt_meets_latency is not None:
            return np.full(DRAWS, 1.0 if facts.prompt_meets_latency else -0.5)
        if facts.latency_p95_s is None:
            return np.ones(DRAWS)
        return _met(answers, facts.latency_p95_s)
    if facts.latency_p95_s is None or not draws.situation.knows("output_tokens"):
        # Smaller than the model that is too slow, but nobody said how long answers may take or be.
        missed = facts.prompt_meets_latency is False
        return draws.uniform("small_model", 0.5, 1.0) if missed else np.ones(DRAWS)
    return _met(answers, facts.latency_p95_s)


def late(situation: Situation, route: Route, seconds: Estimate) -> str | None:
    """A sentence where the route may miss what latency was asked for, or None.

    Of the prompt in use the user's word counts, of all others the estimate.
    """
    facts = situation.facts
    if not route.tuned and route.hosting == "vendor_api" and facts.prompt_meets_latency is not None:
        return None if facts.prompt_meets_latency else "You say that the best prompt is too slow."
    target = facts.latency_p95_s
    if target is None or seconds.high <= target:
        return None
    word = "likely misses" if seconds.likely > target else "may miss"
    tokens = situation.output_tokens
    assumed = "" if situation.knows("output_tokens") else f" of an assumed {tokens:g} tokens"
    return (
        f"It {word} the {target:g} s you ask for: an answer{assumed} takes {_figure(seconds.low)} "
        f"to {_figure(seconds.high)} s, likely {_figure(seconds.likely)}."
    )


def _figure(value: float) -> str:
    return f"{value:.3g}" if value < 10 else f"{value:,.0f}"


def answer_seconds(draws: Draws, route: Route) -> Array:
    """Seconds of one answer: measured on this route, else by roofline or from the default."""
    probe = probe_of(draws.situation, route)
    if probe is not None:
        return draws.between("probed", _measured(probe, draws.situation.output_tokens))
    return own_s(draws, route)


def probe_of(situation: Situation, route: Route) -> Probed | None:
    """The newest measurement of a route's model where it would answer, or None.

    One's own machine is the route's only where it has the route's card.
    """
    fitting = [
        probe
        for probe in situation.facts.probed or ()
        if (probe.provider, probe.model) == (route.provider.name, route.model.name)
        and (route.gpu is None or route.hosting != "own" or _has_card(probe, route.gpu))
    ]
    return max(fitting, key=lambda probe: probe.on, default=None)


def _has_card(probe: Probed, gpu: Gpu) -> bool:
    return gpu.name.lower() in (probe.device or "").lower()


def _measured(probe: Probed, tokens: float) -> Estimate:
    """Its 95 % interval, the time after the first token taken to grow with the answer.

    Where too few calls bound a side: half and twice what was seen.
    """

    def scaled(seconds: float) -> float:
        first = min(probe.first_p95_s, seconds)
        return first + (seconds - first) * tokens / probe.output_tokens

    return Estimate(
        low=scaled(probe.low_s or probe.p95_s / 2),
        likely=scaled(probe.p95_s),
        high=scaled(probe.high_s or 2 * probe.p95_s),
        unit="s",
    )


def api_s(draws: Draws) -> Array:
    """Seconds of one answer from a vendor's shared endpoint."""
    first = draws.uniform("api_first", *API_FIRST_S)
    token = draws.uniform("api_token", *API_TOKEN_S)
    return first + token * draws.situation.output_tokens


def own_s(draws: Draws, route: Route) -> Array:
    """Seconds of one answer from a card of one's own, or a vendor's dedicated one."""
    if route.gpu is None or route.model.parameters is None:
        return api_s(draws)
    situation = draws.situation
    estimate = answer_s(
        route.model.parameters, situation.fresh_tokens, situation.output_tokens, route.gpu
    )
    return draws.between("own_latency", estimate)


def _met(seconds: Array, target: float) -> Array:
    return np.where(seconds <= target, 1.0, 0.0)
