"""Which program does the training: ours, or another one that is told what to do and watched."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ftctl.job import JobSpec
    from ftctl.local_backend.checkpoint import Progress
    from ftctl.local_backend.loop import Watch
    from ftctl.local_backend.run_folder import RunFolder, WorkerConfig

ENGINES = ("ftctl", "axolotl", "trl")


def trainer_of(
    engine: str | None,
) -> "Callable[[WorkerConfig, RunFolder, Watch], Progress]":
    """What runs one attempt to its end."""
    if engine == "axolotl":
        from ftctl.local_backend.engines.axolotl import train as by_axolotl

        return by_axolotl
    if engine == "trl":
        from ftctl.local_backend.engines.trl import train as by_trl

        return by_trl
    from ftctl.local_backend.train import train

    return train


def require_engine(spec: "JobSpec", base: str) -> None:
    """Refuse what another engine can't be told, before anything is made.

    Raises:
        Refused: it isn't installed, or a setting is none of its.
    """
    if spec.engine == "axolotl":
        from ftctl.local_backend.engines.axolotl import require_axolotl

        require_axolotl(spec, base)
    if spec.engine == "trl":
        from ftctl.local_backend.engines.trl import require_trl

        require_trl(spec)
