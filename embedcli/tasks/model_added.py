"""How a model came here: a note beside its manifest, such that it can be had again."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ADDED_NAME = "added.toml"
"""Beside the manifest: how to get the same model again. Not part of what an encoder reads."""


@dataclass(frozen=True, slots=True)
class Added:
    """How a model came here, as `added.toml` has it; all empty where nothing is known.

    Attributes:
        source: The source, its version included, such that it gives the same again; `local` for none.
        sha256: What a URL's content hashes to.
        recipe: How the weights were exported.
        graph: Which published graph was asked for.
        licence: The licence that was stated by hand.
        pooling: The pooling that was stated by hand.
    """

    source: str = "local"
    sha256: str = ""
    recipe: str = ""
    graph: str = ""
    licence: str = ""
    pooling: str = ""


def read_added(folder: Path) -> Added:
    """Return how a model came here; `local` for one that was made here, or whose note cannot be read."""
    try:
        table = tomllib.loads((folder / ADDED_NAME).read_text(encoding="utf-8"))
        return Added(**{key: str(table[key]) for key in Added.__slots__ if key in table})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return Added()


def toml_text(text: str) -> str:
    """Return a text in TOML's syntax."""
    # JSON's strings are TOML's, but for one character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def format_added(added: Added) -> str:
    """Return the note's text."""
    lines = ["# How this model came here; `embedcli models lock` reads it."]
    lines += [f"{key} = {toml_text(getattr(added, key))}" for key in Added.__slots__ if getattr(added, key)]
    return "\n".join(lines) + "\n"
