"""A model folder in the sentence-transformers layout, read through its own files.

Source: the file layout that `SentenceTransformer.save` of the library sentence-transformers writes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedcli.errors import MissingPathError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.datatypes import Pooling

WEIGHTS_NAME = "model.safetensors"
TOKENIZER_NAME = "tokenizer.json"
LEGAL_NAMES = ("LICENSE", "NOTICE")

_POOLINGS: dict[str, Pooling] = {
    "mean": "mean",
    "mean_tokens": "mean",
    "cls": "cls",
    "cls_token": "cls",
    "max": "max",
    "max_tokens": "max",
    "lasttoken": "last_token",
}
# The fusions of ONNX Runtime know these under one name; positions of the RoBERTa family are computed in
# the graph from the mask, which none of the passes here has been tried on.
_ARCHITECTURES = ("bert",)


@dataclass(frozen=True, slots=True)
class SourceModel:
    """What the files of the source say.

    Attributes:
        folder: The source.
        weights_sha256: SHA-256 of the weights.
        dim: Numbers in a vector.
        heads: Attention heads in each layer.
        layers: Transformer layers.
        intermediate: Width of the feed-forward part.
        max_tokens: Tokens that one call takes, special tokens counted in.
        max_positions: Rows of the position table: the most that `max_tokens` can be.
        pooling: How token vectors become one vector.
        normalize: Whether vectors are brought to unit length.
        prompts: What is put before a text, by role or task; always with `query` and `document`.
        tokenizer: The tokenizer as JSON text, its padding and truncation taken out.
        legal: The names of the licence files that are there.
    """

    folder: Path
    weights_sha256: str
    dim: int
    heads: int
    layers: int
    intermediate: int
    max_tokens: int
    max_positions: int
    pooling: Pooling
    normalize: bool
    prompts: dict[str, str]
    tokenizer: str
    legal: tuple[str, ...]


def read_source(folder: Path) -> SourceModel:
    """Read a model folder.

    Raises:
        MissingPathError: There is no such folder.
        ModelError: A file is missing, or says something that embedcli does not understand; it is named.
    """
    if not folder.is_dir():
        raise MissingPathError(str(folder))
    if not (folder / WEIGHTS_NAME).is_file():
        raise ModelError(f"{folder}: no {WEIGHTS_NAME}; other forms of weights are not read")
    config = _read_object(folder / "config.json")
    _check_architecture(folder, config)
    pooling_folder, normalize = _read_modules(folder)
    encoder = _read_object(folder / "sentence_bert_config.json", optional=True)
    if encoder.get("do_lower_case"):
        raise ModelError(f"{folder}: sentence_bert_config.json asks for lower case outside the tokenizer")
    positions = int(config["max_position_embeddings"])
    with (folder / WEIGHTS_NAME).open("rb") as stream:
        weights_sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return SourceModel(
        folder=folder,
        weights_sha256=weights_sha256,
        dim=int(config["hidden_size"]),
        heads=int(config["num_attention_heads"]),
        layers=int(config["num_hidden_layers"]),
        intermediate=int(config["intermediate_size"]),
        max_tokens=min(int(encoder.get("max_seq_length") or positions), positions),
        max_positions=positions,
        pooling=_read_pooling(pooling_folder / "config.json"),
        normalize=normalize,
        prompts=_read_prompts(folder),
        tokenizer=_read_tokenizer(folder / TOKENIZER_NAME),
        legal=tuple(name for name in LEGAL_NAMES if (folder / name).is_file()),
    )


def _read_json(path: Path) -> Any:
    """Return a JSON file's value.

    Raises:
        ModelError: The file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path.parent}: no {path.name}") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: {error}") from error


def _read_object(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """Return a JSON file's object; an empty one for a missing file that need not be there.

    Raises:
        ModelError: As `_read_json`, or the value is no object.
    """
    if optional and not path.exists():
        return {}
    value = _read_json(path)
    if not isinstance(value, dict):
        raise ModelError(f"{path}: not a JSON object")
    return value


def _check_architecture(folder: Path, config: dict[str, Any]) -> None:
    """Refuse an encoder that the fusions would not match, or would match wrongly."""
    needed = {"model_type", "hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size"}
    missing = sorted((needed | {"max_position_embeddings"}) - set(config))
    if missing:
        raise ModelError(f"{folder}: config.json lacks {', '.join(missing)}")
    if config.get("auto_map"):
        raise ModelError(f"{folder}: the model brings code of its own (auto_map), which is never run")
    if config["model_type"] not in _ARCHITECTURES:
        raise ModelError(
            f"{folder}: model type {config['model_type']!r} is not supported",
            hint="supported: " + ", ".join(_ARCHITECTURES),
        )
    for key, expected in (("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if config.get(key, expected) != expected:
            raise ModelError(f"{folder}: {key} {config[key]!r} is not supported, only {expected!r}")


def _read_modules(folder: Path) -> tuple[Path, bool]:
    """Return the pooling module's folder, and whether a normalizing module follows it.

    Raises:
        ModelError: The modules are not transformer, pooling and, at most, normalizing, in this order.
    """
    modules = _read_json(folder / "modules.json")
    try:
        kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
        paths = [str(module["path"]) for module in modules]
    except (TypeError, KeyError):
        raise ModelError(f"{folder / 'modules.json'}: not a list of modules") from None
    unknown = [kind for kind in kinds if kind not in {"Transformer", "Pooling", "Normalize"}]
    if unknown:
        raise ModelError(f"{folder}: module {unknown[0]!r} is not supported")
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ModelError(f"{folder}: modules {', '.join(kinds)} in this order are not supported")
    if paths[0]:
        raise ModelError(f"{folder}: the transformer is in the folder {paths[0]!r}, not at the top")
    pooling = folder / paths[1]
    if not pooling.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"{folder}: modules.json points outside the folder")
    return pooling, kinds[-1] == "Normalize"


def _read_pooling(path: Path) -> Pooling:
    """Return the one pooling that is switched on.

    Raises:
        ModelError: None or several are, or one that embedcli does not have.
    """
    config = _read_object(path)
    modes = [key.removeprefix("pooling_mode_") for key, value in config.items() if value is True]
    if isinstance(config.get("pooling_mode"), str):
        modes.append(config["pooling_mode"])
    modes = [mode for mode in modes if mode != "include_prompt"]
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise ModelError(f"{path}: pooling {' + '.join(modes) or 'not given'} is not supported")
    if config.get("include_prompt", True) is not True:
        raise ModelError(f"{path}: include_prompt = false is not supported")
    return _POOLINGS[modes[0]]


def _read_prompts(folder: Path) -> dict[str, str]:
    """Return the prompts by role; a default prompt stands for a role that has none."""
    config = _read_object(folder / "config_sentence_transformers.json", optional=True)
    prompts = config.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise ModelError(f"{folder / 'config_sentence_transformers.json'}: prompts are not texts by name")
    default = prompts.get(config.get("default_prompt_name"), "")
    roles = {
        "query": prompts.get("query", default),
        "document": prompts.get("document", prompts.get("passage", default)),
    }
    return {**prompts, **roles}


def _read_tokenizer(path: Path) -> str:
    """Return the tokenizer's JSON text without padding and truncation, which are the encoder's business."""
    tokenizer = _read_object(path)
    bare = {**tokenizer, "truncation": None, "padding": None}
    return json.dumps(bare, ensure_ascii=False, separators=(",", ":"))
