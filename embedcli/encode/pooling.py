"""Token vectors to one vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embedcli.datatypes import Pooling, Vector, Vectors


def pool(tokens: Vectors, pooling: Pooling) -> Vector:
    """Return one vector for the token vectors of one text.

    Args:
        tokens: Shape (tokens, dim), float32, special tokens included, padding left out.
        pooling: `mean` of all tokens, the first (`cls`), the last (`last_token`), or the largest value of
            each dimension (`max`).

    Returns:
        Shape (dim,), float32, not normalized.

    Source: sentence-transformers, `models/Pooling.py`, the modes of the same names.
    """
    vector: Vector
    match pooling:
        case "mean":
            vector = tokens.mean(axis=0)
        case "cls":
            vector = tokens[0]
        case "last_token":
            vector = tokens[-1]
        case "max":
            vector = tokens.max(axis=0)
    return vector
