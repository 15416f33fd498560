"""The same tests on SQLite, and (in `make slow`) on a PostgreSQL server that we start ourselves."""

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ftctl.store import Store


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A PostgreSQL of our own on a socket in a temporary folder; what follows the database name."""
    pytest.importorskip("psycopg")
    found = [*sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")), shutil.which("pg_ctl")]
    programs = next((Path(pg_ctl).parent for pg_ctl in reversed(found) if pg_ctl), None)
    if programs is None:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    user: str | None = None
    if os.geteuid() == 0:  # the server refuses to run as root
        user = "postgres"
        try:
            pwd.getpwnam(user)
        except KeyError:
            pytest.skip("PostgreSQL won't run as root, and there is no user postgres")
    folder = Path(tempfile.mkdtemp(prefix="ftctl-pg-"))
    if user:
        shutil.chown(folder, user)

    def run(program: str, *args: str) -> None:
        log = folder.parent / f"{folder.name}.log"
        with log.open("ab") as out:
            subprocess.run(
                [programs / program, "-D", folder / "data", *args],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                user=user,
                cwd=folder,
                timeout=50,
            )

    # ICU sorts text as people do, passing over dashes: the hard case for us.
    icu = ("--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8")
    run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", *icu)
    quick = f"-k {folder} -c listen_addresses='' -c fsync=off -c max_connections=50"
    run("pg_ctl", "-w", "-o", quick, "start")
    yield f"?host={folder}"
    run("pg_ctl", "-w", "-m", "immediate", "stop")
    shutil.rmtree(folder)
    (folder.parent / f"{folder.name}.log").unlink()


_NUMBERS = itertools.count()


@pytest.fixture
def postgres_url(server: str) -> str:
    """A database of its own on our server."""
    import psycopg

    name = f"test_{next(_NUMBERS)}"
    with psycopg.connect(f"postgresql://postgres@/postgres{server}", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql+psycopg://postgres@/{name}{server}"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'new folder' / 'ftctl.db'}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store(url) as opened:
        yield opened
