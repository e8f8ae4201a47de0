"""Average linkage over clusters is that over their members."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import linkage

from embedcli.vectors.clusters import group_stats, renumbered
from embedcli.vectors.hierarchy import join_all
from embedcli.vectors.normalize import normalize


def random_rows(count: int, seed: int) -> np.ndarray:
    return normalize(np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32))


def members(joins: list, count: int) -> list[set[int]]:
    sets = [{number} for number in range(count)]
    for join in joins:
        sets.append(sets[join.first] | sets[join.second])
    return sets


@given(st.integers(1, 40), st.integers(0, 100))
@settings(max_examples=25)
def test_of_single_rows_it_is_scipys(count: int, seed: int) -> None:
    rows = random_rows(count, seed)
    stats = group_stats(rows, np.arange(count), np.ones(count, np.float32))
    joins = join_all(stats)
    assert len(joins) == count - 1
    if count > 1:
        cosines = (rows.astype(np.float64) @ rows.T.astype(np.float64))[np.triu_indices(count, 1)]
        expected = linkage(2 - cosines, "average")
        assert np.allclose([2 - join.cosine for join in joins], expected[:, 2], atol=1e-6)
        theirs = [{number} for number in range(count)]
        for first, second, *_ in expected.astype(int).tolist():
            theirs.append(theirs[first] | theirs[second])
        assert sorted(map(sorted, members(joins, count))) == sorted(map(sorted, theirs))


@given(st.integers(2, 12), st.integers(0, 100))
@settings(max_examples=25)
def test_cosines_are_means_over_all_pairs_of_records(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(count), rng.integers(0, count, 40)])
    weights = rng.integers(1, 4, len(labels)).astype(np.float32)
    labels = renumbered(labels, weights)
    rows = random_rows(len(labels), seed)
    joins = join_all(group_stats(rows, labels, weights))
    sets = members(joins, count)
    near = rows.astype(np.float64) @ rows.T.astype(np.float64)
    for join in joins:
        first, second = (np.isin(labels, [*sets[side]]) for side in join[:2])
        pairs = np.outer(weights[first], weights[second])
        assert join.cosine == pytest.approx(
            (near[np.ix_(first, second)] * pairs).sum() / pairs.sum(), abs=1e-5
        )
        assert weights[first].sum() >= weights[second].sum()
    assert sets[-1] == set(range(count))
    assert all(a.cosine >= b.cosine - 1e-9 for a, b in pairwise(joins))


def test_nothing_to_join() -> None:
    assert (
        join_all(group_stats(np.zeros((0, 3), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32)))
        == []
    )
