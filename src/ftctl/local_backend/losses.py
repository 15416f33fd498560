"""Loss over the trained tokens alone, exact whatever the micro-batch.

Two ways to the same number. `plain_loss` asks the model for all logits and works with any causal
language model. `shared_prefix_loss` runs what all examples begin with (the system line, as a
rule) once per micro-batch instead of once per example, and takes the head only to the positions
that are trained on; it is used when a check on a real batch shows that it gives the same loss.
"""

import inspect
from typing import TYPE_CHECKING, Any

from ftctl.local_backend.data import Batch

if TYPE_CHECKING:
    from torch import Tensor

# A PreTrainedModel or a PeftModel around one; transformers' own types don't say more than this.
Model = Any


def plain_loss(model: Model, batch: Batch) -> "Tensor":
    """Summed loss over the trained tokens, in nats.

    Args:
        model: A causal language model; a right-padded batch needs no mask under causal attention.
        batch: ids and mask, [B, T].

    Returns:
        A scalar: the sum, so that an accumulation window can divide by its own token count.
    """
    from torch.nn import functional

    logits = model(input_ids=batch.ids, use_cache=False).logits[:, :-1]  # [B, T-1, V]
    trained = batch.mask[:, 1:].bool()  # [B, T-1]
    return functional.cross_entropy(
        logits[trained].float(), batch.ids[:, 1:][trained], reduction="sum"
    )


def shared_prefix_loss(model: Model, batch: Batch) -> "Tensor":
    """The same sum as `plain_loss`, with the common prefix computed once.

    Gradients flow back through the prefix's keys and values, so it is trained on as if it stood
    in every example.
    """
    from torch.nn import functional

    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    hidden = suffix_hidden(base, batch)  # [B, T-P, d]
    # The token at P+j is predicted at P+j-1; the first suffix token is never trained on.
    trained = batch.mask[:, batch.prefix + 1 :].bool()  # [B, T-P-1]
    targets = batch.ids[:, batch.prefix + 1 :][trained]  # [N]
    logits = base.get_output_embeddings()(hidden[:, :-1][trained])  # [N, V]
    return functional.cross_entropy(logits.float(), targets, reduction="sum")


def suffix_hidden(base: Model, batch: Batch) -> "Tensor":
    """Last hidden states of everything after the shared prefix, [B, T-P, d]."""
    import torch

    decoder = base.get_decoder()
    size, length = batch.ids.shape
    if batch.prefix == 0:
        output: Tensor = decoder(input_ids=batch.ids, use_cache=False).last_hidden_state
        return output
    name = cache_argument(decoder)
    prefix = decoder(input_ids=batch.ids[:1, : batch.prefix], use_cache=True)
    cache = key_values(prefix)
    cache.batch_repeat_interleave(size)
    positions = torch.arange(batch.prefix, length, device=batch.ids.device)
    suffix = decoder(
        input_ids=batch.ids[:, batch.prefix :],
        position_ids=positions[None].expand(size, -1),
        use_cache=True,
        **{name: cache},
    )
    hidden: Tensor = suffix.last_hidden_state
    return hidden


def key_values(output: Model) -> Model:
    """The key-value cache of a decoder's output, under its name of before or since 5.24."""
    return output.cache if hasattr(output, "cache") else output.past_key_values


def cache_argument(decoder: Model) -> str:
    """How this transformers calls the key-value cache: it was renamed in 5.24."""
    known = inspect.signature(decoder.forward).parameters
    return "cache" if "cache" in known else "past_key_values"
