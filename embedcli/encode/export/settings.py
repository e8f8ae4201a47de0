"""What an export is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Recipe = Literal["fp32", "fp16", "int8"]

DEVICES: dict[Recipe, str] = {"fp32": "cpu", "fp16": "cuda", "int8": "cpu"}
"""The device that a recipe's file is made for."""


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How a model is exported and what its manifest says that no file of the source tells.

    Attributes:
        name: The model's name, as `--model` takes it.
        source: Where the weights come from, such as `owner/name` on a model hub.
        licence: SPDX identifier of the weights' licence.
        revision: Commit of the source; when empty, the SHA-256 of the weights stands in its place.
        recipe: What the weights are turned into; also the name of the variant.
        max_tokens: Tokens that one call takes, special tokens counted in; None for the source's own limit.
        languages: ISO 639-1 codes of the languages that the model was trained for.
        not_for: What the model does badly, in plain words.
        description: One line for lists of models.
        dims: Shorter sizes that the model was trained to be cut to.
        prompts: Overrides what the source says is put before a text, by role or task.
    """

    name: str
    source: str
    licence: str
    revision: str = ""
    recipe: Recipe = "int8"
    max_tokens: int | None = None
    languages: tuple[str, ...] = ()
    not_for: str = ""
    description: str = ""
    dims: tuple[int, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
