"""Rows that are equal to the last bit, taken as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xxhash

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vectors


def distinct_rows(vectors: Vectors) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first of each kind of equal rows, and which kind each row is.

    O(n x dim) time, some 100 bytes for each kind. Rows count as equal where their 128-bit hashes are.

    Args:
        vectors: Shape (n, dim), float32, not modified.

    Returns:
        Rows in their order, shape (kinds,), and shape (n,): places among these.
    """
    kinds: dict[bytes, int] = {}
    firsts: list[int] = []
    kind_of = np.empty(len(vectors), dtype=np.int64)
    for row, numbers in enumerate(np.ascontiguousarray(vectors)):
        kind = kinds.setdefault(xxhash.xxh3_128_digest(numbers), len(kinds))
        if kind == len(firsts):
            firsts.append(row)
        kind_of[row] = kind
    return np.array(firsts, dtype=np.int64), kind_of
