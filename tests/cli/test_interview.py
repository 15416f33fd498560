"""`ftctl advise --interview`, on a terminal of its own."""

import json
import os
import re
import subprocess
import sys

import pytest
from command_line import Cli

pytestmark = pytest.mark.medium
pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")


def interview(*answers: str) -> tuple[str, str, int]:
    """What the terminal showed, what stdout got, and the exit code."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "ftctl.cli", "advise", "--interview", "--json",
         "--as-of", "2026-11-24"],
        stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, text=True,
    ) as child:  # fmt: skip
        os.close(theirs)
        os.write(ours, "".join(f"{line}\n" for line in answers).encode())
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the other end was closed: the child has ended
                break
            if not piece:
                break
            shown += piece
        out, _ = child.communicate(timeout=120)
    os.close(ours)
    return shown.decode(), out, child.returncode


def test_answers_lead_to_the_advice_that_the_flags_give(cli: Cli) -> None:
    shown, out, code = interview("0.6", "regulated", "nonsense", "5000", "q")
    assert "Traceback" not in shown
    assert code in (0, 4)
    given = re.search(r"The same without questions: ftctl (.+?)\r?\n", shown)
    assert given
    flags = given[1].split()
    assert flags[flags.index("--baseline-score") :][:2] == ["--baseline-score", "0.6"]
    again = cli(*flags, "--as-of", "2026-11-24", "--json")
    assert json.loads(out) == json.loads(again.stdout)


def test_enter_skips_and_the_questions_end() -> None:
    shown, out, code = interview(*[""] * 30)
    assert code == 4
    assert json.loads(out)["decision"] == "measure_first"
    assert 1 < shown.count("?") < 25


def test_without_a_terminal_it_says_how_else(cli: Cli) -> None:
    ran = cli("advise", "--interview")
    assert ran.returncode == 2
    assert "asks on a terminal" in ran.stderr
    assert "ftctl advise --help" in ran.stderr
