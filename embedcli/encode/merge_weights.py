"""The weighted average of the weights of models that have the same network.

Source: Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy
without increasing inference time", ICML 2022: it needs models that were tuned from the same beginnings.
Others have the same shapes and average to nothing useful, which only a measurement tells.
"""

from __future__ import annotations

import hashlib
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from embedcli.encode.manifest import verify_files
from embedcli.encode.trust import check_graph
from embedcli.errors import DamagedModelError, MissingExtraError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from embedcli.encode.catalog import Model
    from embedcli.encode.manifest import Manifest

VARIANT = "fp32"
"""The variant that is averaged: rounded weights have scales of their own."""

_SAME = (
    *("kind", "dim", "pooling", "normalize", "max_tokens", "similarity", "lower_case", "pool_prompt"),
    "prompts",
)


def find_difference(manifests: Sequence[Manifest]) -> str:
    """Return the first reason why the weights of models cannot be averaged, by what their manifests say.

    Returns:
        The reason in words; empty where there is none.
    """
    first = manifests[0]
    for manifest in manifests:
        if manifest.kind != "onnx":
            return f"{manifest.name} is {manifest.kind} and has no network"
        if VARIANT not in manifest.variants:
            return f"{manifest.name} has no variant {VARIANT}"
        for key in _SAME:
            one, other = getattr(first, key), getattr(manifest, key)
            if one != other:
                return f"{key} is {one!r} in {first.name} and {other!r} in {manifest.name}"
        if first.files[first.tokenizer].sha256 != manifest.files[manifest.tokenizer].sha256:
            return f"the tokenizers of {first.name} and {manifest.name} differ"
        layers = [[layer.activation for layer in entry.dense] for entry in (first, manifest)]
        if layers[0] != layers[1]:
            return f"the dense layers are {layers[0]} in {first.name} and {layers[1]} in {manifest.name}"
    return ""


def load_graphs(models: Sequence[Model]) -> list[Any]:
    """Return the fp32 graphs of some models, as the library onnx has them.

    Raises:
        MissingExtraError: The library is not installed.
        DamagedModelError: A file is not what its manifest says, or is no graph.
        ModelError: A graph asks for what is not allowed.
    """
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("export", "averaging weights") from None
    graphs = []
    for model in models:
        name = model.manifest.variants[VARIANT].file
        path = model.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DamagedModelError(f"{path}: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != model.manifest.files[name].sha256:
            raise DamagedModelError(
                f"{path}: sha256 is not what the manifest says",
                hint="the file is damaged or was changed; get the model again",
            )
        check_graph(content, str(path))
        graphs.append(onnx.load_model_from_string(content))
    return graphs


def find_graph_difference(graphs: Sequence[Any], names: Sequence[str]) -> str:
    """Return the first reason why graphs cannot be averaged: they must differ in float32 weights alone.

    Returns:
        The reason in words; empty where there is none.
    """
    first = graphs[0].graph
    for graph, name in zip(graphs[1:], names[1:], strict=True):
        found = (
            _operators_differ(graphs[0], graph)
            or _ports_differ(first, graph.graph)
            or _nodes_differ(first, graph.graph)
            or _weights_differ(first, graph.graph)
        )
        if found:
            return f"the graphs of {names[0]} and {name} differ: {found}"
    return ""


def _operators_differ(one: Any, other: Any) -> str:
    sets = [{(entry.domain, entry.version) for entry in model.opset_import} for model in (one, other)]
    return "" if sets[0] == sets[1] else "their operators are of other versions"


def _ports_differ(one: Any, other: Any) -> str:
    for word in ("input", "output"):
        names = [[port.name for port in getattr(graph, word)] for graph in (one, other)]
        if names[0] != names[1]:
            return f"the {word}s are {', '.join(names[0])} and {', '.join(names[1])}"
    return ""


def _nodes_differ(one: Any, other: Any) -> str:
    for number, (left, right) in enumerate(zip_longest(one.node, other.node), start=1):
        if left is None or right is None:
            return f"one has {len(one.node)} nodes, the other {len(other.node)}"
        if left.op_type != right.op_type:
            return f"node {number} is {left.op_type} and {right.op_type}"
        if left.SerializeToString(deterministic=True) != right.SerializeToString(deterministic=True):
            return f"node {number}, {left.op_type} {left.name or left.output[0]!r}, has other settings"
    return ""


def _weights_differ(one: Any, other: Any) -> str:
    from onnx import TensorProto, numpy_helper

    named = [{tensor.name: tensor for tensor in graph.initializer} for graph in (one, other)]
    if lone := sorted(named[0].keys() ^ named[1].keys()):
        return f"weight {lone[0]!r} is in one of them only"
    for name, left in named[0].items():
        right = named[1][name]
        if list(left.dims) != list(right.dims):
            return f"weight {name!r} has the shapes {list(left.dims)} and {list(right.dims)}"
        if left.data_type != right.data_type:
            return f"weight {name!r} has other types of numbers"
        if left.data_type != TensorProto.FLOAT and not np.array_equal(
            numpy_helper.to_array(left), numpy_helper.to_array(right)
        ):
            return f"weight {name!r} is not in float32 and differs"
    return ""


def average_graphs(graphs: Sequence[Any], weights: Sequence[float]) -> bytes:
    """Return the first graph with the weighted average of all graphs' float32 weights, as a file's content.

    Args:
        graphs: Without a difference; the first one is changed.
        weights: A share for each, 1 in all.

    Raises:
        ModelError: The average is not finite.
    """
    from onnx import TensorProto, numpy_helper

    others = [{tensor.name: tensor for tensor in graph.graph.initializer} for graph in graphs[1:]]
    for tensor in graphs[0].graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = [
            numpy_helper.to_array(entry) for entry in (tensor, *(named[tensor.name] for named in others))
        ]
        tensor.CopyFrom(numpy_helper.from_array(average(values, weights, tensor.name), tensor.name))
    content: bytes = graphs[0].SerializeToString()
    return content


def average_tensors(models: Sequence[Model], layer: int, weights: Sequence[float]) -> Mapping[str, Any]:
    """Return the weighted average of a dense layer of some models, by the names of its tensors.

    Raises:
        DamagedModelError: A file is not what its manifest says.
        ModelError: The layers have other shapes, or the average is not finite.
    """
    from safetensors.numpy import load_file

    from embedcli.encode.dense import dense_shape

    files = [model.manifest.dense[layer].file for model in models]
    for model, file in zip(models, files, strict=True):
        verify_files(model.folder, model.manifest, (file,))
    paths = [model.folder / file for model, file in zip(models, files, strict=True)]
    shapes = [dense_shape(path) for path in paths]
    if len(set(shapes)) > 1:
        raise ModelError(f"{paths[0]} and the dense layers of the other models have other shapes")
    tensors = [load_file(path) for path in paths]
    return {
        name: average([entry[name] for entry in tensors], weights, f"{files[0]}: {name}")
        for name in tensors[0]
    }


def average(
    values: Sequence[npt.NDArray[Any]], weights: Sequence[float], name: str
) -> npt.NDArray[np.float32]:
    """Return the weighted average, float32, summed in float64: of equal values, that value.

    Raises:
        ModelError: It is not finite.
    """
    total = np.zeros(values[0].shape, dtype=np.float64)
    for value, weight in zip(values, weights, strict=True):
        total += weight * value.astype(np.float64)
    result = total.astype(np.float32)
    if not np.isfinite(result).all():
        raise ModelError(f"weight {name!r} holds numbers that are not finite")
    return result
