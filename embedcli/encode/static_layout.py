"""Static encoders of other makers: Model2Vec folders, StaticEmbedding modules, and word-vector files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from embedcli.encode.static_folder import StaticFacts, write_static_folder
from embedcli.encode.static_table import StaticTable
from embedcli.encode.word_vectors import is_word_vectors, read_word_vectors, word_tokenizer
from embedcli.errors import DamagedModelError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.datatypes import Vectors
    from embedcli.encode.adopt import Origin
    from embedcli.encode.manifest import Manifest

_CONFIG, _MODULES, _TOKENIZER = "config.json", "modules.json", "tokenizer.json"
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class _Found:
    """A static encoder as its maker keeps it.

    Attributes:
        table: The rows as published, float32, and which tokens count.
        tokenizer: The tokenizer as JSON text.
        normalize: Whether vectors are brought to unit length.
        max_tokens: Tokens after which the maker's library cuts a text.
        recipe: What it is, in words.
    """

    table: StaticTable
    tokenizer: str
    normalize: bool
    max_tokens: int
    recipe: str


def is_static(source: Path) -> bool:
    """Return whether a folder or file holds a static encoder that `adopt_static` reads."""
    if source.is_file():
        return is_word_vectors(source)
    if (source / _MODULES).is_file():
        return _module_folder(source) is not None
    config = _read_json(source / _CONFIG) if (source / _CONFIG).is_file() else {}
    return isinstance(config, dict) and config.get("model_type") == "model2vec"


def adopt_static(source: Path, out: Path, origin: Origin) -> Manifest:
    """Make a model folder from a static encoder of another maker. Vectors stay as they are, in float32.

    Args:
        source: A folder, or a file of word vectors.
        out: The model folder to make; must not exist.
        origin: What the manifest says of where it is from.

    Raises:
        DamagedModelError: A file is missing or does not hold what it should.
        ModelError: The encoder does something that embedcli does not.
    """
    found = _read_words(source) if source.is_file() else _read_folder(source)
    facts = StaticFacts(
        name=origin.name,
        source=origin.source,
        revision=origin.revision,
        licence=origin.licence,
        languages=origin.languages,
        description=origin.description or found.recipe,
        not_for=origin.not_for or "word order: a text is the sum of its tokens",
        recipe=found.recipe,
        normalize=found.normalize,
        max_tokens=found.max_tokens,
        dims=origin.dims,
        prompts=origin.prompts,
    )
    return write_static_folder(out, found.table, found.tokenizer, facts)


def _read_words(source: Path) -> _Found:
    """Read a file of word vectors; an unknown word does not count."""
    words, vectors = read_word_vectors(source)
    table = np.concatenate([np.zeros((1, vectors.shape[1]), dtype=np.float32), vectors])
    counts = np.ones(len(table), dtype=np.float32)
    counts[0] = 0
    return _Found(
        StaticTable(table, counts),
        word_tokenizer(words),
        normalize=True,
        max_tokens=512,
        recipe="word vectors",
    )


def _read_folder(source: Path) -> _Found:
    module = _module_folder(source)
    tensors = _read_tensors((module or source) / _WEIGHTS)
    tokenizer_path = (module or source) / _TOKENIZER
    if not tokenizer_path.is_file():
        tokenizer_path = source / _TOKENIZER
    tokenizer = _read_json(tokenizer_path)
    if not isinstance(tokenizer, dict):
        raise DamagedModelError(f"{tokenizer_path}: not a JSON object")
    if module is not None:
        table = _table(tensors, "embedding.weight", source)
        counts = np.ones(len(table), dtype=np.float32)
        normalize = "Normalize" in _module_kinds(source)
        recipe = "token table of sentence-transformers"
    else:
        config = _read_json(source / _CONFIG)
        table = _table(tensors, "embeddings", source)
        if (mapping := tensors.get("mapping")) is not None:
            if mapping.min(initial=0) < 0 or mapping.max(initial=0) >= len(table):
                raise DamagedModelError(f"{source}: its mapping points outside the table")
            table = table[mapping]
        if (weights := tensors.get("weights")) is not None:
            if weights.shape != (len(table),):
                raise DamagedModelError(f"{source}: {weights.shape} weights for {len(table)} rows")
            table = table * weights.astype(np.float32)[:, None]
        counts = np.ones(len(table), dtype=np.float32)
        unknown = _unknown_id(tokenizer)
        if unknown is not None and unknown < len(counts):
            # Model2Vec leaves unknown tokens out of the mean.
            counts[unknown] = 0
            table[unknown] = 0
        normalize = config.get("normalize", True) is True
        recipe = "token table of Model2Vec"
    bare = {**tokenizer, "truncation": None, "padding": None}
    return _Found(
        StaticTable(np.ascontiguousarray(table), counts),
        json.dumps(bare, ensure_ascii=False, separators=(",", ":")),
        normalize=normalize,
        max_tokens=512,
        recipe=recipe,
    )


def _unknown_id(tokenizer: dict[str, Any]) -> int | None:
    """Return the id of the token for unknown words, if the tokenizer has one."""
    model = tokenizer.get("model") or {}
    if isinstance(model.get("unk_id"), int):
        return int(model["unk_id"])
    vocabulary, token = model.get("vocab"), model.get("unk_token")
    return vocabulary.get(token) if isinstance(vocabulary, dict) and token is not None else None


def _table(tensors: dict[str, Any], name: str, source: Path) -> Vectors:
    table = tensors.get(name)
    if table is None or table.ndim != 2 or table.dtype.kind not in "fi":
        raise DamagedModelError(f"{source}: no table {name!r} of numbers in {_WEIGHTS}")
    vectors: Vectors = table.astype(np.float32)
    if not np.isfinite(vectors).all():
        raise DamagedModelError(f"{source}: the table holds numbers that are not finite")
    return vectors


def _module_kinds(source: Path) -> list[str]:
    modules = _read_json(source / _MODULES)
    try:
        return [str(module["type"]).rpartition(".")[2] for module in modules]
    except (TypeError, KeyError):
        raise DamagedModelError(f"{source / _MODULES}: not a list of modules") from None


def _module_folder(source: Path) -> Path | None:
    """Return the folder of a StaticEmbedding module; None where modules.json is missing or of another kind.

    Raises:
        ModelError: Modules follow that embedcli does not apply to a table.
    """
    if not (source / _MODULES).is_file():
        return None
    kinds = _module_kinds(source)
    if not kinds or kinds[0] != "StaticEmbedding":
        return None
    if kinds[1:] not in ([], ["Normalize"]):
        raise ModelError(f"{source}: modules {', '.join(kinds)} in this order are not supported")
    path = str(_read_json(source / _MODULES)[0].get("path", ""))
    folder = source / path
    if not folder.resolve().is_relative_to(source.resolve()):
        raise ModelError(f"{source}: modules.json points outside the folder")
    return folder


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DamagedModelError(f"{path.parent}: no {path.name}") from None
    except (OSError, ValueError) as error:
        raise DamagedModelError(f"{path}: {error}") from error


def _read_tensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.is_file() or path.is_symlink():
        raise DamagedModelError(f"{path.parent}: no {path.name}, or not a plain file")
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise DamagedModelError(f"{path}: {error}") from error
