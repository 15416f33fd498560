"""What is said to be typed next is something the command line takes."""

import re
import shlex
from datetime import date
from typing import Any

import click
import pytest

from ftctl.advisor.advise import advise
from ftctl.advisor.types import Facts
from ftctl.cli.main import ftctl

pytestmark = pytest.mark.medium

MISSED: dict[str, Any] = {"prompt_meets_quality": False, "data_rows": 2000}
# Words in capitals are the user's to fill in.
FILLED = {"SCORE": "0.7", "N": "100", "TARGET": "0.9"}


@pytest.mark.parametrize(
    "facts",
    [
        {},
        MISSED,
        MISSED | {"runs_gpus": True},
        MISSED | {"accounts": {"openai": {"since": "2025-01-01", "last_used": "2026-11-20"}}},
        {"prompt_meets_quality": True},
        {"knowledge_changes": "daily"},
        {"budget_usd_per_month": 0, "requests_per_month": 1e6},
        {"prompt_limit": True, "requests_per_month": 1.2e7},
        {"prompt_limit": True, "requests_per_month": 1.2e7, "runs_gpus": False},
        {"baseline_score": 0.7, "target_score": 0.85, "task_kind": "classification"},
    ],
)
def test_the_command_line_takes_every_next_command(facts: dict[str, Any]) -> None:
    lines = advise(Facts.parse(facts), as_of=date(2026, 11, 24)).next
    assert lines
    for line in lines:
        words = [FILLED.get(word, word) for word in shlex.split(line)]
        assert words.pop(0) == "ftctl"
        command: click.Command = ftctl
        context = click.Context(ftctl)
        while isinstance(command, click.Group) and words:
            name = words.pop(0)
            found = command.get_command(context, name)
            assert found is not None, f"{line}: no command {name}"
            command = found
            context = click.Context(command, parent=context, info_name=name)
        command.parse_args(context, words)
        assert not re.search(r"\bNone\b", line)
