"""Jobs and events in SQL: SQLite beside the user's data, or a shared database by URL.

A job is one row: the columns that are searched, and the whole record as JSON. Every change is
`UPDATE … WHERE revision = the one that was read`: of two observers one wins, the other rereads.
"""

import secrets
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ftctl.errors import IllegalMove, NotFoundHere, StoreError
from ftctl.job import LEGAL_MOVES, JobEvent, JobRecord, JobSpec, JobState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

SCHEMA_VERSION = 1
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # no characters that people confuse


class Store:
    """The one writer path to jobs and events.

    Args:
        url: A SQLAlchemy URL; a SQLite file's folder is made when it isn't there.

    Raises:
        StoreError: the store is of a newer version, damaged, or can't be opened.
    """

    def __init__(self, url: str) -> None:
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            parsed = make_url(url)
        except ArgumentError:
            raise StoreError(
                f"{url!r} isn't a database URL",
                hint="FTCTL_DATABASE_URL=sqlite:////path/to/file.db",
            ) from None
        self._where = parsed.render_as_string(hide_password=True)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            folder = Path(parsed.database).parent
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise StoreError(
                    f"{folder}: {error.strerror}", hint="set FTCTL_HOME to a folder of your own"
                ) from None
        self._engine = _engine(url)
        with self._connection() as connection:
            self._prepare(connection)

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
            The new job, or the one of the same intention that hasn't ended.
        """
        record = _new_record(spec, estimate)
        with self._connection() as connection:
            before = None if new else self._find_intention(connection, intention)
            if before is not None:
                return before
            connection.execute(
                _TABLES.jobs.insert().values(
                    id=record.id,
                    intention=intention,
                    state=record.state.value,
                    created_at=record.created_at.isoformat(),
                    revision=0,
                    record=record.model_dump_json(),
                )
            )
        return record

    def get_job(self, job_id: str) -> JobRecord:
        """One job, by its id, an unambiguous beginning of it, or its name.

        Raises:
            NotFoundHere: none, or more than one.
        """
        known = self.jobs()
        found = [job for job in known if job.id == job_id]
        found = found or [job for job in known if job.name == job_id]
        found = found or [job for job in known if job.id.startswith(job_id) and len(job_id) >= 5]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(job.id for job in found)
            raise NotFoundHere(
                f"{job_id} means more than one job: {ids}", hint="name one by its id"
            )
        raise NotFoundHere(f"no job {job_id} in {self._where}", hint="ftctl jobs")

    def jobs(self, limit: int | None = None) -> list[JobRecord]:
        """Jobs, newest first."""
        from sqlalchemy import select

        jobs = _TABLES.jobs
        query = select(jobs.c.record).order_by(jobs.c.created_at.desc(), jobs.c.id).limit(limit)
        with self._connection() as connection:
            return [self._record(row.record) for row in connection.execute(query)]

    def _find_intention(self, connection: "Connection", intention: str) -> JobRecord | None:
        """The newest job of an intention that hasn't ended; None when there is none."""
        from sqlalchemy import select

        jobs = _TABLES.jobs
        query = (
            select(jobs.c.record)
            .where(jobs.c.intention == intention)
            .order_by(jobs.c.created_at.desc())
        )
        records = (self._record(row.record) for row in connection.execute(query))
        return next((record for record in records if not record.state.terminal), None)

    def update(self, job_id: str, change: Callable[[JobRecord], dict[str, Any]]) -> JobRecord:
        """Change a job by compare-and-set.

        Args:
            job_id: The whole id.
            change: From the job as it stands to the fields that change; called again on what
                somebody else wrote in between. `{}` leaves it as it is.

        Raises:
            IllegalMove: the change is to a state that can't follow the present one.
            NotFoundHere: there is no such job.
        """
        from sqlalchemy import select, update

        jobs = _TABLES.jobs
        while True:
            with self._connection() as connection:
                row = connection.execute(select(jobs).where(jobs.c.id == job_id)).first()
                if row is None:
                    raise NotFoundHere(f"no job {job_id} in {self._where}", hint="ftctl jobs")
                now = self._record(row.record)
                fields = change(now)
                if not fields:
                    return now
                new = now.model_copy(update=fields)
                if new.state != now.state and new.state not in LEGAL_MOVES[now.state]:
                    raise IllegalMove(
                        f"{job_id} is {now.state}; it can't become {new.state}",
                        hint=f"ftctl job {job_id}",
                    )
                done = connection.execute(
                    update(jobs)
                    .where(jobs.c.id == job_id, jobs.c.revision == row.revision)
                    .values(
                        state=new.state.value,
                        revision=row.revision + 1,
                        record=new.model_dump_json(),
                    )
                )
                if done.rowcount == 1:
                    return new

    def add_events(self, job_id: str, events: Sequence[JobEvent]) -> int:
        """Append events that aren't there yet, told apart by `source_id`; returns how many."""
        from sqlalchemy import insert, select

        table = _TABLES.events
        with self._connection() as connection:
            rows = connection.execute(select(table.c.source_id).where(table.c.job_id == job_id))
            known = {row.source_id for row in rows}
            fresh = [event for event in events if event.source_id not in known]
            if fresh:
                connection.execute(
                    insert(table),
                    [
                        {
                            "job_id": job_id,
                            "source_id": event.source_id,
                            "record": event.model_dump_json(),
                        }
                        for event in fresh
                    ],
                )
        return len(fresh)

    def events(self, job_id: str, after: int = 0) -> list[tuple[int, JobEvent]]:
        """A job's events with their numbers, oldest first, those after `after`."""
        from sqlalchemy import select

        table = _TABLES.events
        query = (
            select(table.c.number, table.c.record)
            .where(table.c.job_id == job_id, table.c.number > after)
            .order_by(table.c.number)
        )
        with self._connection() as connection:
            return [
                (row.number, JobEvent.model_validate_json(row.record))
                for row in connection.execute(query)
            ]

    def _record(self, text: str) -> JobRecord:
        from pydantic import ValidationError

        try:
            return JobRecord.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            raise StoreError(
                f"{self._where}: a job's record is damaged ({first['loc']}: {first['msg']})",
                hint="restore the database from a backup; the run folders are untouched",
            ) from None

    def _prepare(self, connection: "Connection") -> None:
        from sqlalchemy import inspect, select

        meta = _TABLES.meta
        if not inspect(connection).has_table(meta.name):
            _TABLES.metadata.create_all(connection)
            if connection.execute(select(meta.c.version)).first() is None:
                connection.execute(meta.insert().values(version=SCHEMA_VERSION))
            return
        row = connection.execute(select(meta.c.version)).first()
        version = row.version if row else 0
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{self._where} is of schema version {version}; this ftctl writes {SCHEMA_VERSION}",
                hint="pip install --upgrade ftctl, or set FTCTL_HOME to another folder",
            )

    @contextmanager
    def _connection(self) -> "Iterator[Connection]":
        """A transaction; the database's own errors become ours."""
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise StoreError(
                f"{self._where}: {error.orig}",
                hint="check that the disk has space, the folder is writable and the file is a "
                "database; nothing was half-written",
            ) from None
        except SQLAlchemyError as error:
            raise StoreError(f"{self._where}: {error}", hint="ftctl config show") from None


def _new_record(spec: JobSpec, estimate: dict[str, Any] | None) -> JobRecord:
    job_id = "job-" + "".join(secrets.choice(_ALPHABET) for _ in range(10))
    return JobRecord(
        id=job_id,
        name=spec.name,
        provider=spec.provider,
        base_url=spec.base_url,
        remote_id=None,
        marker=job_id,
        state=JobState.CREATED,
        provider_status=None,
        message="created here, not submitted yet",
        model=spec.model,
        method=spec.method,
        fine_tuned_model=None,
        attempt=1,
        created_at=datetime.now(UTC),
        observed_at=None,
        stale_because=None,
        estimate=estimate,
        actual=None,
        progress={},
        error=None,
        spec=spec,
    )


def _engine(url: str) -> "Engine":
    from sqlalchemy import create_engine, event
    from sqlalchemy.exc import NoSuchModuleError
    from sqlalchemy.pool import NullPool

    try:
        # No pool: commands are short, and a forked child must not share a connection.
        engine = create_engine(url, poolclass=NullPool)
    except (NoSuchModuleError, ImportError) as error:
        raise StoreError(
            f"no driver for this database: {error}",
            hint="pip install 'psycopg[binary]' for postgresql+psycopg://",
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        # pysqlite begins transactions late; we want the write lock from the start.
        event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=30000")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # a committed intention survives a power cut
    cursor.close()


class _Tables:
    """Table definitions, built at first use so that importing this module stays cheap."""

    def __init__(self) -> None:
        from sqlalchemy import (
            BigInteger,
            Column,
            ForeignKey,
            Integer,
            MetaData,
            String,
            Table,
            Text,
            UniqueConstraint,
        )

        self.metadata = MetaData()
        self.meta = Table("ftctl_schema", self.metadata, Column("version", Integer, nullable=False))
        self.jobs = Table(
            "jobs",
            self.metadata,
            Column("id", String(40), primary_key=True),
            Column("intention", String(64), nullable=False, index=True),
            Column("state", String(20), nullable=False, index=True),
            Column("created_at", String(40), nullable=False),
            Column("revision", Integer, nullable=False),
            Column("record", Text, nullable=False),
        )
        self.events = Table(
            "events",
            self.metadata,
            # SQLite numbers rows by itself only in a column that is exactly INTEGER.
            Column(
                "number",
                BigInteger().with_variant(Integer, "sqlite"),
                primary_key=True,
                autoincrement=True,
            ),
            Column("job_id", ForeignKey("jobs.id"), nullable=False, index=True),
            Column("source_id", String(200), nullable=False),
            Column("record", Text, nullable=False),
            UniqueConstraint("job_id", "source_id"),
        )


class _LazyTables:
    """Stands in for `_Tables` until somebody opens a store."""

    _made: _Tables | None = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the table is
        if _LazyTables._made is None:
            _LazyTables._made = _Tables()
        return getattr(_LazyTables._made, name)


_TABLES = _LazyTables()
