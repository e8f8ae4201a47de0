"""Layouts: what belongs together stays together, and two equal runs are equal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.manifold import trustworthiness as reference

from embedcli.vectors import landmarks
from embedcli.vectors.landmarks import landmark_tsne
from embedcli.vectors.layout import principal
from embedcli.vectors.normalize import normalize
from embedcli.vectors.picture import boxed
from embedcli.vectors.trust import trustworthiness


def openstne():
    pytest.importorskip("openTSNE")
    from embedcli.vectors.tsne import tsne

    return tsne


def planted(groups: int, size: int, dim: int = 16, seed: int = 0):
    """Vectors around some centres, mixed, and the centre of each."""
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(np.repeat(np.arange(groups), size))
    centres = normalize(rng.standard_normal((groups, dim)).astype(np.float32))
    spread = 0.1 * rng.standard_normal((len(kinds), dim)).astype(np.float32)
    return normalize(centres[kinds] + spread), kinds


def same_kind(points, kinds) -> float:
    """The share of points whose nearest other point is of their kind."""
    far = np.square(points[:, None] - points).sum(axis=2)
    np.fill_diagonal(far, np.inf)
    return float((kinds[far.argmin(axis=1)] == kinds).mean())


@pytest.mark.parametrize("name", ["openTSNE", "scikit-learn", "landmarks"])
def test_groups_stay_together_and_nothing_depends_on_threads(name, monkeypatch):
    if name == "landmarks":
        monkeypatch.setattr(landmarks, "LANDMARKS", 60)
    way = openstne() if name == "openTSNE" else landmark_tsne
    vectors, kinds = planted(8, 15)
    points = way(vectors, seed=3, jobs=1)
    assert points.shape == (120, 2)
    assert points.dtype == np.float32
    assert same_kind(points, kinds) > 0.95
    assert same_kind(principal(vectors), kinds) < 0.9
    assert way(vectors, seed=3, jobs=2).tobytes() == points.tobytes()
    assert way(vectors, seed=4, jobs=1).tobytes() != points.tobytes()


@pytest.mark.parametrize("rows", [4, 5, 9])
def test_a_handful_of_texts_has_places_too(rows):
    vectors, _ = planted(rows, 1)
    for way in (openstne(), landmark_tsne):
        points = way(vectors)
        assert np.isfinite(points).all()
        assert len(np.unique(points, axis=0)) == rows


def test_rows_beside_a_landmark_stay_nearer_to_it_than_to_the_next_one(monkeypatch):
    monkeypatch.setattr(landmarks, "LANDMARKS", 30)
    vectors, _ = planted(10, 20)
    points = landmark_tsne(vectors, seed=1)
    chosen = np.sort(np.random.default_rng(1).permutation(len(vectors))[:30])
    nearest = (vectors @ vectors[chosen].T).argmax(axis=1)
    far = np.hypot(*(points[:, None] - points[chosen]).transpose(2, 0, 1))
    own = far[np.arange(len(points)), nearest]
    assert (own <= far.min(axis=1) + 1e-4 * far.max()).all()
    # They are beside it, and not all on top of it.
    assert len(np.unique(points, axis=0)) == len(points)


@settings(max_examples=30)
@given(st.integers(0, 1 << 16), st.integers(0, 12), st.integers(1, 6))
def test_principal_components_are_those_of_numpy_with_signs_of_their_own(seed, rows, dim):
    vectors = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    found = principal(vectors)
    assert found.shape == (rows, 2)
    if rows < 2:
        assert not found.any()
        return
    centred = (vectors - vectors.mean(axis=0)).astype(np.float64)
    sizes = np.linalg.svd(centred, compute_uv=False)
    wanted = np.zeros(2)
    wanted[: len(sizes[:2])] = sizes[:2]
    assert np.allclose(np.linalg.norm(found, axis=0), wanted, atol=1e-3)


def test_a_picture_is_never_mirrored():
    for seed in range(6):
        rng = np.random.default_rng(seed)
        vectors = (rng.standard_normal((200, 5)) * [0.1, 3, 0.1, 9, 0.1]).astype(np.float32)
        found = principal(vectors)
        assert (found * (vectors - vectors.mean(axis=0))[:, [3, 1]]).sum(axis=0).min() > 0


def test_trust_is_that_of_scikit_learn_on_a_sample():
    vectors, _ = planted(20, 20)
    points = principal(vectors)
    assert trustworthiness(vectors, points) == reference(vectors, points, n_neighbors=10, metric="cosine")
    shuffled = points[np.random.default_rng(0).permutation(len(points))]
    assert abs(trustworthiness(vectors, shuffled) - 0.5) < 0.05
    many, _ = planted(50, 50)
    assert trustworthiness(many, principal(many), seed=5) != trustworthiness(many, principal(many), seed=6)


@given(st.lists(st.tuples(*[st.floats(-1e3, 1e3, width=32)] * 2), max_size=8))
def test_a_box_keeps_shapes(pairs):
    points = np.array(pairs, dtype=np.float32).reshape(-1, 2)
    found = boxed(points)
    if len(np.unique(points, axis=0)) < 2:
        assert not found.any()
        return
    assert found.min(axis=0).tolist() == [0, 0]
    assert found.max() == 1
    spread = np.ptp(points, axis=0).max()
    assert np.allclose(found * spread, points - points.min(axis=0), atol=1e-3)
