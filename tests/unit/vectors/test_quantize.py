"""Codes and back: within half a step, for any finite values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from embedcli.errors import VectorError
from embedcli.vectors.quantize import CODE_DTYPES, code_width, quantize, restore

ROWS = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False) | st.floats(-1, 1, width=32),
)
BYTE_ROWS = arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.sampled_from([8, 16, 24])),
    elements=st.floats(-1, 1, width=32),
)
LARGEST = float(np.finfo(np.float32).max)
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)


def assert_half_a_step(vectors):
    codes, scale = quantize(vectors, "int8")
    assert codes.dtype == np.int8
    assert scale.dtype == np.float32
    assert codes.min(initial=0) >= -127
    restored = restore(codes, "int8", scale)
    off = np.abs(restored.astype(np.float64) - vectors)
    # float32 rounds the product of code and scale once more.
    rounding = np.abs(vectors.astype(np.float64)) * 2**-23 + SMALLEST
    assert (off <= scale[:, np.newaxis].astype(np.float64) / 2 + rounding).all()


@given(ROWS)
def test_int8_is_within_half_a_step(vectors):
    assert_half_a_step(vectors)


@pytest.mark.parametrize("peak", [LARGEST, SMALLEST, 100 * SMALLEST, 180 * SMALLEST, 1e-40, 1.0])
def test_int8_at_the_ends_of_float32(peak):
    assert_half_a_step(np.array([[peak, -peak, peak / 3, 0]], dtype=np.float32))


def test_int8_uses_all_codes():
    codes, scale = quantize(np.array([[1.0, -1.0, 0.5, 0.0], [0, 0, 0, 0]], np.float32), "int8")
    assert codes.tolist() == [[127, -127, 64, 0], [0, 0, 0, 0]]
    assert scale.tolist() == [np.float32(1 / 127), 0]


@given(ROWS)
def test_uint8_is_int8_moved_up(vectors):
    signed, signed_scale = quantize(vectors, "int8")
    codes, scale = quantize(vectors, "uint8")
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes.astype(int) - 128, signed)
    np.testing.assert_array_equal(restore(codes, "uint8", scale), restore(signed, "int8", signed_scale))
    np.testing.assert_array_equal(restore(codes, "uint8"), restore(signed, "int8"))
    np.testing.assert_array_equal(restore(signed, "int8"), signed)


@given(ROWS)
def test_float32_comes_back_bit_for_bit(vectors):
    assert restore(quantize(vectors, "float32").codes, "float32").tobytes() == vectors.tobytes()


@given(arrays(np.float16, (3, 4), elements=st.floats(width=16, allow_nan=False, allow_infinity=False)))
def test_float16_comes_back_bit_for_bit(halves):
    codes, scale = quantize(halves.astype(np.float32), "float16")
    assert scale is None
    assert codes.tobytes() == halves.tobytes()
    assert restore(codes, "float16").tobytes() == halves.astype(np.float32).tobytes()


def test_float16_refuses_what_it_cannot_hold():
    with pytest.raises(VectorError, match="too large for float16"):
        quantize(np.array([[70000.0]], np.float32), "float16")


def test_binary_puts_the_first_number_in_the_highest_bit():
    codes, scale = quantize(np.array([[1, 0, -1, 0, 0, 0, 0, 2]], np.float32), "binary")
    assert codes.tolist() == [[0b10000001]]
    assert scale is None
    step = 1 / np.sqrt(8)
    np.testing.assert_allclose(
        restore(codes, "binary"), [[step, -step, -step, -step, -step, -step, -step, step]], rtol=1e-6
    )


@given(BYTE_ROWS)
def test_binary_keeps_signs_and_has_unit_length(vectors):
    restored = restore(quantize(vectors, "binary").codes, "binary")
    np.testing.assert_array_equal(restored > 0, vectors > 0)
    np.testing.assert_allclose((restored.astype(float) ** 2).sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("dtype", CODE_DTYPES)
def test_codes_have_their_type_and_width_and_a_row_stands_alone(dtype):
    vectors = np.random.default_rng(1).standard_normal((20, 16)).astype(np.float32)
    before = vectors.copy()
    codes, scale = quantize(vectors, dtype)
    assert codes.dtype == CODE_DTYPES[dtype]
    assert codes.shape == (20, code_width(16, dtype))
    np.testing.assert_array_equal(vectors, before)
    one, one_scale = quantize(vectors[7:8], dtype)
    np.testing.assert_array_equal(one[0], codes[7])
    assert (scale is None and one_scale is None) or one_scale[0] == scale[7]
    assert quantize(vectors[:0], dtype).codes.shape == (0, code_width(16, dtype))


@pytest.mark.parametrize("dtype", CODE_DTYPES)
def test_values_that_are_not_finite_are_refused(dtype):
    with pytest.raises(VectorError, match="finite"):
        quantize(np.array([[np.nan] * 8], np.float32), dtype)


def test_binary_needs_whole_bytes():
    with pytest.raises(VectorError, match="multiple of 8, found 12"):
        quantize(np.ones((1, 12), np.float32), "binary")


def test_restore_refuses_what_does_not_fit():
    with pytest.raises(VectorError, match="int8 vectors are stored as rows of int8, found float32"):
        restore(np.ones((1, 2), np.float32), "int8")
    with pytest.raises(VectorError, match="dimensions"):
        restore(np.ones(2, np.float32), "float32")
    with pytest.raises(VectorError, match="2 vectors need as many scales"):
        restore(np.ones((2, 2), np.int8), "int8", np.ones(1, np.float32))


def test_restore_reads_either_byte_order():
    vectors = np.array([[1.5, -2.25]], np.float32)
    np.testing.assert_array_equal(restore(vectors.astype(">f4"), "float32"), vectors)
