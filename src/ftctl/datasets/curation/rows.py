"""From an item and what was decided of it to a row: chat, or a pair where one is preferred."""

import json
from dataclasses import dataclass
from typing import NamedTuple

from ftctl.datasets.convert import openai, openai_dpo
from ftctl.datasets.convert.example import CannotCarryError, Notes
from ftctl.datasets.curation.decide import Decision
from ftctl.datasets.curation.messages import messages_of
from ftctl.datasets.curation.prefer import LEFT, RIGHT, preferred, side_of
from ftctl.datasets.curation.types import ROW, FaultError, Item
from ftctl.datasets.curation.view import answered, preferring, row_of
from ftctl.datasets.rules.types import JsonObject

SYSTEM = "system"
_EMPTY = "the answer is empty"


@dataclass(frozen=True, slots=True)
class Plan:
    """How the items of one export become rows; the same for all of them.

    Attributes:
        shown: The fields that make up the prompt, in order.
        answer: The question that says what the model should say, or which text is better.
        said: The field that holds what the model said; "" where there is none.
        pair: The two fields that were compared, left and right.
        replaces: Whether what was said takes the place of the answer in a row of ours.
    """

    shown: tuple[str, ...] = ()
    answer: str = ""
    said: str = ""
    pair: tuple[str, str] = (LEFT, RIGHT)
    replaces: bool = False


class Made(NamedTuple):
    """A row, or why the item gives none."""

    row: JsonObject | None
    why: str
    notes: Notes


def make_row(item: Item, plan: Plan, decision: Decision, *, keep: bool) -> Made:
    """The row that an item gives.

    Args:
        item: What was shown, and said of it.
        plan: Which fields and which question matter.
        decision: What was decided of that question.
        keep: Whether an item that has an answer of its own is kept where nothing was decided.

    Raises:
        FaultError: no row can be made out of it.
    """
    notes = Notes()
    whole = ROW in item.fields or plan.said
    if decision.why and not (whole and keep and decision.unanswered):
        return Made(None, decision.why, notes)
    value = None if decision.why else decision.value
    if ROW in item.fields:
        return Made(*_ours(item, plan, value), notes)
    prompt = _prompt(item, plan)
    pair = None if value is None or plan.said else preferred(item.fields, value, plan.pair)
    if isinstance(pair, str):
        return Made(None, pair, notes)
    if pair is not None:
        row: JsonObject = {
            "input": {"messages": prompt},
            "preferred_output": [{"role": "assistant", "content": pair[0]}],
            "non_preferred_output": [{"role": "assistant", "content": pair[1]}],
        }
    else:
        said = _answer(item, plan, value)
        if not said:
            return Made(None, _EMPTY, notes)
        row = {"messages": [*prompt, *said]}
        if tools := item.fields.get("tools"):
            row["tools"] = tools
    return Made(_valid(row, notes), "", notes)


def _ours(item: Item, plan: Plan, value: object) -> tuple[JsonObject | None, str]:
    """The row that we sent there, with what a person changed of it."""
    row = row_of(item.fields[ROW])
    if value is None:
        return row, ""
    if plan.replaces and "messages" in row:
        text = text_of(value)
        return (answered(row, text), "") if text.strip() else (None, _EMPTY)
    if "preferred_output" in row and (side := side_of(value)):
        return preferring(row, left=side == LEFT), ""
    return row, ""


def _prompt(item: Item, plan: Plan) -> list[JsonObject]:
    shown = [name for name in plan.shown if item.fields.get(name) not in (None, "")]
    if not shown:
        raise FaultError(" or ".join(plan.shown), "it has no prompt")
    messages: list[JsonObject] = []
    texts: list[str] = []
    for name in shown:
        for message in messages_of(item.fields[name], name, "user"):
            bare = isinstance(item.fields[name], str) and name != SYSTEM
            if bare and message["role"] == "user" and isinstance(message["content"], str):
                texts.append(message["content"])
            else:
                messages.append(message)
    if texts:
        messages.append({"role": "user", "content": "\n\n".join(texts)})
    system = item.fields.get(SYSTEM)
    if isinstance(system, str) and system and SYSTEM not in shown:
        messages.insert(0, {"role": "system", "content": system})
    return messages


def _answer(item: Item, plan: Plan, value: object) -> list[JsonObject]:
    if plan.said:
        return messages_of(item.fields.get(plan.said), plan.said, "assistant")
    parts = value if isinstance(value, list) else [value]
    if parts and all(isinstance(part, dict) and "role" in part for part in parts):
        return [part for part in parts if isinstance(part, dict)]
    text = text_of(value)
    return [{"role": "assistant", "content": text}] if text.strip() else []


def text_of(value: object) -> str:
    """A label as the text that a model should say; several are joined by commas."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and not any(isinstance(part, dict | list) for part in value):
        return ", ".join(text_of(part) for part in value)
    return json.dumps(value, ensure_ascii=False)


def _valid(row: JsonObject, notes: Notes) -> JsonObject:
    """The row as the format has it; what has no place in it is told."""
    written: JsonObject | None
    try:
        if "input" in row:
            written = openai_dpo.write(openai_dpo.read(row, notes), notes)
        else:
            written = openai.write(openai.read(row, notes), notes)
    except CannotCarryError as error:
        raise FaultError(error.path, error.what) from None
    if written is None:
        raise FaultError("", "nothing is left of it")
    return written
