"""Means over seeds with their spread, and tests of differences from the baseline. Free of torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

CONFIDENCE = 0.95
LEVEL = 0.05
"""The probability that any verdict of a study is wrong if there are no differences: the family-wise error rate."""

Verdict = Literal["better", "worse", "no difference shown"]


@dataclass(frozen=True)
class Summary:
    """The mean and spread of a sample.

    Attributes:
        n: the number of values.
        mean: NaN if there are none.
        deviation: the standard deviation, with n - 1; like `low` and `high`, NaN if there are fewer than two values.
        low: the lower end of the mean's 95% t-interval.
        high: its upper end.
    """

    n: int
    mean: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """The difference of a variant from the baseline, for the seeds that both have.

    Attributes:
        n: the number of these seeds.
        difference: the mean over seeds of variant minus baseline.
        low: the lower end of its 95% t-interval; like `high` and `p`, NaN if there are fewer than two seeds.
        high: its upper end.
        p: the p-value of the two-sided paired t-test.
    """

    n: int
    difference: float
    low: float
    high: float
    p: float


def summarize(values: Sequence[float]) -> Summary:
    """Compute the mean of some values, their standard deviation and the mean's t-interval (Student 1908)."""
    n = len(values)
    mean = float(np.mean(values)) if n else math.nan
    if n < 2:
        return Summary(n, mean, math.nan, math.nan, math.nan)
    from scipy.special import stdtrit  # takes as long to import as a short run

    deviation = float(np.std(values, ddof=1))
    half = deviation / math.sqrt(n) * float(stdtrit(n - 1, (1 + CONFIDENCE) / 2))
    return Summary(n, mean, deviation, mean - half, mean + half)


def compare(variant: dict[int, float], baseline: dict[int, float]) -> Comparison:
    """Compare a variant with the baseline, seed by seed; seeds that one of them lacks are ignored.

    Args:
        variant: its value for each seed.
        baseline: its value for each seed.
    """
    seeds = sorted(variant.keys() & baseline.keys())
    differences = [variant[seed] - baseline[seed] for seed in seeds]
    summary = summarize(differences)
    if summary.n < 2:
        p = math.nan
    elif summary.deviation == 0:
        p = 1.0 if summary.mean == 0 else 0.0
    else:
        from scipy.special import stdtr

        t = summary.mean / (summary.deviation / math.sqrt(summary.n))
        p = float(2 * stdtr(summary.n - 1, -abs(t)))
    return Comparison(summary.n, summary.mean, summary.low, summary.high, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of several tests for multiple comparisons (Holm 1979).

    NaN, for a test that was not possible, stays NaN and is not counted.
    """
    ascending = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(ascending):
        largest = max(largest, min(1.0, (len(ascending) - rank) * p))
        adjusted[place] = largest
    return adjusted


def verdict(difference: float, adjusted_p: float) -> Verdict:
    """Judge a difference of a quantity of which more is better."""
    if math.isnan(adjusted_p) or adjusted_p >= LEVEL:
        return "no difference shown"
    return "better" if difference > 0 else "worse"
