"""`pilot`: what a part and all of the rows bring on this machine, and what more would."""

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ftctl.api.evaluating import evaluate
from ftctl.api.job_handle import Job, open_store
from ftctl.api.submitting import make_spec, submit_job
from ftctl.catalog.load import load_catalog
from ftctl.config import Settings, load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.datasets.split import split
from ftctl.errors import DataInvalid, UsageError
from ftctl.evaluation.learning_curve import Point, forecast
from ftctl.evaluation.results import CONFIDENCE, Comparison, Evaluation, compare
from ftctl.job import Hyperparameters, JobSpec, JobState
from ftctl.submission import intention_of

SHARES = (0.25, 0.5, 1.0)
_FEWEST = 10  # rows of the smallest part


class Scored(BaseModel):
    """One training run: after so many rows this score, with its 95 % interval."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    job: str
    score: float
    low: float
    high: float


class Doubled(BaseModel):
    """What twice the rows would bring, by a power law through the scores, with its interval."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    likely: float
    low: float
    high: float


class ModelPilot(BaseModel):
    """One base model: untuned, after each part of the rows, and what twice as many would bring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    catalog_model: str  # its name in the catalog, where that knows it
    untuned: float
    scored: tuple[Scored, ...]
    doubled: Doubled | None


class Pilot(BaseModel):
    """The `ftctl.pilot/1` document.

    Attributes:
        data: The rows that were trained on.
        test: Those that were scored on.
        n: How many of these.
        grader: How answers were judged.
        models: In the order asked for.
        comparisons: Each model beside the best one, both tuned on all rows; α is divided by the
            number of models, so that all intervals hold together although the best was picked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)

    schema_: Literal["ftctl.pilot/1"] = Field("ftctl.pilot/1", alias="schema")
    data: Path
    test: Path
    n: int
    grader: str
    models: tuple[ModelPilot, ...]
    comparisons: tuple[Comparison, ...]


def pilot(
    data: Path | str,
    models: Sequence[str],
    *,
    test: Path | str | None = None,
    grader: str = "exact",
    shares: Sequence[float] = SHARES,
    hyperparameters: Hyperparameters | Mapping[str, Any] | None = None,
    seed: int = 0,
    on_step: Callable[[str], None] | None = None,
    settings: Settings | None = None,
) -> Pilot:
    """Tune on parts of the rows here, score each on the same held-out ones, and look ahead.

    Run again it goes on: parts, jobs and answers that are there already are used.

    Args:
        data: Chat examples; without `test` a fifth of them is held out, no prompt in both.
        models: Base models to tune; several are compared.
        test: Held-out examples.
        grader: How answers are judged.
        shares: Parts of the rows, each inside the next.
        hyperparameters: Of every run.
        seed: Of the order from which parts are taken.
        on_step: Told what is being done.
        settings: Where jobs and parts are kept.

    Raises:
        UsageError: no model, an impossible share, an unreadable file or unknown setting.
        DataInvalid: too few rows, or rows that can't be trained on or graded.
        JobFailed: a training run failed.
    """
    settings = settings or load_settings()
    tell = on_step or (lambda _: None)
    if not models:
        raise UsageError("no model to tune", hint="--models smollm2-135m-instruct")
    train, held_out = _parts(Path(data), None if test is None else Path(test), settings)
    files = _shares(train, sorted(set(shares)), seed, settings)
    piloted, finals = [], []
    for model in dict.fromkeys(models):
        found, last = _pilot_model(
            model, files, held_out, grader, hyperparameters or {}, tell, settings
        )
        piloted.append(found)
        finals.append(last)
    return Pilot(
        schema="ftctl.pilot/1",
        data=train,
        test=held_out,
        n=finals[0].n,
        grader=grader,
        models=tuple(piloted),
        comparisons=_compared(finals),
    )


def _pilot_model(
    model: str,
    files: Sequence[tuple[int, Path]],
    held_out: Path,
    grader: str,
    hyperparameters: Hyperparameters | Mapping[str, Any],
    tell: Callable[[str], None],
    settings: Settings,
) -> tuple[ModelPilot, Evaluation]:
    scored, last = [], None
    for rows, file in files:
        spec = make_spec(
            provider="local",
            data=file,
            model=model,
            name=f"pilot {file.stem} {Path(model).name}"[:100],
            hyperparameters=hyperparameters,
        )
        tell(f"{model}: training on {rows} rows")
        job = _job(spec, settings).wait()
        tell(f"{model}: scoring what {rows} rows brought")
        report = evaluate([job.id], data=held_out, grader=grader, settings=settings)
        last = report.targets[0].model_copy(update={"name": model})
        low, high = last.interval
        scored.append(Scored(rows=rows, job=job.id, score=last.score, low=low, high=high))
    tell(f"{model}: scoring it untuned")
    untuned = evaluate([model], data=held_out, grader=grader, settings=settings).targets[0]
    assert last is not None  # noqa: S101 - there is at least one part
    known = load_catalog().find_model(model)
    found = ModelPilot(
        model=model,
        catalog_model=model if known is None else known.name,
        untuned=untuned.score,
        scored=tuple(scored),
        doubled=_doubled(scored, last.n),
    )
    return found, last


def _job(spec: JobSpec, settings: Settings) -> Job:
    """The job of this request that is under way or has succeeded, or a new one."""
    intention = intention_of(spec)
    with open_store(settings) as store:
        done = store.jobs(states=frozenset({JobState.SUCCEEDED}))
        same = next((job for job in done if intention_of(job.spec) == intention), None)
    return submit_job(spec, settings=settings) if same is None else Job(same, settings)


def _doubled(scored: Sequence[Scored], n: int) -> Doubled | None:
    if len(scored) < 2:
        return None
    points = [Point(one.rows, one.score, n) for one in scored]
    found = forecast(points, 2 * scored[-1].rows)
    return Doubled(rows=found.rows, likely=found.likely, low=found.low, high=found.high)


def _compared(finals: Sequence[Evaluation]) -> tuple[Comparison, ...]:
    best = max(finals, key=lambda one: one.score)
    others = [one for one in finals if one is not best]
    confidence = 1 - (1 - CONFIDENCE) / len(finals)
    return tuple(compare(one, best, confidence=confidence) for one in others)


def _parts(data: Path, test: Path | None, settings: Settings) -> tuple[Path, Path]:
    """The rows to train on and those held out."""
    if test is not None:
        return data, test
    found = split(data, validation=0.0, test=0.2, out_dir=_folder(data, settings), force=True)
    return found.files["train"], found.files["test"]


def _shares(
    train: Path, shares: Sequence[float], seed: int, settings: Settings
) -> list[tuple[int, Path]]:
    """A file for each share, the smaller inside the larger, with its number of rows."""
    if not shares or not all(0 < share <= 1 for share in shares):
        raise UsageError("shares lie between 0 and 1", hint="--shares 0.25,0.5,1")
    try:
        lines = [line for line in train.read_bytes().split(b"\n") if line.strip()]
    except OSError as error:
        raise UsageError(f"{train}: {error.strerror}", hint="name a JSONL file") from None
    if shares[0] * len(lines) < _FEWEST:
        raise DataInvalid(
            f"{train}: {len(lines)} rows to train on; the smallest part needs {_FEWEST}",
            hint="a pilot says little on so few: collect more, or ask for larger --shares",
        )
    random.Random(seed).shuffle(lines)  # noqa: S311 - an order that can be had again, no secret
    folder, made = _folder(train, settings), []
    for share in shares:
        rows = round(share * len(lines))
        file = folder / f"{train.stem}.{rows}-of-{len(lines)}-seed-{seed}.jsonl"
        file.write_bytes(b"\n".join([*lines[:rows], b""]))
        made.append((rows, file))
    return made


def _folder(data: Path, settings: Settings) -> Path:
    digest = file_sha256(data) + hashlib.sha256(data.name.encode()).hexdigest()[:4]
    folder = settings.home / "pilots" / digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder
