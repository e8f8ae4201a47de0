"""One variant of a model from its exported graph: which recipes there are and what each is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from embedcli.encode.export.fuse import describe_fusing, fuse, is_like_bert
from embedcli.encode.export.graph import constant_products, count_operators, require_operators
from embedcli.encode.export.settings import CALIBRATED
from embedcli.errors import ModelError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.encode.export.settings import ExportSettings
    from embedcli.encode.layout import Layout

_AFTER_FUSING = {
    "fp32": "",
    "fp16": ", then arithmetic in float16",
    "int8-dynamic": ", then int8 with a scale from each call: weights signed per column",
    "int8-static": ", then int8 with fixed scales: weights signed per column",
    "int4": ", then weights in 4 bits, blocks of 32",
}
_INT8 = "int8 with fixed scales: weights signed per column, channels with outliers scaled down"


class Made(NamedTuple):
    """A graph and how it was made.

    Attributes:
        graph: The ONNX `ModelProto`.
        recipe: In words, for the manifest.
    """

    graph: Any
    recipe: str


def settle_recipe(source: Layout, settings: ExportSettings) -> ExportSettings:
    """Return the settings with `auto` replaced by the recipe that it means for a model."""
    if settings.recipe != "auto":
        return settings
    return replace(settings, recipe="int8" if _takes_fixed_int8(source) else "int8-dynamic")


def _takes_fixed_int8(source: Layout) -> bool:
    """Whether the graph of the recipe int8 can be built of a model."""
    return source.kind == "onnx" and is_like_bert(source)


def check_recipe(source: Layout, settings: ExportSettings) -> None:
    """Refuse, before anything is computed, what cannot be made of a model.

    Raises:
        ModelError: The recipe does not fit the architecture.
        UsageError: Settings that contradict each other, or a layer that is not there.
    """
    if settings.recipe == "int8" and not _takes_fixed_int8(source):
        what = source.model_type if source.kind == "onnx" else f"{source.kind} model"
        raise ModelError(
            f"recipe int8 cannot be made of a {what}: it is for encoders of BERT's shape",
            hint="--recipe int8-dynamic",
        )
    if settings.calibration_texts and settings.recipe not in CALIBRATED:
        raise UsageError(f"recipe {settings.recipe} takes no scales from texts", hint="leave --calibrate out")
    if settings.exit_layer is None:
        return
    if source.kind != "onnx":
        raise UsageError(f"--exit-layer: a {source.kind} model reads its last layer only")
    if not 1 <= settings.exit_layer < source.layers:
        raise UsageError(
            f"--exit-layer {settings.exit_layer}: the model has {source.layers} layers",
            hint=f"1 to {source.layers - 1}; leave it out for the whole model",
        )


def apply_recipe(raw: Path, source: Layout, settings: ExportSettings, max_tokens: int, work: Path) -> Made:
    """Make the graph of a variant.

    Args:
        raw: The graph that `trace.write_raw_graph` wrote.
        source: The same model; `layers` counts those that the graph holds.
        settings: The recipe and the texts to take scales from.
        max_tokens: Tokens that a call takes.
        work: A folder for files in between.

    Raises:
        ModelError: The recipe did not take; the message names the operators that are missing.
    """
    recipe = settings.recipe
    fused = fuse(raw, source, split_attention=recipe in {"int8-static", "int4"})
    if recipe == "int8":
        return Made(_fixed_int8(fused.model, source, settings, max_tokens), _INT8 + _origin(settings, source))
    words = describe_fusing(fused.model, source) + _AFTER_FUSING[recipe] + _origin(settings, source)
    return Made(_change(fused, source, settings, max_tokens, work), words)


def _change(fused: Any, source: Layout, settings: ExportSettings, max_tokens: int, work: Path) -> Any:
    """Return the graph that a recipe for all architectures makes of the fused one."""
    from embedcli.encode.export import int4, quantize

    match settings.recipe:
        case "fp16":
            return quantize.to_half(fused)
        case "int8-dynamic":
            return quantize.to_dynamic_int8(fused.model, work)
        case "int4":
            return int4.to_int4(fused.model)
        case "int8-static":
            from embedcli.encode.export.calibrate import measure_ranges

            names = [node.input[0] for node in constant_products(fused.model)]
            texts = _texts(source, settings, max_tokens)
            return quantize.to_static_int8(fused.model, measure_ranges(fused.model, names, texts))
    return fused.model


def _fixed_int8(model: Any, source: Layout, settings: ExportSettings, max_tokens: int) -> Any:
    """Return the graph with fixed scales that is built from the weights of a fused one."""
    from embedcli.encode.export.calibrate import measure_ranges
    from embedcli.encode.export.int8 import build_int8
    from embedcli.encode.export.network import read_network

    network = read_network(model, max_tokens)
    ranges = measure_ranges(model, network.inputs, _texts(source, settings, max_tokens))
    graph = build_int8(network, ranges, max_tokens)
    layers = source.layers
    attention = (
        {"QAttention": layers, "MatMulIntegerToFloat": 3 * layers}
        if network.distances is None
        else {"MultiHeadAttention": layers, "MatMulIntegerToFloat": 4 * layers}
    )
    needed = {**attention, "Gelu": layers, "InstanceNormalization": 2 * layers + 1}
    require_operators(count_operators(graph), needed, "quantizing")
    return graph


def _texts(source: Layout, settings: ExportSettings, max_tokens: int) -> list[list[int]]:
    """Return the token ids of the texts that scales are taken from."""
    from embedcli.encode.export.calibrate import calibration_ids
    from embedcli.encode.export.probe_texts import CALIBRATION_TEXTS

    return calibration_ids(source, settings.calibration_texts or CALIBRATION_TEXTS, max_tokens)


def _origin(settings: ExportSettings, source: Layout) -> str:
    """Return what the manifest says of texts that the user gave and of layers that were left out."""
    texts = len(settings.calibration_texts)
    total = source.config.get("num_hidden_layers", source.config.get("n_layers"))
    given = f"; scales from {texts} texts of the user's" if texts else ""
    return given + (f"; ends after layer {settings.exit_layer} of {total}" if settings.exit_layer else "")
