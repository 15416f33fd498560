"""The commands to type next, in order; only commands and flags that exist."""

import math
import shlex
from pathlib import PurePath

from ftctl.advisor.cautions import closed_accounts
from ftctl.advisor.decide import Verdict
from ftctl.advisor.gates import cheapest_too_dear
from ftctl.advisor.routes import own_models
from ftctl.advisor.situation import Situation
from ftctl.advisor.tie_break import cheapest_test, untold
from ftctl.datasets.rules.rule import SOURCES

_TELL = {"runs_gpus": "--runs-gpus true", "requests_per_month": "--requests-per-month N"}


def next_commands(situation: Situation, verdict: Verdict) -> tuple[str, ...]:
    """What to type to go on from a decision; capitals stand for what only the user knows."""
    data, train, test = _files(situation)
    check, split = f"ftctl data check {data}", f"ftctl data split {data}"
    model = _open_model(situation, verdict)
    score = f"ftctl eval {model} --data {test} --grader exact"
    tune = f"ftctl submit --provider local --model {model} --data {train}"
    pilot = f"ftctl pilot --models {model} --data {train} --test {test} -o pilot.json"
    ask = f"ftctl advise --data {data}"
    scored = f"{ask} --baseline-score SCORE --baseline-n N --target-score TARGET"
    if verdict.decision == "none":
        return _more_budget(verdict)
    if verdict.decision == "measure_first":
        return check, split, score, scored
    if verdict.decision == "too_close":
        return {
            "score": (check, split, score, scored),
            "tell": (" ".join([ask, *(_TELL[name] for name in untold(situation))]),),
            "quote": tuple(f"ftctl providers {name}" for name in _vendors(verdict)),
            "retrieve": (split, score, scored),
            "tune": (check, split, pilot, f"{scored} --piloted pilot.json"),
        }[cheapest_test(situation, verdict)]
    if verdict.decision == "self_hosted":
        return f"{check} --for local", split, tune, *_moves(situation, verdict, model)
    if verdict.decision == "hosted":
        route = verdict.ranked[0].route
        place, base = route.provider.name, route.model.name
        job = f"--provider {place} --model {base} --data {train}"
        steps = (f"ftctl estimate {job}", f"ftctl submit {job} --dry-run")
        ruled = f"{check} --for {place}" if place in SOURCES else check
        return ruled, split, *steps, *_moves(situation, verdict, base)
    return split, score


def _moves(situation: Situation, verdict: Verdict, base: str) -> tuple[str, ...]:
    """How to bring along what was tuned where it won't answer for long."""
    if not closed_accounts(situation, verdict):
        return ()
    place = verdict.ranked[0].route.provider.name
    return (f"ftctl migrate JOB --to {place} --model {base}",)


def _files(situation: Situation) -> tuple[str, str, str]:
    """The file of examples, and the training and test parts that `data split` makes of it."""
    whole = PurePath(situation.facts.data or "FILE")
    train, test = (whole.parent / f"{whole.stem}.{part}.jsonl" for part in ("train", "test"))
    return shlex.quote(str(whole)), shlex.quote(str(train)), shlex.quote(str(test))


def _open_model(situation: Situation, verdict: Verdict) -> str:
    """The base to tune or score: a vendor's own model can't be scored from here yet."""
    first = verdict.first
    if first is not None and first.route.hosting != "vendor_api" and first.route.model.open_weights:
        return first.route.model.name
    return next((model.name for model in own_models(situation)), "MODEL")


def _vendors(verdict: Verdict) -> list[str]:
    return [e.route.provider.name for e in verdict.ranked if e.route.hosting == "hosted_custom"]


def _more_budget(verdict: Verdict) -> tuple[str, ...]:
    dear = cheapest_too_dear(verdict.rejected)
    if verdict.ranked or dear is None:
        return ()
    return (f"ftctl advise --facts FILE --budget-usd-per-month {math.ceil(dear[0].low)}",)
