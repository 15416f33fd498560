"""Kill `ftctl submit` at any moment, run it again, and count the jobs at the vendor.

Each trial starts the real command in a process of its own against a vendor on loopback, kills it
with SIGKILL and runs the same command again. No job may be lost or made twice. A control with
find-before-create switched off must lose or double some, or else this script sees nothing.

Exits 0 when everything holds, 1 when a job was lost or doubled, 2 when the script was blind.
"""

import argparse
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ftctl.job import JobRecord, JobState
from ftctl.store import Store
from ftctl.testing.loopback import Latency, Moment, Request
from ftctl.testing.openai_vendor import OpenAIVendor

GAPS = ("intent–upload", "upload–create", "create–answer", "answer–commit")
STEPS = ("before intent", *GAPS, "after commit")
LATENCY = (
    Latency("GET /files", before_s=0.1),
    Latency("POST /files", before_s=0.1, after_s=0.15),
    Latency("POST /fine_tuning/jobs", before_s=0.1, after_s=0.15),
)
# For each gap: what the vendor sees when it begins, and how long it surely lasts, in seconds.
AIM: dict[str, tuple[Moment, str, float]] = {
    "intent–upload": ("received", "GET /files", 0.2),
    "upload–create": ("worked", "POST /files", 0.15),
    "create–answer": ("received", "POST /fine_tuning/jobs", 0.25),
    "answer–commit": ("answered", "POST /fine_tuning/jobs", 0.0),
}
SETTLE_S = 1.0
LISTS_LAG_S = 0.5
MOST_ATTENTION = 0.02  # share of the trials that a person may have to decide
LEAST_BROKEN = 10  # jobs that the control must lose or double
COMMAND = [sys.executable, "-m", "ftctl.cli"]
BLIND = [  # the same command line, whose driver never finds what it made
    sys.executable,
    "-c",
    "from ftctl.providers.openai.driver import OpenAIProvider\n"
    "OpenAIProvider.find = lambda self, marker: None\n"
    "from ftctl.cli.main import main\n"
    "main()",
]


@dataclass
class Trial:
    """One job that is submitted, killed and submitted again."""

    home: Path
    command: Sequence[str]
    aim: str | None
    after_s: float
    key: str = field(default_factory=lambda: f"sk-planted-{secrets.token_hex(8)}")
    seen: dict[tuple[Moment, str], float] = field(default_factory=dict)
    step: str = ""
    outcome: str = ""
    said: str = ""

    def run(self) -> "Trial":
        """Submit and kill, submit again, and judge what there is."""
        self.home.mkdir(parents=True)
        with OpenAIVendor(self.key, lists_lag_s=LISTS_LAG_S) as vendor:
            vendor.latency += LATENCY
            killed_at = self._killed(vendor)
            self.step = self._fell(killed_at)
            vendor.on_moment = None
            ran = self._again(vendor)
            self.said = ran.stdout + ran.stderr
            self.outcome = self._judged(vendor, ran.returncode)
        return self

    def _start(self, vendor: OpenAIVendor) -> "subprocess.Popen[str]":
        rows = [
            {
                "messages": [
                    {"role": "user", "content": f"What is {n} plus {n}?"},
                    {"role": "assistant", "content": str(n + n)},
                ]
            }
            for n in range(12)
        ]
        data = self.home / "train.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        asked = ["submit", "--provider", "openai", "--model", "gpt-4.1-mini", "--data", str(data)]
        environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        environment |= {
            "HOME": str(self.home),
            "FTCTL_HOME": str(self.home),
            "FTCTL_SETTLE_S": str(SETTLE_S),
            "OPENAI_API_KEY": self.key,
        }
        return subprocess.Popen(
            [*self.command, *asked, "--base-url", vendor.base_url, "-vv"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def _killed(self, vendor: OpenAIVendor) -> float:
        """Start the command and kill it; when that was."""
        due = threading.Event()
        kills: list[float] = []
        aim = AIM.get(self.aim or "")

        def kill() -> None:
            kills.append(time.monotonic())
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)

        def watch(moment: Moment, request: Request) -> None:
            self.seen.setdefault((moment, request.route), time.monotonic())
            if aim is not None and (moment, request.route) == aim[:2]:
                if self.after_s == 0.0:
                    kill()  # here and now: the gap lasts milliseconds
                due.set()

        vendor.on_moment = watch
        child = self._start(vendor)
        with child:
            if aim is not None:
                due.wait(60)
            if not kills:
                time.sleep(self.after_s)
                kill()
            out, err = child.communicate()
        self.said = out + err
        return kills[0]

    def _fell(self, at: float) -> str:
        """The step at which the kill fell: from the vendor's moments and our own store."""

        def before(moment: Moment, route: str) -> bool:
            return self.seen.get((moment, route), at) < at

        job = self._job()
        if job is None:
            return "before intent"
        if job.remote_id is not None:
            return "after commit"
        if before("answered", "POST /fine_tuning/jobs"):
            return "answer–commit"
        if before("received", "POST /fine_tuning/jobs"):
            return "create–answer"
        return "upload–create" if before("worked", "POST /files") else "intent–upload"

    def _again(self, vendor: OpenAIVendor) -> "subprocess.CompletedProcess[str]":
        """The same command to its end; again where it says that this is safe (exit 5)."""
        said = self.said
        for _ in range(3):
            with self._start(vendor) as child:
                out, err = child.communicate(timeout=120)
            said += out + err
            if child.returncode != 5:
                break
        return subprocess.CompletedProcess([], child.returncode, said, "")

    def _job(self) -> JobRecord | None:
        file = self.home / "ftctl.db"
        if not file.exists():
            return None
        with Store(f"sqlite:///{file}") as store:
            jobs = store.jobs()
        assert len(jobs) <= 1, "one command makes one intention"
        return jobs[0] if jobs else None

    def _judged(self, vendor: OpenAIVendor, code: int) -> str:
        if len(vendor.jobs) > 1:
            return "doubled"
        job = self._job()
        if job is not None and job.state is JobState.NEEDS_ATTENTION:
            return "needs attention"
        known = job is not None and job.remote_id in vendor.jobs
        if code != 0 or not known or job is None or vendor.creates != {job.marker: 1}:
            return "lost"
        leaked = self.key in self.said or any(
            self.key.encode() in file.read_bytes()
            for file in self.home.rglob("*")
            if file.is_file()
        )
        return "key leaked" if leaked else "whole"


def run_trials(plans: Sequence[Trial], jobs: int) -> list[Trial]:
    """Run trials, a few at a time, with a note after each twenty."""
    done = []
    with ThreadPoolExecutor(jobs) as pool:
        for number, trial in enumerate(pool.map(Trial.run, plans), start=1):
            done.append(trial)
            if number % 20 == 0 or number == len(plans):
                print(f"  {number} of {len(plans)}", file=sys.stderr, flush=True)
    return done


class Plan:
    """Makes trials: kills at random moments of the command's life, or in a gap.

    Args:
        folder: Where their homes are made.
        rng: Draws the moments.
        life_s: How long the command lives when nobody kills it, in seconds.
    """

    def __init__(self, folder: Path, rng: random.Random, life_s: float) -> None:
        self._folder, self._rng, self._life_s = folder, rng, life_s
        self._made = 0

    def trial(self, aim: str | None, command: Sequence[str] = COMMAND) -> Trial:
        """A kill in the gap `aim`, or at any moment."""
        self._made += 1
        longest = self._life_s if aim is None else AIM[aim][2]
        home = self._folder / f"{self._made:04}"
        return Trial(home, command, aim, self._rng.uniform(0, longest) if longest else 0.0)

    def mixed(self, count: int) -> list[Trial]:
        """Four in ten at random moments, the rest in each gap alike."""
        aims = [None if n % 10 < 4 else GAPS[n % len(GAPS)] for n in range(count)]
        self._rng.shuffle(aims)
        return [self.trial(aim) for aim in aims]


def measure_life(folder: Path) -> float:
    """How long the command takes when it is left alone, in seconds."""
    trial = Trial(folder / "life", COMMAND, None, 0.0)
    trial.home.mkdir(parents=True)
    with OpenAIVendor(trial.key) as vendor:
        vendor.latency += LATENCY
        began = time.monotonic()
        with trial._start(vendor) as child:  # noqa: SLF001 - the same command, without the kill
            out, err = child.communicate()
        assert child.returncode == 0, out + err
        return time.monotonic() - began


def show(title: str, trials: Sequence[Trial]) -> None:
    """The histogram of steps, with what became of the jobs."""
    print(f"\n{title}: {len(trials)} kills")
    for step in STEPS:
        outcomes = Counter(trial.outcome for trial in trials if trial.step == step)
        count = outcomes.total()
        told = ", ".join(f"{n} {outcome}" for outcome, n in sorted(outcomes.items()))
        print(f"  {step:<14} {count:>4} {'#' * min(count, 60):<40} {told}")


def main() -> int:
    """Run both parts, print and judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--per-gap", type=int, default=20, help="least kills in each gap")
    parser.add_argument("--control", type=int, default=20, help="kills of the control run")
    parser.add_argument("--jobs", type=int, default=3, help="trials at a time")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(Path(folder), random.Random(options.seed), measure_life(Path(folder)))  # noqa: S311
        trials = run_trials(plan.mixed(options.kills), options.jobs)
        for _ in range(3):  # a gap of milliseconds is missed now and then
            steps = Counter(trial.step for trial in trials)
            short = {gap: options.per_gap - steps[gap] for gap in GAPS}
            more = [plan.trial(gap) for gap, lack in short.items() for _ in range(max(0, lack))]
            trials += run_trials(more, options.jobs) if more else []
        control = run_trials(
            [plan.trial(GAPS[2 + n % 2], BLIND) for n in range(options.control)], options.jobs
        )
    show("found before created", trials)
    show("control, never found", control)
    return judge(trials, control, options.per_gap)


def judge(trials: Sequence[Trial], control: Sequence[Trial], per_gap: int) -> int:
    """The verdict, printed; returns the exit code."""
    outcomes = Counter(trial.outcome for trial in trials)
    broken = sum(trial.outcome in ("lost", "doubled") for trial in control)
    print(f"\njobs: {dict(outcomes)}; the control lost or doubled {broken} of {len(control)}")
    for trial in trials:
        if trial.outcome != "whole":
            print(f"--- {trial.outcome} after a kill {trial.step}:\n{trial.said}", file=sys.stderr)
    steps = Counter(trial.step for trial in trials)
    if broken < LEAST_BROKEN or any(steps[gap] < per_gap for gap in GAPS):
        print("blind: too few kills in a gap, or a control in which nothing broke")
        return 2
    bad = outcomes["lost"] + outcomes["doubled"] + outcomes["key leaked"]
    too_many = outcomes["needs attention"] > MOST_ATTENTION * len(trials)
    return 1 if bad or too_many else 0


if __name__ == "__main__":
    sys.exit(main())
