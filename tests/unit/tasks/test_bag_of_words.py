"""The baseline of words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.tasks.evaluate.bag_of_words import TfidfVectors, word_cosines

TEXTS = ["the cat sat", "The CAT", "a dog in a dog", "", "?!"]


def test_rows_have_unit_length_and_words_count_by_how_rare_they_are():
    found = TfidfVectors(TEXTS).vectors([*TEXTS, "zebra", "the cat"]).toarray()
    assert np.linalg.norm(found, axis=1) == pytest.approx([1, 1, 1, 0, 0, 0, 1])
    assert (found[1] == found[6]).all()  # case means nothing
    # By hand: a and dog twice, in one of five texts each; in once.
    rare = 1 + np.log(6 / 2)
    expected = np.array([(1 + np.log(2)) * rare, (1 + np.log(2)) * rare, rare])
    assert np.sort(found[2][found[2] > 0])[::-1] == pytest.approx(expected / np.linalg.norm(expected))


@pytest.mark.parametrize("texts", [[], [""], ["?!", " "]])
def test_no_words_are_no_error(texts):
    found = TfidfVectors(texts).vectors(["cat", ""])
    assert found.shape == (2, 1)
    assert not found.nnz


@given(st.lists(st.tuples(st.text("ab é中", max_size=8), st.text("ab é中", max_size=8)), max_size=8))
def test_cosines_are_those_of_the_rows(pairs):
    lefts, rights = [left for left, _ in pairs], [right for _, right in pairs]
    found = word_cosines(lefts, rights)
    assert found.shape == (len(pairs),)
    assert ((found >= 0) & (found <= 1)).all()
    words = TfidfVectors(list({*lefts, *rights}))
    assert found == pytest.approx(
        [float((words.vectors([left]) @ words.vectors([right]).T).toarray()[0, 0]) for left, right in pairs]
    )
    for (left, right), cosine in zip(pairs, found, strict=True):
        if left == right and left.strip():
            assert cosine == pytest.approx(1)
