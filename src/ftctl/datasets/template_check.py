"""The rules on a model's own chat template, applied to lines with the tokenizer at hand."""

from collections.abc import Iterator

from ftctl.datasets.render import render, whole_text
from ftctl.datasets.rules.dpo import OUTPUTS
from ftctl.datasets.rules.template import template
from ftctl.datasets.rules.types import Finding, JsonObject
from ftctl.datasets.tokens.rendered import ONE_AT_A_TIME, LocalCounter
from ftctl.datasets.tokens.texts import decoded
from ftctl.errors import DataInvalid

_Said = list[tuple[str, JsonObject]]


class TemplateCheck:
    """What a model's template makes of lines; it goes to other processes as its tokenizer's place.

    Args:
        counter: Of the model.
    """

    def __init__(self, counter: LocalCounter) -> None:
        self._counter = counter

    def findings(self, line: bytes) -> list[Finding]:
        """`template-alternation` and `template-empty` in a line; none where it isn't an example."""
        row = decoded(line)
        if row is None:
            return []
        found: dict[tuple[str, str], Finding] = {}
        with ONE_AT_A_TIME:
            for messages, tools in _talks(row):
                try:
                    for finding in self._of(messages, tools):
                        found.setdefault((finding.key, finding.path), finding)
                except (AttributeError, TypeError, ValueError):
                    continue  # content that other rules report
        return list(found.values())

    def _of(self, messages: _Said, tools: object) -> Iterator[Finding]:
        tokenizer = self._counter.tokenizer
        told = list(template(messages, tools, lambda some, t: whole_text(tokenizer, some, t)))
        yield from told
        answers = [i for i, (_, m) in enumerate(messages) if m["role"] == "assistant"]
        if told or len(answers) < 2:
            return
        bare = [message for _, message in messages]
        try:
            render(tokenizer, bare, tools if isinstance(tools, list) else None)
        except DataInvalid as error:
            yield Finding("template-alternation", messages[answers[-1]][0], error.message)


def _talks(row: JsonObject) -> Iterator[tuple[_Said, object]]:
    """The conversations of a row whose messages all have a role: one, or two of a pair."""
    prompt = row.get("input")
    if isinstance(row.get("messages"), list):
        if talk := _said(row["messages"], "messages"):
            yield talk, row.get("tools")
    elif isinstance(prompt, dict):
        asked = _said(prompt.get("messages"), "input.messages")
        for key in OUTPUTS:
            answer = _said(row.get(key), key)
            if asked and answer:
                yield [*asked, *answer], prompt.get("tools")


def _said(value: object, within: str) -> _Said:
    found = value if isinstance(value, list) else []
    told = [(f"{within}[{i}]", m) for i, m in enumerate(found) if isinstance(m, dict)]
    whole = len(told) == len(found) and all(isinstance(m.get("role"), str) for _, m in told)
    return told if whole else []
