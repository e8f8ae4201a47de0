"""Rows in lists: what lies in the lists looked into is found, and what is missed is measured."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from embedcli.vectors import kept, listed_rows, look, recall, scanned_rows
from embedcli.vectors.centroids import fit_centroids, nearest_centroids
from embedcli.vectors.listed_rows import ListedRows
from embedcli.vectors.nearest_kept import Rule
from embedcli.vectors.stars import Stars

DIM = 24


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(look, "BLOCK_ROWS", 64)
    monkeypatch.setattr(kept, "SLAB_NUMBERS", DIM * 100)
    monkeypatch.setattr(scanned_rows, "FIT_ROWS", 100)
    monkeypatch.setattr(listed_rows, "MOVED_ROWS", 30)
    monkeypatch.setattr(listed_rows, "LISTS_AT_A_TIME", 3)
    monkeypatch.setattr(recall, "SAMPLED_ROWS", 60)


def planted(count, seed=1):
    """Rows of which a third are earlier ones with a little noise, a few of zeros among them."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, DIM)).astype(np.float32) * 0.9 ** np.arange(DIM, dtype=np.float32)
    for row in range(count // 3, count, 2):
        rows[row] = rows[rng.integers(0, row)] * (1 + 0.2 * rng.standard_normal(DIM))
    rows[::101] = 0
    return rows


def run(vectors, threshold=0.95, *, given=0, block=200, jobs=1, **options):
    """Each row's answer, None where it was kept, and the stars."""
    near = Stars(DIM, threshold, jobs=jobs, **options)
    lengths = np.arange(len(vectors)) % 5 + 1
    near.keep_all(vectors[:given], np.arange(given), lengths[:given])
    answers = []
    for first in range(given, len(vectors), block):
        asked = near.look(vectors[first : first + block], lengths[first : first + block])
        for row in range(len(vectors[first : first + block])):
            answers.append(asked.nearest(row))
            if answers[-1] is None:
                asked.keep(row, first + row)
    near.look(vectors[:0], lengths[:0])
    near.close()
    return answers, near


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("given", [0, 300])
def test_all_lists_are_all_rows(jobs, given, monkeypatch):
    monkeypatch.setattr(listed_rows, "LOOKED_INTO", 10_000)
    rows = planted(1500)
    lists = partial(ListedRows, list_from=150)
    options = {"given": given, "length_ratio": 0.4}
    answers, near = run(rows, rows=lists, jobs=jobs, **options)
    assert answers == run(rows, **options)[0]
    # Made anew when there were four times as many.
    assert len(near._recent._lists) > 20
    assert near._recent.count == sum(slab.count for slab in near._recent._lists) == answers.count(None)


def test_a_low_threshold_has_lists_without_bounds(monkeypatch):
    monkeypatch.setattr(listed_rows, "LOOKED_INTO", 10_000)
    rows = planted(600)
    answers, near = run(rows, 0.4, rows=partial(ListedRows, list_from=20))
    assert near._recent._lists
    assert near._recent._axes is None
    assert answers == run(rows, 0.4)[0]


@pytest.mark.parametrize("jobs", [1, 2])
def test_few_lists_find_most_and_the_recall_says_how_much(jobs, monkeypatch):
    monkeypatch.setattr(listed_rows, "LOOKED_INTO", 2)
    monkeypatch.setattr(recall, "SAMPLED_ROWS", 10_000)
    rows = planted(2000)
    answers, near = run(rows, rows=partial(ListedRows, list_from=300), jobs=jobs, block=64)
    assert answers == run(rows, rows=partial(ListedRows, list_from=300), block=64)[0]
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    kept_rows = np.array([answer is None for answer in answers])
    measured = near.recall()
    found = missed = unknown = 0
    for row in range(len(rows) - measured.sampled, len(rows)):
        start, answer = row - row % 64, answers[row]
        if (unit[:start] @ unit[row])[kept_rows[:start]].max() >= 0.95:
            found += answer is not None and answer.number < start
            missed += answer is None
            # Something of the same part was nearer, which is compared apart.
            unknown += answer is not None and answer.number >= start
    assert measured.sampled > 1000
    assert missed > 3
    assert measured.near == found + missed + unknown
    assert found <= measured.found <= found + unknown < found + missed
    assert 0.5 < measured.ratio < 1


def test_the_sample_is_bounded_and_spread():
    sample = recall.RecallSample()
    rows = kept.rounded(np.ones((50, DIM), np.float32), np.arange(50))
    for start in range(0, 50 * 70, 50):
        block = rows._replace(lengths=np.arange(start, start + 50))
        sample.take(block, recall.Best(block, Rule(0.9, 0, 0)), 0)
        assert len(sample._rows) < 120
    places = [int(row.lengths[0]) for row in sample._rows]
    assert len(places) >= 60
    assert places == list(range(0, 50 * 70, places[1]))


def test_exact_answers_have_no_recall_to_measure():
    rows = planted(300)
    assert run(rows)[1].recall() is None
    assert run(rows, rows=partial(ListedRows, list_from=10_000))[1].recall() is None


def test_centroids_are_the_middles_of_what_is_nearest_to_them():
    rng = np.random.default_rng(3)
    middles = np.eye(5, DIM, dtype=np.float32)
    rows = np.repeat(middles, 40, axis=0) + 0.05 * rng.standard_normal((200, DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    centroids = fit_centroids(rows[rng.permutation(200)], 12)
    assert np.allclose(np.linalg.norm(centroids, axis=1), 1)
    own = nearest_centroids(rows, centroids, 1)[:, 0]
    assert (centroids[own] * rows).sum(axis=1).min() > 0.95
    # No list holds rows of two groups.
    assert all(len(set(np.flatnonzero(own == one) // 40)) <= 1 for one in range(12))
    nearest = nearest_centroids(rows, centroids, 3)
    best = np.sort(rows @ centroids.T, axis=1)[:, -3:]
    assert np.allclose(np.sort(np.take_along_axis(rows @ centroids.T, nearest, axis=1), axis=1), best)


def test_a_slab_grows_with_its_rows_and_heads():
    slab = kept.Slab(2, DIM)
    rows = kept.rounded(planted(6), np.arange(6))
    heads = np.arange(18, dtype=np.float32).reshape(6, 3)
    assert slab.add(rows, np.arange(6), heads) == 2
    slab = slab.grown(10)
    assert slab.add(rows.take(slice(2, None)), np.arange(2, 6), heads[2:]) == 4
    piece = slab.piece()
    assert piece.heads.tolist() == heads.tolist()
    assert piece.numbers.tolist() == list(range(6))
    assert piece.rows.halves.tobytes() == rows.halves.tobytes()
    assert slab.piece(slice(4, 99)).numbers.tolist() == [4, 5]


def test_rows_are_gathered_by_their_positions():
    rows, all_rows = planted(350), kept.KeptRows(DIM)
    both = kept.rounded(rows, np.arange(350))
    all_rows.add(both, np.arange(350) * 7)
    positions = np.random.default_rng(2).integers(0, 350, 500)
    piece = all_rows.gather(positions)
    assert piece.numbers.tolist() == (positions * 7).tolist()
    assert piece.rows.lengths.tolist() == positions.tolist()
    assert piece.rows.halves.tobytes() == both.halves[positions].tobytes()
