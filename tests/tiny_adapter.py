"""A LoRA adapter of the tiny model, with random weights: its answers are not its base's."""

import json
from pathlib import Path

from tiny_model import SYSTEM


def write_adapter(
    base: Path, folder: Path, *, system: str | None = SYSTEM, share: float = 1.0, whole: bool = True
) -> Path:
    """A PEFT folder as a finished run leaves it.

    Args:
        base: The tiny model.
        folder: Where to.
        system: The system message that its run record tells of.
        share: The part of its examples that had it.
        whole: Whether the tokenizer and the run record stand beside the weights.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(base)
    config = LoraConfig(r=4, task_type="CAUSAL_LM", init_lora_weights=False)
    get_peft_model(model, config).save_pretrained(folder)
    if whole:
        AutoTokenizer.from_pretrained(base).save_pretrained(folder)
        told = {"distinct": 1 + (share < 1), "most_common": system, "share": share}
        record = {"config": {"model": str(base)}, "system_prompts": told}
        (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return folder
