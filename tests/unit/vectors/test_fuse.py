"""Fused scores against what their definition says, number by number."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.vectors.fuse import Part, best_first, fuse

SCORES = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0, 7.5]) | st.floats(-20, 20).map(lambda x: round(x, 3))


@st.composite
def pools(draw):
    """Two parts over the same rows, and which rows are the pool: one at least."""
    count = draw(st.integers(1, 12))
    rows = st.lists(SCORES, min_size=count, max_size=count)
    marks = st.lists(st.booleans(), min_size=count, max_size=count)
    parts = [
        Part(np.array(draw(rows)), np.array(draw(marks)), draw(st.sampled_from([0.0, 0.3, 1.0])))
        for _ in range(2)
    ]
    in_pool = np.array(draw(marks))
    in_pool[draw(st.integers(0, count - 1))] = True
    return parts, in_pool


def scaled(part: Part, in_pool: np.ndarray, fusion: str) -> list[float]:
    """Scale the scores of one part, one at a time."""
    pool = part.scores[in_pool].tolist()
    if fusion == "rrf":
        better = [
            sum(other > score for other in part.scores[in_pool & part.found].tolist())
            for score in part.scores
        ]
        return [1 / (61 + count) if found else 0.0 for count, found in zip(better, part.found, strict=True)]
    if max(pool) - min(pool) < 1e-9:
        return [0.0] * len(part.scores)
    shift = statistics.fmean(pool) if fusion == "zscore" else min(pool)
    width = statistics.pstdev(pool) if fusion == "zscore" else max(pool) - min(pool)
    return [(score - shift) / width for score in part.scores.tolist()]


@pytest.mark.parametrize("fusion", ["zscore", "minmax", "rrf"])
@given(pools())
def test_a_fused_score_is_the_weighted_sum_of_scaled_scores(fusion, given_pool):
    parts, in_pool = given_pool
    fused = fuse(parts, in_pool, fusion)
    wanted = [scaled(part, in_pool, fusion) for part in parts]
    for own, expected in zip(fused.scaled, wanted, strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-6, atol=1e-9)
    sums = np.array(
        [sum(p.weight * s for p, s in zip(parts, row, strict=True)) for row in zip(*wanted, strict=True)]
    )
    sums[~in_pool] = np.minimum(sums[~in_pool], sums[in_pool].min())
    np.testing.assert_allclose(fused.scores, sums, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("fusion", ["zscore", "minmax", "rrf"])
@given(pools())
def test_rows_outside_of_the_pool_change_nothing_in_it(fusion, given_pool):
    parts, in_pool = given_pool
    alone = [Part(part.scores[in_pool], part.found[in_pool], part.weight) for part in parts]
    whole, core = fuse(parts, in_pool, fusion), fuse(alone, np.ones(int(in_pool.sum()), dtype=bool), fusion)
    np.testing.assert_array_equal(whole.scores[in_pool], core.scores)


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0]), max_size=12), st.integers(1, 13))
def test_the_best_are_in_order_with_those_that_tie_with_the_last(scores, top_k):
    found = best_first(np.array(scores), top_k).tolist()
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], place))
    assert found[:top_k] == order[:top_k]
    last = scores[found[-1]] if found else None
    assert sorted(found) == [place for place in range(len(scores)) if scores[place] >= last]


@pytest.mark.parametrize("fusion", ["zscore", "minmax", "rrf"])
@given(pools(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_no_bit(fusion, given_pool, chance):
    parts, in_pool = given_pool
    order = list(range(len(in_pool)))
    chance.shuffle(order)
    shuffled = [Part(part.scores[order], part.found[order], part.weight) for part in parts]
    np.testing.assert_array_equal(
        fuse(shuffled, in_pool[order], fusion).scores, fuse(parts, in_pool, fusion).scores[order]
    )
