"""A model folder that ends at one layer, or gives all hidden states side by side."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from embedcli.encode.layers import LayerGraph
from embedcli.encode.manifest import FileEntry, verify_files
from embedcli.encode.pooling import pooling_modes
from embedcli.encode.trust import check_graph
from embedcli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from embedcli.encode.catalog import Model
    from embedcli.encode.manifest import Manifest

_GRAPH_NAME = "layers.onnx"


def read_layers(model: Model, variant: str) -> LayerGraph:
    """Return a model's graph with what stands between its layers.

    Raises:
        DamagedModelError: A file is missing or is not what the manifest says.
        ModelError: The model has no layers, or they cannot be told apart; the message says why.
    """
    manifest = model.manifest
    if manifest.kind != "onnx":
        raise ModelError(f"{manifest.name}: has no graph with layers")
    if manifest.dense or len(pooling_modes(manifest.pooling)) > 1:
        raise ModelError(f"{manifest.name}: what follows its token vectors fits the last layer alone")
    file = manifest.variants[variant].file
    verify_files(model.folder, manifest, (file, manifest.tokenizer))
    content = (model.folder / file).read_bytes()
    check_graph(content, str(model.folder / file))
    return LayerGraph(content, str(model.folder / file))


def write_layers(
    model: Model, variant: str, graph: LayerGraph, layers: Sequence[int], folder: Path
) -> Manifest:
    """Write what an encoder of some hidden states needs into a folder, and return its manifest.

    Args:
        model: The whole model.
        variant: The one that `graph` is of.
        graph: Its graph.
        layers: The states; the encoder's vectors hold them one after the other.
        folder: An empty one.

    Raises:
        OSError: The folder cannot be written.
    """
    manifest = model.manifest
    content = graph.ending_at(layers)
    (folder / _GRAPH_NAME).write_bytes(content)
    shutil.copyfile(model.folder / manifest.tokenizer, folder / manifest.tokenizer)
    entry = FileEntry(hashlib.sha256(content).hexdigest(), len(content))
    return replace(
        manifest,
        dim=len(layers) * manifest.dim,
        dims=(),
        variants={variant: replace(manifest.variants[variant], file=_GRAPH_NAME)},
        default_variant=variant,
        files={_GRAPH_NAME: entry, manifest.tokenizer: manifest.files[manifest.tokenizer]},
        probes=(),
    )
