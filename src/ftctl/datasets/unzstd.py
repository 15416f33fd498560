"""Zstandard unpacked as a stream, in bounded memory, with a cut-off end told."""

import importlib.util
from io import BufferedReader
from typing import Any

# Four bytes can stand for a block of 128 KiB, so what a piece unpacks to is bounded by its size.
# Source: RFC 8878, 3.1.1.2.
_PIECE_BYTES = 2**10


def zstd_readable() -> bool:
    """Whether the package that unpacks it is installed."""
    return importlib.util.find_spec("zstandard") is not None


class UnzstdReader:
    """What a file of zstd frames holds.

    Args:
        file: At the start of a frame; it stays open.
    """

    def __init__(self, file: BufferedReader) -> None:
        import zstandard

        self._file = file
        self._unpacker = zstandard.ZstdDecompressor()  # refuses windows above 128 MiB
        self._failed: type[Exception] = zstandard.ZstdError
        self._frame: Any = None  # zstandard's types are its C module's
        self._rest = b""
        self._damage = ""

    def read(self, size: int) -> bytes:
        """At least so many bytes, unless the end comes first.

        Raises:
            EOFError: the file is cut off or damaged; what came before was handed out.
        """
        return self._read(size)

    def read1(self, size: int) -> bytes:
        """What there is without waiting for more; b"" at the end.

        Raises:
            EOFError: the same as in `read`.
        """
        return self._read(min(size, 1))

    def close(self) -> None:
        """Nothing to close: the file is its opener's."""

    def _read(self, size: int) -> bytes:
        found: list[bytes] = []
        held = 0
        while held < size and not self._damage:
            piece = self._rest or self._file.read1(_PIECE_BYTES)
            if not piece:
                self._damage = "" if self._frame is None else "the stream is cut off"
                break
            found.append(self._unpack(piece))
            held += len(found[-1])
        if self._damage and not held:
            raise EOFError(self._damage)
        return b"".join(found)

    def _unpack(self, piece: bytes) -> bytes:
        if self._frame is None:
            self._frame = self._unpacker.decompressobj()
        self._rest = b""
        try:
            data: bytes = self._frame.decompress(piece)
        except self._failed as error:
            self._damage = str(error)
            return b""
        if self._frame.eof:
            self._rest, self._frame = self._frame.unused_data, None
        return data
