"""bf16 is chosen only where it pays, and the choice says what was measured."""

import time
from pathlib import Path
from typing import Any

import pytest

from ftctl.local_backend.executors.process import worker_environment
from ftctl.local_backend.hardware import pick_dtype


@pytest.mark.medium
@pytest.mark.parametrize(("faster", "chosen"), [("bfloat16", "bf16"), ("float32", "fp32")])
def test_the_faster_format_of_a_timed_batch_is_chosen(
    tmp_path: Path, faster: str, chosen: str
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("flags : avx2 avx512f avx512_bf16", encoding="utf-8")

    def batch(dtype: Any) -> None:
        time.sleep(0.01 if faster in str(dtype) else 0.5)

    dtype, reason = pick_dtype("cpu", batch, cpuinfo)
    assert faster in str(dtype)
    assert reason.startswith(f"{chosen}: one batch took")


@pytest.mark.medium
def test_a_cpu_without_fast_bf16_is_not_even_timed(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("flags : avx2", encoding="utf-8")
    dtype, reason = pick_dtype("cpu", pytest.fail, cpuinfo)
    assert "float32" in str(dtype)
    assert "emulated" in reason


def test_the_worker_sees_no_vendor_s_key() -> None:
    seen = worker_environment(
        {
            "PATH": "/bin",
            "OPENAI_API_KEY": "sk-planted",
            "CUDA_VISIBLE_DEVICES": "0",
            "HF_TOKEN": "hf",
        }
    )
    assert "sk-planted" not in seen.values()
    assert seen["CUDA_VISIBLE_DEVICES"] == "0"
    assert seen["HF_TOKEN"] == "hf"  # a base model on the hub may need it
    assert seen["OMP_WAIT_POLICY"] == "PASSIVE"
    assert seen["HF_HUB_DISABLE_TELEMETRY"] == "1"
