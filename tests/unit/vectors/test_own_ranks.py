"""Ranks of own documents: ties count against, blocks and threads change nothing, other right ones are passed over."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from embedcli.vectors import own_ranks as module
from embedcli.vectors.normalize import normalize
from embedcli.vectors.own_ranks import own_ranks


def test_a_tie_counts_against_the_rank():
    queries = normalize(np.array([[1, 0], [0, 1], [1, 1], [0, 0]], np.float32))
    documents = normalize(np.array([[1, 0], [0, 3], [1, 0.1], [1, 0]], np.float32))
    # The first query finds its own text and an equal one; the last one is nothing and finds nothing.
    assert own_ranks(queries, documents, np.arange(4)).tolist() == [2, 1, 1, 4]


def test_another_right_document_is_no_wrong_one():
    documents = np.eye(3, dtype=np.float32)
    queries = normalize(np.array([[3, 2, 1], [3, 2, 1], [3, 2, 1]], np.float32))
    own = np.array([0, 1, 2])
    assert own_ranks(queries, documents, own).tolist() == [1, 2, 3]
    assert own_ranks(queries, documents, own, {1: [0], 2: [0, 1]}).tolist() == [1, 1, 1]
    # It may be named among them itself.
    assert own_ranks(queries, documents, own, {2: [1, 2]}).tolist() == [1, 2, 2]


@pytest.mark.parametrize("jobs", [1, 3])
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 5))
def test_blocks_threads_and_sparse_matrices_change_nothing(jobs, count, candidates, seed):
    random = np.random.default_rng(seed)
    queries, documents = (normalize(random.random((n, 4), dtype=np.float32)) for n in (count, candidates))
    own = random.integers(0, candidates, count)
    cosines = queries @ documents.T
    mine = cosines[np.arange(count), own][:, None]
    expected = (cosines >= mine - 1e-6).sum(axis=1).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CELLS", 3 * candidates)
        assert own_ranks(queries, documents, own, jobs=jobs).tolist() == expected
        found = own_ranks(csr_matrix(queries), csr_matrix(documents), own, jobs=jobs)
    assert found.tolist() == expected


def test_no_queries_have_no_ranks():
    nothing = np.zeros((0, 2), np.float32)
    assert own_ranks(nothing, np.eye(2, dtype=np.float32), np.zeros(0, np.int64)).tolist() == []
