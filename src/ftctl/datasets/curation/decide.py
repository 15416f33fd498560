"""What people together said, by a rule that has a name; a dispute is never settled in silence."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ftctl.datasets.curation.types import Answer
from ftctl.datasets.fingerprints import canonical

Rule = Literal["skip", "majority", "first"]
RULES: tuple[Rule, ...] = get_args(Rule)
# What each rule does where people disagree, for help and documents.
SAYS: dict[Rule, str] = {
    "skip": "leave the row out",
    "majority": "what more people said than said anything else; a tie is left out",
    "first": "the earliest where every answer has a time, else the first in the export",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided of one question.

    Attributes:
        value: What holds; None where nothing does.
        why: Why nothing holds, in a few words; "" where something does.
        disputed: Whether people said different things.
        unanswered: Whether nobody has said anything that counts.
    """

    value: object = None
    why: str = ""
    disputed: bool = False
    unanswered: bool = False


def decide(answers: Iterable[Answer], question: str, rule: Rule) -> Decision:
    """What the responses to a question come to: submitted ones, and those of unknown status.

    Args:
        answers: Of one item, to any questions.
        question: Which one is meant.
        rule: What to do where people disagree.
    """
    said = [answer for answer in answers if answer.kind == "response"]
    sittings: dict[tuple[str, str | None], list[Answer]] = defaultdict(list)
    for answer in said:
        if answer.question == question and answer.status in ("submitted", "unknown"):
            sittings[answer.sitting, answer.annotator].append(answer)
    if not sittings:
        if any(answer.status == "discarded" for answer in said):
            return Decision(why="it was discarded")
        drafts = any(a.status == "draft" and a.question == question for a in said)
        why = "it has only drafts" if drafts else "nobody has answered"
        return Decision(why=why, unanswered=True)
    values = [(_together(one), max(a.time or "" for a in one)) for one in sittings.values()]
    counts: dict[str, int] = defaultdict(int)
    for value, _ in values:
        counts[canonical(value)] += 1
    if len(counts) == 1:
        return Decision(values[0][0])
    return _settled(values, counts, rule)


def decide_all(answers: Sequence[Answer], rule: Rule) -> Decision:
    """Whether all questions are settled, where each only judges the item; it has no value."""
    questions = dict.fromkeys(a.question for a in answers if a.kind == "response" and a.question)
    found = {question: decide(answers, question, rule) for question in questions}
    disputed = any(one.disputed for one in found.values())
    for question, one in found.items():
        if one.why and one.disputed:
            return Decision(why=f"{question}: {one.why}", disputed=True)
    if any(not one.why for one in found.values()):
        return Decision(disputed=disputed)
    return next(iter(found.values()), decide(answers, "", rule))


def _settled(values: list[tuple[object, str]], counts: dict[str, int], rule: Rule) -> Decision:
    said = f"{len(values)} people gave {len(counts)} different answers"
    if rule == "first":
        timed = all(time for _, time in values)
        return Decision(min(values, key=lambda v: v[1] if timed else "")[0], disputed=True)
    if rule == "majority":
        best, next_best = sorted(counts.values(), reverse=True)[:2]
        if best > next_best:
            won = next(value for value, _ in values if counts[canonical(value)] == best)
            return Decision(won, disputed=True)
        said += ", and none has more voices"
    return Decision(why=said, disputed=True)


def _together(answers: list[Answer]) -> object:
    """What one person said at once: the value, or a list where there are several."""
    values: list[object] = []
    for answer in answers:
        values += answer.value if isinstance(answer.value, list) else [answer.value]
    several = len(answers) > 1 or isinstance(answers[0].value, list)
    return values if several and len(values) != 1 else values[0]
