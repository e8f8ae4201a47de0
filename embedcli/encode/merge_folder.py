"""Making the folder of a merged model: with weights of its own, or with rotations of others' vectors."""

from __future__ import annotations

import base64
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedcli.encode.alignment import write_rotation
from embedcli.encode.catalog import EncoderSettings, Model, open_encoder
from embedcli.encode.export.probe_texts import STORED_PROBES
from embedcli.encode.joined_manifest import join_models
from embedcli.encode.layout_files import file_sha256
from embedcli.encode.manifest import (
    MANIFEST_NAME,
    FileEntry,
    Part,
    Probe,
    Variant,
    format_manifest,
    verify_files,
)
from embedcli.encode.merge_weights import VARIANT, average_graphs, average_tensors
from embedcli.errors import OutputError, UsageError
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from embedcli.datatypes import Vectors
    from embedcli.encode.manifest import Manifest

_GRAPH_NAME = "model_fp32.onnx"
_LEGAL = ("LICENSE", "NOTICE")


@dataclass(frozen=True, slots=True)
class MergeFacts:
    """What is said of a merged model.

    Attributes:
        name: Its name.
        description: One line for lists; empty for one that says what it was made of.
        shares: The weight of each part, 1 in all.
    """

    name: str
    description: str
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Aligned:
    """A part whose vectors are averaged with others.

    Attributes:
        model: The model.
        name: How it is found again.
        variant: Which of its variants ran.
        rotation: Into the space of the first part, shape (dim, the part's dim); None for the first.
    """

    model: Model
    name: str
    variant: str
    rotation: Vectors | None


def write_averaged_weights(
    models: Sequence[Model], graphs: Sequence[Any], out: Path, facts: MergeFacts
) -> Manifest:
    """Make the folder of a model whose weights are the weighted average of those of others.

    Args:
        models: Of one network and one tokenizer.
        graphs: Their fp32 graphs, without a difference; the first one is changed.
        out: The folder; must not exist.
        facts: What is said of it.

    Raises:
        ModelError: The dense layers differ in shape, or an average is not finite.
        OutputError: It cannot be written.
        UsageError: `out` is there.
    """

    def fill(made: Path) -> Manifest:
        from safetensors.numpy import save_file

        first = models[0].manifest
        (made / _GRAPH_NAME).write_bytes(average_graphs(graphs, facts.shares))
        verify_files(models[0].folder, first, (first.tokenizer,))
        (made / first.tokenizer).write_bytes((models[0].folder / first.tokenizer).read_bytes())
        for number, layer in enumerate(first.dense):
            save_file(dict(average_tensors(models, number, facts.shares)), made / layer.file)
        for number, model in enumerate(models, start=1):
            for name in _LEGAL:
                if name in model.manifest.files:
                    (made / f"{name}-{number}").write_bytes((model.folder / name).read_bytes())
        (made / "NOTICE").write_text(_notice(models, facts), encoding="utf-8")
        entry = first.variants[VARIANT]
        return replace(
            _common(models, facts, "weights averaged"),
            kind=first.kind,
            weights_sha256=file_sha256(made / _GRAPH_NAME),
            dim=first.dim,
            dims=first.dims,
            max_tokens=first.max_tokens,
            pooling=first.pooling,
            normalize=first.normalize,
            tokenizer=first.tokenizer,
            default_variant=VARIANT,
            prompts=first.prompts,
            variants={
                VARIANT: replace(
                    entry,
                    file=_GRAPH_NAME,
                    one_text_per_call=any(
                        model.manifest.variants[VARIANT].one_text_per_call for model in models
                    ),
                    recipe=f"average of {_shares(models, facts)}",
                    cosine_min=1.0,
                    cosine_mean=1.0,
                )
            },
            dense=first.dense,
            similarity=first.similarity,
            lower_case=first.lower_case,
            pool_prompt=first.pool_prompt,
            parts=(),
        )

    return _make(out, fill, ())


def write_averaged_vectors(parts: Sequence[Aligned], out: Path, facts: MergeFacts) -> Manifest:
    """Make the folder of a model whose vectors are the weighted average of others', in the first one's space.

    It holds rotations only: the parts stay where they are, and are asked for by name and fingerprint.

    Args:
        parts: Two at least; all but the first with a rotation.
        out: The folder; must not exist.
        facts: What is said of it.

    Raises:
        OutputError: It cannot be written.
        UsageError: `out` is there.
    """
    models = [part.model for part in parts]
    own = [part.variant for part in parts]
    joint = own[0] if len(set(own)) == 1 else "+".join(own)

    def fill(made: Path) -> Manifest:
        files = [
            "" if part.rotation is None else f"rotation_{number}.safetensors"
            for number, part in enumerate(parts, start=1)
        ]
        for part, file in zip(parts, files, strict=True):
            if part.rotation is not None:
                write_rotation(made / file, part.rotation)
        (made / "NOTICE").write_text(_notice(models, facts), encoding="utf-8")
        entries = [part.model.manifest.variants[part.variant] for part in parts]
        return replace(
            _common(models, facts, "vectors rotated into the space of the first and averaged"),
            dim=models[0].manifest.dim,
            default_variant=joint,
            variants={
                joint: Variant(
                    file="",
                    device=next((entry.device for entry in entries if entry.device != "cpu"), "cpu"),
                    one_text_per_call=False,
                    recipe=f"average of {_shares(models, facts)}; fidelity as of the least faithful",
                    cosine_min=min(entry.cosine_min for entry in entries),
                    cosine_mean=min(entry.cosine_mean for entry in entries),
                    speed_ratio=0.0,
                )
            },
            parts=tuple(
                Part(
                    part.name,
                    share,
                    {joint: part.variant},
                    {joint: part.model.manifest.fingerprint(part.variant)},
                    file,
                )
                for part, share, file in zip(parts, facts.shares, files, strict=True)
            ),
        )

    return _make(out, fill, models[0].folders)


def _common(models: Sequence[Model], facts: MergeFacts, how: str) -> Manifest:
    """Return what is said of models that are put end to end, under the new name and without probes."""
    manifests = [model.manifest for model in models]
    shown = facts.description or f"{', '.join(manifest.name for manifest in manifests)}: {how}"
    return replace(
        join_models([manifest.name for manifest in manifests], manifests),
        name=facts.name,
        description=shown,
        source=f"merged from {_shares(models, facts)}",
        probes=(),
    )


def _shares(models: Sequence[Model], facts: MergeFacts) -> str:
    return ", ".join(
        f"{model.manifest.name} ({share:.3g})" for model, share in zip(models, facts.shares, strict=True)
    )


def _notice(models: Sequence[Model], facts: MergeFacts) -> str:
    lines = [f"{facts.name}", "", "Computed by embedcli from these models:"]
    lines += [
        f"- {model.manifest.name}: {model.manifest.source}, licence {model.manifest.licence or 'unknown'}"
        for model in models
    ]
    return "\n".join(lines) + "\n"


def _make(out: Path, fill: Callable[[Path], Manifest], folders: tuple[Path, ...]) -> Manifest:
    """Make a model folder; it appears whole, by one rename.

    Args:
        out: The folder; must not exist.
        fill: Writes the files into a folder and returns the manifest without hashes and probes.
        folders: Where parts are looked for.
    """
    if out.exists():
        raise UsageError(f"{out}: exists", hint="another name, or remove it first")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            made = Path(scratch, "made")
            made.mkdir()
            manifest = fill(made)
            files = {
                path.name: FileEntry(file_sha256(path), path.stat().st_size)
                for path in sorted(made.iterdir())
            }
            manifest = replace(manifest, files=files)
            manifest = replace(manifest, probes=_probes(Model(made, manifest, folders)))
            (made / MANIFEST_NAME).write_text(format_manifest(manifest), encoding="utf-8")
            for path in made.iterdir():
                with path.open("rb") as stream:
                    os.fsync(stream.fileno())
            made.rename(out)
    except OSError as error:
        raise OutputError(f"{out}: {error}") from error
    return manifest


def _probes(model: Model) -> tuple[Probe, ...]:
    """Return the probe texts with what the model gives for them."""
    manifest = model.manifest
    encoder = open_encoder(model, EncoderSettings(variant=manifest.default_variant))
    try:
        vectors = normalize(
            encoder.encode(STORED_PROBES, prompt=manifest.prompts.get("document", "")).vectors
        )
    finally:
        encoder.close()
    return tuple(
        Probe(text, base64.b64encode(vector.astype("<f2").tobytes()).decode("ascii"))
        for text, vector in zip(STORED_PROBES, vectors, strict=True)
    )
