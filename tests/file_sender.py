"""Someone who sends a file of weights, and leaves off where a test says."""

from collections.abc import Iterator
from contextlib import contextmanager

from ftctl.errors import Unavailable
from ftctl.providers.artifacts.download import Download, Stream
from ftctl.testing.weights_contract import make_safetensors

WEIGHTS = make_safetensors(1, 10_000)


class Sender:
    """Sends a file in pieces of 1,000 bytes."""

    def __init__(self, content: bytes = WEIGHTS, version: str | None = '"1"') -> None:
        self.content = content
        self.version = version
        self.says_total = True
        self.leaves_off_at: int | None = None
        self.starts_at: int | None = None  # whatever it is asked for
        self.asked: list[tuple[int, str | None]] = []

    @contextmanager
    def open(self, offset: int, version: str | None) -> Iterator[Stream]:
        self.asked.append((offset, version))
        start = offset if version in (None, self.version) else 0
        start = start if self.starts_at is None else self.starts_at
        total = len(self.content) if self.says_total else None
        yield Stream(self._chunks(start), start, total, self.version)

    def _chunks(self, start: int) -> Iterator[bytes]:
        stop = self.leaves_off_at
        for at in range(start, len(self.content), 1000):
            if stop is not None and at + 1000 > stop:
                yield self.content[at:stop]
                raise Unavailable("it broke off")
            yield self.content[at : at + 1000]

    def download(self, size: int | None = None, sha256: str | None = None) -> Download:
        return Download(self.open, size, sha256)
