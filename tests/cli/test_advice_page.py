"""The page of worked advice: its commands run as they stand and say what it says."""

import re
import shlex
from pathlib import Path

import pytest
from command_line import Cli

pytestmark = pytest.mark.medium
PAGE = Path(__file__).resolve().parents[2] / "docs" / "advice.md"
PARTS = PAGE.read_text("utf-8").split("\n## ")[1:]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.partition("\n")[0])
def test_a_command_gives_the_answer_beside_it(cli: Cli, part: str) -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", part, re.DOTALL)
    name, *words = shlex.split(block.replace("\\\n", " "))
    assert name == "ftctl"
    ran = cli(*words, "--json")
    found = ran.json()
    undecided = found["decision"] in ("measure_first", "too_close")
    assert ran.returncode == (4 if undecided else 0), ran.stderr
    assert f"**{found['decision']}** ({found['confidence']:.0%} of draws)" in part
    assert f"> {found['reason']}" in part
    assert all(flip["says"] in part for flip in found["flips"])


def test_every_kind_of_answer_is_there() -> None:
    assert len(PARTS) == 8
    decisions = set(re.findall(r"^\*\*(\w+)\*\*", PAGE.read_text("utf-8"), re.MULTILINE))
    assert decisions == {
        "none", "prompt", "rag", "hosted", "self_hosted", "measure_first", "too_close",
    }  # fmt: skip
