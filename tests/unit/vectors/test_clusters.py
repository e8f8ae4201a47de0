"""Numbers of clusters, and what is said of each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.vectors.clusters import NOISE, group_stats, renumbered
from embedcli.vectors.distinct import distinct_rows
from embedcli.vectors.metric import cosine
from tests.unit.vectors.cluster_helpers import planted, same

LABELS = st.lists(st.tuples(st.integers(-1, 5), st.integers(1, 4)), max_size=30)


@given(LABELS)
def test_the_heaviest_cluster_is_the_first_and_rows_stay_together(pairs):
    labels = np.array([label * 7 if label > 0 else label for label, _ in pairs], dtype=np.int64)
    weights = np.array([weight for _, weight in pairs], dtype=np.float32)
    found = renumbered(labels, weights)
    assert same(found, labels)
    assert ((found == NOISE) == (labels == NOISE)).all()
    numbers = range(int(found.max(initial=NOISE)) + 1)
    keys = [(-weights[found == each].sum(), int(np.flatnonzero(found == each)[0])) for each in numbers]
    assert keys == sorted(keys)
    assert renumbered(found, weights).tolist() == found.tolist()


@settings(max_examples=40)
@given(LABELS.filter(bool), st.integers(0, 99))
def test_what_is_said_of_clusters_is_what_plain_sums_give(pairs, seed):
    weights = np.array([weight for _, weight in pairs], dtype=np.float32)
    labels = renumbered(np.array([label for label, _ in pairs], dtype=np.int64), weights)
    vectors, _ = planted([len(pairs)], dim=6, width=3, seed=seed)
    found = group_stats(vectors, labels, weights)
    assert len(found.sizes) == labels.max() + 1
    assert found.centroids.shape == (len(found.sizes), 6)
    assert np.isnan(found.scores).tolist() == (labels == NOISE).tolist()
    for label in range(len(found.sizes)):
        rows = np.flatnonzero(labels == label)
        # The same as with each row written out as often as it counts.
        copies = vectors[np.repeat(rows, weights[rows].astype(int))].astype(np.float64)
        mean = copies.mean(axis=0)
        np.testing.assert_allclose(found.centroids[label], mean / np.linalg.norm(mean), atol=1e-6)
        near = cosine(vectors[rows], found.centroids[label])
        np.testing.assert_array_equal(found.scores[rows], near)
        assert found.sizes[label] == len(copies)
        assert found.cohesion[label] == pytest.approx(np.repeat(near, weights[rows].astype(int)).mean())
        assert found.medoids[label] == rows[near.argmax()]


def test_opposite_rows_have_no_centroid_and_no_clusters_have_no_stats():
    vectors = np.array([[1, 0], [-1, 0]], dtype=np.float32)
    found = group_stats(vectors, np.zeros(2, np.int64), np.ones(2, np.float32))
    assert found.centroids.tolist() == [[0, 0]]
    assert found.cohesion.tolist() == [0]
    assert found.medoids.tolist() == [0]
    none = group_stats(vectors, np.full(2, NOISE), np.ones(2, np.float32))
    assert none.centroids.shape == (0, 2)
    assert group_stats(vectors[:0], np.zeros(0, np.int64), np.ones(0, np.float32)).sizes.shape == (0,)


@given(st.lists(st.integers(0, 4), max_size=20))
def test_equal_rows_are_one(kinds):
    vectors = np.array([[kind, 1.0, -kind] for kind in kinds], dtype=np.float32).reshape(-1, 3)
    firsts, kind_of = distinct_rows(vectors)
    assert firsts.tolist() == [kinds.index(kind) for kind in dict.fromkeys(kinds)]
    assert [kinds[firsts[place]] for place in kind_of] == kinds
