"""What went wrong with a job, and what to do about each word of the vocabulary."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from ftctl.fault_words import FaultWord, word_kept


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
        (
            "raise the limit or pay in at the provider, or take fewer examples or epochs",
            _AGAIN,
        ),
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
    word = word_kept(error)
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
