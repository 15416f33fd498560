"""Rules on a prompt that a grader judges: messages, and beside them any fields for the grader.

Sources: the reinforcement guides of OpenAI and Azure, AWS's checker for Nova; read by 2026-11.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ftctl.datasets.read import LineReader
from ftctl.datasets.rules import content, messages, structure
from ftctl.datasets.rules.json_text import parse_line
from ftctl.datasets.rules.types import Example, Finding, JsonObject, join, kind, read_example

# A prompt has no answer yet, and fields of its own beside it.
_RULES = [rule for rule in messages.RULES if rule is not structure.row_keys]
_OF_ANSWERS = frozenset({"last-message", "no-assistant", "no-trained-token"})
_BRACES = re.compile(r"\{\{(.*?)\}\}")
_ITEM = re.compile(r"\s*item\.([A-Za-z_]\w*)")
_PLAIN = re.compile(r"item\.[A-Za-z_][\w.]*")


def prompt(row: JsonObject) -> Iterator[Finding]:
    """Everything about a row for RFT by itself."""
    yield from structure.iter_messages_problems(row)
    example = read_example(row)
    for rule in (*_RULES, content.special_tokens):
        for finding in rule(example):
            if finding.key not in _OF_ANSWERS:
                yield finding
    yield from last_user(example)
    yield from system(example)
    yield from nova(example)


def last_user(example: Example) -> Iterator[Finding]:
    """`rft-last-user`."""
    if example.messages and example.messages[-1].role != "user":
        path = f"{example.messages[-1].path}.role"
        yield Finding("rft-last-user", path, "the prompt doesn't end with a message of the user")


def system(example: Example) -> Iterator[Finding]:
    """`rft-system`."""
    for message in example.messages:
        if message.role == "system":
            yield Finding("rft-system", f"{message.path}.role", "a system message in a prompt")


def nova(example: Example) -> Iterator[Finding]:
    """`rft-nova`: tools, a system message first, a reference answer that isn't empty."""
    if not example.row.get("tools"):
        yield Finding("rft-nova", "tools", "the prompt declares no tools")
    if example.row.get("reference_answer", "none is wanted") in (None, "", [], {}):
        yield Finding("rft-nova", "reference_answer", "the reference_answer is empty")
    for message in example.messages[1:]:
        if message.role == "system":
            yield Finding("rft-nova", f"{message.path}.role", "the system message isn't first")


class GraderFields:
    """`rft-grader-field`: what a grader reads of each row, told row by row.

    Attributes:
        names: Fields of the row that its templates name.
        odd: Templates that pages of the vendors contradict each other about.
    """

    def __init__(self, grader: str) -> None:
        templates = _BRACES.findall(grader)
        self.names = sorted({found[1] for text in templates if (found := _ITEM.match(text))})
        item = [text for text in templates if text.strip().startswith("item.")]
        self.odd = [text for text in item if not _PLAIN.fullmatch(text)]
        self._kinds: dict[str, str] = {}

    def of_templates(self) -> Iterator[Finding]:
        """What is odd about the grader itself."""
        for text in self.odd:
            said = f"the grader's template {{{{{text}}}}} has spaces or an index"
            yield Finding("rft-grader-field/template", "", said)

    def of_row(self, row: JsonObject) -> Iterator[Finding]:
        """What one row, the next of the file, lacks for the grader."""
        for name in self.names:
            value, path = row.get(name), join("", name)
            if value is None:
                what = "is null" if name in row else "isn't there"
                yield Finding(
                    "rft-grader-field", path, f"the grader reads item.{name}, which {what}"
                )
                continue
            first = self._kinds.setdefault(name, kind(value))
            if kind(value) != first:
                said = f"item.{name} is {kind(value)}, {first} in a row before"
                yield Finding("rft-grader-field", path, said)


def grader_findings(file: Path, grader: str) -> Iterator[tuple[int, Finding]]:
    """`rft-grader-field`, with the line of each finding.

    Args:
        file: The prompts.
        grader: As JSON text, whose templates name fields as `{{item.FIELD}}`.

    Raises:
        UsageError: the file can't be read.
    """
    fields = GraderFields(grader)
    for finding in fields.of_templates():
        yield 1, finding
    with LineReader(file) as lines:
        for line in lines if fields.names else ():
            row = parse_line(line.data).value if line.whole else None
            if isinstance(row, dict):
                for finding in fields.of_row(row):
                    yield line.number, finding


def no_validation() -> Iterator[Finding]:
    """`rft-validation`."""
    yield Finding("rft-validation", "", "no validation file was given")
