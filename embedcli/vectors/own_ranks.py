"""At which rank each query finds the document that is its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from embedcli.vectors.in_blocks import CELLS, in_blocks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Rows = npt.NDArray[np.int64]

TIE: Final = 1e-6
"""Cosines this close are equal: that of two equal texts differs by the rounding of float32."""


def own_ranks(
    queries: Any,
    documents: Any,
    own: Rows,
    also_right: Mapping[int, Sequence[int]] | None = None,
    jobs: int = 1,
) -> Rows:
    """Return the rank of each query's own document among all documents, from 1; ties count against it.

    O(queries x documents x dim) in time, a block of queries at a time in memory.

    Args:
        queries: Shape (n, dim), rows of unit length or zeros: a float32 array, or a sparse matrix of scipy.
        documents: Shape (m, dim), likewise; no two are the same text.
        own: Shape (n,), the row of each query's document.
        also_right: Further documents of a query, which are not wrong where they come first, by its row.
        jobs: Threads.
    """
    across = documents.T
    others = also_right or {}

    def ranks_of(rows: slice) -> Rows:
        product = queries[rows] @ across
        cosines = product if isinstance(product, np.ndarray) else product.toarray()
        numbers = np.arange(rows.start, rows.stop)
        mine = cosines[np.arange(len(numbers)), own[rows]].copy()
        for place, number in enumerate(numbers.tolist()):
            if number in others:
                cosines[place, list(others[number])] = -np.inf
        # Itself among those, whether or not the own document was masked.
        cosines[np.arange(len(numbers)), own[rows]] = mine
        found: Rows = (cosines >= mine[:, np.newaxis] - TIE).sum(axis=1)
        return found

    step = max(1, CELLS // max(1, documents.shape[0]))
    blocks = list(in_blocks(queries.shape[0], step, ranks_of, jobs))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int64)
