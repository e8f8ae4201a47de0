"""The blend of two similarities, and scores against those of the neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.vectors.match_scores import blended, ratio_margin

shares = st.floats(0, 1)


@given(st.floats(-1, 1), shares, shares)
def test_a_blend_lies_between_the_two_nearer_to_the_larger(cosine, characters, weight):
    found = float(blended(np.array(cosine), np.array(characters), weight))
    low, high = sorted((max(cosine, 0.0), characters))
    assert low - 1e-9 <= found <= high + 1e-9
    plain = (1 - weight) * max(cosine, 0.0) + weight * characters
    assert found >= plain - 1e-9


def test_a_blend_of_nothing_but_one_of_them_is_that_one():
    cosines, characters = np.array([-0.5, 0.2, 1.0]), np.array([0.9, 0.1, 1.0])
    assert blended(cosines, characters, 0).tolist() == pytest.approx([0, 0.2, 1])
    assert blended(cosines, characters, 1).tolist() == pytest.approx([0.9, 0.1, 1])
    # A typo that the vectors miss is found again, a paraphrase keeps most of its cosine.
    assert float(blended(np.array(0.3), np.array(0.9), 0.4)) > 0.7
    assert float(blended(np.array(0.9), np.array(0.1), 0.4)) > 0.79


def test_a_ratio_is_the_score_over_the_mean_of_both_neighborhoods():
    scores = np.array([[0.9, 0.6], [0.5, -0.2]])
    found = ratio_margin(scores, np.array([[0.75], [0.5]]), np.array([[0.45, 0.6], [0.5, 0.3]]))
    assert found == pytest.approx(np.array([[0.9 / 0.6, 0.6 / 0.675], [1.0, 0.0]]))
    assert ratio_margin(np.array([0.5]), np.array([-0.1]), np.array([0.0])).tolist() == [0]
