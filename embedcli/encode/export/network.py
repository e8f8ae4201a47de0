"""The weights of a fused encoder, read out of its graph part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedcli.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Weights = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Linear:
    """A matrix product.

    Attributes:
        source: Name of the tensor it takes, in the fused graph.
        weight: Shape (inputs, outputs), float32.
        bias: Shape (outputs,), float32.
    """

    source: str
    weight: Weights
    bias: Weights


@dataclass(frozen=True, slots=True)
class Norm:
    """What a layer norm multiplies by and adds, shape (dim,) each, float32."""

    scale: Weights
    shift: Weights


@dataclass(frozen=True, slots=True)
class Layer:
    """One transformer layer, in the order of its parts.

    Attributes:
        attention: Queries, keys and values as one product, shape (dim, 3 x dim).
        projection: What follows attention.
        attention_norm: Norm of the sum of both sides.
        widen: First product of the feed-forward part; GELU follows.
        narrow: Second one.
        output_norm: Norm of the sum of both sides.
    """

    attention: Linear
    projection: Linear
    attention_norm: Norm
    widen: Linear
    narrow: Linear
    output_norm: Norm


@dataclass(frozen=True, slots=True)
class Network:
    """A BERT encoder.

    Attributes:
        words: Token table, shape (vocabulary, dim), float32.
        positions: Position table with the row for token type 0 added, shape (positions, dim), float32.
        norm: Norm of their sum.
        layers: The layers in order.
        heads: Attention heads in each layer.
        epsilon: What the norms add to the variance.
    """

    words: Weights
    positions: Weights
    norm: Norm
    layers: tuple[Layer, ...]
    heads: int
    epsilon: float


_LAYER = (
    "Attention",
    "MatMul",
    "SkipLayerNormalization",
    "MatMul",
    "BiasGelu",
    "MatMul",
    "SkipLayerNormalization",
)


def read_network(model: Any) -> Network:
    """Read a fused graph.

    Args:
        model: An ONNX `ModelProto` that went through `graph.fuse`.

    Raises:
        ModelError: The operators do not follow each other as in BERT; the first that differs is named.
    """
    from onnx import numpy_helper

    values = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    # The types of the inputs are turned around before the first table; nothing of the encoder is in that.
    nodes = [node for node in model.graph.node if node.op_type != "Cast"]
    kinds = [node.op_type for node in nodes]
    expected = ["EmbedLayerNormalization", *_LAYER * (len(nodes) // len(_LAYER))]
    if kinds != expected:
        different = next((kind for kind, wanted in zip(kinds, expected, strict=False) if kind != wanted), "")
        raise ModelError(f"the fused graph is not that of BERT: {different or 'an operator'} is out of place")
    first = nodes[0]
    words, positions, types, scale, shift = (values[name] for name in first.input[2:7])
    layers = tuple(
        _read_layer(nodes[start : start + len(_LAYER)], values) for start in range(1, len(nodes), len(_LAYER))
    )
    epsilons = {_attribute(node, "epsilon") for node in nodes if node.op_type.endswith("Normalization")}
    if len(epsilons) != 1:
        raise ModelError("the norms of the fused graph differ in their epsilon")
    return Network(
        words=words,
        positions=positions + types[0],
        norm=Norm(scale, shift),
        layers=layers,
        heads=_attribute(nodes[1], "num_heads"),
        epsilon=epsilons.pop(),
    )


def _read_layer(nodes: list[Any], values: dict[str, Weights]) -> Layer:
    """Read seven nodes in the order of `_LAYER`."""
    attention, projection, attention_norm, widen, gelu, narrow, output_norm = nodes
    return Layer(
        attention=Linear(attention.input[0], values[attention.input[1]], values[attention.input[2]]),
        projection=_linear(projection, attention_norm.input[4], values),
        attention_norm=Norm(values[attention_norm.input[2]], values[attention_norm.input[3]]),
        widen=_linear(widen, gelu.input[1], values),
        narrow=_linear(narrow, output_norm.input[4], values),
        output_norm=Norm(values[output_norm.input[2]], values[output_norm.input[3]]),
    )


def _linear(node: Any, bias: str, values: dict[str, Weights]) -> Linear:
    """Read a matrix product whose bias was fused into the node after it."""
    return Linear(node.input[0], values[node.input[1]], values[bias])


def _attribute(node: Any, name: str) -> Any:
    """Return the value of a node's attribute, which must be there."""
    from onnx import helper

    return next(helper.get_attribute_value(item) for item in node.attribute if item.name == name)
