"""A model folder as one GGUF file, for llama.cpp and what is built on it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ftctl.datasets.render import load_tokenizer
from ftctl.errors import Unsupported
from ftctl.local_backend.exports.gguf_tokenizer import write_tokenizer

if TYPE_CHECKING:
    from torch import Tensor

Format = Literal["f16", "bf16", "q8_0"]
FORMATS: tuple[Format, ...] = ("f16", "bf16", "q8_0")
ORIGIN = "ftctl.origin"  # the file's own note of which weights it was made of

# Model type of a config.json: llama.cpp's architecture, and transformers', which has to read the
# file back.
ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma2": "gemma2",
    "gemma3_text": "gemma3",
}


def require_known(folder: Path | str, key: str | None = None) -> Any:  # noqa: ANN401 - a config
    """The configuration of a folder or hub id, where there is a GGUF architecture for it.

    Raises:
        Unsupported: there is none.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(folder), token=key)
    rope = _rope(config)
    if config.model_type not in ARCHITECTURES:
        raise Unsupported(
            f"{config.model_type} can't be written as GGUF here; these can: "
            f"{', '.join(sorted(ARCHITECTURES))}",
            hint="--to merged, then llama.cpp's own converter",
        )
    if rope.get("rope_type", "default") not in ("default", "linear", "llama3"):
        raise Unsupported(
            f"positions scaled by {rope['rope_type']} can't be written as GGUF here",
            hint="--to merged, then llama.cpp's own converter",
        )
    return config


def default_format(folder: Path) -> Format:
    """The format that loses least: bf16 for weights in it, else fp16."""
    from transformers import AutoConfig

    return "bf16" if str(AutoConfig.from_pretrained(folder).dtype) == "torch.bfloat16" else "f16"


def is_made_of(file: Path, origin: str, form: Format | None) -> bool:
    """Whether a GGUF file was made of these weights, and in this format where one is named."""
    import gguf

    try:
        fields = gguf.GGUFReader(file).fields
        kind = gguf.LlamaFileType(fields["general.file_type"].contents()).name
        return bool(fields[ORIGIN].contents() == origin) and (
            form is None or kind == f"MOSTLY_{form.upper()}"
        )
    except (OSError, ValueError, KeyError, IndexError):
        return False


def write_gguf(
    folder: Path, file: Path, form: Format, *, name: str, origin: str, tell: Callable[[str], None]
) -> None:
    """Write a model folder's weights, settings and tokenizer to one file.

    One tensor is in memory at a time. Norms and biases stay fp32; rows that Q8_0 can't hold are
    fp16.

    Raises:
        Unsupported: an architecture, a tokenizer or a tensor that isn't known here.
    """
    import gguf

    config = require_known(folder)
    architecture = ARCHITECTURES[config.model_type]
    writer = gguf.GGUFWriter(file, architecture)
    try:
        _write_settings(writer, config)
        writer.add_name(name)
        writer.add_string(ORIGIN, origin)
        writer.add_file_type(getattr(gguf.LlamaFileType, f"MOSTLY_{form.upper()}"))
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        write_tokenizer(writer, folder, load_tokenizer(folder), config.vocab_size)
        kinds = {}
        for known, tensor in _tensors(folder, config, architecture):
            kind = kinds[known] = _kind(tensor, form)
            shape = tuple(tensor.shape)
            packed = kind not in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16)
            raw = gguf.quant_shape_to_byte_shape(shape, kind) if packed else shape
            dtype = {"F32": "float32", "F16": "float16"}.get(kind.name, "uint8")
            block, size = gguf.GGML_QUANT_SIZES[kind]
            writer.add_tensor_info(
                known, raw, _numpy(dtype), tensor.numel() // block * size, raw_dtype=kind
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        tell(f"writing {len(kinds)} tensors as {form}")
        for known, tensor in _tensors(folder, config, architecture):
            writer.write_tensor_data(gguf.quantize(tensor.float().numpy(), kinds[known]))
    finally:
        writer.close()


def _numpy(name: str) -> Any:  # noqa: ANN401 - a numpy dtype
    import numpy as np

    return np.dtype(name)


def _rope(config: Any) -> dict[str, Any]:  # noqa: ANN401 - a PretrainedConfig
    """How positions are written; of Gemma 3's two ways the one that sees everything."""
    rope: dict[str, Any] = getattr(config, "rope_parameters", None) or {}
    whole: dict[str, Any] = rope.get("full_attention", rope)
    return whole


def _write_settings(writer: Any, config: Any) -> None:  # noqa: ANN401 - gguf's and transformers'
    heads, rope = config.num_attention_heads, _rope(config)
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    context, window = config.max_position_embeddings, getattr(config, "sliding_window", None)
    if window and config.model_type.startswith("gemma"):
        writer.add_sliding_window(window)
    elif window:  # llama.cpp lets these see everything, which is the same up to here
        context = min(context, window)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(context)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(rope.get("rope_theta", 10_000.0))
    if rope.get("rope_type") == "linear":
        import gguf

        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if getattr(config, "attn_logit_softcapping", None):
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
    if getattr(config, "final_logit_softcapping", None):
        writer.add_final_logit_softcapping(config.final_logit_softcapping)


def _kind(tensor: "Tensor", form: Format) -> Any:  # noqa: ANN401 - gguf's type of a tensor
    """The number format of one tensor."""
    from gguf import GGMLQuantizationType as Kind

    if tensor.dim() == 1:
        return Kind.F32
    if form == "q8_0" and tensor.shape[-1] % 32:
        return Kind.F16
    return Kind[form.upper()]


def _tensors(folder: Path, config: Any, architecture: str) -> Iterator[tuple[str, "Tensor"]]:  # noqa: ANN401
    """Name and values of each tensor as llama.cpp wants them, in a fixed order."""
    import gguf
    from safetensors import safe_open

    names = gguf.get_tensor_name_map(
        gguf.MODEL_ARCH[architecture.upper()], config.num_hidden_layers
    )
    if _rope(config).get("rope_type") == "llama3":
        yield "rope_freqs.weight", _frequency_factors(config)
    for file in _weight_files(folder):
        with safe_open(file, framework="pt") as tensors:
            for name in sorted(tensors.keys()):
                if name == "lm_head.weight" and config.tie_word_embeddings:
                    continue
                known = names.get_name(name, try_suffixes=(".weight", ".bias"))
                if known is None:
                    raise Unsupported(
                        f"the tensor {name} has no place in a GGUF file of {architecture}",
                        hint="--to merged, then llama.cpp's own converter",
                    )
                yield known, _laid_out(known, tensors.get_tensor(name), config)


def _weight_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return [folder / "model.safetensors"]
    return sorted({folder / name for name in json.loads(index.read_bytes())["weight_map"].values()})


def _laid_out(name: str, tensor: "Tensor", config: Any) -> "Tensor":  # noqa: ANN401 - as above
    """A tensor's values in llama.cpp's order: pairs of a rotation side by side, norms around 1."""
    rotated = {
        ".attn_q.": config.num_attention_heads,
        ".attn_k.": config.num_key_value_heads,
    }
    if ARCHITECTURES[config.model_type] == "llama":
        for part, heads in rotated.items():
            if part in name:
                halves = tensor.reshape(heads, 2, -1, *tensor.shape[1:])
                return halves.transpose(1, 2).reshape(tensor.shape).contiguous()
    if config.model_type.startswith("gemma") and name.endswith("norm.weight"):
        return tensor.float() + 1
    return tensor


def _frequency_factors(config: Any) -> "Tensor":  # noqa: ANN401 - a PretrainedConfig
    """By how much Llama 3 slows down each rotation, which llama.cpp reads as a tensor."""
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    slowed, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    powers = torch.arange(0, size, 2, dtype=torch.float32) / size
    return _rope(config)["rope_theta"] ** -powers / slowed
