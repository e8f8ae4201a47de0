"""`model.toml`: what a model folder holds and how its encoder is to be applied."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, get_args

from embedcli.datatypes import PoolingMode
from embedcli.encode.duplicates import Duplicates, check_duplicates
from embedcli.errors import DamagedModelError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from embedcli.datatypes import Pooling

MANIFEST_NAME = "model.toml"
MANIFEST_FORMAT = 1
PAIR_MARK = "\x1f"
"""Stands between query and text in the probe of a cross-encoder."""

Kind = Literal["onnx", "static", "sparse", "cross-encoder", "joined"]
Similarity = Literal["cosine", "dot"]
Activation = Literal["identity", "tanh", "gelu", "relu", "sigmoid"]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of the model: its SHA-256 in hexadecimal and its length in bytes."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Dense:
    """A matrix product that follows pooling: `activation(weight @ vector + bias)`.

    Attributes:
        file: A safetensors file in the model's folder with `linear.weight`, shape (out, in), float32, and
            `linear.bias`, shape (out,), if there is one.
        activation: What the result goes through.
    """

    file: str
    activation: Activation


@dataclass(frozen=True, slots=True)
class Part:
    """A model that a joined one is made of.

    Attributes:
        model: Its name; in a manifest that was not read from a file also the path of its folder.
        weight: Its share, over 0; the shares of all parts add up to 1.
        variants: Which of its own variants runs, by the joined model's variant.
        fingerprints: `Manifest.fingerprint` of that variant, likewise by the joined model's variant.
        file: A safetensors file in the joined model's folder with `rotation`, shape (dim, the part's dim),
            float32, that takes its vectors into the space of the first part; empty for none.
    """

    model: str
    weight: float
    variants: Mapping[str, str]
    fingerprints: Mapping[str, str]
    file: str = ""


@dataclass(frozen=True, slots=True)
class Variant:
    """One form of the encoder's weights.

    Attributes:
        file: The ONNX file, or the table of a static encoder; a plain name in the model's folder.
        device: The device it is made for: `cpu` or `cuda`.
        one_text_per_call: Whether a text's vector would depend, be it in the last bit, on what shares its
            call.
        recipe: How it was made, in words.
        operators: How many of each telling operator the graph holds.
        cosine_min: Lowest cosine to the fp32 vectors over the probe texts; 0 for not measured, as below.
        cosine_mean: Mean of the same.
        speed_ratio: Texts per CPU second, relative to the fused fp32 graph in the same run.
        exported_with: Versions of the libraries that made it.
    """

    file: str
    device: str
    one_text_per_call: bool
    recipe: str
    operators: Mapping[str, int] = field(default_factory=dict)
    cosine_min: float = 1.0
    cosine_mean: float = 1.0
    speed_ratio: float = 1.0
    exported_with: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Probe:
    """A text and the vector that this model gives it: base64 of little-endian float16, unit length.

    Of a cross-encoder: a query and a text with `PAIR_MARK` between them, and their score in the same form.
    """

    text: str
    vector: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything `model.toml` says.

    Attributes:
        dim: Numbers in a vector; of a cross-encoder, scores that a pair gets.
        dims: Shorter sizes that the model was trained to be cut to; empty if it was not.
        kind: `onnx` for a graph that gives token vectors, `static` for a table with a vector a token,
            `sparse` for a graph that gives a weight for each word of the vocabulary, `cross-encoder` for one
            that scores pairs of texts, `joined` for several models that make one vector together.
        max_tokens: Tokens that one call takes, special tokens counted in.
        pooling: How token vectors become one.
        dense: Matrix products that follow pooling, in order.
        normalize: Whether vectors are brought to unit length.
        similarity: What the model was trained to compare vectors by.
        lower_case: Whether texts are put into lower case before the tokenizer, beside what it does itself.
        pool_prompt: Whether the prompt's tokens take part in pooling.
        prompts: What is put before a text, by role or task. Those of a joined model's parts, where they
            differ, stand in one string, in order, with the character U+001F between them.
        variants: By name, such as `int8`.
        files: By name, every file that an encoder reads.
        parts: What a joined model is made of: it has no tokenizer and its variants have no files. Empty for
            others.
        duplicates: When two texts are duplicates; None where that was not measured.
    """

    name: str
    kind: Kind
    description: str
    source: str
    revision: str
    weights_sha256: str
    licence: str
    languages: tuple[str, ...]
    not_for: str
    dim: int
    dims: tuple[int, ...]
    max_tokens: int
    pooling: Pooling
    normalize: bool
    tokenizer: str
    default_variant: str
    prompts: Mapping[str, str]
    variants: Mapping[str, Variant]
    files: Mapping[str, FileEntry]
    probes: tuple[Probe, ...] = ()
    dense: tuple[Dense, ...] = ()
    similarity: Similarity = "cosine"
    lower_case: bool = False
    pool_prompt: bool = True
    parts: tuple[Part, ...] = ()
    duplicates: Duplicates | None = None

    @property
    def is_averaged(self) -> bool:
        """Whether the parts' vectors are brought into one space and averaged, not put end to end."""
        return any(part.file for part in self.parts)

    def fingerprint(self, variant: str) -> str:
        """Return what a vector of this model depends on, as 32 hexadecimal digits.

        Two encoders with the same fingerprint give the same vector for the same text: it covers the weights,
        the tokenizer, the pooling, what follows it and the token limit. Prompts and normalizing are applied
        outside and belong to the settings of a run.
        """
        entry = self.variants[variant]
        if self.kind == "joined":
            return self._joined_fingerprint(variant)
        parts = (
            self.kind,
            self.files[entry.file].sha256,
            self.files[self.tokenizer].sha256,
            self.pooling,
            str(self.max_tokens),
            str(self.dim),
            *(f"{self.files[layer.file].sha256} {layer.activation}" for layer in self.dense),
            # Said only where it is not as usual, so that older indexes keep their encoder.
            *(["lower_case"] if self.lower_case else []),
            *([] if self.pool_prompt else ["no_prompt"]),
        )
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()

    def _joined_fingerprint(self, variant: str) -> str:
        words = [self.kind, str(self.dim)]
        for part in self.parts:
            rotation = self.files[part.file].sha256 if part.file else ""
            words.append(f"{part.fingerprints[variant]} {part.weight!r} {rotation}")
        return hashlib.blake2b("\0".join(words).encode(), digest_size=16).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of a model folder.

    Raises:
        DamagedModelError: It is missing, is not TOML, lacks a key, or names a file outside the folder.
        ModelError: It is of a newer format, or of a kind that this version does not know.
    """
    path = folder / MANIFEST_NAME
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DamagedModelError(f"{folder}: no {MANIFEST_NAME} in this folder") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DamagedModelError(f"{path}: {error}") from error
    if table.get("format") != MANIFEST_FORMAT:
        raise ModelError(
            f"{path}: manifest format {table.get('format')!r}, this version reads {MANIFEST_FORMAT}",
            hint="a newer embedcli may read it",
        )
    try:
        manifest = _from_table(table)
    except KeyError as error:
        raise DamagedModelError(f"{path}: key {error.args[0]!r} is missing") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise DamagedModelError(f"{path}: {error}") from error
    _check(manifest, path)
    return manifest


def _from_table(table: dict[str, Any]) -> Manifest:
    """Build the manifest from its TOML table; raises KeyError for a missing key."""
    return Manifest(
        **{
            key: table[key]
            for key in (
                *(
                    "name",
                    "kind",
                    "description",
                    "source",
                    "revision",
                    "weights_sha256",
                    "licence",
                    "not_for",
                ),
                *("dim", "max_tokens", "pooling", "normalize", "tokenizer", "default_variant"),
            )
        },
        languages=tuple(table["languages"]),
        dims=tuple(table["dims"]),
        prompts=dict(table.get("prompts", {})),
        variants={name: Variant(**entry) for name, entry in table["variants"].items()},
        files={name: FileEntry(**entry) for name, entry in table["files"].items()},
        probes=tuple(Probe(**probe) for probe in table.get("probes", ())),
        dense=tuple(Dense(**layer) for layer in table.get("dense", ())),
        similarity=table.get("similarity", "cosine"),
        lower_case=table.get("lower_case", False),
        pool_prompt=table.get("pool_prompt", True),
        parts=tuple(Part(**part) for part in table.get("parts", ())),
        duplicates=Duplicates(**table["duplicates"]) if "duplicates" in table else None,
    )


def _check(manifest: Manifest, path: Path) -> None:
    """Refuse what cannot be applied as it is written."""
    activations = {layer.activation for layer in manifest.dense}
    for word, found, known in (
        ("kind", {manifest.kind}, get_args(Kind)),
        ("pooling", set(manifest.pooling.split("+")), get_args(PoolingMode)),
        ("similarity", {manifest.similarity}, get_args(Similarity)),
        ("activation", activations, get_args(Activation)),
    ):
        if unknown := found - set(known):
            raise ModelError(f"{path}: {word} {min(unknown)!r} is not supported")
    if manifest.default_variant not in manifest.variants:
        raise DamagedModelError(f"{path}: no variant named {manifest.default_variant!r}")
    if manifest.kind == "joined" or manifest.parts:
        _check_parts(manifest, path)
        used = {part.file for part in manifest.parts if part.file}
    else:
        used = {
            manifest.tokenizer,
            *(variant.file for variant in manifest.variants.values()),
            *(layer.file for layer in manifest.dense),
        }
    for name in used | set(manifest.files):
        if name in {"", ".", ".."} or name != PurePosixPath(name).name or "\\" in name:
            raise DamagedModelError(f"{path}: {name!r} is not a plain file name")
        if name not in manifest.files:
            raise DamagedModelError(f"{path}: no sha256 for {name!r}")
    if manifest.dim < 1 or manifest.max_tokens < 1:
        raise DamagedModelError(f"{path}: dim and max_tokens must be positive")
    if manifest.duplicates is not None:
        check_duplicates(manifest.duplicates, path)


def _check_parts(manifest: Manifest, path: Path) -> None:
    """Refuse parts that cannot make one vector together, or that are not plain names of models."""
    parts = manifest.parts
    if manifest.kind != "joined" or len(parts) < 2:
        raise DamagedModelError(f"{path}: {len(parts)} parts in a model of kind {manifest.kind}")
    for part in parts:
        if not isinstance(part.model, str) or part.model in {"", ".", ".."} or set(part.model) & set("/\\+"):
            raise DamagedModelError(f"{path}: part {part.model!r} is not a plain name of a model")
        if not isinstance(part.weight, int | float) or not 0 < part.weight <= 1:
            raise DamagedModelError(f"{path}: part {part.model} has the weight {part.weight!r}")
        if not all(
            isinstance(table, dict)
            and set(manifest.variants) <= set(table)
            and all(isinstance(value, str) for value in table.values())
            for table in (part.variants, part.fingerprints)
        ):
            raise DamagedModelError(f"{path}: part {part.model} lacks a variant")
    if manifest.is_averaged and not all(part.file for part in parts[1:]):
        raise DamagedModelError(f"{path}: a part has no rotation into the space of the first")


def format_manifest(manifest: Manifest) -> str:
    """Return the manifest as TOML text, such that reading it back gives an equal value."""
    lines = [f"format = {MANIFEST_FORMAT}"]
    lines += [
        f"{key} = {_toml(getattr(manifest, key))}"
        for key in (
            *("name", "kind", "description", "source", "revision", "weights_sha256", "licence", "languages"),
            *("not_for", "dim", "dims", "max_tokens", "pooling", "normalize", "similarity", "lower_case"),
            *("pool_prompt", "tokenizer", "default_variant"),
        )
    ]
    lines += ["", "[prompts]", *(f"{_toml(role)} = {_toml(text)}" for role, text in manifest.prompts.items())]
    if manifest.duplicates is not None:
        figures = manifest.duplicates
        lines += ["", "[duplicates]"]
        lines += [f"{key} = {_toml(getattr(figures, key))}" for key in Duplicates.__slots__]
    for name, variant in manifest.variants.items():
        lines += ["", f"[variants.{_toml(name)}]"]
        lines += [f"{key} = {_toml(getattr(variant, key))}" for key in Variant.__slots__]
    for name, entry in manifest.files.items():
        lines += ["", f"[files.{_toml(name)}]", f"sha256 = {_toml(entry.sha256)}", f"bytes = {entry.bytes}"]
    for layer in manifest.dense:
        lines += ["", "[[dense]]", f"file = {_toml(layer.file)}", f"activation = {_toml(layer.activation)}"]
    for part in manifest.parts:
        lines += ["", "[[parts]]", *(f"{key} = {_toml(getattr(part, key))}" for key in Part.__slots__)]
    for probe in manifest.probes:
        lines += ["", "[[probes]]", f"text = {_toml(probe.text)}", f"vector = {_toml(probe.vector)}"]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    """Return one value in TOML's own syntax."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            escaped = "".join(
                f"\\{char}"
                if char in '"\\'
                else f"\\u{ord(char):04x}"
                if ord(char) < 32 or char == "\x7f"
                else char
                for char in value
            )
            return f'"{escaped}"'
        case dict():
            return "{ " + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + " }"
        case tuple() | list():
            return "[" + ", ".join(_toml(item) for item in value) + "]"
        case _:
            raise TypeError(f"no TOML form for {type(value).__name__}")


def verify_files(folder: Path, manifest: Manifest, names: tuple[str, ...] | None = None) -> None:
    """Compare files with the hashes in the manifest.

    Args:
        folder: The model's folder.
        manifest: Its manifest.
        names: The files to look at; all of them when None.

    Raises:
        DamagedModelError: A file is missing, is a link, or has another content; the message names it.
    """
    for name in names if names is not None else tuple(manifest.files):
        path, entry = folder / name, manifest.files[name]
        # A link could point out of the folder, to a file that the hash manifest's author never saw.
        if path.is_symlink() or not path.is_file():
            raise DamagedModelError(f"{path}: missing, or not a plain file")
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != entry.sha256:
            raise DamagedModelError(
                f"{path}: sha256 is {found}, the manifest says {entry.sha256}",
                hint="the file is damaged or was changed; get the model again",
            )
