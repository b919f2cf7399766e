"""Means over replicates with their spread, and tests of differences from the baseline. Free of torch.

scipy is imported where it is needed, as its import takes as long as a short run.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

CONFIDENCE = 0.95
LEVEL = 0.05
"""The probability that any verdict of a kind in a family of comparisons is wrong: the family-wise error rate."""
POWER = 0.8
"""The probability with which a difference is to be found."""
MARGIN = 0.002
"""Within it, as a fraction, two accuracies count as the same: 0.2 points, about what a seed changes."""
FEWEST = 3
"""Replicates below which nothing is decided."""
FEWEST_OF_SIGNS = 6
"""Replicates below which no sign test has a p-value below 0.05."""
FAILED = 0.5
"""A run with a lower accuracy has learned next to nothing; the lab's others are above 0.85."""
NOT_NORMAL = 0.8
"""Shapiro and Wilk's statistic, 1 for a normal distribution, below which values count as far from normal.

It is below 0.3 if one of twenty runs escapes from where the others stay; a t-interval is sound well below 1.
"""
CHANCE = 0.001
"""The p-value below which the statistic is not taken to be chance."""
MOST = 100_000
"""Replicates up to which the number that is needed is sought."""

Verdict = Literal["better", "worse", "the same", "undecided", "too few"]


@dataclass(frozen=True)
class Summary:
    """The mean and spread of a sample.

    Attributes:
        n: the number of values.
        mean: NaN if there are none.
        deviation: the standard deviation, with n - 1; like `low` and `high`, NaN if there are fewer than two values.
        low: the lower end of the mean's 95% t-interval; of `summarize_accuracies`, NaN if a run failed, like `high`.
        high: its upper end.
    """

    n: int
    mean: float
    deviation: float
    low: float
    high: float


def summarize(values: Sequence[float]) -> Summary:
    """Compute the mean of some values, their standard deviation and the mean's t-interval (Student 1908)."""
    n = len(values)
    mean = float(np.mean(values)) if n else math.nan
    if n < 2:
        return Summary(n, mean, math.nan, math.nan, math.nan)
    from scipy.special import stdtrit

    deviation = float(np.std(values, ddof=1))
    half = deviation / math.sqrt(n) * float(stdtrit(n - 1, (1 + CONFIDENCE) / 2))
    return Summary(n, mean, deviation, mean - half, mean + half)


def failed(accuracies: Sequence[float]) -> int:
    """Count the runs that have learned next to nothing."""
    return sum(accuracy < FAILED for accuracy in accuracies)


def summarize_accuracies(accuracies: Sequence[float]) -> Summary:
    """As `summarize`, but without an interval if a run failed: accuracies are then far from normal."""
    summary = summarize(accuracies)
    return replace(summary, low=math.nan, high=math.nan) if failed(accuracies) else summary


def interval_of_accuracies(accuracies: Sequence[float]) -> tuple[float, float]:
    """Return the 95% t-interval of the mean, or the interval of the median if a run failed; NaN if there is none."""
    if failed(accuracies):
        return Ranked(tuple(sorted(accuracies))).interval()
    summary = summarize(accuracies)
    return summary.low, summary.high


@dataclass(frozen=True)
class Normal:
    """A difference of means, by its t-distribution.

    Attributes:
        n: the number of replicates; of two independent samples, the smaller.
        difference: of the means.
        deviation: the standard deviation of the differences, or what it would be for the same error with n pairs.
        freedom: the degrees of freedom.
    """

    n: int
    difference: float
    deviation: float
    freedom: float

    @property
    def error(self) -> float:
        """The standard error of the difference."""
        return self.deviation / math.sqrt(self.n)

    @property
    def mirrored(self) -> "Normal":
        """The baseline's difference from the variant."""
        return replace(self, difference=-self.difference)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the t-interval that misses the true difference with the probability `level`."""
        if self.n < 2:
            return math.nan, math.nan
        from scipy.special import stdtrit

        half = self.error * float(stdtrit(self.freedom, 1 - level / 2))
        return self.difference - half, self.difference + half

    def below(self, bound: float) -> float:
        """Return the p-value of a one-sided t-test, which is small if the true difference is below a bound."""
        if self.error == 0:
            return 0.5 if self.difference == bound else float(self.difference > bound)
        from scipy.special import stdtr

        return float(stdtr(self.freedom, (self.difference - bound) / self.error))


@dataclass(frozen=True)
class Ranked:
    """The median of paired differences that are far from normal, by the sign test and the order of the differences.

    Attributes:
        values: the differences, in ascending order.
    """

    values: tuple[float, ...]

    @property
    def n(self) -> int:
        """The number of replicates."""
        return len(self.values)

    @property
    def difference(self) -> float:
        """The median; NaN if there are no values."""
        return float(np.median(self.values)) if self.values else math.nan

    @property
    def mirrored(self) -> "Ranked":
        """The baseline's differences from the variant."""
        return Ranked(tuple(-value for value in reversed(self.values)))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the exact interval of the median between two differences (Thompson 1936); infinite if n is too small.

        It misses the true median with a probability of at most `level`.
        """
        from scipy.special import bdtr

        outside = next((k for k in range(self.n // 2, 0, -1) if 2 * bdtr(k - 1, self.n, 0.5) <= level), 0)
        return (self.values[outside - 1], self.values[-outside]) if outside else (-math.inf, math.inf)

    def below(self, bound: float) -> float:
        """Return the p-value of a one-sided sign test, which is small if the true median is below a bound."""
        from scipy.special import bdtr

        others = [value for value in self.values if value != bound]
        return float(bdtr(sum(value > bound for value in others), len(others), 0.5)) if others else 0.5


@dataclass(frozen=True)
class Comparison:
    """The difference of a variant from the baseline.

    Attributes:
        by: how it is tested.
        together: over replicates and test images together; None if the images' results are not known.
    """

    by: Normal | Ranked
    together: Normal | None = None

    @property
    def n(self) -> int:
        """The number of replicates."""
        return self.by.n

    @property
    def difference(self) -> float:
        """The mean difference, or the median where the differences are far from normal; NaN if there are none."""
        return self.by.difference

    @cached_property
    def p(self) -> float:
        """The two-sided p-value of no difference; NaN if there are too few replicates."""
        if self.n < FEWEST:
            return math.nan
        return min(1.0, 2 * min(self.by.below(0), self.by.mirrored.below(0)))

    def p_same(self, margin: float) -> float:
        """Return the p-value of a difference of the margin or more, by two one-sided tests (Schuirmann 1987)."""
        if self.n < FEWEST:
            return math.nan
        return max(self.by.below(margin), self.by.mirrored.below(margin))

    def detectable(self, level: float) -> float:
        """Return the smallest true difference that is found with a probability of 80% at a level; NaN if unknown.

        Its noncentrality is that at which the noncentral t-distribution has 20% below the critical value.
        """
        if isinstance(self.by, Ranked) or self.n < FEWEST:
            return math.nan
        from scipy.special import nctdtrinc, stdtrit

        return self.by.error * float(nctdtrinc(self.by.freedom, 1 - POWER, stdtrit(self.by.freedom, 1 - level / 2)))

    def needed_for(self, half: float, level: float) -> int | None:
        """Return the replicates whose interval reaches no further than `half` to either side; None as in `needed`."""
        if isinstance(self.by, Ranked) or self.n < FEWEST:
            return None
        from scipy.special import stdtrit

        deviation = self.by.deviation
        return _fewest(self.n, lambda n: bool(stdtrit(n - 1, 1 - level / 2) * deviation <= half * math.sqrt(n)))

    def needed(self, level: float, margin: float) -> int | None:
        """Return the replicates with which a verdict is reached with a probability of 80%, if the estimates are true.

        None if that cannot be said, or there are more than `MOST`. By signs, as many as decide if all are the same.
        """
        if isinstance(self.by, Ranked):
            signs = {math.copysign(1, value) for value in self.by.values}
            return math.ceil(math.log2(2 / level)) if len(signs) == 1 else None  # as many of one sign decide
        if self.n < FEWEST:
            return None
        size, deviation = abs(self.difference), self.by.deviation
        return _fewest(self.n, lambda n: _decides(n, size, deviation, level, margin))


def _fewest(low: int, enough: Callable[[int], bool]) -> int | None:
    high = MOST
    if not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def _decides(n: int, size: float, deviation: float, level: float, margin: float) -> bool:
    from scipy.special import stdtrit

    error = deviation / math.sqrt(n)
    different = stdtrit(n - 1, 1 - level / 2) + stdtrit(n - 1, POWER)
    same = stdtrit(n - 1, 1 - level) + stdtrit(n - 1, (1 + POWER) / 2)  # as it may miss either bound
    return bool(different * error <= size or same * error <= margin - size)


def compare(
    variant: Mapping[int, float],
    baseline: Mapping[int, float],
    paired: bool = True,
    normal: bool = True,
    right: tuple[Mapping[int, Any], Mapping[int, Any]] | None = None,
) -> Comparison:
    """Compare a variant with the baseline.

    Args:
        variant: its accuracy in each replicate, or another quantity.
        baseline: that of the baseline.
        paired: replicate by replicate, which brings something where a replicate has one split of the images for both;
            replicates that one of them lacks are then ignored. Otherwise as two independent samples (Welch 1947).
        normal: False if differences are known to be far from normal, as of runs of which some fail by chance, although
            `far_from_normal` does not see it. A sign test then decides, for independent samples as well, whose values
            may be paired in any order: here in that of their seeds.
        right: which test images each replicate of the variant and of the baseline has classified correctly.
    """
    if not paired:
        samples = ([each[seed] for seed in sorted(each)] for each in (variant, baseline))
        if normal:
            return Comparison(_welch(*samples))
        return Comparison(Ranked(tuple(sorted(one - other for one, other in zip(*samples, strict=False)))))
    shared = sorted(variant.keys() & baseline.keys())
    differences = [variant[seed] - baseline[seed] for seed in shared]
    if not normal or far_from_normal(differences):
        return Comparison(Ranked(tuple(sorted(differences))))
    summary = summarize(differences)
    together = None
    if right is not None and len(shared) > 1 and all(seed in each for each in right for seed in shared):
        own, theirs = (np.array([each[seed] for seed in shared], dtype=np.int8) for each in right)
        together = crossed(own - theirs)
    return Comparison(Normal(summary.n, summary.mean, summary.deviation, summary.n - 1), together)


def far_from_normal(values: Sequence[float]) -> bool:
    """Whether values cannot be taken to be normally distributed (Shapiro and Wilk 1965)."""
    if len(values) < FEWEST_OF_SIGNS or max(values) == min(values):
        return False
    from scipy.stats import shapiro

    found = shapiro(values)
    return bool(found.statistic < NOT_NORMAL and found.pvalue < CHANCE)


def _welch(variant: list[float], baseline: list[float]) -> Normal:
    one, other = summarize(variant), summarize(baseline)
    difference, n = one.mean - other.mean, min(one.n, other.n)
    if n < 2:
        return Normal(n, difference, math.nan, math.nan)
    parts = [each.deviation**2 / each.n for each in (one, other)]
    error = math.sqrt(sum(parts))
    below = sum(part**2 / (each.n - 1) for part, each in zip(parts, (one, other), strict=True))
    return Normal(n, difference, error * math.sqrt(n), error**4 / below if below else n - 1)


def crossed(differences: np.ndarray[Any, Any]) -> Normal:
    """Estimate a mean over replicates and test images, both of which are samples of more.

    The variance of the mean has a part of the replicates, one of the images, and one of both together; the two-way
    analysis of variance gives an unbiased estimate of it (Searle et al. 1992, chapter 4), and Satterthwaite's formula
    (1946) its degrees of freedom. A bootstrap that resamples replicates and images counts the last part three times
    (Owen 2007), and is therefore too wide.

    Args:
        differences: replicates × images, of right (1) or wrong (0) answers: -1, 0 or 1.
    """
    replicates, images = differences.shape
    cells = replicates * images
    mean = float(differences.mean())
    of_replicates = images * float(np.square(differences.mean(axis=1) - mean).sum())
    of_images = replicates * float(np.square(differences.mean(axis=0) - mean).sum())
    rest = np.count_nonzero(differences) - cells * mean**2 - of_replicates - of_images
    free = replicates - 1, images - 1, (replicates - 1) * (images - 1)
    squares = [total / each for total, each in zip((of_replicates, of_images, rest), free, strict=True)]
    variance = (squares[0] + max(0.0, squares[1] - squares[2])) / cells
    used = (0, 1, 2) if squares[1] > squares[2] else (0,)
    below = sum((squares[each] / cells) ** 2 / free[each] for each in used)
    freedom = variance**2 / below if below else float(free[0])
    return Normal(replicates, mean, math.sqrt(variance * replicates), freedom)


@dataclass(frozen=True)
class Adjusted:
    """A p-value that is adjusted for multiple comparisons.

    Attributes:
        p: to be compared with `LEVEL`.
        level: what the p-value itself is compared with; an interval that misses with this probability says the same.
    """

    p: float
    level: float


def holm(p_values: Sequence[float]) -> list[Adjusted]:
    """Adjust the p-values of several tests for multiple comparisons (Holm 1979).

    NaN, for a test that was not possible, stays NaN and is not counted.
    """
    ascending = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [Adjusted(math.nan, LEVEL)] * len(p_values)
    largest, level = 0.0, 0.0
    for rank, (p, place) in enumerate(ascending):
        tests = len(ascending) - rank
        level = LEVEL / tests if largest < LEVEL else level
        largest = max(largest, min(1.0, tests * p))
        adjusted[place] = Adjusted(largest, level)
    return adjusted


@dataclass(frozen=True)
class Judgement:
    """What a comparison says, in a family of comparisons.

    Attributes:
        verdict: on a quantity of which more is better.
        p: the adjusted p-value that decides: of no difference, or for "the same", of one of the margin or more.
        level: the interval that belongs to the verdict misses the true difference with this probability.
        low: its lower end.
        high: its upper end.
        detectable: the smallest difference that the family's tests would have found with a probability of 80%.
        needed: the replicates with which an undecided comparison would probably be decided; None if unknown.
    """

    verdict: Verdict
    p: float
    level: float
    low: float
    high: float
    detectable: float
    needed: int | None = None


def judge(comparisons: Sequence[Comparison], margin: float = MARGIN) -> list[Judgement]:
    """Judge the comparisons of a family: each is better, worse, the same within a margin, or undecided.

    Verdicts of a difference and verdicts of sameness are adjusted by Holm's method each, so that with a probability of
    95% none of a kind is wrong. The interval of a difference is two-sided at its adjusted level; that of "the same" is
    the one of two one-sided tests, and lies within the margin.
    """
    different = holm([each.p for each in comparisons])
    same = holm([each.p_same(margin) for each in comparisons])
    return [_judgement(*each, margin) for each in zip(comparisons, different, same, strict=True)]


def _judgement(comparison: Comparison, different: Adjusted, same: Adjusted, margin: float) -> Judgement:
    verdict: Verdict = "undecided"
    p, level, detectable = different.p, different.level, comparison.detectable(different.level)
    if math.isnan(p):
        verdict = "too few"
    elif p < LEVEL:
        verdict = "better" if comparison.difference > 0 else "worse"
    elif same.p < LEVEL:
        verdict, p, level = "the same", same.p, 2 * same.level
    needed = comparison.needed(level, margin) if verdict == "undecided" else None
    return Judgement(verdict, p, level, *comparison.by.interval(level), detectable, needed)
