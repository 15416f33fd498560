"""Until when each route answers: the announced dates of what it stands on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from ftctl.advisor.bases import first_day
from ftctl.advisor.decide import Verdict
from ftctl.advisor.routes import Route, known_end
from ftctl.advisor.situation import Situation
from ftctl.advisor.types import Label, Rejected


@dataclass(frozen=True)
class Life:
    """A route with the day from which it no longer answers (None: no such day is known)."""

    route: Label
    name: str
    ends: date | None
    says: str
    ruled_out: bool = False


def lives(situation: Situation, verdict: Verdict) -> tuple[Life, ...]:
    """The ranked routes, then a model of each vendor that a date rules out, the longest-lived."""
    ranked = [
        Life(entry.route.label, _name(entry.route), entry.route.ends, _says(entry.route))
        for entry in verdict.ranked
    ]
    return *ranked, *_ruled_out(situation, verdict.rejected)


def _name(route: Route) -> str:
    return f"{route.label}: {route.model.title}"


def _says(route: Route) -> str:
    if route.hosting == "own":
        return "as long as you run it"
    jobs = route.tunable.until if route.tunable else None
    said = f"answers until {route.ends}" if route.ends else "no end announced"
    return f"{said}, jobs until {jobs}" if jobs else said


def _ruled_out(situation: Situation, rejected: Iterable[Rejected]) -> Iterator[Life]:
    longest: dict[str, Life] = {}
    for line in rejected:
        if line.route != "hosted" or line.gate not in ("availability", "lifecycle"):
            continue
        model = situation.catalog.get_model(line.model)
        row = next((row for row in model.tunable if row.provider == line.provider), None)
        if first_day(model, row) > situation.as_of:
            continue
        ends = known_end(model, row, situation.as_of)
        rival = longest.get(line.provider)
        if ends and ends > situation.as_of and (rival is None or ends > (rival.ends or ends)):
            title = f"{line.provider}: {model.title}"
            longest[line.provider] = Life("hosted", title, ends, f"ruled out, ends {ends}", True)
    yield from longest.values()
