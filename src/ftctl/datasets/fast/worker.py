"""A process that looks at parts of files: tasks in by stdin, what they show out by stdout.

Not `multiprocessing`: that imports the caller's main module again, which runs a script without a
`__main__` guard a second time.
"""

import gc
import pickle
import sys
from pathlib import Path
from typing import NamedTuple

from ftctl.datasets.fast.options import Options
from ftctl.datasets.fast.part import Part
from ftctl.datasets.read import read_range


class Task(NamedTuple):
    """Lines of a file, from byte to byte, and the file's format as far as it is known."""

    path: Path
    start: int
    end: int
    known_format: str | None
    options: Options

    def done(self) -> Part:
        """What the lines show.

        Raises:
            UsageError: the file can't be read.
        """
        part = Part(self.options, self.known_format)
        part.look(read_range(self.path, self.start, self.end))
        return part


def main() -> None:
    """Do tasks until there are none."""
    gc.disable()  # nothing here makes cycles, and looking for them takes a third of the time
    tasks, results = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            task: Task = pickle.load(tasks)  # noqa: S301 - our own process wrote it
        except EOFError:
            return
        pickle.dump(task.done(), results, protocol=pickle.HIGHEST_PROTOCOL)
        results.flush()
        gc.collect()
        gc.freeze()  # what is alive now stays: the next look needn't go through it


if __name__ == "__main__":
    main()
