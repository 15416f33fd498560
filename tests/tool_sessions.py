"""The real tools: an environment of its own for each, and a session that labels our export there.

`python tests/tool_sessions.py` records anew what stands in `datasets/curation/exports/`.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent / "datasets" / "curation"
EXPORTS = HERE / "exports"
# Taken before a fixture cleans it: the machine's own package index, proxy and certificates.
MACHINE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
PYTHON = "3.11"  # the youngest that Lilac's and PigeonXT's requirements have wheels for
_UNREACHED = ("error sending request", "dns error", "connection refused", "timed out", "connect")
_UV_READS = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_CERT": "SSL_CERT_FILE"}

ROWS: tuple[dict[str, object], ...] = (
    {
        "messages": [
            {"role": "user", "content": "The card was charged twice."},
            {"role": "assistant", "content": "billing"},
        ]
    },
    {
        "messages": [
            {"role": "user", "content": "The app closes at start.\nAlways."},
            {"role": "assistant", "content": "bug"},
        ]
    },
    {
        "messages": [
            {"role": "user", "content": 'Grüße, "wie" ändere ich\u2028 mein Passwort?'},
            {"role": "assistant", "content": "account"},
        ]
    },
    {
        "messages": [
            {"role": "user", "content": "The card was charged twice."},
            {"role": "assistant", "content": "billing"},
        ]
    },
    {
        "messages": [
            {"role": "system", "content": "Name the team."},
            {"role": "user", "content": "NA"},
            {"role": "assistant", "content": "null"},
        ]
    },
    {"messages": [{"role": "user", "content": "Was I billed?"}], "tools": []},
)


ANSWERS = ("Hello", "What")
PAIRS: tuple[dict[str, object], ...] = tuple(
    {
        "input": {"messages": [{"role": "user", "content": asked}]},
        "preferred_output": [{"role": "assistant", "content": ANSWERS[0]}],
        "non_preferred_output": [{"role": "assistant", "content": ANSWERS[1]}],
    }
    for asked in ("Hi", "Hey")
)
SIDES = ("left", "right")  # what is preferred of each


@dataclass(frozen=True)
class Said:
    """What a person says of one of `ROWS`."""

    row: int
    annotator: str
    status: str
    value: str


# Two agree, two disagree, one is a draft, one discards, one says what looks like no value.
SAID = (
    Said(0, "ann", "submitted", "billing"),
    Said(0, "bob", "submitted", "billing"),
    Said(1, "ann", "submitted", "bug"),
    Said(1, "bob", "submitted", "crash"),
    Said(2, "ann", "submitted", "password"),
    Said(2, "bob", "draft", "pass"),
    Said(3, "ann", "discarded", "billing"),
    Said(4, "bob", "submitted", "NA"),
)
# PigeonXT's one person, by task; what isn't named is passed over.
CLICKED: Mapping[str, Mapping[int, object]] = {
    "answer": {0: "billing", 2: "password", 4: "NA"},
    "quality": {0: "good", 1: "bad"},
    "topics": {0: ["urgent"], 1: [], 2: ["urgent", "rude"]},
}
# Lilac's labels, by row.
LABELLED = ((0, "good"), (1, "bad"), (2, "good"), (2, "rude"), (3, "__deleted__"))

TOOLS = {  # what our export is called, and Python's name of the session
    "argilla": ("argilla", "argilla"),
    "lilac": ("lilac.parquet", "lilac"),
    "pigeonxt": ("pigeonxt.csv", "pigeonxt"),
    "label-studio": ("tasks.json", "label_studio"),
}


class Unreachable(Exception):
    """The package index can't be reached, so there is no real tool to try."""


def write_rows(folder: Path, rows: tuple[dict[str, object], ...] = ROWS) -> Path:
    """Rows as a file."""
    file = folder / "rows.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


def labels_for(tool: str, ids: list[str]) -> object:
    """What is said of the rows, as the tool's session reads it."""
    if tool == "lilac":
        return [{"id": ids[row], "value": label} for row, label in LABELLED]
    if tool == "pigeonxt":
        return CLICKED
    said = [{**vars(one), "question": "answer", "key": "text"} for one in SAID]
    return [one for one in said if tool == "argilla" or one["status"] != "draft"]


def find_uv() -> str:
    """The program that makes environments: pip takes many minutes to find what Lilac needs."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv", path=MACHINE.get("PATH"))
    assert found is not None, "uv is one of the development tools: make setup"
    return found


def run(command: list[str | Path], cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the machine's own settings, but for these."""
    known = {theirs: MACHINE[ours] for ours, theirs in _UV_READS.items() if ours in MACHINE}
    return subprocess.run(
        command,
        cwd=cwd,
        env=known | MACHINE | settings,
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )


def environment(name: str, folder: Path) -> Path:
    """The Python of a new environment that holds the tool, exactly as it was when recorded.

    Raises:
        Unreachable: the package index can't be reached.
    """
    uv, venv = find_uv(), folder / "venv"
    here = sys.version_info[:2] == tuple(map(int, PYTHON.split(".")))
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pins = HERE / "environments" / f"{name}.txt"
    commands: tuple[list[str | Path], ...] = (
        [uv, "venv", "-q", "--python", sys.executable if here else PYTHON, venv],
        [uv, "pip", "install", "-q", "--no-deps", "--python", python, "-r", pins],
    )
    for command in commands:
        ran = run(command, folder)
        if ran.returncode and any(word in ran.stderr.lower() for word in _UNREACHED):
            raise Unreachable(ran.stderr.strip().splitlines()[-1])
        assert ran.returncode == 0, ran.stderr
    return python


def labelled(tool: str, exported: Path, ids: list[str], folder: Path) -> Path:
    """Label our export in the real tool; returns the folder of the tool's own exports.

    Raises:
        Unreachable: the package index can't be reached.
    """
    name = TOOLS[tool][1]
    python = environment(name, folder)
    labels, out = folder / "labels.json", folder / "out"
    labels.write_text(json.dumps(labels_for(tool, ids)))
    session = HERE / "sessions" / f"{name}_session.py"
    more = pairs_job(tool, folder, out) if tool in ("argilla", "label-studio") else []
    apart = {"HOME": str(folder), "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    ran = run([python, session, exported, labels, out, *more], folder, **apart)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    shutil.rmtree(folder / "venv")  # half a gigabyte
    return out


def pairs_job(tool: str, folder: Path, out: Path) -> list[str | Path]:
    """`PAIRS` as the tool reads them, what is said of them, and where its exports go."""
    from ftctl.datasets.curation.exporting import export_rows

    inner = folder / "pairs"
    inner.mkdir()
    exported, labels = inner / TOOLS[tool][0], inner / "labels.json"
    export_rows(write_rows(inner, PAIRS), exported, tool)
    said = [
        {**vars(Said(row, "ann", "submitted", side)), "question": "preference", "key": "selected"}
        for row, side in enumerate(SIDES)
    ]
    labels.write_text(json.dumps(said))
    return [exported, labels, out / "pairs"]


def exported_rows(tool: str, folder: Path) -> tuple[Path, list[str]]:
    """`ROWS` as the tool reads them, and their ids."""
    from ftctl.datasets.curation.exporting import export_rows
    from ftctl.datasets.curation.view import row_id

    out = folder / TOOLS[tool][0]
    export_rows(write_rows(folder), out, tool)
    ids = [row_id(row) for row in ROWS]
    ids[3] += "-2"  # it says the same as the first
    return out, ids


def main() -> None:
    """Record every tool's exports."""
    for tool, (_, name) in TOOLS.items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            exported, ids = exported_rows(tool, folder)
            shutil.rmtree(EXPORTS / name, ignore_errors=True)
            shutil.copytree(labelled(tool, exported, ids, folder), EXPORTS / name)
            print(f"{tool}: {EXPORTS / name}")  # noqa: T201 - a script


if __name__ == "__main__":
    main()
