"""Intervals for one score and for the difference of two, with nothing but the standard library.

Which interval holds where was measured (`docs/log.md`): near a perfect score the textbook ones
(Wald, bootstrap) miss far more often than they say; the score intervals below don't.
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

BISECTIONS = 60  # halves an interval of width 2 down to the resolution of a double


class Interval(NamedTuple):
    """Where the true value lies at the stated confidence; both ends belong to it."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether no difference at all is ruled out."""
        return self.low > 0 or self.high < 0


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The interval of one share, successes of n, in 0–1.

    (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n).

    Raises:
        ValueError: the counts contradict each other, or confidence isn't between 0 and 1.

    Source: Wilson, JASA 22 (1927) 209; recommended by Newcombe, Statist. Med. 17 (1998) 857.
    """
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} successes of {n}")
    z = _z(confidence)
    share = successes / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At the ends the formula gives 0 and 1 exactly; rounding must not leave 1e-17 there.
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == n else (centre + half) / scale
    return Interval(low, high)


def tango(wins: int, losses: int, n: int, confidence: float = 0.95) -> Interval:
    """The interval of a paired difference of shares, candidate − reference, in −1 to 1.

    With b wins (only the candidate right) and c losses (only the reference right) it holds every
    Δ whose score statistic (b − c − nΔ) / √(n(2q + Δ(1−Δ))) is within ±z. q is the share of
    losses that fits best if Δ were true: the larger root of 2n·q² + B·q − cΔ(1−Δ) with
    B = −b − c + (2n − b + c)Δ. The statistic falls as Δ grows, so each end is a bisection.

    Args:
        wins: Pairs where only the candidate is right.
        losses: Pairs where only the reference is right.
        n: All pairs.
        confidence: Between 0 and 1.

    Raises:
        ValueError: the counts contradict each other, or confidence isn't between 0 and 1.

    Source: Tango, Statist. Med. 17 (1998) 891.
    """
    if wins < 0 or losses < 0 or n < 1 or wins + losses > n:
        raise ValueError(f"{wins} wins and {losses} losses of {n} pairs")
    z = _z(confidence)
    difference = (wins - losses) / n

    def statistic(delta: float) -> float:
        return _tango_statistic(wins, losses, n, delta)

    low = _last_true(lambda delta: statistic(delta) >= z, -1.0, difference)
    high = _last_true(lambda delta: statistic(delta) <= -z, 1.0, difference)
    return Interval(low, high)


def _tango_statistic(wins: int, losses: int, n: int, delta: float) -> float:
    linear = -wins - losses + (2 * n - wins + losses) * delta
    product = losses * delta * (1 - delta)
    root = math.sqrt(max(0.0, linear * linear + 8 * n * product))
    # Two forms of the same root: the one without a difference of near equals.
    lost = (root - linear) / (4 * n) if linear <= 0 else 2 * product / (root + linear)
    lost = max(lost, 0.0, -delta)
    variance = n * (2 * lost + delta * (1 - delta))
    distance = wins - losses - n * delta
    if distance == 0:
        return 0.0
    return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)


def paired_t(differences: Sequence[float], confidence: float = 0.95) -> Interval:
    """The interval of the mean of paired differences of scores in 0–1: d̄ ± t·s/√n, cut at ±1.

    For scores that aren't just right or wrong; for those use `tango`. Fewer than two differences
    tell nothing: the answer is the whole range. Where failures are rare and n is below 100 it is
    too narrow (measured: 83–88 % instead of 95).

    Args:
        differences: Candidate − reference, one per example.
        confidence: Between 0 and 1.

    Source: Student, Biometrika 6 (1908) 1.
    """
    return _mean_t(differences, confidence, -1.0)


def mean_t(scores: Sequence[float], confidence: float = 0.95) -> Interval:
    """The interval of the mean of scores in 0–1: x̄ ± t·s/√n, cut at 0 and 1.

    Fewer than two scores tell nothing: the answer is the whole range.
    """
    return _mean_t(scores, confidence, 0.0)


def _mean_t(values: Sequence[float], confidence: float, floor: float) -> Interval:
    n = len(values)
    if n < 2:
        return Interval(floor, 1.0)
    half = t_quantile(n - 1, confidence) * stdev(values) / math.sqrt(n)
    mean = fmean(values)
    return Interval(max(floor, mean - half), min(1.0, mean + half))


def mcnemar_mid_p(wins: int, losses: int) -> float:
    """How surprising this split of the pairs that differ is if the models were equal, 0–1.

    Two-sided, with half the probability of the split itself: the exact test is too shy at the
    numbers of pairs that evaluations have. Where no pair differs it is 1.

    Raises:
        ValueError: a count is negative.

    Source: Fagerland, Lydersen, Laake, BMC Med. Res. Methodol. 13 (2013) 91.
    """
    if wins < 0 or losses < 0:
        raise ValueError(f"{wins} wins and {losses} losses")
    pairs, fewer = wins + losses, min(wins, losses)
    if pairs == 0:
        return 1.0
    ways, below = 1, 0  # C(pairs, i), and their sum for i < fewer; exact integers
    for i in range(fewer):
        below += ways
        ways = ways * (pairs - i) // (i + 1)
    if wins == losses:
        return 1 - ways / (1 << pairs + 1)
    return (2 * below + ways) / (1 << pairs)


def pairs_needed(n: int, interval: Interval, difference: float) -> int | None:
    """About how many pairs would exclude zero if the difference stays what it is.

    n·(half-width / distance)², since a half-width shrinks with √n. None when the difference is
    zero: no number of pairs would do.
    """
    if difference == 0:
        return None
    half = (interval.high - interval.low) / 2
    return max(n, math.ceil(n * (half / difference) ** 2))


def t_quantile(degrees: int, confidence: float) -> float:
    """The t for which Student's distribution holds `confidence` within ±t.

    Args:
        degrees: Degrees of freedom, a whole number from 1.
        confidence: Between 0 and 1.

    Source: bisection on Abramowitz & Stegun 26.7.3 and 26.7.4, closed for whole degrees.
    """
    if degrees < 1:
        raise ValueError(f"{degrees} degrees of freedom")
    low, high = 0.0, max(1.0, _z(confidence))
    while _t_within(high, degrees) < confidence:
        low, high = high, 2 * high
    return _last_true(lambda t: _t_within(t, degrees) <= confidence, low, high)


def _t_within(t: float, degrees: int) -> float:
    """P(|T| ≤ t): a finite sum in θ = atan(t/√ν), over the even or the odd powers of cos θ."""
    theta = math.atan(t / math.sqrt(degrees))
    sine, square = math.sin(theta), math.cos(theta) ** 2
    odd = degrees % 2
    term, total = (math.cos(theta) if odd else 1.0), 0.0
    for power in range(2 + odd, degrees + 1, 2):
        total += term
        term *= square * (power - 1) / power
        if term < 1e-18:
            break
    return 2 / math.pi * (theta + sine * total) if odd else sine * total


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence} isn't between 0 and 1")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _last_true(holds: Callable[[float], bool], start: float, end: float) -> float:
    """Where a condition that is true near `start` turns false on the way to `end`.

    `start` itself when it is false already there.
    """
    if not holds(start):
        return start
    for _ in range(BISECTIONS):
        middle = (start + end) / 2
        if holds(middle):
            start = middle
        else:
            end = middle
    return start
