"""Schema versions: what a store is brought through, one step a version (decision 0009).

A step says what it changes in words of its own time, so that it stays true when the tables and
the records move on; a store that is made new gets the tables as they are now.
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from ftctl.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection


def schema_version(connection: "Connection") -> int | None:
    """The version that the store is of; None when there is nothing yet."""
    from sqlalchemy import inspect

    from ftctl.store.tables import SCHEMA

    if not inspect(connection).has_table(SCHEMA.name):
        return None
    return connection.execute(SCHEMA.select()).scalar() or 0


def require_known(version: int | None, where: str) -> None:
    """Refuse a store that a newer ftctl wrote.

    Raises:
        StoreError: names both versions.
    """
    if version is not None and not 1 <= version <= SCHEMA_VERSION:
        raise StoreError(
            f"{where} is of schema version {version}; this ftctl writes {SCHEMA_VERSION}",
            hint="pip install --upgrade ftctl, or set FTCTL_HOME to another folder",
        )


def bring_up(connection: "Connection", where: str) -> None:
    """Make the tables, or bring older ones to this version, in the transaction of `connection`.

    The caller holds the store's lock, so of two processes the second finds nothing left to do.

    Raises:
        StoreError: a newer ftctl wrote the store.
    """
    from ftctl.store.tables import METADATA, SCHEMA

    version = schema_version(connection)
    require_known(version, where)
    if version is None:
        METADATA.create_all(connection)
        connection.execute(SCHEMA.insert().values(version=SCHEMA_VERSION))
        return
    for step in _STEPS[version - 1 :]:
        step(connection)
    connection.execute(SCHEMA.update().values(version=SCHEMA_VERSION))


def _to_2(connection: "Connection") -> None:
    """The audit log; jobs' names out of their JSON, to search by."""
    from sqlalchemy import text

    number = "BIGSERIAL" if connection.dialect.name == "postgresql" else "INTEGER"
    for statement in (
        "ALTER TABLE jobs ADD COLUMN name TEXT DEFAULT '' NOT NULL",
        "CREATE INDEX ix_jobs_name ON jobs (name)",
        f"CREATE TABLE audit (number {number} NOT NULL, at VARCHAR(40) NOT NULL, "
        "job_id VARCHAR(40), actor TEXT NOT NULL, action TEXT NOT NULL, detail TEXT NOT NULL, "
        "PRIMARY KEY (number))",
        "CREATE INDEX ix_audit_job_id ON audit (job_id)",
    ):
        connection.execute(text(statement))
    found = []
    for job_id, record in connection.execute(text("SELECT id, record FROM jobs")):
        try:
            name = json.loads(record)["name"]
        except (ValueError, TypeError, KeyError):
            continue  # a damaged record stays as it is, and is told when it is read
        found.append({"name": name, "job": job_id})
    if found:
        connection.execute(text("UPDATE jobs SET name = :name WHERE id = :job"), found)


_STEPS: tuple[Callable[["Connection"], None], ...] = (_to_2,)
SCHEMA_VERSION = 1 + len(_STEPS)
