"""A bound is never below the cosine, and it is used where it costs less than comparing in full."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedcli.vectors.bounds import fit_axes, make_axes
from embedcli.vectors.kept import rounded
from embedcli.vectors.metric import cosine


def lowest_excess(vectors, axes):
    """How far the computed bounds of all pairs are above their cosines, at least."""
    rows = rounded(vectors, np.ones(len(vectors)))
    heads = axes.heads(rows.floats())
    found = (heads @ heads.T).astype(np.float64)
    cosines = np.stack([cosine(rows.halves, row) for row in rows.halves])
    return (found - cosines).min()


@st.composite
def cases(draw):
    """Vectors with ties and zeros, and directions that are one of them, its axis, or anything orthonormal."""
    dim, count = draw(st.integers(2, 12)), draw(st.integers(1, 12))
    numbers = st.integers(-2, 2).map(float) | st.floats(-1, 1, width=32)
    vectors = draw(arrays(np.float32, (count, dim), elements=numbers))
    size = draw(st.integers(1, dim - 1))
    start = draw(st.sampled_from(["axes", "rows", "any"]))
    if start == "axes":
        return vectors, np.eye(dim, size, dtype=np.float32)
    mixed = np.random.default_rng(size).standard_normal((dim, size))
    if start == "rows":
        mixed[:, 0] = vectors[0]
    return vectors, np.linalg.qr(mixed)[0].astype(np.float32)


@given(cases())
def test_a_bound_is_not_below_the_cosine(case):
    vectors, directions = case
    axes = make_axes(directions)
    assert lowest_excess(vectors, axes) >= 0
    assert axes.error < 2e-5


@pytest.mark.parametrize(("dim", "size"), [(64, 16), (384, 48), (1024, 256)])
def test_vectors_that_lie_in_the_directions(dim, size):
    rng = np.random.default_rng(dim)
    directions = np.linalg.qr(rng.standard_normal((dim, size)))[0].astype(np.float32)
    vectors = rng.standard_normal((200, size)).astype(np.float32) @ directions.T
    vectors += 1e-4 * rng.standard_normal(vectors.shape).astype(np.float32)
    axes = make_axes(directions)
    # Nothing is left for the rest, so the rounding of the head is all there is.
    assert lowest_excess(vectors, axes) >= 0
    assert axes.error < 5e-3


def test_directions_that_are_not_orthonormal_have_a_greater_error():
    straight = np.eye(10, 3, dtype=np.float32)
    assert make_axes(straight * np.float32(1.01)).error > 0.02 > 1000 * make_axes(straight).error


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_few_numbers_are_enough_where_the_threshold_is_high_and_the_vectors_are_flat():
    rng = np.random.default_rng(1)
    flat = rng.standard_normal((2000, 96)) * 0.95 ** np.arange(96)
    turn = np.linalg.qr(rng.standard_normal((96, 96)))[0]
    sizes = [fit_axes(unit(flat @ turn), threshold).directions.shape[1] for threshold in (0.99, 0.9, 0.8)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] < 96


def test_more_numbers_where_only_alike_pairs_are_compared():
    rng = np.random.default_rng(1)
    sample = unit(rng.standard_normal((2000, 96)) * 0.95 ** np.arange(96))
    sizes = [fit_axes(sample, 0.8, compared).directions.shape[1] for compared in (1, 0.1, 0.01)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_no_bound_where_none_saves_anything():
    rng = np.random.default_rng(1)
    around = unit(rng.standard_normal((2000, 96)))
    assert fit_axes(around, 0.1) is None
    assert fit_axes(around[:5], 0.9) is None
    assert fit_axes(unit(np.ones((2000, 96))), 0.9) is None
    assert fit_axes(around[:, :4], 0.9) is None


def test_equal_samples_have_equal_axes():
    sample = unit(np.random.default_rng(1).standard_normal((500, 96)) * 0.9 ** np.arange(96))
    first, second = fit_axes(sample, 0.9), fit_axes(sample, 0.9)
    assert first.directions.tobytes() == second.directions.tobytes()
