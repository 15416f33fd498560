"""`ftctl probe`: how long a model takes to answer."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftctl.cli.kept import keep
from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output

if TYPE_CHECKING:
    from ftctl.evaluation.probe import Probe, Quantile


@make_command("probe", short_help="How long a model takes to answer, measured.")
@click.argument("target", metavar="ID_OR_DIR_OR_MODEL")
@click.option("--provider", help="Who serves the model, where no job here made it.")
@click.option("--base-url", metavar="URL", help="Where that is, if not at the vendor.")
@click.option("--calls", type=click.IntRange(2, 10_000), default=30, show_default=True)
@click.option(
    "--input-tokens",
    type=click.IntRange(1, 1_000_000),
    default=1_000,
    show_default=True,
    help="About how long each prompt is.",
)
@click.option(
    "--output-tokens",
    type=click.IntRange(1, 100_000),
    default=200,
    show_default=True,
    help="The longest answer.",
)
@click.option("-o", "--out", "file", type=click.Path(path_type=Path), help="Keep the document.")
def command(
    out: Output,
    target: str,
    *,
    provider: str | None,
    base_url: str | None,
    calls: int,
    input_tokens: int,
    output_tokens: int,
    file: Path | None,
) -> None:
    """Time a model's answers, one call after the other, from this machine.

    Prompts are made up: no row of yours is sent. A vendor bills each call as any other. Kept
    with -o, the document is what `ftctl advise --probed FILE` reckons with instead of its default.

    Example: ftctl probe smollm2-135m-instruct --calls 30 -o probe.json
    """
    from ftctl.api.probing import probe

    with out.progress() as progress:
        task = progress.add_task(target, total=calls, note="")
        found = probe(
            target,
            provider=provider,
            base_url=base_url,
            calls=calls,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            on_call=lambda done: progress.update(task, completed=done),
        )
    document = found.model_dump(mode="json", by_alias=True)
    if file is not None:
        keep(found, file)
    if out.json:
        out.document(document)
        return
    _show(out, found)
    if file is not None:
        out.note(f"ftctl advise --probed {file}")


def _show(out: Output, found: "Probe") -> None:
    where = f"{found.provider} on {found.device}" if found.device else found.provider
    rows = [
        (name, _text(seconds.p50), _text(seconds.p95))
        for name, seconds in (("first token", found.first), ("whole answer", found.whole))
    ]
    out.plain(
        f"{found.target} at {where}: {found.calls - found.failed} answers of up to "
        f"{found.output_tokens} tokens to prompts of about {found.input_tokens}"
    )
    out.table(("seconds to", "half within", "95 % within"), rows)
    if found.failed:
        out.plain(f"{found.failed} of {found.calls} calls failed and are in no figure.")
    if found.whole.p95.high is None:
        out.plain(f"{found.calls} calls can't bound the slowest 5 %: 72 and more do.")


def _text(quantile: "Quantile") -> str:
    low = "?" if quantile.low is None else f"{quantile.low:.3g}"
    high = "?" if quantile.high is None else f"{quantile.high:.3g}"
    return f"{quantile.likely:.3g} ({low} to {high})"
