"""Dense layers: the product, each activation, and files that are none."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.encode.dense import DenseLayer, activate, dense_shape
from embedcli.errors import DamagedModelError, ModelError
from tests.models_maker import write_dense

if TYPE_CHECKING:
    from pathlib import Path

WEIGHT = np.array([[1, 2, 3], [0, -1, 0]], dtype=np.float32)

FORMULAS = {
    "identity": lambda x: x,
    "tanh": math.tanh,
    "relu": lambda x: max(x, 0.0),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "gelu": lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))),
}


@pytest.mark.parametrize("activation", FORMULAS)
@given(st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=5))
def test_activations_by_their_formulas(activation: str, values: list[float]) -> None:
    found = activate(np.array(values, dtype=np.float32), activation)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [FORMULAS[activation](value) for value in values], rtol=1e-5, atol=1e-7)


def test_large_values_do_not_overflow() -> None:
    values = np.array([-1e30, 1e30], dtype=np.float32)
    assert activate(values, "sigmoid").tolist() == [0, 1]
    assert activate(values, "gelu")[0] == 0


@pytest.mark.parametrize("bias", [None, [10.0, 20.0]])
def test_a_layer_is_a_product_and_its_bias(tmp_path: Path, bias: list[float] | None) -> None:
    write_dense(tmp_path, WEIGHT, None if bias is None else np.array(bias))
    path = tmp_path / "model.safetensors"
    assert dense_shape(path) == ((2, 3), bias is not None)
    layer = DenseLayer(path, "relu")
    assert (layer.inputs, layer.outputs) == (3, 2)
    found = layer(np.array([1, 1, 1], dtype=np.float32))
    assert found.tolist() == ([6, 0] if bias is None else [16, 19])
    # Calling it again finds the weights unchanged.
    assert layer(np.array([1, 1, 1], dtype=np.float32)).tolist() == found.tolist()


def test_half_precision_is_widened(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"linear.weight": WEIGHT.astype(np.float16)}, tmp_path / "half.safetensors")
    found = DenseLayer(tmp_path / "half.safetensors", "identity")(np.ones(3, dtype=np.float32))
    assert (found.dtype, found.tolist()) == (np.float32, [6, -1])


@pytest.mark.parametrize(
    ("tensors", "named"),
    [
        ({"weight": WEIGHT}, "linear.weight"),
        ({"linear.weight": WEIGHT, "more": WEIGHT}, "more"),
        ({"linear.weight": WEIGHT[0]}, "linear.weight"),
        ({"linear.weight": WEIGHT, "linear.bias": np.ones(3, dtype=np.float32)}, "bias of shape"),
        ({"linear.weight": np.full((2, 2), np.nan, dtype=np.float32)}, "not finite"),
    ],
)
def test_what_is_no_layer_is_refused(tmp_path: Path, tensors: dict[str, np.ndarray], named: str) -> None:
    from safetensors.numpy import save_file

    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(DamagedModelError, match=named):
        DenseLayer(tmp_path / "x.safetensors", "tanh")


def test_other_numbers_and_other_files_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"linear.weight": WEIGHT.astype(np.float64)}, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match="F64"):
        dense_shape(tmp_path / "x.safetensors")
    (tmp_path / "y.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(DamagedModelError, match="not safetensors"):
        dense_shape(tmp_path / "y.safetensors")
