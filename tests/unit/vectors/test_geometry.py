"""The shape of a cloud of vectors, on clouds whose shape is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import skew
from sklearn.neighbors import NearestNeighbors

from embedcli.vectors import geometry
from embedcli.vectors.geometry import (
    GeometrySurvey,
    alignment,
    effective_rank,
    hubness,
    intrinsic_dimension,
    uniformity,
)


def cloud(rows: int, directions: int, dim: int, seed: int = 0) -> np.ndarray:
    """Gaussian in some directions of a larger space."""
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(random.normal(size=(dim, directions)))[0]
    return (random.normal(size=(rows, directions)) @ turn.T).astype(np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def survey(*blocks: np.ndarray) -> geometry.Geometry:
    taken = GeometrySurvey()
    for block in blocks:
        taken.add(block)
    return taken.measure()


@pytest.mark.parametrize("directions", [1, 2, 5, 10, 20, 50])
def test_the_effective_rank_of_a_gaussian_is_its_number_of_directions(directions):
    found = effective_rank(cloud(1_000, directions, 128))
    assert found == pytest.approx(directions, rel=0.1)
    # Fewer rows than numbers: the other product.
    assert effective_rank(cloud(100, 3, 128)) == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize("directions", [2, 5, 10])
def test_the_intrinsic_dimension_of_a_gaussian_is_its_number_of_directions(directions):
    assert intrinsic_dimension(cloud(2_000, directions, 64)) == pytest.approx(directions, rel=0.1)


def test_above_ten_the_intrinsic_dimension_is_a_lower_bound():
    assert 14 < intrinsic_dimension(cloud(2_000, 20, 64)) < 20


def test_equal_rows_count_once_for_the_intrinsic_dimension():
    rows = cloud(500, 3, 16)
    assert intrinsic_dimension(np.concatenate((rows, rows))) == pytest.approx(intrinsic_dimension(rows))
    assert intrinsic_dimension(np.repeat(rows[:5], 100, axis=0)) is None
    # Different rows at no distance that float64 knows.
    near = 1 + np.arange(40, dtype=np.float32)[:, None] ** 2 * np.finfo(np.float32).eps
    assert np.isfinite(intrinsic_dimension(np.repeat(near, 300, axis=1)))


def test_one_vector_over_and_over_has_rank_one():
    found = survey(np.repeat(cloud(1, 8, 8), 50, axis=0))
    assert found.effective_rank == pytest.approx(1)
    assert (found.duplicates, found.intrinsic_dim) == (49, None)
    assert found.mean_cosine == pytest.approx(1)
    assert found.uniformity == pytest.approx(0)


def test_rows_without_a_direction_are_counted_and_left_out():
    rows = cloud(60, 4, 8)
    bad = np.array([[np.nan] * 8, [np.inf] + [0] * 7, [0] * 8], dtype=np.float32)
    found = survey(rows[:10], bad, rows[10:])
    alone = survey(rows)
    assert (found.rows, found.non_finite, found.zero, found.sampled) == (63, 2, 1, 60)
    assert found.effective_rank == pytest.approx(alone.effective_rank)
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    assert found.norms == pytest.approx((lengths.min(), lengths.mean(), lengths.max()))
    assert survey(np.full((2, 3), 1e200)).non_finite == 2
    assert survey(bad)[4:] == (0, None, 0, None, None, None, None, None)


def test_too_few_rows_have_no_pairs():
    found = survey(cloud(1, 4, 8))
    assert found.effective_rank == pytest.approx(1)
    assert (found.mean_cosine, found.uniformity, found.intrinsic_dim, found.hubness) == (None,) * 4


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(0, 3))
def test_blocks_change_nothing_and_a_sample_is_of_all_rows(sizes, seed):
    rows = cloud(sum(sizes), 4, 6, seed)
    blocks = np.split(rows, np.cumsum(sizes)[:-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geometry, "SAMPLE_ROWS", 20)
        found = survey(*blocks)
        assert found == survey(rows)
    assert found.sampled == min(20, len(rows))
    assert found.rows == len(rows)


def test_pair_measures_are_those_of_all_pairs():
    rows = unit(cloud(50, 6, 8))
    apart = ((rows[:, None].astype(np.float64) - rows[None]) ** 2).sum(axis=2)
    pairs = apart[~np.eye(50, dtype=bool)]
    assert uniformity(rows) == pytest.approx(np.log(np.exp(-2 * pairs).mean()))
    assert survey(rows).mean_cosine == pytest.approx((1 - pairs / 2).mean(), abs=1e-6)
    assert alignment(rows[:25], rows[25:]) == pytest.approx(np.mean([apart[i, i + 25] for i in range(25)]))
    assert alignment(rows, -rows) == pytest.approx(4, rel=1e-6)


def test_hubness_is_the_skewness_of_being_a_neighbour():
    rows = unit(cloud(200, 8, 8))
    near = np.argsort(-(rows @ rows.T) + 4 * np.eye(200), axis=1)[:, :10]
    counts = np.bincount(near.ravel(), minlength=200)
    assert hubness(rows) == pytest.approx(skew(counts))
    # A row in the middle is near to everything.
    spread = unit(cloud(300, 200, 200, 1))
    hub = np.concatenate((spread, unit(spread.sum(axis=0, keepdims=True))))
    assert hubness(hub) > hubness(spread) + 1.5
    assert hubness(rows[:19]) is None


def test_the_intrinsic_dimension_is_the_published_line_through_the_origin():
    rows = cloud(300, 6, 12)
    near = NearestNeighbors(n_neighbors=3).fit(rows.astype(np.float64)).kneighbors()[0]
    ratios = np.sort(np.log(near[:, 1] / near[:, 0]))[:270]
    slope = np.linalg.lstsq(ratios[:, None], -np.log(1 - np.arange(1, 271) / 300), rcond=None)[0][0]
    assert intrinsic_dimension(rows) == pytest.approx(slope, rel=1e-6)
