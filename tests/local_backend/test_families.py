"""Any causal language model of transformers is trained by the same code: nine kinds, all tiny."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_model import write_family
from training_runs import run_of, settings, steps_of, watch

from ftctl.errors import UsageError
from ftctl.job import Tuning
from ftctl.local_backend.model import load_base
from ftctl.local_backend.train import train

pytestmark = [pytest.mark.medium, pytest.mark.timeout(600)]

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "smollm": {"tie_word_embeddings": True},  # SmolLM2 is a Llama with tied embeddings
    "mistral": {"sliding_window": 16},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 8, "tie_word_embeddings": True},
    "gemma": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 16},
    "gemma3_text": {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 16},
    "gpt2": {},
}


@pytest.fixture(autouse=True)
def one_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftctl.local_backend.hardware._FAST_BF16_FLAGS", ())


@pytest.mark.parametrize(
    ("family", "tuning"),
    [(family, "lora") for family in FAMILIES]
    + [(family, "full") for family in ("smollm", "gemma3_text", "gpt2")],
)
def test_a_family_learns_and_is_loaded_by_others(
    tmp_path: Path, data: Path, family: str, tuning: Tuning
) -> None:
    import torch
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM

    kind = "llama" if family == "smollm" else family
    model = write_family(tmp_path / family, kind, **FAMILIES[family])
    asked = settings(max_steps=3, learning_rate=2e-2 if tuning == "lora" else 5e-3)
    run, config = run_of(tmp_path, model, data, asked, tuning=tuning)
    train(config, run, watch())
    seen = [row["loss"] for row in steps_of(run)]
    assert seen[-1] < seen[0]
    assert min(row["grad_norm"] for row in steps_of(run)) > 0

    ids = torch.tensor([[3, 50, 60, 70]])
    base = load_base(model, torch.float32, "cpu").eval()
    load = AutoPeftModelForCausalLM if tuning == "lora" else AutoModelForCausalLM
    tuned = load.from_pretrained(run.output, dtype=torch.float32).eval()
    with torch.no_grad():
        # PEFT makes room for what a family's tokenizer adds of its own: these are in all of them.
        before, after = (each(ids).logits[..., :250] for each in (base, tuned))
    assert not torch.allclose(before, after, atol=1e-3)
    if base.config.tie_word_embeddings and tuning == "full":
        assert tuned.get_output_embeddings().weight is tuned.get_input_embeddings().weight


def test_code_in_a_model_folder_is_not_run(tmp_path: Path, tiny_model: Path, data: Path) -> None:
    folder, ran = tmp_path / "own", tmp_path / "ran"
    folder.mkdir()
    for file in tiny_model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    code = f"open({str(ran)!r}, 'w')\nfrom transformers import LlamaForCausalLM as Own\n"
    (folder / "own.py").write_text(code, encoding="utf-8")
    settings_of = json.loads((folder / "config.json").read_bytes())
    settings_of["auto_map"] = {"AutoModelForCausalLM": "own.Own", "AutoConfig": "own.Own"}
    (folder / "config.json").write_text(json.dumps(settings_of), encoding="utf-8")
    # Of an architecture that transformers has, its own code is used.
    run, config = run_of(tmp_path, folder, data, settings(max_steps=1))
    train(config, run, watch())
    # Of one that it doesn't have, the folder is refused.
    settings_of["model_type"] = "own"
    (folder / "config.json").write_text(json.dumps(settings_of), encoding="utf-8")
    run, config = run_of(tmp_path, folder, data, settings(max_steps=1), "other")
    with pytest.raises(UsageError, match="own"):
        train(config, run, watch())
    assert not ran.exists()
