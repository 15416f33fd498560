"""The advice: gates, then money and values in many draws, then one decision with its reason."""

from dataclasses import dataclass
from datetime import date

from ftctl.advisor.explain import assumptions, next_commands, reason
from ftctl.advisor.flips import find_flips
from ftctl.advisor.gates import sift
from ftctl.advisor.rank import Ranked, Ranking, dominated_by
from ftctl.advisor.situation import Situation, settle
from ftctl.advisor.types import (
    Advice,
    Decision,
    Facts,
    Features,
    Hosting,
    Label,
    Rejected,
    RouteReport,
)
from ftctl.catalog.load import Catalog, load_catalog

# Below this share of draws won the first two are too close to call.
SURE = 0.6


@dataclass(frozen=True)
class Verdict:
    """A decision and what led to it, before it is put into words."""

    decision: Decision
    leading: Label
    confidence: float
    ranked: list[Ranked]
    rejected: list[Rejected]
    ranking: Ranking


def advise(
    facts: Facts,
    *,
    features: Features | None = None,
    catalog: Catalog | None = None,
    as_of: date,
) -> Advice:
    """Whether to adapt a model, how, and where it should run.

    A pure function: the same facts, features, catalog and day give the same bytes.

    Args:
        facts: What the user knows; its `as_of` is the caller's to read.
        features: What a data file showed, if there is one.
        catalog: Facts to ask; the shipped ones when left out.
        as_of: The day to answer for.

    Raises:
        UsageError: a card or provider in the facts that the catalog doesn't know.
    """
    situation = settle(facts, features, catalog or load_catalog(), as_of)
    verdict = decide(situation)
    first = _first(verdict)
    return Advice(
        decision=verdict.decision,
        leading=verdict.leading,
        adaptation=() if verdict.leading == "none" or first is None else first.route.adaptation,
        hosting=_hosting(situation, first),
        provider=first.route.provider.name if first else None,
        model=first.route.model.name if first else None,
        confidence=verdict.confidence,
        reason=reason(situation, verdict.decision, first, verdict.ranked, verdict.rejected),
        routes=tuple(_report(entry, verdict) for entry in verdict.ranked),
        rejected=tuple(verdict.rejected),
        flips=find_flips(situation, verdict.leading, features, leading_of),
        next=next_commands(situation, verdict.decision, first),
        assumptions=assumptions(situation, verdict.ranked),
    )


def decide(situation: Situation) -> Verdict:
    """The decision alone: gates, what is already met, the knowledge gate, then the draws."""
    routes, rejected = sift(situation)
    ranking = Ranking(situation, routes)
    ranked = ranking.ranked
    if settled(situation):
        sure = ranking.quality.sure()
        met: Decision = "none" if sure >= SURE else "too_close"
        return Verdict(met, "none", sure, ranked, rejected, ranking)
    if not ranked:
        return Verdict("none", "none", 1.0, ranked, rejected, ranking)
    first = ranked[0]
    # Where facts are missing every route begins with retrieval: that step is settled.
    step_settled = situation.needs_knowledge and first.route.label == "rag"
    # Quality decides only between routes that tune and routes that don't.
    open_question = len({entry.route.tuned for entry in ranked}) == 2
    decision: Decision = first.route.label
    if not situation.measured and open_question and not situation.needs_knowledge:
        decision = "measure_first"
    elif first.share < SURE and not step_settled:
        decision = "too_close"
    confidence = round(first.share, 4)
    return Verdict(decision, first.route.label, confidence, ranked, rejected, ranking)


def leading_of(facts: Facts, features: Features | None, catalog: Catalog, as_of: date) -> Label:
    """The route that would lead for other facts."""
    return decide(settle(facts, features, catalog, as_of)).leading


def settled(situation: Situation) -> bool:
    """Whether the best prompt already meets quality, latency and cost, so nothing need be done.

    A measured score with nothing left to gain settles quality by itself; the user's word or a
    score above the target does so only while failures don't come from missing facts.
    """
    if not situation.rest_met:
        return False
    if situation.nothing_to_gain:
        return True
    return situation.quality_met and not situation.needs_knowledge


def _first(verdict: Verdict) -> Ranked | None:
    """The route to show: the one that leads, or the prompted one where nothing need be done."""
    if verdict.leading == "none":
        prompted = [entry for entry in verdict.ranked if not entry.route.tuned]
        return prompted[0] if prompted else None
    return next(entry for entry in verdict.ranked if entry.route.label == verdict.leading)


def _hosting(situation: Situation, first: Ranked | None) -> Hosting:
    if first is not None:
        return first.route.hosting
    return "own" if situation.facts.privacy == "stays_inside" else "vendor_api"


def _report(entry: Ranked, verdict: Verdict) -> RouteReport:
    route = entry.route
    return RouteReport(
        route=route.label,
        adaptation=route.adaptation,
        hosting=route.hosting,
        provider=route.provider.name,
        model=route.model.name,
        gpu=route.gpu.name if route.gpu else None,
        share=round(entry.share, 4),
        usd_per_month=entry.cost.interval(),
        quality=verdict.ranking.quality.interval(route),
        quality_note=verdict.ranking.quality.note(route),
        dominated_by=dominated_by(entry, verdict.ranked),
    )
