"""An environment of its own for a package that tests compare with or run."""

import os
import sys
import sysconfig
from pathlib import Path

import pytest
from tool_sessions import _UNREACHED, find_uv, run


def python_with(folder: Path, *packages: str) -> Path:
    """The Python of a new environment that holds some packages.

    The test is skipped where the package index can't be reached.
    """
    python = _made(folder)
    _install(folder, python, *packages)
    return python


def python_beside(folder: Path, *packages: str) -> Path:
    """The same, with everything that this Python has besides; what packages need is named, too.

    For what needs torch, so that no second one is downloaded.
    """
    python = _made(folder)
    _install(folder, python, "setuptools", "wheel")
    here = sysconfig.get_path("purelib")
    line = f"import site; site.addsitedir({here!r})\n"
    place = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder)
    Path(place.stdout.strip(), "beside.pth").write_text(line, encoding="utf-8")
    _install(folder, python, "--no-deps", "--no-build-isolation", *packages)
    return python


def _made(folder: Path) -> Path:
    venv = folder / "venv"
    _ran(folder, find_uv(), "venv", "-q", "--python", sys.executable, venv)
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _install(folder: Path, python: Path, *wanted: str) -> None:
    _ran(folder, find_uv(), "pip", "install", "-q", "--python", python, *wanted)


def _ran(folder: Path, *command: str | Path) -> None:
    ran = run([*command], folder)
    if ran.returncode and any(word in ran.stderr.lower() for word in _UNREACHED):
        pytest.skip(f"no package index: {ran.stderr.strip().splitlines()[-1]}")
    assert ran.returncode == 0, ran.stderr
