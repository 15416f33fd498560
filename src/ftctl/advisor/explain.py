"""The words: one line of reason with the warnings that apply, and the assumptions behind it."""

from collections.abc import Callable, Iterable, Sequence

from ftctl.advisor.bases import licence_conditions
from ftctl.advisor.cautions import cautions
from ftctl.advisor.decide import Verdict
from ftctl.advisor.gates import MIN_ROWS, cheapest_too_dear
from ftctl.advisor.latency import probe_of
from ftctl.advisor.money import usd_text
from ftctl.advisor.quality import pilot_note, pilot_of
from ftctl.advisor.rank import Ranked
from ftctl.advisor.situation import BASELINE_N, NOTHING_TO_GAIN, Situation
from ftctl.advisor.tie_break import cheapest_test, untold
from ftctl.advisor.types import Probed, Rejected
from ftctl.estimation.estimate import Assumption

# Answers so short are a label.
NARROW_TOKENS = 16

# Gates at which a vendor is closed whatever the question is.
_CLOSED_TO_ALL = ("availability", "lifecycle", "price")
_ROUTE_WORDS = {
    "none": "doing nothing",
    "prompt": "a prompt",
    "rag": "retrieval",
    "hosted": "tuning at a vendor",
    "self_hosted": "tuning on your own GPUs",
}


def reason(situation: Situation, verdict: Verdict) -> str:
    """Why, in one line: what decides, then the warnings that apply."""
    say = {
        "none": _none,
        "prompt": _prompt,
        "rag": _rag,
        "hosted": _tune,
        "self_hosted": _tune,
        "measure_first": _measure,
        "too_close": _close,
    }[verdict.decision]
    said = say(situation, verdict)
    rows = f"{situation.rows:g} distinct examples" if situation.rows is not None else ""
    few = situation.rows is not None and situation.rows < MIN_ROWS and rows not in said
    more = [f"{rows} are too few to tune on."] if few else []
    return " ".join([said, *more, *cautions(situation, verdict)])


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
        probe = probe_of(situation, entry.route)
        if probe is not None:
            notes.append(_probe_note(probe))
        pilot = pilot_of(situation, entry.route)
        if pilot is not None:
            notes.append(pilot_note(pilot))
        if entry.route.price is not None and not entry.route.model.alive(situation.as_of):
            why = "the catalog knows no prompted model of that day"
            notes.append(Assumption.prior("prompted model", f"{entry.route.model.name}", why))
        model = entry.route.model
        terms = licence_conditions(model)
        if terms is not None and (
            entry.route.hosting == "own" or entry.route.provider.weights_returned
        ):
            notes.append(Assumption.from_fact(f"licence of {model.title}", terms, model))
        if entry.route.tunable is not None:
            name = f"{model.name} at {entry.route.provider.name}"
            notes.append(Assumption.from_fact(name, "can be tuned there", entry.route.tunable))
        notes += entry.cost.basis
    return tuple(dict.fromkeys(notes))


def _probe_note(probe: Probed) -> Assumption:
    on = f" on {probe.device}" if probe.device else ""
    return Assumption(
        name=f"latency of {probe.model} at {probe.provider}{on}",
        value=f"{probe.p95_s:.3g} s (p95, {probe.output_tokens} tokens)",
        origin="measured",
        as_of=probe.on,
        source="ftctl probe",
    )


def _none(situation: Situation, verdict: Verdict) -> str:
    if not situation.settled:
        return _no_route(situation, verdict)
    score, target = situation.facts.baseline_score, situation.facts.target_score
    if score is None:
        return "You say that the best prompt meets quality, latency and cost: do nothing."
    if target is not None and score >= target:
        met = f", the target is {target:g},"
    elif situation.nothing_to_gain:
        met = ", where tuning is predicted to add nothing,"
    else:
        met = ", which you say is enough,"
    return f"The best prompt scores {score:g}{met} and it is fast and cheap enough: do nothing."


def _no_route(situation: Situation, verdict: Verdict) -> str:
    dear = cheapest_too_dear(verdict.rejected)
    if dear is None:
        gates = _gates(verdict.rejected)
        return f"No route passes the gates ({gates}); each is listed with its reason."
    cost, line = dear
    return (
        "No route that passes the other gates fits the budget of "
        f"{usd_text(situation.facts.budget_usd_per_month or 0.0)} USD a month: the cheapest is "
        f"{_ROUTE_WORDS[line.route]} ({line.provider} {line.model}), at least {usd_text(cost.low)}."
    )


def _prompt(situation: Situation, verdict: Verdict) -> str:
    first = verdict.ranked[0]
    where = _where(situation, first) if first.route.hosting == "own" else "at a vendor's API"
    tuned = [entry for entry in verdict.ranked if entry.route.tuned]
    if not tuned:
        why = _why_not_tuned(situation, verdict.rejected)
        return f"Prompt {where}: tuning is ruled out ({why})."
    mine, theirs = (entry.cost.interval().likely for entry in (first, tuned[0]))
    if theirs <= mine:
        enough = "it reaches the quality, and " if situation.quality_met else ""
        return f"Prompt {where}: {enough}it wins {first.share:.0%} of draws."
    if situation.facts.prompt_meets_cost is False:
        gain = "you say that it costs too much, but tuning costs more:"
    elif situation.quality_met:
        gain = "it reaches the quality, and tuning isn't worth"
    else:
        gain = "what tuning may add in quality isn't worth"
    return f"Prompt {where}: {gain} about {usd_text(theirs)} USD a month against {usd_text(mine)}."


def _why_not_tuned(situation: Situation, rejected: Iterable[Rejected]) -> str:
    """The reason where one gate closes all, else the gates of vendors and of one's own GPUs.

    What is closed to everybody says nothing where more than that is closed.
    """
    lines = [line for line in rejected if line.route in ("hosted", "self_hosted")]
    lines = [line for line in lines if line.gate not in _CLOSED_TO_ALL] or lines
    if len({line.gate for line in lines}) == 1:
        dear = cheapest_too_dear(lines)
        return dear[1].reason if dear else max(lines, key=_context_of(situation)).reason
    places = {"at a vendor": "hosted", "on your own GPUs": "self_hosted"}
    named = {
        place: _gates(line for line in lines if line.route == route)
        for place, route in places.items()
    }
    return "; ".join(f"{place}: {gates}" for place, gates in named.items() if gates)


def _context_of(situation: Situation) -> Callable[[Rejected], int]:
    return lambda line: situation.catalog.get_model(line.model).context or 0


def _gates(lines: Iterable[Rejected]) -> str:
    return ", ".join(dict.fromkeys(line.gate for line in lines))


def _rag(situation: Situation, verdict: Verdict) -> str:
    mix, changes = situation.facts.failure_mix, situation.facts.knowledge_changes
    known = mix.share("knowledge") if mix else 0.0
    causes = [f"{known:.0%} of failures come from missing facts"] if known else []
    if changes in ("monthly", "daily"):
        causes.append(f"the facts change {changes}")
    if not situation.needs_knowledge:
        cause = " and ".join(causes) or f"{situation.facts.task_kind} may fail for missing facts"
        return f"Retrieval: {cause}, and it wins {verdict.confidence:.0%} of draws."
    said = f"Retrieval first: {' and '.join(causes)}, and tuning teaches form, not facts."
    tuned = sum(entry.share for entry in verdict.ranked if entry.route.tuned)
    if tuned < 0.2:
        return said
    return f"{said} Measure again after it: tuning on top wins {tuned:.0%} of draws."


def _tune(situation: Situation, verdict: Verdict) -> str:
    first = verdict.ranked[0]
    prompted = [entry for entry in verdict.ranked if not entry.route.tuned]
    why = _reasons_to_tune(situation)
    if not prompted and not why:
        why = ["no route without tuning passes the gates"]
    before = "Add retrieval, then tune" if "rag" in first.route.adaptation else "Tune"
    because = "; ".join(why) or f"it wins {verdict.confidence:.0%} of draws"
    return f"{before} {_where(situation, first)}: {because}."


def _reasons_to_tune(situation: Situation) -> list[str]:
    """Those that hold; a narrow task is one beside another."""
    facts = situation.facts
    late = facts.prompt_meets_latency is False
    score = facts.baseline_score
    alone = score is not None and facts.target_score is None and facts.prompt_meets_quality is None
    named = {
        "the best prompt misses the quality": situation.quality_missed,
        f"the best prompt scores only {score}": alone and not situation.nothing_to_gain,
        "you say that the best prompt is too slow": late,
        "a small model that is tuned can be as good and faster": late and situation.quality_met,
        "you say that the best prompt costs too much": facts.prompt_meets_cost is False,
        "prompting is impractical": facts.prompt_limit is True,
        "data privacy, as rows must stay inside": situation.inside,
    }
    why = [words for words, holds in named.items() if holds]
    narrow = _narrow(situation)
    return [*why, narrow] if narrow is not None and why else why


def _narrow(situation: Situation) -> str | None:
    """What makes the task very narrow: a closed set of answers, or a word or two."""
    if situation.tasks >= 2:
        return None
    if situation.labels is not None:
        return f"the task is very narrow ({situation.labels} different answers)"
    short = situation.knows("output_tokens") and situation.output_tokens <= NARROW_TOKENS
    if short and situation.facts.task_kind in ("classification", "extraction"):
        return f"the task is very narrow (answers of {situation.output_tokens:g} tokens)"
    return None


def _where(situation: Situation, first: Ranked) -> str:
    if first.route.hosting == "own":
        serve = "your own GPUs, which already serve"
        return f"on {serve if situation.runs_gpus else 'GPUs of your own, the first in production'}"
    return f"at {first.route.provider.title}"


def _measure(_situation: Situation, _verdict: Verdict) -> str:
    return (
        "Measure first: the answer turns on quality, and nobody has scored a good prompt on your "
        f"own examples ({BASELINE_N} or more)."
    )


def _close(situation: Situation, verdict: Verdict) -> str:
    test = {
        "score": f"score the best prompt on {BASELINE_N} or more held-out examples",
        "tell": _ask_for(untold(situation)),
        "quote": "ask for the vendor's price, and time your requests on one card",
        "retrieve": "try retrieval on the examples that fail, and score both",
        "tune": "tune a small model on your rows and score it on the same examples",
    }[cheapest_test(situation, verdict)]
    if verdict.leading == "none":
        facts = situation.facts
        need = NOTHING_TO_GAIN if situation.nothing_to_gain else facts.target_score
        said = f"whether the best prompt truly reaches {need:g} (it does in "
        between = f"{said}{verdict.confidence:.0%} of draws)"
        return f"Too close to call {between}; the cheapest test: {test}."
    pair = verdict.ranked[:2]
    names = [f"{_ROUTE_WORDS[entry.route.label]} ({entry.share:.0%})" for entry in pair]
    return f"Too close to call between {' and '.join(names)}; the cheapest test: {test}."


def _ask_for(names: Sequence[str]) -> str:
    words = {
        "runs_gpus": "whether GPUs already serve production",
        "requests_per_month": "how many requests come a month",
    }
    return "say " + ", and ".join(words[name] for name in names)
