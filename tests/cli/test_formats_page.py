"""The page about dataset formats: its commands run as they stand, and do what it says."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.medium,
    pytest.mark.skipif(shutil.which("bash") is None, reason="the page is for a shell"),
]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"


def test_every_command_works(tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 2
    shell = f'set -eu\nftctl() {{ {sys.executable} -m ftctl.cli "$@"; }}\n{"".join(blocks)}'
    ran = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    assert "warning" not in ran.stderr
    written = {file.name for file in tmp_path.iterdir() if file.is_file()}
    made = {"chat.jsonl", "bedrock.jsonl", "mistral.jsonl", "axolotl.jsonl", "chat.csv"}
    assert made | {"answers.csv", "pairs.jsonl"} <= written
    for name in ("mistral.jsonl", "axolotl.jsonl"):
        assert (tmp_path / name).read_text() == (tmp_path / "chat.jsonl").read_text()
    row = json.loads((tmp_path / "pairs.jsonl").read_text().splitlines()[1])
    assert row["non_preferred_output"] == [{"role": "assistant", "content": "Yes."}]
    assert (tmp_path / "answers.csv").read_text().splitlines()[0] == "question,input,system,answer"


def test_every_format_stands_in_the_table() -> None:
    from ftctl.datasets.convert.formats import FORMATS

    rows = re.findall(r"^\| `([a-z-]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert rows == list(FORMATS)
