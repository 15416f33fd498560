"""An environment of its own for a package that tests compare with or run."""

import os
import sys
from pathlib import Path

import pytest
from tool_sessions import _UNREACHED, find_uv, run


def python_with(folder: Path, *packages: str) -> Path:
    """The Python of a new environment that holds some packages.

    The test is skipped where the package index can't be reached.
    """
    uv, venv = find_uv(), folder / "venv"
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    commands: tuple[list[str | Path], ...] = (
        [uv, "venv", "-q", "--python", sys.executable, venv],
        [uv, "pip", "install", "-q", "--python", python, *packages],
    )
    for command in commands:
        ran = run(command, folder)
        if ran.returncode and any(word in ran.stderr.lower() for word in _UNREACHED):
            pytest.skip(f"no package index: {ran.stderr.strip().splitlines()[-1]}")
        assert ran.returncode == 0, ran.stderr
    return python
