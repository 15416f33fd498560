"""The words: one line of reason, the assumptions behind it, the next commands to type."""

from collections.abc import Sequence

from ftctl.advisor.gates import MIN_ROWS
from ftctl.advisor.rank import Ranked
from ftctl.advisor.routes import OWN_MODELS
from ftctl.advisor.situation import Situation
from ftctl.advisor.types import Decision, Rejected
from ftctl.estimation.estimate import Assumption

_ROUTE_WORDS = {
    "none": "doing nothing",
    "prompt": "a prompt",
    "rag": "retrieval",
    "hosted": "tuning at a vendor",
    "self_hosted": "tuning on your own GPUs",
}


def reason(
    situation: Situation,
    decision: Decision,
    first: Ranked | None,
    ranked: Sequence[Ranked],
    rejected: Sequence[Rejected],
) -> str:
    """Why, in one line: what decides, then the warnings that apply."""
    said = {
        "none": _none,
        "prompt": _prompt,
        "rag": _rag,
        "hosted": _tune,
        "self_hosted": _tune,
        "measure_first": _measure,
        "too_close": _close,
    }[decision](situation, first, ranked, rejected)
    return " ".join([said, *warnings(situation, first)])


def warnings(situation: Situation, first: Ranked | None) -> list[str]:
    """What the user should hear whatever the decision."""
    found = []
    facts = situation.facts
    if situation.tasks >= 2:
        found.append(
            f"{situation.tasks:g} unrelated tasks: tune one model for each, not one for all."
        )
    if situation.rows is not None and situation.rows < MIN_ROWS:
        found.append(f"{situation.rows:g} distinct examples are too few to tune on.")
    if facts.regions:
        found.append("Regions aren't checked: the catalog doesn't know them yet.")
    budget = facts.budget_usd_per_month
    if first is not None and budget is not None:
        likely = first.cost.interval().likely
        if likely > budget:
            found.append(f"It likely costs {likely:,.0f} USD a month, above your {budget:,.0f}.")
    return found


def assumptions(situation: Situation, ranked: Sequence[Ranked]) -> tuple[Assumption, ...]:
    """Every value the answer rests on, once, the user's and measured ones first."""
    facts = situation.facts
    flags = ("prompt_meets_quality", "prompt_meets_latency", "prompt_meets_cost")
    said = [
        *flags,
        "baseline_score",
        "target_score",
        "privacy",
        "latency_p95_s",
        "knowledge_changes",
    ]
    notes = [
        Assumption.from_user(name, getattr(facts, name))
        for name in said
        if getattr(facts, name) is not None
    ]
    if facts.baseline_n is not None:
        notes.append(Assumption.from_user("baseline_n", facts.baseline_n))
    elif facts.baseline_score is not None:
        why = "nobody said on how many examples the score stands"
        notes.append(Assumption.prior("baseline_n", situation.baseline_n, why))
    if facts.privacy is None:
        notes.append(Assumption.prior("privacy", "vendors allowed", "nobody set a privacy class"))
    notes += situation.assumptions
    for entry in ranked:
        if entry.route.price is not None and not entry.route.model.alive(situation.as_of):
            why = "the catalog knows no prompted model of that day"
            notes.append(Assumption.prior("prompted model", f"{entry.route.model.name}", why))
        notes += entry.cost.basis
    return tuple(dict.fromkeys(notes))


def next_commands(
    situation: Situation, decision: Decision, first: Ranked | None
) -> tuple[str, ...]:
    """The commands to type next, in order; only commands that exist."""
    data = situation.facts.data or "FILE"
    # The base to tune: a vendor's own model can't be scored from here yet.
    model = first.route.model.name if first and first.route.model.open_weights else OWN_MODELS[0]
    measure = (
        f"ftctl data split {data}",
        f"ftctl eval {model} --data test.jsonl --grader exact",
    )
    if decision in ("measure_first", "too_close"):
        ask = "--baseline-score SCORE --baseline-n N --target-score TARGET"
        return (f"ftctl data check {data}", *measure, f"ftctl advise --data {data} {ask}")
    if decision == "self_hosted":
        return (
            f"ftctl data check {data} --for local",
            f"ftctl data split {data}",
            f"ftctl submit --provider local --model {model} --data train.jsonl",
        )
    if decision == "hosted" and first is not None:
        return (
            f"ftctl data check {data}",
            f"ftctl data split {data}",
            f"ftctl providers {first.route.provider.name}",
        )
    if decision == "none":
        return (f"ftctl advise --data {data}",) if first is None else ()
    return measure


def _none(
    situation: Situation,
    first: Ranked | None,
    _ranked: Sequence[Ranked],
    rejected: Sequence[Rejected],
) -> str:
    dear = [line for line in rejected if line.usd_per_month is not None]
    if first is None and dear and not situation.rest_met:
        return _too_dear(situation, dear)
    if first is None and not situation.rest_met:
        gates = ", ".join(dict.fromkeys(line.gate for line in rejected))
        return f"No route passes the gates ({gates}); each is listed with its reason."
    score = situation.facts.baseline_score
    if score is not None:
        return (
            f"The best prompt scores {score:g} and is fast and cheap enough: "
            "there is nothing that tuning would earn."
        )
    return "The best prompt already meets quality, latency and cost: do nothing."


def _too_dear(situation: Situation, dear: Sequence[Rejected]) -> str:
    cost, line = min(
        ((line.usd_per_month, line) for line in dear if line.usd_per_month is not None),
        key=lambda pair: pair[0].low,
    )
    budget = situation.facts.budget_usd_per_month or 0.0
    return (
        f"No route fits the budget of {budget:,.4g} USD a month: the cheapest is "
        f"{_ROUTE_WORDS[line.route]} ({line.provider} {line.model}), at least {cost.low:,.4g}."
    )


def _prompt(
    situation: Situation,
    first: Ranked | None,
    ranked: Sequence[Ranked],
    rejected: Sequence[Rejected],
) -> str:
    where = "on your own GPUs" if first and first.route.hosting == "own" else "at a vendor's API"
    tuned = [entry for entry in ranked if entry.route.tuned]
    if not tuned:
        closed = [line for line in rejected if line.route in ("hosted", "self_hosted")]
        why = closed[-1].reason if closed else "no route to tuning is open"
        return f"Prompt {where}: tuning is ruled out ({why})."
    if situation.quality_met:
        return f"Prompt {where}: a prompt reaches the quality, and tuning would only add cost."
    cost = tuned[0].cost.interval().likely
    return (
        f"Prompt {where}: what tuning may add in quality isn't worth about {cost:,.0f} USD a month "
        "at this volume."
    )


def _rag(
    situation: Situation,
    _first: Ranked | None,
    _ranked: Sequence[Ranked],
    _rejected: Sequence[Rejected],
) -> str:
    changes = situation.facts.knowledge_changes
    if situation.needs_knowledge and changes in ("monthly", "daily"):
        cause = f"the facts change {changes}"
    else:
        cause = "failures come from facts that the model doesn't have"
    return f"Retrieval first: {cause}, and tuning teaches form, not facts."


def _tune(
    situation: Situation,
    first: Ranked | None,
    _ranked: Sequence[Ranked],
    _rejected: Sequence[Rejected],
) -> str:
    facts = situation.facts
    why = []
    if facts.prompt_meets_quality is False or (
        facts.target_score is not None and not situation.quality_met
    ):
        why.append("the best prompt misses the quality")
    if facts.prompt_meets_latency is False:
        why.append("it is too slow, and a small tuned model can be as good")
    if facts.prompt_meets_cost is False:
        why.append("it costs too much at this volume")
    if facts.prompt_limit:
        why.append("prompting is impractical")
    if facts.privacy == "stays_inside":
        why.append("rows must stay inside")
    before = "Add retrieval, then tune" if first and "rag" in first.route.adaptation else "Tune"
    where = _where(situation, first)
    because = "; ".join(why) or "it gains more than it costs in most draws"
    return f"{before} {where}: {because}."


def _where(situation: Situation, first: Ranked | None) -> str:
    if first is None:
        return ""
    if first.route.hosting == "own":
        return "on your own GPUs" + (", which already serve" if situation.runs_gpus else "")
    return f"at {first.route.provider.title}"


def _measure(
    _situation: Situation,
    _first: Ranked | None,
    _ranked: Sequence[Ranked],
    _rejected: Sequence[Rejected],
) -> str:
    return (
        "Measure first: the answer turns on quality, and nobody has scored a good prompt on your "
        "own examples (100 or more)."
    )


def _close(
    situation: Situation,
    _first: Ranked | None,
    ranked: Sequence[Ranked],
    _rejected: Sequence[Rejected],
) -> str:
    pair = ranked[:2]
    names = [f"{_ROUTE_WORDS[entry.route.label]} ({entry.share:.0%})" for entry in pair]
    if all(entry.route.tuned for entry in pair):
        test = "say whether GPUs already serve production, and how many requests come a month"
    elif situation.facts.baseline_score is None:
        test = "score the best prompt on 100 or more held-out examples"
    else:
        test = "tune a small model on your rows and score it on the same examples"
    return f"Too close to call between {' and '.join(names)}; the cheapest test: {test}."
