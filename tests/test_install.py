"""Which build of torch the set-up asks for, told by an interpreter that only writes down."""

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "install.py"
CPU_ONLY = ["torch", "sympy", "networkx"]
WITH_CUDA = [*CPU_ONLY, "nvidia-cublas", "triton"]


@pytest.fixture
def install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Interpreter:
    """A stand-in for the environment's Python: it has no torch, and pip would install `names`."""

    def __init__(self, folder: Path, names: list[str], *, uv_works: bool = True) -> None:
        report = folder / "report.json"
        report.write_text(json.dumps({"install": [{"metadata": {"name": n}} for n in names]}))
        self.path = folder / "python"
        self._calls = folder / "calls"
        self.path.write_text(
            "#!/bin/sh\n"
            f'echo "$@" >> {self._calls}\n'
            'case "$*" in\n'
            '  "-c import torch") exit 1;;\n'
            f"  *--dry-run*) cat {report};;\n"
            f'  "-m uv pip"*) exit {0 if uv_works else 1};;\n'
            "esac\n"
        )
        self.path.chmod(0o755)

    @property
    def installed(self) -> list[str]:
        """What was really installed, with which tool."""
        calls = self._calls.read_text().splitlines()
        return [call for call in calls if " install " in call and "--dry-run" not in call]


@pytest.fixture
def linux_without_gpu(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install.platform, "system", lambda: "Linux")
    monkeypatch.setattr(install, "has_nvidia_driver", lambda: False)


def test_a_release_that_comes_without_cuda_is_taken(
    install: ModuleType, linux_without_gpu: None, tmp_path: Path
) -> None:
    python = Interpreter(tmp_path, CPU_ONLY)
    install.install_torch(python.path)
    (only,) = python.installed
    assert only.endswith("torch==2.13.0")


def test_where_pip_would_bring_cuda_uv_finds_the_cpu_build(
    install: ModuleType, linux_without_gpu: None, tmp_path: Path
) -> None:
    python = Interpreter(tmp_path, WITH_CUDA)
    install.install_torch(python.path)
    first, second = python.installed
    assert first.endswith(" uv")
    assert "--torch-backend=cpu" in second
    assert second.endswith("torch>=2.11")


def test_gigabytes_of_cuda_are_only_taken_when_asked_for(
    install: ModuleType,
    linux_without_gpu: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    python = Interpreter(tmp_path, WITH_CUDA, uv_works=False)
    with pytest.raises(SystemExit, match="FTCTL_ANY_TORCH=1 make setup"):
        install.install_torch(python.path)
    monkeypatch.setenv("FTCTL_ANY_TORCH", "1")
    install.install_torch(python.path)
    assert python.installed[-1].endswith("-qq torch>=2.11")


def test_with_a_driver_the_ordinary_build_is_taken(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install.platform, "system", lambda: "Linux")
    monkeypatch.setattr(install, "has_nvidia_driver", lambda: True)
    python = Interpreter(tmp_path, WITH_CUDA)
    install.install_torch(python.path)
    (only,) = python.installed
    assert only.endswith("-qq torch>=2.11")


def test_an_old_python_is_told_so(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    with pytest.raises(SystemExit, match=r"ftctl needs Python 3\.11 or newer"):
        install.demand_python()
