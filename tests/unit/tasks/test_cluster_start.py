"""Runs that start from an earlier one: near it, and still what the method promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.tasks.cluster import ClusterSettings, cluster_rows
from embedcli.vectors.clusters import NOISE, Start, group_stats
from embedcli.vectors.metric import pair_cosines
from embedcli.vectors.normalize import normalize

SETTINGS = {
    "kmeans": ClusterSettings("kmeans", count=6),
    "communities": ClusterSettings("communities"),
    "threshold": ClusterSettings("threshold", threshold=0.8),
    "density": ClusterSettings("density", min_size=5),
}


def rows_around(topics: int, count: int, seed: int = 0, width: float = 0.35) -> np.ndarray:
    rng = np.random.default_rng(seed)
    middles = normalize(np.random.default_rng(99).normal(size=(topics, 16)).astype(np.float32))
    spread = rng.normal(scale=width / 4, size=(count, 16)).astype(np.float32)
    return normalize(middles[rng.integers(0, topics, count)] + spread)


def anywhere(count: int, seed: int) -> np.ndarray:
    return normalize(np.random.default_rng(seed).normal(size=(count, 5)).astype(np.float32))


def start_from(vectors: np.ndarray, how: ClusterSettings, known: np.ndarray) -> tuple[np.ndarray, Start]:
    """Cluster rows; return their labels, and a start for a run of the known ones and as many new ones."""
    weights = np.ones(len(vectors), np.float32)
    found = cluster_rows(vectors, weights, how)
    stats = group_stats(vectors, found.labels, weights)
    means = (stats.centroids * stats.cohesion[:, np.newaxis]).astype(np.float32)
    return found.labels, Start(
        np.append(found.labels[known], np.full(len(known), NOISE)), means, found.middles
    )


@pytest.mark.parametrize("method", ["kmeans", "communities", "threshold"])
def test_a_start_keeps_rows_together(method: str) -> None:
    # Rows without any topics: every run cuts them elsewhere.
    vectors, known = anywhere(400, 0), np.flatnonzero(np.arange(400) % 10)
    labels, start = start_from(vectors, SETTINGS[method], known)
    both = np.concatenate([vectors[known], anywhere(40, 1)])
    start = start._replace(labels=np.append(labels[known], np.full(40, NOISE)))
    weights = np.ones(len(both), np.float32)

    def moved(with_start: Start | None) -> float:
        found = cluster_rows(both, weights, SETTINGS[method], 1, with_start).labels[: len(known)]
        same = (found[:, None] == found) & (found[:, None] != NOISE)
        return float(
            np.mean(same != ((labels[known][:, None] == labels[known]) & (labels[known][:, None] != NOISE)))
        )

    assert moved(start) < 0.75 * moved(None)


@pytest.mark.parametrize("method", list(SETTINGS))
def test_starts_of_another_method_or_number_do_no_harm(method: str) -> None:
    vectors = rows_around(6, 120)
    weights = np.ones(120, np.float32)
    for other in SETTINGS.values():
        _, start = start_from(vectors, other, np.arange(60))
        found = cluster_rows(vectors, weights, SETTINGS[method], 1, start)
        assert len(found.labels) == 120
        assert set(found.labels) - {NOISE} == set(range(found.labels.max() + 1))


@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=20)
def test_rows_of_a_star_are_near_to_its_middle(seed: int, assign_noise: bool) -> None:
    how = replace(SETTINGS["threshold"], assign_noise=assign_noise)
    vectors, known = rows_around(8, 60, seed, width=0.7), np.arange(30)
    _, start = start_from(vectors, how, known)
    both = np.concatenate([vectors[known], rows_around(8, 30, seed + 1, width=0.7)])
    found = cluster_rows(both, np.ones(60, np.float32), replace(how, assign_noise=False), 1, start)
    inside = found.labels != NOISE
    assert found.middles is not None
    assert found.middles.shape == (found.labels.max() + 1, 16)
    assert (pair_cosines(both[inside], found.middles[found.labels[inside]]) > 0.798).all()
    # Who was near stays, though the row in the middle may be no more.
    was = start.labels != NOISE
    assert start.middles is not None
    near = was.copy()
    near[was] = pair_cosines(both[was], start.middles[start.labels[was]]) > 0.802
    for label in set(start.labels[near].tolist()):
        assert len(set(found.labels[near & (start.labels == label)].tolist())) == 1


def test_copies_of_rows_start_where_the_first_does() -> None:
    vectors = rows_around(4, 40)
    labels, start = start_from(vectors, SETTINGS["threshold"], np.arange(20))
    both = np.concatenate([vectors, vectors])
    start = start._replace(labels=np.concatenate([labels, np.full(40, NOISE)]))
    found = cluster_rows(both, np.ones(80, np.float32), SETTINGS["threshold"], 1, start)
    assert found.labels[:40].tolist() == found.labels[40:].tolist()
