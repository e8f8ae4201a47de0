"""Exact top-k equals a sort by the cosine of each row alone, however the rows are cut into blocks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedcli.errors import UsageError, VectorError
from embedcli.vectors import exact
from embedcli.vectors.exact import TopK, safe_margin
from embedcli.vectors.metric import cosine


def sorted_all(rows, query, dead, min_score):
    """Every row that may be found, by a sort."""
    found = []
    for number, row in enumerate(rows):
        if dead[number] or not row.any() or not query.any():
            continue
        score = cosine(row[np.newaxis], query)[0]
        if min_score is None or score >= min_score:
            found.append((number, score))
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def with_ties(found, k):
    return found if k is None else [pair for pair in found if pair[1] >= found[min(k, len(found)) - 1][1]]


@st.composite
def cases(draw):
    """Rows with many ties (small whole numbers) and of any length, a query, marks, k, a limit and cuts."""
    dtype = draw(st.sampled_from([np.float32, np.float16]))
    width = 32 if dtype == np.float32 else 16
    numbers = st.integers(-2, 2).map(float)
    if draw(st.booleans()):
        numbers |= st.floats(width=width, allow_nan=False, allow_infinity=False)
    dim, count = draw(st.integers(1, 6)), draw(st.integers(0, 40))
    rows = draw(arrays(dtype, (count, dim), elements=numbers))
    query = draw(arrays(np.float32, dim, elements=st.integers(-2, 2) | st.floats(-1, 1, width=32)))
    dead = draw(arrays(np.bool_, count, elements=st.sampled_from([False, False, True])))
    every = sorted_all(rows, query, dead, None)
    limits = st.none() | st.floats(-1, 1)
    if every:
        limits |= st.sampled_from([score for _, score in every])
    cuts = sorted(draw(st.lists(st.integers(0, count), max_size=4)))
    return rows, query, dead, draw(st.none() | st.integers(1, 10)), draw(limits), [0, *cuts, count]


@given(cases(), st.integers(1, 200), st.booleans())
def test_top_k_is_a_sort(case, step, backwards):
    rows, query, dead, k, min_score, cuts = case
    top = TopK(query, k, min_score)
    blocks = list(itertools.pairwise(cuts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "SCAN_NUMBERS", step)
        patch.setattr(exact, "CONVERT_NUMBERS", step)
        patch.setattr(exact, "COMPACT_ROWS", 3)
        for first, end in reversed(blocks) if backwards else blocks:
            top.add(rows[first:end], first, dead[first:end])
    expected = sorted_all(rows, query, dead, min_score)
    assert top.result() == expected[:k]
    assert top.result(ties=True) == (with_ties(expected, k) if expected else [])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("block", [1, 97, 3000])
def test_rows_that_only_exact_arithmetic_tells_apart(dtype, block):
    rng = np.random.default_rng(7)
    query = rng.standard_normal(256).astype(np.float32)
    rows = (query + rng.standard_normal((3000, 256)) * 1e-4).astype(dtype)
    top = TopK(query, 10)
    for first in range(0, len(rows), block):
        top.add(rows[first : first + block], first)
    assert top.result() == sorted_all(rows, query, np.zeros(3000, bool), None)[:10]


def test_the_scan_is_off_by_less_than_the_margin():
    rng = np.random.default_rng(3)
    for dim in (2, 50, 384, 1024):
        rows, query = (
            rng.standard_normal((500, dim)).astype(np.float32),
            rng.standard_normal(dim).astype(np.float32),
        )
        unit = (query / np.linalg.norm(query)).astype(np.float32)
        scanned = (rows @ unit) / np.sqrt(np.einsum("ij,ij->i", rows, rows))
        assert np.abs(scanned - cosine(rows, query)).max() < safe_margin(dim) < 2e-4


def test_most_rows_are_left_out_by_the_scan(monkeypatch):
    rescored = []
    monkeypatch.setattr(
        exact, "cosine", lambda rows, query: rescored.append(len(rows)) or cosine(rows, query)
    )
    rows = np.random.default_rng(4).standard_normal((20000, 64)).astype(np.float32)
    top = TopK(rows[0], 10)
    top.add(rows)
    assert sum(rescored) < 200


def test_all_ties_at_the_cut_are_there():
    rows = np.ones((10_000, 3), np.float32)
    rows[5] = [1, 1, 0]
    top = TopK(np.array([1, 1, 0], np.float32), 2)
    for first in range(0, 10_000, 1000):
        top.add(rows[first : first + 1000], first)
    assert [row for row, _ in top.result()] == [5, 0]
    assert [row for row, _ in top.result(ties=True)] == [5, *(row for row in range(10_000) if row != 5)]


def test_memory_stays_small_where_there_are_no_ties():
    top = TopK(np.ones(4, np.float32), 3)
    rng = np.random.default_rng(5)
    for first in range(0, 200_000, 1000):
        top.add(rng.standard_normal((1000, 4)).astype(np.float32), first)
        assert top._gathered <= exact.COMPACT_ROWS + 1000


def test_values_that_are_not_finite_are_refused_unless_dead():
    rows = np.ones((3, 2), np.float32)
    rows[1, 0] = np.nan
    with pytest.raises(VectorError, match="vector 12 "):
        TopK(np.ones(2, np.float32), 1).add(rows, first=10)
    top = TopK(np.ones(2, np.float32), 5)
    top.add(rows, dead=np.array([False, True, False]))
    assert [row for row, _ in top.result()] == [0, 2]


def test_what_does_not_fit_is_refused():
    query = np.ones(2, np.float32)
    with pytest.raises(UsageError, match="at least 1"):
        TopK(query, 0)
    with pytest.raises(VectorError, match="one vector"):
        TopK(np.ones((1, 2), np.float32), 1)
    with pytest.raises(VectorError, match="dimension 2"):
        TopK(query, 1).add(np.ones((1, 3), np.float32))
    with pytest.raises(VectorError, match="as many marks"):
        TopK(query, 1).add(np.ones((2, 2), np.float32), dead=np.zeros(3, bool))
