"""How alike texts are by their characters, whatever they mean: what finds typos and words in another order.

A text stands for the set of its runs of three characters, and the similarity of two is the Dice coefficient
of their sets: twice the runs that both have, over the runs of either. Words that are moved keep nearly all of
them; a typo takes three. `benchmarks/match.py` measures what it is worth beside and together with vectors.

Source: L. R. Dice, "Measures of the amount of ecologic association between species", 1945.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from embedcli.records.normal_form import normal_form
from embedcli.records.runs import short_runs_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Vectors

    Rows = npt.NDArray[np.integer]

MOST_RUNS: Final = 1024
"""Of a longer text, so many runs stand for all: 4 KiB at most. Lines and most paragraphs have fewer."""

SKETCH_DIM: Final = 256
"""With 128 numbers 1.1 % of the lines with every fifth character wrong are not among the 32 nearest of
100,000 sketches, with 256 0.2 %, with 512 none: twice the time for that."""

_CODES: Final = 1 << 30
_FIRST_FACTOR: Final = 0x9E3779B97F4A7C15
_SECOND_FACTOR: Final = 0xBF58476D1CE4E5B9


class CharacterSets(NamedTuple):
    """The runs of some texts.

    Attributes:
        codes: Shape (total,), int32: a number below 2^30 for each different run, those of one text in
            ascending order, text after text. Of two texts with 1,000 runs each, one in 1,000 such pairs has a
            run too many in common.
        starts: Shape (n + 1,), int64: where those of each text begin.
        bounds: Shape (n,), int64: all runs below it are there; 2^30 for a text that has all of them.
    """

    codes: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.bounds)


def character_sets(texts: Iterable[str]) -> CharacterSets:
    """Return the runs of texts; a blank one has none. Case, spaces and punctuation count for nothing.

    Of a text with more than `MOST_RUNS` different ones, those with the lowest codes are kept: the same ones
    in every text that has them, so that shares can still be told (to some .02).

    Source: E. Cohen and H. Kaplan, "Summarizing data using bottom-k sketches", PODC 2007.
    """
    import numpy as np

    codes: list[npt.NDArray[np.int32]] = []
    bounds: list[int] = []
    for text in texts:
        form = normal_form(text)
        found = _coded(short_runs_of(form)) if form else np.empty(0, np.int64)
        bounds.append(int(found[MOST_RUNS]) if len(found) > MOST_RUNS else _CODES)
        codes.append(found[:MOST_RUNS].astype(np.int32))
    starts = np.zeros(len(codes) + 1, np.int64)
    np.cumsum([len(each) for each in codes], out=starts[1:])
    whole = np.concatenate(codes) if codes else np.empty(0, np.int32)
    return CharacterSets(whole, starts, np.array(bounds, np.int64))


def _coded(runs: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return a number below 2^30 for each run, in ascending order, as good as random but always the same.

    Source: the finalizer of S. Vigna's splitmix64.
    """
    import numpy as np

    mixed = runs * np.uint64(_FIRST_FACTOR)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(_SECOND_FACTOR)
    return np.unique((mixed >> np.uint64(34)).astype(np.int64))


def sketches(sets: CharacterSets) -> Vectors:
    """Return vectors whose cosine is close to the similarity, shape (n, `SKETCH_DIM`), unit length or zero.

    Source: K. Weinberger and others, "Feature hashing for large scale multitask learning", ICML 2009.
    """
    import numpy as np

    from embedcli.vectors.normalize import normalize

    texts = np.repeat(np.arange(len(sets)), np.diff(sets.starts))
    # The lowest bits, since the highest are alike among those that stand for a long text.
    places = texts * SKETCH_DIM + sets.codes % SKETCH_DIM
    signs = np.where(sets.codes // SKETCH_DIM % 2, 1.0, -1.0)
    summed = np.bincount(places, signs, len(sets) * SKETCH_DIM)
    return normalize(summed.reshape(-1, SKETCH_DIM).astype(np.float32))


def similarities(
    left: CharacterSets, left_rows: Rows, right: CharacterSets, right_rows: Rows
) -> npt.NDArray[np.float64]:
    """Return the similarity of pairs of texts, shape (pairs,), 0 to 1; 0 where one is blank.

    O(runs of the pairs) time and memory.

    Args:
        left: Some texts.
        left_rows: Which of them, shape (pairs,).
        right: Others.
        right_rows: Which of them, likewise.
    """
    import numpy as np

    firsts, seconds = _matrix(left)[left_rows], _matrix(right)[right_rows]
    both = np.diff(firsts.multiply(seconds).tocsr().indptr)
    bounds = np.minimum(left.bounds[left_rows], right.bounds[right_rows])
    runs = _below(firsts, bounds) + _below(seconds, bounds)
    found: npt.NDArray[np.float64] = np.divide(2.0 * both, runs, out=np.zeros(len(both)), where=runs > 0)
    return found


def _matrix(sets: CharacterSets) -> Any:
    """Return the sets as the rows of a sparse matrix of ones."""
    import numpy as np
    from scipy.sparse import csr_array

    ones = np.ones(len(sets.codes), np.int8)
    return csr_array((ones, sets.codes, sets.starts), shape=(len(sets), _CODES))


def _below(matrix: Any, bounds: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many numbers of each row are below its bound."""
    import numpy as np

    counts: npt.NDArray[np.int64] = np.diff(matrix.indptr).astype(np.int64)
    if (bounds == _CODES).all():
        return counts
    rows = np.repeat(np.arange(len(bounds)), counts)
    return np.bincount(rows[matrix.indices < bounds[rows]], minlength=len(bounds))
