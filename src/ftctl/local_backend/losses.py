"""The loss of every trained token, exact whatever stands beside it.

Three ways to the same numbers. The plain one asks the model for all logits and works with any
causal language model. The others take the head only to the positions that are trained on, and run
what all examples begin with (the system line, as a rule) once per micro-batch instead of once per
example: over rows padded on the right, or over one packed row. They are used when a check on a
real batch shows that they give the same loss.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ftctl.local_backend.attention import Way, attention_of, use_documents
from ftctl.local_backend.data import Batch, Pack
from ftctl.local_backend.head import head_losses, tokens_at_once
from ftctl.local_backend.kv_cache import cache_argument, key_values
from ftctl.local_backend.model import bare

if TYPE_CHECKING:
    from torch import Tensor, nn

# A PreTrainedModel or a PeftModel around one; transformers' own types don't say more than this.
Model = Any
Score = Callable[[Batch | Pack], "Tensor"]


def make_scorer(model: Model, *, plain: bool, packed: Way = "documents") -> "nn.Module":
    """The model as the recipe sees it: a batch in, the loss of each trained token out.

    One module around all that a loss takes, so that whatever shards or replicates a model sees
    its whole forward pass. Anything else that needs the whole model goes the same way: a function
    of it instead of a batch.

    Args:
        model: A causal language model, which stands under `.model`.
        plain: Whether to ask it for all logits.
        packed: How the examples of a packed row are kept apart.
    """
    from torch import nn

    class Scorer(nn.Module):  # type: ignore[misc]  # torch is imported here and untyped
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, batch: Batch | Pack | Callable[[Model], Any]) -> Any:  # noqa: ANN401
            if callable(batch):
                return batch(self.model)
            return token_losses(self.model, batch, plain=plain, packed=packed)

    return Scorer()


def token_losses(
    model: Model, batch: Batch | Pack, *, plain: bool, packed: Way = "documents"
) -> "Tensor":
    """Loss of each trained token, in nats, example by example: [N].

    Args:
        model: A causal language model; a right-padded batch needs no mask under causal attention.
        batch: Padded rows or a packed one.
        plain: Whether to ask the model for all logits; of padded rows alone.
        packed: How the examples of a packed row are kept apart.
    """
    base = bare(model)
    if isinstance(batch, Pack):
        hidden, targets = _packed_hidden(base, batch, packed), batch.targets
    elif plain:
        return _plain_losses(model, batch)
    else:
        # The token at P+j is predicted at P+j-1; the first suffix token is never trained on.
        trained = batch.mask[:, batch.prefix + 1 :].bool()  # [B, T-P-1]
        targets = batch.ids[:, batch.prefix + 1 :][trained]  # [N]
        hidden = _suffix_hidden(base, batch)[:, :-1][trained]  # [N, d]
    return head_losses(
        base, hidden, targets, tokens_at_once(base.config.get_text_config().vocab_size)
    )


def summed_by_row(losses: "Tensor", batch: Batch | Pack) -> "Tensor":
    """Token losses added up over each example of the batch: [B]."""
    import torch

    if isinstance(batch, Pack):
        rows, count = batch.rows, len(batch.lines)
    else:
        trained = batch.mask[:, 1:].bool()  # [B, T-1]
        rows, count = trained.nonzero()[:, 0], len(trained)  # [N]
    return torch.zeros(count, dtype=losses.dtype, device=losses.device).index_add(0, rows, losses)


def _plain_losses(model: Model, batch: Batch) -> "Tensor":
    from torch.nn import functional

    trained = batch.mask[:, 1:].bool()  # [B, T-1]
    logits = model(input_ids=batch.ids, use_cache=False).logits[:, :-1][trained]  # [N, V]
    targets = batch.ids[:, 1:][trained]  # [N]
    losses: Tensor = functional.cross_entropy(logits.float(), targets, reduction="none")
    return losses


def _packed_hidden(base: Model, pack: Pack, packed: Way) -> "Tensor":
    """Last hidden states of the tokens that predict a trained one, [N, d]."""
    use_documents(base)
    how = attention_of(packed, pack.layout, pack.ids.device)
    output = base.get_decoder()(
        input_ids=pack.ids, position_ids=pack.positions, use_cache=False, **how
    )
    how["documents"].require_all(base.config.get_text_config().num_hidden_layers)
    hidden: Tensor = output.last_hidden_state[0, pack.predicts]
    return hidden


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
