"""Ties to an earlier community: as strong as they are said to be, and to that one alone."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from embedcli.vectors.anchors import anchored

GRAPH = csr_array(np.array([[0, 2, 1, 0], [2, 0, 0, 0], [1, 0, 0, 3], [0, 0, 3, 0]], np.float64))


def test_ties() -> None:
    found = anchored(GRAPH, np.array([1, -1, 0, 1]), 0.5).toarray()
    assert found.shape == (6, 6)
    assert (found == found.T).all()
    assert (found[:4, :4] == GRAPH.toarray()).all()
    assert found[4].tolist() == [0, 0, 2, 0, 0, 0]
    assert found[5].tolist() == [1.5, 0, 0, 1.5, 0, 0]


def test_nothing_to_tie() -> None:
    assert (anchored(GRAPH, np.full(4, -1)).toarray() == GRAPH.toarray()).all()
