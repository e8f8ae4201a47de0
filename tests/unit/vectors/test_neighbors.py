"""The nearest rows of every row are those that a plain sort finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.vectors import neighbors
from embedcli.vectors.neighbors import nearest_among, nearest_neighbors


def rows(count: int, dim: int, seed: int, copies: int = 0) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    made[count - copies :] = made[0]
    return made


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(2, 300),
    wanted=st.integers(1, 20),
    copies=st.integers(0, 100),
    seed=st.integers(0, 99),
    jobs=st.sampled_from([1, 3]),
)
def test_the_neighbors_are_those_of_a_sort(
    count: int, wanted: int, copies: int, seed: int, jobs: int
) -> None:
    vectors = rows(count, 8, seed, min(copies, count - 1))
    found = nearest_neighbors(vectors, wanted, jobs=jobs)
    products = vectors @ vectors.T
    np.fill_diagonal(products, -np.inf)
    k = min(wanted, count - 1)
    # Numbered from the lowest row among equals.
    expected = np.array([np.lexsort((np.arange(count), -products[row]))[:k] for row in range(count)])
    assert found.rows.tolist() == expected.tolist()
    np.testing.assert_array_equal(found.cosines, np.take_along_axis(products, expected, axis=1))


@pytest.mark.parametrize("jobs", [1, 2])
def test_many_blocks_join_to_one_answer(monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
    vectors, others = rows(50, 16, 1), rows(700, 16, 2)
    whole = nearest_among(vectors, others, 5)
    monkeypatch.setattr("embedcli.vectors.neighbors._CELLS", 7 * len(others))
    parts = nearest_among(vectors, others, 5, jobs=jobs)
    assert parts.rows.tolist() == whole.rows.tolist()
    np.testing.assert_allclose(parts.cosines, whole.cosines, atol=1e-6)
    assert parts.rows.shape == (50, 5)


def test_no_rows_have_no_neighbors() -> None:
    found = nearest_among(np.zeros((0, 4), np.float32), rows(3, 4, 0), 9)
    assert found.rows.shape == found.cosines.shape == (0, 3)


# --- more rows than are all compared


@pytest.fixture
def few_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "EXACT_ROWS", 100)


@pytest.mark.usefixtures("few_exact")
@pytest.mark.parametrize(("count", "copies", "wanted"), [(101, 0, 3), (400, 150, 15), (900, 0, 1)])
def test_rows_that_look_into_all_lists_find_all(
    monkeypatch: pytest.MonkeyPatch, count: int, copies: int, wanted: int
) -> None:
    vectors = rows(count, 8, 3, copies)
    # Lists are fewer than that.
    found = nearest_neighbors(vectors, wanted)
    monkeypatch.setattr(neighbors, "EXACT_ROWS", 1000)
    exact = nearest_neighbors(vectors, wanted)
    np.testing.assert_allclose(found.cosines, exact.cosines, atol=1e-6)
    assert found.recall == exact.recall == 1
    assert (found.rows != np.arange(count)[:, np.newaxis]).all()
    assert all(len(set(each)) == wanted for each in found.rows.tolist())
    np.testing.assert_allclose(
        np.einsum("ijk,ik->ij", vectors[found.rows], vectors), found.cosines, atol=1e-6
    )


@pytest.mark.usefixtures("few_exact")
@pytest.mark.parametrize("looked_into", [2, 4])
def test_what_lists_miss_is_measured(monkeypatch: pytest.MonkeyPatch, looked_into: int) -> None:
    monkeypatch.setattr(neighbors, "LOOKED_INTO", looked_into)
    monkeypatch.setattr(neighbors, "CELLS", 1 << 10)
    vectors = rows(1500, 12, 5)
    found = nearest_neighbors(vectors, 10)
    exact = nearest_among(vectors, vectors, 10, are_same=True)
    hits = np.mean([len(np.intersect1d(*each)) / 10 for each in zip(found.rows, exact.rows, strict=True)])
    assert 0.1 < hits < 0.9
    # Measured on 512 rows of 1,500.
    assert found.recall == pytest.approx(hits, abs=0.04)
    assert (np.diff(found.cosines, axis=1) <= 0).all()
    for jobs in (2, 3):
        again = nearest_neighbors(vectors, 10, jobs=jobs)
        assert again.rows.tolist() == found.rows.tolist()
        assert again.cosines.tolist() == found.cosines.tolist()


@pytest.mark.usefixtures("few_exact")
def test_rows_whose_lists_hold_too_few_are_compared_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "LOOKED_INTO", 2)
    vectors = rows(150, 8, 7)
    found = nearest_neighbors(vectors, 60)
    exact = nearest_among(vectors, vectors, 60, are_same=True)
    np.testing.assert_allclose(found.cosines, exact.cosines, atol=1e-6)
