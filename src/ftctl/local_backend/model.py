"""Load a base model, put a LoRA adapter on it, load both again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftctl.errors import UsageError
from ftctl.job import Hyperparameters
from ftctl.local_backend.base_models import check_folder, quiet_transformers

if TYPE_CHECKING:
    import torch

Model = Any  # a PreTrainedModel or a PeftModel around one


def load_base(
    base: Path | str, dtype: "torch.dtype", device: str, *, key: str | None = None
) -> Model:
    """Load a base model from a folder or the hub: safetensors only, no remote code.

    Args:
        base: A folder or a hub id.
        dtype: The number format of its weights.
        device: Where to put it.
        key: For the hub; that of the environment when None.

    Raises:
        UsageError: the model can't be read, is pickled, or can't be reached.
    """
    from transformers import AutoModelForCausalLM

    if isinstance(base, Path):
        check_folder(base)
    try:
        with quiet_transformers():
            model = AutoModelForCausalLM.from_pretrained(
                str(base), dtype=dtype, use_safetensors=True, trust_remote_code=False, token=key
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(
            f"{base}: the model could not be loaded ({first})",
            hint="name a folder with config.json and *.safetensors, a hub id you can reach, or "
            "one of `ftctl models`",
        ) from None
    return model.to(device)


def add_adapter(model: Model, settings: Hyperparameters) -> Model:
    """Put a fresh LoRA adapter on every linear layer of the blocks; the base is frozen.

    The adapter starts as zero, so that step 0 is the base model exactly.

    Raises:
        UsageError: `last_layers` is larger than the model.
    """
    from peft import LoraConfig, get_peft_model

    layers = model.config.num_hidden_layers
    chosen = settings.last_layers or layers
    if chosen > layers:
        raise UsageError(
            f"last_layers={chosen}, but the model has {layers} layers",
            hint=f"--set last_layers={layers}",
        )
    rank = settings.lora_r or 16
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=settings.lora_alpha or 2 * rank,
        lora_dropout=settings.lora_dropout or 0.0,
        target_modules=_linear_names(model),
        layers_to_transform=None if chosen == layers else list(range(layers - chosen, layers)),
    )
    with quiet_transformers():
        return get_peft_model(model, config)


def _linear_names(model: Model) -> list[str]:
    """The last parts of the names of the blocks' linear layers, the head left out."""
    from torch import nn

    head = model.get_output_embeddings()
    return sorted(
        {
            name.rsplit(".", 1)[-1]
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and module is not head
        }
    )


def adapter_weights(model: Model) -> dict[str, "torch.Tensor"]:
    """The adapter's weights under their PEFT names, on the CPU."""
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(model)
    return {name: weight.detach().cpu().contiguous() for name, weight in state.items()}


def load_adapter_weights(model: Model, file: Path) -> None:
    """Put saved adapter weights back into a model that has the same adapter."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    set_peft_model_state_dict(model, load_file(file))


@contextmanager
def merged(model: Model) -> Iterator[None]:
    """Answer with the adapter folded into the base weights, which costs nothing per token.

    The base weights are put aside and put back, so training goes on bit for bit as before;
    subtracting the adapter again would leave rounding behind.
    """
    from peft.tuners.lora import LoraLayer

    kept = []
    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            weight = layer.get_base_layer().weight
            kept.append((layer, weight, weight.data))
            for name in layer.active_adapters:
                weight.data = weight.data + layer.get_delta_weight(name).to(weight.dtype)
                layer.merged_adapters.append(name)
    try:
        yield
    finally:
        for layer, weight, original in kept:
            weight.data = original
            layer.merged_adapters.clear()


def adapter_base(folder: Path) -> str:
    """The base model that an adapter folder names.

    A folder that isn't on this machine any more (one converted from GGUF under another home)
    gives way to the name the job was submitted with, which stands in `run.json`.

    Raises:
        UsageError: the adapter's configuration can't be read.
    """
    file = folder / "adapter_config.json"
    try:
        named = str(json.loads(file.read_bytes())["base_model_name_or_path"])
        if Path(named).is_absolute() and not Path(named).exists():
            file = folder / "run.json"
            named = str(json.loads(file.read_bytes())["config"]["model"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{file}: can't tell the base model ({error})",
            hint="fetch the adapter again: ftctl fetch ID -o DIR",
        ) from None
    return named


def load_tuned(
    base: Path | str, adapter: Path, dtype: "torch.dtype", device: str, *, key: str | None = None
) -> Model:
    """Load a base with an adapter merged into it in memory, ready to answer.

    The base is loaded as by `load_base`. Merged, an adapter costs nothing per token; the folder
    on disk stays an adapter.
    """
    from peft import PeftModel

    check_folder(adapter)
    with quiet_transformers():
        model = PeftModel.from_pretrained(load_base(base, dtype, device, key=key), str(adapter))
        return model.merge_and_unload()
