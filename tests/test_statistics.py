"""Every figure is scipy's, a textbook's, or that of a simulation."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from mnist_mlp.statistics import (
    Comparison,
    Normal,
    Ranked,
    compare,
    crossed,
    failed,
    far_from_normal,
    holm,
    judge,
    summarize,
)

VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=12)


def by_seed(values: Any) -> dict[int, float]:
    return dict(enumerate(map(float, values)))


def bounds(margin: float) -> list[tuple[float, str]]:
    return [(margin, "less"), (-margin, "greater")]


def normal(n: int, difference: float, deviation: float) -> Comparison:
    return Comparison(Normal(n, difference, deviation, n - 1))


@given(VALUES)
def test_mean_deviation_and_interval_are_scipys(values: list[float]) -> None:
    summary = summarize(values)
    assert summary.n == len(values)
    assert summary.mean == pytest.approx(np.mean(values))
    if np.ptp(values) > 1e-6:
        assert summary.deviation == pytest.approx(stats.tstd(values))
        interval = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        assert (summary.low, summary.high) == pytest.approx(interval)


def test_the_textbooks_sleep_data() -> None:
    # Student 1908, table 1: hours of sleep gained with two drugs; t = 4.06, p = 0.0028, mean difference 1.58.
    dextro = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    laevo = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    comparison = compare(by_seed(laevo), by_seed(dextro))
    assert comparison.n == 10
    assert comparison.difference == pytest.approx(1.58)
    assert comparison.by.interval() == pytest.approx((0.7001, 2.4599), abs=1e-4)
    assert comparison.p == pytest.approx(0.002833, abs=1e-6)


@given(st.dictionaries(st.integers(0, 20), st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3))
def test_the_comparison_is_scipys_paired_t_test(pairs: dict[int, tuple[float, float]]) -> None:
    differences = [a - b for a, b in pairs.values()]
    assume(np.std(differences) > 1e-9 and not far_from_normal(differences))
    variant, baseline = ({seed: pair[i] for seed, pair in pairs.items()} for i in (0, 1))
    expected = stats.ttest_rel(*zip(*pairs.values(), strict=True)).pvalue
    assert compare(variant, baseline).p == pytest.approx(expected, rel=1e-6, abs=1e-15)


@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=9),
    st.lists(st.floats(0, 1), min_size=3, max_size=9),
    st.floats(0.01, 0.5),
)
def test_without_pairs_it_is_scipys_test_of_welch(one: list[float], other: list[float], level: float) -> None:
    assume(np.std(one) > 1e-6 and np.std(other) > 1e-6)
    comparison = compare(by_seed(one), by_seed(other), paired=False)
    expected = stats.ttest_ind(one, other, equal_var=False)
    assert comparison.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-15)
    assert comparison.by.interval(level) == pytest.approx(tuple(expected.confidence_interval(1 - level)))


@given(st.integers(3, 60), st.floats(-0.01, 0.01), st.floats(1e-4, 0.01), st.floats(1e-3, 0.01))
def test_the_p_value_of_sameness_is_that_of_two_one_sided_t_tests(
    n: int, difference: float, deviation: float, margin: float
) -> None:
    sample = np.random.default_rng(n).normal(size=n)
    sample = difference + deviation * (sample - sample.mean()) / sample.std(ddof=1)
    tests = [stats.ttest_1samp(sample, bound, alternative=side).pvalue for bound, side in bounds(margin)]
    assert normal(n, difference, deviation).p_same(margin) == pytest.approx(max(tests), rel=1e-5, abs=1e-12)


@given(st.lists(st.integers(-5, 5), min_size=3, max_size=40))
def test_differences_that_are_not_normal_are_ranked_as_scipys_sign_test_does(values: list[int]) -> None:
    comparison = Comparison(Ranked(tuple(sorted(map(float, values)))))
    others = [value for value in values if value]
    expected = stats.binomtest(sum(value > 0 for value in others), len(others)).pvalue if others else 1.0
    assert comparison.p == pytest.approx(expected)


@pytest.mark.parametrize("n", [5, 6, 10, 20, 40])
def test_the_interval_of_a_median_is_that_of_scipys_quantile_test(n: int) -> None:
    values = sorted(np.random.default_rng(n).standard_cauchy(n))
    low, high = Ranked(tuple(values)).interval(0.05)
    ends = stats.quantile_test(values, q=0, p=0.5).confidence_interval(0.95)
    assert (low, high) == pytest.approx((ends.low, ends.high)) if n > 5 else (low, high) == (-math.inf, math.inf)


def test_runs_that_fail_by_chance_are_told_by_their_median() -> None:
    # Nineteen of twenty runs stay at 10%; as much as the one that escapes may be any of those that were not seen.
    variant = by_seed([0.1] * 19 + [0.32])
    comparison = compare(variant, by_seed(np.linspace(0.974, 0.978, 20)))
    assert isinstance(comparison.by, Ranked)
    assert failed(list(variant.values())) == 20
    assert comparison.difference == pytest.approx(-0.876, abs=1e-3)
    few = compare(by_seed([0.1, 0.11, 0.12]), by_seed([0.9, 0.91, 0.93]), normal=False)
    assert (few.p, few.needed(0.05, 0.002)) == (0.25, 6)
    assert compare(by_seed([0.1, 0.97, 0.12]), by_seed([0.9, 0.91, 0.93]), normal=False).needed(0.05, 0.002) is None


def test_the_signs_decide_between_independent_samples_that_are_not_normal() -> None:
    variant, baseline = by_seed([0.1, 0.97, 0.12, 0.11, 0.1, 0.11, 0.1]), by_seed(np.linspace(0.974, 0.978, 7))
    assert isinstance(compare(variant, baseline, paired=False).by, Normal)
    assert compare(variant, baseline, paired=False, normal=False) == compare(variant, baseline, normal=False)
    other_seeds = {seed + 100: value for seed, value in baseline.items()}
    assert compare(variant, other_seeds, paired=False, normal=False).n == 7


def test_only_seeds_that_both_have_are_compared() -> None:
    comparison = compare({0: 0.9, 1: 0.8, 5: 0.1}, {0: 0.7, 1: 0.7, 9: 0.99})
    assert comparison.n == 2
    assert comparison.difference == pytest.approx(0.15)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_replicates_decide_nothing(n: int) -> None:
    comparison = compare(by_seed([0.9, 0.901][:n]), by_seed([0.1, 0.1][:n]))
    (judgement,) = judge([comparison])
    assert judgement.verdict == "too few"
    assert math.isnan(comparison.p)
    assert math.isnan(comparison.p_same(0.002))
    assert math.isnan(summarize([]).mean)
    assert math.isnan(summarize([0.5]).low)


def test_runs_that_are_equal_are_the_same() -> None:
    comparison = compare(by_seed([0.5, 0.6, 0.7]), by_seed([0.5, 0.6, 0.7]))
    assert comparison.p == 1
    assert judge([comparison])[0].verdict == "the same"


def test_holms_own_example() -> None:
    # Four tests: 0.01 and 0.005 times 3 and 4, 0.03 and 0.04 held up by the one before.
    adjusted = holm([0.01, 0.04, 0.03, 0.005])
    assert [each.p for each in adjusted] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [each.level for each in adjusted] == pytest.approx([0.05 / 3, 0.05 / 2, 0.05 / 2, 0.05 / 4])
    assert holm([0.9, math.nan, 0.5])[0].p == 1
    assert math.isnan(holm([0.9, math.nan])[1].p)
    assert holm([]) == []


P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=10)


@given(P_VALUES)
def test_an_adjusted_p_value_is_no_less_and_keeps_its_rank(p_values: list[float]) -> None:
    adjusted = [each.p for each in holm(p_values)]
    assert all(p <= higher <= 1 for p, higher in zip(p_values, adjusted, strict=True))
    by_p = [adjusted[place] for place in np.argsort(p_values, kind="stable")]
    assert by_p == sorted(by_p)


@given(P_VALUES)
def test_an_adjusted_p_value_and_its_level_say_the_same(p_values: list[float]) -> None:
    for p, adjusted in zip(p_values, holm(p_values), strict=True):
        if abs(adjusted.p - 0.05) > 1e-9:
            assert (adjusted.p < 0.05) == (p < adjusted.level)


FAMILIES = st.lists(
    st.tuples(st.integers(3, 60), st.floats(-0.01, 0.01), st.floats(1e-4, 0.01)), min_size=1, max_size=8
)


@given(FAMILIES, st.floats(1e-3, 0.01))
def test_the_interval_beside_a_verdict_says_what_the_verdict_says(
    family: list[tuple[int, float, float]], margin: float
) -> None:
    comparisons = [normal(*each) for each in family]
    for comparison, judgement in zip(comparisons, judge(comparisons, margin), strict=True):
        low, high = judgement.low, judgement.high
        assert low <= comparison.difference <= high
        if judgement.verdict == "better":
            assert low > 0
        elif judgement.verdict == "worse":
            assert high < 0
        elif judgement.verdict == "the same":
            assert -margin < low <= high < margin
        else:
            assert low <= 0 <= high
            assert judgement.needed is None or judgement.needed > 3


def test_of_differences_that_are_none_at_most_one_family_in_twenty_has_a_verdict_of_one() -> None:
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        families = [compare(by_seed(random.normal(size=8)), by_seed(random.normal(size=8))) for _ in range(10)]
        wrong += any(each.verdict in ("better", "worse") for each in judge(families, margin=0.01))
    assert wrong / 400 < 0.08  # 0.05 and three standard errors


def test_the_detectable_difference_and_the_number_needed_are_those_of_a_power_of_80_percent() -> None:
    # Cohen 1988: a paired t-test with an effect size of 0.5 has a power of 80% at the level 0.05 with 34 pairs.
    assert normal(34, 0.5, 1.0).detectable(0.05) == pytest.approx(0.5, abs=0.01)
    assert normal(5, 0.5, 1.0).needed(0.05, margin=0.01) == pytest.approx(34, abs=1)
    # Chow et al. 2008, for sameness within the margin of 0.5 with no difference: (1.645 + 1.282)² / 0.25 = 34.3.
    assert normal(5, 0.0, 1.0).needed(0.05, margin=0.5) == pytest.approx(35, abs=1)
    assert normal(5, 0.0, 1.0).needed(0.05, margin=1e-6) is None


def answers(random: np.random.Generator, replicates: int, images: int, gain: float) -> Any:
    """Draw differences of right answers: some images are hard for everyone, some replicates are better."""
    hard, luck = random.normal(0, 1.0, images), random.normal(0, 0.05, (2, replicates, 1))
    scores = random.normal(0, 1.0, (2, replicates, images)) + luck + hard + 2.0
    scores[0] += gain * (1 + random.normal(0, 8.0, images))
    right = (scores > 0).astype(np.int8)
    return right[0] - right[1]


@pytest.mark.slow
def test_the_interval_over_replicates_and_images_covers_the_truth_of_new_ones() -> None:
    random = np.random.default_rng(1)
    truth = np.mean([answers(random, 50, 20_000, 0.1).mean() for _ in range(10)])
    covered = {"together": 0, "replicates alone": 0}
    for _ in range(300):
        differences = answers(random, 8, 400, 0.1)
        means = differences.mean(axis=1)
        intervals = {"together": crossed(differences).interval()}
        intervals["replicates alone"] = (summarize(means.tolist()).low, summarize(means.tolist()).high)
        for name, (low, high) in intervals.items():
            covered[name] += low <= truth <= high
    assert 0.92 < covered["together"] / 300 < 0.985
    assert covered["replicates alone"] / 300 < 0.9


def test_the_interval_over_replicates_and_images_is_inside_that_of_a_crossed_bootstrap_and_not_far() -> None:
    # Owen 2007, theorem 4: a bootstrap of both counts the variance of both together three times.
    random = np.random.default_rng(2)
    differences = answers(random, 20, 1_000, 0.1).astype(np.float32)
    replicates = random.multinomial(20, [1 / 20] * 20, 4_000) / 20
    images = random.multinomial(1_000, [1 / 1_000] * 1_000, 4_000) / 1_000
    means = np.einsum("br,ri,bi->b", replicates, differences, images, optimize=True)
    ours = crossed(differences)
    assert 0.65 < ours.error / means.std() < 1.0
    assert ours.error > summarize(differences.mean(axis=1).tolist()).deviation / math.sqrt(20)
