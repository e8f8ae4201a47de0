"""A source folder that can be used as it is becomes a model folder: copied, checked, described, run once."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from embedcli.encode.adopt_measure import NOT_MEASURED, TELLING, copy_graph, measure, precision_of
from embedcli.encode.layout import LEGAL_NAMES, TOKENIZER_NAME, read_layout
from embedcli.encode.layout_files import file_sha256
from embedcli.encode.manifest import (
    MANIFEST_NAME,
    Dense,
    FileEntry,
    Manifest,
    Variant,
    format_manifest,
    read_manifest,
    verify_files,
)
from embedcli.encode.trust import check_graph
from embedcli.errors import MissingPathError, ModelError, OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from embedcli.datatypes import Pooling
    from embedcli.encode.layout import Layout


@dataclass(frozen=True, slots=True)
class Origin:
    """What no file of a source tells.

    Attributes:
        name: The model's name, as `--model` takes it.
        source: Where it comes from, such as `owner/name` on a model hub; looked up in the catalogue.
        revision: Commit or version of the source; when empty, the SHA-256 of the weights stands in its place.
        licence: SPDX identifier; when empty, what the model's card or the catalogue says.
        languages: ISO 639 codes; when empty, as for the licence.
        description: One line for lists of models.
        not_for: What the model does badly; when empty, what the catalogue says.
        dims: Shorter sizes it was trained to be cut to; when empty, what the catalogue says.
        prompts: Override what the source says is put before a text, by role or task.
    """

    name: str
    source: str
    revision: str
    licence: str
    languages: tuple[str, ...] = ()
    description: str = ""
    not_for: str = ""
    dims: tuple[int, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)


def adopt_folder(
    source: Path,
    out: Path,
    origin: Origin,
    *,
    onnx_file: str | None = None,
    pooling: Pooling | None = None,
) -> Manifest:
    """Make a model folder of a source that needs no export.

    A folder with a manifest is copied as it is, under the new name. A static model is converted. A folder in
    the sentence-transformers layout needs an ONNX graph of its own, which is taken as it was published and
    run on some texts; their vectors, or scores of pairs, go into the manifest. Everything is made in a
    temporary folder beside `out` and moved into place at the end.

    Args:
        source: The folder, or a file of word vectors.
        out: The model folder to make; it must not exist.
        origin: What no file tells.
        onnx_file: Which of the source's ONNX graphs, relative to it; None for the plainest.
        pooling: How token vectors become one, where no file says so.

    Returns:
        The manifest as it was written.

    Raises:
        DamagedModelError: A file is not what the source's manifest says, or the graph is damaged.
        MissingPathError: There is no source.
        ModelError: The source is not understood, has weights only, or its graph is refused or fails.
        OutputError: The result cannot be written.
        UsageError: `out` exists, or there is no graph of that name.
    """
    from embedcli.encode.static_layout import adopt_static, is_static

    if not source.exists():
        raise MissingPathError(str(source))
    if out.exists():
        raise UsageError(f"{out}: exists already")
    has_manifest = (source / MANIFEST_NAME).is_file()
    if not has_manifest and is_static(source):
        return adopt_static(source, out, origin)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            made = Path(scratch, "made")
            made.mkdir()
            if has_manifest:
                manifest = _copy_model(source, made, origin)
            else:
                manifest = _take_graph(source, made, origin, onnx_file, pooling)
            (made / MANIFEST_NAME).write_text(format_manifest(manifest), encoding="utf-8")
            made.rename(out)
    except OSError as error:
        raise OutputError(f"{out}: {error}") from error
    return manifest


def _copy_model(source: Path, made: Path, origin: Origin) -> Manifest:
    """Copy the files that a manifest names, and nothing else; what was copied is what is verified."""
    manifest = read_manifest(source)
    verify_files(source, manifest)
    for name in manifest.files:
        shutil.copyfile(source / name, made / name)
    verify_files(made, manifest)
    if manifest.kind not in ("static", "joined"):
        for variant in manifest.variants.values():
            check_graph((made / variant.file).read_bytes(), variant.file)
    return dataclasses.replace(manifest, name=origin.name)


def _take_graph(
    source: Path, made: Path, origin: Origin, onnx_file: str | None, pooling: Pooling | None
) -> Manifest:
    """Copy a published graph with all that belongs to it, and describe it."""
    layout = read_layout(source, name=origin.source, pooling=pooling)
    chosen = _choose(layout, onnx_file)
    facts = copy_graph(source / chosen, made / PurePosixPath(chosen).name)
    (made / TOKENIZER_NAME).write_text(layout.tokenizer, encoding="utf-8")
    dense = []
    for number, layer in enumerate(layout.dense):
        dense.append(Dense(f"dense_{number}.safetensors", layer.activation))
        shutil.copyfile(layer.path, made / dense[-1].file)
    _write_legal(layout, made, origin)
    precision, recipe = precision_of(facts)
    variant = Variant(
        file=PurePosixPath(chosen).name,
        device="cpu",
        # How it was made is not known, so nothing may be assumed of company.
        one_text_per_call=True,
        recipe=f"{recipe}; as published in {chosen}",
        operators={name: facts.operators[name] for name in TELLING if facts.operators.get(name)},
        speed_ratio=NOT_MEASURED,
    )
    files = {path.name: FileEntry(file_sha256(path), path.stat().st_size) for path in sorted(made.iterdir())}
    weights = layout.weights_sha256 or files[variant.file].sha256
    manifest = Manifest(
        name=origin.name,
        kind=layout.kind,
        description=origin.description,
        source=origin.source,
        revision=origin.revision or weights,
        weights_sha256=weights,
        licence=origin.licence or layout.licence,
        languages=origin.languages or layout.languages,
        not_for=origin.not_for or layout.not_for,
        dim=layout.dim,
        dims=origin.dims or layout.dims,
        max_tokens=layout.max_tokens,
        # Kinds that do not pool have no use for it, but the key must be there.
        pooling=layout.pooling or "cls",
        normalize=layout.normalize,
        tokenizer=TOKENIZER_NAME,
        default_variant=precision,
        prompts={**layout.prompts, **origin.prompts},
        variants={precision: variant},
        files=files,
        dense=tuple(dense),
        similarity=layout.similarity,
        lower_case=layout.lower_case,
        pool_prompt=layout.pool_prompt,
    )
    return measure(manifest, made, layout)


def _choose(layout: Layout, onnx_file: str | None) -> str:
    """Return the graph that is meant."""
    if not layout.onnx_files:
        raise ModelError(
            f"{layout.folder}: holds weights, but no ONNX graph",
            hint="embedcli models export makes one (extra 'export')",
        )
    if onnx_file is not None and onnx_file not in layout.onnx_files:
        raise UsageError(
            f"{layout.folder}: no graph {onnx_file!r}", hint="there are: " + ", ".join(layout.onnx_files)
        )
    return onnx_file or layout.onnx_files[0]


def _write_legal(layout: Layout, made: Path, origin: Origin) -> None:
    """Copy the licence and the notice, and say where the model is from."""
    for name in LEGAL_NAMES:
        if name in layout.legal and not (layout.folder / name).is_symlink():
            shutil.copyfile(layout.folder / name, made / name)
    if not (made / "NOTICE").exists():
        licence = origin.licence or layout.licence or "not stated"
        (made / "NOTICE").write_text(
            f"{origin.name}\n\nGraph and tokenizer: {origin.source} "
            f"({origin.revision or 'revision not stated'}), licence {licence}. Unchanged but for the names\n"
            "of the files and the padding and truncation settings of the tokenizer, which are left out.\n",
            encoding="utf-8",
        )
