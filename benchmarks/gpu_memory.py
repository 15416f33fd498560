"""Predicted against measured peak memory of training: `python benchmarks/gpu_memory.py [--tiny]`.

A grid of three shapes, three token budgets (2k, 8k, the largest that is predicted to fit), nothing,
every fourth or every layer recomputed, adapters in bf16 and fp32, and the base in bf16 and NF4:
three steps each with random weights, made on the device, as memory hangs on no weight's value.
For each row: allocated and reserved at the peak, what was predicted, and the error.

- Gate: no error of more than 5 % of what is allocated, and nothing that was said to fit and didn't.
- Context and slack are told, not judged: the device's used memory less what torch reserved, and
  what torch reserved over what was allocated.
- `--tiny` takes shapes of a few MB on a CPU, where live tensors are counted instead, by the same
  gate; without NF4. It is this script's own smoke test.

NF4 takes bitsandbytes. Under 15 minutes on one H100.
"""

import argparse
import gc
import itertools
import json
import statistics
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from ftctl.catalog.load import load_shipped
from ftctl.estimation.decoder import Decoder, find_decoder
from ftctl.estimation.estimate import Assumption
from ftctl.estimation.memory import GIB, memory_parts, peak_gib
from ftctl.estimation.recommend import largest_tokens
from ftctl.estimation.setting import Cards, Format, Recompute, Setting
from ftctl.job import Hyperparameters, Tuning
from ftctl.local_backend.head import head_losses, tokens_at_once
from ftctl.local_backend.model import add_adapter
from ftctl.local_backend.optimizer import make_optimizer
from ftctl.local_backend.recompute import set_recompute
from ftctl.local_backend.run_options import RunOptions

SHAPES = ("qwen2.5-0.5b", "qwen2.5-1.5b", "llama-3.1-8b")
STEPS = 3
LENGTH = 2048  # of one example
RANK = 16
GATE = 0.05


Model = Any  # a PreTrainedModel or a PeftModel around one
Optimizer = Any  # torch's
_Operator = Callable[..., Any]
_Given = tuple[Any, ...]
_Named = dict[str, Any]


class Row(NamedTuple):
    """One point of the grid."""

    decoder: Decoder
    setting: Setting


class Peak(NamedTuple):
    """What was held at the peak, in bytes; on a CPU live tensors alone."""

    allocated: float
    reserved: float
    beside: float  # on the device, but not reserved by torch: its context, and others


class Live(TorchDispatchMode):  # type: ignore[misc]  # torch is untyped here
    """Counts the storages that are alive, and the most that ever were at once."""

    def __init__(self, known: list[Any]) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: dict[int, weakref.ref[Any]] = {}
        for tensor in known:
            self._add(tensor)

    def _add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()  # noqa: SLF001 - its identity
        if key in self._seen:
            return
        self.now += size
        self.peak = max(self.peak, self.now)

        def gone(_: object) -> None:
            self.now -= size
            del self._seen[key]

        self._seen[key] = weakref.ref(storage, gone)

    def __torch_dispatch__(
        self, func: _Operator, types: object, args: _Given = (), kwargs: _Named | None = None
    ) -> object:
        del types
        out = func(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, self._add, out)
        return out


def main() -> None:
    """Run the grid; exit 1 where the gate isn't passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="a few MB on a CPU")
    parser.add_argument("--nf4", action="store_true", help="also with the base in four bits")
    parser.add_argument("--shape", action="append", help="one of the shapes alone; repeatable")
    parser.add_argument("--out", type=Path, help="rows as JSON, one a line")
    asked = parser.parse_args()
    if not asked.tiny and not torch.cuda.is_available():
        sys.exit("no CUDA device here: --tiny tries the script on the CPU")
    errors, failed = [], False
    print(f"{'shape':14} {'tokens':>7} {'recompute':>9} {'adapters':>8} {'base':>5}", end=" ")
    print(f"{'said':>9} {'held':>9} {'error':>7} {'slack':>6} {'beside':>8}")
    for row in grid(tiny=asked.tiny, nf4=asked.nf4, shapes=asked.shape or list(SHAPES)):
        said = memory_parts(row.decoder, row.setting).sure
        peak = measure(row)
        held = None if peak is None else peak.allocated
        error = None if held is None else said / held - 1
        print(shown(row, said, peak), flush=True)
        if asked.out is not None:
            line = {"shape": row.decoder.name, **row.setting.model_dump(), "said": said}
            with asked.out.open("a", encoding="utf-8") as file:
                told = None if peak is None else peak._asdict()
                file.write(json.dumps(line | {"peak": told}) + "\n")
        failed |= error is None or abs(error) > GATE
        errors += [] if error is None else [error]
    middle = statistics.median(errors)
    print(
        f"{len(errors)} rows: error {min(errors):+.1%} to {max(errors):+.1%}, median {middle:+.1%}"
    )
    sys.exit(failed)


def grid(*, tiny: bool, nf4: bool, shapes: list[str]) -> Iterator[Row]:
    """The points, the smallest model first."""
    tunings: tuple[Tuning, ...] = ("lora", "qlora") if nf4 and not tiny else ("lora",)
    recomputes: tuple[Recompute, ...] = ("off", 2 if tiny else 4, "all")
    formats: tuple[Format, ...] = ("bf16", "fp32")
    for name, tuning, adapters in itertools.product(shapes, tunings, formats):
        decoder = shrunk(decoder_of(name)) if tiny else decoder_of(name)
        for recompute in recomputes:
            setting = Setting(tuning=tuning, rank=RANK, adapters=adapters, recompute=recompute)
            for tokens in budgets(decoder, setting, tiny=tiny):
                yield Row(decoder, setting.model_copy(update={"tokens": tokens}))


def budgets(decoder: Decoder, setting: Setting, *, tiny: bool) -> list[int]:
    """2k, 8k, and the largest that is predicted to fit; fewer where they don't."""
    if tiny:
        return [256, 512]
    free, _ = torch.cuda.mem_get_info()
    cards = Cards(name="this card", memory_gib=free / GIB)
    # More tokens than this are no use, and take minutes with a small model.
    largest = min(largest_tokens(decoder, setting, cards), 65_536)
    return sorted({min(tokens, largest) for tokens in (2_048, 8_192, largest)} - {0})


def decoder_of(name: str) -> Decoder:
    """A shape of the catalog."""
    found = find_decoder(load_shipped().get_model(name))
    assert isinstance(found, Decoder)
    return found


def shrunk(decoder: Decoder) -> Decoder:
    """The same with a few MB of weights; widths keep their order."""
    small = decoder.model_copy(
        update={
            "layers": 4,
            "hidden": 16 * decoder.heads,
            "head_size": 16,
            "ffn": decoder.ffn // decoder.hidden * 16 * decoder.heads,
            "vocab": 1024,
            "shape": Assumption.prior("shape", "shrunk", "for a smoke test"),
        }
    )
    tied = (
        1
        if decoder.parameters
        < decoder.layers * decoder.layer_weights + 1.5 * (decoder.head_weights)
        else 2
    )
    norms = (2 * small.layers + 1) * small.hidden
    weights = small.layers * small.layer_weights + tied * small.head_weights + norms
    return small.model_copy(update={"parameters": weights})


def measure(row: Row) -> Peak | None:
    """The peak of three steps of two micro-batches each; None where memory ran out."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        model, optimizer = build(row, device)
        if device == "cpu":
            return Peak(count(row, model, optimizer), 0, 0)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        for _ in range(STEPS):
            step(row, model, optimizer)
        torch.cuda.synchronize()
        free, whole = torch.cuda.mem_get_info()
        reserved = torch.cuda.max_memory_reserved()
        beside = whole - free - torch.cuda.memory_reserved()
        return Peak(torch.cuda.max_memory_allocated(), reserved, beside)
    except torch.OutOfMemoryError:
        return None
    finally:
        model = optimizer = None
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()


def build(row: Row, device: str) -> tuple[Model, Optimizer]:
    """A model with random weights made on the device, its adapter and its optimiser."""
    import transformers

    family = "Qwen2" if row.decoder.name.startswith("qwen2") else "Llama"
    decoder, setting = row.decoder, row.setting
    tied = decoder.parameters < decoder.layers * decoder.layer_weights + 1.5 * decoder.head_weights
    config = getattr(transformers, f"{family}Config")(
        vocab_size=decoder.vocab,
        hidden_size=decoder.hidden,
        intermediate_size=decoder.ffn,
        num_hidden_layers=decoder.layers,
        num_attention_heads=decoder.heads,
        num_key_value_heads=decoder.kv_heads,
        head_dim=decoder.head_size,
        tie_word_embeddings=tied,
        attn_implementation="sdpa",
    )
    torch.set_default_dtype(torch.bfloat16 if setting.weights == "bf16" else torch.float32)
    with torch.device(device):
        model = getattr(transformers, f"{family}ForCausalLM")(config)
        model = in_four_bits(model) if setting.tuning == "qlora" else model
    torch.set_default_dtype(torch.float32)
    if setting.tuning != "full":
        settings = Hyperparameters(lora_r=setting.rank, last_layers=setting.last_layers)
        model = add_adapter(model, settings, RunOptions(adapter_format=setting.adapters))
    set_recompute(model.train(), setting.recompute)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    return model, make_optimizer(weights, 0.0)


def in_four_bits(model: Model) -> Model:
    """The blocks' linear weights in NF4 with packed constants, one after the other."""
    from bitsandbytes.nn import Linear4bit

    for layer in model.get_decoder().layers:
        for block in (layer.self_attn, layer.mlp):
            for name, linear in list(block.named_children()):
                if not isinstance(linear, torch.nn.Linear):
                    continue
                packed = Linear4bit(
                    linear.in_features,
                    linear.out_features,
                    bias=linear.bias is not None,
                    compute_dtype=torch.bfloat16,
                    compress_statistics=True,
                    quant_type="nf4",
                    device="cpu",
                )
                packed.load_state_dict(linear.state_dict())
                setattr(block, name, packed.to("cuda"))
    return model


def step(row: Row, model: Model, optimizer: Optimizer) -> None:
    """Two micro-batches of examples side by side, then the optimiser."""
    device = next(model.parameters()).device
    length = min(LENGTH, row.setting.tokens)
    rows = max(1, row.setting.tokens // length)
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    chunk = tokens_at_once(row.decoder.vocab)
    for _ in range(2):
        ids = torch.randint(0, row.decoder.vocab, (rows, row.setting.tokens // rows), device=device)
        hidden = base.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
        head_losses(base, hidden.flatten(0, 1), ids.flatten(), chunk).sum().backward()
        del hidden
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    assert norm > 0
    optimizer.step()
    optimizer.zero_grad()


def count(row: Row, model: Model, optimizer: Optimizer) -> float:
    """Bytes of live tensors at the peak of one step, after another that made the states."""
    step(row, model, optimizer)
    groups = (weight for group in optimizer.param_groups for weight in group["params"])
    states = (value for state in optimizer.state.values() for value in state.values())
    known = [*model.parameters(), *model.buffers(), *groups]
    known += [value for value in states if isinstance(value, torch.Tensor)]
    with Live(known) as live:
        step(row, model, optimizer)
    return float(live.peak)


def shown(row: Row, said: float, peak: Peak | None) -> str:
    """One line of the table, in GiB."""
    setting = row.setting
    base = "NF4" if setting.tuning == "qlora" else "bf16"
    what = f"{row.decoder.name:14} {setting.tokens:>7} {setting.recompute!s:>9}"
    what += f" {setting.adapters:>8} {base:>5} {said / GIB:>9.3f}"
    if peak is None:
        fits = peak_gib(memory_parts(row.decoder, setting))[2]
        return f"{what} out of memory, though {fits:.1f} GiB was said"
    error, slack = said / peak.allocated - 1, peak.reserved / peak.allocated - 1
    what += f" {peak.allocated / GIB:>9.3f} {error:>+7.1%}"
    return what + (f" {slack:>6.1%} {peak.beside / GIB:>8.2f}" if peak.reserved else "")


if __name__ == "__main__":
    main()
