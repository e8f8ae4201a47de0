"""Unit length: exactly where a row was not zero, whatever its values and its neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from embedcli.errors import VectorError
from embedcli.vectors.normalize import normalize, truncate_dim

FLOATS32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
FLOATS64 = st.floats(allow_nan=False, allow_infinity=False)
SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20)
ROWS = arrays(np.float32, SHAPES, elements=FLOATS32 | st.sampled_from([0.0, 1.0]))


def lengths(vectors):
    wide = vectors.astype(np.float64)
    return np.sqrt((wide * wide).sum(axis=1))


@given(ROWS | arrays(np.float64, SHAPES, elements=FLOATS64))
def test_length_is_one_exactly_where_a_row_was_not_zero(vectors):
    before = vectors.copy()
    unit = normalize(vectors)
    assert unit.dtype == np.float32
    assert unit.shape == vectors.shape
    np.testing.assert_allclose(lengths(unit), vectors.any(axis=1).astype(float), atol=3e-7)
    assert vectors.tobytes() == before.tobytes()


@given(ROWS)
def test_normalizing_twice_is_normalizing_once(vectors):
    once = normalize(vectors)
    assert normalize(once).tobytes() == once.tobytes()


def test_unit_vectors_of_many_dimensions_do_not_drift():
    vectors = np.random.default_rng(1).standard_normal((500, 384)).astype(np.float32)
    once = normalize(vectors)
    assert normalize(once).tobytes() == once.tobytes()


@pytest.mark.parametrize("length", [1 - 2**-24, 1 + 2**-23])
def test_a_length_that_is_one_but_for_rounding_is_left_alone(length):
    vectors = np.array([[length, 0], [0, -length]], np.float32)
    assert normalize(vectors).tobytes() == vectors.tobytes()


@given(ROWS, st.data())
def test_a_row_does_not_depend_on_the_others(vectors, data):
    row = data.draw(st.integers(0, len(vectors) - 1))
    assert normalize(vectors[row : row + 1]).tobytes() == normalize(vectors)[row].tobytes()


def test_rows_over_several_steps_are_each_their_own():
    vectors = np.random.default_rng(2).standard_normal((700, 301)).astype(np.float32) * 1e19
    whole = normalize(vectors)
    alone = np.vstack([normalize(vectors[row : row + 1]) for row in range(len(vectors))])
    assert whole.tobytes() == alone.tobytes()
    strided = normalize(np.asfortranarray(vectors))
    assert strided.tobytes() == whole.tobytes()


def test_direction_is_kept():
    np.testing.assert_array_equal(
        normalize(np.array([[3, 4]], np.float32)), np.array([[0.6, 0.8]], np.float32)
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    vectors = np.ones((3, 2), np.float32)
    vectors[1, 0] = bad
    with pytest.raises(VectorError, match="vector 2 "):
        normalize(vectors)


def test_no_rows_and_no_columns():
    assert normalize(np.empty((0, 3), np.float32)).shape == (0, 3)
    assert normalize(np.empty((3, 0), np.float32)).shape == (3, 0)
    with pytest.raises(VectorError):
        normalize(np.ones(3, np.float32))


@given(ROWS, st.data())
def test_truncate_dim_keeps_the_beginning(vectors, data):
    dim = data.draw(st.integers(1, vectors.shape[1]))
    cut = truncate_dim(vectors, dim)
    np.testing.assert_array_equal(cut, vectors[:, :dim])
    assert not np.shares_memory(cut, vectors)


@pytest.mark.parametrize("dim", [0, -1, 4])
def test_truncate_dim_out_of_range(dim):
    with pytest.raises(VectorError, match=f"3 cannot be cut to {dim}"):
        truncate_dim(np.ones((1, 3), np.float32), dim)
