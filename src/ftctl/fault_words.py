"""One vocabulary for what goes wrong: by error class, HTTP status or a vendor's code.

A vendor's sentences are shown and never read: they change without notice. What to do about each
word stands in `diagnosis/faults.py`.
"""

import enum
import re
from collections.abc import Iterator, Mapping

from ftctl.errors import (
    AuthError,
    CannotListen,
    CredentialsMissing,
    DataInvalid,
    FtctlError,
    IllegalMove,
    Interrupted,
    JobFailed,
    NoBalance,
    NotFoundHere,
    OverMaxCost,
    PrivacyForbids,
    ProviderClosed,
    ProviderError,
    RateLimited,
    Retired,
    StoreError,
    Unavailable,
)


class FaultWord(enum.StrEnum):
    """What kind of thing went wrong."""

    AUTH = "auth"
    QUOTA = "quota"
    BALANCE = "balance"
    RATE_LIMIT = "rate_limit"
    DATA = "data"
    MODERATION = "moderation"
    CAPACITY = "capacity"
    RETIRED = "retired"
    CONTRACT = "contract"
    BUG = "bug"


# The nearest class up the tree counts; what isn't below any of these is a contract not kept.
# None: a person's own choice or slip here, about no provider and no job's failure.
_BY_CLASS: dict[type[FtctlError], FaultWord | None] = {
    FtctlError: FaultWord.CONTRACT,
    AuthError: FaultWord.AUTH,
    CannotListen: None,
    CredentialsMissing: FaultWord.AUTH,
    DataInvalid: FaultWord.DATA,
    IllegalMove: None,
    Interrupted: None,
    JobFailed: FaultWord.DATA,  # the loss was no number any more on lines that it names
    NoBalance: FaultWord.BALANCE,
    NotFoundHere: None,
    OverMaxCost: FaultWord.QUOTA,
    PrivacyForbids: FaultWord.DATA,
    ProviderClosed: FaultWord.RETIRED,
    RateLimited: FaultWord.RATE_LIMIT,
    Retired: FaultWord.RETIRED,
    StoreError: FaultWord.CAPACITY,  # the disk
    Unavailable: FaultWord.CAPACITY,
}
_BY_STATUS: dict[int, FaultWord] = {
    401: FaultWord.AUTH,
    402: FaultWord.BALANCE,
    403: FaultWord.AUTH,
    408: FaultWord.CAPACITY,
    410: FaultWord.RETIRED,
    413: FaultWord.DATA,
    429: FaultWord.RATE_LIMIT,
}
# Codes in lower case. OpenAI: errors of jobs and of requests, seen in transcripts (2023 to 2026)
# and its guide "Error codes"; `unsafe_file` by hearsay. gRPC's words: Fireworks.
_BY_CODE: dict[str, FaultWord] = {
    # our own, of local runs and of the watcher
    "bug": FaultWord.BUG,
    "damaged": FaultWord.CONTRACT,
    "interrupted": FaultWord.CAPACITY,
    "killed": FaultWord.CAPACITY,
    "no_model": FaultWord.CONTRACT,
    "out_of_memory": FaultWord.CAPACITY,
    # OpenAI
    "billing_hard_limit_reached": FaultWord.QUOTA,
    "content_filter": FaultWord.MODERATION,
    "content_policy_violation": FaultWord.MODERATION,
    "exceeded_quota": FaultWord.QUOTA,
    "insufficient_quota": FaultWord.QUOTA,  # its credit or its monthly limit: it says not which
    "invalid_api_key": FaultWord.AUTH,
    "invalid_n_examples": FaultWord.DATA,
    "invalid_training_file": FaultWord.DATA,
    "invalid_validation_file": FaultWord.DATA,
    "model_not_found": FaultWord.RETIRED,
    "rate_limit_exceeded": FaultWord.RATE_LIMIT,
    "server_error": FaultWord.CAPACITY,
    "unsafe_file": FaultWord.MODERATION,
    # gRPC
    "deadline_exceeded": FaultWord.CAPACITY,
    "internal": FaultWord.CAPACITY,
    "invalid_argument": FaultWord.CONTRACT,
    "permission_denied": FaultWord.AUTH,
    "resource_exhausted": FaultWord.QUOTA,
    "unauthenticated": FaultWord.AUTH,
}


def word_of_error(error: FtctlError) -> FaultWord | None:
    """The word for an error: by the vendor's code, its HTTP status, or our class.

    None where no word of the vocabulary applies, such as when a person left off.
    """
    if isinstance(error, ProviderError):
        told = _BY_CODE.get((error.code or "").lower())
        if told is None and error.status is not None:
            told = word_of_status(error.status)
        if told is not None:
            return told
    return _word_of_class(type(error))


def word_of(kind: str) -> FaultWord | None:
    """The word for a kind: a class of ours, a vendor's code, or an HTTP status as text.

    None for a code that nobody here knows.
    """
    code = kind.strip().lower()
    if code in _BY_CODE:
        return _BY_CODE[code]
    for known in _classes(FtctlError):
        if kind_of(known) == code:
            return _word_of_class(known)
    return word_of_status(int(code)) if re.fullmatch("[1-5][0-9]{2}", code) else None


def word_of_status(status: int) -> FaultWord | None:
    """The word for an HTTP status; None for one that is no failure."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 500 <= status <= 599:
        return FaultWord.CAPACITY
    return FaultWord.CONTRACT if 400 <= status <= 499 else None


def as_kept(error: FtctlError) -> dict[str, str]:
    """An error as a job's record keeps it: the word is known now, when its status still is."""
    code = error.code if isinstance(error, ProviderError) else None
    word = word_of_error(error)
    said = {"kind": code or error.kind, "message": error.message, "hint": error.hint}
    return said if word is None else said | {"word": word.value}


def word_kept(error: Mapping[str, str]) -> FaultWord | None:
    """The word for a job's error as its record keeps it; by its kind where none was written."""
    word = error.get("word")
    return FaultWord(word) if word in set(FaultWord) else word_of(error.get("kind", ""))


def kind_of(known: type[FtctlError]) -> str:
    """A class's `kind`, as its errors have it."""
    return known.__new__(known).kind  # its name alone decides; no arguments are needed


def _word_of_class(known: type[FtctlError]) -> FaultWord | None:
    return next(_BY_CLASS[base] for base in known.__mro__ if base in _BY_CLASS)


def _classes(top: type[FtctlError]) -> Iterator[type[FtctlError]]:
    yield top
    for below in top.__subclasses__():
        yield from _classes(below)
