"""The decision alone: what is already met, the gates, then which route wins how many draws."""

from dataclasses import dataclass

from ftctl.advisor.gates import sift
from ftctl.advisor.quality import Quality
from ftctl.advisor.rank import Ranked, Ranking
from ftctl.advisor.situation import Situation
from ftctl.advisor.types import Decision, Label, Rejected

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
    quality: Quality

    @property
    def first(self) -> Ranked | None:
        """The route to show: the one that leads, or a prompted one where nothing need be done."""
        if self.leading == "none":
            prompted = [entry for entry in self.ranked if not entry.route.tuned]
            return prompted[0] if prompted else None
        return self.ranked[0]


def decide(situation: Situation, *, explain: bool = True) -> Verdict:
    """The decision alone: gates, what is already met, the knowledge gate, then the draws.

    Without `explain` it names no rejected route.
    """
    routes, rejected = sift(situation, explain=explain)
    ranking = Ranking(situation, routes)
    ranked = ranking.ranked

    def found(decision: Decision, leading: Label, confidence: float) -> Verdict:
        return Verdict(decision, leading, confidence, ranked, rejected, ranking.quality)

    if situation.settled:
        sure = ranking.quality.sure()
        return found("none" if sure >= SURE else "too_close", "none", sure)
    if not ranked:
        return found("none", "none", 1.0)
    first = ranked[0]
    label, share = first.route.label, round(first.share, 4)
    # Where facts are missing every route begins with retrieval: that step is settled.
    step_settled = situation.needs_knowledge and label == "rag"
    # Quality decides only between routes that tune and routes that don't.
    open_question = len({entry.route.tuned for entry in ranked}) == 2
    if not situation.measured and open_question and not situation.needs_knowledge:
        return found("measure_first", label, share)
    if share < SURE and not step_settled:
        return found("too_close", label, share)
    return found(label, label, share)
