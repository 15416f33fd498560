"""What drivers read vendors' JSON with: leniently, and never a stranger's control signs."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ftctl.job import JobEvent
from ftctl.providers.transport.http_errors import printable

EPOCH = datetime.fromtimestamp(0, UTC)

# The vendor's words are shown to people and kept.
Words = Annotated[str, AfterValidator(printable)]


class Document(BaseModel):
    """A JSON document of the vendor; what isn't read here is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Item(Document):
    """A document that lists hold: an id tells it apart."""

    id: str = Field(pattern=r"^[!-~]+$", max_length=512)


def unknown_word(word: str) -> str:
    """What is said of a status that stands in no table of ours."""
    return f"the provider says {word!r}, a word we don't know"


def moment(at: datetime | float | None) -> datetime:
    """A vendor's time in UTC, from Unix seconds or a date; the epoch where it says none."""
    if isinstance(at, datetime):
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    try:
        return datetime.fromtimestamp(at or 0.0, UTC)
    except (ValueError, OverflowError, OSError):  # no time at all: NaN, or after the year 9999
        return EPOCH


def id_of(content: str, seen: Counter[str]) -> str:
    """An id for a line to which the vendor gives none: the same line again has another."""
    digest = hashlib.sha256(content.encode(errors="replace")).hexdigest()[:20]
    seen[digest] += 1
    return digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def untold(events: Sequence[JobEvent], after: int) -> Sequence[JobEvent]:
    """What `after` lines leave out, where the vendor's lists are merged: nothing, or all of it.

    A line that comes late may stand between those that were told: with it all are told again, and
    their ids tell repeats.
    """
    return [] if len(events) == after else events


def lines_of(events: Iterable[JobEvent]) -> bytes:
    """Events as JSON lines."""
    return b"".join(event.model_dump_json().encode() + b"\n" for event in events)
