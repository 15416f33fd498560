"""How the items of an export become rows: what a person names, and else what their names say."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ftctl.datasets.curation.prefer import LEFT, RIGHT
from ftctl.datasets.curation.rows import Plan
from ftctl.datasets.curation.types import ID, ROW, Fault, Hints, Item
from ftctl.datasets.curation.view import ANSWER, PREFERENCE
from ftctl.errors import UsageError

# Names of fields that say what they are, the first that is there.
_SHOWN = (
    *("messages", "conversation", "chat", "prompt", "instruction", "question", "input", "query"),
    *("text", "example"),
)
_SAID = ("response", "completion", "output", "reply")
_PAIRS = ((LEFT, RIGHT), ("chosen", "rejected"), ("answer_a", "answer_b"))


@dataclass(slots=True)
class Seen:
    """What an export holds, by a first look at all of it.

    Attributes:
        items: How many.
        ours: How many carry the row that we sent there.
        fields: Names of what was shown.
        questions: What people answered.
        answers: How many responses there are.
        unknown_status: How many of those lost whether they were submitted.
        faults: What can't be read.
    """

    items: int = 0
    ours: int = 0
    fields: dict[str, None] = field(default_factory=dict)
    questions: dict[str, None] = field(default_factory=dict)
    answers: int = 0
    unknown_status: int = 0
    faults: list[Fault] = field(default_factory=list)


def look(found: Iterable[Item | Fault]) -> Seen:
    """Go through an export once."""
    seen = Seen()
    for item in found:
        if isinstance(item, Fault):
            seen.faults.append(item)
            continue
        seen.items += 1
        seen.ours += ROW in item.fields
        seen.fields.update(dict.fromkeys(k for k, v in item.fields.items() if v not in (None, "")))
        for answer in item.answers:
            if answer.kind != "response":
                continue
            seen.answers += 1
            seen.unknown_status += answer.status == "unknown"
            if answer.question:
                seen.questions[answer.question] = None
    return seen


def plan_for(seen: Seen, hints: Hints, pair: tuple[str, str] | None) -> Plan:
    """How its items become rows.

    Raises:
        UsageError: it doesn't say, and nobody has said.
    """
    if seen.ours:
        own = {ANSWER, PREFERENCE} & seen.questions.keys()
        # Labels that only judge a row need no one question that decides: all of them do.
        judged = len(seen.questions) > 1 and not own and not hints.answer
        question = "" if judged else _question(seen, hints)
        replaces = bool(hints.answer) or question == ANSWER
        # Records that people added there have a prompt where ours have it.
        return Plan(hints.shown or ("prompt",), question, replaces=replaces)
    for name in (*hints.shown, *(pair or ())):
        if name not in seen.fields:
            raise _no_such(name, seen)
    shown = hints.shown or _shown(seen)
    if hints.answer in seen.fields and hints.answer not in seen.questions:
        return Plan(shown, "", hints.answer)
    sides = pair or next((p for p in _PAIRS if set(p) <= seen.fields.keys()), (LEFT, RIGHT))
    said = "" if hints.answer else next((n for n in _SAID if n in seen.fields), "")
    if said and said not in shown:
        # Labels only judge an answer that is there already.
        return Plan(shown, "".join(seen.questions) if len(seen.questions) == 1 else "", said, sides)
    return Plan(shown, _question(seen, hints), "", sides)


def _question(seen: Seen, hints: Hints) -> str:
    """The question that decides."""
    asked = list(seen.questions)
    if hints.answer:
        if asked and hints.answer not in asked:
            raise UsageError(
                f"nobody was asked {hints.answer!r}", hint=f"--answer one of: {', '.join(asked)}"
            )
        return hints.answer
    named = [name for name in (ANSWER, PREFERENCE) if name in asked]
    if named or len(asked) == 1:
        return (named or asked)[0]
    if not asked:
        return ANSWER
    raise UsageError(
        f"people were asked several things: {', '.join(asked)}",
        hint="--answer names the one that says what the model should say",
    )


def _shown(seen: Seen) -> tuple[str, ...]:
    names = [name for name in seen.fields if name not in (ID, ROW)]
    known = next((name for name in _SHOWN if name in names), "")
    if known:
        also = ("input",) if known == "instruction" and "input" in names else ()
        return (known, *also)
    if len(names) == 1:
        return tuple(names)
    raise UsageError(
        f"which of the fields is the prompt isn't clear: {', '.join(names) or 'there is none'}",
        hint="--input names it, or several with commas between",
    )


def _no_such(name: str, seen: Seen) -> UsageError:
    return UsageError(f"no field is called {name!r}", hint=f"there are: {', '.join(seen.fields)}")
