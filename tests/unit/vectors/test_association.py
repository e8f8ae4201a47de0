"""Association tests, against what is worked out by hand and against the published logic."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import kstest

from embedcli.vectors import association
from embedcli.vectors.association import associate, effect_size, leanings


def test_a_small_test_as_worked_out_by_hand():
    axes = np.eye(3, dtype=np.float32)
    first = np.array([[1, 0, 0], [0.6, 0.8, 0]], np.float32)
    second = np.array([[0, 1, 0], [0, 0, 1]], np.float32)
    lean_first, lean_second = (leanings(each, axes[:1], axes[1:2]) for each in (first, second))
    assert lean_first == pytest.approx([1, -0.2])
    assert lean_second == pytest.approx([-1, 0])
    # Means 0.4 and -0.5; the four have the mean -0.05 and the squares 1.1025, .0225, .9025, .0025.
    found = associate(lean_first, lean_second, 0)
    assert found.effect == pytest.approx(0.9 / np.sqrt(2.03 / 3))
    # Of the six divisions, sums 0.8 (this one), 0, 1, -1.2, -0.2, -1.
    assert (found.p, found.is_exact) == (pytest.approx(2 / 6), True)


def published(targets: np.ndarray, others: np.ndarray, one: np.ndarray, other: np.ndarray):
    """Caliskan et al., word by word: the statistic is the difference of the sums."""

    def lean(word: np.ndarray) -> float:
        return np.mean([word @ a for a in one]) - np.mean([word @ b for b in other])

    words = [*targets, *others]
    values = np.array([lean(word) for word in words])
    size = len(targets)
    found = values[:size].sum() - values[size:].sum()
    divided = [
        values[list(chosen)].sum() - values[[i for i in range(len(words)) if i not in chosen]].sum()
        for chosen in combinations(range(len(words)), size)
    ]
    effect = (values[:size].mean() - values[size:].mean()) / values.std(ddof=1)
    return effect, np.mean([each >= found - 1e-12 for each in divided])


def test_effect_and_p_are_those_of_the_published_procedure():
    random = np.random.default_rng(3)
    made = random.normal(size=(18, 6)).astype(np.float32)
    made[:4] += made[8]
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    first, second, one, other = made[:4], made[4:8], made[8:13], made[13:]
    found = associate(leanings(first, one, other), leanings(second, one, other), 0)
    effect, p = published(first, second, one, other)
    assert found.effect == pytest.approx(effect, rel=1e-5)
    assert found.p == pytest.approx(p)


def test_p_is_uniform_where_groups_are_by_chance(monkeypatch):
    random = np.random.default_rng(0)
    exact, sampled = [], []
    for seed in range(150):
        values = random.normal(size=12)
        exact.append(associate(values[:6], values[6:], seed).p)
        with monkeypatch.context() as patch:
            patch.setattr(association, "EXACT_PARTITIONS", 0)
            patch.setattr(association, "SAMPLED_PARTITIONS", 999)
            found = associate(values[:6], values[6:], seed)
        assert not found.is_exact
        sampled.append(found.p)
    assert kstest(exact, "uniform").pvalue > 0.01
    assert kstest(sampled, "uniform").pvalue > 0.01
    # The sampled p is that of all divisions, but for chance.
    assert np.abs(np.array(exact) - sampled).max() < 0.08
    assert min(sampled) >= 1 / 1_000


def test_targets_that_are_all_alike_have_no_effect():
    same = np.full(5, 0.25)
    assert effect_size(same, same) is None
    assert associate(same, same, 0) == (None, 1.0, True)
    assert associate(same[:1], same[:1] - 1, 0).p == 0.5
