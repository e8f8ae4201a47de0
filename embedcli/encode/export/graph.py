"""From weights to a fused ONNX graph, in full or half precision."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from embedcli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from embedcli.encode.export.source import SourceModel

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""

OUTPUT_NAME = "last_hidden_state"
"""What the graph gives: token vectors, shape (texts, tokens, dim), float32."""


def write_raw_graph(source: SourceModel, folder: Path) -> Path:
    """Export the weights to ONNX as they are; the graph gives token vectors.

    Returns:
        The file, in `folder`.

    Raises:
        ModelError: The exporter failed.
    """
    from optimum.exporters.onnx import main_export

    try:
        main_export(
            str(source.folder),
            folder,
            task="feature-extraction",
            library_name="transformers",
            device="cpu",
            local_files_only=True,
            # Fidelity is measured at the end, on real texts.
            do_validation=False,
        )
    except Exception as error:
        raise ModelError(f"{source.folder}: the export to ONNX failed: {error}") from error
    return folder / "model.onnx"


def fuse(raw: Path, source: SourceModel) -> Any:
    """Fuse attention, skip-layer-norm, GELU and the embedding lookup.

    Returns:
        An `onnxruntime.transformers.onnx_model.OnnxModel`.

    Raises:
        ModelError: The graph was not matched; the message names the operators that are missing.
    """
    from onnx import helper
    from onnxruntime.transformers.optimizer import optimize_model

    model = optimize_model(
        str(raw),
        model_type="bert",
        num_heads=source.heads,
        hidden_size=source.dim,
        # Level 0: ONNX Runtime's own rewriting first would hide the patterns that the fusions look for.
        opt_level=0,
    )
    require_operators(
        count_operators(model.model),
        {
            "EmbedLayerNormalization": 1,
            "Attention": source.layers,
            "SkipLayerNormalization": 2 * source.layers,
            "BiasGelu": source.layers,
        },
        "fusing",
    )
    # The fusions add operators of this domain without declaring it.
    if all(opset.domain != MICROSOFT for opset in model.model.opset_import):
        model.model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    model.topological_sort()
    return model


def to_half(model: Any) -> None:
    """Turn a fused model's arithmetic into float16, in place; inputs and outputs keep their types."""
    model.convert_float_to_float16(keep_io_types=True)


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
