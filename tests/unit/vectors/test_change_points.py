"""The cuts are the best of all that there are."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.vectors.change_points import change_points
from embedcli.vectors.normalize import normalize


def cost(vectors: np.ndarray, starts: tuple[int, ...], penalty: float) -> float:
    """Return what is minimized, by its definition."""
    parts = [vectors[start:end] for start, end in pairwise([*starts, len(vectors)])]
    return float(sum(((part - part.mean(axis=0)) ** 2).sum() + penalty for part in parts))


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 9),
    seed=st.integers(0, 999),
    penalty=st.floats(0.05, 2),
    max_size=st.integers(1, 12),
    data=st.data(),
)
def test_no_other_cuts_cost_less(
    count: int, seed: int, penalty: float, max_size: int, data: st.DataObject
) -> None:
    vectors = normalize(np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32))
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))
    found = change_points(vectors, sizes, max_size, penalty)

    def fits(starts: tuple[int, ...]) -> bool:
        return all(
            end - start == 1 or sum(sizes[start:end]) <= max_size for start, end in pairwise([*starts, count])
        )

    every = [
        (0, *cuts)
        for number in range(count)
        for cuts in combinations(range(1, count), number)
        if fits((0, *cuts))
    ]
    assert found[0] == 0
    assert fits(tuple(found))
    best = min(cost(vectors, starts, penalty) for starts in every)
    assert cost(vectors, tuple(found), penalty) == pytest.approx(best, abs=1e-4)


def test_two_subjects_are_parted_and_one_is_not() -> None:
    east, north = np.eye(2, dtype=np.float32)
    assert change_points(np.stack([east] * 4 + [north] * 3), [1] * 7, 99, 1.0) == [0, 4]
    assert change_points(np.stack([east] * 7), [1] * 7, 99, 1.0) == [0]
    assert change_points(np.stack([east] * 7), [1] * 7, 3, 1.0) in (
        [0, 1, 4],
        [0, 3, 6],
        [0, 3, 4],
        [0, 2, 4],
    )


def test_nothing_has_no_parts() -> None:
    assert change_points(np.zeros((0, 4), np.float32), [], 5, 1.0) == []
