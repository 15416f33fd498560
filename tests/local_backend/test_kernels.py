"""Liger's kernels run on CUDA alone; here is tested what is asked of the package, and of whom."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ftctl.local_backend.kernels import Undo, use_fused_kernels
from ftctl.local_backend.model import Trainable

pytestmark = [pytest.mark.medium, pytest.mark.timeout(300)]

# What the package of that name has, as far as it is used: it replaces parts of an architecture.
LIGER = """
from transformers.models.llama import modeling_llama

seen = []


def _apply_liger_kernel_to_instance(model, **chosen):
    seen.append((type(model).__name__, chosen))
    modeling_llama.apply_rotary_pos_emb = None


MODEL_TYPE_TO_APPLY_LIGER_FN = {"llama": None}
"""


@pytest.fixture
def liger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package in Liger's place."""
    folder = tmp_path / "liger_kernel" / "transformers"
    folder.mkdir(parents=True)
    for place in (folder, folder.parent):
        (place / "__init__.py").touch()
    (folder / "monkey_patch.py").write_text(LIGER, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith("liger_kernel")]:
        del sys.modules[name]


def model_of_type(name: str) -> Any:
    """As much of a model as is asked."""
    return SimpleNamespace(config=SimpleNamespace(model_type=name))


@pytest.mark.usefixtures("liger")
def test_fused_parts_are_asked_for_and_can_be_undone(tiny_model: Path) -> None:
    import torch
    from transformers.models.llama import modeling_llama

    model = Trainable().load(tiny_model, torch.float32, "cpu")
    own, undo = modeling_llama.apply_rotary_pos_emb, Undo(model)
    assert use_fused_kernels(model)
    ((kind, chosen),) = sys.modules["liger_kernel.transformers.monkey_patch"].seen
    assert kind == "LlamaForCausalLM"  # not what PEFT put around it
    assert chosen["rms_norm"]
    assert chosen["swiglu"]
    assert chosen["rope"]
    assert not (chosen["cross_entropy"])
    assert not (chosen["fused_linear_cross_entropy"])
    assert modeling_llama.apply_rotary_pos_emb is None
    undo()
    assert modeling_llama.apply_rotary_pos_emb is own
    assert not use_fused_kernels(model_of_type("rwkv"))


def test_nothing_is_done_without_the_package() -> None:
    assert not use_fused_kernels(model_of_type("llama"))
