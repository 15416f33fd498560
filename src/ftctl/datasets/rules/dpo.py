"""Rules on a pair of answers: a prompt, and two answers of which one is preferred.

The messages in it go through the rules of any conversation: the prompt with the preferred answer,
and then with the other one. Sources: OpenAI's preference guide, Azure's page, the file checks of
Together's SDK 1.5.35, Fireworks' and Gemini's pages; AWS's checker for Nova; read by 2026-11.
"""

from collections.abc import Iterator

from ftctl.datasets.rules import content, messages, structure
from ftctl.datasets.rules.types import (
    Example,
    Finding,
    JsonObject,
    Message,
    join,
    kind,
    read_example,
    shown,
)

OUTPUTS = ("preferred_output", "non_preferred_output")
_KEYS = frozenset({"input", *OUTPUTS})
_ANSWERING = ("assistant", "tool", "function")  # roles that an answer may have
_LABELS = ("preferred", "non-preferred")  # of Nova's candidates
_RULES = (*messages.RULES, content.special_tokens)


def pair(row: JsonObject) -> Iterator[Finding]:
    """Everything about a row for DPO."""
    if "input" not in row and (other := _other_shape(row)):
        yield other
        yield from gemini(row) if other.key == "dpo-shape/gemini" else ()
        yield from nova(row) if other.key == "dpo-shape/nova" else ()
        return
    for key in row:
        if key not in _KEYS:
            yield Finding("unknown-key/row", join("", key), f"unknown key {shown(key)}")
    asked = row.get("input")
    if not isinstance(asked, dict):
        yield Finding("dpo-shape", "input", _lack(row, "input", "an object"))
    outputs = {key: list(_output(row, key)) for key in OUTPUTS}
    answers = {}
    for key, found in outputs.items():
        yield from (item for item in found if isinstance(item, Finding))
        answers[key] = [item for item in found if isinstance(item, Message)]
    if isinstance(asked, dict):
        yield from _below_input(structure.iter_messages_problems(asked))
        prompt = read_example(asked)
        yield from input_last(prompt)
        yield from _conversations(prompt, answers)
    yield from identical(*answers.values())


def _other_shape(row: JsonObject) -> Finding | None:
    """What a row is that is a pair in another vendor's or trainer's shape."""
    if "completions" in row and "contents" in row:
        return Finding("dpo-shape/gemini", "input", "the row is Gemini's own")
    if "chosen" in row and "rejected" in row:
        return Finding("dpo-shape/trl", "input", "the row is TRL's own")
    if any("candidates" in message.fields for message in read_example(row).messages):
        return Finding("dpo-shape/nova", "input", "the row is Nova's own")
    return None


def _lack(row: JsonObject, key: str, wanted: str) -> str:
    return f"{key} is {kind(row[key])}, not {wanted}" if key in row else f"no key `{key}`"


def _output(row: JsonObject, key: str) -> Iterator[Finding | Message]:
    """One answer's messages, and what is wrong with them as an answer."""
    found = row.get(key)
    if not isinstance(found, list):
        yield Finding("dpo-shape", key, _lack(row, key, "a list of messages"))
        return
    assistants = 0
    for i, item in enumerate(found):
        if not isinstance(item, dict):
            yield Finding("message-type", f"{key}[{i}]", f"the message is {kind(item)}")
            continue
        message = Message(i, item, key)
        yield message
        assistants += structure.meant_role(message.role) == "assistant"
        if message.role in structure.ROLES | {"developer"} and message.role not in _ANSWERING:
            said = f"a {message.role} message in an answer"
            yield Finding("dpo-one-assistant/role", f"{message.path}.role", said)
    if assistants != 1:
        variant = "" if assistants else "/none"
        said = f"{key} has {assistants or 'no'} message{'s' * (assistants > 1)} of the assistant"
        yield Finding(f"dpo-one-assistant{variant}", key, said)


def _conversations(prompt: Example, answers: dict[str, list[Message]]) -> Iterator[Finding]:
    """What the rules on any conversation say of the prompt with each of its answers."""
    for key, answer in answers.items():
        if not answer:
            continue
        example = Example(prompt.row, [*prompt.messages, *answer])
        for rule in _RULES:
            for finding in rule(example):
                if _told_elsewhere(finding, prompt):
                    continue
                if finding.path.startswith(f"{key}["):
                    yield finding
                elif key == OUTPUTS[0]:  # the prompt is looked at once
                    yield from _below_input((finding,))


def _told_elsewhere(finding: Finding, prompt: Example) -> bool:
    """Whether a rule on pairs says it: how prompt and answer meet, and what isn't there at all."""
    rule = finding.key.partition("/")[0]
    if rule == "alternation":  # `dpo-input-last`, or the answer's role
        return any(finding.path == f"{key}[0]" for key in OUTPUTS)
    absent = rule in ("no-user", "first-message") and not prompt.messages
    return absent or rule == "no-assistant"


def _below_input(findings: "Iterator[Finding] | tuple[Finding, ...]") -> Iterator[Finding]:
    for finding in findings:
        yield finding._replace(path=f"input.{finding.path}")


def input_last(prompt: Example) -> Iterator[Finding]:
    """`dpo-input-last`: the prompt ends with the assistant."""
    if prompt.messages and prompt.messages[-1].role == "assistant":
        path = f"input.{prompt.messages[-1].path}.role"
        yield Finding("dpo-input-last", path, "the prompt ends with a message of the assistant")


def identical(chosen: list[Message], rejected: list[Message]) -> Iterator[Finding]:
    """`dpo-identical`: equal but for white space around them, or one of them empty."""
    said = {key: _said(answer) for key, answer in zip(OUTPUTS, (chosen, rejected), strict=True)}
    if not chosen or not rejected:
        return
    if said[OUTPUTS[0]] == said[OUTPUTS[1]]:
        yield Finding("dpo-identical", OUTPUTS[1], "both answers are the same")
        return
    for key, parts in said.items():
        if not any(part for _, *rest in parts for part in rest):
            yield Finding("dpo-identical", key, "the answer is empty")


def _said(answer: list[Message]) -> list[tuple[str, object, object]]:
    texts = [message.fields.get("content") for message in answer]
    return [
        (
            message.role,
            text.strip() if isinstance(text, str) else text,
            [call for _, call in message.calls],
        )
        for message, text in zip(answer, texts, strict=True)
    ]


def gemini(row: JsonObject) -> Iterator[Finding]:
    """`dpo-gemini`: two completions of scores 1 and 0, of text alone."""
    found = row["completions"]
    if not isinstance(found, list) or len(found) != 2:
        count = len(found) if isinstance(found, list) else kind(found)
        yield Finding("dpo-gemini", "completions", f"two completions are wanted, not {count}")
        return
    scores = [item.get("score") if isinstance(item, dict) else None for item in found]
    if sorted(map(str, scores)) not in (["0", "1"], ["0.0", "1.0"]):
        yield Finding("dpo-gemini", "completions[0].score", "the scores aren't 1 and 0")
    for i, item in enumerate(found):
        answer = item.get("completion") if isinstance(item, dict) else None
        parts = answer.get("parts") if isinstance(answer, dict) else None
        plain = isinstance(parts, list) and parts
        if not plain or not all(isinstance(p, dict) and set(p) == {"text"} for p in parts or ()):
            path = f"completions[{i}].completion.parts"
            yield Finding("dpo-gemini", path, "a completion isn't a list of text parts")


def nova(row: JsonObject) -> Iterator[Finding]:
    """`dpo-nova`: the last message has two or more candidates, each labelled, of text alone."""
    last = read_example(row).messages[-1]
    found = last.fields.get("candidates")
    if not isinstance(found, list) or len(found) < 2:
        path = f"{last.path}.candidates"
        yield Finding("dpo-nova", path, "the last message has no two candidates")
        return
    labels = set()
    for i, item in enumerate(found):
        path = f"{last.path}.candidates[{i}]"
        label = item.get("preferenceLabel") if isinstance(item, dict) else None
        labels.add(shown(label))
        if label not in _LABELS:
            yield Finding("dpo-nova", f"{path}.preferenceLabel", f"the label is {shown(label)}")
        parts = item.get("content") if isinstance(item, dict) else None
        if not isinstance(parts, list) or not all(
            isinstance(part, dict) and set(part) == {"text"} for part in parts
        ):
            yield Finding("dpo-nova", f"{path}.content", "the candidate isn't a list of texts")
    if len(labels) == 1:
        path = f"{last.path}.candidates[0].preferenceLabel"
        yield Finding("dpo-nova", path, "all candidates have the same label")
