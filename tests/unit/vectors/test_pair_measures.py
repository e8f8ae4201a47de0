"""Measures of scored pairs, beside scikit-learn's and scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve, roc_auc_score

from embedcli.vectors.pair_measures import (
    Correlation,
    Decisions,
    RankedLabels,
    best_f1_threshold,
    precision_recall,
)

# Few different scores, so that many are equal.
SCORED = st.lists(st.tuples(st.integers(-3, 3).map(lambda x: x / 4), st.booleans()), min_size=2, max_size=30)


def columns(items):
    scores, labels = zip(*items, strict=True)
    return np.array(scores), np.array(labels)


@settings(max_examples=25)
@given(SCORED, st.integers(0, 99))
def test_labels_are_ranked_as_scikit_learn_ranks_them(items, seed):
    scores, labels = columns(items)
    own = RankedLabels(scores, labels)
    chosen = np.random.default_rng(seed).integers(0, len(scores), len(scores))
    for rows in (np.arange(len(scores)), chosen):
        wanted = labels[rows]
        if wanted.any():
            assert own.average_precision(rows) == pytest.approx(average_precision_score(wanted, scores[rows]))
        else:
            assert np.isnan(own.average_precision(rows))
        if wanted.any() and not wanted.all():
            assert own.roc_auc(rows) == pytest.approx(roc_auc_score(wanted, scores[rows]))
        else:
            assert np.isnan(own.roc_auc(rows))


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(-4, 4)), min_size=2, max_size=30), st.integers(0, 99)
)
def test_correlations_are_those_of_scipy(items, seed):
    first, second = columns(items)
    own = Correlation(first, second / 3)
    chosen = np.random.default_rng(seed).integers(0, len(first), len(first))
    for rows in (np.arange(len(first)), chosen):
        one, two = first[rows], second[rows] / 3
        if np.ptp(one) and np.ptp(two):
            assert own.spearman(rows) == pytest.approx(spearmanr(one, two).statistic, abs=1e-12)
            assert own.pearson(rows) == pytest.approx(pearsonr(one, two).statistic, abs=1e-12)
        else:
            assert np.isnan([own.spearman(rows), own.pearson(rows)]).all()


def test_scores_near_the_largest_double_are_correlated_as_their_fractions():
    scores, cosines = np.array([1.0, -1.0, 0.5, 0.25]), np.array([0.9, -0.2, 0.3, 0.4])
    rows = np.arange(4)
    assert Correlation(cosines, scores * 1e308).pearson(rows) == pytest.approx(
        Correlation(cosines, scores).pearson(rows)
    )
    assert (
        str(Correlation(np.array([1.0, 0.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.0, 0.0])).pearson(rows))
        == "0.0"
    )


@settings(max_examples=25)
@given(SCORED)
def test_the_best_threshold_and_the_curve_are_what_all_thresholds_say(items):
    scores, labels = columns(items)
    threshold = best_f1_threshold(scores, labels)
    best = max(f1_score(labels, scores >= each, zero_division=0.0) for each in np.unique(scores))
    rows = np.arange(len(scores))
    own = Decisions(scores >= threshold, labels)
    assert own.f1(rows) == pytest.approx(best) or (np.isnan(own.f1(rows)) and not labels.any())
    assert threshold in scores or ((scores > threshold).any() and (scores < threshold).any())
    curve = precision_recall(scores, labels)
    for place, each in enumerate(curve.thresholds):
        at = Decisions(scores >= each, labels)
        assert curve.precision[place] == pytest.approx(at.precision(rows))
        assert curve.recall[place] == pytest.approx(at.recall(rows) if labels.any() else 0)
        assert curve.given[place] == (scores >= each).sum()
    if labels.any():
        precision, recall, _ = precision_recall_curve(labels, scores)
        assert curve.precision[::-1] == pytest.approx(precision[:-1])
        assert curve.recall[::-1] == pytest.approx(recall[:-1])


def test_where_there_is_nothing_to_find():
    rows = np.arange(3)
    nothing = Decisions(np.zeros(3, dtype=bool), np.zeros(3, dtype=bool))
    assert np.isnan([nothing.precision(rows), nothing.recall(rows), nothing.f1(rows)]).all()
    assert Decisions(np.array([True, True, False]), np.array([True, False, True])).f1(rows) == 0.5
