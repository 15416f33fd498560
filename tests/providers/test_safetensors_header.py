"""Whole safetensors are told from everything else by their header."""

import json
from pathlib import Path
from typing import Any

import pytest

from ftctl.providers.artifacts.safetensors_header import find_fault
from ftctl.testing.weights_contract import make_safetensors


def made(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(start: int, stop: int, *, dtype: str = "U8", shape: list[Any] | None = None) -> Any:
    shape = [stop - start] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


@pytest.mark.parametrize(
    "content",
    [
        make_safetensors(1, 100),
        made({}),
        made({"__metadata__": {"format": "pt"}, "a": tensor(0, 4)}, b"1234"),
        made({"b": tensor(4, 6), "a": tensor(0, 4)}, b"123456"),
        made({"a": tensor(0, 8, dtype="BF16", shape=[2, 2])}, b"12345678"),
        made({"a": tensor(0, 0, shape=[0]), "b": tensor(0, 4, dtype="F32", shape=[])}, b"1234"),
        made({"a": tensor(0, 4, dtype="F2_OF_2028", shape=[16])}, b"1234"),
    ],
)
def test_whole_files_have_no_fault(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(content)
    assert find_fault(file) is None


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "fit"),
        (b"\x80\x04cos\nsystem\n", "fit"),
        (made({}, length=1 << 40), "fit"),
        (made(b"{nonsense"), "JSON"),
        (made(b"\xff\xfe"), "JSON"),
        (made(b"[" * 100_000), "JSON"),
        (made([1]), "object"),
        (made({"a": tensor(0, 4)}, b"123"), "4 bytes and it holds 3"),
        (made({"a": tensor(0, 4)}, b"12345"), "4 bytes and it holds 5"),
        (made({"a": tensor(1, 4)}, b"1234"), "holes"),
        (made({"a": tensor(0, 3), "b": tensor(2, 4)}, b"1234"), "overlap"),
        (made({"a": tensor(0, 4, dtype="F32", shape=[2])}, b"1234"), "'a'"),
        (made({"a": tensor(4, 0, shape=[1])}, b"1234"), "'a'"),
        (made({"a": tensor(0, 1, shape=[True])}, b"1"), "'a'"),
        (made({"a": tensor(0, 1, shape=[-1, -1])}, b"1"), "'a'"),
        (made({"a": {"dtype": "U8"}}, b"1"), "'a'"),
        (made({"a": None}), "'a'"),
        (make_safetensors(1, 100)[:-1], "holds 99"),
    ],
)
def test_anything_else_has_one(content: bytes, fault: str, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(content)
    found = find_fault(file)
    assert found is not None
    assert fault in found


@pytest.mark.medium
def test_what_the_library_writes_has_no_fault(tmp_path: Path) -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    import numpy as np

    file = tmp_path / "x.safetensors"
    tensors = {"a": np.ones((3, 5), np.float32), "b": np.zeros(7, np.int8), "c": np.array(1.0)}
    numpy.save_file(tensors, file, {"format": "pt"})
    assert find_fault(file) is None
