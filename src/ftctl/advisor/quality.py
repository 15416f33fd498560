"""What a route scores: the best prompt's score, and what retrieval or tuning adds to it.

Quality, latency, cost and privacy are separate reasons and are never summed into one score of a
model; parity is a win for the last three.
"""

import numpy as np

from ftctl.advisor.draws import DRAWS, Array, Draws
from ftctl.advisor.routes import Route
from ftctl.advisor.situation import NOTHING_TO_GAIN, Situation
from ftctl.advisor.types import Piloted
from ftctl.estimation.estimate import Assumption, Estimate

# Lift of tuning over a good prompt that scores s, on tasks with one right answer: 0.556 − 0.616·s
# with error 0.12, halved for its age and selection. Re-analysis of LoRA Land's table 12 (31 tasks,
# leave-one-out; arXiv 2405.00732), 2026-11.
LIFT_AT_ZERO, LIFT_PER_POINT, LIFT_ERROR, SHRINK = 0.556, -0.616, 0.12, 0.5
# Rows at which half of the lift is reached: a prior out of 50 to 100 and 200 to 500.
HALF_ROWS = 100.0
# Scores this near count as equal.
PARITY = 0.02
# What missing a stated need costs on the scale of values, beside how far it is missed.
MISSED = 0.5

_JUDGEABLE = ("classification", "extraction", "tool_use", "qa")


def judgeable(situation: Situation) -> bool:
    """Whether answers are right or wrong, so that the fit on scores may be used."""
    facts = situation.facts
    return facts.baseline_score is not None and (
        facts.task_kind is None or facts.task_kind in _JUDGEABLE
    )


def wilson(score: float, n: int, deviates: Array) -> Array:
    """The true score behind one measured on `n` examples, at standard normal deviates.

    The end of Wilson's interval of that deviate (E. B. Wilson, JASA 22, 1927): 0.975 of the
    deviates below 1.96 give the usual 95 % interval, and all stay between 0 and 1.
    """
    square = deviates**2 / n
    spread = deviates * np.sqrt(score * (1 - score) / n + square / (4 * n))
    return np.asarray(np.clip((score + square / 2 + spread) / (1 + square), 0, 1))


def pilot_of(situation: Situation, route: Route) -> Piloted | None:
    """The pilot with the most rows of an open model's route, tuned or as it is, or None.

    A pilot without retrieval says nothing of a route that begins with it.
    """
    if "rag" in route.adaptation or not (route.tuned or route.hosting == "own"):
        return None
    piloted = [one for one in situation.facts.piloted or () if one.model == route.model.name]
    return max(piloted, key=lambda one: one.rows, default=None)


def pilot_note(pilot: Piloted) -> Assumption:
    """What a pilot measured, as what an answer rests on."""
    return Assumption(
        name=f"score of {pilot.model}",
        value=f"{pilot.untuned:g} untuned, {pilot.score:g} after {pilot.rows:,} rows, on {pilot.n}",
        origin="measured",
        as_of=None,
        source="ftctl pilot",
    )


class Quality:
    """Scores in every draw: of the prompt, of the target, and of each route."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        self._situation = draws.situation
        self.prompt = self._prompt()
        self.target = self._target()

    def of(self, route: Route) -> Array:
        """The score a route reaches in every draw."""
        pilot = pilot_of(self._situation, route)
        if pilot is not None:
            seen = pilot.score if route.tuned else pilot.untuned
            return wilson(seen, pilot.n, self._draws.normal("pilot"))
        score = self.prompt
        if "rag" in route.adaptation:
            found = self._draws.uniform("retrieval", 0.5, 1.3) * self._draws.knowledge
            score = score + found * np.maximum(self.target - score, 0)
        if route.tuned:
            score = score + self._tuning_gain()
        inside = not route.tuned and self._situation.inside
        if route.hosting != "vendor_api" and route.model.open_weights and not inside:
            # A small open model for a vendor's large one: no better, perhaps worse. Tuning makes up
            # for it, but where facts are what is missing not for what the model doesn't know.
            left = self._draws.knowledge * self._situation.needs_knowledge if route.tuned else 1.0
            score = score - left * self._draws.uniform("own_prompt", 0.0, 0.15)
        return np.asarray(np.clip(score, 0, 1))

    def interval(self, route: Route) -> Estimate | None:
        """P10, P50 and P90 of the score; None where only a pilot could say."""
        pilot = pilot_of(self._situation, route)
        if pilot is None and self._situation.facts.baseline_score is None:
            return None
        if pilot is None and route.tuned and not judgeable(self._situation):
            return None
        low, likely, high = np.quantile(self.of(route), [0.1, 0.5, 0.9]).round(4)
        basis = self._basis() if pilot is None else pilot_note(pilot)
        return Estimate(low=low, likely=likely, high=high, unit="score", basis=(basis,))

    def note(self, route: Route) -> str:
        """Where the interval comes from, or why there is none."""
        pilot = pilot_of(self._situation, route)
        if pilot is not None:
            return f"measured by a pilot on {pilot.rows:,} rows" if route.tuned else "measured"
        if self._situation.facts.baseline_score is None:
            return "no baseline score, so no figure"
        if not route.tuned:
            return "the prompt's own score" if route.label == "prompt" else "a prior for retrieval"
        if not judgeable(self._situation):
            return "pilot needed: lift on free text or code can't be predicted"
        return "fit on 31 published tasks, halved, times rows / (rows + 100)"

    def sure(self) -> float:
        """Share of draws in which the measured score is truly good enough; 1 where none is."""
        facts = self._situation.facts
        if facts.baseline_score is None:
            return 1.0
        need = NOTHING_TO_GAIN if self._situation.nothing_to_gain else facts.target_score or 0.0
        return round(float(np.mean(self.prompt >= need - PARITY)), 4)

    def value(self, route: Route) -> Array:
        """Fixed anchors: 1 at the target, 0 at 0.25 below and on, half a step less when missed."""
        gap = self.target - self.of(route)
        missed = gap > PARITY
        return np.asarray(1 - np.maximum(gap, 0) / 0.25 - MISSED * missed)

    def _prompt(self) -> Array:
        facts = self._situation.facts
        if facts.baseline_score is None:
            high = 0.95 if self._situation.quality_met else 0.9
            return self._draws.uniform("prompt", 0.55, high)
        return wilson(
            facts.baseline_score, self._situation.baseline_n, self._draws.normal("prompt")
        )

    def _target(self) -> Array:
        facts = self._situation.facts
        situation, said = self._situation, facts.target_score
        by_word = situation.quality_met and (facts.baseline_score is None or said is None)
        if by_word or situation.nothing_to_gain:
            return np.minimum(self.prompt, 1.0 if said is None else said)
        if said is not None:
            return np.full(DRAWS, said)
        if facts.prompt_meets_quality is False:
            return np.clip(self.prompt + self._draws.uniform("gap", 0.05, 0.25), 0, 1)
        if facts.baseline_score is None and situation.measured:
            return self.prompt  # cost or latency is what is missed; of quality nobody complains
        # Tuning for quality paid where a good prompt scored below 0.80 (16 tasks, 15 gained).
        return self._draws.uniform("target", 0.80, 0.92)

    def _tuning_gain(self) -> Array:
        share = self._draws.rows / (self._draws.rows + HALF_ROWS) * (1 - self._draws.knowledge)
        fit = LIFT_AT_ZERO + LIFT_PER_POINT * self.prompt
        lift = SHRINK * (fit + LIFT_ERROR * self._draws.normal("lift"))
        if judgeable(self._situation) or self._situation.quality_met:
            return np.asarray(lift * share)
        # Nobody can predict free text: some part of the gap, more of it where the failures are of
        # form and tone than where they are of reasoning.
        part = self._draws.uniform("closure", 0.4, 1.4) * self._fixable()
        return np.asarray(part * share * np.maximum(self.target - self.prompt, 0))

    def _fixable(self) -> float:
        facts = self._situation.facts
        mix = facts.failure_mix
        form = mix.share("format", "tone") if mix else 0.0
        if facts.task_kind == "code" and form < 0.5 and not self._situation.inside:
            return 0.0  # tuned small models lost 0.40 to a vendor's on general code
        rest = form + mix.share("reasoning") if mix else 0.0
        if mix is None or rest == 0:
            return 0.9
        return (form + 0.5 * mix.share("reasoning")) / rest

    def _basis(self) -> Assumption:
        facts = self._situation.facts
        said = "" if facts.baseline_n else " (assumed)"
        value = f"{facts.baseline_score:g} on {self._situation.baseline_n}{said}"
        return Assumption.from_user("baseline_score", value)
