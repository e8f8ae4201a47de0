"""The ranges that activations take, channel by channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from embedcli.encode.export.network import Network


class Range(NamedTuple):
    """The lowest and highest value of each channel, shape (channels,) each, float32."""

    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]


def measure_ranges(model: Any, network: Network, texts: Iterable[Sequence[int]]) -> Mapping[str, Range]:
    """Run the fused fp32 graph over texts and note the inputs of its matrix products.

    Args:
        model: The fused ONNX `ModelProto`; not modified.
        network: The same, read.
        texts: Token ids of each text; one unpadded call each.

    Returns:
        Ranges by the name of the tensor.
    """
    import numpy as np
    import onnxruntime
    from onnx import ModelProto, TensorProto, helper

    names = [
        linear.source
        for layer in network.layers
        for linear in (layer.attention, layer.projection, layer.widen, layer.narrow)
    ]
    tapped = ModelProto()
    tapped.CopyFrom(model)
    tapped.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        tapped.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    inputs = {item.name for item in session.get_inputs()}
    ranges: dict[str, Range] = {}
    for token_ids in texts:
        ids = np.array([token_ids], dtype=np.int64)
        feeds = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        arrays = session.run(names, {name: feeds[name] for name in inputs})
        for name, array in zip(names, arrays, strict=True):
            low, high = array[0].min(axis=0), array[0].max(axis=0)
            before = ranges.get(name, Range(low, high))
            ranges[name] = Range(np.minimum(before.low, low), np.maximum(before.high, high))
    return ranges
