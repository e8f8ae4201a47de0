"""What comes close by chance: the fit, maxima over rows that were not compared, and the choice of rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.vectors.background import Background, chance_maxima, fit_background, spread_rows

MAXIMA = st.lists(st.floats(-1, 1).map(lambda x: round(x, 4)), min_size=1, max_size=60).map(np.array)
RATIOS = st.floats(0.01, 0.99)


@given(MAXIMA, RATIOS, RATIOS)
def test_a_larger_share_below_is_a_higher_cosine(maxima, one, other):
    background = fit_background(maxima)
    low, high = background.quantile(min(one, other)), background.quantile(max(one, other))
    assert -1 <= background.quantile(0.001) <= background.quantile(0.999) <= 1
    assert -1 <= low <= high <= 1


@given(st.floats(-0.2, 0.6), st.floats(0.01, 0.1), RATIOS)
def test_a_quantile_has_the_share_of_a_gumbel_distribution_below_it(location, scale, ratio):
    cosine = Background(location, scale).quantile(ratio)
    below = np.exp(-np.exp(-(cosine - location) / scale))
    assert below == pytest.approx(ratio, abs=1e-9) or abs(cosine) == 1


@given(MAXIMA, st.randoms(use_true_random=False))
def test_the_order_of_the_probes_does_not_count(maxima, chance):
    shuffled = maxima.tolist()
    chance.shuffle(shuffled)
    assert fit_background(np.array(shuffled)) == fit_background(maxima)


@given(MAXIMA)
def test_the_fit_goes_through_the_quartiles(maxima):
    background = fit_background(maxima)
    median = background.location - background.scale * math.log(math.log(2))
    assert median == pytest.approx(np.median(maxima), abs=1e-9)
    spread = math.log(math.log(4) / math.log(4 / 3))
    width = np.quantile(maxima, 0.75) - np.quantile(maxima, 0.25)
    assert background.scale == pytest.approx(width / spread, abs=1e-9)


@given(MAXIMA, st.data())
def test_how_close_the_closest_quarter_comes_does_not_count(maxima, data):
    ascending = np.sort(maxima)
    first = math.ceil(0.75 * (len(ascending) - 1)) + 1
    closer = ascending.copy()
    closer[first:] = data.draw(st.floats(float(ascending[-1]), 1.0))
    assert fit_background(closer) == fit_background(maxima)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(0.1, 0.4), st.floats(0.02, 0.07))
def test_two_in_a_hundred_that_are_answered_move_the_bound_little(seed, location, scale):
    maxima = np.random.default_rng(seed).gumbel(location, scale, 100)
    answered = maxima.copy()
    answered[:2] = 0.99
    moved = fit_background(answered).quantile(0.95) - fit_background(maxima).quantile(0.95)
    assert abs(moved) < 0.75 * scale


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(0.1, 0.4), st.floats(0.02, 0.05), st.sampled_from([0.2, 0.05, 0.01]))
def test_as_many_chance_maxima_lie_above_as_said(seed, location, scale, share):
    maxima = np.random.default_rng(seed).gumbel(location, scale, 4000)
    above = np.mean(maxima > fit_background(maxima).quantile(1 - share))
    assert above == pytest.approx(share, rel=0.4)


@given(st.integers(1, 5), st.integers(1, 120), st.integers(0, 1000))
def test_where_all_rows_were_compared_the_maxima_are_exact(probes, count, seed):
    cosines = np.random.default_rng(seed).normal(0, 0.1, (probes, count)).astype(np.float32)
    np.testing.assert_array_equal(chance_maxima(cosines, count), cosines.max(axis=1))
    more, most = chance_maxima(cosines, 2 * count), chance_maxima(cosines, 8 * count)
    assert (cosines.max(axis=1) <= more).all()
    assert (more <= most).all()
    order = np.random.default_rng(seed + 1).permutation(count)
    np.testing.assert_allclose(chance_maxima(cosines[:, order], 8 * count), most, rtol=1e-6)


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_a_tenth_of_the_rows_tells_how_close_all_come(seed):
    cosines = np.random.default_rng(seed).exponential(0.04, (200, 4000)) - 0.1
    guessed = chance_maxima(cosines[:, :400], 4000)
    assert np.median(guessed) == pytest.approx(np.median(cosines.max(axis=1)), abs=0.03)
    # What was compared alone comes less close.
    assert np.median(cosines[:, :400].max(axis=1)) < np.median(guessed) - 0.06


@given(st.sets(st.integers(1, 10**12), min_size=1, max_size=200), st.integers(1, 50))
def test_spread_rows_are_some_of_the_rows_in_order(rows, count):
    ascending = np.array(sorted(rows), dtype=np.int64)
    found = spread_rows(ascending, count)
    assert len(found) == min(count, len(ascending))
    assert (np.diff(found) > 0).all()
    assert set(found.tolist()) <= rows
    np.testing.assert_array_equal(found, spread_rows(ascending.copy(), count))


@pytest.mark.parametrize("period", [2, 3, 10, 128])
def test_spread_rows_are_in_step_with_no_period(period):
    found = spread_rows(np.arange(1, 40_001, dtype=np.int64), 4000)
    counts = np.bincount(found % period, minlength=period)
    assert counts.max() - counts.min() <= 0.3 * 4000 / period + 3
    assert np.diff(found, prepend=0, append=40_001).max() <= 40
    assert len(np.unique(np.diff(found))) > 1


def test_probes_that_all_come_as_close_leave_a_step():
    background = fit_background(np.full(7, 0.25))
    assert background.quantile(0.05) == background.quantile(0.95) == 0.25
