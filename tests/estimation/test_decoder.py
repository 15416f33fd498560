"""A decoder's sizes come from the catalog or a model folder, and are never guessed."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from ftctl.catalog.load import load_shipped
from ftctl.estimation.decoder import Decoder, decoder_named, find_decoder, read_decoder

CATALOG = load_shipped()
CONFIG = {
    "model_type": "qwen3",
    "hidden_size": 8,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "vocab_size": 32,
    "max_position_embeddings": 64,
}


def write_folder(folder: Path, changes: dict[str, Any] | None = None) -> Path:
    """A config and two files of headers, without a byte of weights behind them."""
    folder.mkdir(exist_ok=True)
    config = {name: value for name, value in (CONFIG | (changes or {})).items() if value != ""}
    (folder / "config.json").write_text(json.dumps(config))
    for number, shapes in enumerate(({"a": [32, 8], "b": [3]}, {"c": [8, 24]}), start=1):
        rows: dict[str, Any] = {
            name: {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]}
            for name, shape in shapes.items()
        }
        header = json.dumps(rows | {"__metadata__": {"format": "pt"}}).encode()
        file = folder / f"model-{number}-of-2.safetensors"
        file.write_bytes(struct.pack("<Q", len(header)) + header)
    return folder


def test_a_folder_says_its_shape_and_its_headers_the_weights(tmp_path: Path) -> None:
    found = read_decoder(write_folder(tmp_path / "mine"))
    assert isinstance(found, Decoder)
    assert (found.name, found.layers, found.queries, found.keys, found.ffn) == (
        "mine",
        2,
        16,
        8,
        24,
    )
    assert found.parameters == 32 * 8 + 3 + 8 * 24
    assert (found.normed, found.context) == (True, 64)
    assert found.shape.origin == "measured"


def test_heads_of_their_own_and_sizes_of_heads_are_what_a_config_leaves_out(tmp_path: Path) -> None:
    changes = {"model_type": "llama", "num_key_value_heads": "", "head_dim": ""}
    found = read_decoder(write_folder(tmp_path / "old", changes))
    assert isinstance(found, Decoder)
    assert (found.kv_heads, found.head_size, found.normed) == (4, 2, False)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_type": "mamba"}, "what mamba keeps of a token wasn't measured"),
        ({"quantization_config": {"bits": 4}}, "its weights are packed"),
        ({"hidden_size": "many"}, "no shape can be read"),
        ({"model_type": ""}, "no shape can be read"),
    ],
)
def test_what_isnt_known_says_so(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    found = read_decoder(write_folder(tmp_path / "m", changes))
    assert isinstance(found, str)
    assert says in found


@pytest.mark.parametrize("damage", [b"", b"\xff" * 16, b"\x02\0\0\0\0\0\0\0[]"])
def test_a_damaged_file_is_no_guess(tmp_path: Path, damage: bytes) -> None:
    folder = write_folder(tmp_path / "m")
    (folder / "model-2-of-2.safetensors").write_bytes(damage)
    assert "no shape can be read" in str(read_decoder(folder))


def test_a_name_is_of_the_catalog_a_folder_or_a_converted_file(tmp_path: Path) -> None:
    assert decoder_named("llama-3.1-8b", CATALOG, tmp_path) == find_decoder(
        CATALOG.get_model("llama-3.1-8b")
    )
    assert isinstance(decoder_named(str(write_folder(tmp_path / "m")), CATALOG, tmp_path), Decoder)
    assert "isn't in the catalog" in str(decoder_named("org/unheard-of", CATALOG, tmp_path))
    gguf = tmp_path / "tiny.gguf"
    gguf.write_bytes(b"GGUF")
    assert "isn't converted yet" in str(decoder_named(str(gguf), CATALOG, tmp_path))
    converted = tmp_path / "cache" / "models" / "tiny-4"
    converted.parent.mkdir(parents=True)
    write_folder(converted)
    assert isinstance(decoder_named(str(gguf), CATALOG, tmp_path), Decoder)


def test_every_shape_of_the_catalog_is_of_a_decoder_that_was_measured() -> None:
    for model in CATALOG.models:
        found = find_decoder(model)
        assert isinstance(found, Decoder) is (model.shape is not None), model.name
    assert "doesn't know the shape" in str(find_decoder(CATALOG.get_model("gpt-4.1-mini")))


def test_a_shape_adds_up_to_the_models_weights() -> None:
    for model in CATALOG.models:
        found = find_decoder(model)
        if isinstance(found, Decoder):
            rest = found.parameters - found.layers * found.layer_weights
            tables = rest / found.head_weights  # the embedding, and the head unless it is the same
            assert min(abs(tables - 1), abs(tables - 2)) < 0.01, model.name
