"""Which texts of one side go with which of another: by their vectors, by their characters, or by both.

A text's candidates are those that are nearest by vector and those that are nearest by a sketch of their
characters, so that a typo which the encoder does not know is found, and a paraphrase that shares no word too.
Candidates are then scored by both similarities, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.records.characters import character_sets, similarities, sketches

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Vectors
    from embedcli.records.characters import CharacterSets

    Doubles = npt.NDArray[np.float64]
    Rows = npt.NDArray[np.int64]

BLEND: Final = 0.4
"""The most that costs nothing elsewhere: of lines with every tenth character wrong it finds 99 % where
vectors alone find 74 %, and as many paraphrases as these. docs/match.md has the table."""

CANDIDATES: Final = 32
"""Of each kind, for each text: of lines with every fifth character wrong, 99.8 % are among them."""

NEIGHBORS: Final = 4
"""For the ratio margin, as in its source."""

_BLOCK: Final = 128
"""Texts whose candidates are scored at a time: 12 MiB of vectors of 384 numbers."""


@dataclass(frozen=True, slots=True)
class MatchSettings:
    """What makes a match.

    Attributes:
        top_k: How many for each record.
        blend: Weight of the characters, 0 to 1; with 0, scores are cosines and characters are not looked at.
        ratio: Whether scores are set against those of the neighbours.
        neighbors: How many of these.
        min_score: Lowest score; None for no limit.
        min_margin: Lowest margin, likewise.
        one_to_one: Whether a record goes with no more than one.
        jobs: Threads; their number changes nothing.
    """

    top_k: int = 1
    blend: float = BLEND
    ratio: bool = False
    neighbors: int = NEIGHBORS
    min_score: float | None = None
    min_margin: float | None = None
    one_to_one: bool = False
    jobs: int = 1


class Side(NamedTuple):
    """Texts to be compared.

    Attributes:
        vectors: Shape (n, dim), float32, unit length.
        characters: Their runs; None where characters are not looked at.
        sketches: Vectors of these, shape (n, `SKETCH_DIM`); likewise.
    """

    vectors: Vectors
    characters: CharacterSets | None = None
    sketches: Vectors | None = None


def side_of(vectors: Vectors, texts: Iterable[str], settings: MatchSettings) -> Side:
    """Return texts with what is compared of them.

    Args:
        vectors: One for each text, shape (n, dim), float32, unit length.
        texts: As many; read only if characters count.
        settings: Say whether they do.
    """
    if not settings.blend:
        return Side(vectors)
    found = character_sets(texts)
    return Side(vectors, found, sketches(found))


class Ranked(NamedTuple):
    """The best texts of the other side for each text, the best first, of equal ones the lower row.

    Attributes:
        rows: Shape (n, k), int64.
        scores: Shape (n, k), float64.
        cosines: Shape (n, k), float64.
        characters: Shape (n, k), float64; zeros where characters are not looked at.
    """

    rows: Rows
    scores: Doubles
    cosines: Doubles
    characters: Doubles

    @property
    def top_two(self) -> Doubles:
        """The two highest scores, shape (n, 2); minus infinity where there are fewer."""
        import numpy as np

        two = np.full((len(self.scores), 2), -np.inf)
        two[:, : self.scores.shape[1]] = self.scores[:, :2]
        return two

    def take(self, order: npt.NDArray[np.intp]) -> Ranked:
        """Return some of each text's, shape (n, k), in that order."""
        import numpy as np

        rows = np.take_along_axis(self.rows, order, axis=1)
        others = (self.scores, self.cosines, self.characters)
        return Ranked(rows, *(np.take_along_axis(each, order, axis=1) for each in others))


def rank(left: Side, right: Side, count: int, settings: MatchSettings, *, are_same: bool = False) -> Ranked:
    """Return the best texts of the right side for each of the left.

    Exact for cosines; of a blend, exact among the candidates. O(n x m x dim) time, O(n x count) memory.

    Args:
        left: n texts.
        right: m texts.
        count: How many, at least 1; m where there are no more.
        settings: Weight and threads.
        are_same: Whether both are the same side, so that a text is none of its own candidates.
    """
    import numpy as np

    from embedcli.vectors.in_blocks import in_blocks
    from embedcli.vectors.neighbors import nearest_among

    most = len(right.vectors) - are_same
    count, rows = min(count, most), len(left.vectors)
    if not count or not rows:
        none = np.zeros((rows, max(count, 0)))
        return Ranked(none.astype(np.int64), none, none, none)
    wanted = count if left.sketches is None else min(max(count, CANDIDATES), most)
    near = nearest_among(left.vectors, right.vectors, wanted, jobs=settings.jobs, are_same=are_same)
    if left.sketches is None or right.sketches is None:
        cosines = near.cosines.astype(np.float64)
        return Ranked(near.rows.astype(np.int64), cosines, cosines, np.zeros_like(cosines))
    alike = nearest_among(left.sketches, right.sketches, wanted, jobs=settings.jobs, are_same=are_same)
    candidates = np.concatenate((near.rows, alike.rows), axis=1).astype(np.int64)

    def look(block: slice) -> Ranked:
        return _scored(left, right, block, candidates[block], settings.blend, count)

    found = [*in_blocks(rows, _BLOCK, look, settings.jobs)]
    return Ranked(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _scored(left: Side, right: Side, block: slice, candidates: Rows, blend: float, count: int) -> Ranked:
    """Return the best of the candidates of some texts; some of them are there twice."""
    import numpy as np

    rows = np.sort(candidates, axis=1)
    cosines = np.einsum("bkd,bd->bk", right.vectors[rows], left.vectors[block]).astype(np.float64)
    places = np.repeat(np.arange(block.start, block.stop), rows.shape[1])
    scores, characters = pair_scores(left, places, right, rows.ravel(), cosines.ravel(), blend)
    scores = scores.reshape(rows.shape)
    scores[:, 1:][rows[:, 1:] == rows[:, :-1]] = -np.inf
    found = Ranked(rows, scores, cosines, characters.reshape(rows.shape))
    return found.take(np.argsort(-scores, axis=1, kind="stable")[:, :count])


def pair_scores(
    left: Side, left_rows: Rows, right: Side, right_rows: Rows, cosines: Doubles, blend: float
) -> tuple[Doubles, Doubles]:
    """Return the scores of pairs and the similarities of their characters, each of shape (pairs,), float64.

    Where one of the two has no text, the vectors alone decide.

    Args:
        left: Some texts, with their characters.
        left_rows: Which of them, shape (pairs,).
        right: Others.
        right_rows: Which of them, likewise.
        cosines: Of the pairs.
        blend: Weight of the characters.
    """
    import numpy as np

    from embedcli.vectors.match_scores import blended

    assert left.characters is not None
    assert right.characters is not None
    alike = similarities(left.characters, left_rows, right.characters, right_rows)
    sizes = np.diff(left.characters.starts)[left_rows], np.diff(right.characters.starts)[right_rows]
    has_text = (sizes[0] > 0) & (sizes[1] > 0)
    return np.where(has_text, blended(cosines, alike, blend), cosines), alike


def against_neighbors(forward: Ranked, backward: Ranked, neighbors: int) -> tuple[Ranked, Ranked]:
    """Return both sides' best with ratio margins for scores, in their new order.

    Args:
        forward: For each left text the best right ones.
        backward: For each right text the best left ones.
        neighbors: How many of them a score is set against.
    """
    import numpy as np

    from embedcli.vectors.match_scores import ratio_margin

    def mean(ranked: Ranked) -> Doubles:
        nearest = ranked.scores[:, :neighbors]
        # A record without copies is none of its own neighbours.
        there = np.isfinite(nearest)
        sums, counts = np.where(there, nearest, 0.0).sum(axis=1), there.sum(axis=1)
        means: Doubles = np.divide(sums, counts, out=np.zeros(len(sums)), where=counts > 0)
        return means

    def against(ranked: Ranked, own: Doubles, others: Doubles) -> Ranked:
        scores = ratio_margin(ranked.scores, own[:, np.newaxis], others[ranked.rows])
        scores[np.isneginf(ranked.scores)] = -np.inf
        order = np.lexsort((ranked.rows, -scores), axis=1)
        return ranked._replace(scores=scores).take(order)

    means = mean(forward), mean(backward)
    return against(forward, *means), against(backward, *means[::-1])
