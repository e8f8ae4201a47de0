"""Sign bits: packed and restored without loss, compared as a count of each number alone would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedcli.vectors.signs import differing_bits, restore_signs, sign_words, word_count

DIMS = st.integers(1, 200) | st.sampled_from([63, 64, 65, 127, 128, 129])
NUMBERS = st.sampled_from([-1.0, -1e-30, -0.0, 0.0, 1e-30, 1.0, 3.5])


@st.composite
def row_sets(draw, more=0):
    """Rows of one dimension, `more` of them at least, with zeros of both kinds."""
    dim, count = draw(DIMS), draw(st.integers(more, 8 + more))
    return draw(arrays(np.float32, (count, dim), elements=NUMBERS))


@given(row_sets())
def test_each_number_has_its_bit_and_the_rest_are_zeros(rows):
    count, dim = rows.shape
    words = sign_words(rows)
    assert words.dtype == np.uint64
    assert words.shape == (word_count(dim), count)
    assert words.flags.c_contiguous
    for number, row in enumerate(rows):
        bits = sum(int(word) << (64 * place) for place, word in enumerate(words[:, number]))
        assert bits == sum(1 << place for place, value in enumerate(row) if value > 0)


@given(row_sets(more=1))
def test_the_distance_is_a_count_of_the_numbers_whose_signs_differ(rows):
    query, *others = rows
    found = differing_bits(sign_words(rows[1:]), sign_words(rows[:1])[:, 0])
    assert found.tolist() == [
        sum((ours > 0) != (theirs > 0) for ours, theirs in zip(row, query, strict=True)) for row in others
    ]


@given(row_sets())
def test_restored_vectors_have_the_signs_and_unit_length(rows):
    dim = rows.shape[1]
    words = sign_words(rows)
    restored = restore_signs(words, dim)
    assert restored.dtype == np.float32
    assert restored.shape == rows.shape
    np.testing.assert_array_equal(restored > 0, rows > 0)
    np.testing.assert_allclose(np.abs(restored), 1 / np.sqrt(dim), rtol=2**-22)
    np.testing.assert_array_equal(sign_words(restored), words)


@given(DIMS)
def test_padding_is_never_counted(dim):
    plus, minus = np.ones((1, dim), np.float32), -np.ones((1, dim), np.float32)
    words = sign_words(np.concatenate((plus, minus)))
    assert differing_bits(words, sign_words(plus)[:, 0]).tolist() == [0, dim]
    assert differing_bits(words, sign_words(minus)[:, 0]).tolist() == [dim, 0]


def test_the_layout_is_that_of_the_index_format():
    rows = np.zeros((2, 70), np.int8)
    rows[0, [0, 9, 64]] = 1
    rows[1, 63] = 1
    assert sign_words(rows).tobytes().hex() == (
        "0102000000000000"  # all first words
        "0000000000000080"
        "0100000000000000"  # all second ones
        "0000000000000000"
    )


@pytest.mark.parametrize(("dim", "words"), [(1, 1), (63, 1), (64, 1), (65, 2), (128, 2), (129, 3)])
def test_words_are_filled_up(dim, words):
    assert word_count(dim) == words


def test_the_distance_of_the_longest_vectors_does_not_wrap():
    dim = 1 << 16  # the most that an index may have
    rows = np.ones((2, dim), np.int8)
    rows[1] = -1
    words = sign_words(rows)
    assert differing_bits(words, words[:, 0]).tolist() == [0, dim]
