"""The pairs, each left and each right one used once, that score most together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

if TYPE_CHECKING:
    from typing import Final

    import numpy.typing as npt

    Rows = npt.NDArray[np.int64]
    Scores = npt.NDArray[np.float64]

NONE: Final = -1
"""The partner of a record without one."""


class Pairs(NamedTuple):
    """Pairs that may be made.

    Attributes:
        left: Shape (pairs,), int64.
        right: Shape (pairs,), int64.
        scores: Shape (pairs,), float64; only those above 0 are ever made.
    """

    left: Rows
    right: Rows
    scores: Scores


def assign(pairs: Pairs, left_count: int) -> Rows:
    """Return the right partner of each left one, shape (left_count,), int64; -1 for none.

    No other choice of the pairs, none of which share a left or a right one, has a higher sum of scores.
    O(pairs) memory; time between O(pairs) and O(pairs x left_count), the more the fewer have a favourite of
    their own.

    Args:
        pairs: Each once.
        left_count: How many left ones there are.

    Source: R. Jonker and A. Volgenant, "A shortest augmenting path algorithm for dense and sparse linear
        assignment problems", 1987, as scipy has it. A right one of its own, which scores nothing, stands for
        being left alone.
    """
    partners = np.full(left_count, NONE, np.int64)
    counts = pairs.scores > 0
    left, right, scores = pairs.left[counts], pairs.right[counts], pairs.scores[counts]
    # Those without a pair need not be looked at; what is left is numbered anew.
    lefts, left = np.unique(left, return_inverse=True)
    rights, right = np.unique(right, return_inverse=True)
    if not len(lefts):
        return partners
    own = np.arange(len(lefts))
    weights = np.concatenate((scores, np.zeros(len(lefts))))
    # A weight of 0 would be no pair at all; the same on top of each changes nothing.
    table = csr_array(
        (weights + 1, (np.concatenate((left, own)), np.concatenate((right, len(rights) + own)))),
        shape=(len(lefts), len(rights) + len(lefts)),
    )
    found, partner = min_weight_full_bipartite_matching(table, maximize=True)
    made = partner < len(rights)
    partners[lefts[found[made]]] = rights[partner[made]]
    return partners


def spread_over_copies(
    pairs: Pairs, left_copies: npt.NDArray[np.int64], right_copies: npt.NDArray[np.int64]
) -> Pairs:
    """Return pairs of records for pairs of texts, of which there may be several records each.

    A record of the left text is paired with no more than one record of the right text; together they are
    paired with all of them, as far as there are enough on the left. So there are as many pairs of records as
    there are left records for each pair of texts, however many copies the right one has.

    Args:
        pairs: Of texts.
        left_copies: Records of each left text, shape (left texts,), at least 1.
        right_copies: Those of each right text, likewise.

    Returns:
        Pairs of records, numbered text after text.
    """
    # The best pairs of a right text come first, so that they share no copy of it while there are others.
    order = np.lexsort((pairs.left, -pairs.scores, pairs.right))
    left, right, scores = pairs.left[order], pairs.right[order], pairs.scores[order]
    copies = left_copies[left]
    left_starts, right_starts = (np.cumsum(each) - each for each in (left_copies, right_copies))
    total = np.cumsum(copies)
    within = np.arange(total[-1] if len(total) else 0)
    of_pair = np.repeat(np.arange(len(copies)), copies)
    # Of a pair's records the first is 0; of a right text's the first of its first pair is.
    own = within - (total - copies)[of_pair]
    first_of_right = np.searchsorted(right, right, side="left")
    turn = within - (total - copies)[first_of_right][of_pair]
    return Pairs(
        left_starts[left][of_pair] + own,
        right_starts[right][of_pair] + turn % right_copies[right][of_pair],
        scores[of_pair],
    )
