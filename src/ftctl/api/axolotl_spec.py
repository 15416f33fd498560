"""An Axolotl configuration as a job here: each key becomes a setting, or is told not to.

Nothing of it is run: no plugin, no remote code, no custom class. Values are text and numbers.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ftctl.api import axolotl_keys as keys
from ftctl.api.axolotl_rows import files_of
from ftctl.api.axolotl_translation import Translation, shown
from ftctl.errors import UsageError
from ftctl.local_backend.engines.axolotl_config import layers_of
from ftctl.local_backend.run_options import OPTIONS
from ftctl.providers.base import Capabilities

_TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")


def translate(
    config: Mapping[str, Any], where: str, *, able: Capabilities, own_rows: bool = False
) -> Translation:
    """Translate a configuration.

    Args:
        config: Keys and values, as YAML gave them.
        where: What messages call the file.
        able: What the job's provider takes.
        own_rows: Whether other rows are given, so that the file's aren't looked at.

    Raises:
        UsageError: it names no base model or no rows here, or a value is no such thing.
    """
    found = Translation()
    given = {str(key): value for key, value in config.items() if value is not None}
    if "base_model" not in given or not (own_rows or given.get("datasets")):
        missing = "datasets" if "base_model" in given else "base_model"
        raise UsageError(f"{where}: no {missing}, which every Axolotl file has")
    _of_rows(found, given, where, own_rows=own_rows)
    _of_method(found, given)
    _of_batch(found, given)
    for key, value in given.items():
        if key in keys.CARRIED:
            found.settings[keys.CARRIED[key]] = value
            found.told(key, value, f"{keys.CARRIED[key]}={shown(value)}")
        elif key in _OTHERS:
            _OTHERS[key](found, key, value, given, where)
        elif key not in _SEEN_TO:
            _of_the_rest(found, key, value)
    _of_what_is_left_out(found, given, able)
    for name in {*OPTIONS, "micro_batch_size"} & found.settings.keys():
        if name not in {*able.options, *able.hyperparameters}:
            found.told(
                f"({name})", found.settings.pop(name), "", "this provider has no such setting"
            )
    return found


def _of_method(found: Translation, given: Mapping[str, Any]) -> None:
    """Method and tuning, which four keys decide together."""
    rl, adapter = given.get("rl"), given.get("adapter") or "none"
    found.fields["method"] = "dpo" if rl == "dpo" else "sft"
    if rl == "dpo":
        found.told("rl", rl, "method dpo")
    elif rl:
        found.lose("rl", rl, "of these methods only dpo is known here")
    four = bool(given.get("load_in_4bit"))
    tunings = {"none": "full", "lora": "qlora" if four else "lora", "qlora": "qlora"}
    tuning = tunings.get(str(adapter))
    if tuning is not None:
        found.fields["tuning"] = tuning
        found.told("adapter", adapter, f"tuning {tuning}")
    else:
        found.fields["tuning"] = "lora"
        found.lose("adapter", adapter, "lora, qlora or none are known here")
    if four and found.fields["tuning"] == "qlora":
        found.told("load_in_4bit", True, "tuning qlora")
    if given.get("load_in_8bit"):
        found.told("load_in_8bit", True, "", "the base is kept in its own format here: more exact")


def _of_rows(found: Translation, given: Mapping[str, Any], where: str, *, own_rows: bool) -> None:
    for key, into in (("datasets", found.data), ("test_datasets", found.validation)):
        value = given.get(key)
        if value and own_rows:
            found.told(key, value, "", "other rows are given")
        elif value:
            into += files_of(found, key, value, dpo=given.get("rl") == "dpo", where=where)


def _of_batch(found: Translation, given: Mapping[str, Any]) -> None:
    """Examples in a step: a product there, one number here."""
    micro, total = given.get("micro_batch_size", 1), given.get("batch_size")
    accumulation = given.get("gradient_accumulation_steps", 1)
    for key in ("batch_size", "gradient_accumulation_steps", "micro_batch_size"):
        if key in given and not (type(given[key]) is int and given[key] > 0):
            raise UsageError(f"{key}: {shown(given[key])} is no number of examples")
    found.settings["batch_size"] = total or micro * accumulation
    key = "batch_size" if total else "gradient_accumulation_steps"
    found.told(key, total or accumulation, f"batch_size={found.settings['batch_size']}")


def _of_the_rest(found: Translation, key: str, value: object) -> None:
    """A key that has no setting: it must not matter, or be as things are here, or it is lost."""
    if key in keys.HOW_IT_RUNS or key.startswith(keys.HOW_IT_RUNS_BEGINS):
        found.told(key, value, "", "how it runs, not what is learnt")
    elif key in keys.AS_OURS:
        if value in keys.AS_OURS[key]:
            found.told(key, value, "", "as it is here")
        elif value not in (False, "", [], {}):
            found.lose(key, value, f"here it is {keys.AS_OURS[key][0]}")
    elif key in keys.LOST:
        if value not in (False, "", [], {}, 0):
            found.lose(key, value, "nothing here does this")
    else:
        found.told(key, value, "", "unknown")
        found.unknown.append(key)


def _of_what_is_left_out(found: Translation, given: Mapping[str, Any], able: Capabilities) -> None:
    ours = {key: name for key, name in keys.CARRIED.items() if name in able.hyperparameters}
    for key, default in ((key, keys.LEFT_OUT[key]) for key in keys.LEFT_OUT if key in ours):
        said = key in given or (key == "warmup_ratio" and "warmup_steps" in given)
        if not said and not (key == "num_epochs" and "max_steps" in given):
            found.settings[keys.CARRIED[key]] = default
            note = "left out: what Axolotl takes then"
            found.told(key, default, f"{keys.CARRIED[key]}={default}", note)
    which = ("lora_target_linear", "lora_target_modules")
    if found.fields["tuning"] != "full" and not any(given.get(key) for key in which):
        found.lose(which[0], "left out", "it tunes some layers then; here it is every linear one")


_Given = Mapping[str, object]
_Reader = Callable[[Translation, str, object, _Given, str], None]


def _base_model(found: Translation, key: str, value: object, _given: _Given, _where: str) -> None:
    found.fields["model"] = str(value)
    found.told(key, value, f"model {value}")


def _held_out(found: Translation, key: str, value: object, given: _Given, where: str) -> None:
    if not isinstance(value, int | float) or not 0 <= value < 1:
        raise UsageError(f"{where}: {key}: {shown(value)} is no share of the rows from 0 to 1")
    if value and not given.get("test_datasets"):
        found.held_out = float(value)
        found.told(key, value, f"validation: {value:.0%} of the rows, set aside once")


def _beta(found: Translation, key: str, value: object, given: _Given, _where: str) -> None:
    if given.get("rl") == "dpo":
        found.settings["beta"] = value
        found.told(key, value, f"beta={value}")


def _warmup_steps(found: Translation, key: str, value: object, _given: _Given, where: str) -> None:
    if type(value) is not int or value < 0:
        raise UsageError(f"{where}: {key}: {shown(value)} is no number of steps")
    found.warmup_steps = value
    found.told(key, value, "warmup_fraction", "as a share of the steps, once the rows are counted")


def _packing(found: Translation, key: str, value: object, _given: _Given, _where: str) -> None:
    found.settings["packing"] = "on" if value else "off"
    note = "a step there holds packs; here batch_size counts examples, packed or not"
    found.told(key, value, f"packing={found.settings['packing']}", note if value else "")


def _recompute(found: Translation, key: str, value: object, _given: _Given, _where: str) -> None:
    if value:
        found.settings["recompute"] = "all"
        found.told(key, value, "recompute=all")


def _rslora(found: Translation, key: str, value: object, _given: _Given, _where: str) -> None:
    if value:
        found.settings["rslora"] = "true"
        found.told(key, value, "rslora=true")


def _number(option: str) -> _Reader:
    def read(found: Translation, key: str, value: object, _given: _Given, _where: str) -> None:
        found.settings[option] = value
        found.told(key, value, f"{option}={value}")

    return read


def _tracker(found: Translation, key: str, value: object, _given: _Given, _where: str) -> None:
    if value:
        asked = [name for name in _TRACKERS if name in (found.settings.get("track"), key[4:])]
        found.settings["track"] = ",".join(asked)
        found.told(key, value, f"track={found.settings['track']}")


def _special_tokens(
    found: Translation, key: str, value: object, _given: _Given, _where: str
) -> None:
    if isinstance(value, Mapping) and set(value) <= {"pad_token"}:
        found.told(key, value, "", "padding has no part in what is learnt")
    elif value:
        found.lose(key, value, "the tokenizer's own are kept")


def _targets(found: Translation, key: str, value: object, given: _Given, _where: str) -> None:
    every = value is True if key.endswith("linear") else value == "all-linear"
    listed = isinstance(value, list) and set(value) == keys.EVERY_LINEAR
    if every or listed:
        found.told(key, value, "every linear layer, as always here")
    elif value and not given.get("lora_target_linear"):
        found.lose(key, value, "every linear layer is tuned here")


def _layers(found: Translation, key: str, value: object, given: _Given, _where: str) -> None:
    layers = layers_of(str(given.get("base_model")))
    if layers and isinstance(value, list) and value == list(range(layers - len(value), layers)):
        found.settings["last_layers"] = len(value)
        found.told(key, value, f"last_layers={len(value)}")
    elif value:
        found.lose(key, value, "here it is the last N layers of a model in a folder")


_OTHERS: dict[str, _Reader] = {
    "base_model": _base_model,
    "val_set_size": _held_out,
    "rl_beta": _beta,
    "dpo_beta": _beta,
    "warmup_steps": _warmup_steps,
    "sample_packing": _packing,
    "gradient_checkpointing": _recompute,
    "peft_use_rslora": _rslora,
    "early_stopping_patience": _number("early_stopping"),
    "save_total_limit": _number("keep_checkpoints"),
    **dict.fromkeys((f"use_{name}" for name in _TRACKERS), _tracker),
    "special_tokens": _special_tokens,
    "lora_target_linear": _targets,
    "lora_target_modules": _targets,
    "peft_layers_to_transform": _layers,
}
# Told by `_of_rows`, `_of_method` and `_of_batch`.
_SEEN_TO = frozenset(
    {"datasets", "test_datasets", "rl", "adapter", "load_in_4bit", "load_in_8bit"}
    | {"batch_size", "gradient_accumulation_steps"}
)
