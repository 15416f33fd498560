"""Kill submit, poll, cancel, fetch and forget at every step, at every provider; count the jobs.

Each trial forks a child that runs one verb on the real path, against a vendor on loopback or this
machine, kills it with SIGKILL at one step and runs the same again. No job may be lost or made
twice, no half folder may pass for a whole one, and the same again must bring all to its end. In a
control with bad drivers jobs must double and halves must pass, or else this script sees nothing.

Exits 0 when everything holds, 1 when something was lost, doubled or broken, 2 when it was blind.
"""

import argparse
import functools
import itertools
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests")]  # what a provider's contract test says of it is used here

from kill_drivers import DRIVERS  # noqa: E402
from kill_trial import ChildError, Kill, run_and_kill  # noqa: E402
from kill_verbs import VERBS, Case, WrongError, run_again  # noqa: E402

KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV")
VARIANTS = {"fetch into a folder": "fetch"}  # killed where it differs
LEAST_BROKEN = 10  # jobs that the control must double
TRIES = 12  # a child may come to its end before an answer's kill arrives


@dataclass(frozen=True)
class Trial:
    """One kill: which provider's verb, where, and how it is told from the others of its place."""

    driver: str
    verb: str
    kill: Kill
    number: int = 0
    bad: bool = False


@dataclass(frozen=True)
class Result:
    """What became of it: `whole`, `lost`, `doubled`, `broken`, or `missed` by the kill."""

    trial: Trial
    outcome: str
    said: str = ""


def _set_up(home: str) -> None:
    """In each process of the pool: nothing of the user's environment or home is seen."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update(kept)
    os.environ.update(
        HOME=home,
        FTCTL_HOME=home,
        PYTHON_KEYRING_BACKEND="keyring.backends.fail.Keyring",
        SSL_CERT_DIR=home,  # holds none: reading the system's takes half of a trial
    )
    os.chdir(home)


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="trial-", dir=Path.home()))


@functools.cache
def _warm_up(driver: str) -> None:
    """Once in each process: what a first use imports and finds out, no child has to."""
    folder = _folder()
    with DRIVERS[driver].open(folder) as under_test:
        Case(folder, under_test).finish()
    shutil.rmtree(folder)


def steps_of(driver: str, verb: str) -> list[str]:
    """The steps of a verb that nobody kills, in their order, each as often as it comes."""
    _warm_up(driver)
    folder = _folder()
    try:
        with DRIVERS[driver].open(folder) as under_test:
            case = Case(folder, under_test)
            VERBS[verb].prepare(case)
            vendor = getattr(under_test, "vendor", None)
            return run_and_kill(lambda: VERBS[verb].act(case), None, folder, vendor).steps
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_trial(trial: Trial) -> Result:
    """Kill, run again and judge."""
    _warm_up(trial.driver)
    for tried in range(1, TRIES + 1):
        folder = _folder()
        try:
            with DRIVERS[trial.driver].open(folder) as under_test:
                result = _killed(trial, Case(folder, under_test, bad=trial.bad))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if result.outcome != "missed":
            break
        # A step that came twice when it was written down, under load, may come but once now.
        nth = trial.kill.nth if tried < TRIES // 2 else 1
        trial = replace(trial, kill=replace(trial.kill, held=True, nth=nth))
    return result


def _killed(trial: Trial, case: Case) -> Result:
    verb = VERBS[trial.verb]
    verb.prepare(case)
    vendor = getattr(case.under_test, "vendor", None)
    try:
        if not run_and_kill(lambda: verb.act(case), trial.kill, case.folder, vendor).killed:
            return Result(trial, "missed")
        run_again(verb, case, trial.number)
    except ChildError as error:
        return Result(trial, "broken", str(error))
    except WrongError as wrong:
        return Result(trial, wrong.kind, wrong.said)
    return Result(trial, "whole")


class Plan:
    """Which kills there are to be.

    Args:
        steps: For each provider and verb, its steps in their order.
    """

    def __init__(self, steps: dict[tuple[str, str], list[str]]) -> None:
        self.steps = steps
        self.places = {
            (driver, verb, step): count
            for (driver, verb), found in steps.items()
            for step, count in Counter(found).items()
            if step not in steps.get((driver, VARIANTS.get(verb, "")), ())
        }

    def trials(self, kills: int, least: int) -> list[Trial]:
        """At least `least` in each step and one at each time it comes; all in all `kills`."""
        wanted = {place: max(least, times) for place, times in self.places.items()}
        for place in itertools.cycle(self.places):
            if sum(wanted.values()) >= kills:
                break
            wanted[place] += 1
        return [
            Trial(driver, verb, Kill(step, 1 + number % self.places[driver, verb, step]), number)
            for (driver, verb, step), count in wanted.items()
            for number in range(count)
        ]

    def control(self) -> list[Trial]:
        """Kills that must do harm, for the drivers are bad ones on purpose.

        Three at each step of submitting, of providers that double when nobody looks first; and
        some of a fetch that writes its manifest first.
        """
        submits = [
            Trial(driver, verb, Kill(step, 1), number, bad=True)
            for driver, verb, step in self.places
            if verb == "submit" and DRIVERS[driver].doubles
            for number in range(3)
        ]
        half = Kill("opening brought/home/README.md", 1)
        return [*submits, *(Trial("fake", "fetch", half, number, bad=True) for number in range(3))]


def run_all(options: argparse.Namespace) -> tuple[Plan, list[Result], list[Result]]:
    """The plan, the trials and the control."""
    memory = Path("/dev/shm")  # noqa: S108 - only because it needs no disk
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as home,
        ProcessPoolExecutor(
            options.jobs, multiprocessing.get_context("spawn"), _set_up, (home,)
        ) as pool,
    ):
        pairs = [(d, v) for d in options.drivers for v in options.verbs]
        plan = Plan(dict(zip(pairs, pool.map(steps_of, *zip(*pairs, strict=True)), strict=True)))
        results = []
        trials = plan.trials(options.kills, options.least)
        for number, result in enumerate(pool.map(run_trial, trials, chunksize=4), start=1):
            results.append(result)
            if number % 100 == 0 or number == len(trials):
                print(f"  {number} of {len(trials)}", file=sys.stderr, flush=True)
        return plan, results, list(pool.map(run_trial, plan.control(), chunksize=4))


def show(plan: Plan, results: Sequence[Result]) -> None:
    """The histogram: each provider's verbs, each verb's steps in their order."""
    outcomes: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for result in results:
        trial = result.trial
        outcomes[trial.driver, trial.verb, trial.kill.step][result.outcome] += 1
    for (driver, verb), steps in plan.steps.items():
        places = [p for step in dict.fromkeys(steps) if (p := (driver, verb, step)) in plan.places]
        print(f"\n{driver}, {verb}: {sum(outcomes[p].total() for p in places)} kills")
        for place in places:
            count = outcomes[place].total()
            told = ", ".join(f"{n} {outcome}" for outcome, n in sorted(outcomes[place].items()))
            print(f"  {place[2]:<60} {count:>3} {'#' * min(count, 20):<20} {told}")


def judge(
    plan: Plan, results: Sequence[Result], control: Sequence[Result], least: int
) -> tuple[dict[str, object], int]:
    """The verdict in figures, and the exit code."""
    outcomes = Counter(result.outcome for result in results)
    hit = Counter(
        (r.trial.driver, r.trial.verb, r.trial.kill.step) for r in results if r.outcome != "missed"
    )
    doubled = Counter(r.trial.driver for r in control if r.outcome == "doubled")
    watched = {result.trial.driver for result in control if result.trial.verb == "submit"}
    halves = sum(r.outcome == "broken" for r in control if r.trial.verb == "fetch")
    fewest = min(hit[place] for place in plan.places)
    kills = len(results) - outcomes["missed"]
    blind = (
        fewest < least
        or doubled.total() < LEAST_BROKEN
        or any(doubled[driver] == 0 for driver in watched)
        or halves == 0
    )
    bad = sum(outcomes[kind] for kind in ("lost", "doubled", "broken"))
    figures: dict[str, object] = {
        "kills": kills,
        "steps": len(plan.places),
        "fewest_in_a_step": fewest,
        **{kind: outcomes[kind] for kind in ("lost", "doubled", "broken", "missed")},
        "control": len(control),
        "control_doubled": dict(doubled),
        "control_broken": halves,
    }
    return figures, 2 if blind else int(bad > 0)


def main() -> int:
    """Run everything, print and judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000, help="at least so many in all")
    parser.add_argument("--least", type=int, default=5, help="least kills in each step")
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time")
    parser.add_argument("--drivers", nargs="+", choices=DRIVERS, default=list(DRIVERS))
    parser.add_argument("--verbs", nargs="+", choices=VERBS, default=list(VERBS))
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    began = time.monotonic()
    plan, results, control = run_all(options)
    show(plan, results)
    for result in results:
        if result.outcome != "whole":
            print(json.dumps(asdict(result)), file=sys.stderr)
    figures, code = judge(plan, results, control, options.least)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures |= {"cpu_s": round(used.ru_utime + used.ru_stime)}
    figures |= {"wall_s": round(time.monotonic() - began)}
    print("\n" + json.dumps(figures))
    if options.json is not None:
        options.json.write_text(json.dumps(figures), encoding="utf-8")
    if code == 2:
        print("blind: too few kills in a step, or a control in which nothing doubled")
    return code


if __name__ == "__main__":
    sys.exit(main())
