"""Rows of planted clusters."""

from __future__ import annotations

import numpy as np

from embedcli.vectors.normalize import normalize


def planted(sizes: list[int], *, dim: int = 16, width: float = 0.25, seed: int = 0, mixed: bool = True):
    """Rows around so many directions, and which of them each is from; a tight width keeps them apart."""
    rng = np.random.default_rng(seed)
    # Axes: as far from each other as can be.
    middles = np.eye(dim, dtype=np.float32)[: len(sizes)]
    kinds = np.repeat(np.arange(len(sizes)), sizes)
    if mixed:
        rng.shuffle(kinds)
    spread = rng.normal(scale=width / dim**0.5, size=(len(kinds), dim))
    return normalize((middles[kinds] + spread).astype(np.float32)), kinds


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two labellings put the same rows together, whatever they call them."""
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def ones(rows: np.ndarray) -> np.ndarray:
    return np.ones(len(rows), dtype=np.float32)
