"""The cosine has the same bits for a row wherever the row stands."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedcli.errors import VectorError
from embedcli.vectors.metric import cosine, pair_cosines, sum_rows

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def rows_and_query(draw):
    dim = draw(st.integers(1, 40))
    rows = draw(
        arrays(np.float32, (draw(st.integers(1, 12)), dim), elements=FLOATS | st.floats(-1, 1, width=32))
    )
    return rows, draw(arrays(np.float32, dim, elements=FLOATS | st.floats(-1, 1, width=32)))


@given(rows_and_query(), st.data())
def test_a_row_has_the_same_bits_in_any_block(case, data):
    rows, query = case
    whole = cosine(rows, query)
    order = data.draw(st.permutations(range(len(rows))))
    cut = data.draw(st.integers(0, len(rows)))
    parts = [cosine(np.asfortranarray(rows[part]), query) for part in (order[:cut], order[cut:])]
    assert np.concatenate(parts).tobytes() == whole[order].tobytes()


@pytest.mark.parametrize("dim", [1, 7, 64, 384, 385, 1024])
def test_blocks_larger_than_a_step(dim):
    rng = np.random.default_rng(dim)
    rows = rng.standard_normal((600, dim)).astype(np.float32)
    query = rng.standard_normal(dim).astype(np.float32)
    alone = [cosine(rows[row : row + 1], query)[0] for row in range(len(rows))]
    assert cosine(rows, query).tolist() == alone


@given(rows_and_query())
def test_it_is_the_cosine(case):
    rows, query = case
    for found, row in zip(cosine(rows, query), rows.astype(float), strict=True):
        wide = query.astype(float)
        square = math.fsum(row * row) * math.fsum(wide * wide)
        expected = math.fsum(row * wide) / math.sqrt(square) if square else 0.0
        assert found == pytest.approx(expected, abs=1e-13)
        assert -1 <= found <= 1


@given(arrays(np.float32, st.integers(1, 40), elements=FLOATS))
def test_equal_vectors_give_exactly_one(vector):
    expected = 1.0 if vector.any() else 0.0
    assert cosine(vector[np.newaxis], vector)[0] == expected
    assert cosine(-vector[np.newaxis], vector)[0] == -expected


def test_values_that_are_not_finite_give_nan():
    rows = np.array([[np.nan, 1], [np.inf, 1], [1, 0]], np.float32)
    found = cosine(rows, np.array([1, 0], np.float32))
    assert np.isnan(found).tolist() == [True, True, False]


def test_dimensions_must_agree():
    with pytest.raises(VectorError):
        cosine(np.ones((2, 3), np.float32), np.ones(2, np.float32))


@given(arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(0, 20)), elements=st.integers(-9, 9)))
def test_sum_rows_adds_every_column_once(terms):
    expected = terms.sum(axis=1)
    assert sum_rows(terms).tolist() == expected.tolist()


@given(rows_and_query())
def test_pairs_have_the_same_bits(case):
    rows, query = case
    assert pair_cosines(rows, np.tile(query, (len(rows), 1))).tobytes() == cosine(rows, query).tobytes()
    assert pair_cosines(np.tile(query, (len(rows), 1)), rows).tobytes() == cosine(rows, query).tobytes()
