"""LoRA fine-tuning with TRL, as one file that a Hugging Face job runs; nothing of ours is there.

What to do stands in FTCTL_ORDER. It is proof of success that the model's repository holds the
adapter, so that is pushed last, whole, in one commit.
"""

import hashlib
import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

Rows = list[dict[str, list[int]]]

CARD = """---
base_model: {base}
library_name: peft
tags: [lora, {method}, trl, ftctl, ftctl-{marker}]
---
# {name}

A LoRA adapter, fine-tuned by ftctl {ftctl} with TRL from `{base}`.

Data: sha256 `{data_sha256}`. Every setting, version and measurement stands in `run.json`.
"""


def say(row: dict[str, Any]) -> None:
    """One line of JSON, at once."""
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def read(repo: str, sha256: str) -> list[dict[str, Any]]:
    """The rows of a data file, if it is the one that was submitted."""
    from huggingface_hub import hf_hub_download

    file = Path(hf_hub_download(repo, "data.jsonl", repo_type="dataset"))
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise SystemExit(f"ERROR {repo} isn't the data that was submitted")
    return [json.loads(line) for line in content.decode("utf-8-sig").splitlines() if line.strip()]


def plain(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages as chat templates expect them."""
    found = []
    for message in messages:
        kept = {k: v for k, v in message.items() if k not in ("weight", "refusal")}
        content = kept.get("content")
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content)
        kept["content"] = "" if content is None else content
        kept["role"] = "system" if kept["role"] == "developer" else kept["role"]
        found.append(kept)
    return found


def render(tokenizer: Any, row: dict[str, Any], longest: int) -> dict[str, list[int]]:  # noqa: ANN401
    """Token ids, and 1 where loss counts: in what the assistant says, weight 0 left out."""
    ids: list[int] = []
    mask: list[int] = []
    done = ""
    tools = row.get("tools")
    messages = plain(row["messages"])
    for index, message in enumerate(row["messages"]):
        if message["role"] != "assistant":
            continue
        opening, whole = (
            tokenizer.apply_chat_template(
                messages[:end], tools=tools, tokenize=False, add_generation_prompt=more
            )
            for end, more in ((index, True), (index + 1, False))
        )
        if not (whole.startswith(opening) and opening.startswith(done)):
            raise SystemExit("ERROR the model's chat template changes what it said before")
        answer = whole[len(opening) :].rstrip()
        counts = int(message.get("weight") != 0)
        for text, value in ((opening[len(done) :], 0), (answer, counts)):
            piece = tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
            ids += piece
            mask += [value] * len(piece)
        done = opening + answer
    return {"input_ids": ids[:longest], "completion_mask": mask[:longest]}


def preference(tokenizer: Any, row: dict[str, Any]) -> dict[str, str]:  # noqa: ANN401
    """Prompt and both answers as texts, rendered here so that no template is guessed."""
    given = row["input"]
    before = plain(given["messages"])
    opening, *answers = (
        tokenizer.apply_chat_template(
            before + plain(more or []),
            tools=given.get("tools"),
            tokenize=False,
            add_generation_prompt=more is None,
        )
        for more in (None, row["preferred_output"], row["non_preferred_output"])
    )
    if not all(whole.startswith(opening) for whole in answers):
        raise SystemExit("ERROR the model's chat template changes what it said before")
    chosen, rejected = (whole[len(opening) :].rstrip() for whole in answers)
    first = tokenizer.bos_token
    if first and opening.startswith(first) and tokenizer("")["input_ids"]:
        opening = opening[len(first) :]  # the tokenizer puts it there itself
    return {"prompt": opening, "chosen": chosen, "rejected": rejected}


def rows_of(tokenizer: Any, order: dict[str, Any], which: str) -> Any:  # noqa: ANN401 - a Dataset
    """A data file as TRL takes it; for SFT as tokens and mask."""
    from datasets import Dataset  # type: ignore[attr-defined]  # not our tests of that name

    rows = read(order[which], order[f"{which}_sha256"])
    if order["method"] == "dpo":
        return Dataset.from_list([preference(tokenizer, row) for row in rows])
    rendered = [render(tokenizer, row, order["max_length"]) for row in rows]
    kept: Rows = [row for row in rendered if any(row["completion_mask"])]
    if not kept:
        raise SystemExit(f"ERROR no example of the {which} file has anything to learn")
    if len(kept) < len(rendered):
        say({"message": f"{len(rendered) - len(kept)} examples have nothing to learn: left out"})
    return Dataset.from_list(kept)


def settings(order: dict[str, Any], device: dict[str, bool], *, validate: bool) -> dict[str, Any]:
    """TRL's settings."""
    tokens = 1024 if order["method"] == "dpo" else 2048  # dpo has two answers to each prompt
    micro = order.get("micro_batch_size") or max(1, tokens // order["max_length"])
    micro = min(micro, order["batch_size"])
    chosen: dict[str, Any] = {
        "output_dir": "out",
        "num_train_epochs": order["epochs"],
        "max_steps": order.get("max_steps", -1),
        "per_device_train_batch_size": micro,
        "per_device_eval_batch_size": micro,
        "gradient_accumulation_steps": max(1, order["batch_size"] // micro),
        "gradient_checkpointing": True,
        "learning_rate": order["learning_rate"],
        "lr_scheduler_type": "cosine",
        "warmup_steps": order["warmup_fraction"],  # a share, where it is below 1
        "weight_decay": order["weight_decay"],
        "max_length": order["max_length"],
        "seed": order["seed"],
        "logging_steps": 1,
        "eval_strategy": "epoch" if validate else "no",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        **device,
    }
    return chosen


def teller(seconds: float | None) -> Any:  # noqa: ANN401 - a TrainerCallback
    """Tells each step's numbers, and ends the training in time to save what there is."""
    from transformers import TrainerCallback

    began = time.monotonic()

    class Teller(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ANN401, ARG002
            numbers = {k: v for k, v in (logs or {}).items() if isinstance(v, int | float)}
            say({"step": state.global_step, "total_steps": state.max_steps, **numbers})

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401, ARG002
            if seconds is not None and time.monotonic() - began > seconds:
                control.should_training_stop = True

    return Teller()


def train(order: dict[str, Any]) -> Path:
    """Tune, and write the adapter folder."""
    import torch
    from peft import LoraConfig
    from transformers import AutoTokenizer
    from transformers.trainer_callback import PrinterCallback
    from trl import (
        DPOConfig,
        DPOTrainer,
        SFTConfig,
        SFTTrainer,
    )

    tokenizer = AutoTokenizer.from_pretrained(order["base"])
    training = rows_of(tokenizer, order, "data")
    validation = rows_of(tokenizer, order, "validation") if order.get("validation") else None
    card = torch.cuda.is_available()
    half = card and torch.cuda.is_bf16_supported(including_emulation=False)
    kind = "bfloat16" if half else "float16" if card else "float32"
    chosen = settings(
        order, {"bf16": half, "fp16": card and not half}, validate=validation is not None
    )
    minutes = order.get("max_minutes")
    if order["method"] == "dpo":
        chosen["beta"] = order["beta"]
    config, make = (DPOConfig, DPOTrainer) if "beta" in chosen else (SFTConfig, SFTTrainer)
    trainer = make(
        model=order["base"],
        args=config(**chosen, model_init_kwargs={"dtype": kind}, use_cpu=not card),
        train_dataset=training,
        eval_dataset=validation,
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=order["lora_r"],
            lora_alpha=order["lora_alpha"],
            lora_dropout=order["lora_dropout"],
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
        callbacks=[teller(None if minutes is None else minutes * 60)],
    )
    trainer.remove_callback(PrinterCallback)  # ours tells the same numbers, with their step
    say({"message": f"{len(training)} examples on {'a card' if card else 'the CPU'} in {kind}"})
    trainer.train()
    folder = Path("adapter")
    trainer.save_model(str(folder))
    tokenizer.save_pretrained(str(folder))
    names = ("torch", "transformers", "trl", "peft", "datasets", "accelerate")
    record = {
        "order": order,
        "settings": chosen,
        "steps": trainer.state.global_step,
        "log": trainer.state.log_history,
        "versions": {name: importlib.metadata.version(name) for name in names},
    }
    (folder / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    (folder / "README.md").write_text(CARD.format(**order), encoding="utf-8")
    return folder


def push(order: dict[str, Any], folder: Path) -> None:
    """Send the folder to a private repository: safetensors and text, nothing else."""
    from huggingface_hub import HfApi

    api = HfApi()
    api.create_repo(order["repo"], private=True, exist_ok=True)
    sent = api.upload_folder(
        repo_id=order["repo"],
        folder_path=str(folder),
        allow_patterns=["*.safetensors", "*.json", "*.md", "*.jinja", "*.txt", "*.model"],
        commit_message=f"ftctl {order['marker']}",
    )
    say({"message": f"pushed {order['repo']} at {sent.oid}"})


if __name__ == "__main__":
    asked = json.loads(os.environ["FTCTL_ORDER"])
    push(asked, train(asked))
