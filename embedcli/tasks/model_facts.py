"""What the settings of a model say before its weights are there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from embedcli.encode.families import find_family
from embedcli.encode.layout_files import read_card, read_object
from embedcli.encode.layout_model import read_model_settings
from embedcli.encode.layout_modules import read_modules, read_pooling
from embedcli.encode.layout_transformer import read_max_tokens, read_settings, read_shape
from embedcli.encode.manifest import MANIFEST_NAME, read_manifest
from embedcli.encode.pooling import pooling_modes
from embedcli.errors import ModelError
from embedcli.fetch.files import is_safe_path

if TYPE_CHECKING:
    from pathlib import Path

_MODULES = "modules.json"
_MODEL2VEC = "model2vec"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the settings say; what they leave open is None or empty.

    Attributes:
        kind: As in a manifest.
        licence: SPDX identifier, or the word of the model's card.
        languages: ISO 639 codes.
        dim: Numbers in a vector.
        dims: Shorter sizes that vectors may be cut to.
        max_tokens: Tokens that one call takes.
        pooling: How token vectors become one.
        prompts: What is put before a text, by role or task.
        refused: Why the model could not be used; empty if nothing speaks against it so far.
    """

    kind: str
    licence: str
    languages: tuple[str, ...]
    dim: int | None = None
    dims: tuple[int, ...] = ()
    max_tokens: int | None = None
    pooling: str = ""
    prompts: dict[str, str] = field(default_factory=dict)
    refused: str = ""


def is_static_source(folder: Path) -> bool:
    """Whether the settings are those of a static model, whose weights are a table."""
    if (folder / _MODULES).is_file():
        return any(kind.endswith("StaticEmbedding") for kind, _ in _listed_modules(folder))
    return read_object(folder / "config.json", optional=True).get("model_type") == _MODEL2VEC


def module_folders(folder: Path, kind: str = "") -> tuple[str, ...]:
    """Return the folders of the modules below the model's own, as `modules.json` names them.

    Args:
        folder: The model's own.
        kind: How the names of the modules' classes end; empty for all.
    """
    if not (folder / _MODULES).is_file():
        return ()
    paths = (
        PurePosixPath(path).as_posix()
        for name, path in _listed_modules(folder)
        if path and name.endswith(kind)
    )
    return tuple(path for path in paths if is_safe_path(path))


def _listed_modules(folder: Path) -> list[tuple[str, str]]:
    """Return type and path of each module; what is no list of modules is refused later, with the reason."""
    try:
        modules = json.loads((folder / _MODULES).read_text(encoding="utf-8"))
        return [(str(module["type"]), str(module["path"])) for module in modules]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def find_licence(folder: Path, name: str, said: str = "") -> str:
    """Return the licence of a model: of its card, of the catalogue, or what its listing says."""
    family = find_family(name)
    return read_card(folder)[0] or (family.licence if family else "") or said


def forbids_commerce(licence: str) -> bool:
    """Whether a licence's identifier says that it is not for commercial use."""
    words = licence.lower().replace("_", "-").split("-")
    return "nc" in words or "noncommercial" in "".join(words) or "research" in words


def read_facts(folder: Path, name: str, licence: str, languages: tuple[str, ...]) -> ModelFacts:
    """Return what the settings in a folder say.

    Args:
        folder: Settings, with or without weights.
        name: The repository, to be looked up in the catalogue.
        licence: What is already known of it.
        languages: The same.
    """
    if (folder / MANIFEST_NAME).is_file():
        manifest = read_manifest(folder)
        return ModelFacts(
            kind=manifest.kind,
            licence=licence or manifest.licence,
            languages=manifest.languages,
            dim=manifest.dim,
            dims=manifest.dims,
            max_tokens=manifest.max_tokens,
            pooling=manifest.pooling,
            prompts=dict(manifest.prompts),
        )
    family = find_family(name)
    common: dict[str, Any] = {
        "kind": family.kind if family else "onnx",
        "licence": licence,
        "languages": languages or (family.languages if family else ()),
        "dims": family.dims if family else (),
    }
    try:
        if is_static_source(folder):
            return ModelFacts(**{**common, "kind": "static"}, pooling="mean")
        return ModelFacts(**common, **_read_encoder(folder, name))
    except ModelError as error:
        return ModelFacts(**common, refused=str(error))


def _read_encoder(folder: Path, name: str) -> dict[str, Any]:
    """Return what the settings of a transformer say."""
    family = find_family(name)
    modules = read_modules(folder) if (folder / _MODULES).is_file() else None
    transformer = modules.transformer if modules else folder
    config = read_object(transformer / "config.json")
    shape = read_shape(folder, config)
    facts: dict[str, Any] = {"max_tokens": read_max_tokens(transformer, read_settings(transformer), shape)}
    pooling = family.pooling if family else ""
    if modules is not None and modules.pooling is not None:
        pooling = read_pooling(modules.pooling, shape.hidden).pooling
    dim = shape.hidden * len(pooling_modes(pooling)) if pooling else shape.hidden
    for dense in modules.dense if modules else ():
        said = read_object(dense / "config.json").get("out_features")
        dim = said if isinstance(said, int) else dim
    model = read_model_settings(folder)
    prompts = model.prompts
    if family is not None and not any(prompts.values()):
        prompts = {**prompts, **family.prompts}
    return {**facts, "pooling": pooling, "dim": min(model.truncate_dim or dim, dim), "prompts": prompts}
