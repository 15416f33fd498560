"""`ftctl data split`: disjoint files, or one for each task."""

import shlex
from pathlib import Path

import click

from ftctl.cli.data_progress import file_progress
from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.errors import UsageError

_FILE = click.Path(path_type=Path)


@make_command("split", short_help="Disjoint files: training and held-out, or one for each task.")
@click.argument("file", type=_FILE)
@click.option("--validation", type=float, default=0.1, show_default=True, help="Share of rows.")
@click.option("--test", type=float, default=0.1, show_default=True, help="Share of rows.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, another split.")
@click.option("--near", is_flag=True, help="Keep prompts together that say nearly the same.")
@click.option(
    "--by", type=click.Choice(["task"]), help="A file for each task, by the form of its answers."
)
@click.option("-o", "--out", "out_dir", type=_FILE, metavar="DIR", help="Where the files go.")
@click.option("--force", is_flag=True, help="Replace files that hold something else.")
@click.pass_context
def split_command(
    context: click.Context,
    out: Output,
    *,
    file: Path,
    validation: float,
    test: float,
    seed: int,
    near: bool,
    by: str | None,
    out_dir: Path | None,
    force: bool,
) -> None:
    """Split a dataset so that no prompt is on two sides, or into one file for each task.

    The same file and seed give the same split, whatever the order of the lines. Rows are kept
    byte for byte.

    With --by task, where unrelated tasks share a file, each goes to a file of its own: JSON by its
    keys, SQL, code, tool calls, text by its length. Forms with hardly any rows go to `other`. Split
    those files again for held-out rows.

    Example: ftctl data split examples.jsonl --validation 0.1 --test 0.1 -o parts
    """
    from ftctl.datasets.split import split

    if by is not None:
        _refuse_shares(context)
        _split_by_task(out, file, out_dir, force=force)
        return
    with file_progress(out, "splitting") as show:
        result = split(
            file,
            validation=validation,
            test=test,
            seed=seed,
            near=near,
            out_dir=out_dir,
            force=force,
            on_progress=show,
        )
    if out.json:
        out.document({"schema": "ftctl.data-split/1", **result.model_dump(mode="json")})
        return
    for part, path in result.files.items():
        out.line(f"{part}: {result.rows[part]:,} rows → {path}")


def _refuse_shares(context: click.Context) -> None:
    given = [
        f"--{name}"
        for name in ("validation", "test", "seed", "near")
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        hint = "split by task first, then each of the files"
        raise UsageError(f"--by task doesn't go with {', '.join(given)}", hint=hint)


def _split_by_task(out: Output, file: Path, out_dir: Path | None, *, force: bool) -> None:
    from ftctl.datasets.split import split_by_task

    with file_progress(out, "splitting") as show:
        result = split_by_task(file, out_dir=out_dir, force=force, on_progress=show)
    submit = {
        task: f"ftctl submit --provider PROVIDER --data {shlex.quote(str(path))}"
        for task, path in result.files.items()
    }
    if out.json:
        tasks = {"schema": "ftctl.data-split-tasks/1", **result.model_dump(mode="json")}
        out.document({**tasks, "submit": submit})
        return
    for task, path in result.files.items():
        out.line(f"{task}: {result.rows[task]:,} rows → {path}")
        out.line(f"  {submit[task]}")
