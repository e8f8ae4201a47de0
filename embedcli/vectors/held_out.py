"""Examples held out: what a head would say of them if it had not seen them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

FOLDS: Final = 5
MANY_ROWS: Final = 4000
"""With more examples the first part is enough to measure by, and all would take five times as long."""

STAYS: Final = -1
"""The part of an example that is never held out."""


def held_out_parts(targets: npt.NDArray[np.bool_], seed: int = 0) -> npt.NDArray[np.int64]:
    """Return in which part each example is held out, shape (n,), from 0; `STAYS` for those that never are.

    Examples are dealt out label by label, so that each part has its share of every label: there are no more
    parts than the rarest label with several has examples, or labels would be learnt from unequal shares. The
    last example of a label that is left to learn from is never held out: one that is alone, for one.

    Args:
        targets: Which labels each example has, shape (n, labels).
        seed: Of the order in which they are dealt.
    """
    counts = targets.sum(axis=0)
    folds = int(counts[counts > 1].min(initial=FOLDS))
    parts = dealt_parts(targets.argmax(axis=1), folds, seed)
    for part in range(folds):
        _keep_one(targets, parts, part)
    if len(targets) > MANY_ROWS:
        parts[parts > 0] = STAYS
    return parts


def dealt_parts(labels: npt.NDArray[Any], count: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Return a part of each row, shape (n,), 0 to count - 1, each with its share of every label.

    Args:
        labels: Shape (n,), of any kind that sorts.
        count: Parts, at least 1.
        seed: Of the order in which the rows of a label are dealt.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    parts = np.empty(len(labels), dtype=np.int64)
    parts[order] = np.arange(len(labels)) % count
    return parts


def _keep_one(targets: npt.NDArray[Any], parts: npt.NDArray[np.int64], part: int) -> None:
    """Let an example of each label that a part would hold out as a whole stay."""
    left = targets[parts != part].any(axis=0)
    for label in np.flatnonzero(~left & targets.any(axis=0)):
        # One that stays already, for another label, may have this one, too.
        if not targets[parts != part, label].any():
            parts[np.flatnonzero(targets[:, label])[0]] = STAYS
