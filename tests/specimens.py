"""What many tests begin with: a dataset, a worker's config, a provider, a child."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ftctl.datasets.digest import file_sha256
from ftctl.job import Hyperparameters, JobSpec
from ftctl.local_backend.run_folder import WorkerConfig


def write_chats(file: Path, answer: str = "Yes.") -> Path:
    """Twelve chat examples that every provider takes."""
    rows = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": answer}]}
        for q in (f"Is {n} a number?" for n in range(12))
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def spec_on_ten_rows(folder: Path, **fields: Any) -> JobSpec:
    """A job on a file of ten rows that nobody looks into."""
    data = folder / "train.jsonl"
    data.write_text('{"messages": []}\n' * 10, "utf-8")
    return JobSpec(data=data, data_sha256=file_sha256(data), **{"name": "n", **fields})


def worker_config(folder: Path, **changes: Any) -> WorkerConfig:
    """A worker's config whose home is a folder; no file that it names is there."""
    config = WorkerConfig(
        attempt=1,
        job_id="job-test",
        name="n",
        model="m",
        data=folder / "d",
        data_sha256="0" * 64,
        validation=None,
        validation_sha256=None,
        method="sft",
        tuning="lora",
        hyperparameters=Hyperparameters(),
        home=folder,
    )
    return config.model_copy(update=changes)


def install_provider(site: Path, name: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a provider as pip would: a module with `make`, and its entry point."""
    dist = site / f"{name}_ftctl-1.0.dist-info"
    dist.mkdir(parents=True)
    (site / f"{name}_ftctl.py").write_text(source, "utf-8")
    (dist / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-ftctl\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text(f"[ftctl.providers]\n{name} = {name}_ftctl:make\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, f"{name}_ftctl", raising=False)


def without_privilege() -> tuple[str, ...]:
    """How to run a child to whom file modes apply, which they don't to root."""
    if os.geteuid() != 0:
        return ()
    prefix = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("root without setpriv: modes of files bind nobody here")
    return prefix
