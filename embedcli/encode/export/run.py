"""From a folder of weights to a model folder."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedcli.encode.export.graph import (
    count_operators,
    fuse,
    require_operators,
    to_half,
    write_raw_graph,
)
from embedcli.encode.export.libraries import export_libraries
from embedcli.encode.export.settings import DEVICES
from embedcli.encode.export.source import LEGAL_NAMES, TOKENIZER_NAME, read_source
from embedcli.encode.manifest import (
    MANIFEST_NAME,
    FileEntry,
    Manifest,
    Probe,
    Variant,
    format_manifest,
    read_manifest,
)
from embedcli.errors import ModelError, OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedcli.encode.export.settings import ExportSettings, Recipe
    from embedcli.encode.export.source import SourceModel

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


@dataclasses.dataclass(frozen=True, slots=True)
class _Job:
    """What stays the same through one export."""

    model: SourceModel
    settings: ExportSettings
    max_tokens: int
    on_step: Callable[[str], None]


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
    present = _read_present(out, settings, model, max_tokens)
    job = _Job(model, settings, max_tokens, on_step)
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
            _write_texts(model, made, settings)
            manifest = _manifest(job, made, variant, probes, present)
            (made / MANIFEST_NAME).write_text(format_manifest(manifest), encoding="utf-8")
            _move_into_place(made, out)
    except OSError as error:
        raise OutputError(f"{out}: {error}") from error
    return manifest


def _read_present(
    out: Path, settings: ExportSettings, model: SourceModel, max_tokens: int
) -> Manifest | None:
    """Return the manifest that `out` already has; None for a new folder.

    Raises:
        ModelError: It is of another model, so that its variants could not share a manifest.
        UsageError: `out` holds something that is not a model.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / MANIFEST_NAME).is_file():
        raise UsageError(f"{out}: exists and is not a model folder")
    present = read_manifest(out)
    for word, found, wanted in (
        ("name", present.name, settings.name),
        ("weights_sha256", present.weights_sha256, model.weights_sha256),
        ("max_tokens", present.max_tokens, max_tokens),
    ):
        # With the only variant replaced, nothing of the old model stays.
        if found != wanted and set(present.variants) != {settings.recipe}:
            raise ModelError(f"{out}: holds another model: {word} is {found}, not {wanted}")
    return present


def _make_variant(
    job: _Job, made: Path, work: Path, versions: dict[str, str]
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
        one_text_per_call=False,
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


def _apply_recipe(fused: Any, job: _Job, tokenizer: Path) -> Any:
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


def _write_texts(model: SourceModel, made: Path, settings: ExportSettings) -> None:
    """Copy the licence and say in NOTICE where the weights are from and that they were changed."""
    if "LICENSE" in model.legal:
        shutil.copyfile(model.folder / "LICENSE", made / "LICENSE")
    revision = settings.revision or f"weights with SHA-256 {model.weights_sha256}"
    (made / "NOTICE").write_text(
        f"{settings.name}\n\n"
        f"Weights and tokenizer: {settings.source} ({revision}), licence {settings.licence}.\n"
        "Changed by embedcli: converted to ONNX, operators fused and rewritten, and, in the variants whose\n"
        "names say so, weights rounded to fewer bits. model.toml says how, file by file.\n",
        encoding="utf-8",
    )


def _manifest(
    job: _Job, made: Path, variant: Variant, probes: tuple[Probe, ...], present: Manifest | None
) -> Manifest:
    """Return the new manifest, or the present one with the variant added or replaced."""
    model, settings = job.model, job.settings
    files = {
        name: _entry(made / name)
        for name in (variant.file, TOKENIZER_NAME, *LEGAL_NAMES)
        if (made / name).is_file()
    }
    if present is not None and set(present.variants) != {settings.recipe}:
        default = settings.recipe == present.default_variant
        return dataclasses.replace(
            present,
            variants={**present.variants, settings.recipe: variant},
            files={**present.files, **files},
            probes=probes if default else present.probes,
        )
    return Manifest(
        name=settings.name,
        kind="onnx",
        description=settings.description,
        source=settings.source,
        revision=settings.revision or model.weights_sha256,
        weights_sha256=model.weights_sha256,
        licence=settings.licence,
        languages=settings.languages,
        not_for=settings.not_for,
        dim=model.dim,
        dims=settings.dims,
        max_tokens=job.max_tokens,
        pooling=model.pooling,
        normalize=model.normalize,
        tokenizer=TOKENIZER_NAME,
        default_variant=settings.recipe,
        prompts={**model.prompts, **settings.prompts},
        variants={settings.recipe: variant},
        files=files,
        probes=probes,
    )


def _entry(path: Path) -> FileEntry:
    """Return a file's hash and length."""
    with path.open("rb") as stream:
        return FileEntry(hashlib.file_digest(stream, "sha256").hexdigest(), path.stat().st_size)


def _move_into_place(made: Path, out: Path) -> None:
    """Move every file into `out`, the manifest last: until then the old one names only old files."""
    if not out.exists():
        made.rename(out)
        return
    names = sorted(path.name for path in made.iterdir())
    for name in sorted(names, key=lambda name: name == MANIFEST_NAME):
        (made / name).replace(out / name)
