"""What a manifest says of duplicates: from which cosine on two texts are, with this model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedcli.errors import DamagedModelError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Duplicates:
    """From which cosine on two texts are duplicates, and how well that was found to tell.

    Attributes:
        threshold: Above 0, at most 1.
        precision: Of the pairs at or above it, the share that were duplicates, 0 to 1.
        recall: Of the duplicates, the share at or above it, 0 to 1.
        pairs: How many pairs it was chosen from.
        texts: What they were made of, in words.
    """

    threshold: float
    precision: float
    recall: float
    pairs: int
    texts: str


def check_duplicates(duplicates: Duplicates, path: Path) -> None:
    """Refuse figures that no measurement gives."""
    figures = (duplicates.threshold, duplicates.precision, duplicates.recall)
    if (
        not all(type(figure) in (int, float) and 0 <= figure <= 1 for figure in figures)
        or duplicates.threshold == 0
        or type(duplicates.pairs) is not int
        or duplicates.pairs < 1
        or not isinstance(duplicates.texts, str)
    ):
        raise DamagedModelError(f"{path}: the figures of [duplicates] are not from 0 to 1, or not figures")
