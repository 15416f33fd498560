"""Jobs, events and the audit log in SQL: SQLite beside the user's data, or PostgreSQL by URL.

A job is one row: the columns that are searched, and the whole record as JSON. A change reads the
row, judges it and writes it in one transaction that holds off other writers of that row, so of
two observers the second judges what the first wrote; `revision` counts the changes.
"""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ftctl.errors import NotFoundHere, StoreError
from ftctl.job import TERMINAL, JobEvent, JobRecord, JobSpec, JobState
from ftctl.store.audit_entry import AuditEntry, this_user
from ftctl.store.engine import explained, insert_new, lock, make_engine
from ftctl.store.migrations import SCHEMA_VERSION, bring_up, require_known, schema_version
from ftctl.store.rows import (
    Change,
    DamagedJob,
    changed,
    columns,
    event_row,
    move_event,
    new_record,
    read_event,
    read_record,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import ColumnElement, Connection

_NAMED_AT_MOST = 5
_log = logging.getLogger(__name__)


class Store:
    """The one writer path to jobs, events and the audit log.

    Args:
        url: A SQLAlchemy URL; a SQLite file's folder is made when it isn't there.
        timeout_s: Seconds to wait for a lock that another program holds.

    Raises:
        StoreError: the store is of a newer version, damaged, or can't be opened.
    """

    def __init__(self, url: str, *, timeout_s: float = 30.0) -> None:
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):  # a port that is no number is no ArgumentError
            raise StoreError(
                "FTCTL_DATABASE_URL isn't a database URL",  # it may hold a password
                hint="FTCTL_DATABASE_URL=sqlite:////path/to/file.db",
            ) from None
        self._where = parsed.render_as_string(hide_password=True)
        self._engine = make_engine(parsed, timeout_s)
        with self._reading() as connection:
            version = schema_version(connection)
        require_known(version, self._where)
        if version != SCHEMA_VERSION:
            with self._writing() as connection:
                lock(connection, "schema")
                bring_up(connection, self._where)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the database's files and connections back."""
        self._engine.dispose()

    def add_job(
        self,
        spec: JobSpec,
        intention: str,
        estimate: dict[str, Any] | None = None,
        *,
        new: bool = False,
    ) -> JobRecord:
        """Commit the intention to run a job; from here on it can't be lost.

        Args:
            spec: What is asked.
            intention: Equal for equal requests.
            estimate: The quote shown before.
            new: Make another job even when one of the same intention hasn't ended.

        Returns:
            The new job, or the newest of the same intention that hasn't ended.
        """
        from ftctl.store.tables import JOBS

        record = new_record(spec, estimate)
        same = (JOBS.c.intention == intention) & JOBS.c.state.not_in(sorted(TERMINAL))
        with self._writing() as connection:
            lock(connection, intention)  # or two processes at once would both find none
            before = [] if new else self._select(connection, same, limit=1)
            if before:
                return before[0]
            connection.execute(
                JOBS.insert().values(
                    id=record.id,
                    intention=intention,
                    created_at=text(record.created_at),
                    revision=0,
                    **columns(record),
                )
            )
        return record

    def get_job(self, job_id: str) -> JobRecord:
        """One job, by its id, its name, or an unambiguous beginning of its id.

        Raises:
            NotFoundHere: none, or more than one.
        """
        from sqlalchemy import func, select

        from ftctl.store.tables import JOBS

        meanings = [JOBS.c.id == job_id, JOBS.c.name == job_id]
        if len(job_id) >= 5:
            # Not a range of ids: some of PostgreSQL's sort orders pass over the dash. Apart from
            # the records, because the ids alone stand in an index.
            begins = func.substr(JOBS.c.id, 1, len(job_id)) == job_id
            meanings.append(JOBS.c.id.in_(select(JOBS.c.id).where(begins)))
        with self._reading() as connection:
            for meaning in meanings:
                found = self._select(connection, meaning, limit=_NAMED_AT_MOST + 1)
                if len(found) == 1:
                    return found[0]
                if found:
                    ids = ", ".join(job.id for job in found[:_NAMED_AT_MOST])
                    more = ", …" if len(found) > _NAMED_AT_MOST else ""
                    raise NotFoundHere(
                        f"{job_id} means more than one job: {ids}{more}", hint="name one by its id"
                    )
        raise self._no_job(job_id)

    def jobs(
        self, limit: int | None = None, *, states: Collection[JobState] | None = None
    ) -> list[JobRecord]:
        """Jobs, newest first: all, or those in one of the states.

        A damaged one hides no other; it is named in the log.
        """
        found, damaged = self.survey(limit, states=states)
        for job in damaged:
            _log.warning("%s", job.error.message)
        return found

    def survey(
        self, limit: int | None = None, *, states: Collection[JobState] | None = None
    ) -> tuple[list[JobRecord], list[DamagedJob]]:
        """Like `jobs`, for who tells of the damaged ones: those that can be read, and the rest."""
        from ftctl.store.tables import JOBS

        asked = None if states is None else JOBS.c.state.in_(sorted(states))
        found, damaged = [], []
        with self._reading() as connection:
            for job_id, record in self._rows(connection, asked, limit):
                try:
                    found.append(self._record(job_id, record))
                except StoreError as error:
                    damaged.append(DamagedJob(job_id, error))
        return found, damaged

    def update(self, job_id: str, change: Change) -> JobRecord:
        """Change a job, judging it as it stands.

        Args:
            job_id: The whole id.
            change: From the job as it stands to the fields that change; `{}` leaves it as it is.

        Raises:
            IllegalMove: the change is to a state that can't follow the present one.
            NotFoundHere: there is no such job.
        """
        return self.update_many({job_id: change})[0]

    def update_many(self, changes: Mapping[str, Change]) -> list[JobRecord]:
        """Change many jobs in one transaction, all or none; returns them in the order asked.

        A job that moves to another state says so in its events, in the same transaction: no
        crash can part a move from its history.

        Args:
            changes: From whole job ids, some thousands at most, to what `update` takes.

        Raises:
            IllegalMove: a change is to a state that can't follow the present one.
            NotFoundHere: there is no such job.
        """
        from sqlalchemy import bindparam

        from ftctl.store.tables import EVENTS, JOBS

        asked = JOBS.select().where(JOBS.c.id.in_(changes)).order_by(JOBS.c.id)
        after, writes, history = [], [], []
        with self._writing() as connection:
            locked = connection.execute(asked.with_for_update(key_share=True))
            rows = {row.id: row for row in locked}
            for job_id, change in changes.items():
                row = rows.get(job_id)
                if row is None:
                    raise self._no_job(job_id)
                now = self._record(job_id, row.record)
                new = changed(now, change)
                after.append(new)
                if new != now:
                    written = {"job": job_id, "revision": row.revision + 1}
                    writes.append(columns(new) | written)
                if new.state != now.state and not new.state.open_intention:
                    history.append(event_row(job_id, move_event(now, new, row.revision + 1)))
            if writes:
                move = JOBS.update().where(JOBS.c.id == bindparam("job"))
                connection.execute(move, writes)
            insert_new(connection, EVENTS, history)
        return after

    def add_events(self, job_id: str, events: Sequence[JobEvent]) -> int:
        """Append events that aren't there yet, told apart by `source_id`; returns how many.

        Raises:
            NotFoundHere: there is no such job.
        """
        from ftctl.store.tables import EVENTS, JOBS

        rows = [event_row(job_id, event) for event in events]
        job = JOBS.select().where(JOBS.c.id == job_id).with_for_update(key_share=True)
        with self._writing() as connection:
            # One writer a job: numbers become visible in their order, so no reader skips one.
            if connection.execute(job).first() is None:
                raise self._no_job(job_id)
            return insert_new(connection, EVENTS, rows)

    def events(self, job_id: str, after: int = 0) -> list[tuple[int, JobEvent]]:
        """A job's events with their numbers, oldest first, those after `after`."""
        from ftctl.store.tables import EVENTS

        query = (
            EVENTS.select()
            .where(EVENTS.c.job_id == job_id, EVENTS.c.number > after)
            .order_by(EVENTS.c.number)
        )
        with self._reading() as connection:
            return [
                (row.number, read_event(self._where, job_id, row.record))
                for row in connection.execute(query)
            ]

    def audit(
        self,
        action: str,
        detail: Mapping[str, Any],
        *,
        job_id: str | None = None,
        actor: str | None = None,
        at: datetime | None = None,
    ) -> None:
        """Append to the audit log.

        Args:
            action: What was decided or done, in a word or two.
            detail: JSON values; no secret and no row of a dataset.
            job_id: The job it is about, if there is one yet.
            actor: Who; the user of this process when not given.
            at: When; now when not given.
        """
        from ftctl.store.tables import AUDIT

        line = AUDIT.insert().values(
            at=text(at or datetime.now(UTC)),
            job_id=job_id,
            actor=actor or this_user(),
            action=action,
            detail=json.dumps(dict(detail), ensure_ascii=False),
        )
        with self._writing() as connection:
            connection.execute(line)

    def audits(self, job_id: str | None = None) -> list[AuditEntry]:
        """The audit log, oldest first: all of it, or what is about one job."""
        from ftctl.store.tables import AUDIT

        query = AUDIT.select().order_by(AUDIT.c.number)
        if job_id is not None:
            query = query.where(AUDIT.c.job_id == job_id)
        with self._reading() as connection:
            rows = [row._asdict() for row in connection.execute(query)]
        return [AuditEntry(**row | {"detail": json.loads(row["detail"])}) for row in rows]

    def _select(
        self,
        connection: "Connection",
        condition: "ColumnElement[bool] | None",
        limit: int | None,
    ) -> list[JobRecord]:
        rows = self._rows(connection, condition, limit)
        return [self._record(job_id, record) for job_id, record in rows]

    def _rows(
        self,
        connection: "Connection",
        condition: "ColumnElement[bool] | None",
        limit: int | None,
    ) -> list[tuple[str, str]]:
        """Ids and records, newest first."""
        from sqlalchemy import select

        from ftctl.store.tables import JOBS

        newest = (JOBS.c.created_at.desc(), JOBS.c.id)
        query = select(JOBS.c.id, JOBS.c.record).order_by(*newest).limit(limit)
        if condition is not None:
            query = query.where(condition)
        return [(row.id, row.record) for row in connection.execute(query)]

    def _record(self, job_id: str, record: str) -> JobRecord:
        return read_record(self._where, job_id, record)

    def _no_job(self, job_id: str) -> NotFoundHere:
        return NotFoundHere(f"no job {job_id} in {self._where}", hint="ftctl jobs")

    @contextmanager
    def _reading(self) -> "Iterator[Connection]":
        """A transaction that writes nothing, waits for nobody and holds nobody off."""
        with self._transaction(reading=True) as connection:
            yield connection

    @contextmanager
    def _writing(self) -> "Iterator[Connection]":
        """A transaction that is committed at its end, whole or not at all."""
        with self._transaction(reading=False) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, reading: bool) -> "Iterator[Connection]":
        """The database's own errors become ours."""
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        try:
            with self._engine.execution_options(reading=reading).begin() as connection:
                yield connection
        except DBAPIError as error:
            raise explained(self._where, error) from None
        except SQLAlchemyError as error:
            raise StoreError(f"{self._where}: {error}", hint="ftctl config show") from None
