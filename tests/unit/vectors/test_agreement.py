"""How far two encoders agree, on pairs of encoders whose agreement is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.vectors.agreement import (
    _masked_cka,
    chance_agreement,
    cka_interval,
    linear_cka,
    list_agreement,
    nearest_lists,
    products_of,
)


def rows(count: int, dim: int, seed: int) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def turned(vectors: np.ndarray, seed: int = 5) -> np.ndarray:
    dim = vectors.shape[1]
    return (vectors @ np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0]).astype(np.float32)


def test_a_rotated_or_scaled_copy_agrees_fully():
    one = rows(200, 16, 0)
    assert linear_cka(products_of(one), products_of(turned(one))) == pytest.approx(1, abs=1e-6)
    assert linear_cka(products_of(one), products_of(3 * one + 1)) == pytest.approx(1, abs=1e-6)


def test_random_vectors_agree_on_nothing_although_there_are_few_texts():
    found = [linear_cka(products_of(rows(30, 200, s)), products_of(rows(30, 100, s + 50))) for s in range(40)]
    assert np.mean(found) == pytest.approx(0, abs=0.02)
    one = products_of(rows(10, 4, 0))
    assert linear_cka(one, np.ones((10, 10))) == 0


def test_cka_is_the_published_unbiased_form():
    def hsic(one: np.ndarray, other: np.ndarray) -> float:
        """Song et al., equation 5, as it is printed."""
        n = len(one)
        one, other = one - np.diag(np.diag(one)), other - np.diag(np.diag(other))
        ones = np.ones(n)
        total = np.trace(one @ other)
        total += (ones @ one @ ones) * (ones @ other @ ones) / ((n - 1) * (n - 2))
        total -= 2 / (n - 2) * (ones @ one @ other @ ones)
        return total / (n * (n - 3))

    left, right = products_of(rows(40, 6, 1)), products_of(rows(40, 6, 1)[:, :3])
    expected = hsic(left, right) / np.sqrt(hsic(left, left) * hsic(right, right))
    assert linear_cka(left, right) == pytest.approx(expected)


def test_the_interval_is_narrow_where_texts_agree_and_covers_what_more_texts_say():
    one = rows(1_000, 8, 2)
    noisy = one + 0.4 * rows(1_000, 8, 3)
    truth = linear_cka(products_of(one), products_of(noisy))
    covered = 0
    for start in range(0, 1_000, 100):
        part = slice(start, start + 100)
        found = cka_interval(products_of(one[part]), products_of(noisy[part]), seed=start)
        covered += found.low <= truth <= found.high
        assert found.high - found.low < 0.3
    assert covered >= 8
    copy = cka_interval(products_of(one[:100]), products_of(turned(one[:100])), 0)
    assert copy == pytest.approx((1, 1, 1), abs=1e-6)
    few = cka_interval(products_of(one[:4]), products_of(noisy[:4]), 0)
    assert few[1:] == (-1, 1)


def test_parts_of_the_texts_have_the_agreement_of_the_parts():
    left, right = products_of(rows(60, 5, 1)), products_of(rows(60, 5, 1)[:, :3])
    kept = (np.random.default_rng(0).random((60, 7)) < 0.8).astype(float)
    expected = [linear_cka(left[np.ix_(m, m)], right[np.ix_(m, m)]) for m in kept.T.astype(bool)]
    assert _masked_cka(left, right, kept) == pytest.approx(expected, abs=1e-9)


def test_neighbours_are_the_nearest_and_of_equal_ones_the_lower():
    near = np.array([[1, 0.5, 0.5, 0.9], [0.5, 1, 0.1, 0.2], [0.5, 0.1, 1, 0.5], [0.9, 0.2, 0.5, 1]])
    assert nearest_lists(near, 2).tolist() == [[3, 1], [0, 3], [0, 3], [0, 2]]
    assert nearest_lists(near, 9).shape == (4, 3)


def test_lists_agree_as_worked_out_by_hand():
    found = list_agreement(np.array([[1, 2, 3]]), np.array([[1, 3, 4]]), (1, 2, 3))
    assert [found.jaccard[k][0] for k in (1, 2, 3)] == pytest.approx([1, 1 / 3, 2 / 4])
    # Shared 1, 1, 2 of 1, 2, 3 places.
    expected = 0.1 * (1 + 0.9 / 2 + 0.81 * 2 / 3) + 0.9**3 * 2 / 3
    assert found.rank_biased[0] == pytest.approx(expected)


@given(st.integers(2, 12), st.integers(0, 100))
def test_agreement_is_between_none_and_all_and_goes_both_ways(count, seed):
    random = np.random.default_rng(seed)
    left, right = (np.array([random.permutation(20)[:count] for _ in range(5)]) for _ in range(2))
    found, back = list_agreement(left, right, (count,)), list_agreement(right, left, (count,))
    for row in range(5):
        one, other = set(left[row].tolist()), set(right[row].tolist())
        assert found.jaccard[count][row] == pytest.approx(len(one & other) / len(one | other))
    assert found.rank_biased == pytest.approx(back.rank_biased)
    assert ((found.rank_biased >= 0) & (found.rank_biased <= 1)).all()
    same = list_agreement(left, left, (1, count))
    assert same.rank_biased == pytest.approx(1)
    assert same.jaccard[count] == pytest.approx(1)


def test_chance_is_what_random_orders_give():
    random = np.random.default_rng(0)
    lists = [np.array([random.permutation(29)[:10] for _ in range(4_000)]) for _ in range(2)]
    found, chance = list_agreement(*lists, (1, 5, 10)), chance_agreement(30, (1, 5, 10), 10)
    for depth in (1, 5, 10):
        assert chance.jaccard[depth] == pytest.approx(found.jaccard[depth].mean(), abs=0.01)
    assert chance.rank_biased == pytest.approx(found.rank_biased.mean(), abs=0.01)
    assert chance.jaccard[1] == pytest.approx(1 / 29)
