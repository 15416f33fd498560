"""Which way a loss is computed here: tried on a real batch, kept where it changes nothing."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ftctl.errors import UsageError
from ftctl.estimation.setting import Recompute
from ftctl.local_backend.attention import Way, ways_on
from ftctl.local_backend.data import Batch, Example, Pack, collate, collate_pack
from ftctl.local_backend.kernels import Kernels, Undo, use_fused_kernels
from ftctl.local_backend.losses import summed_by_row, token_losses
from ftctl.local_backend.model import Trainable, bare
from ftctl.local_backend.recompute import set_recompute
from ftctl.local_backend.run_options import RunOptions

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Model = Any  # as `Trainable` loads it

_COMPARED = 8  # examples that also go through the model one by one


class Found(NamedTuple):
    """How losses are computed.

    Attributes:
        way: How examples of one micro-batch are kept apart.
        prefix: How many first tokens they share, computed once.
        plain: Whether the model is asked for all logits.
        reason: What was compared, in words.
        kernels: Whose compute norms, feed-forward blocks and positions.
    """

    way: Way
    prefix: int
    plain: bool
    reason: str
    kernels: Kernels = "torch"


class Probe:
    """Runs one real batch with models of either format, loading each at most once.

    Args:
        base: Folder or hub id of the base model.
        trainable: What of it is trained.
        sequences: The batch.
        pad_id: The padding token.
        device: Where it runs.
    """

    def __init__(
        self,
        base: Path | str,
        trainable: Trainable,
        sequences: Sequence[Example],
        pad_id: int,
        device: str,
    ) -> None:
        self._base, self._trainable, self._device = base, trainable, device
        self._sequences, self._pad_id = sequences, pad_id
        self._models: dict[torch.dtype, Model] = {}

    def run(self, dtype: "torch.dtype") -> None:
        """Forward and backward of some examples side by side, which any model can do."""
        batch = collate(self._sequences[:_COMPARED], self._pad_id, 0, self._device)
        model = self._model(dtype)
        token_losses(model, batch, plain=True).sum().backward()
        model.zero_grad()

    def recomputes(self, dtype: "torch.dtype", every: Recompute) -> Recompute:
        """Let layers be computed again, as far as this architecture's can.

        Raises:
            UsageError: they can't, and it was asked for.
        """
        try:
            set_recompute(self._model(dtype), every)
        except UsageError:
            if self._trainable.options.recompute != "auto":
                raise
            return "off"
        return every

    def seconds(self, dtype: "torch.dtype", found: Found) -> float:
        """What forward and backward of the whole batch take, warm."""
        model = self._model(dtype)
        batch = batch_of(found.way, self._sequences, self._pad_id, found.prefix, self._device)
        for _ in range(2):
            start = time.perf_counter()
            losses = token_losses(model, batch, plain=found.plain, packed=found.way)
            losses.sum().backward()
            model.zero_grad()
            self._synchronize()
        return time.perf_counter() - start

    def choose(self, dtype: "torch.dtype", prefix: int, recompute: Recompute) -> Found:
        """The first way that gives the loss of each example alone.

        Args:
            dtype: What the base computes in.
            prefix: How many first tokens all examples share.
            recompute: Which layers are computed again, for which no cache can be kept.

        Raises:
            UsageError: what was asked for can't be had here.
        """
        if self._trainable.settings.lora_dropout:
            prefix = 0  # copies of the prefix would be dropped from in other places
        options = self._trainable.options
        ways = _asked(options, self._device)
        kernels, told = self._kernels(dtype), []
        for way in ways:
            shared = 0 if way == "padded" and recompute != "off" else prefix
            for tried in dict.fromkeys((shared, 0)):
                same, words = self._compare(dtype, way, tried)
                if same:
                    return Found(way, tried, plain=False, reason=words, kernels=kernels)
                told.append(words)
        if "padded" in ways:
            words = f"plain: {'; '.join(told)}"
            return Found("padded", 0, plain=True, reason=words, kernels=kernels)
        known = [way for way in ways_on(self._device) if self._compare(dtype, way, 0)[0]]
        raise UsageError(
            f"packing={options.packing}, attention={options.attention}: not with this model here "
            f"({'; '.join(told)})",
            hint=f"here: --set attention={' or '.join(known or ['padded'])}; or leave both out",
        )

    def _compare(self, dtype: "torch.dtype", way: Way, prefix: int) -> tuple[bool, str]:
        """Whether some examples' loss is that of each alone, by the model's own logits."""
        import torch

        some = self._sequences[:_COMPARED]
        model = self._model(dtype).eval()
        base = bare(model)
        before = base.config._attn_implementation  # noqa: SLF001 - it has no public name
        name = f"{way} attention" if way != "padded" else "padded rows"
        name += f" behind a shared prefix of {prefix} tokens" if prefix else ""
        try:
            with torch.no_grad():
                apart = self._apart(model)
                batch = batch_of(way, some, self._pad_id, prefix, self._device)
                found = summed_by_row(token_losses(model, batch, plain=False, packed=way), batch)
        except torch.OutOfMemoryError:
            raise
        except (AttributeError, TypeError, ValueError, KeyError, RuntimeError) as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            return False, f"{name}: not with this model ({said[0]})"
        finally:
            base.set_attn_implementation(before)
            model.train()
        off = _difference(found, apart)
        words = f"loss {found.sum():.4f}, of {len(some)} examples one by one {apart.sum():.4f}"
        if off > _tolerance(dtype):
            return False, f"{name}: {words}, {off:.2%} off in each"
        return True, f"{name}: {words}"

    def _apart(self, model: Model) -> "Tensor":
        """The losses of some examples, each alone, by the model's own logits: [B]."""
        import torch

        some = self._sequences[:_COMPARED]
        alone = [collate([one], self._pad_id, 0, self._device) for one in some]
        return torch.stack([token_losses(model, one, plain=True).sum() for one in alone])

    def _kernels(self, dtype: "torch.dtype") -> Kernels:
        """Liger's, where they are installed and give the same loss."""
        import torch

        if self._device != "cuda":
            return "torch"
        model = self._model(dtype)
        undo = Undo(model)
        with torch.no_grad():
            before = self._apart(model)
            if not use_fused_kernels(model):
                return "torch"
            if _difference(self._apart(model), before) <= _tolerance(dtype):
                return "liger"
        undo()
        del self._models[dtype]
        return "torch"

    def _model(self, dtype: "torch.dtype") -> Model:
        if dtype not in self._models:
            model = self._trainable.load(self._base, dtype, self._device)
            self._models[dtype] = model.train()
        return self._models[dtype]

    def _synchronize(self) -> None:
        import torch

        if self._device == "cuda":
            torch.cuda.synchronize()


def _difference(found: "Tensor", apart: "Tensor") -> float:
    """How far examples' losses are apart, as a share of them; what cancels in a sum counts, too."""
    return float((found - apart).norm() / apart.norm().clamp(min=1.0))


def _tolerance(dtype: "torch.dtype") -> float:
    """What rounding may take them apart."""
    import torch

    return 1e-4 if dtype == torch.float32 else 2e-2


def batch_of(
    way: Way, sequences: Sequence[Example], pad_id: int, prefix: int, device: str
) -> Batch | Pack:
    """Sequences as a way of attention takes them: padded rows, or one packed row."""
    if way == "padded":
        return collate(sequences, pad_id, prefix, device)
    return collate_pack(sequences, prefix, device)


def _asked(options: RunOptions, device: str) -> list[Way]:
    """The ways to try, in their order.

    Raises:
        UsageError: packing and attention contradict each other.
    """
    asked = options.attention
    ways: list[Way] = ways_on(device) if asked == "auto" else [asked]
    if options.packing != "auto":
        ways = [way for way in ways if (way == "padded") == (options.packing == "off")]
    if not ways:
        raise UsageError(
            f"packing={options.packing} contradicts attention={options.attention}: padded rows "
            "are what isn't packed",
            hint="leave one of the two out",
        )
    return ways
