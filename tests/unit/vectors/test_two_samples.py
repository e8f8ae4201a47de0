"""A distance between two collections of vectors, and its p-value."""

from __future__ import annotations

import numpy as np
import pytest

from embedcli.vectors import two_samples
from embedcli.vectors.two_samples import SHUFFLES, difference, sampled


def around(center: int, count: int, seed: int) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    made[:, center] += 2
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def plain_energy(left: np.ndarray, right: np.ndarray) -> float:
    def apart(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.linalg.norm(one[:, None] - other[None], axis=2).mean())

    cross = 2 * apart(left, right)
    return (cross - apart(left, left) - apart(right, right)) / cross


def test_the_distance_is_the_energy_coefficient():
    left, right = around(0, 30, 1), around(1, 40, 2)
    assert difference(left, right, 0).energy == pytest.approx(plain_energy(left, right), abs=1e-5)


def test_equal_collections_differ_by_nothing_and_two_points_by_all():
    left = around(0, 30, 1)
    same = difference(left, left, 0)
    assert same.energy == pytest.approx(0, abs=1e-4)
    assert same.p == 1
    points = np.eye(8, dtype=np.float32)
    far = difference(points[[0] * 9], points[[1] * 9], 0)
    assert far.energy == pytest.approx(1)
    # No share of the shuffles is smaller than one of them all.
    assert far.p <= 2 / (1 + SHUFFLES)
    # Two vectors that are each one: the division can only be turned round.
    assert difference(points[:1], points[1:2], 0).p == 1


def test_p_is_small_for_a_planted_difference_and_evenly_spread_without_one():
    assert difference(around(0, 60, 1), around(1, 60, 2), 0).p == 1 / (1 + SHUFFLES)
    values = [difference(around(0, 40, seed), around(0, 30, seed + 100), 0).p for seed in range(30)]
    assert sum(p > 0.05 for p in values) >= 27
    assert sum(p > 0.5 for p in values) >= 8
    assert sum(p <= 0.5 for p in values) >= 8


def test_the_seed_says_how_it_is_shuffled():
    left, right = around(0, 20, 1), around(0, 20, 2)
    assert difference(left, right, 3) == difference(left, right, 3)
    assert len({difference(left, right, seed).p for seed in range(5)}) > 1


def test_a_large_collection_is_sampled(monkeypatch):
    monkeypatch.setattr(two_samples, "SAMPLE_ROWS", 25)
    assert sampled(25, 0).tolist() == list(range(25))
    chosen = sampled(200, 3)
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert len(chosen) == 25
    assert 0 <= chosen.min() < 40
    assert 160 < chosen.max() < 200
    assert chosen.tolist() == sampled(200, 3).tolist() != sampled(200, 4).tolist()
