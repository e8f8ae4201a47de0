"""Token vectors to one vector, each mode by its definition."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.encode.catalog import find_model
from embedcli.encode.manifest import Dense
from embedcli.encode.pooling import pool, pooled_dim, pooling_modes
from embedcli.errors import UsageError

TOKENS = np.array([[1, 5], [2, 4], [6, 0]], dtype=np.float32)
MODES = ("mean", "cls", "last_token", "max", "mean_sqrt_len", "weighted_mean")


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", [3, 3]),
        ("cls", [1, 5]),
        ("last_token", [6, 0]),
        ("max", [6, 5]),
        ("mean_sqrt_len", [9 / math.sqrt(3), 9 / math.sqrt(3)]),
        ("weighted_mean", [(1 + 4 + 18) / 6, (5 + 8 + 0) / 6]),
        ("max+cls", [6, 5, 1, 5]),
    ],
)
def test_modes(pooling: str, expected: list[float]) -> None:
    np.testing.assert_allclose(pool(TOKENS, pooling), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", [4, 2]),
        ("cls", [2, 4]),
        ("last_token", [6, 0]),
        ("max", [6, 4]),
        ("mean_sqrt_len", [8 / math.sqrt(2), 4 / math.sqrt(2)]),
        # Positions are those in the whole text.
        ("weighted_mean", [(4 + 18) / 5, (8 + 0) / 5]),
        ("cls+mean", [2, 4, 4, 2]),
    ],
)
def test_modes_without_the_first_token(pooling: str, expected: list[float]) -> None:
    np.testing.assert_allclose(pool(TOKENS, pooling, start=1), expected, rtol=1e-6)


@given(st.sampled_from(MODES), st.sampled_from(MODES), st.integers(0, 5))
def test_with_nothing_left_the_vector_is_zero(first: str, second: str, more: int) -> None:
    assert pool(TOKENS, f"{first}+{second}", start=3 + more).tolist() == [0, 0, 0, 0]


@given(st.lists(st.sampled_from(MODES), min_size=1, max_size=6), st.integers(1, 9), st.integers(0, 8))
def test_joined_modes_are_the_modes_end_to_end(modes: list[str], count: int, start: int) -> None:
    tokens = np.random.default_rng(count).standard_normal((count, 3)).astype(np.float32)
    joined = pool(tokens, "+".join(modes), start=start)
    assert joined.dtype == np.float32
    parts = [pool(tokens, mode, start=start) for mode in modes]
    assert joined.tobytes() == np.concatenate(parts).tobytes()


def test_a_mode_that_is_none_is_named() -> None:
    with pytest.raises(UsageError, match="'middle'"):
        pooling_modes("mean+middle")


def test_the_size_follows_the_number_of_modes() -> None:
    manifest = find_model().manifest
    assert pooled_dim(manifest) == pooled_dim(manifest, "mean") == pooled_dim(manifest, "cls") == 384
    assert pooled_dim(manifest, "cls+mean+max") == 3 * 384
    two = dataclasses.replace(manifest, pooling="cls+mean", dim=768)
    assert (pooled_dim(two), pooled_dim(two, "mean"), pooled_dim(two, "max+mean")) == (768, 384, 768)
    dense = dataclasses.replace(manifest, dense=(Dense("d", "identity"),), dim=100)
    assert (pooled_dim(dense), pooled_dim(dense, "cls")) == (100, 100)
    with pytest.raises(UsageError, match="dense layers"):
        pooled_dim(dense, "cls+mean")
