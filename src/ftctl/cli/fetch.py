"""`ftctl fetch`: bring a tuned model home."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.errors import Interrupted

if TYPE_CHECKING:
    from rich.progress import TaskID


@make_command("fetch", short_help="Bring home a job's adapter, metrics and model card.")
@click.argument("job_id", metavar="ID")
@click.option(
    "-o",
    "--out",
    "folder",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="A new folder.",
)
def command(out: Output, job_id: str, folder: Path) -> None:
    """Bring home a job's adapter, metrics, model card and sha256 manifest.

    The folder appears whole or not at all; running it again does no harm, and goes on where a
    download broke off. Only safetensors come home, never a pickle.

    Example: ftctl fetch job-7f3k2m9xab -o my-adapter
    """
    from ftctl.api.job_handle import get_job

    job = get_job(job_id)
    with out.progress(of_bytes=True) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total, note="")
            bars.update(tasks[name], completed=done, total=total)

        try:
            tuned = job.refresh().fetch(folder, tell)
        except KeyboardInterrupt:
            again = f"ftctl fetch {job_id} -o {folder}"
            raise Interrupted("left off; what has come is kept", hint=again) from None
    if out.json:
        out.document({"schema": "ftctl.fetch/1", **tuned.model_dump(mode="json")})
        return
    files = sorted(file for file in folder.iterdir() if file.is_file())
    out.table(
        ("file", "bytes"), [(file.name, f"{file.stat().st_size:,}") for file in files], str(folder)
    )
    weights = any(file.suffix == ".safetensors" for file in files)
    out.note(f"talk to it: ftctl chat {folder if weights else job.id}")
