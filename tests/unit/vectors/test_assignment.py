"""The best pairs, against all ways to make them."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.vectors.assignment import NONE, Pairs, assign, spread_over_copies


def pairs_of(table: list[list[float]]) -> Pairs:
    array = np.array(table)
    left, right = np.nonzero(~np.isnan(array))
    return Pairs(left, right, array[left, right])


def best_sum(table: list[list[float]]) -> float:
    """The highest sum, by trying everything."""
    values = np.maximum(np.nan_to_num(np.array(table), nan=0.0), 0)
    rows, columns = values.shape
    padded = np.zeros((rows, columns + rows))
    padded[:, :columns] = values
    ways = permutations(range(columns + rows), rows)
    return max(sum(padded[row, column] for row, column in enumerate(way)) for way in ways)


scores = st.sampled_from([float("nan"), -0.5, 0.0, 0.1, 0.25, 0.5, 0.9, 1.0])


@settings(max_examples=60)
@given(
    st.integers(1, 3).flatmap(
        lambda width: st.lists(st.lists(scores, min_size=width, max_size=width), min_size=1, max_size=4)
    )
)
def test_no_other_way_scores_more(table):
    found = assign(pairs_of(table), len(table)).tolist()
    taken = [column for column in found if column != NONE]
    assert len(set(taken)) == len(taken)
    # Only pairs that were offered, and that score something.
    made = [table[row][column] for row, column in enumerate(found) if column != NONE]
    assert all(score > 0 for score in made)
    assert abs(sum(made) - best_sum(table)) < 1e-9


def test_a_greedy_choice_is_not_enough():
    # The best pair of all, 0 and 0, would leave the other two with nothing.
    assert assign(pairs_of([[1.0, 0.9], [0.9, float("nan")]]), 2).tolist() == [1, 0]


def test_no_pairs_leave_all_alone():
    assert assign(pairs_of([[float("nan")] * 2] * 3), 3).tolist() == [NONE] * 3
    assert assign(Pairs(*(np.zeros(0, kind) for kind in (int, int, float))), 0).tolist() == []


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.randoms(use_true_random=False),
)
def test_copies_are_spread_over_all_copies(left_copies, right_copies, random):
    every = [(left, right) for left in range(len(left_copies)) for right in range(len(right_copies))]
    chosen = sorted(random.sample(every, random.randint(0, len(every))))
    scored = [random.choice([0.2, 0.5, 0.9]) for _ in chosen]
    columns = np.array(chosen, dtype=int).reshape(-1, 2).T
    found = spread_over_copies(
        Pairs(columns[0], columns[1], np.array(scored)), np.array(left_copies), np.array(right_copies)
    )
    lefts = np.repeat(np.arange(len(left_copies)), left_copies)[found.left]
    rights = np.repeat(np.arange(len(right_copies)), right_copies)[found.right]
    # Each record of a left text stands once in each of its pairs, with that pair's score.
    expected = sorted(
        (left, right, score)
        for (left, right), score in zip(chosen, scored, strict=True)
        for _ in range(left_copies[left])
    )
    assert sorted(zip(lefts.tolist(), rights.tolist(), found.scores.tolist(), strict=True)) == expected
    assert len(set(zip(found.left.tolist(), found.right.tolist(), strict=True))) == len(found.left)
    for right in range(len(right_copies)):
        offered = found.right[rights == right]
        # As many copies as can be, each as often as the others.
        counts = np.bincount(offered)[np.unique(offered)] if len(offered) else np.zeros(1, int)
        assert len(np.unique(offered)) == min(len(offered), right_copies[right])
        assert counts.max() - counts.min() <= 1
