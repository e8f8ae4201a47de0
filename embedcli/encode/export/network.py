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
    """An encoder of BERT's shape: BERT, DistilBERT, RoBERTa, XLM-RoBERTa, MPNet.

    Attributes:
        words: Token table, shape (vocabulary, dim), float32.
        positions: Position table with the row for token type 0 added, shape (positions, dim), float32.
        norm: Norm of their sum.
        layers: The layers in order.
        heads: Attention heads in each layer.
        epsilon: What the norms add to the variance.
        padding: The token whose places are not counted, in families whose positions are counted from its
            number on (RoBERTa's and MPNet's); None where the first token has position 0.
        distances: What attention adds to a score for each distance, shape (heads, 2 x max_tokens - 1),
            float32, the column being key - query + max_tokens - 1; None where it adds nothing.
    """

    words: Weights
    positions: Weights
    norm: Norm
    layers: tuple[Layer, ...]
    heads: int
    epsilon: float
    padding: int | None = None
    distances: Weights | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The tensors that the products take, in the fused graph."""
        return tuple(
            linear.source
            for layer in self.layers
            for linear in (layer.attention, layer.projection, layer.widen, layer.narrow)
        )


_NORMS = ("EmbedLayerNormalization", "LayerNormalization", "SkipLayerNormalization")
_REST = ("MatMul", "SkipLayerNormalization", "MatMul", "BiasGelu", "MatMul", "SkipLayerNormalization")
_LAYERS = (("Attention", *_REST), ("MatMul", "MatMul", "MatMul", "MultiHeadAttention", *_REST))
"""A layer's operators with queries, keys and values as one product, and as three."""


def read_network(model: Any, max_tokens: int) -> Network:
    """Read a fused graph.

    Args:
        model: An ONNX `ModelProto` that went through `fuse.fuse`.
        max_tokens: Tokens that a call will take.

    Raises:
        ModelError: The operators do not follow each other as in BERT; the first that differs is named.
    """
    from onnx import numpy_helper

    values = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    # What looks up, counts and masks is read by name; the rest must stand in this order.
    spine = [node for node in model.graph.node if node.op_type in {*_NORMS, *_LAYERS[0], *_LAYERS[1]}]
    kinds = [node.op_type for node in spine]
    pattern = _LAYERS["MultiHeadAttention" in kinds]
    expected = [next((kind for kind in kinds[:1] if kind in _NORMS), _NORMS[0])]
    expected += pattern * max(1, (len(kinds) - 1) // len(pattern))
    if kinds != expected:
        different = next((kind for kind, wanted in zip(kinds, expected, strict=False) if kind != wanted), "")
        raise ModelError(f"the fused graph is not that of BERT: {different or 'an operator'} is out of place")
    first = spine[0]
    scale, shift = first.input[{"EmbedLayerNormalization": 5, "LayerNormalization": 1}.get(kinds[0], 2) :][:2]
    layers = tuple(
        _read_layer(spine[start : start + len(pattern)], values)
        for start in range(1, len(spine), len(pattern))
    )
    epsilons = {_attribute(node, "epsilon") for node in spine if node.op_type in _NORMS}
    if len(epsilons) != 1:
        raise ModelError("the norms of the fused graph differ in their epsilon")
    positions = _table(values, "position_embeddings.weight")
    if any(name.endswith("token_type_embeddings.weight") for name in values):
        positions = positions + _table(values, "token_type_embeddings.weight")[0]
    attention = next(node for node in spine if node.op_type in {"Attention", "MultiHeadAttention"})
    distances = None
    if len(attention.input) > 5 and attention.input[5]:
        from embedcli.encode.export.mpnet import read_distances

        distances = read_distances(model, max_tokens)
    return Network(
        words=_table(values, "word_embeddings.weight"),
        positions=positions,
        norm=Norm(values[scale], values[shift]),
        layers=layers,
        heads=_attribute(attention, "num_heads"),
        epsilon=epsilons.pop(),
        padding=_read_padding(model),
        distances=distances,
    )


def _read_layer(nodes: list[Any], values: dict[str, Weights]) -> Layer:
    """Read the nodes of one layer, in the order of `_LAYERS`."""
    *head, projection, attention_norm, widen, gelu, narrow, output_norm = nodes
    return Layer(
        attention=_read_attention(head, values),
        projection=_linear(projection, attention_norm.input[4], values),
        attention_norm=Norm(values[attention_norm.input[2]], values[attention_norm.input[3]]),
        widen=_linear(widen, gelu.input[1], values),
        narrow=_linear(narrow, output_norm.input[4], values),
        output_norm=Norm(values[output_norm.input[2]], values[output_norm.input[3]]),
    )


def _read_attention(nodes: list[Any], values: dict[str, Weights]) -> Linear:
    """Read queries, keys and values as one product, whether the graph has one or three."""
    import numpy as np

    *products, attention = nodes
    if not products:
        return Linear(attention.input[0], values[attention.input[1]], values[attention.input[2]])
    by_output = {node.output[0]: node for node in products}
    parts = [by_output[name] for name in attention.input[:3]]
    weight = np.concatenate([values[node.input[1]] for node in parts], axis=1)
    return Linear(parts[0].input[0], weight, values[attention.input[3]])


def _linear(node: Any, bias: str, values: dict[str, Weights]) -> Linear:
    """Read a matrix product whose bias was fused into the node after it."""
    return Linear(node.input[0], values[node.input[1]], values[bias])


def _table(values: dict[str, Weights], ending: str) -> Weights:
    """Return the one table with this ending of its name.

    Raises:
        ModelError: There is none, or several.
    """
    names = [name for name in values if name.endswith(ending)]
    if len(names) != 1:
        raise ModelError(f"the graph holds {len(names)} tables named {ending!r}, not one")
    return values[names[0]]


def _read_padding(model: Any) -> int | None:
    """Return the token that the counting of positions leaves out; None where nothing is counted."""
    from onnx import numpy_helper

    nodes = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        if node.op_type == "Equal" and node.input[0] == "input_ids":
            return int(numpy_helper.to_array(_attribute(nodes[node.input[1]], "value")))
    return None


def _attribute(node: Any, name: str) -> Any:
    """Return the value of a node's attribute, which must be there."""
    from onnx import helper

    return next(helper.get_attribute_value(item) for item in node.attribute if item.name == name)
