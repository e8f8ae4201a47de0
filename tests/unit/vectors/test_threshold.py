"""The threshold is the one that trying all of them finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.errors import VectorError
from embedcli.vectors.threshold import FOUND_RATIO, PRECISION, choose_threshold, count_above

# Coarse, so that equal cosines and cosines on a threshold are common; and some between two thresholds.
cosines = st.one_of(st.integers(-20, 20).map(lambda n: n / 20), st.floats(-1, 1))


def at(threshold, duplicates, distinct):
    found = sum(score >= threshold for score in duplicates)
    wrong = sum(score >= threshold for score in distinct)
    return found, wrong


def by_trying(duplicates, distinct, precision):
    """Try every multiple of 0.0001, from the top."""
    everything = [n / 10_000 for n in range(10_000, 0, -1)]
    count = len(duplicates)
    low = next((t for t in everything if at(t, duplicates, [])[0] / count >= FOUND_RATIO), 0.0001)
    good = []
    for threshold in everything:
        found, wrong = at(threshold, duplicates, distinct)
        if threshold >= low and found and found / (found + wrong) >= precision:
            good.append(threshold)
    if good:
        return min(good)

    def measure(threshold):
        found, wrong = at(threshold, duplicates, distinct)
        if not found:
            return 0.0
        right, recall = found / (found + wrong), found / count
        return 1.25 * right * recall / (0.25 * right + recall)

    best = max(map(measure, everything))
    return next(t for t in everything if measure(t) >= best - 1e-12)


@settings(max_examples=40)
@given(
    st.lists(cosines, min_size=1, max_size=30),
    st.lists(cosines, max_size=30),
    st.sampled_from([0.5, 0.8, PRECISION]),
)
def test_the_rule_chooses_what_trying_all_thresholds_does(duplicates, distinct, precision):
    chosen = choose_threshold(np.array(duplicates), np.array(distinct), precision)
    assert chosen.value == by_trying(duplicates, distinct, precision)
    found, wrong = at(chosen.value, duplicates, distinct)
    assert chosen.recall == found / len(duplicates)
    assert chosen.precision == (found / (found + wrong) if found + wrong else 1.0)


def test_between_two_clear_groups_it_stands_at_the_lower_end_of_the_duplicates():
    duplicates, distinct = np.linspace(0.9, 1.0, 101), np.linspace(0.1, 0.5, 101)
    chosen = choose_threshold(duplicates, distinct)
    assert chosen == (0.905, 1.0, 96 / 101)


def test_it_is_never_below_the_lowest_allowed():
    duplicates, distinct = np.linspace(0.9, 1.0, 101), np.linspace(0.1, 0.5, 101)
    assert choose_threshold(duplicates, distinct, at_least=0.9).value == 0.905
    assert choose_threshold(duplicates, distinct, at_least=0.93) == (0.93, 1.0, 71 / 101)
    assert choose_threshold(duplicates, distinct + 0.5, at_least=0.9).value >= 0.9


def test_where_precision_cannot_be_had_it_weighs_twice():
    duplicates, distinct = [0.9] * 4 + [0.5] * 6, [0.95] + [0.6] * 10
    # At 0.9 F1 is 0.53, at 0.5 it is 0.65; the measure that weighs precision twice has 0.67 and 0.53.
    assert choose_threshold(np.array(duplicates), np.array(distinct)) == (0.9, 0.8, 0.4)


def test_where_they_overlap_precision_comes_first():
    duplicates, distinct = np.linspace(0.5, 1.0, 1001), np.linspace(0.1, 0.8, 1001)
    chosen = choose_threshold(duplicates, distinct)
    assert 0.79 < chosen.value < 0.8
    assert PRECISION <= chosen.precision < PRECISION + 0.001
    assert chosen.recall < FOUND_RATIO


@given(st.lists(cosines, max_size=20), st.lists(cosines, max_size=5))
def test_counts_are_inclusive(scores, thresholds):
    counted = count_above(np.array(scores), np.array(thresholds))
    assert counted.tolist() == [sum(score >= t for score in scores) for t in thresholds]


@pytest.mark.parametrize(("duplicates", "distinct"), [([], [0.5]), ([np.nan], []), ([0.5], [np.inf])])
def test_no_duplicates_and_cosines_that_are_none_are_refused(duplicates, distinct):
    with pytest.raises(VectorError):
        choose_threshold(np.array(duplicates), np.array(distinct))
