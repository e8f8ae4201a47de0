"""Labels that are near to everything: what their scores are to lose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedcli.vectors.heads import rounded
from embedcli.vectors.neighbors import nearest_among

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vectors

    Doubles = npt.NDArray[np.float64]


def hub_penalties(directions: Vectors, vectors: Vectors, jobs: int = 1) -> Doubles:
    """Return what is to be taken from the cosines to each direction, shape (labels,); 0 on average.

    Half of its mean cosine to the nearest rows, as many as each label would have if all had the same number:
    a label that many rows are near to has to be nearer.

    Args:
        directions: Shape (labels, dim), float32, unit length.
        vectors: The texts, shape (n, dim), likewise, n at least 1.
        jobs: Threads; their number changes nothing.

    Source: CSLS of Conneau et al., "Word Translation Without Parallel Data", ICLR 2018, section 2.3, halved;
        the term of the texts is left out, since it is the same for all labels.
    """
    count = -(-len(vectors) // len(directions))
    near = nearest_among(directions, vectors, count, jobs=jobs).cosines
    halves: Doubles = near.astype(np.float64).mean(axis=1) / 2
    return rounded(halves - halves.mean())
