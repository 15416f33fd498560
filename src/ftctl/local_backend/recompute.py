"""Activation checkpointing: layers that keep their input alone, and are computed again."""

from functools import partial
from typing import Any

from ftctl.errors import UsageError
from ftctl.estimation.setting import Recompute
from ftctl.local_backend.model import bare

Model = Any  # a PreTrainedModel or a PeftModel around one


def set_recompute(model: Model, every: Recompute) -> int:
    """Let every k-th layer be computed again in the backward pass instead of kept.

    Counted are the layers that anything is kept of: those from the first one that is trained on.

    Args:
        model: A causal language model.
        every: `off`, `all`, or every how manieth layer.

    Returns:
        How many layers are computed again.

    Raises:
        UsageError: this architecture's layers can't be.
    """
    from torch.utils.checkpoint import checkpoint
    from transformers.modeling_layers import GradientCheckpointingLayer

    base = bare(model)
    layers = list(getattr(base.get_decoder(), "layers", []))
    trained = (any(weight.requires_grad for weight in layer.parameters()) for layer in layers)
    first = next((place for place, found in enumerate(trained) if found), len(layers))
    again = [] if every == "off" else layers[first :: 1 if every == "all" else every]
    if every != "off" and not (
        again and all(isinstance(layer, GradientCheckpointingLayer) for layer in again)
    ):
        raise UsageError(
            f"recompute={every}: the layers of {type(base).__name__} can't be computed again",
            hint="leave recompute out, and set micro_batch_size=1 where memory is short",
        )
    for layer in layers:
        layer.gradient_checkpointing = layer in again
        if layer.gradient_checkpointing:
            layer._gradient_checkpointing_func = partial(  # noqa: SLF001 - transformers' own hook
                checkpoint, use_reentrant=False
            )
    return len(again)
