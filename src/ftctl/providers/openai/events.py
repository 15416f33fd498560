"""What a job at a vendor of OpenAI's wire said: read once, page by page, newest first.

Where its lines tell no measurements, those that it left behind when it succeeded are told after
them: every step of its result file, or each of its checkpoints.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from ftctl.job import JobEvent
from ftctl.providers.openai import wire as wire
from ftctl.providers.openai.connection import Connection


@dataclass(frozen=True)
class _Told:
    """What was read of a job's lines: how many, the newest one's id and time, any measurement."""

    count: int = 0
    newest: str = ""
    at: float = 0.0
    measured: bool = False


class EventReader:
    """Lines of jobs, of which only new ones are asked for.

    Args:
        at: Where the jobs are.
    """

    def __init__(self, at: Connection) -> None:
        self._at = at
        self._told: dict[str, _Told] = {}

    def read(
        self,
        remote_id: str,
        after: int,
        left_behind: Callable[[], Sequence[wire.Measured]],
    ) -> list[JobEvent]:
        """What the job said, oldest first, leaving out the first `after` lines.

        Args:
            remote_id: The job.
            after: How many were read before.
            left_behind: Its measurements, asked for only where its lines tell none.
        """
        newest_first = self._at.rows(
            f"list the events of {remote_id}",
            wire.Event,
            lambda c, q: c.fine_tuning.jobs.with_raw_response.list_events(remote_id, **q),
        )
        told = self._told.get(remote_id, _Told())
        if told.count > after:
            told = _Told()
        # What is said while we page stands before the first page: the next look tells it.
        fresh = list(takewhile(lambda event: event.id != told.newest, newest_first))
        now = told
        if fresh:
            measured = told.measured or any(event.type == "metrics" for event in fresh)
            now = _Told(told.count + len(fresh), fresh[0].id, fresh[0].created_at, measured)
            self._told[remote_id] = now
        lines = [wire.event_of(event) for event in reversed(fresh)]
        if not now.measured:
            lines += [wire.measured_event(row, not_before=now.at) for row in left_behind()]
        return lines[after - told.count :]
