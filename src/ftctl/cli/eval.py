"""`ftctl eval`: score models on held-out examples."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output

if TYPE_CHECKING:
    from ftctl.evaluation.results import Comparison, Evaluation, Report


@make_command("eval", short_help="Score models on held-out examples, with intervals.")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option(
    "--data",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Held-out examples.",
)
@click.option("--grader", default="exact", show_default=True, help="How answers are judged.")
@click.option("--against", metavar="BASE", help="A reference; targets are compared pair by pair.")
@click.option("--baseline", is_flag=True, help="Also what needs no language model.")
@click.option(
    "--train",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="For baselines and --few-shot.",
)
@click.option(
    "--few-shot", type=click.IntRange(min=0), default=0, help="Also the reference with K examples."
)
@click.option("--max-new-tokens", type=click.IntRange(min=1), help="Longest answer.")
@click.option(
    "-o",
    "--out",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where answers go.",
)
def command(
    out: Output,
    *,
    targets: tuple[str, ...],
    data: Path,
    grader: str,
    against: str | None,
    baseline: bool,
    train: Path | None,
    few_shot: int,
    max_new_tokens: int | None,
    folder: Path | None,
) -> None:
    """Score jobs, folders or base models on held-out examples, side by side.

    Answers are kept beside the scores; running it again asks only what is missing. Exits 0
    whatever the scores are.

    Example: ftctl eval my-adapter --against smollm2-135m-instruct --data test.jsonl
    """
    from ftctl.api.evaluating import evaluate

    with out.progress() as progress:
        tasks: dict[str, int] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total, note="")
            progress.update(tasks[name], completed=done)  # type: ignore[arg-type]

        report = evaluate(
            targets,
            data=data,
            grader=grader,
            against=against,
            baseline=baseline,
            train=train,
            few_shot_examples=few_shot,
            max_new_tokens=max_new_tokens,
            out_dir=folder,
            on_progress=show,
        )
    if out.json:
        out.document(report.to_document())
        return
    _show(out, report)


def _show(out: Output, report: "Report") -> None:
    out.table(
        ("model", report.grader, "95 % interval", "errors", "time"),
        [_row(one) for one in (*report.targets, *report.baselines)],
        title=f"{report.n} held-out examples of {report.data.name}",
    )
    for comparison in report.comparisons:
        out.plain(_sentence(comparison))
    out.note(f"answers: {report.targets[0].answers.parent.parent}")


def _row(one: "Evaluation") -> tuple[str, ...]:
    low, high = one.interval
    return (
        one.name,
        f"{one.score:.1%}",
        f"{low:.1%} to {high:.1%}",
        str(one.errors or ""),
        f"{one.seconds:.1f} s",
    )


def _sentence(found: "Comparison") -> str:
    low, high = found.interval
    verdict = (
        "the interval excludes zero"
        if found.excludes_zero
        else "the interval holds zero: no difference is shown"
    )
    return (
        f"{found.candidate} against {found.reference}: {100 * found.difference:+.1f} points, 95 % "
        f"interval [{100 * low:+.1f}, {100 * high:+.1f}] ({found.method}), "
        f"{found.wins} won, {found.losses} lost of {found.n}; {verdict}"
    )
