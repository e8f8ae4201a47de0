"""What `config_sentence_transformers.json` says of a model as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from embedcli.encode.layout_files import read_object
from embedcli.encode.manifest import Similarity
from embedcli.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

_NAME = "config_sentence_transformers.json"
_DOCUMENT = ("document", "passage", "corpus")
"""What the library calls the role of a document, in the order in which it looks."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Settings that belong to no module.

    Attributes:
        model_type: `SentenceTransformer`, `SparseEncoder` or `CrossEncoder`; older versions say nothing.
        prompts: By role or task; always with `query` and `document`.
        similarity: What vectors are compared by; None if it does not say.
        truncate_dim: How many numbers of a vector are kept; None for all.
    """

    model_type: str
    prompts: dict[str, str]
    similarity: Similarity | None
    truncate_dim: int | None


def read_model_settings(folder: Path) -> ModelSettings:
    """Read the file, which need not be there.

    Raises:
        ModelError: A setting is not understood; it is named.
    """
    path = folder / _NAME
    settings = read_object(path, optional=True)
    size = settings.get("truncate_dim")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise ModelError(f"{path}: truncate_dim {size!r} is not a number of dimensions")
    similarity = settings.get("similarity_fn_name")
    if similarity is not None and similarity not in get_args(Similarity):
        raise ModelError(f"{path}: vectors are compared by {similarity!r}, which is not supported")
    model_type = str(settings.get("model_type") or "SentenceTransformer")
    return ModelSettings(model_type, _read_prompts(path, settings), similarity, size)


def _read_prompts(path: Path, settings: dict[str, Any]) -> dict[str, str]:
    """Return the prompts by role; a default prompt stands for a role that has none.

    When it saves, the library fills a `document` that is missing with an empty text: `passage` and `corpus`
    stand for an empty one, the default only for a missing one.
    """
    prompts = settings.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise ModelError(f"{path}: prompts are not texts by name")
    texts = {str(key): text or "" for key, text in prompts.items()}
    name = settings.get("default_prompt_name")
    if name is not None and name not in texts:
        raise ModelError(f"{path}: the default prompt {name!r} is not among the prompts")
    default = "" if name is None else texts[name]
    document = next((texts[key] for key in _DOCUMENT if texts.get(key)), None)
    if document is None:
        document = "" if set(_DOCUMENT) & set(texts) else default
    return {**texts, "query": texts.get("query", default), "document": document}
