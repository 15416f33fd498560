"""Counts in OpenAI's encodings: toktok-rs where it is exact, tiktoken where it isn't."""

import functools
import logging
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from ftctl.datasets.tokens.encodings import HARMONY, O200K
from ftctl.datasets.tokens.new_code_points import with_new_code_points
from ftctl.datasets.tokens.ranks import packaged_encoding

if TYPE_CHECKING:
    import tiktoken

_log = logging.getLogger(__name__)

# What each encoding makes of this text, by tiktoken 0.14.0: a package that took the import name
# of toktok-rs, or a release that counts otherwise, is found out before it counts.
_KNOWN_TEXT = "Привет, world! 12345 naïve 東京 <|endoftext|>\r\n\tdon't"
_KNOWN_COUNTS = {"o200k_base": 21, "o200k_harmony": 21, "cl100k_base": 23}

FastCount = Callable[[list[str]], list[int]]


class BpeCounter:
    """Counts texts in one of OpenAI's encodings, as tiktoken's `encode_ordinary` would.

    Attributes:
        encoding: Its name.
        source: What counts, with its release.

    Raises:
        ExtraMissing: neither toktok-rs nor tiktoken can be used.
    """

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self._fast = _toktok(encoding)
        if self._fast is None:
            packaged_encoding(self._ranks_name)
            self.source = f"tiktoken {version('tiktoken')}"
        else:
            self.source = f"toktok-rs {version('toktok-rs')}"

    @property
    def _ranks_name(self) -> str:
        return O200K if self.encoding == HARMONY else self.encoding

    @property
    def reference(self) -> "tiktoken.Encoding":
        """The same encoding in tiktoken.

        Raises:
            ExtraMissing: tiktoken or its ranks aren't installed.
        """
        return packaged_encoding(self._ranks_name)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text; half a surrogate pair counts as U+FFFD, as in tiktoken.

        Raises:
            ExtraMissing: a text holds a code point that only tiktoken, which isn't installed,
                counts right.
        """
        if self._fast is None:
            return self._slow_count(texts)
        try:
            counts = self._fast(list(texts))
        except UnicodeEncodeError:
            return self.count([_whole_characters(text) for text in texts])
        places = with_new_code_points(texts)
        for place, count in zip(places, self._slow_count([texts[i] for i in places]), strict=True):
            counts[place] = count
        return counts

    def kept_characters(self, text: str, tokens: int) -> int:
        """How many whole characters of a text its first tokens hold."""
        kept = self.reference.decode_bytes(self.reference.encode_ordinary(text)[: max(tokens, 0)])
        return len(kept.decode("utf-8", "ignore"))

    def _slow_count(self, texts: Sequence[str]) -> list[int]:
        return [len(self.reference.encode_ordinary(text)) for text in texts] if texts else []


def _whole_characters(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _toktok(encoding: str) -> FastCount | None:
    """toktok-rs's counting, if it is installed, is itself, and counts as it should."""
    try:
        version("toktok-rs")
        import toktok

        # One thread: files are shared out among processes, and threads of its own cost more
        # than they gain where those keep every core busy.
        count: FastCount = functools.partial(toktok.batch_count, encoding=encoding, threads=1)
        if count([_KNOWN_TEXT]) == [_KNOWN_COUNTS[encoding]]:
            return count
        _log.warning("toktok-rs miscounts a known text; tiktoken counts instead")
    except PackageNotFoundError:
        pass  # `toktok` without `-rs` is another package, which takes the same import name
    except Exception as error:  # noqa: BLE001 - whatever took its name may fail in any way
        _log.warning("toktok-rs can't be used (%s); tiktoken counts instead", error)
    return None
