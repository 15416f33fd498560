"""`ftctl pilot`: what parts of the rows bring on this machine, and what more would."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftctl.cli.kept import keep
from ftctl.cli.options import command as make_command
from ftctl.cli.render import SPARKS, Output
from ftctl.errors import UsageError

if TYPE_CHECKING:
    from ftctl.api.piloting import ModelPilot, Pilot


@make_command("pilot", short_help="What 25, 50 and 100 % of the rows bring, tuned here.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Chat examples.")
@click.option("--models", required=True, metavar="A,B,…", help="Base models; several are compared.")
@click.option("--test", type=click.Path(path_type=Path), help="Held-out examples; else a fifth.")
@click.option("--grader", default="exact", show_default=True, help="How answers are judged.")
@click.option("--shares", default="0.25,0.5,1", show_default=True, help="Parts of the rows.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A hyperparameter.")
@click.option("-o", "--out", "file", type=click.Path(path_type=Path), help="Keep the document.")
def command(
    out: Output,
    *,
    data: Path,
    models: str,
    test: Path | None,
    grader: str,
    shares: str,
    settings: tuple[str, ...],
    file: Path | None,
) -> None:
    """Tune on parts of the rows here, score each on the same held-out ones, and look ahead.

    Each part lies inside the next. Run again it goes on with what is there. Kept with -o, the
    document is what `ftctl advise --piloted FILE` reckons with instead of its prior.

    Example: ftctl pilot --data train.jsonl --models smollm2-135m-instruct --set max_minutes=5
    """
    from ftctl.api.piloting import pilot
    from ftctl.cli.submit import read_settings

    found = pilot(
        data,
        [name.strip() for name in models.split(",") if name.strip()],
        test=test,
        grader=grader,
        shares=_numbers(shares),
        hyperparameters=read_settings(settings),
        on_step=out.note,
    )
    if file is not None:
        keep(found, file)
    if out.json:
        out.document(found.model_dump(mode="json", by_alias=True))
        return
    _show(out, found)
    if file is not None:
        out.note(f"ftctl advise --piloted {file}")


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise UsageError(f"--shares {text!r}: not numbers", hint="--shares 0.25,0.5,1") from None


def _show(out: Output, found: "Pilot") -> None:
    out.plain(f"{found.grader} on {found.n} held-out examples, 95 % intervals")
    for one in found.models:
        out.table(("rows", one.model, "95 % interval", "job"), _rows(one))
        out.plain(_curve(one))
    for comparison in found.comparisons:
        low, high = comparison.interval
        out.plain(
            f"{comparison.candidate} against {comparison.reference}: "
            f"{100 * comparison.difference:+.1f} points, {comparison.confidence:.1%} interval "
            f"[{100 * low:+.1f}, {100 * high:+.1f}]"
        )


def _rows(one: "ModelPilot") -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("0", f"{one.untuned:.1%}", "", "")]
    rows += [
        (f"{s.rows:,}", f"{s.score:.1%}", f"{s.low:.1%} to {s.high:.1%}", s.job) for s in one.scored
    ]
    if one.doubled is not None:
        ahead = one.doubled
        rows.append(
            (f"{ahead.rows:,}", f"{ahead.likely:.1%}", f"{ahead.low:.1%} to {ahead.high:.1%}",
             "predicted")
        )  # fmt: skip
    return rows


def _curve(one: "ModelPilot") -> str:
    scores = [one.untuned, *(s.score for s in one.scored)]
    return "".join(SPARKS[round(score * (len(SPARKS) - 1))] for score in scores)
