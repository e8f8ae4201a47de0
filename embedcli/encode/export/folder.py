"""The model folder that an export makes or adds to: licence, manifest, and the move into place."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from typing import TYPE_CHECKING

from embedcli.encode.layout import LEGAL_NAMES, TOKENIZER_NAME
from embedcli.encode.manifest import MANIFEST_NAME, Dense, FileEntry, Manifest, read_manifest
from embedcli.errors import ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from embedcli.encode.export.settings import ExportSettings
    from embedcli.encode.layout import Layout
    from embedcli.encode.manifest import Variant


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """What stays the same through one export."""

    model: Layout
    settings: ExportSettings
    max_tokens: int
    on_step: Callable[[str], None]

    @property
    def licence(self) -> str:
        """SPDX identifier of the weights' licence."""
        return self.settings.licence or self.model.licence

    @property
    def revision(self) -> str:
        """Commit of the source, or the SHA-256 of the weights in its place."""
        return self.settings.revision or self.model.weights_sha256


def read_present(out: Path, settings: ExportSettings, model: Layout, max_tokens: int) -> Manifest | None:
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
        if found != wanted and set(present.variants) != {settings.variant}:
            raise ModelError(f"{out}: holds another model: {word} is {found}, not {wanted}")
    return present


def write_common(job: Job, made: Path) -> None:
    """Write what all variants share: tokenizer, dense layers, licence, and where the weights are from."""
    model, settings = job.model, job.settings
    (made / TOKENIZER_NAME).write_text(model.tokenizer, encoding="utf-8")
    for number, layer in enumerate(model.dense, start=1):
        shutil.copyfile(layer.path, made / _dense_name(number))
    if "LICENSE" in model.legal:
        shutil.copyfile(model.folder / "LICENSE", made / "LICENSE")
    revision = settings.revision or f"weights with SHA-256 {model.weights_sha256}"
    (made / "NOTICE").write_text(
        f"{settings.name}\n\n"
        f"Weights and tokenizer: {settings.source} ({revision}), licence {job.licence or 'not stated'}.\n"
        "Changed by embedcli: converted to ONNX, operators fused and rewritten, and, in the variants whose\n"
        "names say so, weights rounded to fewer bits. model.toml says how, file by file.\n",
        encoding="utf-8",
    )


def describe(job: Job, made: Path, name: str, variant: Variant) -> Manifest:
    """Return the manifest of a folder with one variant.

    Args:
        job: The export.
        made: The folder, where every file but the manifest is in place.
        name: What the variant is called.
        variant: What is said of it.
    """
    model, settings = job.model, job.settings
    dense = tuple(
        Dense(_dense_name(number), layer.activation) for number, layer in enumerate(model.dense, start=1)
    )
    names = (variant.file, TOKENIZER_NAME, *(layer.file for layer in dense), *LEGAL_NAMES)
    return Manifest(
        name=settings.name,
        kind=model.kind,
        description=settings.description,
        source=settings.source,
        revision=job.revision,
        weights_sha256=model.weights_sha256,
        licence=job.licence,
        languages=settings.languages or model.languages,
        not_for=settings.not_for or model.not_for,
        dim=model.dim,
        dims=settings.dims or model.dims,
        max_tokens=job.max_tokens,
        # Kinds that do not pool have no use for it, but the key must be there.
        pooling=model.pooling or "cls",
        normalize=model.normalize,
        tokenizer=TOKENIZER_NAME,
        default_variant=name,
        prompts={**model.prompts, **settings.prompts},
        variants={name: variant},
        files={file: _entry(made / file) for file in names if (made / file).is_file()},
        dense=dense,
        similarity=model.similarity,
        lower_case=model.lower_case,
        pool_prompt=model.pool_prompt,
    )


def add_to(present: Manifest | None, made: Manifest) -> Manifest:
    """Return the manifest of a folder to which the one variant of another manifest is added.

    A variant of the same name is replaced. What is said of the model as a whole stays as it was, unless
    nothing of it is left.
    """
    name = made.default_variant
    if present is None or set(present.variants) == {name}:
        return made
    return dataclasses.replace(
        present,
        variants={**present.variants, **made.variants},
        files={**present.files, **made.files},
        probes=made.probes if name == present.default_variant else present.probes,
    )


def _dense_name(number: int) -> str:
    return f"dense_{number}.safetensors"


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
