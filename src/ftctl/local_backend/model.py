"""Load a base model, make of it what is trained (an adapter, or all of it), load both again."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftctl.errors import UsageError
from ftctl.job import Hyperparameters, Tuning
from ftctl.local_backend.base_models import check_folder, quiet_transformers
from ftctl.local_backend.run_options import RunOptions
from ftctl.local_backend.shards import gathered, is_split, put, whole

if TYPE_CHECKING:
    import torch

Model = Any  # a PreTrainedModel or a PeftModel around one


@dataclass(frozen=True, slots=True)
class Trainable:
    """What of a base is trained, and how its adapter is made.

    Attributes:
        tuning: An adapter on the base, on the base in four bits, or no adapter but all weights.
        settings: The adapter's rank and the rest.
        options: Its format and its scale.
    """

    tuning: Tuning = "lora"
    settings: Hyperparameters = field(default_factory=Hyperparameters)
    options: RunOptions = field(default_factory=RunOptions)

    def load(self, base: Path | str, dtype: "torch.dtype", device: str) -> Model:
        """The base with what is trained; loads as `load_base`, and raises as `add_adapter`.

        Args:
            base: A folder or a hub id.
            dtype: What the base computes in.
            device: Where to put it.
        """
        model = self.load_bare(base, dtype, device)
        if self.tuning == "full":
            return model
        return add_adapter(model, self.settings, self.options)

    def load_bare(self, base: Path | str, dtype: "torch.dtype", device: str) -> Model:
        """The base alone, as it is trained: for those who put the adapter on it themselves."""
        model = load_base(base, dtype, device, four_bits=self.tuning == "qlora")
        _switch_off_dropout(model)
        return model


def _switch_off_dropout(model: Model) -> None:
    """Take out what a base was pretrained with, as GPT-2 was: an adapter has its own, if any.

    With it no two ways through the model would have the same loss, packed or not.
    """
    from torch import nn

    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0


def load_base(
    base: Path | str,
    dtype: "torch.dtype",
    device: str,
    *,
    key: str | None = None,
    four_bits: bool = False,
) -> Model:
    """Load a base model from a folder or the hub: safetensors only, no remote code.

    Args:
        base: A folder or a hub id.
        dtype: The number format of its weights.
        device: Where to put it.
        key: For the hub; that of the environment when None.
        four_bits: Whether its blocks' linear weights are kept in NF4, with the scales quantised
            once more; they are computed with in `dtype`. Source: Dettmers et al. 2023, QLoRA.

    Raises:
        UsageError: the model can't be read, is pickled, or can't be reached.
    """
    from transformers import AutoModelForCausalLM

    if isinstance(base, Path):
        check_folder(base)
    packed = {"quantization_config": _nf4(dtype), "device_map": {"": device}} if four_bits else {}
    try:
        with quiet_transformers():
            model = AutoModelForCausalLM.from_pretrained(
                str(base),
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                token=key,
                **packed,
            )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(
            f"{base}: the model could not be loaded ({first})",
            hint="name a folder with config.json and *.safetensors, a hub id you can reach, or "
            "one of `ftctl models`",
        ) from None
    if not four_bits:
        return model.to(device)
    for module in model.modules():
        # On some CPUs bitsandbytes packs weights anew at the first answer, which is once only:
        # training goes on after it, and has to go on with the same numbers.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def _nf4(dtype: "torch.dtype") -> Any:  # noqa: ANN401 - transformers' own
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def add_adapter(
    model: Model, settings: Hyperparameters, options: RunOptions | None = None
) -> Model:
    """Put a fresh LoRA adapter on every linear layer of the blocks; the base is frozen.

    The adapter starts as zero, so that step 0 is the base model exactly. It computes in the base's
    format unless told otherwise: one in fp32 on a base in bf16 keeps an fp32 copy of each layer's
    input for the backward pass, 1.6 times the memory for a model of 8B.

    Raises:
        UsageError: `last_layers` is larger than the model, or it has no linear layer.
    """
    from peft import get_peft_model

    options = options or RunOptions()
    config = adapter_config(model, settings, options)
    with quiet_transformers():
        adapted = get_peft_model(model, config, autocast_adapter_dtype=False)
    for weight in adapted.parameters():
        if weight.requires_grad:
            weight.data = weight.data.to(_adapter_dtype(model, options))
    return adapted


def adapter_config(model: Model, settings: Hyperparameters, options: RunOptions) -> Any:  # noqa: ANN401 - PEFT's
    """The LoRA adapter that `add_adapter` puts on a model, in PEFT's words; raises as it does."""
    from peft import LoraConfig

    layers = model.config.get_text_config().num_hidden_layers
    chosen = settings.last_layers or layers
    if chosen > layers:
        raise UsageError(
            f"last_layers={chosen}, but the model has {layers} layers",
            hint=f"--set last_layers={layers}",
        )
    names = _linear_names(model)
    if not names:
        raise UsageError(
            f"{type(model).__name__} has no linear layers that an adapter could stand on",
            hint="--tuning full, or another model",
        )
    rank = settings.lora_r or 16
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=settings.lora_alpha or 2 * rank,
        lora_dropout=settings.lora_dropout or 0.0,
        use_rslora=options.rslora,
        target_modules=names,
        layers_to_transform=None if chosen == layers else list(range(layers - chosen, layers)),
    )


def _adapter_dtype(model: Model, options: RunOptions) -> "torch.dtype":
    import torch

    if options.adapter_format == "auto":
        return model.dtype
    return torch.bfloat16 if options.adapter_format == "bf16" else torch.float32


def _linear_names(model: Model) -> list[str]:
    """The last parts of the names of the blocks' linear layers, the head left out."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D  # what GPT-2 calls its linear layers

    head = model.get_output_embeddings()
    return sorted(
        {
            name.rsplit(".", 1)[-1]
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear | Conv1D) and module is not head
        }
    )


def is_adapter(model: Model) -> bool:
    """Whether an adapter is what is trained of a model, not all of it."""
    return hasattr(model, "peft_config")


def bare(model: Model) -> Model:
    """The model that an adapter stands on; without one it is that."""
    return model.get_base_model() if is_adapter(model) else model


def as_base(model: Model) -> AbstractContextManager[None]:
    """Let a model answer as its base, if it has an adapter; without one it is what it is."""
    switched_off: AbstractContextManager[None] = (
        model.disable_adapter() if is_adapter(model) else nullcontext()
    )
    return switched_off


def tuned_weights(model: Model) -> dict[str, "torch.Tensor"]:
    """What is trained, on the CPU: an adapter's weights under their PEFT names, or all.

    Weights that are tied stand there once, under the first of their names. Of a model that is
    split between processes all of them have to ask.
    """
    from peft import get_peft_model_state_dict

    with gathered(model):
        every = model.named_parameters()
        held = get_peft_model_state_dict(model) if is_adapter(model) else dict(every)
        return {name: whole(weight.detach()).cpu().contiguous() for name, weight in held.items()}


def weights_file(model: Model) -> str:
    """The file's name for `tuned_weights`, as PEFT and transformers call it."""
    return "adapter_model.safetensors" if is_adapter(model) else "model.safetensors"


def trained_names(model: Model) -> list[str]:
    """The names in `tuned_weights` of what has a gradient, in the order of an optimiser."""
    # PEFT's file leaves the adapter's own name out.
    named = model.named_parameters()
    return [name.replace(".default.", ".") for name, weight in named if weight.requires_grad]


def load_tuned_weights(model: Model, file: Path) -> None:
    """Put saved `tuned_weights` back into a model that has the same ones."""
    from safetensors.torch import load_file

    put_tuned_weights(model, load_file(file))


def put_tuned_weights(model: Model, saved: "dict[str, torch.Tensor]") -> None:
    """Let a model have such `tuned_weights`."""
    import torch
    from peft import set_peft_model_state_dict

    if is_split(model):
        trained = (weight for weight in model.parameters() if weight.requires_grad)
        for name, weight in zip(trained_names(model), trained, strict=True):
            put(weight, saved[name])
        return
    if is_adapter(model):
        set_peft_model_state_dict(model, saved)
        return
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(saved[name])


@contextmanager
def merged(model: Model) -> Iterator[None]:
    """Answer with the adapter folded into the base weights, which costs nothing per token.

    The base weights are put aside and put back, so training goes on bit for bit as before;
    subtracting the adapter again would leave rounding behind. Weights in four bits stay as they
    are, with the adapter beside them: folded in, they would be rounded to other numbers.
    """
    from peft.tuners.lora import LoraLayer

    kept = []
    try:
        for layer in model.modules():
            if isinstance(layer, LoraLayer):
                weight = layer.get_base_layer().weight
                if not weight.is_floating_point():
                    continue
                kept.append((layer, weight, weight.data))
                for name in layer.active_adapters:
                    weight.data = weight.data + layer.get_delta_weight(name).to(weight.dtype)
                    layer.merged_adapters.append(name)
        yield
    finally:
        for layer, weight, original in kept:
            weight.data = original
            layer.merged_adapters.clear()


def adapter_base(folder: Path) -> str:
    """The base model that an adapter folder names, or what a whole model was tuned from.

    A folder that isn't on this machine any more (one converted from GGUF under another home)
    gives way to the name the job was submitted with, which stands in `run.json`.

    Raises:
        UsageError: the adapter's configuration can't be read.
    """
    file = folder / "adapter_config.json"
    try:
        whole = not file.exists() and (folder / "run.json").exists()
        named = "" if whole else str(json.loads(file.read_bytes())["base_model_name_or_path"])
        if whole or (Path(named).is_absolute() and not Path(named).exists()):
            file = folder / "run.json"
            named = str(json.loads(file.read_bytes())["config"]["model"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{file}: can't tell the base model ({error})",
            hint="fetch the adapter again: ftctl fetch ID -o DIR",
        ) from None
    return named


def load_tuned(
    base: Path | str,
    adapter: Path,
    dtype: "torch.dtype",
    device: str,
    *,
    key: str | None = None,
    merge: bool = True,
) -> Model:
    """Load a base, as by `load_base`, with an adapter: ready to answer.

    Merged in memory, an adapter costs nothing per token; beside its base, either can answer. The
    folder on disk stays an adapter.
    """
    from peft import PeftModel

    check_folder(adapter)
    with quiet_transformers():
        model = PeftModel.from_pretrained(load_base(base, dtype, device, key=key), str(adapter))
        return model.merge_and_unload() if merge else model
