"""What is left for many queries at once holds the exact answer of each, and little more."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedcli.errors import UsageError
from embedcli.vectors import exact_batch
from embedcli.vectors.exact import TopK, safe_margin
from embedcli.vectors.exact_batch import BatchCandidates
from embedcli.vectors.metric import cosine


def exact_rows(rows, query, k, min_score, dead):
    top = TopK(query, k, min_score)
    top.add(rows, dead=dead)
    return {row for row, _ in top.result(ties=True)}


def candidates(rows, queries, k, min_score=None, dead=None, cuts=()):
    batch = BatchCandidates(queries, k, min_score)
    for first, end in itertools.pairwise([0, *cuts, len(rows)]):
        batch.add(rows[first:end], first, None if dead is None else dead[first:end])
    return batch.result()


@st.composite
def cases(draw):
    """Rows with many ties (small whole numbers), queries, marks, k, a limit and cuts."""
    dtype = draw(st.sampled_from([np.float32, np.float16, np.int8]))
    numbers = st.integers(-2, 2)
    if dtype != np.int8 and draw(st.booleans()):
        numbers |= st.integers(-1024, 1024).map(lambda number: number / 256)
    dim, count = draw(st.integers(1, 6)), draw(st.integers(0, 60))
    rows = draw(arrays(dtype, (count, dim), elements=numbers))
    asked = draw(st.integers(1, 4))
    queries = draw(arrays(np.float32, (asked, dim), elements=st.integers(-2, 2) | st.floats(-1, 1, width=32)))
    dead = draw(arrays(np.bool_, count, elements=st.sampled_from([False, False, True])))
    limits = st.none() | st.floats(-1, 1)
    if count:
        # Exactly what a row has: the limit is inclusive.
        limits |= st.integers(0, count - 1).map(
            lambda number: float(cosine(rows[number : number + 1], queries[0])[0])
        )
    cuts = sorted(draw(st.lists(st.integers(0, count), max_size=4)))
    return rows, queries, dead, draw(st.integers(1, 8)), draw(limits), cuts


@given(cases(), st.integers(1, 100))
def test_candidates_hold_the_exact_answer_and_nothing_far_behind_it(case, cells):
    rows, queries, dead, k, min_score, cuts = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact_batch, "_CELLS", cells)
        found = candidates(rows, queries, k, min_score, dead, cuts)
    assert len(found) == len(queries)
    margin = safe_margin(rows.shape[1])
    for own, query in zip(found, queries, strict=True):
        assert exact_rows(rows, query, k, min_score, dead) <= set(own.tolist())
        assert own.tolist() == sorted(set(own.tolist()))
        assert not dead[own].any()
        assert rows[own].any(axis=1).all(), "a row of zeros"
        if not query.any():
            continue
        scores = cosine(rows, query)
        best = np.sort(scores[~dead & rows.any(axis=1)])[::-1]
        if len(best) > k:
            assert (scores[own] >= best[k - 1] - 4 * margin).all()
        if min_score is not None:
            assert (scores[own] >= min_score - 3 * margin).all()


@given(cases())
def test_dead_marks_that_mark_nothing_change_nothing(case):
    rows, queries, _, k, min_score, cuts = case
    without = candidates(rows, queries, k, min_score, None, cuts)
    marked = candidates(rows, queries, k, min_score, np.zeros(len(rows), bool), cuts)
    assert [own.tolist() for own in without] == [own.tolist() for own in marked]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("block", [97, 1000, 5000])
def test_few_rows_are_left_of_many(dtype, block):
    rng = np.random.default_rng(1)
    rows, queries = rng.standard_normal((5000, 48)).astype(dtype), rng.standard_normal((30, 48))
    queries = queries.astype(np.float32)
    found = candidates(rows, queries, 10, cuts=range(block, 5000, block))
    for own, query in zip(found, queries, strict=True):
        assert exact_rows(rows, query, 10, None, None) <= set(own.tolist())
        assert len(own) <= 12


@pytest.mark.parametrize("block", [50, 1000])
def test_rows_that_only_exact_arithmetic_tells_apart(block):
    rng = np.random.default_rng(7)
    query = rng.standard_normal(256).astype(np.float32)
    rows = (query + rng.standard_normal((1000, 256)) * 1e-4).astype(np.float32)
    (own, other) = candidates(rows, np.stack((query, -query)), 10, cuts=range(block, 1000, block))
    assert exact_rows(rows, query, 10, None, None) <= set(own.tolist())
    assert exact_rows(rows, -query, 10, None, None) <= set(other.tolist())


def test_all_that_tie_with_the_last_place_stay():
    rows = np.ones((300, 3), np.float32)
    rows[5] = [1, 1, 0]
    queries = np.array([[1, 1, 0], [1, 1, 1]], np.float32)
    first, second = candidates(rows, queries, 2, cuts=range(20, 300, 20))
    assert first.tolist() == list(range(300))
    assert second.tolist() == [row for row in range(300) if row != 5]


def test_queries_do_not_disturb_each_other():
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((400, 8)).astype(np.float32)
    queries = np.concatenate((np.zeros((1, 8)), rng.standard_normal((5, 8)))).astype(np.float32)
    queries[3] *= 1e-3
    together = candidates(rows, queries, 3, cuts=(100, 101, 350))
    for own, query in zip(together[1:], queries[1:], strict=True):
        alone = candidates(rows, query[np.newaxis], 3, cuts=(100, 101, 350))[0]
        exact = exact_rows(rows, query, 3, None, None)
        assert exact <= set(own.tolist())
        assert exact <= set(alone.tolist())
        assert len(own) == len(alone) == 3


def test_a_query_of_zeros_leaves_nothing_to_compare():
    rows = np.random.default_rng(3).standard_normal((500, 4)).astype(np.float32)
    queries = np.zeros((2, 4), np.float32)
    queries[1, 0] = 1
    nothing, some = candidates(rows, queries, 3, cuts=(250,))
    assert len(some) == 3
    assert nothing.tolist() == []


@pytest.mark.parametrize("scale", [1e-25, 1e-21, 1e21, 1e30])
def test_rows_of_any_length_are_found(scale):
    rows = np.random.default_rng(4).standard_normal((40, 6)).astype(np.float32)
    rows[::2] *= np.float32(scale)
    query = np.ones(6, np.float32)
    (own,) = candidates(rows, query[np.newaxis], 3)
    assert exact_rows(rows, query, 3, None, None) <= set(own.tolist())


def test_without_rows_there_are_no_candidates():
    queries = np.ones((2, 3), np.float32)
    assert [own.tolist() for own in BatchCandidates(queries, 1).result()] == [[], []]
    assert [own.tolist() for own in candidates(np.zeros((4, 3), np.float32), queries, 1)] == [[], []]
    gone = candidates(np.ones((4, 3), np.float32), queries, 1, dead=np.ones(4, bool))
    assert [own.tolist() for own in gone] == [[], []]


def test_rows_keep_the_numbers_that_they_were_given():
    batch = BatchCandidates(np.ones((1, 2), np.float32), 2)
    batch.add(np.ones((2, 2), np.float32), 100)
    batch.add(np.ones((1, 2), np.float32), 2_000_000_000_000)
    assert [own.tolist() for own in batch.result()] == [[100, 101, 2_000_000_000_000]]


def test_no_rows_cannot_be_asked_for():
    with pytest.raises(UsageError, match="at least 1"):
        BatchCandidates(np.ones((1, 2), np.float32), 0)
