"""From a folder of weights to a model folder."""

from __future__ import annotations

import base64
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedcli.encode.export.folder import Job, describe, move_into_place, read_present, write_legal
from embedcli.encode.export.graph import (
    count_operators,
    fuse,
    require_operators,
    to_half,
    write_raw_graph,
)
from embedcli.encode.export.libraries import export_libraries
from embedcli.encode.export.settings import DEVICES
from embedcli.encode.export.source import TOKENIZER_NAME, read_source
from embedcli.encode.manifest import MANIFEST_NAME, Manifest, Probe, Variant, format_manifest
from embedcli.errors import OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedcli.encode.export.settings import ExportSettings, Recipe

_RECIPES: dict[Recipe, str] = {
    "fp32": "fused",
    "fp16": "fused, then arithmetic in float16",
    "int8": "int8 with fixed scales: weights signed per column, channels with outliers scaled down",
}
_TELLING = (
    "QAttention",
    "Attention",
    "MatMulIntegerToFloat",
    "MatMul",
    "EmbedLayerNormalization",
    "SkipLayerNormalization",
    "InstanceNormalization",
    "BiasGelu",
    "Gelu",
)
"""Operators that the manifest counts: they tell what is fused and what computes in integers."""


def export_model(
    source: Path, out: Path, settings: ExportSettings, on_step: Callable[[str], None]
) -> Manifest:
    """Export a folder in the sentence-transformers layout into a model folder.

    Where `out` already holds the same model, the recipe is added to it as one more variant, or takes the
    place of the variant of that name. All is made in a temporary folder beside `out` and moved into place at
    the end, the manifest last.

    Args:
        source: The folder with weights, tokenizer and settings.
        out: The model folder to make or to add to.
        settings: The recipe, and what no file of the source tells.
        on_step: Called with a few words before each step.

    Returns:
        The manifest as it was written.

    Raises:
        MissingExtraError: A library that only an export needs is not installed.
        MissingPathError: There is no source folder.
        ModelError: The source is not understood, the graph is not matched, or `out` holds another model.
        OutputError: The result cannot be written.
        UsageError: `max_tokens` is more than the model has positions for.
    """
    model = read_source(source)
    max_tokens = settings.max_tokens or model.max_tokens
    if max_tokens > model.max_positions:
        raise UsageError(f"max_tokens {max_tokens}: the model has positions for {model.max_positions}")
    present = read_present(out, settings, model, max_tokens)
    job = Job(model, settings, max_tokens, on_step)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch,
            export_libraries() as versions,
        ):
            made, work = Path(scratch, "made"), Path(scratch, "work")
            made.mkdir()
            work.mkdir()
            variant, probes = _make_variant(job, made, work, versions)
            on_step("write the manifest")
            write_legal(job, made)
            manifest = describe(job, made, variant, probes, present)
            (made / MANIFEST_NAME).write_text(format_manifest(manifest), encoding="utf-8")
            move_into_place(made, out)
    except OSError as error:
        raise OutputError(f"{out}: {error}") from error
    return manifest


def _make_variant(
    job: Job, made: Path, work: Path, versions: dict[str, str]
) -> tuple[Variant, tuple[Probe, ...]]:
    """Write the variant's ONNX file and the tokenizer into `made`, and measure it."""
    import onnx

    from embedcli.encode.export.measure import GraphRunner, measure_cost, token_ids
    from embedcli.encode.export.probe_texts import MEASURED_TEXTS, STORED_PROBES

    recipe, pooling, tokenizer = job.settings.recipe, job.model.pooling, made / TOKENIZER_NAME
    tokenizer.write_text(job.model.tokenizer, encoding="utf-8")
    job.on_step("export to ONNX")
    raw = write_raw_graph(job.model, work / "raw")
    job.on_step("fuse")
    fused = fuse(raw, job.model)
    reference = work / "fused.onnx"
    onnx.save(fused.model, os.fspath(reference))
    job.on_step(f"apply the recipe {recipe}")
    graph = _apply_recipe(fused, job, tokenizer)
    path = made / f"model_{recipe}.onnx"
    onnx.save(graph, os.fspath(path))
    job.on_step("measure fidelity and speed")
    runner = GraphRunner(path, pooling)
    texts = token_ids(tokenizer, MEASURED_TEXTS, job.max_tokens)
    cost = measure_cost(runner, GraphRunner(reference, pooling), texts)
    counts = count_operators(graph)
    variant = Variant(
        file=path.name,
        device=DEVICES[recipe],
        # Fixed scales and float arithmetic alike treat each text by itself.
        # Float products may round differently in larger calls; fixed integer scales cannot.
        one_text_per_call=recipe != "int8",
        recipe=_RECIPES[recipe],
        operators={name: counts[name] for name in _TELLING if counts[name]},
        cosine_min=cost.cosine_min,
        cosine_mean=cost.cosine_mean,
        speed_ratio=cost.speed_ratio,
        exported_with=versions,
    )
    stored = token_ids(tokenizer, STORED_PROBES, job.max_tokens)
    return variant, tuple(
        Probe(text, base64.b64encode(runner.vector(ids).astype("<f2").tobytes()).decode("ascii"))
        for text, ids in zip(STORED_PROBES, stored, strict=True)
    )


def _apply_recipe(fused: Any, job: Job, tokenizer: Path) -> Any:
    """Return the graph that the recipe makes of the fused one, its operators counted.

    Raises:
        ModelError: The recipe did not take; the message names the operators that are missing.
    """
    if job.settings.recipe == "fp16":
        to_half(fused)
    if job.settings.recipe != "int8":
        return fused.model
    from embedcli.encode.export.calibrate import measure_ranges
    from embedcli.encode.export.int8 import build_int8
    from embedcli.encode.export.measure import token_ids
    from embedcli.encode.export.network import read_network
    from embedcli.encode.export.probe_texts import CALIBRATION_TEXTS

    network = read_network(fused.model)
    texts = token_ids(tokenizer, CALIBRATION_TEXTS, job.max_tokens)
    graph = build_int8(network, measure_ranges(fused.model, network, texts), job.max_tokens)
    layers = job.model.layers
    require_operators(
        count_operators(graph),
        {
            "QAttention": layers,
            "MatMulIntegerToFloat": 3 * layers,
            "Gelu": layers,
            "InstanceNormalization": 2 * layers + 1,
        },
        "quantizing",
    )
    return graph
