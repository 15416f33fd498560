"""Which fact to ask for next: the one whose answer could change the most, or none."""

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from ftctl.advisor.decide import Verdict, decide
from ftctl.advisor.situation import settle
from ftctl.advisor.swings import share_of
from ftctl.advisor.types import Facts, Features, Label
from ftctl.catalog.load import Catalog


@dataclass(frozen=True)
class Question:
    """A fact that nobody said yet.

    Attributes:
        fact: Its name.
        asks: The question, as put to a person.
        tried: Answers that span what people say.
        choices: All answers there are, where they can be counted.
    """

    fact: str
    asks: str
    tried: tuple[Any, ...]
    choices: tuple[str, ...] = ()


_YES_NO = ("yes", "no")
_PRIVACY = ("public", "contractual", "regulated", "stays_inside")
_CHANGES = ("never", "yearly", "monthly", "daily")
# What is asked, in the order that breaks a tie: what most people know comes first.
QUESTIONS = (
    Question("privacy", "Where may the rows go?", _PRIVACY, _PRIVACY),
    Question("prompt_meets_quality", "Is the best prompt good enough?", (True, False), _YES_NO),
    Question("prompt_meets_cost", "Is it cheap enough?", (True, False), _YES_NO),
    Question("prompt_meets_latency", "Is it fast enough?", (True, False), _YES_NO),
    Question("baseline_score", "What does the best prompt score on your examples, 0 to 1?",
             (0.5, 0.7, 0.9)),
    Question("target_score", "Which score is good enough, 0 to 1?", (0.7, 0.9, 0.97)),
    Question("knowledge_changes", "How often do the facts behind the answers change?", _CHANGES,
             _CHANGES),
    Question("data_rows", "How many examples do you have?", (20, 200, 2_000)),
    Question("requests_per_month", "How many requests come a month?",
             (1_000.0, 100_000.0, 1_000_000.0, 10_000_000.0)),
    Question("runs_gpus", "Do GPUs of yours already serve production?", (True, False), _YES_NO),
    Question("task_kind", "What does the model do?",
             ("classification", "extraction", "generation", "qa"),
             ("classification", "extraction", "generation", "rewriting", "code", "tool_use", "qa",
              "dialogue")),
    Question("latency_p95_s", "In how many seconds must 95 % of answers be there?",
             (0.1, 0.5, 3.0)),
    Question("input_tokens", "How many tokens has a prompt?", (200.0, 1_000.0, 8_000.0)),
    Question("output_tokens", "How many tokens has an answer?", (10.0, 200.0, 1_000.0)),
    Question("horizon_months", "For how many months must the answer hold?", (3.0, 12.0, 36.0)),
    Question("prompt_limit", "Is prompting impractical?", (True, False), _YES_NO),
    Question("budget_usd_per_month", "What is the most you would spend, in USD a month?",
             (100.0, 1_000.0, 10_000.0)),
    Question("distinct_tasks", "How many unrelated tasks is one model to do?", (1, 4)),
    Question("ml_engineers", "How many people can run models?", (0.0, 2.0)),
)  # fmt: skip


def next_question(
    facts: Facts,
    features: Features | None,
    catalog: Catalog,
    as_of: date,
    skipped: Collection[str] = (),
) -> Question | None:
    """The open fact whose answers lead to the most different decisions; None when no one's do.

    Answers are tried one fact at a time; how different they are is the entropy of the decisions,
    then how far the share of the route that leads now moves.

    Args:
        facts: What is known.
        features: What a data file showed.
        catalog: Facts to ask.
        as_of: The day to answer for.
        skipped: Facts that nobody can tell.
    """

    def ask(**changes: object) -> Verdict:
        return decide(settle(facts.model_copy(update=changes), features, catalog, as_of))

    now = ask()
    best: tuple[float, float] = (0.0, 0.0)
    chosen = None
    for question in QUESTIONS:
        if question.fact in skipped or not _open(question.fact, facts, features):
            continue
        found = [ask(**{question.fact: value}) for value in question.tried]
        told = _entropy(found), _spread(found, now.leading)
        if any(_answer(one) != _answer(now) for one in found) and told > best:
            best, chosen = told, question
    return chosen


def _open(fact: str, facts: Facts, features: Features | None) -> bool:
    measured = ("data_rows", "distinct_tasks", "input_tokens", "output_tokens")
    if features is not None and fact in measured:
        return False
    if fact == "target_score" and facts.baseline_score is None:
        return False  # it says nothing by itself
    two = facts.baseline_score is not None and facts.target_score is not None
    if fact == "prompt_meets_quality" and two:
        return False  # the numbers say it
    return getattr(facts, fact) is None


def _answer(verdict: Verdict) -> tuple[str, Label]:
    return verdict.decision, verdict.leading


def _entropy(verdicts: list[Verdict]) -> float:
    """Bits that the answer tells of the decision, each answer as likely as the others."""
    counts = Counter(map(_answer, verdicts)).values()
    return -sum(n / len(verdicts) * math.log2(n / len(verdicts)) for n in counts)


def _spread(verdicts: list[Verdict], leading: Label) -> float:
    shares = [share_of(verdict, leading) for verdict in verdicts]
    return max(shares) - min(shares)
