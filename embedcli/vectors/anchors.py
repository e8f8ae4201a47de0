"""Communities near those of an earlier run: a graph in which what was together holds together a bit more.

Source: P. J. Mucha et al., "Community structure in time-dependent, multiscale, and multiplex networks"
(2010), where each node is tied to itself in the slice before. Here that slice is fixed: all nodes of a
community are tied to one more that stands for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.sparse import coo_array, csr_array

from embedcli.vectors.clusters import NOISE

if TYPE_CHECKING:
    from embedcli.vectors.clusters import Labels

TIE_RATIO: Final = 0.05
"""How strongly a row is tied to where it was, as a share of its ties to its neighbours. By
`benchmarks/cluster_state.py` enough to leave 96 % of the rows and more where they were, with a tenth of all
rows new, in clusters that are as good as those of a run that knows of no earlier one."""


def anchored(graph: csr_array, labels: Labels, tie_ratio: float = TIE_RATIO) -> csr_array:
    """Return a graph with one more node for each earlier community that has a row, behind the others.

    Args:
        graph: Shape (n, n), symmetric: weights above 0 between rows.
        labels: Where each row was, shape (n,), from 0; `NOISE` for nowhere.
        tie_ratio: Weight of the new edges, as a share of the sum of the row's own.
    """
    known = np.flatnonzero(labels != NOISE)
    rows = graph.shape[0]
    found, places = np.unique(labels[known], return_inverse=True)
    whole = rows + len(found)
    old = graph.tocoo()
    ties = tie_ratio * np.asarray(graph.sum(axis=1)).ravel()[known]
    anchors = rows + places
    weights = np.concatenate([old.data, ties, ties])
    starts = np.concatenate([old.row, known, anchors])
    ends = np.concatenate([old.col, anchors, known])
    return coo_array((weights, (starts, ends)), shape=(whole, whole)).tocsr()
