"""Clusters beside labels, as scikit-learn has it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, v_measure_score

from embedcli.vectors.contingency import Contingency


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=40), st.integers(0, 99))
def test_measures_are_those_of_scikit_learn(items, seed):
    labels, clusters = map(np.array, zip(*items, strict=True))
    own = Contingency(labels, clusters)
    chosen = np.random.default_rng(seed).integers(0, len(labels), len(labels))
    for rows in (np.arange(len(labels)), chosen):
        pair = (labels[rows], clusters[rows])
        assert own.v_measure(rows) == pytest.approx(v_measure_score(*pair), abs=1e-9)
        assert own.v_measure(rows) == pytest.approx(normalized_mutual_info_score(*pair), abs=1e-9)
        assert own.adjusted_rand(rows) == pytest.approx(adjusted_rand_score(*pair), abs=1e-9)


def test_many_labels_and_clusters_take_little():
    labels = np.arange(20_000)
    own = Contingency(labels, labels[::-1])
    assert own.v_measure(labels) == pytest.approx(1)
    assert own.adjusted_rand(labels) == 1
