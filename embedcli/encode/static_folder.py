"""Making the model folder of a static encoder."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from embedcli.encode.export.probe_texts import STORED_PROBES
from embedcli.encode.manifest import MANIFEST_NAME, FileEntry, Manifest, Probe, Variant, format_manifest
from embedcli.encode.static import StaticEncoder
from embedcli.encode.static_table import write_table
from embedcli.errors import OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from embedcli.encode.static_table import StaticTable

TABLE_NAME = "table.safetensors"
_TOKENIZER_NAME = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class StaticFacts:
    """What the manifest of a static encoder says beside its table.

    Attributes:
        recipe: How the table was made, in words.
        legal: Licence and notice texts by file name.
    """

    name: str
    source: str
    revision: str
    licence: str
    recipe: str
    languages: tuple[str, ...] = ()
    description: str = ""
    not_for: str = ""
    normalize: bool = True
    max_tokens: int = 512
    dims: tuple[int, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    legal: Mapping[str, str] = field(default_factory=dict)


def write_static_folder(out: Path, table: StaticTable, tokenizer: str, facts: StaticFacts) -> Manifest:
    """Make a model folder; it appears whole, by one rename.

    Args:
        out: The folder; must not exist.
        table: A row for each token.
        tokenizer: The tokenizer as JSON text.
        facts: What the manifest is to say.

    Raises:
        OutputError: It cannot be written.
        UsageError: `out` is there.
        DamagedModelError: Tokenizer and table do not go together.
    """
    if out.exists():
        raise UsageError(f"{out}: exists", hint="another name, or remove it first")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            made = Path(scratch, "made")
            made.mkdir()
            write_table(table, made / TABLE_NAME)
            for name, text in {_TOKENIZER_NAME: tokenizer, **facts.legal}.items():
                (made / name).write_text(text, encoding="utf-8")
            manifest = _describe(made, table, facts)
            (made / MANIFEST_NAME).write_text(format_manifest(manifest), encoding="utf-8")
            for path in made.iterdir():
                with path.open("rb") as stream:
                    os.fsync(stream.fileno())
            made.rename(out)
    except OSError as error:
        raise OutputError(f"{out}: {error}") from error
    return manifest


def _describe(made: Path, table: StaticTable, facts: StaticFacts) -> Manifest:
    """Return the manifest, with what the encoder in `made` gives for the probe texts."""
    files = {}
    for path in sorted(made.iterdir()):
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        files[path.name] = FileEntry(sha256, path.stat().st_size)
    variant = str(table.rows.dtype)
    manifest = Manifest(
        name=facts.name,
        kind="static",
        description=facts.description,
        source=facts.source,
        revision=facts.revision,
        weights_sha256=files[TABLE_NAME].sha256,
        licence=facts.licence,
        languages=facts.languages,
        not_for=facts.not_for,
        dim=table.dim,
        dims=facts.dims,
        max_tokens=facts.max_tokens,
        pooling="mean",
        normalize=facts.normalize,
        tokenizer=_TOKENIZER_NAME,
        default_variant=variant,
        prompts={"query": "", "document": "", **facts.prompts},
        variants={
            variant: Variant(
                file=TABLE_NAME,
                device="cpu",
                one_text_per_call=False,
                recipe=facts.recipe,
                # There is no fp32 graph to compare with.
                cosine_min=0.0,
                cosine_mean=0.0,
                speed_ratio=0.0,
            )
        },
        files=files,
    )
    encoder = StaticEncoder(made, manifest, variant=variant, jobs=1)
    vectors = encoder.encode([manifest.prompts["document"] + text for text in STORED_PROBES]).vectors
    probes = tuple(
        Probe(text, base64.b64encode(vector.astype("<f2").tobytes()).decode("ascii"))
        for text, vector in zip(STORED_PROBES, vectors, strict=True)
    )
    return replace(manifest, probes=probes)
