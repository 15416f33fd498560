"""A real process is killed in the middle of an evaluation; the next one asks only the rest."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from ftctl.evaluation.examples import load_examples
from ftctl.evaluation.graders import get_grader
from ftctl.evaluation.results import load_rows
from ftctl.evaluation.runner import Conversation, Target, evaluate

SPDX = Path(__file__).parents[2] / "examples" / "spdx" / "test.jsonl"
FINGERPRINT = "slow/1"
BATCH = 4
CHILD = f"""
import sys, time
from pathlib import Path
from ftctl.evaluation.examples import load_examples
from ftctl.evaluation.graders import get_grader
from ftctl.evaluation.runner import Target, evaluate

def answer(conversations):
    print("asked", len(conversations), flush=True)
    time.sleep(0.05)
    return ["MIT"] * len(conversations)

evaluate(Target("slow", "{FINGERPRINT}", answer), load_examples(Path(sys.argv[1])),
         get_grader("exact"), out_dir=Path(sys.argv[2]), batch_size={BATCH})
"""


@pytest.mark.medium
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
@pytest.mark.parametrize("torn", [b"", b'{"id": "0123', b"\xff\xfe"])
def test_after_sigkill_only_what_is_missing_is_asked(torn: bytes, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(SPDX), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        asked_before = sum(int(child.stdout.readline().split()[1]) for _ in range(6))
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split()
        asked_before += sum(int(n) for n in rest[1::2])
    assert child.returncode == -signal.SIGKILL
    (file,) = tmp_path.rglob("answers.jsonl")
    with file.open("ab") as end:
        end.write(torn)

    asked: list[int] = []

    def answer(conversations: Sequence[Conversation]) -> list[str]:
        asked.append(len(conversations))
        return ["MIT"] * len(conversations)

    started = time.time()
    data = load_examples(SPDX)
    found = evaluate(
        Target("slow", FINGERPRINT, answer),
        data,
        get_grader("exact"),
        out_dir=tmp_path,
        batch_size=BATCH,
    )
    kept = [row for row in load_rows(found).values() if row.answered_at.timestamp() < started]
    assert sum(asked) + len(kept) == len(data.examples) == found.n
    assert asked_before - BATCH <= len(kept) <= asked_before  # at most the batch in flight is lost
    assert len(kept) >= 5 * BATCH
    assert found.score == pytest.approx(
        sum(example.reference == "MIT" for example in data.examples) / 197
    )
    assert len(file.read_bytes().splitlines()) == 197
