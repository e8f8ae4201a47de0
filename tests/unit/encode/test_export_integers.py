"""Floats as integers: within half a step of what they stand for, whatever they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedcli.encode.export.calibrate import MAX_TEXTS, read_texts
from embedcli.encode.export.int4 import BLOCK, pack
from embedcli.encode.export.integers import affine_uint8, signed_columns, signed_rows
from embedcli.errors import InputError, MissingPathError

FLOATS = st.floats(-1e4, 1e4, width=32, allow_subnormal=False)
MATRICES = st.tuples(st.integers(1, 70), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=FLOATS)
)


@given(arrays(np.float32, st.integers(1, 20), elements=FLOATS))
def test_a_range_is_covered_and_zero_is_exact(values: np.ndarray) -> None:
    scale, zero = affine_uint8(values, values)
    assert (scale.dtype, zero.dtype) == (np.float32, np.uint8)
    integers = np.clip(np.round(values / scale) + zero, 0, 255)
    # Half a step, and half a step more for the zero point, which is rounded too.
    assert np.abs((integers - zero) * scale - values).max() <= 1.001 * scale
    assert (np.clip(np.round(0 / scale) + zero, 0, 255) - zero) * scale == 0


@given(MATRICES)
def test_each_column_has_its_own_scale(weight: np.ndarray) -> None:
    integers, scales = signed_columns(weight)
    assert (integers.dtype, integers.shape, scales.shape) == (np.int8, weight.shape, weight.shape[1:])
    assert np.abs(integers).max() <= 127
    assert (np.abs(integers * scales - weight) <= 0.501 * scales).all()


@given(MATRICES)
def test_each_row_has_its_own_scale(table: np.ndarray) -> None:
    integers, scales = signed_rows(table)
    assert (integers.dtype, scales.shape) == (np.int8, (len(table), 1))
    assert (np.abs(integers * scales - table) <= 0.501 * scales).all()


def _unpack(values: np.ndarray, scales: np.ndarray, inputs: int) -> np.ndarray:
    """Return the matrix that ONNX Runtime's MatMulNBits takes packed weights for."""
    outputs, blocks, _ = values.shape
    numbers = np.empty((outputs, blocks, BLOCK), dtype=np.float32)
    numbers[:, :, ::2], numbers[:, :, 1::2] = values & 15, values >> 4
    whole = (numbers - 8) * scales.reshape(outputs, blocks, 1)
    return whole.reshape(outputs, -1)[:, :inputs].T


@given(MATRICES)
def test_4_bits_are_within_a_step_of_the_weights(weight: np.ndarray) -> None:
    values, scales = pack(weight)
    blocks = -(-len(weight) // BLOCK)
    assert (values.shape, values.dtype) == ((weight.shape[1], blocks, BLOCK // 2), np.uint8)
    found = _unpack(values, scales, len(weight))
    steps = np.abs(scales).reshape(weight.shape[1], blocks).repeat(BLOCK, axis=1)[:, : len(weight)].T
    # The side that does not hold the farthest number ends one step before it.
    assert (np.abs(found - weight) <= 1.001 * steps).all()
    for column, block in np.ndindex(weight.shape[1], blocks):
        rows = slice(block * BLOCK, (block + 1) * BLOCK)
        farthest = np.abs(weight[rows, column]).argmax()
        assert found[rows, column][farthest] == pytest.approx(weight[rows, column][farthest], rel=1e-5)


def test_texts_to_take_scales_from_are_lines(tmp_path) -> None:
    path = tmp_path / "mine.txt"
    path.write_bytes("\ufeffone\r\n\n  two words \n\t\nüç\n".encode())
    assert read_texts(path) == ("one", "two words", "üç")
    path.write_text("\n".join(f"line {number}" for number in range(10 * MAX_TEXTS)))
    texts = read_texts(path)
    assert len(texts) == MAX_TEXTS
    assert (texts[0], texts[1]) == ("line 0", "line 10")


@pytest.mark.parametrize(("content", "reason"), [(b"\n \n", "no text"), (b"\xff\xfe\xff", "not UTF-8")])
def test_a_file_without_text_is_refused(tmp_path, content: bytes, reason: str) -> None:
    path = tmp_path / "mine.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason):
        read_texts(path)


def test_a_file_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(MissingPathError, match=r"mine\.txt: no such file"):
        read_texts(tmp_path / "mine.txt")
