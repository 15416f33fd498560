"""How far reading has come, for commands that go through large files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
