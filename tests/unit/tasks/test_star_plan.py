"""Plans find the same, or say how much of it."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from embedcli.errors import MissingExtraError, UsageError
from embedcli.tasks import star_plan
from embedcli.tasks.star_plan import make_stars
from embedcli.vectors import kept, listed_rows

DIM = 32


def planted(count=1200):
    """Rows of which each third is an earlier one with a little noise, and a few of zeros."""
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((count, DIM)).astype(np.float32)
    for row in range(3, count, 3):
        rows[row] = rows[rng.integers(0, row)] + 0.05 * rng.standard_normal(DIM)
    rows[::97] = 0
    return rows


def answers_of(plan, rows, block=300, **options):
    with make_stars(DIM, 0.9, plan, **options) as near:
        found = []
        near.keep_all(rows[:100], np.arange(100), np.ones(100))
        for first in range(100, len(rows), block):
            part = rows[first : first + block]
            look = near.look(part, np.ones(len(part)))
            for row in range(len(part)):
                found.append(look.nearest(row))
                if found[-1] is None:
                    look.keep(row, first + row)
        return found, near.recall()


def test_auto_is_exact_while_there_are_few_rows():
    rows = planted()
    assert answers_of("auto", rows) == answers_of("exact", rows)
    assert answers_of("auto", rows)[1] is None


def test_auto_goes_on_by_lists(monkeypatch):
    monkeypatch.setattr(star_plan, "EXACT_ROWS", 200)
    found, recall = answers_of("auto", planted())
    assert recall.sampled > 500
    assert recall.ratio > 0.9
    assert sum(answer is not None for answer in found) > 250


def test_blocks_and_a_graph_find_most(monkeypatch):
    monkeypatch.setattr(listed_rows, "LIST_FROM", 200)
    exact, _ = answers_of("exact", planted())
    for plan in ("blocks", "hnsw"):
        if plan == "hnsw":
            pytest.importorskip("hnswlib")
        found, recall = answers_of(plan, planted())
        assert recall.near > 200
        assert recall.ratio > 0.97
        same = [mine == theirs for mine, theirs in zip(found, exact, strict=True)]
        assert np.mean(same) > 0.97


@pytest.mark.parametrize("block", [50, 1100])
def test_a_graph_is_the_same_for_any_threads_and_grows(monkeypatch, block):
    pytest.importorskip("hnswlib")
    from embedcli.index import star_graph

    monkeypatch.setattr(star_graph, "ROOM", 10)
    monkeypatch.setattr(kept, "SLAB_NUMBERS", DIM * 100)
    first = answers_of("hnsw", planted(), block=block, jobs=1)
    assert first == answers_of("hnsw", planted(), block=block, jobs=2)
    assert first[1].ratio > 0.97


def test_rows_of_zeros_alone_make_no_graph():
    pytest.importorskip("hnswlib")
    with make_stars(DIM, -1.0, "hnsw") as near:
        near.keep_all(np.zeros((3, DIM), np.float32), np.arange(3), np.ones(3))
        assert near.look(np.ones((1, DIM), np.float32), np.ones(1)).nearest(0) is None


def test_a_window_is_compared_all():
    rows = planted()
    assert answers_of("auto", rows, window=50) == answers_of("exact", rows, window=50)
    for plan in ("blocks", "hnsw"):
        with pytest.raises(UsageError, match="window"):
            make_stars(DIM, 0.9, plan, window=50)
    with pytest.raises(UsageError, match="no plan 'best'") as caught:
        make_stars(DIM, 0.9, "best")
    assert "auto, exact, blocks, hnsw" in caught.value.hint


def test_without_hnswlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    with pytest.raises(MissingExtraError, match="ann"):
        make_stars(DIM, 0.9, "hnsw")
