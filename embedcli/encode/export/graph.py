"""What is common to all steps that change an ONNX graph: names, counts, feeds, files."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from embedcli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from embedcli.encode.manifest import Kind

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""

OUTPUT_NAME = "last_hidden_state"
"""What the graph of an encoder gives: token vectors, shape (texts, tokens, dim), float32."""

LOGITS_NAME = "logits"
"""What the graph of a masked language model gives, shape (texts, tokens, vocabulary), and that of a
cross-encoder, shape (pairs, labels); float32."""

MAX_FILE_BYTES = 2**31 - 2**20
"""What one ONNX file can hold, less some room for the nodes.

Source: the limit of 2 GiB for one message of protobuf.
"""


_WORTH_HALVING = 2**16
"""Bytes of a constant below which nothing is gained."""


def output_name(kind: Kind) -> str:
    """Return the name of the output that a model of this kind is read by."""
    return OUTPUT_NAME if kind == "onnx" else LOGITS_NAME


def count_operators(model: Any) -> Counter[str]:
    """Count an ONNX model's operators by type."""
    return Counter(node.op_type for node in model.graph.node)


def require_operators(found: Mapping[str, int], needed: Mapping[str, int], step: str) -> None:
    """Check that a step did what it is for: an unmatched graph runs, but slowly, and nothing else says so.

    Raises:
        ModelError: An operator is rarer than it must be; each is named.
    """
    missing = [
        f"{found.get(operator, 0)} of {count} {operator}"
        for operator, count in needed.items()
        if found.get(operator, 0) < count
    ]
    if missing:
        raise ModelError(
            f"after {step} the graph holds only {', '.join(missing)}",
            hint="this exporter's graph was not matched; try the versions in docs/encoder-recipe.md",
        )


def constant_products(model: Any) -> Iterator[Any]:
    """Yield the nodes that multiply by a matrix of weights, in the order of the graph."""
    constants = {item.name for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in constants:
            yield node


def make_feeds(inputs: Collection[str], token_ids: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int64]]:
    """Return what a graph takes for token ids without padding, shape (texts, tokens), by input name."""
    import numpy as np

    feeds = {
        "input_ids": token_ids,
        "attention_mask": np.ones_like(token_ids),
        "token_type_ids": np.zeros_like(token_ids),
        "position_ids": np.broadcast_to(np.arange(token_ids.shape[1]), token_ids.shape).copy(),
    }
    return {name: feeds[name] for name in inputs}


def declare_microsoft(model: Any) -> None:
    """Declare ONNX Runtime's own operators in an ONNX model that holds some."""
    from onnx import helper

    if all(opset.domain != MICROSOFT for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))


def save_graph(model: Any, path: Path, *, may_halve: bool = False) -> None:
    """Write an ONNX model as one file.

    Args:
        model: The ONNX `ModelProto`.
        path: Where to write.
        may_halve: Whether the weights may be rounded to float16 where one file cannot hold them in float32.

    Raises:
        ModelError: It is too large for one file.
    """
    import onnx

    if weight_bytes(model) > MAX_FILE_BYTES and not may_halve:
        raise ModelError(
            f"{path.name}: the weights take more than the 2 GB that an ONNX file can hold",
            hint="--recipe fp16, int8-dynamic or int4 makes a smaller one",
        )
    onnx.save(halved_if_large(model), os.fspath(path))


def weight_bytes(model: Any) -> int:
    """Return how many bytes the constants of an ONNX model take."""
    return sum(len(item.raw_data) for item in model.graph.initializer)


def halved_if_large(model: Any) -> Any:
    """Return an ONNX model that fits into one file: the same, or a copy with its weights kept in float16.

    The copy computes in float32: what is lost is the rounding of the weights, 2**-11 of each.
    """
    from onnx import ModelProto, TensorProto, helper, numpy_helper

    if weight_bytes(model) <= MAX_FILE_BYTES:
        return model
    halved = ModelProto()
    halved.CopyFrom(model)
    casts = []
    for item in halved.graph.initializer:
        if item.data_type == TensorProto.FLOAT and len(item.raw_data) > _WORTH_HALVING:
            name = item.name
            item.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(item).astype("f2"), f"{name}_half"))
            casts.append(helper.make_node("Cast", [item.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *halved.graph.node]
    del halved.graph.node[:]
    halved.graph.node.extend(nodes)
    return halved
