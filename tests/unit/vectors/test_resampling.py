"""Intervals and paired tests."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedcli.vectors.resampling import (
    RESAMPLES,
    iter_resamples,
    mean_interval,
    percentile_interval,
    permutation_p,
    resampled_means,
    resampled_p,
    resampled_statistic,
)

VALUES = arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1))


@given(VALUES, st.integers(0, 3))
@settings(max_examples=5)
def test_means_are_those_of_the_resamples(values, seed):
    one_by_one = [values[rows].mean() for rows in iter_resamples(len(values), seed)]
    np.testing.assert_allclose(resampled_means(values, seed), one_by_one, atol=1e-12)
    np.testing.assert_allclose(
        resampled_statistic(lambda rows: values[rows].mean(), len(values), seed), one_by_one, atol=1e-12
    )


def test_systems_share_resamples_however_large_the_blocks():
    values = np.random.default_rng(1).random((3, 5000))
    together = resampled_means(values, 7)
    assert together.shape == (3, RESAMPLES)
    np.testing.assert_allclose(together[1], resampled_means(values[1], 7), atol=1e-12)
    assert not np.allclose(together[1], resampled_means(values[1], 8))


def test_interval_of_a_mean_is_scipys():
    from scipy.stats import bootstrap

    values = np.random.default_rng(3).beta(0.4, 2, 80)
    low, high = mean_interval(values, resampled_means(values, 1))
    theirs = bootstrap(
        (values,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(5)
    ).confidence_interval
    spread = theirs.high - theirs.low
    assert low == pytest.approx(theirs.low, abs=0.06 * spread)
    assert high == pytest.approx(theirs.high, abs=0.06 * spread)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.25])
def test_equal_values_leave_no_doubt(value):
    values = np.full(9, value)
    assert mean_interval(values, resampled_means(values, 0)) == pytest.approx((value, value))


def test_resamples_without_a_value_are_left_out():
    assert percentile_interval(np.array([np.nan, 1.0, 1.0, np.nan])) == (1.0, 1.0)
    assert np.isnan(percentile_interval(np.array([np.nan]))).all()


@given(arrays(np.float64, (2, 6), elements=st.integers(0, 4).map(float)))
@settings(max_examples=40)
def test_few_items_are_tested_with_all_swaps(both):
    first, second = both
    apart = first - second
    sums = [
        abs(sum(s * d for s, d in zip(signs, apart, strict=True)))
        for signs in itertools.product((1, -1), repeat=6)
    ]
    expected = np.mean([total >= abs(apart.sum()) - 1e-9 for total in sums])
    assert permutation_p(first, second, 0) == pytest.approx(expected)
    assert permutation_p(second, first, 0) == pytest.approx(expected)


def test_drawn_swaps_agree_with_the_paired_t_test():
    from scipy.stats import ttest_rel

    random = np.random.default_rng(2)
    first = random.normal(0.0, 1, 200)
    second = first + random.normal(0.1, 0.6, 200)
    assert permutation_p(first, second, 0) == pytest.approx(ttest_rel(first, second).pvalue, abs=0.01)
    assert permutation_p(first, first + 1, 0) == pytest.approx(1e-4)
    assert permutation_p(first, first, 0) == 1.0


def test_equal_systems_are_seldom_told_apart():
    random = np.random.default_rng(4)
    found = [
        permutation_p(base + random.normal(0, 0.1, 60), base + random.normal(0, 0.1, 60), seed)
        for seed, base in enumerate(random.random((100, 60)))
    ]
    assert sum(p > 0.05 for p in found) >= 90


def test_resampled_difference():
    random = np.random.default_rng(5)
    one = random.normal(0.5, 0.01, RESAMPLES)
    assert resampled_p(one, one) == 1.0
    assert resampled_p(one, one - 0.1) == pytest.approx(2 / (RESAMPLES + 1))
    assert resampled_p(one, random.normal(0.5, 0.01, RESAMPLES)) > 0.5
    assert resampled_p(np.array([np.nan]), np.array([1.0])) == 1.0
