"""Dynamic int8: weights as integers, activations turned into integers as they come."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def quantize(model: Any, folder: Path) -> Any:
    """Return a graph with integer matrix products in place of a fused model's.

    Weights are signed and have one scale for each output column. They must not be unsigned: without AMX
    kernels for that form, the product takes six times as long.

    Args:
        model: The fused `OnnxModel`.
        folder: Where two passing files may be written.

    Returns:
        An ONNX `ModelProto`.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model.topological_sort()
    before, after = folder / "before.onnx", folder / "after.onnx"
    onnx.save(model.model, os.fspath(before))
    quantize_dynamic(
        before,
        after,
        per_channel=True,
        weight_type=QuantType.QInt8,
        # Shape inference stops at the fused operators, so types must be told.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    return onnx.load(os.fspath(after))
