"""What Axolotl's dataset types read: turns with `train`, segments, completions, instructions.

Source: Axolotl's pages on dataset formats and preferences, read 2026-11. `train_detail` counts
both ends of a stretch in.
"""

from dataclasses import replace

from ftctl.datasets.convert import openai
from ftctl.datasets.convert import text as plain_text
from ftctl.datasets.convert.chat import read_messages, write_conversation, write_messages
from ftctl.datasets.convert.example import (
    CannotCarryError,
    Conversation,
    Example,
    Message,
    Notes,
    PlainText,
    Preference,
    PromptCompletion,
    Segment,
    Segments,
    Span,
    Stepwise,
)
from ftctl.datasets.convert.reduce import as_conversation, fitted, one_message
from ftctl.datasets.convert.says import Says
from ftctl.datasets.convert.tools import read_tools
from ftctl.datasets.convert.trl import read_stepwise, with_objects, write_stepwise
from ftctl.datasets.formats import INSTRUCTION_KEYS
from ftctl.datasets.rules.types import JsonObject, join, kind

SAYS: Says = replace(
    openai.SAYS, spans=True, refusals=False, parallel=False, reasoning=True, tool_parts=True
)
_TURNS = ("messages", "conversations")


def read(row: JsonObject, notes: Notes) -> Example:
    """A row as an example.

    Raises:
        CannotCarryError: it isn't one, or holds token ids.
    """
    turns = next((key for key in _TURNS if key in row), None)
    if turns is not None:
        return _chat(row, turns, notes)
    if "segments" in row:
        return _segments(row, notes)
    if "prompt" in row and "completions" in row:
        return read_stepwise(row, notes)
    for asked, answered in INSTRUCTION_KEYS:
        if asked in row and answered in row:
            return _instruction(row, asked, answered, notes)
    if "input_ids" in row:
        said = "token ids, of which only the tokenizer that made them makes text again"
        raise CannotCarryError("input_ids", said)
    return plain_text.read(row, notes)


def _chat(row: JsonObject, key: str, notes: Notes) -> Example:
    notes.unknown(row, frozenset({key, "tools", "chosen", "rejected"}))
    messages = _messages(row[key], key, notes)
    conversation = Conversation(messages, read_tools(row, notes))
    if "chosen" not in row or "rejected" not in row:
        return conversation
    chosen, rejected = (_messages([row[side]], side, notes) for side in ("chosen", "rejected"))
    return Preference(conversation, chosen, rejected)


def _messages(value: object, path: str, notes: Notes) -> tuple[Message, ...]:
    """Messages with what is trained on of each as weights and spans."""
    given = value if isinstance(value, list) else []
    plain = [_untrained(item) if isinstance(item, dict) else item for item in given]
    read = read_messages(plain if isinstance(value, list) else value, path, notes)
    made = []
    for message, fields in zip(read, given, strict=True):
        train, detail = fields.get("train"), fields.get("train_detail")
        answer = message.role == "assistant"
        if isinstance(train, bool) and answer:
            message = replace(message, weight=int(train))
        elif train is not None and (answer or train is not False):
            notes.dropped(f"{message.path}.train", "train on what isn't an answer, or no truth")
        if detail is not None and answer:
            spans = _spans(detail, f"{message.path}.train_detail")
            message = replace(message, spans=spans)
        elif detail is not None:
            notes.dropped(f"{message.path}.train_detail", "train_detail on what isn't an answer")
        made.append(message)
    return tuple(made)


def _untrained(fields: JsonObject) -> JsonObject:
    renamed = {"from": "role", "value": "content"}
    return {
        renamed.get(key, key): value
        for key, value in fields.items()
        if key not in ("train", "train_detail")
    }


def _spans(detail: object, path: str) -> tuple[Span, ...]:
    if not isinstance(detail, list):
        raise CannotCarryError(path, f"train_detail is {kind(detail)}, not a list")
    made = []
    for i, item in enumerate(detail):
        values = item if isinstance(item, dict) else {}
        begin, end, train = (values.get(key) for key in ("begin_offset", "end_offset", "train"))
        if type(begin) is not int or type(end) is not int or not isinstance(train, bool):
            raise CannotCarryError(f"{path}[{i}]", "no begin_offset, end_offset and train")
        made.append(Span(begin, end, train))
    return tuple(made)


def _segments(row: JsonObject, notes: Notes) -> Example:
    notes.unknown(row, frozenset({"segments"}))
    found = row["segments"]
    if not isinstance(found, list) or not found:
        raise CannotCarryError("segments", "segments is no list of segments")
    pieces = []
    for i, item in enumerate(found):
        fields = item if isinstance(item, dict) else {}
        label, text = fields.get("label"), fields.get("text")
        if not isinstance(label, bool) or not isinstance(text, str):
            raise CannotCarryError(f"segments[{i}]", "no label that is true or false, and text")
        notes.unknown(fields, frozenset({"label", "text"}), f"segments[{i}]")
        pieces.append(Segment(text, label))
    if [piece.learnt for piece in pieces] == [False, True]:
        return PromptCompletion(pieces[0].text, pieces[1].text)
    return Segments(tuple(pieces))


def _instruction(row: JsonObject, asked: str, answered: str, notes: Notes) -> Conversation:
    notes.unknown(row, frozenset({asked, answered, "input", "system_prompt"}))
    for key in (asked, answered, "input", "system_prompt"):
        if not isinstance(row.get(key, ""), str | None):
            raise CannotCarryError(join("", key), f"{key} is {kind(row[key])}, not text")
    system, more = row.get("system_prompt"), row.get("input")
    if more:
        notes.changed("input", "the input, joined to the instruction")
    texts = [text for text in (row[asked], more) if isinstance(text, str) and text]
    messages = (
        *([Message("system", str(system), path="system_prompt")] if system else []),
        Message("user", "\n".join(texts), path=asked),
        Message("assistant", str(row[answered] or ""), path=answered),
    )
    return Conversation(messages)


def write(example: Example, notes: Notes) -> JsonObject | None:
    """An example as a row; None where all of it is left out."""
    match example:
        case PlainText():
            return plain_text.write(example, notes)
        case PromptCompletion(prompt, completion):
            texts = ((False, prompt), (True, completion))
            return {"segments": [{"label": label, "text": text} for label, text in texts]}
        case Segments(pieces):
            return {"segments": [{"label": p.learnt, "text": p.text} for p in pieces]}
        case Stepwise():
            return write_stepwise(example)
        case Preference(asked, chosen, rejected):
            return _row(asked, notes) | {
                "chosen": _one(chosen, notes),
                "rejected": _one(rejected, notes),
            }
    conversation = as_conversation(example, notes)
    return None if conversation is None else _row(conversation, notes)


def _row(conversation: Conversation, notes: Notes) -> JsonObject:
    conversation = fitted(conversation, SAYS, notes)
    row = write_conversation(conversation)
    return row | {"messages": _written(conversation.messages)}


def _one(messages: tuple[Message, ...], notes: Notes) -> JsonObject:
    return _written((one_message(messages, SAYS, notes),))[0]


def _written(messages: tuple[Message, ...]) -> list[JsonObject]:
    made = with_objects(write_messages(messages))
    for message, fields in zip(messages, made, strict=True):
        if fields.pop("weight", None) is not None:
            fields["train"] = message.weight == 1
        if message.spans:
            fields["train_detail"] = [
                {"begin_offset": span.begin, "end_offset": span.end, "train": span.learnt}
                for span in message.spans
            ]
    return made
