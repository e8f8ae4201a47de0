"""Late interaction against a loop over tokens."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedcli.vectors.maxsim import maxsim

NUMBERS = st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0])


@st.composite
def token_sets(draw):
    dim = draw(st.integers(1, 5))
    return [draw(arrays(np.float32, (draw(st.integers(0, 6)), dim), elements=NUMBERS)) for _ in range(2)]


def cosine(left, right):
    lengths = math.sqrt(sum(x * x for x in left)) * math.sqrt(sum(x * x for x in right))
    return sum(x * y for x, y in zip(left, right, strict=True)) / lengths if lengths else 0.0


@given(token_sets())
def test_it_is_the_mean_of_the_best_cosines(sets):
    query, document = ([[float(x) for x in row] for row in rows] for rows in sets)
    wanted = 0.0
    if query and document:
        wanted = sum(max(cosine(token, other) for other in document) for token in query) / len(query)
    assert maxsim(*sets) == pytest.approx(wanted, abs=1e-6)


def test_a_text_meets_itself_whatever_stands_around_it():
    tokens = np.random.default_rng(0).normal(size=(7, 16)).astype(np.float32)
    around = np.random.default_rng(1).normal(size=(9, 16)).astype(np.float32)
    assert maxsim(3 * tokens, np.concatenate([around, tokens[::-1]])) == pytest.approx(1)
    assert maxsim(np.concatenate([tokens, around]), tokens) < 0.95
