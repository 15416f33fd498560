"""How fast this machine trains: three real steps, timed, and nothing kept of them."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftctl.catalog.load import Catalog
from ftctl.datasets.render import load_tokenizer
from ftctl.errors import Unsupported
from ftctl.estimation.decoder import decoder_named
from ftctl.estimation.setting import TOKEN_BUDGET, Setting
from ftctl.estimation.speed import Measured, flops_per_token
from ftctl.job import Hyperparameters, Method, Tuning
from ftctl.local_backend.base_models import find_base, require_local_extra
from ftctl.local_backend.data import (
    DEFAULT_MAX_LENGTH,
    Example,
    Loaded,
    collate,
    load_examples,
    sequences_of,
)
from ftctl.local_backend.hardware import find_device, pick_dtype
from ftctl.local_backend.losses import token_losses
from ftctl.local_backend.model import add_adapter, load_base
from ftctl.local_backend.pairs import load_pairs

if TYPE_CHECKING:
    import torch

_STEPS = 3
_BATCH = 16


def measure_pace(
    model: str,
    data: Path,
    settings: Hyperparameters,
    method: Method,
    tuning: Tuning,
    *,
    catalog: Catalog,
    home: Path,
) -> Measured:
    """FLOP/s of three steps on a middle-sized micro-batch of a file, after one that warms up.

    Of QLoRA the steps are those of plain LoRA, which takes the same FLOPs.

    Raises:
        ExtraMissing: what trains isn't installed.
        Unsupported: the model's FLOPs aren't known.
        UsageError: the model can't be loaded.
        DataInvalid: a line is no example.
    """
    require_local_extra("timing three steps of training")
    base = find_base(model, home)  # converts it where it has to be
    decoder = decoder_named(str(base) if isinstance(base, Path) else model, catalog, home)
    if isinstance(decoder, str):
        raise Unsupported(
            f"the speed of {model} can't be told in FLOPs: {decoder}",
            hint="leave out --calibrate, or submit with --set max_steps=3",
        )
    chosen = _middle(base, data, settings, method)
    device = find_device()
    loaded: dict[torch.dtype, _Steps] = {}

    def step(dtype: "torch.dtype") -> None:
        if dtype not in loaded:
            loaded[dtype] = _Steps(base, dtype, device, settings, tuning)
        loaded[dtype](chosen)

    dtype, _ = pick_dtype(device, step)
    step(dtype)
    seconds = sorted(_timed(lambda: step(dtype), device) for _ in range(_STEPS))
    tokens = sum(example.length for example in chosen)
    share = sum(example.trained_tokens for example in chosen) / tokens
    setting = Setting(
        tuning="full" if tuning == "full" else "lora",
        rank=settings.lora_r or 16,
        last_layers=settings.last_layers,
        trained=share,
    )
    flops = tokens * flops_per_token(decoder, setting, tokens / len(chosen))
    fast, middle, slow = seconds
    return Measured(flops / slow, flops / middle, flops / fast, share)


def _middle(
    base: Path | str, data: Path, settings: Hyperparameters, method: Method
) -> Sequence[Example]:
    """A micro-batch around the median length."""
    load: Callable[..., Loaded[Any]] = load_pairs if method == "dpo" else load_examples
    rows = load(data, load_tokenizer(base), settings.max_length or DEFAULT_MAX_LENGTH).examples
    ordered = sorted(sequences_of(rows), key=lambda example: example.length)
    middle = ordered[len(ordered) // 2].length
    count = settings.micro_batch_size or max(1, min(_BATCH, TOKEN_BUDGET // middle))
    start = max(0, (len(ordered) - count) // 2)
    return ordered[start : start + count]


class _Steps:
    """A fresh adapter, or all weights, and an optimiser; each call is one step."""

    def __init__(
        self,
        base: Path | str,
        dtype: "torch.dtype",
        device: str,
        settings: Hyperparameters,
        tuning: Tuning,
    ) -> None:
        from torch.optim import AdamW

        model = load_base(base, dtype, device)
        self._model = (model if tuning == "full" else add_adapter(model, settings)).train()
        trained = [weight for weight in self._model.parameters() if weight.requires_grad]
        self._optimizer = AdamW(trained, lr=1e-5)
        self._device = device

    def __call__(self, examples: Sequence[Example]) -> None:
        losses = token_losses(self._model, collate(examples, 0, 0, self._device), plain=False)
        losses.mean().backward()
        self._optimizer.step()
        self._optimizer.zero_grad()


def _timed(step: Callable[[], None], device: str) -> float:
    import torch

    start = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
