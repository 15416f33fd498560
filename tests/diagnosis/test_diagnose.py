"""Made curves: each shape gets its finding, and those that only look like it don't."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftctl.diagnosis.diagnose import diagnose
from ftctl.diagnosis.types import Change, Finding, RunFacts
from ftctl.job import Hyperparameters

Row = dict[str, object]
Shape = Callable[[float], float]
LOCAL = RunFacts(
    examples=500,
    epochs=3,
    learning_rate=2e-4,
    takes=frozenset({"learning_rate", "epochs", "max_steps", "max_minutes"}),
)
OPENAI = RunFacts(examples=500, takes=frozenset({"learning_rate_multiplier", "epochs"}))


def falls_to(level: float, within: float) -> Shape:
    """From 2.5 down to a level, most of it within a share of the run."""
    return lambda x: level + (2.5 - level) * math.exp(-x / within)


def training(shape: Shape, steps: int = 100, noise: float = 0.05, seed: int = 0) -> list[Row]:
    """A row a step; noise is relative, like that of batches."""
    rng = random.Random(seed)  # noqa: S311 - draws, no secret
    return [
        {"step": i, "train_loss": shape(i / steps) * math.exp(rng.gauss(0, noise))}
        for i in range(1, steps + 1)
    ]


def validation(*losses: float, steps: int = 100, accuracy: tuple[float, ...] = ()) -> list[Row]:
    """A score at equal distances, the last one at the end, as local runs write them."""
    every = steps // len(losses)
    rows: list[Row] = [
        {"kind": "validation", "step": every * i, "loss": loss} for i, loss in enumerate(losses, 1)
    ]
    for row, share in zip(rows, accuracy, strict=False):
        row["exact_match"] = share
    return rows


def names(rows: list[Row], run: RunFacts = LOCAL) -> list[str]:
    return [finding.name for finding in diagnose(rows, run)]


def first(rows: list[Row], run: RunFacts = LOCAL) -> Finding:
    return diagnose(rows, run)[0]


CONVERGED = falls_to(0.5, 0.1)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("healthy", CONVERGED),
        ("healthy", falls_to(0.5, 0.03)),  # learned in a few steps, and flat from then on
        ("healthy", lambda x: 0.03),  # the base model knows it already
        ("flat", lambda x: 2.0),
        ("flat", lambda x: 2.0 - 0.04 * x),
        ("slow", lambda x: 2.0 - 0.3 * x),
        ("still_falling", lambda x: 2.0 - 1.5 * x),
        ("still_falling", falls_to(0.5, 0.5)),
        ("diverging", lambda x: 2.0 - 2.4 * x if x < 0.5 else 0.8 + 3 * (x - 0.5)),
        ("diverging", lambda x: 2.0 + 0.6 * x),
    ],
)
@pytest.mark.parametrize("steps", [40, 200, 2_000])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_shape_of_the_training_curve(name: str, shape: Shape, steps: int, seed: int) -> None:
    assert names(training(shape, steps, noise=0.02, seed=seed)) == [name]


@pytest.mark.parametrize(
    "shape", [CONVERGED, lambda x: 2.0, lambda x: 1.4 + 0.6 * math.exp(-x / 0.05)]
)
def test_noise_alone_seldom_makes_a_finding_that_costs_something(shape: Shape) -> None:
    runs = [training(shape, 60, noise=0.3, seed=seed) for seed in range(150)]
    wrong = [name for rows in runs for name in names(rows)]
    assert sum(name in ("diverging", "spikes", "slow", "still_falling") for name in wrong) <= 3


def test_high_first_steps_by_chance_are_no_fall() -> None:
    runs = [training(lambda x: 2.0, 400, noise=0.1, seed=seed) for seed in range(40)]
    assert sum(names(rows) == ["flat"] for rows in runs) >= 38


def test_a_curve_that_scatters_too_much_is_told_as_such() -> None:
    assert names(training(lambda x: 2.0 - 0.2 * x, 40, noise=0.6)) == ["too_noisy"]


def test_lone_spikes_are_found_but_not_one_alone_and_not_those_of_batches() -> None:
    rows = training(CONVERGED, 100)
    for step in (30, 55, 80):
        rows[step]["train_loss"] = 4.0
    assert names(rows) == ["spikes"]
    assert [measure.step for measure in first(rows).evidence] == [31, 56, 81]
    assert first(rows).change == (Change(setting="learning_rate", before=2e-4, after=1e-4),)
    rows[30] = rows[29] | {"step": 31}
    rows[55] = rows[54] | {"step": 56}
    assert names(rows) == ["healthy"]
    assert "spikes" not in names(training(CONVERGED, 300, noise=0.5))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, "nan"])
@pytest.mark.parametrize("key", ["train_loss", "valid_loss"])
def test_a_loss_that_is_no_number_lowers_the_rate(value: object, key: str) -> None:
    rows = training(CONVERGED)
    rows[59] |= {key: value}
    assert names(rows) == ["not_a_number"]
    assert "step 60" in first(rows).sentence
    assert [change.flag for change in first(rows).change] == ["--set learning_rate=5e-05"]


def test_overfit_takes_epochs_off() -> None:
    finding = first(training(CONVERGED) + validation(1.2, 0.9, 1.0, 1.1, 1.3))
    assert finding.name == "overfit"
    assert [(m.what, m.step) for m in finding.evidence][:2] == [
        ("validation loss, best", 40),
        ("validation loss, end", 100),
    ]
    assert finding.change == (Change(setting="epochs", before=3, after=2),)
    assert "OpenAI" in finding.source


def test_overfit_takes_at_most_two_epochs_off_and_then_lowers_the_rate() -> None:
    rows = training(CONVERGED) + validation(0.9, 1.0, 1.1, 1.2, 1.3)
    many = LOCAL.model_copy(update={"epochs": 8.0})
    assert first(rows, many).change[0].after == 6
    one = LOCAL.model_copy(update={"epochs": 1.0})
    assert first(rows, one).change == (Change(setting="learning_rate", before=2e-4, after=1e-4),)
    by_steps = LOCAL.model_copy(update={"asked": Hyperparameters(max_steps=100)})
    assert first(rows, by_steps).change == (Change(setting="max_steps", before=100, after=20),)


@pytest.mark.parametrize(
    "scores",
    [
        (1.2, 0.9, 0.88, 0.87),  # best at the end
        (1.2, 0.9, 0.91, 0.92),  # within a few percent of its best
        (1.2, 0.9, 0.88, 0.95),  # one score up after its best, by less than a tenth
        (1.2, 0.9),  # too few to tell
    ],
)
def test_what_only_looks_like_overfit(scores: tuple[float, ...]) -> None:
    assert names(training(CONVERGED) + validation(*scores)) == ["healthy"]


def test_two_scores_in_a_row_above_the_best_are_enough() -> None:
    assert names(training(CONVERGED) + validation(1.2, 0.9, 0.93, 0.96)) == ["overfit"]


def test_where_training_gets_worse_too_it_is_not_learned_by_heart() -> None:
    quick = falls_to(0.5, 0.05)
    rows = training(lambda x: quick(x) + max(0.0, x - 0.5) * 0.5, noise=0.02)
    assert names(rows + validation(1.2, 0.9, 1.0, 1.2)) == ["healthy"]


def test_many_noisy_scores_are_smoothed_before_they_are_compared() -> None:
    rng = random.Random(5)  # noqa: S311 - draws, no secret

    def scored(shape: Shape) -> list[Row]:
        rows = training(CONVERGED, 200)
        return [
            row | {"valid_loss": shape(i / 200) * math.exp(rng.gauss(0, 0.3))}
            for i, row in enumerate(rows)
        ]

    assert names(scored(falls_to(0.9, 0.1))) == ["healthy"]
    assert names(scored(lambda x: 0.9 + 3 * max(0.0, x - 0.4))) == ["overfit"]


def test_a_whole_file_s_score_counts_before_one_batch_s() -> None:
    rows = training(CONVERGED)
    for i, (whole, batch) in enumerate([(1.2, 0.1), (1.0, 0.5), (0.9, 1.0), (0.88, 2.0)], 1):
        rows[25 * i - 1] |= {"full_valid_loss": whole, "valid_loss": batch}
    assert names(rows) == ["healthy"]


def test_a_rising_loss_with_better_answers_is_not_overfit() -> None:
    rows = training(CONVERGED) + validation(
        1.2, 0.9, 1.0, 1.1, 1.2, accuracy=(0.2, 0.5, 0.5, 0.6, 0.6)
    )
    assert names(rows) == ["overconfident"]
    worse = training(CONVERGED) + validation(
        1.2, 0.9, 1.0, 1.1, 1.2, accuracy=(0.2, 0.5, 0.5, 0.4, 0.4)
    )
    none_exact = training(CONVERGED) + validation(0.9, 1.0, 1.1, accuracy=(0.0, 0.0, 0.0))
    assert names(worse) == names(none_exact) == ["overfit"]


def test_what_is_learned_does_not_carry_over() -> None:
    assert names(training(falls_to(0.1, 0.2)) + validation(2.4, 2.41, 2.38, 2.4)) == [
        "no_carry_over"
    ]
    assert names(training(CONVERGED) + validation(0.6, 0.6, 0.59)) == ["healthy"]


def test_more_training_is_not_advised_where_validation_has_passed_its_best() -> None:
    still = training(falls_to(0.5, 0.5), noise=0.02)
    assert names(still + validation(1.6, 1.4, 1.3, 1.25)) == ["still_falling"]
    assert names(still + validation(1.6, 1.3, 1.3, 1.38)) == ["healthy"]


def test_the_end_says_nothing_before_it_is_reached() -> None:
    rows = training(lambda x: 2.0 - 1.5 * x)
    assert names(rows, LOCAL.model_copy(update={"ended": False})) == ["healthy"]


@pytest.mark.parametrize(
    ("run", "change"),
    [
        (LOCAL, Change(setting="epochs", before=3, after=4)),
        (
            LOCAL.model_copy(update={"asked": Hyperparameters(max_minutes=10)}),
            Change(setting="max_minutes", before=10, after=15),
        ),
        (
            OPENAI.model_copy(update={"asked": Hyperparameters(epochs=2)}),
            Change(setting="epochs", before=2, after=3),
        ),
    ],
)
def test_still_falling_trains_longer(run: RunFacts, change: Change) -> None:
    assert first(training(lambda x: 2.0 - 1.5 * x), run).change == (change,)


def test_nobody_is_told_a_setting_that_the_provider_does_not_take_or_whose_value_is_unknown() -> (
    None
):
    falling, flat = training(lambda x: 2.0 - 1.5 * x), training(lambda x: 2.0, noise=0.01)
    assert first(falling, OPENAI).change == ()  # its own choice of epochs isn't known
    assert first(flat, RunFacts()).change == ()
    unscaled = Change(setting="learning_rate_multiplier", before=None, after=2.0)
    assert first(flat, OPENAI).change == (unscaled,)
    told = OPENAI.model_copy(update={"learning_rate_multiplier": 1.8})
    assert first(flat, told).change[0].after == 3.6


def test_few_examples_are_told_beside_everything_else() -> None:
    assert names(training(CONVERGED), LOCAL.model_copy(update={"examples": 49})) == [
        "healthy",
        "too_few_examples",
    ]
    assert names(training(CONVERGED), LOCAL.model_copy(update={"examples": 50})) == ["healthy"]


def test_too_little_to_tell_is_said_plainly() -> None:
    assert first([]).sentence.startswith("No loss:")
    running = LOCAL.model_copy(update={"ended": False})
    assert first([], running).sentence.startswith("No loss so far:")
    assert names(training(lambda x: 2.0 - x, steps=9)) == ["not_enough_metrics"]
    assert names([{"step": 1, "reward": 0.4}, {"message": "hello"}]) == ["not_enough_metrics"]
    assert names(validation(1.0, 0.9, 0.8)) == ["healthy"]


def test_a_step_done_twice_counts_as_it_was_done_last() -> None:
    again = [row | {"train_loss": 9.0} for row in training(CONVERGED)[50:]]
    whole = training(CONVERGED)
    assert diagnose([*whole[:50], *again, *whole[50:]], LOCAL) == diagnose(whole, LOCAL)


anything = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["nan", "inf", "1e999", 10**400])
    | st.lists(st.integers(), max_size=2)
)
keys = st.sampled_from(
    ["step", "train_loss", "loss", "valid_loss", "full_valid_loss", "exact_match", "kind", "x"]
)
steps = st.integers(0, 40) | anything
row = st.fixed_dictionaries({"step": steps}, optional={"train_loss": st.floats()}) | (
    st.dictionaries(keys, anything)
)
facts = st.builds(
    RunFacts,
    ended=st.booleans(),
    examples=st.none() | st.integers(0),
    epochs=st.none() | st.floats(0.01, 100),
    learning_rate=st.none() | st.floats(1e-9, 0.9),
    asked=st.builds(
        Hyperparameters,
        epochs=st.none() | st.floats(0.01, 100),
        max_steps=st.none() | st.integers(1, 10**9),
        max_minutes=st.none() | st.floats(0.1, 1e5),
        learning_rate=st.none() | st.floats(1e-9, 0.9),
    ),
    takes=st.frozensets(st.sampled_from([*Hyperparameters.model_fields])),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a slow machine, too
@given(st.lists(row, max_size=40), facts)
def test_no_metrics_whatever_make_it_fail_and_every_change_can_be_submitted(
    rows: list[Row], run: RunFacts
) -> None:
    for finding in diagnose(rows, run):
        Finding.model_validate_json(finding.model_dump_json())
        for change in finding.change:
            assert change.setting in run.takes
            Hyperparameters.model_validate({change.setting: f"{change.after:g}"})
