"""What an export is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from embedcli.datatypes import Pooling

Recipe = Literal["auto", "fp32", "fp16", "int8", "int8-dynamic", "int8-static", "int4"]

CALIBRATED: tuple[Recipe, ...] = ("int8", "int8-static")
"""Recipes whose scales are taken from texts, once and for all."""


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How a model is exported and what its manifest says that no file of the source tells.

    Attributes:
        name: The model's name, as `--model` takes it.
        source: Where the weights come from, such as `owner/name` on a model hub.
        licence: SPDX identifier of the weights' licence; when empty, what the source says.
        revision: Commit of the source; when empty, the SHA-256 of the weights stands in its place.
        recipe: What the weights are turned into; `auto` is int8, or int8-dynamic where that does not fit.
        max_tokens: Tokens that one call takes, special tokens counted in; None for the source's own limit.
        languages: ISO 639-1 codes of the languages that the model was trained for; when empty, what the
            source says.
        not_for: What the model does badly, in plain words.
        description: One line for lists of models.
        dims: Shorter sizes that the model was trained to be cut to; when empty, what the source says.
        prompts: Overrides what the source says is put before a text, by role or task.
        pooling: How token vectors become one, where no file of the source says so.
        exit_layer: The layer whose hidden state is the output, from 1; None for the whole model.
        calibration_texts: Texts that fixed scales are taken from; when empty, the project's own.
    """

    name: str
    source: str
    licence: str = ""
    revision: str = ""
    recipe: Recipe = "auto"
    max_tokens: int | None = None
    languages: tuple[str, ...] = ()
    not_for: str = ""
    description: str = ""
    dims: tuple[int, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    pooling: Pooling | None = None
    exit_layer: int | None = None
    calibration_texts: tuple[str, ...] = ()

    @property
    def variant(self) -> str:
        """What the result is called in the manifest, such as `int8` or `int8-layer3`."""
        return self.recipe if self.exit_layer is None else f"{self.recipe}-layer{self.exit_layer}"
