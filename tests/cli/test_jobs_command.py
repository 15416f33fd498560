"""`ftctl jobs`: one damaged record hides no other, and is named."""

import sqlite3
from datetime import datetime
from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats

from ftctl.config import load_settings
from ftctl.job import JobSpec, JobState
from ftctl.store import Store


@pytest.fixture
def ids() -> list[str]:
    """Three jobs, the oldest first; the middle one's record is damaged."""
    with Store(load_settings().database_url) as store:
        made = [
            store.add_job(
                JobSpec(
                    provider="fake",
                    model="m",
                    data=Path("train.jsonl"),
                    data_sha256="0" * 64,
                    name=name,
                ),
                name,
            ).id
            for name in ("a", "b", "c")
        ]
    with sqlite3.connect(load_settings().home / "ftctl.db") as connection:
        connection.execute("UPDATE jobs SET record = '{' WHERE id = ?", (made[1],))
    connection.close()
    return made


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_the_others_are_listed_and_the_damaged_one_is_named(
    cli: Cli, ids: list[str], quiet: tuple[str, ...]
) -> None:
    first, bad, last = ids
    ran = cli("jobs", *quiet)
    assert ran.returncode == 1
    assert first in ran.stdout
    assert last in ran.stdout
    assert bad not in ran.stdout
    assert f"the record of {bad} is damaged" in ran.stderr
    assert "→ restore the database from a backup" in ran.stderr


def test_json_lists_it_apart(cli: Cli, ids: list[str]) -> None:
    first, bad, last = ids
    ran = cli("jobs", "--json")
    assert ran.returncode == 1
    document = ran.json()
    assert [job["id"] for job in document["jobs"]] == [last, first]
    (damaged,) = document["damaged"]
    assert damaged["id"] == bad
    assert damaged["hint"]


def test_without_one_the_list_is_empty_and_all_is_well(cli: Cli) -> None:
    ran = cli("jobs", "--json")
    assert (ran.returncode, ran.json()["damaged"]) == (0, [])


def test_reconcile_names_it_too(cli: Cli, ids: list[str]) -> None:
    with Store(load_settings().database_url) as store:
        for other in (ids[0], ids[2]):
            store.update(other, lambda _: {"state": JobState.CANCELLED})
    ran = cli("jobs", "reconcile")
    assert ran.returncode == 1
    assert f"the record of {ids[1]} is damaged" in ran.stderr


@pytest.mark.parametrize("verb", ["job", "explain", "logs"])
def test_the_damaged_job_itself_is_told_in_a_sentence(cli: Cli, ids: list[str], verb: str) -> None:
    ran = cli(verb, ids[1])
    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"the record of {ids[1]} is damaged" in ran.stderr


def test_ids_are_whole_on_a_narrow_terminal(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    file = write_chats(tmp_path / "train.jsonl")
    where = ("--provider", "fake", "--data", file, "--model", tmp_path / "a-long-name-of-a-model")
    job = cli("submit", *where, "--name", "a name of many", "--set", "epochs=2").stdout.strip()
    listed = cli("jobs").stdout
    assert job in listed
    assert max(map(len, listed.splitlines())) <= 80
    shown = cli("job", job).stdout
    assert "epochs=2" in shown
    assert "{'" not in shown
    (made,) = (line.split() for line in shown.splitlines() if "created_at" in line)
    at = datetime.fromisoformat(" ".join(made[1:])).astimezone()
    assert abs(datetime.now().astimezone() - at).total_seconds() < 3600  # on this clock
