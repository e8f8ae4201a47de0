"""The catalogue of well-known models: what their model cards say of how they are applied."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

from embedcli.encode.catalog import shipped_folder
from embedcli.errors import DamagedModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from embedcli.datatypes import Pooling
    from embedcli.encode.manifest import Kind, Similarity

CATALOG_NAME = "catalog.toml"


@dataclass(frozen=True, slots=True)
class Family:
    """Models that are applied in the same way.

    Attributes:
        name: What the family is called.
        repositories: `owner/name` of each model on the model hub; `*` stands for any characters.
        kind: As in a manifest.
        architecture: As config.json calls it, or `table` for a static model.
        dim: Numbers in a vector; for a sparse model the vocabulary, for a cross-encoder its scores.
        max_tokens: Tokens that one call takes; 0 for no limit.
        languages: ISO 639 codes; `mul` for many.
        licence: SPDX identifier, `LicenseRef-` and a name for terms of their own; empty for not known.
        pooling: How token vectors become one; empty for kinds that do not pool.
        normalize: Whether vectors are brought to unit length.
        similarity: What vectors are compared by.
        dims: Shorter sizes that vectors may be cut to.
        dense: How many matrix products follow pooling: weights that only the model's files can bring.
        custom_code: Whether the architecture is code of its own, which embedcli never runs.
        prompts: What is put before a text, by role and by task.
        not_for: What it does badly, in plain words.
    """

    name: str
    repositories: tuple[str, ...]
    kind: Kind
    architecture: str
    dim: int
    max_tokens: int
    languages: tuple[str, ...]
    licence: str
    pooling: Pooling = ""
    normalize: bool = True
    similarity: Similarity = "cosine"
    dims: tuple[int, ...] = ()
    dense: int = 0
    custom_code: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    not_for: str = ""


@cache
def known_families() -> tuple[Family, ...]:
    """Return every family in the catalogue, in its order.

    Raises:
        DamagedModelError: The catalogue that comes with the program is missing or damaged.
    """
    path = shipped_folder() / CATALOG_NAME
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return tuple(_family(entry) for entry in table["families"])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise DamagedModelError(f"{path}: {error}", hint="reinstall embedcli") from error


def _family(entry: dict[str, Any]) -> Family:
    """Return one entry of the catalogue; the roles of an encoder of texts always have a prompt."""
    lists: dict[str, Any] = {key: tuple(value) for key, value in entry.items() if isinstance(value, list)}
    kind = entry.get("kind", "onnx")
    prompts: dict[str, str] = {"query": "", "document": ""} if kind == "onnx" else {}
    prompts.update(entry.get("prompts", {}))
    values: dict[str, Any] = {**entry, **lists, "kind": kind, "prompts": prompts}
    return Family(**values)


def find_family(repository_name: str) -> Family | None:
    """Return the family of a repository, or None.

    Letter case does not count. A name without an owner is compared with the repositories' own names.
    """
    wanted = repository_name.strip("/").casefold()
    for family in known_families():
        for pattern in family.repositories:
            lowered = pattern.casefold()
            if fnmatchcase(wanted, lowered if "/" in wanted else lowered.rpartition("/")[2]):
                return family
    return None
