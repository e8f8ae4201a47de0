"""Communities of a graph of neighbours, density on it, and stars."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.vectors import density
from embedcli.vectors.clusters import NOISE
from embedcli.vectors.communities import (
    _modularity,
    communities,
    communities_of_count,
    mean_cosine,
    neighbor_graph,
)
from embedcli.vectors.density import dense_clusters
from embedcli.vectors.metric import cosine
from embedcli.vectors.neighbors import Neighbors, nearest_neighbors
from embedcli.vectors.normalize import normalize
from embedcli.vectors.star_clusters import star_clusters
from embedcli.vectors.stars import Stars
from tests.unit.vectors.cluster_helpers import ones, planted, same


def graph_of(rows, count=5):
    return neighbor_graph(nearest_neighbors(rows, count), mean_cosine(rows))


def rows_anywhere(count, seed, dim=6):
    return normalize(np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32))


@settings(max_examples=30)
@given(st.integers(2, 40), st.integers(1, 8), st.integers(0, 99))
def test_links_weigh_how_much_nearer_than_usual_two_rows_are(count, nearest, seed):
    rows = rows_anywhere(count, seed)
    pairs = [float(cosine(rows[one + 1 :], rows[one]).sum()) for one in range(count)]
    base = mean_cosine(rows)
    assert base == pytest.approx(sum(pairs) / (count * (count - 1) / 2), abs=1e-6)
    near = nearest_neighbors(rows, nearest)
    links = neighbor_graph(near, base).toarray()
    assert (links == links.T).all()
    joined = {frozenset((one, int(other))) for one, others in enumerate(near.rows) for other in others}
    assert {frozenset(map(int, pair)) for pair in np.argwhere(links)} == joined
    for one, other in map(tuple, joined):
        above = max(0.0, (float(rows[one] @ rows[other]) - base) / (1 - base))
        assert links[one, other] == pytest.approx(max(above**2, 1e-6), abs=1e-5)


def test_equal_rows_and_rows_as_far_as_any_have_links_too():
    near = Neighbors(np.array([[1], [0]], np.int32), np.ones((2, 1), np.float32))
    assert neighbor_graph(near, 1.0).toarray().tolist() == [[0, 1e-6], [1e-6, 0]]
    assert neighbor_graph(near, 0.5).toarray().tolist() == [[0, 1], [1, 0]]


@settings(max_examples=30)
@given(st.integers(2, 30), st.integers(0, 99))
def test_the_modularity_is_that_of_its_definition(count, seed):
    graph = graph_of(rows_anywhere(count, seed), 3)
    labels = np.random.default_rng(seed).integers(0, 4, count)
    weights = graph.toarray()
    degrees, total = weights.sum(axis=1), weights.sum()
    expected = sum(
        weights[one, other] / total - degrees[one] * degrees[other] / total**2
        for one in range(count)
        for other in range(count)
        if labels[one] == labels[other]
    )
    assert _modularity(graph, labels) == pytest.approx(expected)


def test_planted_communities_are_found_and_the_resolution_says_how_fine():
    rows, kinds = planted([40, 30, 20, 12], width=1.0)
    graph = graph_of(rows, 8)
    found = communities(graph)
    assert found.modularity == pytest.approx(_modularity(graph, kinds), abs=0.05)
    assert (
        communities(graph, resolution=0.05).labels.max()
        < found.labels.max()
        < communities(graph, resolution=40).labels.max()
    )
    # As a whole each planted one is together where that is what is wanted.
    assert same(communities_of_count(graph, 4).labels, kinds)


@pytest.mark.parametrize("count", [1, 2, 7, 30, 90])
def test_a_number_of_communities_is_met_as_nearly_as_can_be(count):
    graph = graph_of(rows_anywhere(200, 1), 6)
    found = communities_of_count(graph, count)
    assert abs(int(found.labels.max()) + 1 - count) <= max(1, count // 20)
    again = communities(graph, resolution=found.resolution)
    assert again.labels.tolist() == found.labels.tolist()


def test_runs_of_one_seed_are_equal():
    graph = graph_of(rows_anywhere(300, 2), 6)
    assert communities(graph, seed=5).labels.tolist() == communities(graph, seed=5).labels.tolist()


def test_parts_that_no_link_joins_stay_apart():
    rows, kinds = planted([12, 12], width=0.1)
    graph = graph_of(rows, 3)
    assert len({*zip(communities_of_count(graph, 1).labels.tolist(), kinds.tolist(), strict=True)}) >= 2
    found = dense_clusters(rows, nearest_neighbors(rows, 3), 5)
    assert same(found, kinds)


# --- density


def test_dense_rows_are_found_and_rows_between_them_are_noise():
    rows, kinds = planted([60, 50, 40], dim=64, width=0.6, seed=3)
    stray = rows_anywhere(25, 4, dim=64)
    every = np.concatenate([rows, stray])
    near = nearest_neighbors(every, 15)
    found = dense_clusters(every, near, 10)
    inside = found[: len(rows)]
    assert same(inside[inside != NOISE], kinds[inside != NOISE])
    assert (inside != NOISE).mean() > 0.95
    assert (found[len(rows) :] == NOISE).mean() > 0.5
    for jobs in (1, 3):
        assert dense_clusters(every, near, 10, jobs=jobs).tolist() == found.tolist()
    assert dense_clusters(every, near, 45).max() < found.max()


def test_rows_move_together_so_that_fewer_are_noise(monkeypatch):
    rows, kinds = planted([50, 50, 50, 50], dim=64, width=1.7, seed=1)
    near = nearest_neighbors(rows, 15)
    found = dense_clusters(rows, near, 10)
    monkeypatch.setattr(density, "MOVES", 0)
    still = dense_clusters(rows, near, 10)
    assert (found == NOISE).mean() < 0.1 < 0.3 < (still == NOISE).mean()
    pairs = np.unique(np.stack([found, kinds])[:, found != NOISE], axis=1, return_counts=True)[1]
    assert np.sort(pairs)[-4:].sum() > 0.95 * len(rows)


@pytest.mark.parametrize("count", [2, 3, 9])
def test_too_few_rows_are_noise(count):
    rows = rows_anywhere(count, 0)
    assert set(dense_clusters(rows, nearest_neighbors(rows, 15), 10)) == {NOISE}
    assert len(dense_clusters(rows, nearest_neighbors(rows, 15), 2)) == count


# --- stars


@settings(max_examples=40)
@given(st.integers(2, 60), st.sampled_from([-1.0, 0.0, 0.4, 0.8, 1.0]), st.integers(0, 99), st.integers(1, 3))
def test_every_row_is_within_the_threshold_of_its_middle_and_no_middle_of_another(
    count, threshold, seed, jobs
):
    rows = rows_anywhere(count, seed, dim=4)
    with Stars(4, threshold, jobs=jobs) as stars:
        found = star_clusters(rows, ones(rows), nearest_neighbors(rows, 5), stars)
    assert set(found.labels) == set(range(len(found.middles)))
    # As `Stars` compares them, rounded.
    halves = normalize(rows).astype(np.float16)
    middles = normalize(found.middles).astype(np.float16)
    near = np.stack([cosine(middles, row) for row in halves])
    assert (near[np.arange(count), found.labels] >= threshold).all()
    between = np.stack([cosine(middles, row) for row in middles])
    np.fill_diagonal(between, -2)
    assert (between < threshold).all()


def test_the_row_with_the_most_company_is_the_middle():
    angles = np.array([0.0, 0.2, 0.4, 2.0])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    near = nearest_neighbors(rows, 3)
    with Stars(2, 0.95) as stars:
        found = star_clusters(rows, ones(rows), near, stars)
    # The first row in the input reaches one other, the second both.
    assert found.labels.tolist() == [0, 0, 0, 1]
    with Stars(2, 0.95) as stars:
        # Many copies of the first draw the middle there.
        found = star_clusters(rows, np.array([50, 1, 1, 1], np.float32), near, stars)
    assert found.labels.tolist() == [0, 0, 1, 2]
