"""How far reading has come, for commands that go through large files."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from ftctl.cli.render import Output


@contextmanager
def file_progress(out: Output, doing: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left, on a terminal only.

    Args:
        out: Where progress goes.
        doing: What is done, as `checking`.

    Yields:
        What takes bytes read and bytes to read; 0 to read where a pipe doesn't tell.
    """
    with out.progress(of_bytes=True) as progress:
        task = progress.add_task(doing, total=None, note="")

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total or None)

        yield show


class Steps:
    """Steps as notes, with a bar while one of them reads a file; a `with` block."""

    def __init__(self, out: Output) -> None:
        self._out, self._doing = out, "reading"
        self._bar = ExitStack()
        self._show: Callable[[int, int], None] | None = None

    def __enter__(self) -> "Steps":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def step(self, doing: str) -> None:
        """What is begun."""
        self.close()
        self._doing = doing
        self._out.note(doing)

    def read(self, done: int, total: int) -> None:
        """How many bytes are read, and are to be read; a whole file ends the bar."""
        if self._show is None:
            self._show = self._bar.enter_context(file_progress(self._out, self._doing))
        self._show(done, total)
        if done >= total > 0:
            self.close()

    def close(self) -> None:
        """Take the bar away: something else is to be seen."""
        self._bar.close()
        self._show = None
