"""Every figure is scipy's, or a textbook's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mnist_mlp.statistics import compare, holm, summarize, verdict

VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=12)


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
    comparison = compare(dict(enumerate(laevo)), dict(enumerate(dextro)))
    assert comparison.n == 10
    assert comparison.difference == pytest.approx(1.58)
    assert (comparison.low, comparison.high) == pytest.approx((0.7001, 2.4599), abs=1e-4)
    assert comparison.p == pytest.approx(0.002833, abs=1e-6)


@given(st.dictionaries(st.integers(0, 20), st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2))
def test_the_comparison_is_scipys_paired_t_test(pairs: dict[int, tuple[float, float]]) -> None:
    variant, baseline = ({seed: pair[i] for seed, pair in pairs.items()} for i in (0, 1))
    differences = [a - b for a, b in pairs.values()]
    if np.std(differences) > 1e-9:
        comparison = compare(variant, baseline)
        assert comparison.p == pytest.approx(stats.ttest_rel(*zip(*pairs.values(), strict=True)).pvalue, rel=1e-6)


def test_only_seeds_that_both_have_are_compared() -> None:
    comparison = compare({0: 0.9, 1: 0.8, 5: 0.1}, {0: 0.7, 1: 0.7, 9: 0.99})
    assert comparison.n == 2
    assert comparison.difference == pytest.approx(0.15)


def test_one_seed_shows_nothing() -> None:
    comparison = compare({3: 0.9}, {3: 0.1})
    assert comparison.difference == pytest.approx(0.8)
    assert math.isnan(comparison.p)
    assert verdict(comparison.difference, comparison.p) == "no difference shown"
    assert math.isnan(summarize([]).mean)
    assert math.isnan(summarize([0.5]).low)


def test_runs_that_are_equal_show_no_difference() -> None:
    assert compare({0: 0.5, 1: 0.6}, {0: 0.5, 1: 0.6}).p == 1


def test_holms_own_example() -> None:
    # Four tests: 0.01 and 0.005 times 3 and 4, 0.03 and 0.04 held up by the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, math.nan, 0.5])[0] == 1
    assert math.isnan(holm([0.9, math.nan])[1])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_an_adjusted_p_value_is_no_less_and_keeps_its_rank(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= higher <= 1 for p, higher in zip(p_values, adjusted, strict=True))
    by_p = [adjusted[place] for place in np.argsort(p_values, kind="stable")]
    assert by_p == sorted(by_p)


@pytest.mark.parametrize(
    ("difference", "p", "said"),
    [(0.01, 0.04, "better"), (-0.01, 0.04, "worse"), (0.01, 0.05, "no difference shown")],
)
def test_a_verdict_follows_from_the_difference_and_its_p_value(difference: float, p: float, said: str) -> None:
    assert verdict(difference, p) == said
