"""How alike texts are by their characters: against sets that are counted one by one."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.records.characters import MOST_RUNS, SKETCH_DIM, character_sets, similarities, sketches
from embedcli.records.normal_form import normal_form

texts = st.lists(st.text(st.sampled_from("ab c.é漢🙂A"), max_size=12), min_size=1, max_size=6)


def runs(text: str) -> set[bytes]:
    """The runs of three UTF-16 units, counted one by one."""
    form = normal_form(text)
    units = f" {form} ".encode("utf-16-le")
    return {units[at : at + 6] for at in range(0, len(units) - 4, 2)} if form else set()


def dice(left: str, right: str) -> float:
    first, second = runs(left), runs(right)
    total = len(first) + len(second)
    return 2 * len(first & second) / total if total else 0.0


@settings(max_examples=80)
@given(texts, texts)
def test_the_similarity_is_that_of_the_sets(left, right):
    one, other = character_sets(left), character_sets(right)
    pairs = [(first, second) for first in range(len(left)) for second in range(len(right))]
    rows = np.array(pairs).T
    found = similarities(one, rows[0], other, rows[1])
    assert found.tolist() == pytest.approx([dice(left[first], right[second]) for first, second in pairs])
    turned = similarities(other, rows[1], one, rows[0])
    assert turned.tolist() == found.tolist()


def test_typos_and_moved_words_leave_most_of_it_and_another_text_little():
    found = character_sets(
        [
            "How do I reset my password?",
            "how do i reset my pasword",
            "my password: how do I reset",
            "close it",
        ]
    )
    near = similarities(found, np.zeros(4, int), found, np.arange(4))
    assert near[0] == 1
    assert near[1] > 0.85
    assert near[2] > 0.85
    assert near[3] < 0.15


def words(count: int, seed: int) -> list[str]:
    made = random.Random(seed)
    return ["".join(made.choices("abcdefghijklmnopqrstuvwxyz", k=9)) for _ in range(count)]


def test_of_long_texts_a_sample_is_kept_that_says_how_much_they_share():
    many = words(2_000, 1)
    long, half, few = " ".join(many), " ".join(many[:1_000]), " ".join(many[:50])
    found = character_sets([long, half, few, "" * 9])
    assert np.diff(found.starts).tolist()[:2] == [MOST_RUNS, MOST_RUNS]
    assert np.diff(found.starts)[2] == len(runs(few))
    near = similarities(found, np.array([0, 0, 0, 1, 0]), found, np.array([0, 1, 2, 2, 3]))
    assert near[0] == 1
    assert near[1:4] == pytest.approx([dice(long, half), dice(long, few), dice(half, few)], abs=0.05)
    assert near[4] == 0


def test_sketches_are_about_as_near_as_the_sets():
    made = random.Random(5)
    some = [" ".join(made.sample(words(30, 2), 8)) for _ in range(60)]
    found = character_sets([*some, ""])
    vectors = sketches(found)
    assert vectors.shape == (61, SKETCH_DIM)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1] * 60 + [0], atol=1e-5)
    exact = np.array([[dice(one, other) for other in some] for one in some])
    assert np.abs(vectors[:60] @ vectors[:60].T - exact).mean() < 0.06
    # Without signs, texts that share nothing would be alike by chance, and always to the same side.
    assert abs(float((vectors[:60] @ vectors[:60].T - exact).mean())) < 0.05


def test_no_texts_have_no_sets():
    found = character_sets([])
    assert len(found) == 0
    assert sketches(found).shape == (0, SKETCH_DIM)
    none = np.zeros(0, int)
    assert similarities(found, none, found, none).shape == (0,)
