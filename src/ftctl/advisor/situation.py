"""What is known, measured or assumed about one question: facts, features and defaults in one."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date

from ftctl.advisor.types import Facts, Features
from ftctl.catalog.load import Catalog
from ftctl.catalog.types import Gpu
from ftctl.estimation.estimate import Assumption

# One reference request (break-even table of the research, 2026-11) where nobody said.
_INPUT_TOKENS, _OUTPUT_TOKENS = 1_000.0, 200.0
HORIZON_MONTHS = 12.0
VOLUME_RANGE = (10_000.0, 1_000_000.0)
ROWS_RANGE = (200.0, 2_000.0)
# The fit of tuning's lift predicts none above this score (0.556 / 0.616), so a good prompt that
# scores clearly more leaves nothing to tune for.
NOTHING_TO_GAIN = 0.95


@dataclass(frozen=True)
class Situation:
    """A question with its gaps filled, and a note of what filled each.

    `rows` and `requests` stay None when unknown: they are drawn from their ranges.
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
    runs_gpus: bool
    gpu: Gpu | None
    assumptions: tuple[Assumption, ...]

    def knows(self, name: str) -> bool:
        """Whether a value was named or measured, not filled in."""
        return any(note.name == name and note.origin != "prior" for note in self.assumptions)

    @property
    def measured(self) -> bool:
        """Whether anybody measured anything of the best prompt."""
        facts = self.facts
        flags = (facts.prompt_meets_quality, facts.prompt_meets_latency, facts.prompt_meets_cost)
        return facts.baseline_score is not None or any(flag is not None for flag in flags)

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
    def fresh_tokens(self) -> float:
        """Prompt tokens of a request that no cache holds."""
        return max(self.input_tokens - self.prefix_tokens, 0.0)


def settle(facts: Facts, features: Features | None, catalog: Catalog, as_of: date) -> Situation:
    """Fill what the user left out from the data file, else from a named default.

    Raises:
        UsageError: a card that the catalog doesn't know.
    """
    notes = [Assumption.from_user("as_of", as_of)]

    def choose(name: str, measured: float | None, said: float | None, default: float) -> float:
        if measured is not None:
            notes.append(_measured(name, measured))
            return measured
        if said is not None:
            notes.append(Assumption.from_user(name, f"{said:g}"))
            return said
        notes.append(Assumption.prior(name, f"{default:g}", "default; tell us yours"))
        return default

    seen = features
    rows = float(seen.effective_rows) if seen else facts.data_rows
    if rows is None:
        low, high = ROWS_RANGE
        notes.append(Assumption.prior("data_rows", f"{low:g} to {high:g}", "default range"))
    else:
        notes.append(
            _measured("data_rows", rows) if seen else Assumption.from_user("data_rows", f"{rows:g}")
        )
    if facts.requests_per_month is None:
        low, high = VOLUME_RANGE
        notes.append(
            Assumption.prior("requests_per_month", f"{low:g} to {high:g}", "default range")
        )
    else:
        notes.append(Assumption.from_user("requests_per_month", f"{facts.requests_per_month:g}"))
    months = choose("horizon_months", None, facts.horizon_months, HORIZON_MONTHS)
    return Situation(
        facts=facts,
        catalog=catalog,
        as_of=as_of,
        until=add_months(as_of, months),
        months=months,
        rows=rows,
        tasks=choose("distinct_tasks", _families(seen), facts.distinct_tasks, 1.0),
        requests=facts.requests_per_month,
        input_tokens=choose(
            "input_tokens",
            None if seen is None else seen.input_tokens_mean,
            facts.input_tokens,
            _INPUT_TOKENS,
        ),
        output_tokens=choose(
            "output_tokens",
            None if seen is None else seen.output_tokens_mean,
            facts.output_tokens,
            _OUTPUT_TOKENS,
        ),
        prefix_tokens=choose(
            "shared_prefix_tokens",
            None if seen is None else float(seen.shared_prefix_tokens),
            facts.shared_prefix_tokens,
            0.0,
        ),
        runs_gpus=_runs_gpus(facts, notes),
        gpu=catalog.get_gpu(facts.gpu) if facts.gpu else None,
        assumptions=tuple(notes),
    )


def add_months(day: date, months: float) -> date:
    """The day so many months later; a fraction counts thirty days to the month."""
    whole = int(min(months, 1200.0))
    index = day.year * 12 + day.month - 1 + whole
    year, month = divmod(index, 12)
    moved = date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
    return date.fromordinal(moved.toordinal() + round(30 * (min(months, 1200.0) - whole)))


def _families(features: Features | None) -> float | None:
    return None if features is None else max(1.0, float(round(features.output_families)))


def _measured(name: str, value: float) -> Assumption:
    return Assumption(
        name=name, value=f"{value:g}", origin="measured", as_of=None, source="your data file"
    )


def _runs_gpus(facts: Facts, notes: list[Assumption]) -> bool:
    if facts.runs_gpus is not None:
        notes.append(Assumption.from_user("runs_gpus", facts.runs_gpus))
        return facts.runs_gpus
    if facts.gpu is not None or facts.gpu_count:
        notes.append(Assumption.prior("runs_gpus", True, "you name cards that you have"))
        return True
    notes.append(Assumption.prior("runs_gpus", False, "nobody said that GPUs serve production"))
    return False
