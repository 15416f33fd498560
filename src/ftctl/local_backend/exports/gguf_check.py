"""A GGUF file read back by another program's code, and compared with the model it was made of."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ftctl.datasets.render import Tokenizer, load_tokenizer
from ftctl.errors import JobFailed
from ftctl.local_backend.base_models import quiet_transformers
from ftctl.local_backend.exports.compared import (
    TOLERANCE,
    Conversation,
    Difference,
    difference,
    measure,
    prompts_of,
    require_close,
)
from ftctl.local_backend.generate import stop_ids_of
from ftctl.local_backend.model import load_base

# What both a config.json and a GGUF file say, under transformers' names.
_SETTINGS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
    "tie_word_embeddings",
)


def compare(
    file: Path,
    folder: Path,
    data: Path,
    tell: Callable[[str], None],
    tolerance: float = TOLERANCE,
) -> Difference:
    """Load the file with transformers and ask it what the model in the folder was asked.

    Both compute in fp32, so that what is measured is the file.

    Args:
        file: The GGUF file.
        folder: The model it was made of.
        data: The dataset whose prompts are compared.
        tell: Told what is being done.
        tolerance: Largest mean KL divergence, in nats a token.

    Raises:
        JobFailed: it holds another model.
    """
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder)
    tokenizer = load_tokenizer(folder)
    prompts = prompts_of(data, tokenizer)
    _require_same_settings(file, config)
    _require_same_tokens(file, tokenizer, prompts)
    tell("comparing the file with the model it was made of")
    model = load_base(folder, torch.float32, "cpu").eval()
    stops = stop_ids_of(model, tokenizer)
    reference = measure(model, prompts, stops)
    del model
    found = difference(reference, measure(_loaded(file, config), prompts, stops, reference))
    require_close(file.name, found, tolerance)
    return found


def _loaded(file: Path, config: Any) -> Any:  # noqa: ANN401 - transformers' own
    """The model in the file, unpacked to fp32."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    # A GGUF file says less than a config.json: the size of a head, for one, isn't read from it.
    if config.model_type == "mistral":  # a Llama in the file; below its window they are the same
        said = {
            k: v for k, v in config.to_dict().items() if k not in ("model_type", "architectures")
        }
        config = AutoConfig.for_model("llama", **said)
    with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):
        model = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, config=config, dtype=torch.float32
        )
    return model.eval()


def _require_same_settings(file: Path, config: Any) -> None:  # noqa: ANN401 - as above
    from transformers import AutoConfig

    with quiet_transformers():
        read = AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
    other = [name for name in _SETTINGS if getattr(read, name) != getattr(config, name)]
    if abs(read.rms_norm_eps / config.rms_norm_eps - 1) > 1e-6:  # fp32 in the file
        other.append("rms_norm_eps")
    if other:
        raise JobFailed(f"{file.name} was read back with another {other[0]}", hint="report this")


def _require_same_tokens(file: Path, tokenizer: Tokenizer, prompts: list[Conversation]) -> None:
    """The file's vocabulary and merges make the same tokens of the prompts.

    How text is split before merges apply is told by name alone, and not all names are known to
    transformers; so both split it in the same way here.
    """
    import gguf
    import transformers

    with quiet_transformers():
        read = transformers.AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    own = tokenizer.backend_tokenizer  # type: ignore[attr-defined]
    for part in ("pre_tokenizer", "normalizer"):
        if getattr(own, part) is not None:
            setattr(read.backend_tokenizer, part, getattr(own, part))
    for prompt in prompts:
        if read(prompt.text, add_special_tokens=False)["input_ids"] != prompt.ids:
            raise JobFailed(
                f"{file.name} makes other tokens of a prompt than the model's own tokenizer",
                hint="report this; --to merged gives the model without GGUF",
            )
    # Read as it stands: transformers takes one out of files beside it, or none.
    template = gguf.GGUFReader(file).fields["tokenizer.chat_template"].contents()
    if template != tokenizer.get_chat_template():  # type: ignore[attr-defined]
        raise JobFailed(f"{file.name} was read back with another chat template", hint="report this")
