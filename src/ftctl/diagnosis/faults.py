"""One vocabulary for what goes wrong: by error class, HTTP status or a vendor's code.

A vendor's sentences are shown and never read: they change without notice.
"""

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from ftctl.errors import (
    AuthError,
    CredentialsMissing,
    DataInvalid,
    FtctlError,
    JobFailed,
    OverMaxCost,
    PrivacyForbids,
    ProviderClosed,
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


class Fault(BaseModel):
    """What went wrong with a job.

    Attributes:
        word: What kind of thing; None for a provider's code that we have no word for.
        kind: The error's class or the vendor's own code.
        message: What was said.
        meaning: What that kind of thing is.
        next: What to do, in order: commands and, where no command helps, sentences.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    word: FaultWord | None
    kind: str
    message: str
    meaning: str
    next: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Advice:
    meaning: str
    next: tuple[str, ...]  # {id}, {data} and {provider} are the job's, {again} tries once more


_AGAIN = "{again}"
_ADVICE: dict[FaultWord | None, _Advice] = {
    FaultWord.AUTH: _Advice(
        "The key is missing, wrong, or may not do this.", ("ftctl doctor", _AGAIN)
    ),
    FaultWord.QUOTA: _Advice(
        "A limit of the account, or one that you set, is used up.",
        ("raise the limit at the provider, or take fewer examples or epochs", _AGAIN),
    ),
    FaultWord.BALANCE: _Advice(
        "The account has no credit left.", ("pay in at the provider", _AGAIN)
    ),
    FaultWord.RATE_LIMIT: _Advice("Too many requests for now.", ("wait a few minutes", _AGAIN)),
    FaultWord.DATA: _Advice(
        "The examples can't be trained on as they are.",
        ("ftctl data check {data} --for {provider}", "ftctl submit --from {id} --data FILE"),
    ),
    FaultWord.MODERATION: _Advice(
        "The provider's content rules refused examples or the model made of them.",
        ("ftctl logs {id}", "take these examples out, then ftctl submit --from {id} --data FILE"),
    ),
    FaultWord.CAPACITY: _Advice(
        "Machine or provider could not carry it just then: memory, disk, load, or it was stopped.",
        (_AGAIN,),
    ),
    FaultWord.RETIRED: _Advice(
        "The route, or this model on it, takes no jobs any more.",
        ("ftctl providers", "ftctl models"),
    ),
    FaultWord.CONTRACT: _Advice(
        "What was asked isn't what is taken there, or what came back isn't what was agreed.",
        ("ftctl job {id}", "ftctl submit --from {id} --set KEY=VALUE"),
    ),
    FaultWord.BUG: _Advice(
        "A mistake in ftctl.", ("report it with what `ftctl logs {id}` prints", _AGAIN)
    ),
    None: _Advice("The provider's own reason; we have no word for it.", ("ftctl logs {id}",)),
}

# The nearest class up the tree counts; what isn't below any of these is a contract not kept.
_BY_CLASS: dict[type[FtctlError], FaultWord] = {
    FtctlError: FaultWord.CONTRACT,
    AuthError: FaultWord.AUTH,
    CredentialsMissing: FaultWord.AUTH,
    DataInvalid: FaultWord.DATA,
    JobFailed: FaultWord.DATA,  # the loss was no number any more on lines that it names
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
    "insufficient_quota": FaultWord.BALANCE,
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


def word_of(kind: str) -> FaultWord | None:
    """The word for an error: a class of ours, a vendor's code, or an HTTP status as text.

    None for a code that nobody here knows.
    """
    code = kind.strip().lower()
    if code in _BY_CODE:
        return _BY_CODE[code]
    for known in _classes(FtctlError):
        if kind_of(known) == code:
            return next(_BY_CLASS[base] for base in known.__mro__ if base in _BY_CLASS)
    return word_of_status(int(code)) if re.fullmatch("[1-5][0-9]{2}", code) else None


def word_of_status(status: int) -> FaultWord | None:
    """The word for an HTTP status; None for one that is no failure."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 500 <= status <= 599:
        return FaultWord.CAPACITY
    return FaultWord.CONTRACT if 400 <= status <= 499 else None


def fault_of(
    error: Mapping[str, str], *, job_id: str, provider: str, data: str, again: str
) -> Fault:
    """What a job's `error` means and what to do about it; its own hint comes first.

    Args:
        error: `kind`, `message` and `hint`, as the job's record keeps them.
        job_id: For the commands.
        provider: Likewise.
        data: The training file, likewise.
        again: The command that tries once more.
    """
    kind, hint = error.get("kind", ""), error.get("hint", "")
    word = word_of(kind)
    advice = _ADVICE[word]
    filled = [
        line.format(id=job_id, provider=provider, data=data, again=again) for line in advice.next
    ]
    steps = dict.fromkeys([hint, *filled] if hint else filled)  # each once, in order
    return Fault(
        word=word,
        kind=kind,
        message=error.get("message", ""),
        meaning=advice.meaning,
        next=tuple(steps),
    )


def kind_of(known: type[FtctlError]) -> str:
    """A class's `kind`, as its errors have it."""
    return known.__new__(known).kind  # its name alone decides; no arguments are needed


def _classes(top: type[FtctlError]) -> Iterator[type[FtctlError]]:
    yield top
    for below in top.__subclasses__():
        yield from _classes(below)
