"""The loss of DPO: prefer the one answer, measured against the model without its adapter.

Source: Rafailov et al. 2023, "Direct Preference Optimization", equation 7.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ftctl.errors import UsageError
from ftctl.job import Method
from ftctl.local_backend.data import Batch
from ftctl.local_backend.losses import suffix_hidden

if TYPE_CHECKING:
    from torch import Tensor

Model = Any  # a PreTrainedModel or a PeftModel around one

# How closely it keeps to the base where nobody says: OpenAI's default is `auto`, TRL's this.
DEFAULT_BETA = 0.1
_LARGEST_BETA = 2.0  # OpenAI's; source: its API specification, read 2026-08


class Preference(NamedTuple):
    """What a batch of pairs shows.

    Attributes:
        loss: Summed over the pairs, in nats.
        margins: By how much the preferred answer's reward is the larger, for each pair: [N].
    """

    loss: "Tensor"
    margins: "Tensor"


def beta_of(method: Method, options: Mapping[str, str]) -> float | None:
    """The beta to train with; None for methods that have none.

    Raises:
        UsageError: it isn't a number in range, or the method has none.
    """
    said = options.get("beta")
    if said is None:
        return DEFAULT_BETA if method == "dpo" else None
    try:
        beta = float(said)
    except ValueError:
        beta = math.nan
    if method != "dpo" or not 0 < beta <= _LARGEST_BETA:
        raise UsageError(
            f"beta={said!r}: for dpo, a number above 0 and up to {_LARGEST_BETA:g}",
            hint=f"--set beta={DEFAULT_BETA}" if method == "dpo" else "leave beta out",
        )
    return beta


def preference_loss(policy: "Tensor", reference: "Tensor", beta: float) -> Preference:
    """DPO's loss over pairs.

    Args:
        policy: Log-probabilities of the answers by the model that is trained: [N, 2], the
            preferred one first.
        reference: The same by the model without its adapter: [N, 2].
        beta: How closely it keeps to the reference.
    """
    from torch.nn import functional

    rewards = beta * (policy - reference)  # [N, 2]
    margins = rewards[:, 0] - rewards[:, 1]  # [N]
    return Preference(-functional.logsigmoid(margins).sum(), margins.detach())


def answer_logps(model: Model, batch: Batch, *, shared: bool) -> "Tensor":
    """Log-probability of each row's trained tokens, in nats.

    Args:
        model: A causal language model.
        batch: ids and mask, [B, T].
        shared: Whether what all rows begin with is computed once, as in `shared_prefix_loss`.

    Returns:
        A sum for each row: [B].
    """
    import torch
    from torch.nn import functional

    first = batch.prefix + 1 if shared else 1
    trained = batch.mask[:, first:].bool()  # [B, S]
    if shared:
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        hidden = suffix_hidden(base, batch)  # [B, S+1, d]
        logits = base.get_output_embeddings()(hidden[:, :-1][trained])  # [N, V]
    else:
        logits = model(input_ids=batch.ids, use_cache=False).logits[:, :-1][trained]  # [N, V]
    targets = batch.ids[:, first:][trained]  # [N]
    each = -functional.cross_entropy(logits.float(), targets, reduction="none")  # [N]
    placed = torch.zeros(trained.shape, dtype=each.dtype, device=each.device)
    return placed.masked_scatter(trained, each).sum(dim=1)
