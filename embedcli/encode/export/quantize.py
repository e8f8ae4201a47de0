"""Graphs of any architecture with smaller numbers: float16, and int8 with dynamic or fixed scales.

What is said here of a product means one with a matrix of weights; products of two activations, as in
attention, stay in float32.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from embedcli.encode.export.graph import (
    MICROSOFT,
    constant_products,
    count_operators,
    declare_microsoft,
    require_operators,
)
from embedcli.encode.export.integers import affine_uint8, signed_columns, signed_rows
from embedcli.encode.export.libraries import silent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from embedcli.encode.export.calibrate import Range


def to_half(model: Any) -> Any:
    """Return a fused `OnnxModel` with its arithmetic in float16; inputs and outputs keep their types."""
    with silent():
        model.convert_float_to_float16(keep_io_types=True)
    return model.model


def to_dynamic_int8(model: Any, work: Path) -> Any:
    """Return a graph whose products round what reaches them with a scale taken from the call.

    One scale covers the whole tensor, so that a text's vector depends on what shares its call.

    Args:
        model: A fused ONNX `ModelProto`; not modified.
        work: A folder for a file in between.

    Raises:
        ModelError: A product was left as it was.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    products = sum(1 for _ in constant_products(model))
    attention = count_operators(model)["Attention"]
    path = work / "dynamic.onnx"
    with silent():
        quantize_dynamic(
            model,
            os.fspath(path),
            op_types_to_quantize=["MatMul", "Attention", "EmbedLayerNormalization"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            # Shape inference stops at the fused operators, which give float32.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    graph = onnx.load(os.fspath(path))
    round_tables(graph)
    needed = {"MatMulInteger": max(1, products), "QAttention": attention}
    require_operators(count_operators(graph), needed, "quantizing")
    return graph


def to_static_int8(model: Any, ranges: Mapping[str, Range]) -> Any:
    """Return a graph whose products round what reaches them with fixed scales.

    The integer products are written out. A graph with pairs of quantizing and dequantizing operators, which
    is the usual form, is turned by ONNX Runtime 1.31 into float products with 8-bit weights for 33 of the 36
    products of a BERT with six layers, and is then slower than the float graph.

    Args:
        model: A fused ONNX `ModelProto`; modified.
        ranges: The range of each tensor that a product takes, by its name.

    Source: Jacob et al. 2018, Quantization and Training of Neural Networks, section 2.1.
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
        source, weight_name = node.input
        if f"{source}_scale" not in made:
            scale, zero = affine_uint8(ranges[source].low, ranges[source].high)
            made[f"{source}_scale"], made[f"{source}_zero"] = scale, zero
            inputs = [source, f"{source}_scale", f"{source}_zero"]
            nodes.append(helper.make_node("QuantizeLinear", inputs, [f"{source}_integers"]))
        if f"{weight_name}_scale" not in made:
            weight, scales = signed_columns(numpy_helper.to_array(constants[weight_name]))
            made[f"{weight_name}_integers"], made[f"{weight_name}_scale"] = weight, scales
        product = helper.make_node(
            "MatMulIntegerToFloat",
            [
                *(f"{source}_integers", f"{weight_name}_integers", f"{source}_scale"),
                *(f"{weight_name}_scale", f"{source}_zero"),
            ],
            list(node.output),
            node.name,
            domain=MICROSOFT,
        )
        nodes.append(product)
    replace_nodes(model, nodes, made)
    declare_microsoft(model)
    round_tables(model)
    require_operators(count_operators(model), {"MatMulIntegerToFloat": max(1, len(products))}, "quantizing")
    return model


def round_tables(model: Any) -> None:
    """Turn tables that are looked up by token into int8 with one scale a row, in place.

    A table that something else needs in float32, as the last product of some language models, stays.
    """
    from onnx import TensorProto, helper, numpy_helper

    constants = {item.name: item for item in model.graph.initializer}
    uses = [name for node in model.graph.node for name in node.input]
    nodes: list[Any] = []
    made: dict[str, Any] = {}
    for node in model.graph.node:
        table = constants.get(node.input[0]) if node.op_type == "Gather" else None
        if (
            table is None
            or (table.data_type, len(table.dims)) != (TensorProto.FLOAT, 2)
            or node.input[1] not in {"input_ids", "input_ids_int32"}
            or uses.count(table.name) != 1
        ):
            nodes.append(node)
            continue
        name, ids = table.name, node.input[1]
        rows = f"{name}_rows"
        made[f"{rows}_integers"], made[f"{rows}_scales"] = signed_rows(numpy_helper.to_array(table))
        nodes += [
            helper.make_node("Gather", [f"{rows}_integers", ids], [f"{rows}_found"]),
            helper.make_node("Cast", [f"{rows}_found"], [f"{rows}_numbers"], to=TensorProto.FLOAT),
            helper.make_node("Gather", [f"{rows}_scales", ids], [f"{rows}_scale"]),
            helper.make_node("Mul", [f"{rows}_numbers", f"{rows}_scale"], list(node.output), node.name),
        ]
    replace_nodes(model, nodes, made)


def replace_nodes(model: Any, nodes: list[Any], made: Mapping[str, Any]) -> None:
    """Put other nodes and some more constants into a graph, and drop the constants that nothing uses now."""
    from onnx import NodeProto, numpy_helper

    copies = []
    for node in nodes:
        copy = NodeProto()
        copy.CopyFrom(node)
        copies.append(copy)
    del model.graph.node[:]
    model.graph.node.extend(copies)
    used = {name for node in copies for name in node.input} | {item.name for item in model.graph.output}
    kept = [item for item in model.graph.initializer if item.name in used]
    kept += [numpy_helper.from_array(array, name) for name, array in made.items()]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
