"""An adapter that mistral-finetune left, as a PEFT folder that loads like any other.

Source: mistral-finetune at its last commit, 2026-06: its checkpoints hold `lora.safetensors`, with
keys such as `layers.3.attention.wq.lora_A.weight`, and `params.json`.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from ftctl.datasets.render import load_tokenizer
from ftctl.errors import StoreError, Unsupported, UsageError
from ftctl.local_backend.base_models import find_base, quiet_transformers, require_local_extra
from ftctl.local_backend.output import copy_output, public_name, write_manifest

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS, PARAMS = "lora.safetensors", "params.json"
_KEY = re.compile(r"layers\.(\d+)\.(attention|feed_forward)\.(w\w)\.lora_([AB])\.weight")
# Mistral's names of a block's linear layers, and those of transformers.
_NAMES = {
    "wq": "self_attn.q_proj",
    "wk": "self_attn.k_proj",
    "wv": "self_attn.v_proj",
    "wo": "self_attn.o_proj",
    "w1": "mlp.gate_proj",
    "w2": "mlp.down_proj",
    "w3": "mlp.up_proj",
}
_CARD = """---
base_model: {base}
library_name: peft
tags: [lora, ftctl]
---
# {name}

A LoRA adapter that mistral-finetune made, in the layout of transformers and PEFT.
"""


class _Lora(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    rank: int
    scaling: float = 2.0
    dropout: float = 0.0


class _Params(BaseModel):
    """The part of `params.json` that says what the adapter fits."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    dim: int
    n_layers: int
    head_dim: int
    n_heads: int
    n_kv_heads: int
    lora: _Lora


def is_mistral_adapter(folder: Path) -> bool:
    """Whether a folder is a checkpoint of mistral-finetune with an adapter alone."""
    return (folder / WEIGHTS).is_file()


def import_adapter(folder: Path, model: str, out: Path, home: Path) -> Path:
    """Write a mistral-finetune adapter as a PEFT folder with the base's tokenizer.

    Args:
        folder: With `lora.safetensors` and `params.json`.
        model: The base that it was tuned from, in transformers' layout.
        out: A new or empty folder; one that holds the same already stays as it is.
        home: The ftctl home.

    Raises:
        UsageError: the folder isn't whole, or the base isn't the one that it fits.
        Unsupported: it is of a mixture of experts.
        StoreError: the disk won't take it.
    """
    require_local_extra("reading an adapter")
    params = _read_params(folder)
    weights = _renamed(folder, params)
    base = find_base(model, home)
    _require_fits(params, base, folder, model)
    part = out.absolute().with_name(f"{out.name}.import-{os.getpid()}") / "output"
    try:
        part.mkdir(parents=True)
        _write(part, weights, params, public_name(model, base), folder.name)
        load_tokenizer(base).save_pretrained(str(part))  # type: ignore[attr-defined]  # transformers' own
        write_manifest(part)
        copy_output(part, out)
    except OSError as error:
        raise StoreError(
            f"{out}: could not be written ({error.strerror or error})", hint="-o another folder"
        ) from None
    finally:
        shutil.rmtree(part.parent, ignore_errors=True)
    return out


def _read_params(folder: Path) -> _Params:
    try:
        content = (folder / PARAMS).read_bytes()
        if json.loads(content).get("moe"):
            raise Unsupported(
                f"{folder}: an adapter on a mixture of experts, which PEFT holds in another way",
                hint="merge it with mistral-finetune's own utils.merge_lora",
            )
        return _Params.model_validate_json(content)
    except OSError as error:
        raise UsageError(
            f"{folder / PARAMS}: {error.strerror or error}",
            hint="name a checkpoint's folder `consolidated`, with both of its files",
        ) from None
    except (ValueError, AttributeError) as error:
        where = ""
        if isinstance(error, ValidationError):
            where = f" ({'.'.join(map(str, error.errors()[0]['loc']))})"
        raise UsageError(
            f"{folder / PARAMS}: not what mistral-finetune writes{where}",
            hint="copy the checkpoint's folder anew",
        ) from None


def _renamed(folder: Path, params: _Params) -> dict[str, "Tensor"]:
    """The adapter under PEFT's names; queries and keys in transformers' order."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{folder / WEIGHTS}: can't be read ({error})") from None
    heads = {"wq": params.n_heads, "wk": params.n_kv_heads}
    renamed = {}
    for key, weight in found.items():
        matched = _KEY.fullmatch(key)
        name = None if matched is None else _NAMES.get(matched[3])
        if matched is None or name is None:
            raise UsageError(
                f"{folder / WEIGHTS}: {key!r} is no part of an adapter that is known here",
                hint="name a checkpoint's folder with an adapter alone",
            )
        layer, half = matched[1], matched[4]
        if half == "B" and matched[3] in heads:
            weight = _halves(weight, heads[matched[3]])
        renamed[f"base_model.model.model.layers.{layer}.{name}.lora_{half}.weight"] = weight
    if not renamed:
        raise UsageError(f"{folder / WEIGHTS}: holds no weights")
    return renamed


def _halves(weight: "Tensor", heads: int) -> "Tensor":
    """Rows of a head from neighbours that turn together to a first and a second half that do.

    Mistral turns rows 2i and 2i + 1 by one angle, transformers rows i and i + half.
    """
    rows, columns = weight.shape
    pairs = weight.view(heads, rows // heads // 2, 2, columns)  # [head, pair, 2, r]
    return pairs.transpose(1, 2).reshape(rows, columns).contiguous()


def _require_fits(params: _Params, base: Path | str, folder: Path, model: str) -> None:
    from transformers import AutoConfig

    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(str(base), trust_remote_code=False)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise UsageError(f"{model}: the model can't be read ({first})") from None
    heads = config.num_attention_heads
    its = {
        "dim": config.hidden_size,
        "n_layers": config.num_hidden_layers,
        "n_heads": heads,
        "n_kv_heads": config.num_key_value_heads,
        "head_dim": getattr(config, "head_dim", None) or config.hidden_size // heads,
    }
    wrong = [name for name, value in its.items() if value != getattr(params, name)]
    if wrong:
        first = wrong[0]
        raise UsageError(
            f"{folder}: not an adapter of {model}: {first} is {getattr(params, first)} in "
            f"{PARAMS}, {its[first]} in the model",
            hint="--model names the base that it was tuned from",
        )


def _write(
    folder: Path, weights: dict[str, "Tensor"], params: _Params, base: str, name: str
) -> None:
    from peft import LoraConfig
    from safetensors.torch import save_file

    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    alpha = params.lora.scaling * params.lora.rank
    config = LoraConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=base,
        inference_mode=True,
        r=params.lora.rank,
        lora_alpha=int(alpha) if alpha == int(alpha) else alpha,
        lora_dropout=params.lora.dropout,
        target_modules=sorted({key.split(".")[-3] for key in weights}),
    )
    config.save_pretrained(str(folder))
    (folder / "README.md").write_text(_CARD.format(base=base, name=name), encoding="utf-8")
