"""Head and loss over trained tokens alone, a chunk at a time, so that no full logits are kept."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Model = Any  # a PreTrainedModel
_LossesOf = Callable[["Tensor", "Tensor"], "Tensor"]

# A chunk's logits in fp32; with their copies and gradient about three times as much is held.
_CHUNK_BYTES = 256 * 2**20
_FEWEST_TOKENS = 128  # fewer leave a GPU waiting for the head's weights


def tokens_at_once(vocabulary: int) -> int:
    """For how many tokens the head is computed at a time."""
    fitting = _CHUNK_BYTES // (4 * vocabulary)
    return max(_FEWEST_TOKENS, fitting // _FEWEST_TOKENS * _FEWEST_TOKENS)


def head_losses(model: Model, hidden: "Tensor", targets: "Tensor", chunk: int) -> "Tensor":
    """Cross-entropy of the next tokens, in nats: [N].

    What is frozen has its gradient taken in the forward pass, where the logits are; they are
    gone before the next chunk. A head that is trained is computed again in the backward pass.

    Args:
        model: Whose head.
        hidden: Last hidden states of the tokens that predict, [N, d].
        targets: Ids of the tokens that come, [N].
        chunk: How many tokens at a time.
    """
    import torch
    from torch.nn.functional import cross_entropy
    from torch.utils.checkpoint import checkpoint

    head = model.get_output_embeddings()

    def losses_of(hidden: "Tensor", targets: "Tensor") -> "Tensor":
        logits = _scaled(model, head(hidden)).float()
        found: Tensor = cross_entropy(logits, targets, reduction="none")
        return found

    found: Tensor
    if not (torch.is_grad_enabled() and hidden.requires_grad):
        parts = zip(hidden.split(chunk), targets.split(chunk), strict=True)
        found = torch.cat([losses_of(*part) for part in parts])
    elif any(weight.requires_grad for weight in head.parameters()):
        parts = zip(hidden.split(chunk), targets.split(chunk), strict=True)
        found = torch.cat([checkpoint(losses_of, *part, use_reentrant=False) for part in parts])
    else:
        found = _frozen_head().apply(hidden, targets, losses_of, chunk)
    return found


def _scaled(model: Model, logits: "Tensor") -> "Tensor":
    """What some architectures do to their logits after the head (Granite, Cohere, Gemma).

    One that does something else is found out by the comparison at a job's start.
    """
    config = model.config.get_text_config()
    if divisor := getattr(config, "logits_scaling", None):
        logits = logits / divisor
    for name in ("logit_scale", "lm_head_multiplier"):
        if factor := getattr(config, name, None):
            logits = logits * factor
    if cap := getattr(config, "final_logit_softcapping", None):
        logits = (logits / cap).tanh() * cap
    return logits


@cache
def _frozen_head() -> "type[torch.autograd.Function]":
    import torch

    class FrozenHead(torch.autograd.Function):  # type: ignore[misc]  # torch is untyped here
        """Losses of tokens, and of each its gradient to the hidden state, in one pass."""

        @staticmethod
        def forward(
            ctx: Any,  # noqa: ANN401 - torch's own context
            hidden: "Tensor",
            targets: "Tensor",
            losses_of: _LossesOf,
            chunk: int,
        ) -> "Tensor":
            losses, gradients = [], []
            for states, ids in zip(hidden.split(chunk), targets.split(chunk), strict=True):
                leaf = states.detach().requires_grad_()
                with torch.enable_grad():
                    found = losses_of(leaf, ids)
                # No token's loss depends on another's state, so the sum's gradient is each one's.
                gradients += torch.autograd.grad(found, leaf, torch.ones_like(found))
                losses.append(found.detach())
            ctx.save_for_backward(torch.cat(gradients))
            return torch.cat(losses)

        @staticmethod
        def backward(ctx: Any, upstream: "Tensor") -> "tuple[Tensor | None, ...]":  # noqa: ANN401
            (gradients,) = ctx.saved_tensors  # [N, d]
            return gradients * upstream[:, None].to(gradients.dtype), None, None, None

    return FrozenHead
