"""A job that has made no model is told by its id here, with what to do about it."""

from collections.abc import Iterator
from contextlib import contextmanager

from ftctl.errors import NotFound
from ftctl.job import JobRecord, JobState


@contextmanager
def telling_of(record: JobRecord) -> Iterator[None]:
    """What a provider says of its own job, said of ours.

    Raises:
        NotFound: with a hint that fits where the job stands.
    """
    try:
        yield
    except NotFound as error:
        if record.state is JobState.SUCCEEDED:
            raise
        verb = "explain" if record.state.terminal else "watch"
        hint = f"ftctl {verb} {record.id}"
        raise NotFound(f"{record.id}: {error.message}", hint=hint) from None
