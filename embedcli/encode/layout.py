"""A model folder in the sentence-transformers layout, read through its own files.

What the files say is followed; where they say nothing, the catalogue of families may; what is not understood
is refused by name and never guessed.

Source: the file layout that `SentenceTransformer.save` of the library sentence-transformers writes, versions
1 to 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedcli.encode.families import find_family
from embedcli.encode.layout_files import (
    PICKLE_NAMES,
    WEIGHTS_NAME,
    onnx_files,
    read_card,
    read_object,
    weights_sha256,
)
from embedcli.encode.layout_model import read_model_settings
from embedcli.encode.layout_modules import LayoutDense, Modules, read_dense, read_modules, read_pooling
from embedcli.encode.layout_transformer import (
    TOKENIZER_NAME,
    read_max_tokens,
    read_settings,
    read_shape,
    read_tokenizer,
    vocabulary_size,
)
from embedcli.encode.pooling import SPLADE, pooling_modes
from embedcli.errors import MissingPathError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.datatypes import Pooling
    from embedcli.encode.families import Family
    from embedcli.encode.layout_model import ModelSettings
    from embedcli.encode.layout_transformer import Shape
    from embedcli.encode.manifest import Kind, Similarity

__all__ = ["LEGAL_NAMES", "TOKENIZER_NAME", "WEIGHTS_NAME", "Layout", "LayoutDense", "read_layout"]

LEGAL_NAMES = ("LICENSE", "NOTICE")

_KINDS: dict[str, Kind] = {"CrossEncoder": "cross-encoder", "SparseEncoder": "sparse"}
_TASKS: dict[str, Kind] = {
    "feature-extraction": "onnx",
    "fill-mask": "sparse",
    "sequence-classification": "cross-encoder",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """What the files of the source say.

    Attributes:
        folder: The source.
        transformer: The folder with config.json and the weights: the source itself, or one within it.
        kind: `onnx` for an encoder with one vector a text, `sparse`, or `cross-encoder`.
        model_type: The architecture, as config.json calls it.
        config: All of config.json.
        weights_sha256: SHA-256 of the weights; empty where the folder holds ONNX graphs only.
        hidden: Numbers in a token vector.
        heads: Attention heads in each layer.
        layers: Transformer layers.
        intermediate: Width of the feed-forward part.
        max_tokens: Tokens that one call takes, special tokens counted in.
        max_positions: Rows of the position table: the most that `max_tokens` can be.
        pooling: How token vectors become one vector; empty for kinds that do not pool.
        pool_prompt: Whether the prompt's tokens take part in pooling.
        dense: The matrix products that follow, in order.
        normalize: Whether vectors are brought to unit length.
        dim: Numbers in a vector, after pooling, dense layers and cutting; for a sparse model the vocabulary,
            for a cross-encoder its labels.
        dims: Shorter sizes that the model was trained to be cut to.
        similarity: What the model was trained to compare vectors by.
        lower_case: Whether texts are put into lower case before the tokenizer, beside what it does itself.
        prompts: What is put before a text, by role or task; always with `query` and `document`.
        tokenizer: The tokenizer as JSON text, its padding and truncation taken out.
        licence: SPDX identifier; empty if neither the model's card nor the catalogue states one.
        languages: ISO 639 codes, as for the licence.
        not_for: What it does badly, by the catalogue; empty if that does not say.
        legal: The names of the licence files that are there.
        onnx_files: The ONNX graphs that come with it, relative to the folder, the plainest first.
        family: The catalogue's name for it; empty if it is not in there.
        notes: Where the files and the catalogue disagree, in words; the files were followed.
    """

    folder: Path
    transformer: Path
    kind: Kind
    model_type: str
    config: dict[str, Any]
    weights_sha256: str
    hidden: int
    heads: int
    layers: int
    intermediate: int
    max_tokens: int
    max_positions: int
    pooling: Pooling
    pool_prompt: bool
    dense: tuple[LayoutDense, ...]
    normalize: bool
    dim: int
    dims: tuple[int, ...]
    similarity: Similarity
    lower_case: bool
    prompts: dict[str, str]
    tokenizer: str
    licence: str
    languages: tuple[str, ...]
    not_for: str
    legal: tuple[str, ...]
    onnx_files: tuple[str, ...]
    family: str
    notes: tuple[str, ...]


def read_layout(folder: Path, *, name: str = "", pooling: Pooling | None = None) -> Layout:
    """Read a model folder.

    Args:
        folder: Where it is.
        name: The repository it is from, as `owner/name`, to be looked up in the catalogue.
        pooling: How token vectors become one, where no file says so; a file that does is followed. `splade`
            makes a masked language model a sparse encoder.

    Raises:
        MissingPathError: There is no such folder.
        ModelError: A file is missing, or says something that embedcli does not understand; it is named.
        UsageError: `pooling` is not one.
    """
    if not folder.is_dir():
        raise MissingPathError(str(folder))
    family = find_family(name) if name else None
    modules = read_modules(folder) if (folder / "modules.json").exists() else None
    transformer = modules.transformer if modules else folder
    config = read_object(transformer / "config.json")
    shape = read_shape(folder, config)
    settings = read_settings(transformer)
    model = read_model_settings(folder)
    graphs = onnx_files(folder, transformer)
    digest = _find_weights(transformer, graphs)
    if settings.task not in _TASKS:
        raise ModelError(f"{folder}: a model for {settings.task!r} gives no vectors of texts")
    kind = _TASKS[settings.task]
    if kind == "onnx":
        kind = _kind(folder, modules, config, model, family, pooling)
    if kind == "onnx":
        recipe = _read_recipe(folder, modules, shape, family, pooling)
    else:
        recipe = _Recipe("", _outputs(kind, config))
    tokenizer = read_tokenizer(transformer)
    if 0 < int(config.get("vocab_size") or 0) < (size := vocabulary_size(tokenizer)):
        raise ModelError(
            f"{folder}: {TOKENIZER_NAME} is of another model: it has token ids up to {size - 1}, "
            f"the model knows {config['vocab_size']} tokens"
        )
    prompts = model.prompts
    if family is not None and not any(prompts.values()):
        prompts = {**prompts, **family.prompts}
    max_tokens = read_max_tokens(transformer, settings, shape)
    dim = min(model.truncate_dim or recipe.width, recipe.width)
    licence, languages = read_card(folder)
    return Layout(
        folder=folder,
        transformer=transformer,
        kind=kind,
        model_type=str(config["model_type"]),
        config=config,
        weights_sha256=digest,
        hidden=shape.hidden,
        heads=shape.heads,
        layers=shape.layers,
        intermediate=shape.intermediate,
        max_tokens=max_tokens,
        max_positions=max(shape.positions, max_tokens),
        pooling=recipe.pooling,
        pool_prompt=recipe.pool_prompt,
        dense=recipe.dense,
        normalize=recipe.normalize,
        dim=dim,
        dims=tuple(size for size in family.dims if size < dim) if family else (),
        similarity=model.similarity or (family.similarity if family else "cosine"),
        lower_case=settings.lower_case,
        prompts=prompts,
        tokenizer=tokenizer,
        licence=licence or (family.licence if family else ""),
        languages=languages or (family.languages if family else ()),
        not_for=family.not_for if family else "",
        legal=tuple(file for file in LEGAL_NAMES if (folder / file).is_file()),
        onnx_files=graphs,
        family=family.name if family else "",
        notes=_compare(family, recipe.pooling, prompts) if family and modules else (),
    )


def _find_weights(folder: Path, graphs: tuple[str, ...]) -> str:
    """Return the hash of the weights; an empty string where there are only graphs."""
    digest = weights_sha256(folder)
    if digest or graphs:
        return digest
    for name in PICKLE_NAMES:
        if (folder / name).exists():
            raise ModelError(
                f"{folder}: {name} is a pickle, which can run code when it is read",
                hint="save the model again as safetensors",
            )
    raise ModelError(f"{folder}: no {WEIGHTS_NAME}; other forms of weights are not read")


def _kind(
    folder: Path,
    modules: Modules | None,
    config: dict[str, Any],
    model: ModelSettings,
    family: Family | None,
    pooling: Pooling | None,
) -> Kind:
    """Return what a transformer that gives token vectors, or does not say what it gives, is used as."""
    if modules is not None:
        return "sparse" if modules.is_sparse else _KINDS.get(model.model_type, "onnx")
    architectures = [str(name) for name in config.get("architectures") or ()]
    if pooling == SPLADE:
        # Nothing in the files tells it from a masked language model that was never trained for this.
        if not any(name.endswith("ForMaskedLM") for name in architectures):
            raise ModelError(
                f"{folder}: --pooling {SPLADE} weighs the words of a masked language model, and this is "
                + (", ".join(architectures) or "none by its config.json")
            )
        return "sparse"
    if any(name.endswith("ForSequenceClassification") for name in architectures):
        return "cross-encoder"
    return family.kind if family is not None and family.kind != "static" else "onnx"


def _outputs(kind: Kind, config: dict[str, Any]) -> int:
    """Return how many numbers come out of a model that does not pool."""
    if kind == "sparse":
        return int(config.get("vocab_size") or 0)
    return len(config.get("id2label") or ()) or int(config.get("num_labels") or 1)


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What follows the token vectors, and how many numbers come out in the end."""

    pooling: Pooling
    width: int
    normalize: bool = False
    pool_prompt: bool = True
    dense: tuple[LayoutDense, ...] = ()


def _read_recipe(
    folder: Path, modules: Modules | None, shape: Shape, family: Family | None, pooling: Pooling | None
) -> _Recipe:
    """Return the recipe from the modules, the caller or the catalogue, in this order."""
    if modules is not None:
        if modules.pooling is None:
            raise ModelError(f"{folder}: no pooling module")
        said = read_pooling(modules.pooling, shape.hidden)
        width = shape.hidden * len(pooling_modes(said.pooling))
        dense: list[LayoutDense] = []
        for path in modules.dense:
            dense.append(read_dense(path, width))
            width = dense[-1].outputs
        return _Recipe(said.pooling, width, modules.normalize, said.pool_prompt, tuple(dense))
    if family is not None and family.dense:
        raise ModelError(f"{folder}: {family.name} has {family.dense} dense layers, which are not here")
    if family is not None and pooling is None and family.dim != shape.hidden:
        raise ModelError(
            f"{folder}: token vectors of {shape.hidden} numbers, {family.name} has {family.dim}",
            hint="another model of that name? --pooling states what no file does",
        )
    chosen = pooling or (family.pooling if family is not None else None)
    if chosen is not None:
        width = shape.hidden * len(pooling_modes(chosen))
        return _Recipe(chosen, width, family.normalize if family is not None else False)
    raise ModelError(
        f"{folder}: no modules.json, so no file says how token vectors become one vector",
        hint="the model's card says it: --pooling mean, cls or last_token",
    )


def _compare(family: Family, pooling: Pooling, prompts: dict[str, str]) -> tuple[str, ...]:
    """Return where the files and the catalogue disagree."""
    notes = []
    if pooling and pooling != family.pooling:
        notes.append(f"pooling is {pooling} by its files, {family.pooling} by the catalogue ({family.name})")
    notes += [
        f"the prompt for {role} is {prompts[role]!r} by its files, {text!r} by the catalogue ({family.name})"
        for role, text in family.prompts.items()
        if role in ("query", "document") and prompts[role] != text
    ]
    return tuple(notes)
