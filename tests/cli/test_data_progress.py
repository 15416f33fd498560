"""A bar stands while a file is read, and is gone before anything else is said."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from specimens import write_chats
from typing_extensions import override

from ftctl.api.estimating import estimate
from ftctl.api.submitting import make_spec, preflight
from ftctl.cli.data_progress import Steps
from ftctl.cli.render import Output
from ftctl.config import load_settings


class Told(Output):
    """What was shown, in order."""

    said: ClassVar[list[str]] = []

    @override
    def note(self, text: str) -> None:
        self.said.append(text)

    @override
    @contextmanager
    def progress(self, *, of_bytes: bool = False) -> Iterator[Any]:
        self.said.append("bar")
        with super().progress(of_bytes=of_bytes) as bar:
            yield bar
        self.said.append("no bar")


def test_a_bar_ends_with_its_file_or_with_the_next_step() -> None:
    Told.said.clear()
    with Steps(Told()) as steps:
        steps.step("checking")
        steps.read(1, 4)
        steps.read(4, 4)
        steps.read(1, 2)
        steps.step("submitting")
        steps.read(0, 0)
    checking = ["checking", "bar", "no bar", "bar", "no bar"]
    assert Told.said == [*checking, "submitting", "bar", "no bar"]


def test_reading_is_told_before_a_job_is_sent_or_priced(tmp_path: Path) -> None:
    file = write_chats(tmp_path / "train.jsonl")
    told: list[tuple[int, int]] = []

    def hear(done: int, total: int) -> None:
        told.append((done, total))

    spec = make_spec(provider="fake", data=file, model="m")
    preflight(spec, settings=load_settings(), consent=lambda _: True, on_progress=hear)
    whole = (file.stat().st_size,) * 2
    assert told[-1] == whole
    told.clear()
    estimate(provider="openai", model="gpt-4.1-mini", data=file, on_progress=hear)
    assert told[-1] == whole
