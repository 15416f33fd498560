"""Base and adapter as one model folder, compared with the adapter on its base before it is kept."""

import gc
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from ftctl.datasets.render import Tokenizer, load_tokenizer
from ftctl.errors import JobFailed
from ftctl.job import Hyperparameters
from ftctl.local_backend.base_models import quiet_transformers
from ftctl.local_backend.exports.compared import (
    TOLERANCE,
    Conversation,
    Difference,
    Measured,
    difference,
    measure,
    prompts_of,
    require_close,
)
from ftctl.local_backend.exports.place import require_space
from ftctl.local_backend.generate import stop_ids_of
from ftctl.local_backend.hardware import find_device, has_fast_bf16
from ftctl.local_backend.model import load_base
from ftctl.local_backend.output import write_manifest
from ftctl.local_backend.tunings import require_tuning

if TYPE_CHECKING:
    import torch

Model = Any  # a PreTrainedModel
Into = Literal["original", "dequantised"]
RECORD = "merge.json"

_CARD = """---
base_model: {base}
library_name: transformers
tags: [ftctl, merged]
---
# {name}

A whole model: a LoRA adapter merged by ftctl into {base}.

Compared with the adapter on its base: {words}. The figures stand in `merge.json`.

`ftctl chat .`, or `vllm serve .`
"""


@dataclass(frozen=True)
class Merging:
    """What is to be merged.

    Attributes:
        name: What the result is called.
        adapter: Its folder.
        base: A folder or a hub id.
        base_name: What others know the base by.
        origin: sha256 of its weights.
        data: The dataset whose prompts are compared.
        data_name: What the user calls it.
        quantised: Whether the adapter was trained on a base in four bits (QLoRA).
        key: For the hub.
        tolerance: Largest mean KL divergence, in nats a token.
        tell: Told what is being done.
    """

    name: str
    adapter: Path
    base: Path | str
    base_name: str
    origin: str
    data: Path
    data_name: str
    quantised: bool
    key: str | None
    tell: Callable[[str], None]
    tolerance: float = TOLERANCE


class MergeRecord(BaseModel):
    """What a merged folder says of itself, in `merge.json`.

    Attributes:
        origin: sha256 of the adapter's weights.
        base: What it was merged into.
        into: The base as it is, or as four bits had left it.
        format: Number format of the weights.
        data: The file whose prompts were compared.
        tolerance: Up to which KL divergence it is kept, in nats a token.
        candidates: What each way to merge costs, against the adapter on the base it was trained on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    origin: str
    base: str
    into: Into
    format: str
    data: str
    tolerance: float
    candidates: dict[Into, Difference]

    @property
    def kept(self) -> Difference:
        """What the kept one costs."""
        return self.candidates[self.into]


def merge(asked: Merging, folder: Path) -> MergeRecord:
    """Write the merged model to a new folder, unless it is another model than the adapter.

    Args:
        asked: What.
        folder: Where; not there yet.

    Raises:
        JobFailed: the merged model is further from the adapter than the tolerance.
        ExtraMissing: the base was in four bits, and nothing here can keep it so.
    """
    if asked.quantised:
        require_tuning("qlora", Hyperparameters(), {})
    tokenizer = load_tokenizer(asked.adapter)
    prompts = prompts_of(asked.data, tokenizer)
    work = _Work(asked, tokenizer, prompts, find_device())
    ways: tuple[Into, ...] = ("original", "dequantised") if asked.quantised else ("original",)
    reference = work.on_quantised_base() if asked.quantised else None
    candidates: dict[Into, Difference] = {}
    for into in ways:
        place = folder.with_name(f"{folder.name}-{into}")
        reference = work.write(place, into, reference)
        asked.tell("reading it back and comparing")
        candidates[into] = difference(reference, work.measured(place, reference))
        if asked.quantised:
            asked.tell(f"into the {into} base: {candidates[into].in_words()}")
        best = min(candidates, key=lambda way: candidates[way].kl)
        for other in set(candidates) - {best}:
            shutil.rmtree(folder.with_name(f"{folder.name}-{other}"), ignore_errors=True)
    require_close("the merged model", candidates[best], asked.tolerance)
    record = MergeRecord(
        origin=asked.origin,
        base=asked.base_name,
        into=best,
        format=work.format,
        data=asked.data_name,
        tolerance=asked.tolerance,
        candidates=candidates,
    )
    folder.with_name(f"{folder.name}-{best}").rename(folder)
    _describe(folder, asked, record)
    return record


def _describe(folder: Path, asked: Merging, record: MergeRecord) -> None:
    """Record, card and manifest; what the run said of itself goes along."""
    words = record.kept.in_words()
    card = _CARD.format(base=record.base, name=asked.name, words=words)
    (folder / "README.md").write_text(card, encoding="utf-8")
    if (asked.adapter / "run.json").is_file():
        shutil.copyfile(asked.adapter / "run.json", folder / "run.json")
    document = {"schema": "ftctl.merge/1", **record.model_dump(mode="json")}
    (folder / RECORD).write_text(json.dumps(document, indent=1), encoding="utf-8")
    write_manifest(folder)


class _Work:
    """The steps of one merge, one model in memory at a time."""

    def __init__(
        self, asked: Merging, tokenizer: Tokenizer, prompts: Sequence[Conversation], device: str
    ) -> None:
        self._asked, self._tokenizer, self._prompts = asked, tokenizer, prompts
        self._device = device
        self.format = ""

    def write(self, folder: Path, into: Into, reference: Measured | None) -> Measured:
        """Merge and write; returns the reference, measured here unless it is known."""
        from peft import PeftModel

        asked = self._asked
        asked.tell(f"loading {asked.base_name}")
        base = load_base(asked.base, "auto", self._device, key=asked.key)
        stored = base.dtype
        self.format = str(stored).removeprefix("torch.")
        base = base.to(_computed(stored, self._device))
        if into == "dequantised":
            _round_to_four_bits(base)
        with quiet_transformers():
            model = PeftModel.from_pretrained(base, str(asked.adapter)).eval()
            if reference is None:
                asked.tell(f"answering {len(self._prompts)} prompts with the adapter")
                reference = self._measure(model)
            asked.tell("merging")
            try:
                merged = model.merge_and_unload(safe_merge=True).to(stored)
            except ValueError as error:  # NaN in the adapter
                raise JobFailed(
                    f"{asked.adapter}: can't be merged ({error})",
                    hint="train again with a lower learning rate",
                ) from None
            size = sum(weight.numel() * weight.element_size() for weight in merged.parameters())
            require_space(folder.parent, size)
            asked.tell(f"writing {size / 1e6:,.0f} MB, {self.format}")
            merged.save_pretrained(folder)
            self._tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]
        return reference

    def measured(self, folder: Path, reference: Measured) -> Measured:
        """What a written model says at the reference's answers."""
        gc.collect()  # the one that was written
        model = load_base(folder, "auto", self._device)
        return self._measure(model.to(_computed(model.dtype, self._device)).eval(), reference)

    def on_quantised_base(self) -> Measured:
        """The reference of QLoRA: the adapter on the base in four bits, as it was trained."""
        from peft import PeftModel

        asked = self._asked
        asked.tell(f"loading {asked.base_name} in four bits, and answering with the adapter")
        dtype = _computed(_stored(asked.base, asked.key), self._device)
        with quiet_transformers():
            base = load_base(asked.base, dtype, self._device, key=asked.key, four_bits=True)
            return self._measure(PeftModel.from_pretrained(base, str(asked.adapter)).eval())

    def _measure(self, model: Model, of: Measured | None = None) -> Measured:
        return measure(model, self._prompts, stop_ids_of(model, self._tokenizer), of)


def _computed(stored: "torch.dtype", device: str) -> "torch.dtype":
    """The format to compute in: that of the weights, unless this processor only emulates it."""
    import torch

    quick = device != "cpu" or (stored is torch.bfloat16 and has_fast_bf16(device))
    return stored if quick else torch.float32


def _stored(base: Path | str, key: str | None) -> "torch.dtype":
    """The format that a model's configuration names."""
    import torch
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(str(base), token=key).dtype or torch.bfloat16


def _round_to_four_bits(model: Model) -> None:
    """Put every linear layer but the head through NF4 and back, as the adapter saw it."""
    from bitsandbytes import functional
    from torch import nn

    head = model.get_output_embeddings()
    for module in model.modules():
        if isinstance(module, nn.Linear) and module is not head:
            packed, state = functional.quantize_4bit(
                module.weight.data, quant_type="nf4", compress_statistics=True
            )
            module.weight.data = functional.dequantize_4bit(packed, state)
