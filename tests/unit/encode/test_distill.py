"""A table fitted to texts: the equations are solved, and what is solved is what was asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.encode import distill
from embedcli.encode.distill import TableFit, conjugate_gradients, token_weights
from embedcli.encode.static_table import StaticTable
from embedcli.encode.token_ids import TokenIds

VOCABULARY, DIM = 60, 8


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def texts(rng: np.random.Generator, count: int) -> list[list[int]]:
    return [list(rng.integers(1, VOCABULARY, size=rng.integers(1, 12))) for _ in range(count)]


def means(table: np.ndarray, ids_of: list[list[int]]) -> np.ndarray:
    return np.stack([table[ids].mean(axis=0) for ids in ids_of])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 12))
def test_conjugate_gradients_solve_what_elimination_solves(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(size, size))
    matrix = (root @ root.T + size * np.eye(size)).astype(np.float32)
    target = rng.normal(size=(size, 3)).astype(np.float32)
    found = conjugate_gradients(
        lambda table: matrix @ table, target, np.zeros_like(target), np.diag(matrix)[:, None]
    )
    assert np.allclose(found, np.linalg.solve(matrix, target), atol=1e-3)


def test_the_table_minimizes_the_sum_that_is_documented() -> None:
    rng = np.random.default_rng(2)
    tokens = rng.normal(size=(VOCABULARY, DIM)).astype(np.float32)
    ids_of, fit = texts(rng, 300), TableFit(tokens)
    wanted = unit(rng.normal(size=(300, DIM)))
    for start in range(0, 300, 70):
        fit.add(ids_of[start : start + 70], wanted[start : start + 70])
    matrix = np.zeros((300, VOCABULARY))
    for row, ids in enumerate(ids_of):
        np.add.at(matrix[row], ids, 1 / np.sqrt(len(ids)))
    begun = fit.start(DIM)
    begun = begun * (1 / np.median(np.linalg.norm(matrix[:70] @ begun, axis=1)))
    pull = distill.REGULARIZATION
    exact = np.linalg.solve(matrix.T @ matrix + pull * np.eye(VOCABULARY), matrix.T @ wanted + pull * begun)
    assert np.abs(fit.solve(DIM) - exact).max() < 1e-3


def test_a_fitted_table_points_where_the_encoder_does_on_texts_it_never_saw() -> None:
    rng = np.random.default_rng(4)
    secret = rng.normal(size=(VOCABULARY, DIM)).astype(np.float32) * rng.gamma(
        2, size=(VOCABULARY, 1)
    ).astype(np.float32)
    lone = unit(secret + rng.normal(size=secret.shape))
    seen, unseen = texts(rng, 3000), texts(rng, 200)
    fit = TableFit(lone)
    fit.add(seen, unit(means(secret, seen)))
    wanted = unit(means(secret, unseen))
    before = (unit(means(fit.start(DIM), unseen)) * wanted).sum(axis=1).mean()
    after = (unit(means(fit.solve(DIM), unseen)) * wanted).sum(axis=1).mean()
    assert after > 0.97
    assert after > before + 0.1


def test_fewer_numbers_keep_the_longest_directions_of_the_texts() -> None:
    rng = np.random.default_rng(6)
    tokens = rng.normal(size=(VOCABULARY, DIM)).astype(np.float32)
    ids_of = texts(rng, 2000)
    wanted = means(tokens, ids_of)
    wanted[:, 3:] *= 0.01
    fit = TableFit(tokens)
    fit.add(ids_of, unit(wanted))
    axes = fit.axes(3)
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-5)
    assert np.abs(axes[3:]).max() < 0.05
    table = fit.solve(3)
    assert table.shape == (VOCABULARY, 3)
    assert (unit(means(table, ids_of)) * unit(wanted @ axes)).sum(axis=1).mean() > 0.95


def test_without_texts_tokens_are_centred_and_weighted_by_rank() -> None:
    tokens = np.random.default_rng(1).normal(size=(VOCABULARY, DIM)).astype(np.float32)
    tokens[:4] = 0
    steps: list[int] = []
    table = TableFit(tokens).solve(DIM, steps.append)
    assert not table[:4].any()
    expected = (tokens[4:] - tokens[4:].mean(axis=0)) * token_weights(None, VOCABULARY)[4:, None]
    assert np.allclose(table[4:], expected, atol=1e-6)
    assert steps == []
    assert TableFit(tokens).solve(3).shape == (VOCABULARY, 3)


def test_frequent_tokens_weigh_less() -> None:
    counts = np.array([0, 1, 100, 100_000])
    weights = token_weights(counts, 4)
    assert (np.diff(weights) < 0).all()
    assert 0 < weights[-1] < weights[0] <= 1
    ranked = token_weights(None, 50)
    assert (np.diff(ranked) > 0).all()


def test_texts_without_tokens_are_passed_over_and_each_step_is_told() -> None:
    rng = np.random.default_rng(3)
    tokens = rng.normal(size=(VOCABULARY, DIM)).astype(np.float32)
    ids_of = texts(rng, 40)
    wanted = unit(rng.normal(size=(40, DIM)))
    one, other = TableFit(tokens), TableFit(tokens)
    one.add(ids_of, wanted)
    other.add([[], *ids_of, []], np.concatenate([wanted[:1], wanted, wanted[:1]]))
    assert one.texts == other.texts == 40
    steps: list[int] = []
    assert np.allclose(one.solve(DIM, steps.append), other.solve(DIM), atol=1e-6)
    assert steps == list(range(1, distill.ITERATIONS + 1))


def test_a_rare_token_keeps_near_where_it_began() -> None:
    rng = np.random.default_rng(8)
    tokens = rng.normal(size=(VOCABULARY, DIM)).astype(np.float32)
    fit = TableFit(tokens)
    ids_of = [[ids[0] % 30 + 1, *ids] for ids in texts(rng, 500)]
    ids_of = [[token % 50 for token in ids] for ids in ids_of]
    fit.add(ids_of, unit(rng.normal(size=(500, DIM))))
    begun, table = fit.start(DIM), fit.solve(DIM)
    never = slice(50, VOCABULARY)
    assert np.allclose(unit(table[never]), unit(begun[never]), atol=1e-4)


def test_the_mean_of_a_static_table_is_what_was_fitted() -> None:
    table = np.random.default_rng(0).normal(size=(VOCABULARY, DIM)).astype(np.float32)
    found = StaticTable(table, np.ones(VOCABULARY, np.float32)).means(TokenIds.of([[3, 3, 5], [7]]))
    assert np.allclose(found, means(table, [[3, 3, 5], [7]]), atol=1e-6)
    with pytest.raises(IndexError):
        StaticTable(table, np.ones(VOCABULARY, np.float32)).means(TokenIds.of([[VOCABULARY]]))
