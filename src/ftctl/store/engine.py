"""How SQLite and PostgreSQL differ: connecting, locking, and what their errors mean."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftctl.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine
    from sqlalchemy.exc import DBAPIError

_BUSY = "another program holds it; wait, or end that program, and run this again"
_READ_ONLY = "make the file and its folder writable, or set FTCTL_HOME to a folder of your own"
_FULL = "free some space on its disk; what was written before is kept, nothing is half-written"
_DAMAGED = "restore it from a backup, or move it away; the run folders are untouched"
_AWAY = "see that the server runs and that FTCTL_DATABASE_URL names it"

# SQLite's primary result codes (sqlite.org/rescode.html) and PostgreSQL's SQLSTATEs (appendix A
# of its manual). A disk that takes no more is FULL or IOERR, after what the system said.
_HINTS: dict[int | str | None, str] = {
    5: _BUSY,
    6: _BUSY,
    "55P03": _BUSY,
    8: _READ_ONLY,
    14: _READ_ONLY,
    "25006": _READ_ONLY,
    10: _FULL,
    13: _FULL,
    "53100": _FULL,
    11: _DAMAGED,
    26: _DAMAGED,
}


def make_engine(url: "URL", timeout_s: float) -> "Engine":
    """An engine whose transactions take SQLite's write lock at once, unless they only read.

    Args:
        url: The database; a SQLite file's folder is made when it isn't there.
        timeout_s: Seconds to wait for another program's lock.

    Raises:
        StoreError: no driver for it, or the folder can't be made.
    """
    from sqlalchemy import create_engine, event
    from sqlalchemy.exc import NoSuchModuleError
    from sqlalchemy.pool import NullPool

    sqlite = url.get_backend_name() == "sqlite"
    if not sqlite and url.get_backend_name() != "postgresql":
        raise StoreError(
            f"jobs can't be kept in {url.get_backend_name()}",
            hint="FTCTL_DATABASE_URL=sqlite:////path/to/file.db, or postgresql+psycopg://…",
        )
    if sqlite and url.database:
        _make_folder(Path(url.database).parent)
    try:
        # No pool: commands are short, and a forked child must not share a connection.
        engine = create_engine(url, poolclass=NullPool)
    except (NoSuchModuleError, ImportError) as error:
        raise StoreError(
            f"no driver for this database: {error}",
            hint="pip install 'ftctl[postgres]' for postgresql+psycopg://",
        ) from None
    wait_ms = int(timeout_s * 1000)

    def set_up(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own
        connection.isolation_level = None  # pysqlite begins late by itself; `begin` does it
        # A damaged byte spoils its own row, which is told, and not the whole answer.
        connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={wait_ms}")
        _write_ahead(cursor, timeout_s)
        cursor.execute("PRAGMA synchronous=FULL")  # a committed intention survives a power cut
        cursor.close()

    def begin(connection: "Connection") -> None:
        if sqlite:
            reading = connection.get_execution_options().get("reading")
            connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {wait_ms}")

    if sqlite:
        event.listen(engine, "connect", set_up)
    event.listen(engine, "begin", begin)
    return engine


def _write_ahead(cursor: Any, timeout_s: float) -> None:  # noqa: ANN401 - the driver's own
    """Switch to a write-ahead log; of several who do so at once, SQLite lets none but one wait."""
    import sqlite3

    give_up = time.monotonic() + timeout_s
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(
            f"{folder}: {error.strerror}", hint="set FTCTL_HOME to a folder of your own"
        ) from None


def lock(connection: "Connection", name: str) -> None:
    """Hold off others who lock the same name, until the transaction ends."""
    from sqlalchemy import func, select

    if connection.dialect.name == "postgresql":  # SQLite's writers hold off each other anyway
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"ftctl {name}"))))


def insert_new(connection: "Connection", table: Any, rows: list[dict[str, Any]]) -> int:  # noqa: ANN401
    """Insert the rows that break no uniqueness; returns how many."""
    from sqlalchemy.dialects import postgresql, sqlite

    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).on_conflict_do_nothing()
    if not rows:
        return 0
    options = {"preserve_rowcount": True}
    return connection.execute(statement, rows, execution_options=options).rowcount


def explained(where: str, error: "DBAPIError") -> StoreError:
    """The database's own error, with what to do about it."""
    original: Any = error.orig
    code = getattr(original, "sqlstate", None)
    if hasattr(original, "sqlite_errorcode"):
        code = original.sqlite_errorcode & 0xFF
    said = str(original).strip().partition("\n")[0]
    return StoreError(f"{where}: {said}", hint=_HINTS.get(code, _AWAY))
