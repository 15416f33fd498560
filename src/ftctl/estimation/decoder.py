"""What memory and work of training follow from: a decoder's sizes, from the catalog or a folder."""

import json
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, ValidationError

from ftctl.catalog.load import Catalog
from ftctl.catalog.types import Model, Sizes
from ftctl.estimation.estimate import Assumption

# Decoders whose saved activations were measured, and whether they norm queries and keys.
# `model_type` of config.json, and families of the catalog that are built the same.
_MEASURED = {"llama": False, "mistral": False, "qwen2": False, "qwen3": True}
_FAMILIES = {"smollm2": "llama", "llama-2": "llama", "llama-3": "llama", "mistral": "mistral"}
_FAMILIES |= {"qwen2.5": "qwen2", "qwen3": "qwen3"}


class Decoder(Sizes):
    """The sizes of a Llama-like decoder.

    Attributes:
        parameters: All weights, those outside the blocks too.
        context: The longest sequence that the model takes, in tokens; None where nobody says.
        normed: Whether queries and keys are normed, as in Qwen3.
        shape: Whose word the sizes are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    parameters: int
    context: int | None = None
    normed: bool = False
    shape: Assumption

    @property
    def queries(self) -> int:
        """Width of all queries of a token."""
        return self.heads * self.head_size

    @property
    def keys(self) -> int:
        """Width of all keys of a token; of its values, too."""
        return self.kv_heads * self.head_size

    @property
    def layer_weights(self) -> int:
        """Weights of one block's linear layers."""
        return self.hidden * (2 * self.queries + 2 * self.keys + 3 * self.ffn)

    @property
    def head_weights(self) -> int:
        """Weights of the head, whether or not they are the embedding's too."""
        return self.vocab * self.hidden

    def adapter_weights(self, rank: int) -> int:
        """Weights of a LoRA adapter on all linear layers of the blocks: r · L · Σ(in + out).

        Source: measured 2026-11; 41.9M for 8B at rank 16.
        """
        d, q, kv, f = self.hidden, self.queries, self.keys, self.ffn
        return rank * self.layers * (2 * (d + q) + 2 * (d + kv) + 3 * (d + f))


def decoder_named(model: str, catalog: Catalog, home: Path) -> Decoder | str:
    """The decoder of a name that a job may have: of the catalog, a folder, or a `.gguf` file.

    Of a `.gguf` file it is known once it was converted, as the first job on it does.

    Args:
        model: As `ftctl submit` takes it.
        catalog: Facts to ask.
        home: The ftctl home, where converted models are.
    """
    row = catalog.find_model(model)
    if row is not None:
        return find_decoder(row)
    path = Path(model).expanduser()
    if path.is_dir():
        return read_decoder(path)
    if path.suffix == ".gguf" and path.is_file():
        converted = converted_folder(path, home)
        if not converted.is_dir():
            return f"{model} isn't converted yet, which the first job on it does"
        return read_decoder(converted)
    return "the model's shape isn't in the catalog, and it is no folder here"


def converted_folder(gguf: Path, home: Path) -> Path:
    """Where the model of a `.gguf` file stands as safetensors, once a job has converted it."""
    file = gguf.resolve()
    return home / "cache" / "models" / f"{file.stem}-{file.stat().st_size}"


def find_decoder(model: Model) -> Decoder | str:
    """The decoder of a row of the catalog, or why it isn't known."""
    shape = model.shape
    if shape is None or model.parameters is None:
        return f"the catalog doesn't know the shape of {model.name}"
    kind = _FAMILIES.get(model.family)
    if kind is None:
        return _unmeasured(model.family)
    return Decoder(
        name=model.name,
        **shape.model_dump(exclude={"as_of", "source", "confidence"}),
        parameters=model.parameters,
        context=model.context,
        normed=_MEASURED[kind],
        shape=Assumption.from_fact("shape", f"{shape.layers} layers of {shape.hidden}", shape),
    )


def read_decoder(folder: Path) -> Decoder | str:
    """The decoder in a model folder, its weights counted from their headers; or why it isn't known.

    Reads `config.json` and the first bytes of each `*.safetensors`: no weight, no library.
    """
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_bytes())
        kind = str(config["model_type"])
        if kind not in _MEASURED:
            return _unmeasured(kind)
        if "quantization_config" in config:
            return f"{folder}: its weights are packed, and training starts from plain ones"
        heads, layers = config["num_attention_heads"], config["num_hidden_layers"]
        hidden = config["hidden_size"]
        parameters = sum(prod(shape) for shape in _tensors(folder))
        return Decoder(
            name=folder.name,
            layers=layers,
            hidden=hidden,
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_size=config.get("head_dim") or hidden // heads,
            ffn=config["intermediate_size"],
            vocab=config["vocab_size"],
            parameters=parameters,
            context=config.get("max_position_embeddings"),
            normed=_MEASURED[kind],
            shape=Assumption(
                name="shape",
                value=f"{layers} layers of {hidden}, {parameters:,} weights",
                origin="measured",
                as_of=None,
                source=f"config.json and tensor headers in {folder.name}",
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        return f"{folder}: no shape can be read from it ({said[0]})"


def _tensors(folder: Path) -> Iterator[list[int]]:
    """The shape of every tensor in a folder's safetensors files: 8 bytes of length, then JSON."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError("no *.safetensors in it")
    for file in files:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            if length > file.stat().st_size:
                raise ValueError(f"{file.name} is cut off")
            header = json.loads(opened.read(length))
        yield from (row["shape"] for name, row in header.items() if name != "__metadata__")


def _unmeasured(kind: str) -> str:
    known = ", ".join(_MEASURED)
    return f"what {kind} keeps of a token wasn't measured (known: {known}), so it isn't guessed"
