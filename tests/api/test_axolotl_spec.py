"""What becomes of an Axolotl file's keys: carried, told, lost or unknown; nothing of it is run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from specimens import write_chats

from ftctl.api.axolotl_keys import AS_OURS, CARRIED, HOW_IT_RUNS, LOST
from ftctl.api.axolotl_spec import translate
from ftctl.api.axolotl_translation import shown
from ftctl.api.spec_file import SpecFile, spec_from_file
from ftctl.config import load_settings
from ftctl.errors import DataInvalid, FtctlError, Unsupported, UsageError
from ftctl.job import JobSpec
from ftctl.providers.local import LocalProvider


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_chats(tmp_path / "rows.jsonl")


def minimal(rows: Path, **more: Any) -> dict[str, Any]:
    return {
        "base_model": "team/base",
        "adapter": "lora",
        "lora_r": 8,
        "lora_alpha": 16,
        "lora_target_linear": True,
        "datasets": [{"path": str(rows), "type": "chat_template"}],
        "learning_rate": 2e-4,
        **more,
    }


def read(folder: Path, config: object, **more: Any) -> tuple[JobSpec, SpecFile]:
    file = folder / "axolotl.yml"
    file.write_text(config if isinstance(config, str) else yaml.safe_dump(config), "utf-8")
    given: dict[str, Any] = more.pop("given", {})
    return spec_from_file(str(file), given, settings=load_settings(), **more)


def becomes(found: SpecFile) -> dict[str, str]:
    return {line.key: line.becomes for line in found.lines}


def test_settings_are_carried_and_axolotls_own_defaults_filled_in(
    tmp_path: Path, rows: Path
) -> None:
    config = minimal(rows, micro_batch_size=4, gradient_accumulation_steps=2, weight_decay=0.1)
    spec, found = read(tmp_path, config | {"rl": None, "num_epochs": 2, "warmup_ratio": 0.1})
    given = spec.hyperparameters.model_dump(exclude_none=True)
    assert given == {
        "epochs": 2, "batch_size": 8, "micro_batch_size": 4, "learning_rate": 2e-4,
        "warmup_fraction": 0.1, "weight_decay": 0.1, "lora_r": 8, "lora_alpha": 16,
        "max_length": 512, "seed": 42,
    }  # fmt: skip
    assert (spec.provider, spec.model, spec.method, spec.tuning) == (
        "local", "team/base", "sft", "lora",
    )  # fmt: skip
    assert (spec.data, spec.name) == (rows, "rows-base")
    assert spec.metadata["spec_sha256"] == found.sha256
    assert becomes(found)["num_epochs"] == "epochs=2"
    assert not found.unknown
    assert not found.ignored


@pytest.mark.parametrize(
    ("keys", "tuning"),
    [
        ({}, "lora"),
        ({"load_in_4bit": True}, "qlora"),
        ({"adapter": "qlora", "load_in_4bit": True}, "qlora"),
        ({"adapter": None}, "full"),
        ({"load_in_8bit": True}, "lora"),
    ],
)
def test_the_adapter_says_the_tuning(
    tmp_path: Path, rows: Path, keys: dict[str, Any], tuning: str
) -> None:
    assert read(tmp_path, minimal(rows, **keys))[0].tuning == tuning


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("optimizer", "muon", "optimizer (muon)"),
        ("lr_scheduler", "linear", "lr_scheduler (linear)"),
        ("plugins", ["axolotl.integrations.liger.LigerPlugin"], "plugins (axolotl."),
        ("trust_remote_code", True, "trust_remote_code (true)"),
        ("neftune_noise_alpha", 5, "neftune_noise_alpha (5)"),
        ("rl", "grpo", "rl (grpo)"),
        ("adapter", "llama-adapter", "adapter (llama-adapter)"),
        ("chat_template", "chatml", "chat_template (chatml)"),
        ("special_tokens", {"eos_token": "</s>"}, "special_tokens ({eos_token})"),
        ("peft_layers_to_transform", [0, 1], "peft_layers_to_transform (0, 1)"),
    ],
)
def test_what_changes_the_result_is_refused_unless_it_may_be_left_out(
    tmp_path: Path, rows: Path, key: str, value: object, said: str
) -> None:
    config = minimal(rows) | {key: value}
    with pytest.raises(Unsupported) as refused:
        read(tmp_path, config)
    assert said in refused.value.message
    assert "--ignore-unknown" in refused.value.hint
    spec, found = read(tmp_path, config, ignore_unknown=True)
    assert said in spec.metadata["spec_ignored"]
    assert said in found.ignored[0]


def test_some_layers_alone_are_another_adapter(tmp_path: Path, rows: Path) -> None:
    targets = minimal(rows, lora_target_modules=["q_proj", "v_proj"])
    targets.pop("lora_target_linear")
    with pytest.raises(Unsupported, match=r"lora_target_modules \(q_proj, v_proj\)"):
        read(tmp_path, targets)
    targets.pop("lora_target_modules")
    with pytest.raises(Unsupported, match=r"lora_target_linear \(left out\)"):
        read(tmp_path, targets)
    every = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj"
    found = read(tmp_path, targets | {"lora_target_modules": every.split()})[1]
    assert becomes(found)["lora_target_modules"] == "every linear layer, as always here"


def test_how_it_runs_is_told_and_an_unknown_key_listed(tmp_path: Path, rows: Path) -> None:
    more = {"flash_attention": True, "wandb_project": "p", "bf16": "auto", "lora_rr": 4}
    _, found = read(tmp_path, minimal(rows, **more))
    notes = {line.key: line.note for line in found.lines}
    assert [notes[key] for key in more] == ["how it runs, not what is learnt"] * 3 + ["unknown"]
    assert found.unknown == ("lora_rr",)


def test_options_of_the_local_provider_are_for_it_alone(rows: Path) -> None:
    config = minimal(rows, sample_packing=True, peft_use_rslora=True, use_wandb=True, rl="dpo")
    config |= {"rl_beta": 0.3, "gradient_checkpointing": True, "save_total_limit": 3}
    here = translate(config, "f", able=LocalProvider.capabilities).settings
    options = {"packing": "on", "rslora": "true", "track": "wandb", "recompute": "all"}
    assert here.items() >= {**options, "keep_checkpoints": 3, "beta": 0.3}.items()
    able = replace(
        LocalProvider.capabilities, options={"beta": ""}, hyperparameters=frozenset({"epochs"})
    )
    away = translate(config, "f", able=able).settings
    # What the file says is asked for, and refused where it can't be; Axolotl's defaults aren't.
    asked = {"lora_r", "lora_alpha", "learning_rate", "batch_size", "epochs", "beta"}
    assert set(away) == asked
    assert away["beta"] == 0.3


def test_warm_up_steps_become_a_share(tmp_path: Path, rows: Path) -> None:
    config = minimal(rows, warmup_steps=2, micro_batch_size=3, num_epochs=2)  # 8 steps
    assert read(tmp_path, config)[0].hyperparameters.warmup_fraction == pytest.approx(0.25)
    config |= {"max_steps": 4}
    assert read(tmp_path, config)[0].hyperparameters.warmup_fraction == pytest.approx(0.5)


def test_alpaca_and_sharegpt_rows_are_converted(tmp_path: Path) -> None:
    alpaca, sharegpt = tmp_path / "alpaca.jsonl", tmp_path / "sharegpt.jsonl"
    alpaca.write_text(json.dumps({"instruction": "Add.", "input": "1 2", "output": "3"}) + "\n")
    turns = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]
    sharegpt.write_text(json.dumps({"conversations": turns}) + "\n")
    datasets = [
        {"path": str(alpaca), "type": "alpaca"},
        {"path": str(sharegpt), "type": "sharegpt"},
    ]
    spec, _ = read(tmp_path, minimal(alpaca) | {"datasets": datasets})
    answers = [json.loads(line)["messages"][-1] for line in spec.data.read_text().splitlines()]
    assert [answer["content"] for answer in answers] == ["3", "Hello."]
    assert spec.data.parent == load_settings().home / "converted"
    assert spec.data.stat().st_mode & 0o077 == 0
    one, found = read(tmp_path, minimal(alpaca) | {"datasets": datasets[:1]})
    assert json.loads(one.data.read_text())["messages"][-1]["content"] == "3"
    assert "without Alpaca's preamble" in " ".join(line.note for line in found.lines)


def test_rows_are_set_aside_once(tmp_path: Path, rows: Path) -> None:
    spec, _ = read(tmp_path, minimal(rows, val_set_size=0.25))
    assert spec.validation is not None
    parts = [file.read_text().splitlines() for file in (spec.data, spec.validation)]
    assert [len(part) for part in parts] == [9, 3]
    assert sorted(parts[0] + parts[1]) == sorted(rows.read_text().splitlines())
    assert read(tmp_path, minimal(rows, val_set_size=0.25))[0] == spec
    named = minimal(
        rows, val_set_size=0.25, test_datasets=[{"path": str(rows), "type": "chat_template"}]
    )
    assert read(tmp_path, named)[0].validation == rows


def test_flags_win(tmp_path: Path, rows: Path) -> None:
    given = {"model": "m-2", "hyperparameters": {"epochs": "5"}, "provider": "fake", "name": "n"}
    spec, _ = read(tmp_path, minimal(rows), given=given)
    assert (spec.model, spec.provider, spec.name) == ("m-2", "fake", "n")
    assert spec.hyperparameters.epochs == 5
    hub = minimal(rows) | {"datasets": [{"path": "team/rows", "type": "chat_template"}]}
    assert read(tmp_path, hub, given={"data": rows})[0].data == rows


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"datasets": None}, "no datasets"),
        ({"datasets": [{"path": "team/rows", "type": "alpaca"}]}, "team/rows is no file here"),
        ({"datasets": [{"type": "alpaca"}]}, "names no file"),
        ({"datasets": "rows.jsonl"}, "no list of datasets"),
        ({"micro_batch_size": "many"}, "micro_batch_size: many"),
        ({"val_set_size": 3}, "val_set_size: 3 is no share"),
        ({"warmup_steps": 0.5}, "warmup_steps: 0.5"),
        ({"learning_rate": "fast"}, "learning_rate='fast'"),
        ({"num_epochs": -1}, "epochs=-1"),
    ],
)
def test_a_value_that_is_none_is_named(
    tmp_path: Path, rows: Path, keys: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as wrong:
        read(tmp_path, minimal(rows) | keys)
    assert said in wrong.value.message


def test_rows_that_are_none_are_named(tmp_path: Path) -> None:
    rows = tmp_path / "bad.jsonl"
    rows.write_text('{"instruction": "a", "output": 3}\n')
    for more in ({}, {"val_set_size": 0.5}):
        with pytest.raises(DataInvalid, match=r"bad\.jsonl:1"):
            read(tmp_path, minimal(rows, **more))


@pytest.mark.parametrize(
    "text",
    [
        "base_model: !!python/object/apply:os.system ['true']",
        "base_model: [",
        "- base_model",
        "[" * 600,
        "base_model: m\ndatasets: &a [*a]",
        "task: llm-sft\nbase_model: m\nparams: {}",
        "model_id_or_path: m",
    ],
)
def test_no_text_does_more_than_say_no(tmp_path: Path, text: str) -> None:
    with pytest.raises(FtctlError):
        read(tmp_path, text)


def test_what_is_shown_stays_short() -> None:
    bomb: object = "x"
    for _ in range(60):
        bomb = [bomb, bomb]
    assert shown(bomb) == "2 entries"
    assert len(shown("y" * 1000)) == 58
    assert shown({"a": 1, "b": bomb}) == "{a, b}"


def test_no_key_is_in_two_tables() -> None:
    tables = [set(CARRIED), set(AS_OURS), set(HOW_IT_RUNS), set(LOST)]
    assert sum(map(len, tables)) == len(set.union(*tables))
