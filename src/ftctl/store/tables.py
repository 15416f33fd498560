"""The tables as this version writes them; `migrations` brings older stores here.

Imported inside functions only, because it loads SQLAlchemy.
"""

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

METADATA = MetaData()


def _number() -> Column[int]:
    # SQLite numbers rows by itself only in a column that is exactly INTEGER.
    kind = BigInteger().with_variant(Integer, "sqlite")
    return Column("number", kind, primary_key=True, autoincrement=True)


SCHEMA = Table("ftctl_schema", METADATA, Column("version", Integer, nullable=False))

JOBS = Table(
    "jobs",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("intention", String(64), nullable=False, index=True),
    Column("state", String(20), nullable=False, index=True),
    Column("created_at", String(40), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("record", Text, nullable=False),
    Column("name", Text, nullable=False, server_default="", index=True),
)

EVENTS = Table(
    "events",
    METADATA,
    _number(),
    Column("job_id", ForeignKey("jobs.id"), nullable=False, index=True),
    Column("source_id", String(200), nullable=False),
    Column("record", Text, nullable=False),
    UniqueConstraint("job_id", "source_id"),
)

AUDIT = Table(
    "audit",
    METADATA,
    _number(),
    Column("at", String(40), nullable=False),
    Column("job_id", String(40), index=True),  # no foreign key: a refusal is older than any job
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("detail", Text, nullable=False),
)
