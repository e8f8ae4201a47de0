"""Weights of products in 4 bits; what reaches a product stays in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from embedcli.encode.export.graph import (
    MICROSOFT,
    constant_products,
    count_operators,
    declare_microsoft,
    require_operators,
)
from embedcli.encode.export.quantize import replace_nodes, round_tables

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BLOCK = 32
"""Weights of one column that share a scale."""

_ACCURACY_LEVEL = 4
"""ONNX Runtime may round the other side to int8 with one scale a token and block: its fastest way."""


class Packed(NamedTuple):
    """A matrix in 4 bits.

    Attributes:
        values: Two weights a byte, the first in the low half, shape (outputs, blocks, 16), uint8.
        scales: Shape (outputs x blocks,), float32.
    """

    values: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.float32]


def pack(weight: npt.NDArray[np.float32]) -> Packed:
    """Round a matrix to 4 bits, each block with a scale of its own.

    The number that is farthest from zero becomes -8 exactly, which uses the one step more on that side.

    Args:
        weight: Shape (inputs, outputs), float32.

    Source: ONNX Runtime's contrib operators, `MatMulNBits`: layout, and 8 as the integer for zero.
    """
    import numpy as np

    inputs, outputs = weight.shape
    blocks = -(-inputs // BLOCK)
    padded = np.zeros((outputs, blocks * BLOCK), dtype=np.float32)
    padded[:, :inputs] = weight.T
    parts = padded.reshape(outputs, blocks, BLOCK)
    farthest = np.take_along_axis(parts, np.abs(parts).argmax(axis=2)[:, :, None], axis=2)
    scales: npt.NDArray[np.float32] = (farthest / np.float32(-8)).astype(np.float32)
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales != 0)
    integers = np.clip(np.round(parts * inverse) + 8, 0, 15).astype(np.uint8)
    return Packed(integers[:, :, ::2] | integers[:, :, 1::2] << 4, scales.reshape(-1))


def to_int4(model: Any) -> Any:
    """Return a graph with the weights of its products in 4 bits, and its token table in 8.

    Args:
        model: A fused ONNX `ModelProto` with attention split; modified.

    Raises:
        ModelError: A product was left as it was.
    """
    from onnx import helper, numpy_helper

    constants = {item.name: item for item in model.graph.initializer}
    products = {node.output[0] for node in constant_products(model)}
    nodes: list[Any] = []
    made: dict[str, Any] = {}
    for node in model.graph.node:
        if node.output[0] not in products:
            nodes.append(node)
            continue
        name = node.input[1]
        if f"{name}_values" not in made:
            made[f"{name}_values"], made[f"{name}_scales"] = pack(numpy_helper.to_array(constants[name]))
        inputs, outputs = constants[name].dims
        nodes.append(
            helper.make_node(
                "MatMulNBits",
                [node.input[0], f"{name}_values", f"{name}_scales"],
                list(node.output),
                node.name,
                domain=MICROSOFT,
                K=inputs,
                N=outputs,
                bits=4,
                block_size=BLOCK,
                accuracy_level=_ACCURACY_LEVEL,
            )
        )
    replace_nodes(model, nodes, made)
    declare_microsoft(model)
    round_tables(model)
    require_operators(count_operators(model), {"MatMulNBits": max(1, len(products))}, "quantizing")
    return model
