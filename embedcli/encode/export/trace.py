"""From weights to an ONNX graph as PyTorch writes it, whole or only the first layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embedcli.encode.export.graph import output_name
from embedcli.encode.export.libraries import silent
from embedcli.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.encode.layout import Layout
    from embedcli.encode.manifest import Kind

_TASKS: dict[Kind, str] = {
    "onnx": "feature-extraction",
    "sparse": "fill-mask",
    "cross-encoder": "text-classification",
}
"""What optimum calls a graph that gives token vectors, words' scores, and labels' scores."""

_FINAL_NORMS = ("final_norm", "norm")
"""Names of a norm after the last layer, which no earlier layer's hidden state goes through."""


def write_raw_graph(source: Layout, folder: Path, exit_layer: int | None = None) -> Path:
    """Export the weights to ONNX as they are.

    Args:
        source: The model.
        folder: Where to write; made if it is not there.
        exit_layer: The layer whose hidden state the graph gives, from 1; None for the whole model. It is
            `hidden_states[exit_layer]` of the library transformers.

    Returns:
        The file, in `folder`; beside it one with the weights, if they take more than 2 GB.

    Raises:
        ModelError: The weights cannot be loaded, or the exporter failed or does not know the architecture.
    """
    import torch
    from optimum.exporters.onnx import onnx_export_from_model
    from optimum.exporters.tasks import TasksManager
    from optimum.exporters.utils import DisableCompileContextManager

    task = _TASKS[source.kind]
    try:
        with DisableCompileContextManager(), silent():
            model = TasksManager.get_model_from_task(
                task,
                str(source.transformer),
                framework="pt",
                library_name="transformers",
                device="cpu",
                # Weights in 16 bits are computed with in 32 as well.
                torch_dtype=torch.float32,
                local_files_only=True,
                # The other form is a pickle, which can run code.
                use_safetensors=True,
            )
        # A decoder's keys and values are of no use to a text that is read once.
        model.config.use_cache = False
        if exit_layer is not None:
            _cut(model, exit_layer)
        with silent():
            onnx_export_from_model(
                model,
                folder,
                task=task,
                device="cpu",
                # Fidelity is measured at the end, on real texts.
                do_validation=False,
            )
    except ModelError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).split("\n", 1)[0]
        raise ModelError(f"{source.folder}: the export to ONNX failed: {reason}") from error
    _check_output(folder / "model.onnx", source)
    return folder / "model.onnx"


def _cut(model: Any, count: int) -> None:
    """Leave the first layers of a model and nothing after them, in place.

    Raises:
        ModelError: Its layers are not where they are expected.
    """
    import torch

    for path in ("encoder.layer", "transformer.layer", "layers"):
        try:
            layers = model.get_submodule(path)
        except AttributeError:
            continue
        parent = model.get_submodule(path.rpartition(".")[0])
        setattr(parent, path.rpartition(".")[2], layers[:count])
        model.config.num_hidden_layers = count
        for name in _FINAL_NORMS:
            if hasattr(parent, name):
                setattr(parent, name, torch.nn.Identity())
        return
    raise ModelError(f"the layers of {type(model).__name__} are not found: --exit-layer cannot cut it")


def _check_output(path: Path, source: Layout) -> None:
    """Refuse a graph without the output that its kind of model is read by."""
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    names = [item.name for item in graph.output]
    if output_name(source.kind) not in names:
        raise ModelError(
            f"{source.folder}: the exported graph gives {', '.join(names)}, not {output_name(source.kind)}"
        )
