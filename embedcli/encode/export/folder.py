"""The model folder that an export makes or adds to: licence, manifest, and the move into place."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from typing import TYPE_CHECKING

from embedcli.encode.export.source import LEGAL_NAMES, TOKENIZER_NAME
from embedcli.encode.manifest import MANIFEST_NAME, FileEntry, Manifest, read_manifest
from embedcli.errors import ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from embedcli.encode.export.settings import ExportSettings
    from embedcli.encode.export.source import SourceModel
    from embedcli.encode.manifest import Probe, Variant


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """What stays the same through one export."""

    model: SourceModel
    settings: ExportSettings
    max_tokens: int
    on_step: Callable[[str], None]


def read_present(out: Path, settings: ExportSettings, model: SourceModel, max_tokens: int) -> Manifest | None:
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


def write_legal(job: Job, made: Path) -> None:
    """Copy the licence and say in NOTICE where the weights are from and that they were changed."""
    model, settings = job.model, job.settings
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


def describe(
    job: Job, made: Path, variant: Variant, probes: tuple[Probe, ...], present: Manifest | None
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


def move_into_place(made: Path, out: Path) -> None:
    """Move every file into `out`, the manifest last: until then the old one names only old files."""
    if not out.exists():
        made.rename(out)
        return
    names = sorted(path.name for path in made.iterdir())
    for name in sorted(names, key=lambda name: name == MANIFEST_NAME):
        (made / name).replace(out / name)
