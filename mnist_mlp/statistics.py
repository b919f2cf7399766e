"""What runs say: means with their spread over seeds, and differences from the baseline. Free of torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit

CONFIDENCE = 0.95
LEVEL = 0.05
"""The probability of a verdict where there is no difference, over all verdicts of a study."""

Verdict = Literal["better", "worse", "no difference shown"]


@dataclass(frozen=True)
class Summary:
    """A sample of values: its mean and spread.

    Attributes:
        n: the number of values.
        mean: NaN if there are none.
        deviation: the standard deviation, with n - 1; NaN of fewer than two values, as are `low` and `high`.
        low: the lower end of the 95% t-interval of the mean.
        high: its upper end.
    """

    n: int
    mean: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """How a variant differs from the baseline on the seeds that both have.

    Attributes:
        n: the number of those seeds.
        difference: the mean of variant minus baseline, seed by seed.
        low: the lower end of its 95% t-interval; NaN of fewer than two seeds, as are `high` and `p`.
        high: its upper end.
        p: of the two-sided paired t-test.
    """

    n: int
    difference: float
    low: float
    high: float
    p: float


def summarize(values: Sequence[float]) -> Summary:
    """Give the mean of some values, their standard deviation and the mean's t-interval (Student 1908)."""
    n = len(values)
    mean = float(np.mean(values)) if n else math.nan
    if n < 2:
        return Summary(n, mean, math.nan, math.nan, math.nan)
    deviation = float(np.std(values, ddof=1))
    half = deviation / math.sqrt(n) * float(stdtrit(n - 1, (1 + CONFIDENCE) / 2))
    return Summary(n, mean, deviation, mean - half, mean + half)


def compare(variant: dict[int, float], baseline: dict[int, float]) -> Comparison:
    """Compare by seed; a seed that one of the two lacks is left out.

    Args:
        variant: a value for each seed.
        baseline: the same.
    """
    seeds = sorted(variant.keys() & baseline.keys())
    differences = [variant[seed] - baseline[seed] for seed in seeds]
    summary = summarize(differences)
    if summary.n < 2:
        p = math.nan
    elif summary.deviation == 0:
        p = 1.0 if summary.mean == 0 else 0.0
    else:
        t = summary.mean / (summary.deviation / math.sqrt(summary.n))
        p = float(2 * stdtr(summary.n - 1, -abs(t)))
    return Comparison(summary.n, summary.mean, summary.low, summary.high, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of several tests (Holm 1979), so that all verdicts together err in at most 5% of studies.

    NaN, of a test that could not be made, stays NaN and does not count.
    """
    made = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(made):
        largest = max(largest, min(1.0, (len(made) - rank) * p))
        adjusted[place] = largest
    return adjusted


def verdict(difference: float, adjusted_p: float) -> Verdict:
    """Say what is shown of a quantity of which more is better."""
    if math.isnan(adjusted_p) or adjusted_p >= LEVEL:
        return "no difference shown"
    return "better" if difference > 0 else "worse"
