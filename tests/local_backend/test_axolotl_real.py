"""Axolotl 0.19.0 itself, in its own environment on the CPU: its schema, and a job by it.

Its packages are its own; torch and what it shares come from the tests' environment, whose folder
stands last on the path. Trackers and web pages that it imports and doesn't use here are empty.
"""

import json
import subprocess
import time
from pathlib import Path

import pytest
from command_line import Cli
from own_environment import python_with
from tiny_model import write_data, write_model
from tool_sessions import MACHINE

import ftctl
from ftctl.api.job_handle import get_job
from ftctl.job import Hyperparameters, Method, Tuning
from ftctl.local_backend.engines.axolotl_config import Wanted, config_of, written

pytestmark = pytest.mark.slow
PACKAGES = """
    axolotl==0.19.0 axolotl-contribs-lgpl==0.0.7 axolotl-contribs-mit==0.0.6
    transformers==5.16.1 trl==1.9.0 peft==0.20.0 accelerate==1.13.0 datasets==4.8.4
    huggingface-hub==1.17.0 tokenizers==0.23.1 pydantic==2.12.5 pydantic-core==2.41.5
    mistral-common==1.11.5 posthog==6.7.11 bitsandbytes==0.50.2 triton==3.7.1 schedulefree==1.4.1
    kernels==0.16.2 kernels-data==0.16.2 numba==0.68.1 llvmlite==0.50.0 addict fire termcolor
    colorama einops art python-dotenv backoff fastcore evaluate dill multiprocess xxhash pandas
    pyarrow httpx httpcore hf-xet typer six distro
    """


@pytest.fixture(scope="module")
def axolotl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its command."""
    folder = tmp_path_factory.mktemp("axolotl")
    python = python_with(folder, "--no-deps", *PACKAGES.split())
    ran = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    site = Path(ran.stdout.strip())
    import torch

    (site / "shared.pth").write_text(f"{Path(torch.__file__).parents[1]}\n", encoding="utf-8")
    for unused in ("wandb", "gradio"):
        (site / f"{unused}.py").write_text("", encoding="utf-8")
    return python.parent


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base"))


_CHECK = """
import json, sys, yaml
from axolotl.utils.config import validate_config
from axolotl.utils.dict import DictDefault
able = {"bf16": True, "fp8": False, "tf32": True, "n_gpu": 1, "compute_capability": "sm_90"}
for file in sys.argv[1:]:
    given = yaml.safe_load(open(file))
    found = validate_config(DictDefault(given), able, {"torch_version": "2.13.0"}).to_dict()
    kept = {key: found.get(key) for key in given if key not in ("datasets", "test_datasets")}
    print("FOUND " + json.dumps({"given": given, "kept": kept}))
"""


def test_its_own_schema_accepts_what_is_exported(
    axolotl: Path, model: Path, tmp_path: Path
) -> None:
    rows = write_data(tmp_path / "rows.jsonl")
    every = Hyperparameters(
        epochs=2.5, max_steps=7, batch_size=12, micro_batch_size=4, learning_rate=1e-5,
        warmup_fraction=0.0, weight_decay=0.1, lora_r=4, lora_alpha=9, lora_dropout=0.1,
        last_layers=2, max_length=300, checkpoint_steps=2, seed=3,
    )  # fmt: skip
    options = {"packing": "on", "rslora": "true", "recompute": "all", "keep_checkpoints": "3"}
    kinds: tuple[tuple[Method, Tuning, Hyperparameters, dict[str, str]], ...] = (
        ("sft", "lora", Hyperparameters(), {}),
        ("sft", "lora", every, options),
        ("sft", "qlora", Hyperparameters(), {}),
        ("sft", "full", Hyperparameters(), {}),
        ("dpo", "lora", every, {"beta": "0.3"}),
    )
    files = []
    for number, (method, tuning, settings, chosen) in enumerate(kinds):
        wanted = Wanted(str(model), method, tuning, settings, chosen, rows, rows)
        files.append(tmp_path / f"{number}.yml")
        files[-1].write_text(written(config_of(wanted)), encoding="utf-8")
    ran = subprocess.run(
        [axolotl / "python", "-c", _CHECK, *files],
        capture_output=True, text=True, env=MACHINE | {"AXOLOTL_DO_NOT_TRACK": "1"}, check=False,
    )  # fmt: skip
    found = [
        json.loads(line.removeprefix("FOUND "))
        for line in ran.stdout.splitlines()
        if line.startswith("FOUND ")
    ]
    assert len(found) == len(kinds), ran.stderr[-3000:]
    for one in found:  # nothing that it doesn't know, which it would drop without a word
        assert {key: one["given"][key] for key in one["kept"]} == one["kept"]


def test_a_job_by_axolotl_is_cancelled_and_goes_on(
    cli: Cli, axolotl: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{axolotl}:/usr/bin:/bin")
    data = write_data(tmp_path / "rows.jsonl")
    ran = cli(
        "submit", "--provider", "local", "--model", model, "--data", data, "--engine", "axolotl",
        "--set", "max_steps=100", "--set", "batch_size=8", "--set", "learning_rate=0.01",
        "--set", "checkpoint_steps=5", "--json",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    job = get_job(ran.json()["id"])
    while job.refresh().record.progress.get("step", 0) < 6:
        assert not job.state.terminal, job.record.message
        time.sleep(0.1)
    assert cli("cancel", job.id).returncode == 0
    assert job.refresh().state == "cancelled", job.record.message
    assert "at the checkpoint of step" in job.record.message
    assert cli("resume", job.id).returncode == 0
    ran = cli("watch", job.id)
    assert ran.returncode == 0, ran.stderr
    assert cli("fetch", job.id, "-o", tmp_path / "out").returncode == 0
    rows = [
        json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    ]
    steps = [row for row in rows if row["kind"] == "step"]
    assert [row["step"] for row in steps] == list(range(1, 101))
    assert min(row["grad_norm"] for row in steps) > 0
    assert steps[-1]["loss"] < 0.5 * steps[0]["loss"]
    said = cli("logs", job.id).stdout
    assert "goes on from Axolotl's checkpoint of step" in said
    assert "Axolotl's inference answers the first example" in said
    ran = cli("chat", tmp_path / "out", "Item 3: it looks red")
    assert ran.returncode == 0, ran.stderr
    assert ftctl.__version__ in (tmp_path / "out" / "README.md").read_text()
