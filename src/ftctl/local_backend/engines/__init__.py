"""Which program does the training: ours, or another one that is told what to do and watched."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ftctl.local_backend.checkpoint import Progress
    from ftctl.local_backend.loop import Watch
    from ftctl.local_backend.run_folder import RunFolder, WorkerConfig

ENGINES = ("ftctl", "axolotl")


def trainer_of(
    engine: str | None,
) -> "Callable[[WorkerConfig, RunFolder, Watch], Progress]":
    """What runs one attempt to its end."""
    if engine == "axolotl":
        from ftctl.local_backend.engines.axolotl import train as by_axolotl

        return by_axolotl
    from ftctl.local_backend.train import train

    return train
