from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embedcli.vectors.whiten import fit_whitening, whiten


def drawn(seed, count, dim):
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(count, dim)) @ random.normal(size=(dim, dim)) + random.normal(size=dim)
    return mixed.astype(np.float32)


@given(st.integers(0, 10_000), st.integers(2, 6))
def test_without_shrinkage_the_covariance_becomes_the_identity(seed, dim):
    vectors = drawn(seed, 200, dim)
    white = whiten(vectors, fit_whitening(vectors, 0.0)).astype(np.float64)
    assert np.allclose(white.mean(axis=0), 0, atol=1e-3)
    assert np.allclose(white.T @ white / len(white), np.eye(dim), atol=5e-2)


@given(st.integers(0, 10_000))
def test_with_all_shrinkage_vectors_are_only_centred_and_scaled(seed):
    vectors = drawn(seed, 50, 4)
    white = whiten(vectors, fit_whitening(vectors, 1.0))
    centred = vectors - vectors.mean(axis=0)
    ratio = np.linalg.norm(white) / np.linalg.norm(centred)
    assert np.allclose(white, ratio * centred, rtol=1e-3, atol=1e-4)


def test_the_usual_share_is_that_of_ledoit_and_wolf():
    from sklearn.covariance import ledoit_wolf

    vectors = drawn(3, 30, 8)
    covariance, share = ledoit_wolf(vectors.astype(np.float64))
    assert 0 < share < 1
    matrix = fit_whitening(vectors).matrix
    assert np.allclose(matrix @ covariance @ matrix, np.eye(8), atol=1e-6)


def test_a_direction_without_spread_becomes_zero_and_another_mean_can_be_taken_off():
    vectors = np.array([[1, 5], [2, 5], [3, 5], [6, 5]], dtype=np.float32)
    fitted = fit_whitening(vectors, 0.0)
    white = whiten(vectors, fitted)
    assert np.all(white[:, 1] == 0)
    assert np.isclose(white[:, 0].std(), 1, atol=1e-5)
    own = whiten(vectors + 7, fitted, (vectors + 7).astype(np.float64).mean(axis=0))
    assert np.allclose(own, white, atol=1e-5)
    assert not np.allclose(whiten(vectors + 7, fitted), white)
    # One vector has no spread at all.
    assert np.array_equal(whiten(vectors[:1], fit_whitening(vectors[:1])), [[0, 0]])
