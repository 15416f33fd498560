"""Which cheap test would settle what is too close to call."""

from typing import Literal

from ftctl.advisor.decide import Verdict
from ftctl.advisor.situation import BASELINE_N, Situation

# Score the best prompt; say what only the user knows; ask for prices; try retrieval; tune a little.
Test = Literal["score", "tell", "quote", "retrieve", "tune"]


def cheapest_test(situation: Situation, verdict: Verdict) -> Test:
    """The first of the tests, cheapest first, that bears on the two routes ahead."""
    facts = situation.facts
    pair = [entry.route.tuned for entry in verdict.ranked[:2]]
    if verdict.leading != "none" and all(pair):
        return "tell" if untold(situation) else "quote"
    scored = facts.baseline_score is not None and situation.baseline_n >= BASELINE_N
    if verdict.leading == "none" or not scored:
        return "score"
    return "tune" if any(pair) else "retrieve"


def untold(situation: Situation) -> list[str]:
    """The facts that decide between a vendor's card and one's own, and that nobody said."""
    names = ("runs_gpus", "requests_per_month")
    return [name for name in names if getattr(situation.facts, name) is None]
