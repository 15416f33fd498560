"""The page of worked advice: eight situations, what is answered on one day, and why."""

import json
import shlex
from datetime import date
from typing import Any, NamedTuple

from ftctl.advisor.advise import advise
from ftctl.advisor.types import Advice, Facts

DAY = date(2026, 11, 24)


class Scenario(NamedTuple):
    """A situation, and what its answer means to somebody who has to decide."""

    title: str
    facts: dict[str, Any]
    explained: str


SCENARIOS = (
    Scenario(
        "The prompt already does it",
        {
            "task_kind": "classification", "baseline_score": 0.96, "baseline_n": 400,
            "target_score": 0.92, "prompt_meets_cost": True, "prompt_meets_latency": True,
        },
        "Four hundred of your own examples say that the prompt in use is better than you need, and "
        "nobody complains of its price or speed. A tuned model could only add cost and a date on "
        "which its base retires. The answer would change if the score fell below the target: so "
        "keep the evaluation running, and spend nothing.",
    ),
    Scenario(
        "Nobody has measured yet",
        {"task_kind": "extraction", "data_rows": 1500, "requests_per_month": 200_000},
        "There are examples enough to tune on, but what tuning brings depends on what a good "
        "prompt scores without it, more than on anything else. An hour with a hundred held-out "
        "examples settles it; until then every figure would be a guess. The exit code 4 lets a "
        "script tell this from an answer.",
    ),
    Scenario(
        "Answers are wrong because facts are missing",
        {
            "task_kind": "qa", "failure_mix": {"knowledge": 0.8, "reasoning": 0.2},
            "knowledge_changes": "daily", "baseline_score": 0.55, "baseline_n": 200,
            "target_score": 0.85,
        },
        "Four failures of five come from facts that the model doesn't have, and they change every "
        "day. Tuning teaches form, not facts: what it learnt on Monday is wrong on Tuesday. Look "
        "the facts up at each question first, score again, and tune only what is then left.",
    ),
    Scenario(
        "The prompt misses the quality, and rows may go to a vendor",
        {
            "task_kind": "extraction", "baseline_score": 0.62, "baseline_n": 300,
            "target_score": 0.8, "data_rows": 3000, "requests_per_month": 3_000_000,
            "input_tokens": 900, "output_tokens": 80,
        },
        "A prompt scores 0.62 where 0.80 is asked for, on a task where tuning has helped others. "
        "No cards of yours serve production, so a vendor's are cheaper than a first one with the "
        "people to run it; of the vendors still open, the one named costs least. The forecast ends "
        "just below the target: tune on a part of the rows before you plan on it.",
    ),
    Scenario(
        "Rows must stay inside, and cards are there",
        {
            "task_kind": "classification", "baseline_score": 0.7, "baseline_n": 300,
            "target_score": 0.85, "data_rows": 4000, "privacy": "stays_inside", "runs_gpus": True,
            "gpu": "h100", "gpu_count": 2,
        },
        "No vendor may see the rows, so every one of them is ruled out before money is counted. "
        "You run GPUs already, so one more model costs hours of a card, not a team. That the rows "
        "must stay inside chooses the place; that the prompt misses the quality is what speaks for "
        "tuning.",
    ),
    Scenario(
        "Good enough, but too slow",
        {
            "task_kind": "classification", "prompt_meets_quality": True,
            "prompt_meets_latency": False, "latency_p95_s": 0.3, "input_tokens": 400,
            "output_tokens": 5, "data_rows": 5000, "requests_per_month": 20_000_000,
            "runs_gpus": True, "gpu": "l4", "gpu_count": 4,
        },
        "The large model's answers are right but late. A small model that is tuned to answer as "
        "well is a win even if it is no better: the gain is the speed. Of the open bases the "
        "smallest class that others tuned with success for such a task is tried first; a larger "
        "one would take longer to read its weights for each token on the cards that you have.",
    ),
    Scenario(
        "Forty examples and a small budget",
        {
            "task_kind": "rewriting", "prompt_meets_quality": True, "data_rows": 40,
            "requests_per_month": 5_000, "budget_usd_per_month": 200,
        },
        "Gains have been seen from fifty to a hundred examples on; forty are too few for any route "
        "that tunes. At five thousand requests a month a prompted model costs next to nothing. Put "
        "the forty examples to use as an evaluation, and a few of them into the prompt.",
    ),
    Scenario(
        "An old customer of a service that closes",
        {
            "task_kind": "extraction", "baseline_score": 0.62, "baseline_n": 300,
            "target_score": 0.8, "data_rows": 3000, "requests_per_month": 100_000,
            "horizon_months": 1,
            "accounts": {"openai": {"since": "2024-03-01", "last_used": "2026-11-20"}},
        },
        "OpenAI still takes this account's jobs on this day, and the models tuned there answer for "
        "seven more weeks. For one month it competes; with a horizon of twelve it is ruled out by "
        "date, and what the month brings is thrown away afterwards. Neither side wins clearly, so "
        "the advice is the cheapest test that would settle it, and the data stay yours to move.",
    ),
)  # fmt: skip


def advice() -> str:
    """Eight situations with what `ftctl advise` says of each."""
    parts = [
        "# Advice, worked",
        f"Written by `make docs`: what `ftctl advise` answers to eight situations, all on {DAY}, "
        "with the catalog and prices that this version ships. Each command runs as it stands; "
        "`--html` shows the same with charts, another `--as-of` what changes with the date.",
        *(part for scenario in SCENARIOS for part in worked(scenario)),
    ]
    return "\n\n".join(parts) + "\n"


def worked(scenario: Scenario) -> tuple[str, ...]:
    """One situation: the command, the answer, the explanation."""
    found = advise(Facts.parse(scenario.facts), as_of=DAY)
    return (
        f"## {scenario.title}",
        f"```sh\n{command(scenario.facts)}\n```",
        f"> {found.reason}",
        table(found),
        "\n".join([f"- {flip.says}" for flip in found.flips] or ["- no single fact changes it"]),
        scenario.explained,
    )


def table(found: Advice) -> str:
    """The decision, and the routes that passed the gates."""
    head = f"**{found.decision}** ({found.confidence:.0%} of draws)"
    rows = [
        f"| {entry.route} | {entry.provider}: {entry.model} | "
        f"{entry.usd_per_month.low:,.0f} to {entry.usd_per_month.high:,.0f} | {entry.share:.0%} |"
        for entry in found.routes
    ]
    lines = ["| route | where | USD a month, P10 to P90 | wins |", "|---|---|---|---|", *rows]
    return "\n\n".join([head, "\n".join(lines), "What would change it:"])


def command(facts: dict[str, Any]) -> str:
    """The situation as flags."""
    words = [f"ftctl advise --as-of {DAY}"]
    for name, value in facts.items():
        text = json.dumps(value) if isinstance(value, dict) else str(value)
        text = text.lower() if isinstance(value, bool) else text
        words.append(f"--{name.replace('_', '-')} {shlex.quote(text)}")
    return " \\\n  ".join(words)
