"""The advice: one decision with its reason, what would flip it, and what to type next."""

from datetime import date

from ftctl.advisor.cautions import route_warnings
from ftctl.advisor.decide import Verdict, decide
from ftctl.advisor.explain import assumptions, reason
from ftctl.advisor.flips import find_flips
from ftctl.advisor.next_commands import next_commands
from ftctl.advisor.rank import Ranked, dominated_by
from ftctl.advisor.situation import Situation, settle
from ftctl.advisor.types import Advice, Facts, Features, Hosting, RouteReport
from ftctl.catalog.load import Catalog, load_catalog


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
    first = verdict.first
    return Advice(
        decision=verdict.decision,
        leading=verdict.leading,
        adaptation=() if verdict.leading == "none" or first is None else first.route.adaptation,
        hosting=_hosting(situation, first),
        provider=first.route.provider.name if first else None,
        model=first.route.model.name if first else None,
        confidence=verdict.confidence,
        reason=reason(situation, verdict),
        routes=tuple(_report(situation, entry, verdict) for entry in verdict.ranked),
        rejected=tuple(verdict.rejected),
        flips=find_flips(situation, verdict, features),
        next=next_commands(situation, verdict),
        assumptions=assumptions(situation, verdict.ranked),
    )


def _hosting(situation: Situation, first: Ranked | None) -> Hosting:
    if first is not None:
        return first.route.hosting
    return "own" if situation.facts.privacy == "stays_inside" else "vendor_api"


def _report(situation: Situation, entry: Ranked, verdict: Verdict) -> RouteReport:
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
        latency_s=entry.seconds,
        quality=verdict.quality.interval(route),
        quality_note=verdict.quality.note(route),
        dominated_by=dominated_by(entry, verdict.ranked),
        warnings=tuple(route_warnings(situation, entry)),
    )
