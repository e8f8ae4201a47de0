"""From a folder of weights to a model folder."""

from __future__ import annotations

import base64
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from embedcli.encode.export.folder import (
    Job,
    add_to,
    describe,
    move_into_place,
    read_present,
    write_common,
)
from embedcli.encode.export.fuse import fuse
from embedcli.encode.export.graph import count_operators, save_graph
from embedcli.encode.export.libraries import export_libraries
from embedcli.encode.export.recipes import apply_recipe, check_recipe, settle_recipe
from embedcli.encode.export.trace import write_raw_graph
from embedcli.encode.layout import read_layout
from embedcli.encode.manifest import MANIFEST_NAME, Manifest, Probe, Variant, format_manifest
from embedcli.errors import ModelError, OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from embedcli.encode.export.measure import EncoderRunner
    from embedcli.encode.export.settings import ExportSettings

_TELLING = (
    "QAttention",
    "Attention",
    "MultiHeadAttention",
    "MatMulIntegerToFloat",
    "MatMulInteger",
    "MatMulNBits",
    "MatMul",
    "QEmbedLayerNormalization",
    "EmbedLayerNormalization",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    "InstanceNormalization",
    "BiasGelu",
    "Gelu",
    "FastGelu",
    "Softmax",
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
        ModelError: The source is not understood, the recipe does not fit it, the graph is not matched, or
            `out` holds another model.
        OutputError: The result cannot be written.
        UsageError: A setting does not fit the model.
    """
    model = read_layout(source, name=settings.source, pooling=settings.pooling)
    for note in model.notes:
        on_step(f"note: {note}")
    if not model.weights_sha256:
        raise ModelError(
            f"{source}: no weights in safetensors",
            hint="embedcli models add takes a folder with an ONNX graph as it is",
        )
    max_tokens = settings.max_tokens or model.max_tokens
    if max_tokens > model.max_positions:
        raise UsageError(f"max_tokens {max_tokens}: the model has positions for {model.max_positions}")
    settings = settle_recipe(model, settings)
    check_recipe(model, settings)
    job = Job(model, settings, max_tokens, on_step)
    if not job.licence:
        on_step("note: the source states no licence; --licence ID records one")
    present = read_present(out, settings, model, max_tokens)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch,
            export_libraries() as versions,
        ):
            made, work = Path(scratch, "made"), Path(scratch, "work")
            made.mkdir()
            work.mkdir()
            manifest = add_to(present, _make_variant(job, made, work, versions))
            on_step("write the manifest")
            (made / MANIFEST_NAME).write_text(format_manifest(manifest), encoding="utf-8")
            move_into_place(made, out)
    except OSError as error:
        raise OutputError(f"{out}: {error}") from error
    return manifest


def _make_variant(job: Job, made: Path, work: Path, versions: Mapping[str, str]) -> Manifest:
    """Write the variant's files into `made`, measure it, and return a manifest with it alone."""
    from embedcli.encode.export.measure import EncoderRunner, measure_cost, open_runner
    from embedcli.encode.export.probe_texts import MEASURED_TEXTS, STORED_PROBES
    from embedcli.encode.pair_probes import make_pair_probes
    from embedcli.encode.pairs import PairEncoder

    settings = job.settings
    write_common(job, made)
    job.on_step("export to ONNX")
    raw = write_raw_graph(job.model, work / "raw")
    job.on_step("fuse")
    reference = _write_reference(job, raw, work / "reference")
    source = job.model
    if settings.exit_layer is not None:
        job.on_step(f"export layers 1 to {settings.exit_layer}")
        source = replace(source, layers=settings.exit_layer)
        raw = write_raw_graph(source, work / "cut", settings.exit_layer)
    job.on_step(f"apply the recipe {settings.recipe}")
    graph, words = apply_recipe(raw, source, settings, job.max_tokens, work)
    counts = count_operators(graph)
    variant = Variant(
        file=f"model_{settings.variant}.onnx",
        device="cuda" if settings.recipe == "fp16" else "cpu",
        # Dynamic scales are taken over a whole call, and float products may round differently in larger
        # calls; the graph of the recipe int8 was built so that neither happens.
        one_text_per_call=settings.recipe != "int8",
        recipe=words,
        operators={name: counts[name] for name in _TELLING if counts[name]},
        exported_with=versions,
    )
    save_graph(graph, made / variant.file)
    job.on_step("measure fidelity and speed")
    manifest = describe(job, made, settings.variant, variant)
    runner = open_runner(made, manifest, settings.variant)
    cost = measure_cost(runner, open_runner(work / "reference", reference, "fp32"), MEASURED_TEXTS)
    variant = replace(
        variant,
        cosine_min=cost.cosine_min,
        cosine_mean=cost.cosine_mean,
        speed_ratio=cost.speed_ratio,
    )
    probes: tuple[Probe, ...] = ()
    if isinstance(runner, EncoderRunner):
        prompt = manifest.prompts.get("document", "")
        probes = tuple(_probe(text, runner, prompt) for text in STORED_PROBES)
    elif manifest.kind == "cross-encoder" and manifest.dim == 1:
        encoder = PairEncoder(made, manifest, variant=settings.variant, device="cpu", jobs=1)
        probes = make_pair_probes(encoder, STORED_PROBES)
    return replace(manifest, variants={settings.variant: variant}, probes=probes)


def _write_reference(job: Job, raw: Path, folder: Path) -> Manifest:
    """Make a model folder of the whole model in fp32 that others are measured against."""
    folder.mkdir()
    write_common(job, folder)
    variant = Variant(file="model_fp32.onnx", device="cpu", one_text_per_call=True, recipe="fused")
    save_graph(fuse(raw, job.model).model, folder / variant.file, may_halve=True)
    return describe(job, folder, "fp32", variant)


def _probe(text: str, runner: EncoderRunner, prompt: str) -> Probe:
    """Return a text and the vector that it gets as a document."""
    vector = runner.probe(text, prompt).astype("<f2").tobytes()
    return Probe(text, base64.b64encode(vector).decode("ascii"))
