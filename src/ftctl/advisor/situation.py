"""What is known, measured or assumed about one question: facts, features and defaults in one."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import MAXYEAR, date, timedelta
from functools import cached_property

from ftctl.advisor.types import Facts, Features
from ftctl.catalog.load import Catalog
from ftctl.catalog.types import Gpu
from ftctl.estimation.estimate import Assumption
from ftctl.policy import Availability

# One reference request (break-even table of the research, 2026-11) where nobody said.
_INPUT_TOKENS, _OUTPUT_TOKENS = 1_000.0, 200.0
HORIZON_MONTHS = 12.0
VOLUME_RANGE = (10_000.0, 1_000_000.0)
ROWS_RANGE = (200.0, 2_000.0)
# The fit of tuning's lift predicts none above this score (0.556 / 0.616), so a good prompt that
# scores clearly more leaves nothing to tune for.
NOTHING_TO_GAIN = 0.95
# The research asks for a score on at least so many examples, so one without a number gets these.
BASELINE_N = 100


@dataclass(frozen=True)
class Situation:
    """A question with its gaps filled, and a note of what filled each.

    `rows` and `requests` stay None when unknown: they are drawn from their ranges. `p95_tokens` is
    what 95 % of a file's requests stay below, prompt and answer; `labels` and `majority` are the
    number of answers of a closed set and the share of the most common one; `personal` counts what
    looks like personal data or a secret.
    """

    facts: Facts
    catalog: Catalog
    as_of: date
    until: date
    months: float
    rows: float | None
    tasks: float
    requests: float | None
    input_tokens: float
    output_tokens: float
    prefix_tokens: float
    p95_tokens: float | None
    labels: int | None
    majority: float | None
    personal: int
    runs_gpus: bool
    gpu: Gpu | None
    assumptions: tuple[Assumption, ...]

    @cached_property
    def availability(self) -> dict[str, Availability]:
        """Who takes jobs on the day, by provider, as far as it was asked."""
        return {}

    def knows(self, name: str) -> bool:
        """Whether a value was named or measured, not filled in."""
        return any(note.name == name and note.origin != "prior" for note in self.assumptions)

    @property
    def inside(self) -> bool:
        """Whether rows must stay inside, so that the best prompt is one of a model that does."""
        return self.facts.privacy == "stays_inside"

    @property
    def measured(self) -> bool:
        """Whether anybody measured anything of the best prompt."""
        facts = self.facts
        flags = (facts.prompt_meets_quality, facts.prompt_meets_latency, facts.prompt_meets_cost)
        return facts.baseline_score is not None or any(flag is not None for flag in flags)

    @property
    def baseline_n(self) -> int:
        """Examples that the measured score stands on; 100 where nobody said."""
        return self.facts.baseline_n or BASELINE_N

    @property
    def quality_met(self) -> bool:
        """Whether the best prompt reaches the target; two numbers beat the user's yes or no."""
        facts = self.facts
        if facts.baseline_score is not None and facts.target_score is not None:
            return facts.baseline_score >= facts.target_score
        return bool(facts.prompt_meets_quality)

    @property
    def nothing_to_gain(self) -> bool:
        """Whether the measured score is so high that tuning is predicted to lose."""
        score = self.facts.baseline_score
        return score is not None and score >= NOTHING_TO_GAIN

    @property
    def rest_met(self) -> bool:
        """Whether the best prompt is known to be fast and cheap enough."""
        facts = self.facts
        return facts.prompt_meets_latency is True and facts.prompt_meets_cost is True

    @property
    def quality_missed(self) -> bool:
        """Whether the best prompt is known to miss the target; two numbers beat the word."""
        facts = self.facts
        if facts.baseline_score is not None and facts.target_score is not None:
            return facts.baseline_score < facts.target_score
        return facts.prompt_meets_quality is False

    @property
    def settled(self) -> bool:
        """Whether the best prompt already meets quality, latency and cost: nothing need be done.

        A measured score with nothing left to gain settles quality by itself; the user's word or a
        score above the target does so only while failures don't come from missing facts.
        """
        if not self.rest_met:
            return False
        return self.nothing_to_gain or (self.quality_met and not self.needs_knowledge)

    @property
    def needs_knowledge(self) -> bool:
        """Whether failures come from missing or changing facts: then retrieval comes first."""
        changing = self.facts.knowledge_changes in ("monthly", "daily")
        mix = self.facts.failure_mix
        if mix is None or mix.share("knowledge", "format", "reasoning", "tone") == 0:
            return changing
        return mix.share("knowledge") >= (0.2 if changing else 0.5)

    @property
    def may_need_knowledge(self) -> bool:
        """Whether anything points to missing facts; else retrieval has nothing to mend."""
        mix = self.facts.failure_mix
        if mix is not None and mix.share("knowledge", "format", "reasoning", "tone") > 0:
            return self.needs_knowledge or mix.share("knowledge") >= 0.2
        return self.needs_knowledge or self.facts.task_kind in ("qa", "dialogue")

    @property
    def longest_tokens(self) -> float:
        """Tokens that a context must hold: of nearly all requests where a file shows it."""
        return max(self.p95_tokens or 0.0, self.input_tokens + self.output_tokens)

    @property
    def fresh_tokens(self) -> float:
        """Prompt tokens of a request that no cache holds."""
        return max(self.input_tokens - self.prefix_tokens, 0.0)


def settle(facts: Facts, features: Features | None, catalog: Catalog, as_of: date) -> Situation:
    """Fill what the user left out from the data file, else from a named default.

    Raises:
        UsageError: a card that the catalog doesn't know.
    """
    asked = facts.as_of is not None
    today = Assumption.prior("as_of", as_of, "the day of the question")
    notes = [Assumption.from_user("as_of", as_of) if asked else today]
    measured = _measured_values(features)

    def choose(name: str, said: float | None, default: float) -> float:
        seen = measured.get(name)
        value = seen if seen is not None else said if said is not None else default
        notes.append(_note(name, seen, said, f"{default:g}"))
        return value

    def choose_range(name: str, said: float | None, low: float, high: float) -> float | None:
        seen = measured.get(name)
        notes.append(_note(name, seen, said, f"{low:,.0f} to {high:,.0f}"))
        return seen if seen is not None else said

    prefix_tokens = choose("shared_prefix_tokens", facts.shared_prefix_tokens, 0.0)
    input_tokens = choose("input_tokens", facts.input_tokens, _INPUT_TOKENS + prefix_tokens)
    output_tokens = choose("output_tokens", facts.output_tokens, _OUTPUT_TOKENS)
    p95 = None
    if features is not None:
        p95 = features.p95_input_tokens + features.p95_output_tokens
        notes += _seen(features)
    months = choose("horizon_months", facts.horizon_months, HORIZON_MONTHS)
    return Situation(
        facts=facts,
        catalog=catalog,
        as_of=as_of,
        until=add_months(as_of, months),
        months=months,
        rows=choose_range("data_rows", facts.data_rows, *ROWS_RANGE),
        tasks=choose("distinct_tasks", facts.distinct_tasks, 1.0),
        requests=choose_range("requests_per_month", facts.requests_per_month, *VOLUME_RANGE),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        prefix_tokens=prefix_tokens,
        p95_tokens=p95,
        labels=features.label_count if features else None,
        majority=features.majority_share if features else None,
        personal=features.pii_hits + features.secret_hits if features else 0,
        runs_gpus=_runs_gpus(facts, notes),
        gpu=catalog.get_gpu(facts.gpu) if facts.gpu else None,
        assumptions=tuple(notes),
    )


def add_months(day: date, months: float) -> date:
    """The day so many months later, or the last one; a fraction counts thirty days to the month."""
    whole = int(min(months, 1200.0))
    index = day.year * 12 + day.month - 1 + whole
    year, month = divmod(index, 12)
    if year >= MAXYEAR:
        return date.max
    moved = date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
    return moved + timedelta(days=round(30 * (min(months, 1200.0) - whole)))


def _measured_values(features: Features | None) -> dict[str, float]:
    """What a data file showed, by the names of the facts; its word is better than the user's."""
    if features is None:
        return {}
    return {
        "data_rows": float(features.effective_rows),
        "distinct_tasks": max(1.0, float(round(features.output_families))),
        "input_tokens": features.mean_input_tokens,
        "output_tokens": features.mean_output_tokens,
        "shared_prefix_tokens": float(features.shared_prefix_tokens),
    }


def _seen(features: Features) -> list[Assumption]:
    """What a file showed besides facts that a user could have named."""
    families, labels = features.output_families, features.label_count
    shown = {
        "output_shapes": f"{families:.2f} kinds of answers (2 to the entropy)",
        "longest_request": f"{features.p95_input_tokens:g} tokens in and "
        f"{features.p95_output_tokens:g} out cover 95 %",
        "labels": "answers form no closed set"
        if labels is None
        else f"{labels} answers, the most common {features.majority_share or 0:.0%}",
        "personal_data": f"{features.pii_hits} texts with addresses or numbers, "
        f"{features.secret_hits} with secrets; names aren't looked for",
    }
    return [
        Assumption(name=name, value=value, origin="measured", as_of=None, source="your data file")
        for name, value in shown.items()
    ]


def _note(name: str, seen: float | None, said: float | None, default: str) -> Assumption:
    if seen is not None:
        return Assumption(
            name=name, value=f"{seen:g}", origin="measured", as_of=None, source="your data file"
        )
    if said is not None:
        return Assumption.from_user(name, f"{said:g}")
    return Assumption.prior(name, default, "default; tell us yours")


def _runs_gpus(facts: Facts, notes: list[Assumption]) -> bool:
    if facts.runs_gpus is not None:
        notes.append(Assumption.from_user("runs_gpus", facts.runs_gpus))
        return facts.runs_gpus
    if facts.gpu is not None or facts.gpu_count:
        notes.append(Assumption.prior("runs_gpus", True, "you name cards that you have"))
        return True
    notes.append(Assumption.prior("runs_gpus", False, "nobody said that GPUs serve production"))
    return False
