"""Choosing rows: bounds against the best choice there is, exactness, ties, threads."""

from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.vectors.facility import representatives
from embedcli.vectors.in_blocks import in_blocks
from embedcli.vectors.k_center import neighbors_for, settle, spread_out
from embedcli.vectors.normalize import normalize
from embedcli.vectors.outliers import outliers


@st.composite
def unit_rows(draw, least: int = 2, most: int = 9, dim: int = 3):
    """Directions on a coarse grid: near ones, far ones and equal ones."""
    numbers = st.integers(-3, 3)
    rows = draw(
        st.lists(
            st.lists(numbers, min_size=dim, max_size=dim).filter(any),
            min_size=least,
            max_size=most,
        )
    )
    return normalize(np.array(rows, dtype=np.float32))


def random_rows(count: int, dim: int = 16, seed: int = 0) -> np.ndarray:
    return normalize(np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32))


def cosines(vectors: np.ndarray) -> np.ndarray:
    return np.clip(vectors.astype(np.float64) @ vectors.T.astype(np.float64), -1, 1)


# --- farthest first


@settings(max_examples=60)
@given(unit_rows(), st.data())
def test_no_row_is_left_farther_than_the_bound_says(vectors, data):
    count = data.draw(st.integers(1, len(vectors)))
    inward, bound = data.draw(st.sampled_from([(1, 2), (2, 4), (8, 4)]))
    taken = spread_out(vectors, count, inward=inward)
    near = cosines(vectors)
    for distances in (np.arccos(near), np.sqrt(2 - 2 * near)):
        reached = distances[:, taken].min(axis=1).max()
        best = min(
            distances[:, list(rows)].min(axis=1).max()
            for rows in itertools.combinations(range(len(vectors)), count)
        )
        assert reached <= bound * best + 1e-3


@settings(max_examples=60)
@given(unit_rows(), st.data())
def test_each_row_taken_is_the_farthest_or_nearer_to_it_than_to_all_before(vectors, data):
    count = data.draw(st.integers(1, len(vectors)))
    inward = data.draw(st.sampled_from([1, 2, 8]))
    taken = spread_out(vectors, count, inward=inward)
    near = cosines(vectors)
    assert len(set(taken)) == count
    assert near[taken[0]].mean() == pytest.approx(near.mean(axis=1).max(), abs=1e-6)
    for place in range(1, count):
        left = [row for row in range(len(vectors)) if row not in taken[:place]]
        nearest = near[np.ix_(left, taken[:place])].max(axis=1)
        own = nearest[left.index(taken[place])]
        farthest = [row for row, far in zip(left, nearest, strict=True) if far < nearest.min() + 1e-6]
        if inward == 1:
            assert taken[place] in farthest
        assert taken[place] in farthest or near[taken[place], farthest].max() > own
        # Equal rows are exactly equal, wherever they stand: the first of them is taken.
        equal = [row for row in left if (vectors[row] == vectors[taken[place]]).all()]
        assert taken[place] == equal[0]


def test_the_order_of_the_rows_does_not_count():
    vectors = random_rows(300)
    order = np.random.default_rng(1).permutation(300)
    taken = [order[row] for row in spread_out(vectors[order], 40)]
    assert taken == spread_out(vectors, 40)


def test_a_topic_is_shown_by_what_lies_further_in():
    rng = np.random.default_rng(3)
    topics = np.repeat(np.eye(6, dtype=np.float32), 20, axis=0)
    rows = normalize(topics + 0.2 * rng.standard_normal((120, 6)).astype(np.float32))
    inside = (rows * topics).sum(axis=1)
    picked = {inward: spread_out(rows, 6, inward=inward) for inward in (1, 8)}
    assert all(len({row // 20 for row in found}) == 6 for found in picked.values())
    assert inside[picked[8][1:]].mean() > inside[picked[1][1:]].mean() + 0.03


def test_settling_pulls_a_stranger_in_and_leaves_topics_apart():
    rng = np.random.default_rng(0)
    topics = np.eye(8, dtype=np.float32)[rng.integers(0, 6, 200)] + 0.5
    rows = normalize(topics + 0.1 * rng.standard_normal((200, 8)).astype(np.float32))
    rows[50] = normalize(np.eye(8, dtype=np.float32)[[7]])[0]
    assert 50 in spread_out(rows, 7, inward=1)
    assert 50 not in spread_out(settle(rows, 3), 6)
    picked = spread_out(settle(rows, 3), 6)
    assert len({int(np.argmax(topics[row])) for row in picked}) == 6


def test_settled_rows_have_moved_towards_their_nearest():
    vectors = random_rows(40)
    centred = normalize(vectors - vectors.mean(axis=0))
    near = cosines(centred)
    np.fill_diagonal(near, -2)
    nearest = np.argsort(-near, axis=1)[:, :3]
    expected = normalize(centred + 0.5 * centred[nearest].sum(axis=1))
    assert np.abs(settle(vectors, 3) - expected).max() < 1e-5
    assert np.abs(settle(vectors, 0) - centred).max() < 1e-5


def test_beyond_the_sample_a_row_is_still_no_neighbour_of_itself():
    vectors = random_rows(500)
    settled = settle(vectors, 1, sampled_rows=50)
    centred = normalize(vectors - vectors.mean(axis=0))
    # Had it met itself, it would not have moved.
    assert np.einsum("ij,ij->i", settled, centred).max() < 0.99


def test_a_small_share_leaves_few_neighbours():
    assert [neighbors_for(rows, 10) for rows in (10, 19, 20, 30, 40, 1000)] == [0, 0, 1, 2, 3, 3]


# --- representatives


def covered(vectors: np.ndarray, weights: np.ndarray, rows: list[int]) -> float:
    """What the chosen rows are worth: the mean cosine to the nearest one, 0 where that is below."""
    near = np.maximum(cosines(vectors)[:, rows], 0).max(axis=1)
    return float((near * weights).sum() / weights.sum())


@settings(max_examples=60)
@given(unit_rows(), st.data())
def test_representatives_reach_their_share_of_the_best_choice(vectors, data):
    count = data.draw(st.integers(1, min(4, len(vectors))))
    weights = np.array(
        data.draw(st.lists(st.integers(1, 5), min_size=len(vectors), max_size=len(vectors))), dtype=np.float32
    )
    taken = representatives(vectors, weights, count)
    rows = [each.row for each in taken]
    best = max(
        covered(vectors, weights, list(chosen))
        for chosen in itertools.combinations(range(len(vectors)), count)
    )
    reached = covered(vectors, weights, rows)
    assert len(set(rows)) == count
    assert reached >= (1 - 1 / math.e) * best - 1e-5
    assert sum(each.gain for each in taken) == pytest.approx(reached, abs=1e-5)


def test_looking_again_only_where_it_matters_changes_nothing():
    vectors = random_rows(80)
    weights = np.random.default_rng(2).integers(1, 9, 80).astype(np.float32)
    taken: list[int] = []
    for _ in range(15):
        gains = [-1.0 if row in taken else covered(vectors, weights, [*taken, row]) for row in range(80)]
        taken.append(int(np.argmax(gains)))
    assert [each.row for each in representatives(vectors, weights, 15)] == taken


def test_of_many_rows_a_sample_stands_for_all():
    rng = np.random.default_rng(0)
    rows = np.eye(8, dtype=np.float32)[rng.integers(0, 8, 2000)] + 0.2 * rng.standard_normal((2000, 8))
    vectors = normalize(rows.astype(np.float32))
    weights = np.ones(2000, dtype=np.float32)
    few = [each.row for each in representatives(vectors, weights, 8, sampled_rows=200)]
    all_of_them = [each.row for each in representatives(vectors, weights, 8)]
    assert covered(vectors, weights, few) > 0.97 * covered(vectors, weights, all_of_them)
    # The sample grows with what is chosen: everything can be.
    everything = representatives(vectors[:100], weights[:100], 100, sampled_rows=10)
    assert sorted(each.row for each in everything) == list(range(100))


# --- outliers


@settings(max_examples=60)
@given(unit_rows(), st.integers(1, 4), st.data())
def test_outliers_are_the_rows_whose_kth_nearest_is_farthest(vectors, neighbors, data):
    count = data.draw(st.integers(1, len(vectors)))
    kth = min(neighbors, len(vectors) - 1)
    sampled = data.draw(st.integers(kth + 1, len(vectors) + 1))
    found = outliers(vectors, count, neighbors=neighbors, sampled_rows=sampled)
    near = cosines(vectors)
    np.fill_diagonal(near, -2)
    expected = np.sort(near, axis=1)[:, -kth]
    assert [each.cosine for each in found] == pytest.approx(np.sort(expected)[:count].tolist(), abs=1e-6)
    assert [each.cosine for each in found] == pytest.approx(expected[[each.row for each in found]], abs=1e-6)
    assert found == sorted(found, key=lambda each: (each.cosine, each.row))


def test_a_sample_finds_the_same_outliers_as_all_rows():
    rng = np.random.default_rng(0)
    topics = random_rows(20, seed=1)[rng.integers(0, 20, 3000)]
    vectors = normalize((topics + 0.1 * rng.standard_normal((3000, 16))).astype(np.float32))
    vectors[::500] = random_rows(6, seed=5)
    all_of_them = outliers(vectors, 20)
    assert outliers(vectors, 20, sampled_rows=100) == all_of_them
    assert {each.row for each in all_of_them[:6]} == set(range(0, 3000, 500))


def test_a_first_look_keeps_no_block_in_memory():
    vectors = random_rows(6000)
    tracemalloc.start()
    outliers(vectors, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All cosines at once would be 144 MB.
    assert peak < 40e6


# --- threads


def test_threads_change_nothing():
    many = random_rows(17_000, dim=4)
    assert spread_out(many, 3, jobs=1) == spread_out(many, 3, jobs=3)
    vectors = random_rows(1500)
    weights = np.ones(1500, dtype=np.float32)
    assert (settle(vectors, 3, jobs=1) == settle(vectors, 3, jobs=3)).all()
    assert representatives(vectors, weights, 9, jobs=1) == representatives(vectors, weights, 9, jobs=3)
    assert outliers(vectors, 9, jobs=1) == outliers(vectors, 9, jobs=3)


@given(st.integers(0, 30), st.integers(1, 8), st.integers(1, 3))
def test_blocks_are_all_rows_in_order(rows, step, jobs):
    blocks = [*in_blocks(rows, step, lambda block: block, jobs)]
    assert [row for block in blocks for row in range(rows)[block]] == list(range(rows))
    assert all(block.stop - block.start <= step for block in blocks)
