"""Who asks for a model that isn't there hears which job that is, and what to do about it."""

from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats

from ftctl.config import load_settings
from ftctl.providers.fake import FakeProvider, FakeScript


@pytest.mark.parametrize(("word", "verb"), [("running", "watch"), ("failed", "explain")])
@pytest.mark.parametrize("asked", [("fetch", "-o", "new"), ("chat", "hello")])
def test_the_hint_fits_where_the_job_stands(
    cli: Cli, tmp_path: Path, word: str, verb: str, asked: tuple[str, ...]
) -> None:
    FakeProvider(load_settings().home / "fake").script = FakeScript(words=(word,))
    data = write_chats(tmp_path / "train.jsonl")
    job = cli("submit", "--provider", "fake", "--data", data, "--model", "m").stdout.strip()
    cli("job", job, "--refresh")
    name, *more = asked
    ran = cli(name, job, *more, "--json")
    assert ran.returncode == 1
    error = ran.json()["error"]
    assert (error["kind"], error["hint"]) == ("not_found", f"ftctl {verb} {job}")
    assert job in error["message"]
