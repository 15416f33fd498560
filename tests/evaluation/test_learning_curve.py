"""The power law of errors, and how sure a forecast is."""

import numpy as np
import pytest

from ftctl.evaluation.learning_curve import Point, forecast


def points(*scores: float, n: int = 1_000_000, rows: int = 100) -> list[Point]:
    return [Point(rows * 2**k, score, n) for k, score in enumerate(scores)]


def test_a_power_law_is_found_again() -> None:
    law = [1 - 0.8 * rows**-0.3 for rows in (100, 200, 400)]
    found = forecast(points(*law), 800)
    true = 1 - 0.8 * 800**-0.3
    assert found.likely == pytest.approx(true, abs=0.002)
    assert found.low < true < found.high
    assert found.high - found.low < 0.01


def test_scores_that_fall_promise_no_more() -> None:
    found = forecast(points(0.8, 0.7, 0.6, n=100_000), 800)
    assert found.likely == pytest.approx(0.71, abs=0.03)  # the mean error, on logarithmic axes


def test_fewer_examples_make_a_wider_forecast() -> None:
    wide, narrow = (forecast(points(0.6, 0.7, 0.78, n=n), 800) for n in (50, 5000))
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)
    assert 0 <= wide.low < wide.likely < wide.high <= 1


def test_perfect_and_hopeless_scores_stay_within_bounds() -> None:
    for score in (0.0, 1.0):
        found = forecast(points(score, score, score, n=20), 800)
        assert 0 <= found.low <= found.likely <= found.high <= 1


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    generator, held = np.random.default_rng(3), 0
    sizes, n = (100, 200, 400), 200
    law = [1 - 1.5 * rows**-0.35 for rows in sizes]
    true = 1 - 1.5 * 800**-0.35
    for _ in range(150):
        seen = [generator.binomial(n, score) / n for score in law]
        found = forecast([Point(r, s, n) for r, s in zip(sizes, seen, strict=True)], 800)
        held += found.low <= true <= found.high
    assert held >= 0.9 * 150


@pytest.mark.parametrize("sizes", [[100], [100, 100]], ids=["one", "one size"])
def test_one_size_is_no_curve(sizes: list[int]) -> None:
    with pytest.raises(ValueError, match="two sizes"):
        forecast([Point(size, 0.5, 10) for size in sizes], 200)
