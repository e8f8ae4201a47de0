"""Where the meaning of a sequence of vectors shifts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.datatypes import Vectors


def change_points(vectors: Vectors, sizes: Sequence[int], max_size: int, penalty: float) -> list[int]:
    """Return where segments begin, ascending, the first one's 0 among them; empty for no vectors.

    The segments are those with the least sum of squared distances of the vectors to their segment's mean,
    plus the penalty for each segment: a cut pays where it makes both sides that much more alike. Exact, by
    dynamic programming. O(n x m x dim) time and O(n + m x dim) memory, m the most vectors of a segment.

    Args:
        vectors: Shape (n, dim), float32, of unit length or zero.
        sizes: Of each vector, at least 1.
        max_size: The most that the sizes of a segment may add up to; a larger one stands alone.
        penalty: Above 0; an n-th of the greatest possible distance sum is n - 1 / n.

    Source: the criterion with a linear kernel is that of S. Arlot, A. Celisse, Z. Harchaoui, "A Kernel
    Multiple Change-point Algorithm via Model Selection", JMLR 20, 2019; the recursion that of B. Jackson et
    al., "An algorithm for optimal partitioning of data on an interval", IEEE Signal Processing Letters 12,
    2005.
    """
    best, before = [0.0], [0]
    first, held = 0, 0  # The earliest segment that can still grow, and its size.
    sums = np.empty((0, vectors.shape[1]), dtype=np.float32)
    squares = np.empty(0, dtype=np.float64)
    for end, (vector, size) in enumerate(zip(vectors, sizes, strict=True), start=1):
        held += size
        gone = 0
        while held > max_size and first + gone < end - 1:
            held -= sizes[first + gone]
            gone += 1
        first += gone
        sums = np.concatenate([sums[gone:] + vector, vector[np.newaxis]])
        squares = np.append(squares[gone:], 0.0) + float(vector @ vector)
        counts = np.arange(end - first, 0, -1)
        costs = squares - np.einsum("ij,ij->i", sums, sums) / counts
        totals = costs + np.array(best[first:]) + penalty
        # Of equally good segments the longest.
        place = int(totals.argmin())
        best.append(float(totals[place]))
        before.append(first + place)
    starts: list[int] = []
    end = len(vectors)
    while end:
        end = before[end]
        starts.append(end)
    return starts[::-1]
