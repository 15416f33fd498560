"""Bytes to lines: numbers, line ends, marks, and a line too long to hold."""

from pathlib import Path

import pytest

from ftctl.datasets.read import CHUNK_BYTES, HEAD_BYTES, LineReader
from ftctl.errors import UsageError


def lines(file: Path, data: bytes, cap_bytes: int = 100) -> list[bytes]:
    file.write_bytes(data)
    with LineReader(file, cap_bytes=cap_bytes) as reader:
        found = list(reader)
    assert [line.number for line in found] == list(range(1, len(found) + 1))
    return [line.data for line in found]


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"", []),
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\nb", [b"a", b"b"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"a\rb\rc", [b"a", b"b", b"c"]),
        (b"a\n\n\n", [b"a", b"", b""]),
        (b"\xef\xbb\xbfa\n", [b"a"]),
        ("a\u2028b\u0085c\n".encode(), ["a\u2028b\u0085c".encode()]),
        (b"\xff\xfea\x00", []),
    ],
)
def test_lines_end_where_json_lines_end(tmp_path: Path, data: bytes, wanted: list[bytes]) -> None:
    assert lines(tmp_path / "x", data) == wanted


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_a_line_across_chunks_is_one_line(tmp_path: Path, offset: int) -> None:
    long = b"x" * (CHUNK_BYTES + offset)
    assert lines(tmp_path / "x", long + b"\ny\n", cap_bytes=2**30) == [long, b"y"]


def test_a_line_above_the_cap_is_measured_and_not_held(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"a\n" + b"x" * 5 * CHUNK_BYTES + b"\nb\n")
    with LineReader(file, cap_bytes=CHUNK_BYTES) as reader:
        first, long, last = reader
    assert (first.data, last.data) == (b"a", b"b")
    assert long.size_bytes == 5 * CHUNK_BYTES
    assert len(long.data) == HEAD_BYTES
    assert not long.whole
    assert first.whole


def test_only_a_last_line_can_lack_its_end(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"a\nb")
    with LineReader(file) as reader:
        assert [line.ended for line in reader] == [True, False]


@pytest.mark.parametrize("name", ["missing.jsonl", ".", "a\0b"])
def test_what_is_no_file_is_a_usage_error_with_a_hint(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        LineReader(tmp_path / name)
    assert caught.value.hint
