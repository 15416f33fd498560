"""What the user should hear beside the reason: a sentence each, with the number behind it."""

import shlex
from collections.abc import Iterable, Iterator
from datetime import date

from ftctl.advisor.bases import first_day
from ftctl.advisor.decide import Verdict
from ftctl.advisor.latency import late, probe_of
from ftctl.advisor.money import usd_text
from ftctl.advisor.quality import pilot_of
from ftctl.advisor.rank import Ranked
from ftctl.advisor.routes import known_end
from ftctl.advisor.situation import BASELINE_N, Situation
from ftctl.advisor.types import Rejected
from ftctl.catalog.types import Model, OutputTerms

# Share of failures by missing facts from which they are worth a word beside tuning.
FEW_FACTS = 0.2
# Of the most common label, above which `data check` says that the others are hardly learnt.
LABEL_SHARE = 0.9


def cautions(situation: Situation, verdict: Verdict) -> list[str]:
    """What the user should hear whatever the decision."""
    facts = situation.facts
    found = _contradictions(situation)
    if situation.tasks >= 2:
        name = shlex.quote(facts.data or "FILE")
        found.append(
            f"{situation.tasks:g} unrelated tasks: tune one model for each, not one for all "
            f"(ftctl data split {name} --by task)."
        )
    found += _of_the_file(situation)
    mix = facts.failure_mix
    known = mix.share("knowledge") if mix else 0.0
    tuned_alone = verdict.first is not None and verdict.first.route.adaptation == ("tune",)
    if tuned_alone and known >= FEW_FACTS:
        found.append(
            f"{known:.0%} of failures come from missing facts, which tuning doesn't teach: "
            "retrieve them (RAG)."
        )
    if tuned_alone and facts.knowledge_changes in ("monthly", "daily"):
        found.append(
            f"The facts change {facts.knowledge_changes}: what is tuned in grows old, so "
            "retrieve them (RAG)."
        )
    found += [*_training_on_answers(situation, verdict), *_cheaper_prompt(situation, verdict)]
    found += _closed_accounts(situation, verdict)
    if facts.baseline_score is not None and situation.baseline_n < BASELINE_N:
        found.append(f"The score stands on {situation.baseline_n} examples; take {BASELINE_N}.")
    if facts.regions:
        found.append("Regions aren't checked: the catalog doesn't know them yet.")
    used = [probe_of(situation, entry.route) for entry in verdict.ranked]
    found += [
        f"The measured latency of {probe.model} at {probe.provider} is of none of the routes here."
        for probe in facts.probed or ()
        if probe not in used
    ]
    shown = [pilot_of(situation, entry.route) for entry in verdict.ranked]
    found += [
        f"The pilot of {pilot.model} is of none of the routes here."
        for pilot in facts.piloted or ()
        if pilot not in shown
    ]
    if verdict.first is not None and verdict.leading != "none":
        found += route_warnings(situation, verdict.first)
        expected = verdict.quality.interval(verdict.first.route)
        if expected is not None and facts.target_score and expected.high < facts.target_score:
            found.append(
                f"Expected are only {expected.low:.2f} to {expected.high:.2f} of the "
                f"{facts.target_score:g} you ask for{_then(verdict)}."
            )
    return found


def route_warnings(situation: Situation, entry: Ranked) -> list[str]:
    """What may go wrong with a route that passed the gates, a sentence each."""
    found = []
    slow = late(situation, entry.route, entry.seconds)
    if slow is not None:
        found.append(slow)
    provider = entry.route.provider
    if any(note.value == "not counted" and "tokens" in note.name for note in entry.cost.basis):
        found.append(f"The cost leaves out tokens, whose price at {provider.title} isn't known.")
    if entry.route.hosting == "hosted_custom" and not provider.serving.self_serve:
        found.append(f"{provider.title} serves tuned models on request only.")
    if entry.route.tuned and entry.route.ends is not None:
        found.append(f"It answers only until {entry.route.ends}: by then you tune another base.")
    if entry.route.resold:
        model = entry.route.model.title
        found.append(f"Whether {provider.title} sells {model} isn't known here: ask before.")
    budget = situation.facts.budget_usd_per_month
    likely = entry.cost.interval().likely
    if budget is not None and likely > budget:
        found.append(
            f"It likely costs {usd_text(likely)} USD a month, above your {usd_text(budget)}."
        )
    return found


def closed_accounts(situation: Situation, verdict: Verdict) -> list[Rejected]:
    """Of each vendor that no longer tunes for the user's account, the model that lives longest."""
    found = []
    for name in situation.facts.accounts or {}:
        vendor = situation.catalog.get_provider(name).name
        lines = {
            line.model: line
            for line in verdict.rejected
            if line.provider == vendor and line.gate in ("availability", "lifecycle")
        }
        ends = {
            model.name: known_end(model, row, situation.as_of) or date.max
            for model in situation.catalog.models
            for row in model.tunable
            if row.provider == vendor and first_day(model) <= situation.as_of
        }
        if ends and ends.keys() <= lines.keys():
            found.append(lines[max(ends, key=ends.__getitem__)])
    return found


def _then(verdict: Verdict) -> str:
    """What to do about a route that is expected to miss the target."""
    if verdict.decision in ("measure_first", "too_close"):
        return ""  # the test that is named tells
    if verdict.decision == "prompt":
        return ": work on the prompt and score it again"
    return ": try a part of it before you plan on it"


def _contradictions(situation: Situation) -> list[str]:
    """Facts that can't both be true, and which of them counts."""
    facts, found = situation.facts, []
    score, target = facts.baseline_score, facts.target_score
    if facts.prompt_meets_quality is not None and score is not None and target is not None:
        says = "meets" if facts.prompt_meets_quality else "misses"
        if facts.prompt_meets_quality != situation.quality_met:
            found.append(
                f"You say that the prompt {says} the quality, but it scores {score:g} of "
                f"{target:g}: the numbers count."
            )
    if facts.data_rows is not None and situation.rows not in (None, facts.data_rows):
        found.append(
            f"You say {facts.data_rows:,} examples, the file holds {situation.rows:,.0f} distinct "
            "ones: these count."
        )
    if situation.prefix_tokens > situation.input_tokens:
        found.append(
            f"A shared prefix of {situation.prefix_tokens:,.0f} tokens doesn't fit into prompts of "
            f"{situation.input_tokens:,.0f}: it counts as the whole prompt."
        )
    return found


def _training_on_answers(situation: Situation, verdict: Verdict) -> list[str]:
    """The terms on a prompted model's answers, where a small model is to be tuned to be as good."""
    first = verdict.first
    if first is None or not first.route.tuned or not situation.quality_met:
        return []
    return [
        f"If {model.title} wrote the examples, its terms on training with them hold: {terms.says}."
        for model, terms in _answer_terms(situation, verdict.ranked)
    ]


def _answer_terms(
    situation: Situation, ranked: Iterable[Ranked]
) -> Iterator[tuple[Model, OutputTerms]]:
    """Of prompted models those whose answers may not train just any model."""
    for entry in ranked:
        route = entry.route
        if route.label == "prompt" and route.hosting == "vendor_api":
            terms = situation.catalog.output_terms(route.model, route.provider.name)
            if terms is not None and terms.trainable != "yes":
                yield route.model, terms


def _cheaper_prompt(situation: Situation, verdict: Verdict) -> list[str]:
    """A prompt that would cost less than the tuning which is to save money."""
    first = verdict.first
    prompted = next((entry for entry in verdict.ranked if entry.route.label == "prompt"), None)
    if situation.facts.prompt_meets_cost is not False or first is None or prompted is None:
        return []
    mine, theirs = (entry.cost.interval().likely for entry in (first, prompted))
    if not first.route.tuned or theirs >= mine:
        return []
    return [
        f"At the catalog's prices {prompted.route.model.title} would cost about "
        f"{usd_text(theirs)} USD a month, tuning {usd_text(mine)}: check what you pay now."
    ]


def _closed_accounts(situation: Situation, verdict: Verdict) -> list[str]:
    """Vendors at which the user has an account that won't do to tune with, with the date."""
    if verdict.first is None or not verdict.first.route.tuned:
        return []
    return [
        f"Your account at {situation.catalog.get_provider(line.provider).title} won't do: "
        f"{line.reason}."
        for line in closed_accounts(situation, verdict)
    ]


def _of_the_file(situation: Situation) -> list[str]:
    """What the measured file calls for: the best guess without a model, and its private texts."""
    found = []
    majority, score = situation.majority, situation.facts.baseline_score
    if majority is not None and score is not None and score <= majority:
        found.append(
            f"Always giving the most common label scores {majority:.2f} on this file, and the "
            f"prompt {score:g}: look at how both were measured."
        )
    elif majority is not None and majority > LABEL_SHARE:
        found.append(
            f"{majority:.0%} of the answers are one label: the others are hardly learnt, so "
            "balance them."
        )
    if situation.personal and situation.facts.privacy is None:
        found.append(
            f"{situation.personal:,} texts of the file hold personal data or secrets: say where "
            "they may go (--privacy)."
        )
    return found
