"""k-means finds what was planted, the same for any number of threads, on all its ways."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from embedcli.vectors import choose_count as choosing
from embedcli.vectors import k_means as means
from embedcli.vectors.choose_count import choose_count
from embedcli.vectors.k_means import k_means
from tests.unit.vectors.cluster_helpers import ones, planted, same

ROWS, KINDS = planted([60, 40, 30, 20, 10, 5])


def test_planted_clusters_are_found_for_any_number_of_threads():
    found = k_means(ROWS, ones(ROWS), 6)
    assert same(found, KINDS)
    loose, _ = planted([300], dim=24, width=9)
    once = k_means(loose, ones(loose), 12, seed=3)
    for jobs in (1, 2, 3):
        assert k_means(loose, ones(loose), 12, seed=3, jobs=jobs).tolist() == once.tolist()
    assert not same(k_means(loose, ones(loose), 12, seed=4), once)


@pytest.mark.parametrize("batch_cells", [1 << 27, 1])
def test_starts_on_some_rows_go_on_with_all(monkeypatch, batch_cells):
    monkeypatch.setattr(means, "START_ROWS", 40)
    monkeypatch.setattr(means, "BATCH_CELLS", batch_cells)
    rows, kinds = planted([60, 40, 40, 30], seed=2)
    found = k_means(rows, ones(rows), 4, jobs=2)
    assert same(found, kinds)
    assert k_means(rows, ones(rows), 4).tolist() == found.tolist()


def test_copies_count_as_often_as_they_come():
    # On a line: with the first two a hundredfold, the cut goes between them.
    angles = np.array([0.0, 0.3, 0.6, 0.9])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert same(k_means(rows, ones(rows), 2), np.array([0, 0, 1, 1]))
    assert same(k_means(rows, np.array([100, 100, 1, 1], np.float32), 2), np.array([0, 1, 1, 1]))


def test_a_start_is_where_it_begins(monkeypatch):
    monkeypatch.setattr(means, "KMeans", _Recording)
    start = ROWS[:3].copy()
    k_means(ROWS, ones(ROWS), 3, start=start)
    assert _Recording.starts == [start.tolist()]


class _Recording(means.KMeans):
    starts: list[object] = []  # noqa: RUF012

    def fit(self, rows, sample_weight):
        self.starts.append(self.init.tolist())
        return super().fit(rows, sample_weight=sample_weight)


def test_each_start_has_one_thread_of_its_own(monkeypatch):
    # More would add up in another order each time.
    monkeypatch.setattr(means, "KMeans", _Counting)
    k_means(ROWS, ones(ROWS), 3, jobs=3, starts=6)
    k_means(ROWS, ones(ROWS), 3, start=ROWS[:3].copy())
    assert _Counting.threads == [1] * 7


class _Counting(means.KMeans):
    threads: list[int] = []  # noqa: RUF012

    def fit(self, rows, sample_weight):
        fitted = super().fit(rows, sample_weight=sample_weight)
        self.threads.append(fitted._n_threads)
        return fitted


def test_rows_that_hardly_differ_give_no_warning():
    rows = np.tile(np.array([[1, 0]], np.float32), (5, 1))
    rows[:, 1] = np.arange(5) * 1e-30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(k_means(rows, ones(rows), 4)) <= {0, 1, 2, 3}


# --- how many


@pytest.mark.parametrize("kinds", [2, 3, 5, 8, 12])
def test_the_number_of_planted_clusters_is_chosen(kinds):
    rows, known = planted([20 + 3 * kind for kind in range(kinds)], width=0.4, seed=kinds)
    found = choose_count(rows, ones(rows), 40, jobs=2)
    assert found.clusters == kinds
    assert found.silhouette > 0.5
    assert found.tried == 40
    assert found == choose_count(rows, ones(rows), 40)
    assert same(k_means(rows, ones(rows), found.clusters), known)


def test_no_more_are_chosen_than_allowed_and_than_can_be_compared(monkeypatch):
    rows, _ = planted([20] * 8)
    assert choose_count(rows, ones(rows), 5).clusters == 5
    for few, clusters in ((1, 1), (2, 1), (3, 2)):
        assert choose_count(rows[:few], ones(rows[:few])).clusters == clusters
    monkeypatch.setattr(choosing, "SAMPLE_ROWS", 80)
    assert choose_count(rows, ones(rows)).clusters == 8
    assert choose_count(rows, ones(rows)).tried == 79


def test_the_numbers_that_are_tried_rise_to_the_most():
    for most in (-1, 0, 1):
        assert choosing._counts(most) == []
    for most in (2, 9, 10, 11, 57, 100):
        counts = choosing._counts(most)
        assert counts[0] == 2
        assert counts[-1] == most
        assert counts == sorted(set(counts))
    assert len(choosing._counts(100)) < 30
