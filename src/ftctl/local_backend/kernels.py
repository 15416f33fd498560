"""Liger's fused kernels for norms, feed-forward blocks and rotary positions, where installed."""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

from ftctl.local_backend.model import bare

Model = Any  # a PreTrainedModel or a PeftModel around one
Kernels = Literal["torch", "liger"]


def use_fused_kernels(model: Model) -> bool:
    """Let a model that is loaded compute with Liger's kernels; on CUDA alone.

    The loss isn't Liger's: the head is computed for trained tokens alone here.

    Returns:
        Whether Liger is installed and has kernels for this architecture.
    """
    if find_spec("liger_kernel") is None:
        return False
    liger: Any = import_module("liger_kernel.transformers.monkey_patch")
    base = bare(model)
    if base.config.model_type not in liger.MODEL_TYPE_TO_APPLY_LIGER_FN:
        return False
    liger._apply_liger_kernel_to_instance(  # noqa: SLF001 - what transformers itself calls
        base,
        rope=True,
        rms_norm=True,
        swiglu=True,
        geglu=True,
        cross_entropy=False,
        fused_linear_cross_entropy=False,
    )
    return True


class Undo:
    """Remembers an architecture's own parts, which Liger replaces for all its models.

    Args:
        model: One of them; it keeps what it was given.
    """

    def __init__(self, model: Model) -> None:
        base = bare(model)
        self._names = vars(sys.modules[type(base).__module__])
        self._before = dict(self._names)

    def __call__(self) -> None:
        """Models that are loaded from now on are as they were before."""
        self._names.update(self._before)
