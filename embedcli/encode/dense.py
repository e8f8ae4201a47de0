"""Matrix products that follow pooling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from embedcli.errors import DamagedModelError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.datatypes import Vector
    from embedcli.encode.manifest import Activation

_WEIGHT, _BIAS = "linear.weight", "linear.bias"
_SIZES = range(1, 1 << 20)


def dense_shape(path: Path) -> tuple[tuple[int, int], bool]:
    """Return the shape of a layer's weight, (outputs, inputs), and whether there is a bias.

    Raises:
        DamagedModelError: The file is no safetensors, or holds other tensors than these.
        ModelError: They are not in float32 or float16.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118 (no mapping)
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            dtypes = {name: part.get_dtype() for name, part in slices.items()}
    except (OSError, SafetensorError) as error:
        raise DamagedModelError(f"{path}: not safetensors: {error}") from error
    weight = shapes.get(_WEIGHT, ())
    if len(weight) != 2 or not all(size in _SIZES for size in weight) or set(shapes) - {_WEIGHT, _BIAS}:
        raise DamagedModelError(f"{path}: holds {sorted(shapes)}, a dense layer has {_WEIGHT} and {_BIAS}")
    if _BIAS in shapes and shapes[_BIAS] != weight[:1]:
        raise DamagedModelError(f"{path}: a bias of shape {shapes[_BIAS]} for a weight of shape {weight}")
    if other := sorted(set(dtypes.values()) - {"F32", "F16"}):
        raise ModelError(f"{path}: numbers of type {other[0]} are not supported", hint="save it in float32")
    return (weight[0], weight[1]), _BIAS in shapes


class DenseLayer:
    """`activation(weight @ vector + bias)`, in float32.

    Attributes:
        inputs: Numbers it takes.
        outputs: Numbers it gives.
    """

    def __init__(self, path: Path, activation: Activation) -> None:
        """Load the weights.

        Raises:
            DamagedModelError: The file is not a dense layer.
        """
        import numpy as np
        from safetensors.numpy import load_file

        (self.outputs, self.inputs), has_bias = dense_shape(path)
        tensors = load_file(path)
        self._weight = tensors[_WEIGHT].astype(np.float32, copy=False)
        self._bias = tensors[_BIAS].astype(np.float32, copy=False) if has_bias else None
        if not all(np.isfinite(part).all() for part in (self._weight, self._bias) if part is not None):
            raise DamagedModelError(f"{path}: numbers that are not finite")
        self._activation = activation

    def __call__(self, vector: Vector) -> Vector:
        """Return the product for one vector, shape (inputs,) to shape (outputs,).

        One vector at a time: a product of several is summed in another order, and a text's vector must not
        depend on its company.
        """
        product: Any = self._weight @ vector
        if self._bias is not None:
            product += self._bias
        return activate(product, self._activation)


def activate(values: Vector, activation: Activation) -> Vector:
    """Return what an activation makes of the values, float32.

    Source: PyTorch, the modules `Identity`, `Tanh`, `GELU` (the exact form, with the error function), `ReLU`
    and `Sigmoid`.
    """
    import numpy as np

    result: Any
    match activation:
        case "identity":
            result = values
        case "tanh":
            result = np.tanh(values)
        case "relu":
            result = np.maximum(values, 0)
        case "sigmoid":
            # Written with tanh, which does not overflow.
            result = 0.5 * (1 + np.tanh(0.5 * values.astype(np.float64)))
        case "gelu":
            wide = values.astype(np.float64)
            result = 0.5 * wide * (1 + np.array([math.erf(value / math.sqrt(2)) for value in wide.tolist()]))
    return np.asarray(result, dtype=np.float32)
