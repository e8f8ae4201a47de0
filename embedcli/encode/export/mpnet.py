"""MPNet: the attention with a summand for each distance, which ONNX Runtime's optimizer does not match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embedcli.encode.export.graph import MICROSOFT
from embedcli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

_MASK = "attention_mask_int32"


def fuse_mpnet_attention(model: Any, heads: int) -> None:
    """Put one MultiHeadAttention in the place of each layer's operators, in place.

    Args:
        model: An `OnnxModel` of MPNet as optimum exports it; nodes are found by the names of the modules
            that they come from.
        heads: Attention heads in each layer.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    nodes = {node.name: node for node in model.model.graph.node}
    consumers = model.input_name_to_nodes()
    stem = "/encoder/layer.{}/attention/attn"
    number = 0
    while f"{stem.format(number)}/q/MatMul" in nodes:
        name = stem.format(number)
        products, biases = [], []
        for part in "qkv":
            product = nodes[f"{name}/{part}/MatMul"]
            added = consumers[product.output[0]][0]
            bias = next(item for item in added.input if item != product.output[0])
            products.append(product.output[0])
            biases.append(numpy_helper.to_array(model.get_initializer(bias)))
        summand = _distance_summand(nodes[f"{name}/Add"], nodes[f"{name}/Div"])
        model.add_initializer(numpy_helper.from_array(np.concatenate(biases), f"{name}/qkv_bias"))
        attention = helper.make_node(
            "MultiHeadAttention",
            [*products, f"{name}/qkv_bias", _MASK, summand],
            [f"{name}/attention_output"],
            f"Attention_{number}",
            domain=MICROSOFT,
            num_heads=heads,
        )
        model.add_node(attention)
        nodes[f"{name}/o/MatMul"].input[0] = attention.output[0]
        number += 1
    if number:
        mask = helper.make_node("Cast", ["attention_mask"], [_MASK], "cast_mask", to=TensorProto.INT32)
        model.add_node(mask)
        model.prune_graph()


def _distance_summand(added: Any, scores: Any) -> str:
    """Return the tensor that is added to the scores of attention, shape (texts, heads, tokens, tokens)."""
    return next(str(item) for item in added.input if item != scores.output[0])


def read_distances(model: Any, max_tokens: int) -> npt.NDArray[np.float32]:
    """Return what is added to a score for each distance between two tokens.

    It is taken from a run: the numbers depend on nothing but the distance.

    Args:
        model: The fused ONNX `ModelProto`; not modified.
        max_tokens: Distances up to this.

    Returns:
        Shape (heads, 2 x max_tokens - 1), float32; the column is key - query + max_tokens - 1.

    Raises:
        ModelError: They do depend on something else.
    """
    import numpy as np

    from embedcli.encode.export.calibrate import run_tapped

    attention = next(node for node in model.graph.node if node.op_type == "MultiHeadAttention")
    # Any token that is no padding.
    text: Sequence[int] = [5] * max_tokens
    found = next(iter(run_tapped(model, [attention.input[5]], [text])))[0][0]
    distances: npt.NDArray[np.float32] = np.concatenate([found[:, :0:-1, 0], found[:, 0]], axis=1)
    column = np.arange(max_tokens)
    if not np.array_equal(distances[:, column[None] - column[:, None] + max_tokens - 1], found):
        raise ModelError("attention adds a number that does not depend on the distance of two tokens alone")
    return distances
