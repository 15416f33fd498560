"""What drivers send: what files are called at a vendor, how large they may be, what options say."""

import math

from ftctl.errors import Unsupported
from ftctl.job import JobSpec

OURS = "ftctl-"
"""Begins the name of every file that we send, so that no other is taken for ours or deleted."""


def name_of(sha256: str) -> str:
    """What a file is called at a vendor: by its content, so that it is found there again."""
    return f"{OURS}{sha256}.jsonl"


def require_size(spec: JobSpec, most_bytes: int) -> None:
    """Refuse files that are too large to be sent.

    Raises:
        Unsupported: names the file and the limit.
    """
    for file in filter(None, (spec.data, spec.validation)):
        if file.is_file() and file.stat().st_size > most_bytes:
            raise Unsupported(
                f"{file}: ftctl sends {spec.provider} files of up to {most_bytes:,} bytes",
                hint=f"ftctl data split {file}",
            )


def number_of(text: str) -> float:
    """The number that an option says; NaN, which no range holds, where it says none or no end."""
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan
