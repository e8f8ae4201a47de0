"""The int8 graph for CPUs: integer matrix products with fixed scales.

Every scale is a constant, so a text's vector depends on nothing but the text: texts of one length may share
a call, and each gets the numbers that it gets alone. There is no mask, since such calls have no padding.
The arithmetic around the products is written with the operators that ONNX Runtime runs fastest on a CPU;
what each choice gained is in docs/encoder-recipe.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from embedcli.encode.export.graph import MICROSOFT, OUTPUT_NAME
from embedcli.encode.export.integers import affine_uint8, signed_columns, signed_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from embedcli.encode.export.calibrate import Range
    from embedcli.encode.export.network import Linear, Network, Norm

    Array = npt.NDArray[Any]

CHANNEL_LIMIT = 6.0
"""A channel that goes beyond this is scaled down to it before it is rounded to 8 bits.

Each layer has one to three channels with values up to ten times as high as all others. Left alone, they
stretch the scale and leave a few bits for the rest.
"""

_WORTH_SCALING = 1.5
"""After GELU, scaling takes an operator of its own; it is spent where a channel passes the limit by this."""

# Read by every ONNX Runtime that the package allows.
_OPSET, _IR_VERSION = 18, 9


def build_int8(
    network: Network, ranges: Mapping[str, Range], max_tokens: int, *, channel_limit: float = CHANNEL_LIMIT
) -> Any:
    """Build the graph.

    Args:
        network: The weights.
        ranges: What `calibrate.measure_ranges` found for the same weights.
        max_tokens: Tokens that a call can take; positions beyond are left out.
        channel_limit: In units of the activation; infinite to leave every channel as it is.

    Returns:
        An ONNX `ModelProto` with the input `input_ids`, shape (texts, tokens), int64, all texts of one
        length; it gives token vectors, shape (texts, tokens, dim), float32.

    Source: Xiao et al. 2023, SmoothQuant, section 4 (scale moved from activations to weights), with a limit
        in place of its exponent; Jacob et al. 2018, Quantization and Training of Neural Networks,
        section 2.1 (affine integers).
    """
    graph = _Int8Graph(network, ranges, channel_limit)
    unit, norm = graph.embed(max_tokens), network.norm
    for number, layer in enumerate(network.layers):
        name = f"layer{number}"
        context = graph.attend(f"{name}_attention", unit, norm, layer.attention)
        added = graph.product(f"{name}_projection", graph.plain_input(context, layer.projection), norm.shift)
        unit = graph.normalize(f"{name}_attention_norm", added, unit, norm)
        norm = layer.attention_norm
        wide = graph.product(f"{name}_widen", graph.norm_input(f"{name}_widen", unit, norm, layer.widen))
        middle = graph.add("Gelu", [wide], f"{name}_middle", domain=MICROSOFT)
        added = graph.product(f"{name}_narrow", graph.plain_input(middle, layer.narrow), norm.shift)
        unit = graph.normalize(f"{name}_output_norm", added, unit, norm)
        norm = layer.output_norm
    return graph.finish(unit, norm)


class _Quantized(NamedTuple):
    """An activation in 8 bits and the product that is to take it.

    Attributes:
        values: Name of the tensor, uint8.
        scale: Name of its scale, one number.
        zero: Name of its zero point, uint8.
        weight: Weights that fit it, shape (inputs, outputs).
        bias: Shape (outputs,).
    """

    values: str
    scale: str
    zero: str
    weight: Array
    bias: Array


class _Int8Graph:
    """The graph while it is built. Tensors go by their names.

    A norm is kept as its unit part, shape (texts, tokens, dim), mean 0 and variance 1 for each token. What
    it multiplies by and adds goes into the weights and the bias of the product that follows; beside that
    product, only the multiplication is left to do, and the addition joins the bias of the next.
    """

    def __init__(self, network: Network, ranges: Mapping[str, Range], channel_limit: float) -> None:
        self._network, self._ranges, self._limit = network, ranges, channel_limit
        self._nodes: list[Any] = []
        self._constants: dict[str, Array] = {}

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        from onnx import helper

        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: Array) -> str:
        """Add a constant and return its name."""
        self._constants[name] = value
        return name

    def embed(self, max_tokens: int) -> str:
        """Look up tokens and positions and return the unit part of their norm."""
        import numpy as np
        from onnx import TensorProto

        padding = self._network.padding
        first = 0 if padding is None else padding + 1
        words, scales = signed_rows(self._network.words)
        self.constant("words", words)
        self.constant("word_scales", scales)
        self.constant("positions", self._network.positions[: first + max_tokens])
        self.constant("first", np.array([0], dtype=np.int64))
        self.constant("one", np.array([1], dtype=np.float32))
        self.constant("zero", np.array([0], dtype=np.float32))
        self.add("Shape", ["input_ids"], "token_count", start=1, end=2)
        # InstanceNormalization wants a factor and a summand for each channel; the tokens are the channels.
        self.add("Expand", ["one", "token_count"], "token_ones")
        self.add("Expand", ["zero", "token_count"], "token_zeros")
        self.add("Gather", ["words", "input_ids"], "word_integers")
        self.add("Cast", ["word_integers"], "word_numbers", to=TensorProto.FLOAT)
        self.add("Gather", ["word_scales", "input_ids"], "word_scale")
        self.add("Mul", ["word_numbers", "word_scale"], "word_vectors")
        if padding is None:
            self.add("Slice", ["positions", "first", "token_count"], "position_vectors")
        else:
            self._count_positions(padding)
        if self._network.distances is not None:
            self._look_up_distances(self._network.distances, max_tokens)
        return self._unit("embeddings", "word_vectors", "position_vectors")

    def _count_positions(self, padding: int) -> None:
        """Look up the positions of tokens that are no padding, the first at `padding` + 1.

        Source: transformers, `create_position_ids_from_input_ids` of RoBERTa and of MPNet.
        """
        import numpy as np
        from onnx import TensorProto

        self.constant("padding", np.array(padding, dtype=np.int64))
        self.constant("token_axis", np.array(1, dtype=np.int64))
        self.add("Equal", ["input_ids", "padding"], "is_padding")
        self.add("Not", ["is_padding"], "is_token")
        self.add("Cast", ["is_token"], "counted", to=TensorProto.INT64)
        self.add("CumSum", ["counted", "token_axis"], "token_numbers")
        self.add("Mul", ["token_numbers", "counted"], "token_places")
        self.add("Add", ["token_places", "padding"], "position_ids")
        self.add("Gather", ["positions", "position_ids"], "position_vectors")

    def _look_up_distances(self, distances: Array, max_tokens: int) -> None:
        """Look up what attention adds for each pair of tokens, shape (1, heads, tokens, tokens)."""
        import numpy as np

        self.constant("distances", distances)
        self.constant("middle", np.array(max_tokens - 1, dtype=np.int64))
        for name, number in (("start", 0), ("step", 1)):
            self.constant(name, np.array(number, dtype=np.int64))
        self.add("Squeeze", ["token_count"], "token_number")
        self.add("Range", ["start", "token_number", "step"], "places")
        self.add("Unsqueeze", ["places", "first"], "key_places")
        self.constant("second", np.array([1], dtype=np.int64))
        self.add("Unsqueeze", ["places", "second"], "query_places")
        self.add("Sub", ["key_places", "query_places"], "signed_distances")
        self.add("Add", ["signed_distances", "middle"], "distance_columns")
        self.add("Gather", ["distances", "distance_columns"], "distance_summands", axis=1)
        self.add("Unsqueeze", ["distance_summands", "first"], "attention_summands")

    def attend(self, name: str, unit: str, norm: Norm, linear: Linear) -> str:
        """Add attention: the integer product for queries, keys and values, the rest in float32."""
        import numpy as np

        taken = self.norm_input(name, unit, norm, linear)
        if self._network.distances is not None:
            return self._attend_with_distances(name, taken)
        weight, scale = self._weight(name, taken.weight)
        bias = self.constant(f"{name}_bias", taken.bias)
        zero = self.constant(f"{name}_weight_zero", np.zeros(len(taken.bias), dtype=np.int8))
        inputs = [taken.values, weight, bias, taken.scale, scale, "", taken.zero, zero]
        return self.add("QAttention", inputs, name, domain=MICROSOFT, num_heads=self._network.heads)

    def _attend_with_distances(self, name: str, taken: _Quantized) -> str:
        """Add the product and attention apart: QAttention adds nothing to scores."""
        from onnx import helper

        parts = [f"{name}_{part}" for part in ("queries", "keys", "values")]
        merged = self.product(f"{name}_parts", taken)
        self._nodes.append(helper.make_node("Split", [merged], parts, axis=2, num_outputs=3))
        return self.add(
            "MultiHeadAttention",
            [*parts, "", "", "attention_summands"],
            name,
            domain=MICROSOFT,
            num_heads=self._network.heads,
        )

    def product(self, name: str, taken: _Quantized, summand: Array | None = None) -> str:
        """Add an integer product that gives float32, with its bias and the summand added."""
        bias = taken.bias if summand is None else taken.bias + summand
        weight, scale = self._weight(name, taken.weight)
        inputs = [taken.values, weight, taken.scale, scale, taken.zero, ""]
        inputs.append(self.constant(f"{name}_bias", bias))
        return self.add("MatMulIntegerToFloat", inputs, name, domain=MICROSOFT)

    def norm_input(self, name: str, unit: str, norm: Norm, linear: Linear) -> _Quantized:
        """Quantize a norm's unit part for a product, the norm's scale and shift moved into the weights."""
        import numpy as np

        found = self._ranges[linear.source]
        ends = (found.low - norm.shift) / norm.scale, (found.high - norm.shift) / norm.scale
        low, high = np.minimum(*ends), np.maximum(*ends)
        factors = _smoothing(low, high, self._limit)
        scaled = self.add("Mul", [unit, self.constant(f"{name}_factors", factors)], f"{name}_input")
        return self._quantize(
            scaled,
            low * factors,
            high * factors,
            linear.weight * (norm.scale / factors)[:, None],
            linear.bias + norm.shift @ linear.weight,
        )

    def plain_input(self, source: str, linear: Linear) -> _Quantized:
        """Quantize a tensor for a product; channels far beyond the limit are scaled down first."""
        low: Array
        high: Array
        weight: Array = linear.weight
        low, high = self._ranges[linear.source]
        if max(-low.min(), high.max()) > self._limit * _WORTH_SCALING:
            factors = _smoothing(low, high, self._limit)
            low, high, weight = low * factors, high * factors, weight / factors[:, None]
            factors_name = self.constant(f"{source}_factors", factors)
            source = self.add("Mul", [source, factors_name], f"{source}_input")
        return self._quantize(source, low, high, weight, linear.bias)

    def normalize(self, name: str, added: str, unit: str, norm: Norm) -> str:
        """Add the branch that went around a product, and return the unit part of the sum's norm."""
        around = self.add("Mul", [unit, self.constant(f"{name}_scale", norm.scale)], f"{name}_around")
        return self._unit(name, added, around)

    def finish(self, unit: str, norm: Norm) -> Any:
        """Apply the last norm in full and return the ONNX model."""
        from onnx import TensorProto, helper, numpy_helper

        scaled = self.add("Mul", [unit, self.constant("last_scale", norm.scale)], "last_scaled")
        self.add("Add", [scaled, self.constant("last_shift", norm.shift)], OUTPUT_NAME)
        graph = helper.make_graph(
            self._nodes,
            "encoder",
            [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["texts", "tokens"])],
            [
                helper.make_tensor_value_info(
                    OUTPUT_NAME, TensorProto.FLOAT, ["texts", "tokens", len(norm.scale)]
                )
            ],
            [numpy_helper.from_array(value, name) for name, value in self._constants.items()],
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="embedcli"
        )

    def _unit(self, name: str, left: str, right: str) -> str:
        """Add two tensors and bring each token to mean 0 and variance 1."""
        self.add("Add", [left, right], f"{name}_sum")
        inputs = [f"{name}_sum", "token_ones", "token_zeros"]
        return self.add("InstanceNormalization", inputs, f"{name}_unit", epsilon=self._network.epsilon)

    def _quantize(self, source: str, low: Array, high: Array, weight: Array, bias: Array) -> _Quantized:
        """Add the operator that rounds a tensor to uint8, such that 0 is exact."""
        import numpy as np

        step, middle = affine_uint8(low, high)
        scale = self.constant(f"{source}_scale", step)
        zero = self.constant(f"{source}_zero", middle)
        values = self.add("QuantizeLinear", [source, scale, zero], f"{source}_integers")
        return _Quantized(values, scale, zero, weight.astype(np.float32), bias.astype(np.float32))

    def _weight(self, name: str, weight: Array) -> tuple[str, str]:
        """Add weights as int8 with one scale for each output; return the names of both."""
        integers, scale = signed_columns(weight)
        return self.constant(f"{name}_weight", integers), self.constant(f"{name}_weight_scale", scale)


def _smoothing(low: Array, high: Array, limit: float) -> Array:
    """Return the factor for each channel that keeps it within the limit, at most 1, shape (channels,)."""
    import numpy as np

    reach = np.maximum(np.maximum(-low, high), np.float32(1e-9))
    return np.minimum(np.float32(1), np.float32(limit) / reach).astype(np.float32)
