"""The rotation that takes one model's vectors into the space of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedcli.encode.trust_folder import check_safetensors
from embedcli.errors import DamagedModelError

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.datatypes import Vectors

ROTATION = "rotation"
"""Name of the tensor in a file."""


def fit_rotation(target: Vectors, vectors: Vectors) -> Vectors:
    """Return the rotation that brings vectors closest to others of the same texts.

    Of all matrices with orthonormal columns (where the target has more numbers: no cosine changes) or
    orthonormal rows (where it has fewer: only a part of each vector is kept), it is the one with the highest
    sum of inner products. O(n d^2 + d^3).

    Args:
        target: Shape (n, target dim), float32, unit length.
        vectors: Shape (n, dim), float32, unit length, a row for the same text.

    Returns:
        Shape (target dim, dim), float32.

    Source: P. H. Schönemann, "A generalized solution of the orthogonal Procrustes problem", Psychometrika
    31(1), 1966. Nothing is centred: a cosine depends on where the origin is.
    """
    cross = target.astype(np.float64).T @ vectors.astype(np.float64)
    left, _, right = np.linalg.svd(cross, full_matrices=False)
    return np.ascontiguousarray(left @ right, dtype=np.float32)


def rotate(vectors: Vectors, rotation: Vectors) -> Vectors:
    """Return the vectors in another space, shape (n, rotation's rows), float32.

    One vector at a time and without the library of matrix products, which sums in another order when there
    are more rows or threads: a text's vector must not depend on its company.
    """
    turned = np.empty((len(vectors), len(rotation)), dtype=np.float32)
    for row, vector in enumerate(vectors):
        turned[row] = np.einsum("ij,j->i", rotation, vector)
    return turned


def write_rotation(path: Path, rotation: Vectors) -> None:
    """Write a rotation as a safetensors file."""
    from safetensors.numpy import save_file

    save_file({ROTATION: np.ascontiguousarray(rotation, dtype=np.float32)}, path)


def read_rotation(path: Path) -> Vectors:
    """Return the rotation of a file whose hash was compared.

    Raises:
        DamagedModelError: It holds none.
    """
    from safetensors.numpy import load_file

    check_safetensors(path)
    rotation = load_file(path).get(ROTATION)
    if rotation is None or rotation.dtype != np.float32 or not np.isfinite(rotation).all():
        raise DamagedModelError(f"{path}: holds no rotation of finite float32 numbers")
    return rotation
