"""The loss of every trained token, exact whatever the micro-batch.

Two ways to the same numbers. The plain one asks the model for all logits and works with any causal
language model. The other one takes the head only to the positions that are trained on, and runs
what all examples begin with (the system line, as a rule) once per micro-batch instead of once per
example; it is used when a check on a real batch shows that it gives the same loss.
"""

from typing import TYPE_CHECKING, Any

from ftctl.local_backend.data import Batch
from ftctl.local_backend.kv_cache import cache_argument, key_values

if TYPE_CHECKING:
    from torch import Tensor, nn

# A PreTrainedModel or a PeftModel around one; transformers' own types don't say more than this.
Model = Any


def make_scorer(model: Model, *, plain: bool) -> "nn.Module":
    """The model as the recipe sees it: a batch in, the loss of each trained token out.

    One module around all that a loss takes, so that whatever shards or replicates a model sees
    its whole forward pass.

    Args:
        model: A causal language model, which stands under `.model`.
        plain: Whether to ask it for all logits.
    """
    from torch import nn

    class Scorer(nn.Module):  # type: ignore[misc]  # torch is imported here and untyped
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, batch: Batch) -> "Tensor":
            return token_losses(self.model, batch, plain=plain)

    return Scorer()


def token_losses(model: Model, batch: Batch, *, plain: bool) -> "Tensor":
    """Loss of each trained token, in nats, row by row: [N].

    Args:
        model: A causal language model; a right-padded batch needs no mask under causal attention.
        batch: ids and mask, [B, T].
        plain: Whether to ask the model for all logits.
    """
    from torch.nn import functional

    if plain:
        trained = batch.mask[:, 1:].bool()  # [B, T-1]
        logits = model(input_ids=batch.ids, use_cache=False).logits[:, :-1][trained]  # [N, V]
        targets = batch.ids[:, 1:][trained]  # [N]
    else:
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        hidden = _suffix_hidden(base, batch)  # [B, T-P, d]
        # The token at P+j is predicted at P+j-1; the first suffix token is never trained on.
        trained = batch.mask[:, batch.prefix + 1 :].bool()  # [B, T-P-1]
        targets = batch.ids[:, batch.prefix + 1 :][trained]  # [N]
        logits = base.get_output_embeddings()(hidden[:, :-1][trained])  # [N, V]
    losses: Tensor = functional.cross_entropy(logits.float(), targets, reduction="none")
    return losses


def summed_by_row(losses: "Tensor", batch: Batch) -> "Tensor":
    """Token losses added up over each row of the batch: [B]."""
    import torch

    trained = batch.mask[:, 1:].bool()  # [B, T-1]
    rows = trained.nonzero()[:, 0]  # [N]
    return torch.zeros(len(trained), dtype=losses.dtype, device=losses.device).index_add(
        0, rows, losses
    )


def _suffix_hidden(base: Model, batch: Batch) -> "Tensor":
    """Last hidden states of everything after the shared prefix, [B, T-P, d].

    Gradients flow back through the prefix's keys and values, so it is trained on as if it stood
    in every example.
    """
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
