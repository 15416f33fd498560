"""Rows changed in one way each: where other validators judge otherwise than we do, and why.

They run in an environment of their own, made here. A disagreement that isn't listed fails, and so
does one that is listed and no longer there.
"""

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from mutated_rows import OF_ANSWERED, OF_TOOLS, Mutated, iter_mutated
from own_environment import python_with

from ftctl.datasets.fast.options import Options
from ftctl.datasets.fast.part import Part
from ftctl.datasets.rules.table import rule_on

pytestmark = [pytest.mark.slow, pytest.mark.real]

# Who is compared with whom.
OURS = {
    "mistral v3": "mistral-v3",
    "mistral v7": "mistral-v7",
    "mistral v11": "mistral-v11",
    "mistral v13": "mistral-v11",
    "together": "together",
    "cookbook": "openai",
}
MISTRAL = ("mistral v3", "mistral v7", "mistral v11", "mistral v13")
# Both are from before tools could be trained on there: they refuse every row that has any.
TOOLLESS = ("together", "cookbook")
PACKAGES = ("mistral-common==1.13.1", "together==1.5.35")


class Apart(NamedTuple):
    """Ways in which validators and we disagree for one reason.

    Attributes:
        they: Whether they refuse what we take; else it is the other way round.
        validators: Who.
        kinds: Of `mutated_rows`.
        why: The reason.
    """

    they: bool
    validators: tuple[str, ...]
    kinds: tuple[str, ...]
    why: str


TABLE = (
    Apart(
        they=True,
        validators=MISTRAL,
        kinds=(
            *("row key: metadata", "row key: id", "message key: extra", "call: extra key"),
            *("message key: extra, answer", "message key: name", "message key: name with a space"),
            *("message key: refusal null", "message key: reasoning_content", "weight: user"),
            "content: text key",
        ),
        why="its types forbid every other key; mistral-finetune, which trains, drops them: W",
    ),
    Apart(
        they=True,
        validators=MISTRAL,
        kinds=("order: assistant first",),
        why="a system message right after the assistant; anywhere else it may stand: W",
    ),
    Apart(
        they=True,
        validators=("mistral v3", "mistral v7"),
        kinds=("call: twice", "tool answer: twice"),
        why="they compare how many calls and answers there are, whichever ids: W",
    ),
    Apart(
        they=True,
        validators=("mistral v11", "mistral v13"),
        kinds=("call: id of the word null",),
        why='"null" is their default for a missing id; our column for v11 and later warns',
    ),
    Apart(
        they=True,
        validators=("mistral v11",),
        kinds=("call: id of OpenAI",),
        why="v13 takes any id, and one column stands for v11 and later: W",
    ),
    Apart(
        they=False,
        validators=(*MISTRAL, "cookbook"),
        kinds=("line: surrogates as bytes", "line: byte order mark"),
        why="Python's json.loads takes these bytes, strict parsers don't",
    ),
    Apart(
        they=False,
        validators=(*MISTRAL, "together", "cookbook"),
        kinds=("text: half a surrogate pair",),
        why="they don't look at text; no tokenizer takes it",
    ),
    Apart(
        they=False,
        validators=(*MISTRAL, "cookbook"),
        kinds=("tools: null",),
        why="as good as absent to their types; the API wants a list, and --fix drops it",
    ),
    Apart(
        they=False,
        validators=MISTRAL,
        kinds=("content: no parts",),
        why="an empty list is empty text to them; nothing can be learnt of it",
    ),
    Apart(
        they=False,
        validators=("mistral v7", "mistral v11", "mistral v13"),
        kinds=("content: null, answer", "content: missing, answer"),
        why="they take an assistant who says nothing and calls nothing",
    ),
    Apart(
        they=False,
        validators=MISTRAL,
        kinds=("order: two systems first", "order: system after user"),
        why="mistral-finetune refuses a second system message, mistral-common takes it",
    ),
    Apart(
        they=False,
        validators=MISTRAL,
        kinds=("tools: no type", "tool: no description", "arguments: object", "arguments: null"),
        why="types of mistral-common fill in or convert what mistral-finetune demands",
    ),
    Apart(
        they=False,
        validators=MISTRAL,
        kinds=("tools: twice",),
        why="they look at each definition alone; which of two is meant nobody knows",
    ),
    Apart(
        they=False,
        validators=("mistral v3", "mistral v7", "mistral v11"),
        kinds=("call: no id",),
        why="a last message may have calls without ids; nobody could answer them",
    ),
    Apart(
        they=False,
        validators=("mistral v3", "mistral v7"),
        kinds=("call: id of the word null",),
        why="their default for a missing id passes in the last message; v13 refuses it",
    ),
    Apart(
        they=False,
        validators=("mistral v3", "mistral v7"),
        kinds=("tool answer: other id",),
        why="they compare how many calls and answers there are, whichever ids",
    ),
    Apart(
        they=True,
        validators=("together", "cookbook"),
        kinds=("line: empty",),
        why="Together's SDK 3.1.1 skips empty lines, and OpenAI's upload does: - and W",
    ),
    Apart(
        they=True,
        validators=("together",),
        kinds=(
            *("row key: metadata", "row key: id", "row key: parallel_tool_calls", "tools: empty"),
            "tools: declared, not called",
        ),
        why="1.5.35 knows no key beside messages; the service's page has tools, ignores the rest",
    ),
    Apart(
        they=False,
        validators=("together",),
        kinds=(
            *("order: assistant first", "order: system after user", "order: system last"),
            *("order: no user", "order: answer alone"),
        ),
        why="it only looks that no role comes twice; the page wants system, user, assistant",
    ),
    Apart(
        they=False,
        validators=("together",),
        kinds=("weight: user", "weight: false"),
        why="its check takes any 0 or 1 of Python's, on any message; the page: 0 or 1, assistant",
    ),
    Apart(
        they=False,
        validators=("together",),
        kinds=("message key: function_call", "tool_calls: text", "content: empty, answer"),
        why="it reads role, content and weight alone, and content only for its type",
    ),
    Apart(
        they=True,
        validators=("cookbook",),
        kinds=(
            *("content: parts of text", "content: parts of text, answer", "image: https"),
            *("content: parts everywhere", "image: inline"),
        ),
        why="from before vision: content that is no string is a fault to it",
    ),
    Apart(
        they=True,
        validators=("cookbook",),
        kinds=(
            *("role: developer", "tool_calls: empty", "tool_calls: null"),
            "message key: refusal null",
        ),
        why="from before tools, refusals and developers: keys and roles it doesn't know",
    ),
    Apart(
        they=True,
        validators=("cookbook",),
        kinds=("content: empty",),
        why="empty is missing to it; the API takes a user who says nothing: W",
    ),
    Apart(
        they=False,
        validators=("cookbook",),
        kinds=("row key: metadata", "row key: id", "row key: text"),
        why="it doesn't look at keys beside messages; the service refuses extra ones",
    ),
    Apart(
        they=False,
        validators=("cookbook",),
        kinds=("weight: 2", "weight: 0.5", "weight: text"),
        why="it knows the key, not its values",
    ),
    Apart(
        they=False,
        validators=("cookbook",),
        kinds=("line: NaN", "line: deep"),
        why="Python's json.loads takes both, strict parsers don't",
    ),
)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """By validator, what each says of each row."""
    python = python_with(tmp_path_factory.mktemp("validators"), *PACKAGES)
    lines = [base64.b64encode(row.line).decode() for row in ROWS]
    program = Path(__file__).parents[1] / "other_validators.py"
    run = subprocess.run(
        [python, program], input=json.dumps(lines), text=True, capture_output=True, check=False
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, list[str]] = json.loads(run.stdout)
    return found


ROWS: list[Mutated] = list(iter_mutated())


def refusing(line: bytes, provider: str) -> set[str]:
    """The rules for which we say that a provider refuses a row."""
    part = Part(Options(fast=False), None)
    part.look([line + b"\n"])
    keys = {finding.key for _, finding in part.findings}
    return {key for key in keys if any(r.severity == "error" for r in rule_on(key, (provider,)))}


def disagreements(said: dict[str, list[str]]) -> Iterator[tuple[str, str, bool]]:
    """Validator, kind, and whether it is they who refuse."""
    for validator, answers in said.items():
        for row, answer in zip(ROWS, answers, strict=True):
            if validator in TOOLLESS and of_tools(row.kind):
                continue
            ours = refusing(row.line, OURS[validator])
            if bool(ours) != bool(answer):
                yield validator, row.kind, bool(answer)


def of_tools(kind: str) -> bool:
    return kind in OF_TOOLS or kind in OF_ANSWERED or kind == "tool answer without a call"


def test_several_hundred_rows_are_compared() -> None:
    assert len(ROWS) > 500
    assert len({row.line for row in ROWS}) > 480


def test_each_disagreement_is_listed_with_its_reason(said: dict[str, list[str]]) -> None:
    listed = {
        (who, kind, row.they) for row in TABLE for who in row.validators for kind in row.kinds
    }
    found = set(disagreements(said))
    assert found - listed == set()
    assert listed - found == set()
    assert all(row.why for row in TABLE)


def test_a_good_row_is_taken_by_all_who_know_what_is_in_it(said: dict[str, list[str]]) -> None:
    for validator, answers in said.items():
        by_kind = [(row.kind, answer) for row, answer in zip(ROWS, answers, strict=True)]
        assert {answer for kind, answer in by_kind if kind == "nothing"} == {""}
        with_tools = {answer for kind, answer in by_kind if kind == "nothing, with tools"}
        assert ("" in with_tools) == (validator not in TOOLLESS)
