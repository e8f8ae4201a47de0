"""What a pair of texts scores: two similarities as one, and a similarity against those of the neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    import numpy.typing as npt

    Scores = npt.NDArray[np.float64]

EXPONENT: Final = 4
"""The larger of the two similarities counts most. With 1, the mean, a typo that the vectors do not know and a
paraphrase of other words are both half as similar as they are: `benchmarks/match.py`."""


def blended(cosines: npt.NDArray[Any], characters: npt.NDArray[Any], weight: float) -> Scores:
    """Return the power mean of cosines and similarities of characters, 0 to 1, float64; of the arrays' shape.

    Args:
        cosines: -1 to 1; those below 0 count as 0.
        characters: 0 to 1.
        weight: Of the characters, 0 to 1.
    """
    mean = (1 - weight) * np.maximum(cosines, 0.0) ** EXPONENT + weight * characters**EXPONENT
    # Two that are 1 but for rounding are no more than 1 together.
    result: Scores = np.minimum(mean ** (1 / EXPONENT), 1.0)
    return result


def ratio_margin(
    scores: npt.NDArray[Any], left_means: npt.NDArray[Any], right_means: npt.NDArray[Any]
) -> Scores:
    """Return each score over the mean of what both records score with their k nearest ones, 0 to k, float64.

    1 says that a pair is no nearer than what is near to either anyway; pairs of translations are above it. 0
    where a mean is 0, and for scores below 0.

    Args:
        scores: Of pairs, -1 to 1.
        left_means: Means of the k nearest ones of the pairs' left records, of a shape that fits.
        right_means: Those of the right records.

    Source: M. Artetxe and H. Schwenk, "Margin-based parallel corpus mining with multilingual sentence
        embeddings", ACL 2019, section 3.1, ratio.
    """
    means = (np.maximum(left_means, 0.0) + np.maximum(right_means, 0.0)) / 2
    top = np.maximum(scores, 0.0)
    result: Scores = np.divide(top, means, out=np.zeros(np.broadcast(top, means).shape), where=means > 0)
    return result
