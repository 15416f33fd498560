"""`ftctl advise`: should we fine-tune at all, and where?"""

import importlib
import json
import tomllib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftctl.advisor.types import Facts
from ftctl.catalog.load import stale
from ftctl.cli.kept import read_kept
from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.errors import UsageError

if TYPE_CHECKING:
    from ftctl.advisor.types import Advice, Rejected, RouteReport
    from ftctl.estimation.estimate import Assumption


_JSON_FACTS = ("failure_mix", "accounts")
_LIST_FACTS = ("priorities", "regions")
_YES_OR_NO = ("prompt_limit", "runs_gpus")
_METAVARS = {"as_of": "DATE", "data": "FILE", "probed": "FILE,…", "piloted": "FILE,…"}


def fact_options(function: Callable[..., None]) -> Callable[..., None]:
    """A flag for every fact: its name with dashes, its description as help."""
    for name, field in reversed(Facts.model_fields.items()):
        said = field.description or ""
        flag = f"--{name.replace('_', '-')}"
        more: dict[str, Any] = {"metavar": "VALUE"}
        if name in _YES_OR_NO or name.startswith("prompt_meets_"):
            more = {"is_flag": False, "flag_value": "true", "metavar": "[true|false]"}
        elif name in _JSON_FACTS:
            more = {"metavar": "JSON"}
        elif name in _LIST_FACTS:
            more = {"metavar": "A,B,…"}
        elif name in _METAVARS:
            more = {"metavar": _METAVARS[name]}
        function = click.option(flag, name, help=said, **more)(function)
    return function


@make_command("advise", short_help="Should we fine-tune at all, and where?")
@click.option("--facts", "facts_file", metavar="FILE", help="Facts as JSON, TOML or YAML.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the facts.")
@click.option(
    "--interview", is_flag=True, help="Ask what could still change the answer, and nothing else."
)
@click.option("--calibration", is_flag=True, help="How past quotes held, and nothing else.")
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="Write the report as a page with charts, too.",
)
@fact_options
def command(
    out: Output,
    facts_file: str | None,
    schema: bool,
    interview: bool,
    calibration: bool,
    page: Path | None,
    **flags: str | None,
) -> None:
    """Say whether to prompt, retrieve or tune, and where, with the reason and what would flip it.

    Every fact is optional; flags win over the facts file. Exit 4 when something must be measured
    first, or when it is too close to call.

    Example: ftctl advise --task-kind extraction --baseline-score 0.62 --target-score 0.9
    """
    if schema:
        out.plain(json.dumps(Facts.model_json_schema(), indent=2))
        return
    if calibration:
        from ftctl.cli.calibration import show_calibration

        show_calibration(out)
        return
    facts = Facts.parse({**(read_facts(facts_file) if facts_file else {}), **read_flags(flags)})
    day = facts.as_of or datetime.now(UTC).date()
    from ftctl.advisor.advise import advise
    from ftctl.advisor.page import advice_page, write_advice

    with nullcontext() if page is None else advice_page(page) as written:
        features = _features(facts)
        if interview:
            from ftctl.cli.interview import interview as ask

            facts = ask(facts, features, day)
        advice = advise(facts, features=features, as_of=day)
        if written is not None:
            write_advice(written, advice, facts, features=features, as_of=day)
    if page is not None:
        out.note(f"wrote {page}")
    if out.json:
        out.document(advice.to_document())
    else:
        show(out, advice, day)
    if advice.undecided:
        click.get_current_context().exit(4)


def read_facts(name: str) -> dict[str, Any]:
    """The facts file as a mapping, by its ending: .json, .toml, .yaml or .yml.

    Raises:
        UsageError: the file can't be read or isn't what its ending says.
    """
    path = Path(name)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}", hint="ftctl advise --schema") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: not UTF-8 text (byte {error.start})") from None
    values = _parsed(path, text) if text.strip() else None
    if not isinstance(values, dict):
        holds = "no facts" if values is None else f"{type(values).__name__}, not a mapping of facts"
        raise UsageError(
            f"{name}: holds {holds}",
            hint="ftctl advise --schema shows what goes in",
        )
    return values


def read_flags(flags: dict[str, str | None]) -> dict[str, Any]:
    """The flags that were given, JSON and lists read.

    Raises:
        UsageError: a flag whose value isn't the JSON it must be.
    """
    given: dict[str, Any] = {}
    for name, text in flags.items():
        if text is None:
            continue
        if name in _JSON_FACTS:
            try:
                given[name] = json.loads(text)
            except ValueError as error:
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(
                    f"{flag}: not JSON ({error})", hint="ftctl advise --help"
                ) from None
        elif name in _LIST_FACTS:
            given[name] = [part.strip() for part in text.split(",") if part.strip()]
        elif name == "probed":
            given[name] = [_probed(part.strip()) for part in text.split(",") if part.strip()]
        elif name == "piloted":
            files = [part.strip() for part in text.split(",") if part.strip()]
            given[name] = [one for file in files for one in _piloted(file)]
        else:
            given[name] = text
    return given


def show(out: Output, advice: "Advice", day: date) -> None:
    """The advice for a person: the reason first."""
    out.plain(advice.reason)
    sure = f"{advice.confidence:.0%} of draws"
    leads = f"; {advice.leading} leads" if advice.undecided else ""
    out.styled((advice.decision, "bold"), f"{leads} ({sure}, {advice.hosting}, as of {day})")
    if advice.routes:
        columns = ["route", "do", "where", "USD a month (P10–P90)", "quality", "wins"]
        out.table(columns, [_route_row(route) for route in advice.routes])
    for route in advice.routes:
        for warning in route.warnings:
            out.plain(f"{route.route}: {warning}")
    if advice.rejected:
        out.table(["ruled out", "where", "gate", "why"], _ruled_out(advice.rejected))
    if advice.flips:
        out.line("What would change this:")
        for flip in advice.flips:
            out.plain(f"  - {flip.says}")
    rows = [
        [note.name, note.value, note.origin, _dated(note, day), note.source]
        for note in advice.assumptions
    ]
    out.table(["assumed", "value", "origin", "date", "source"], rows)
    for line in advice.next:
        out.plain(f"next: {line}")


def _probed(name: str) -> dict[str, Any]:
    """A document of `ftctl probe` as the fact that it shows."""
    from ftctl.evaluation.probe import Probe

    found = read_kept(Probe, name, "ftctl probe")
    p95 = found.whole.p95
    return {
        **found.model_dump(include={"provider", "model", "device", "input_tokens"}),
        "output_tokens": found.output_tokens,
        "on": found.at.date(),
        "first_p95_s": found.first.p95.likely,
        "p95_s": p95.likely,
        "low_s": p95.low,
        "high_s": p95.high,
    }


def _piloted(name: str) -> list[dict[str, Any]]:
    """A document of `ftctl pilot` as the facts that it shows: each model tuned on all rows."""
    from ftctl.api.piloting import Pilot

    found = read_kept(Pilot, name, "ftctl pilot")
    return [
        {
            "model": one.catalog_model,
            "rows": one.scored[-1].rows,
            "n": found.n,
            "score": one.scored[-1].score,
            "untuned": one.untuned,
        }
        for one in found.models
    ]


def _features(facts: Facts) -> Any:  # noqa: ANN401 - any object with the advisor's features
    if facts.data is None:
        return None
    from ftctl.datasets.features import measure

    return measure(Path(facts.data))


def _parsed(path: Path, text: str) -> Any:  # noqa: ANN401 - whatever the file holds
    ending = path.suffix.lower()
    try:
        if ending == ".toml":
            return tomllib.loads(text)
        if ending in (".yaml", ".yml"):
            return _yaml(path, text)
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "TOML" if ending == ".toml" else "JSON"
        raise UsageError(f"{path}: not {kind} ({error})") from None


def _yaml(path: Path, text: str) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        raise UsageError(
            f"{path}: reading YAML needs PyYAML, which isn't installed",
            hint="pip install pyyaml, or write the facts as JSON or TOML",
        ) from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{path}: not YAML ({error})") from None


def _route_row(route: "RouteReport") -> list[str]:
    money, quality = route.usd_per_month, route.quality
    card = f" on {route.gpu}" if route.gpu else ""
    score = f"{quality.low:.2f}–{quality.high:.2f}" if quality else route.quality_note
    beaten = f" (beaten by {route.dominated_by})" if route.dominated_by else ""
    return [
        route.route,
        ", ".join(route.adaptation),
        f"{route.provider}: {route.model}{card}",
        f"{money.low:,.0f} – {money.likely:,.0f} – {money.high:,.0f}",
        score,
        f"{route.share:.0%}{beaten}",
    ]


def _ruled_out(rejected: "Sequence[Rejected]") -> list[list[str]]:
    """A row for each place and gate; what differs only by the model is one row."""
    alike: dict[tuple[str, str, str], list[Rejected]] = {}
    for line in rejected:
        alike.setdefault((line.route, line.provider, line.gate), []).append(line)
    rows = []
    for (route, provider, gate), lines in alike.items():
        models = dict.fromkeys(line.model for line in lines)
        which = lines[0].model if len(models) == 1 else f"× {len(models)} models"
        reasons = dict.fromkeys(line.reason for line in lines)
        more = f" (and {len(reasons) - 1} like it)" if len(reasons) > 1 else ""
        rows.append([route, f"{provider} {which}", gate, f"{lines[0].reason}{more}"])
    return rows


def _dated(note: "Assumption", day: date) -> str:
    if note.as_of is None:
        return ""
    return f"{note.as_of}{' (old)' if stale(note.as_of, day) else ''}"
