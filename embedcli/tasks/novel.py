"""Records that are unlike all that an index holds: `sample --novel`.

How near is near enough to be nothing new depends on what the index holds. The bound of `auto` comes from
there: some of its own vectors are each compared with all the others, and a record is new where it is farther
from the nearest of them than all but 1 % of these are. A record of the kind that the index is made of is then
called new in 1 % of all cases, whatever the model and the texts.

Source: V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World", 2005, chapter 2, and
S. Bates et al., "Testing for outliers with conformal p-values", Annals of Statistics 51(1), 2023, for ranking
a new point among points known to be usual. They keep points apart for that; we leave each one out in turn.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Vectors
    from embedcli.tasks.pool import Pool
    from embedcli.tasks.remember import Memory

    Rows = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float32]

NEW_RATIO: Final = 0.01
"""Of records like those in the index, so many are called new."""

SAMPLED_ROWS: Final = 2048
"""Vectors of the index that say what is usual."""

_DECIMALS: Final = 4
"""Rounded down so that what is told, typed as a number, finds the same records."""

_ADDED_RECORDS: Final = 256


class Unlike(NamedTuple):
    """A record that is unlike the past.

    Attributes:
        row: Which row of the vectors.
        cosine: To the nearest vector of the index.
        nearest: The id of that one's record.
    """

    row: int
    cosine: float | None
    nearest: str | None


class Novelty(NamedTuple):
    """What is new, the farthest from the past first, and the highest cosine of what is; None for no bound."""

    unlike: list[Unlike]
    bound: float | None


def find_novel(
    vectors: Vectors,
    memory: Memory,
    *,
    max_score: float | None = None,
    new_ratio: float = NEW_RATIO,
    count: int | None = None,
    jobs: int = 1,
) -> Novelty:
    """Return what is unlike all that the index held at its last commit. O(rows x vectors of the index x dim).

    Of an index with fewer than two vectors everything is unlike.

    Args:
        vectors: Shape (n, dim), float32, unit length.
        memory: The index.
        max_score: The highest cosine of what is new, inclusive; None finds it by `new_ratio`.
        new_ratio: Of records like those in the index, so many are called new.
        count: Most rows that are returned; None for all.
        jobs: Threads; their number changes nothing.

    Raises:
        DamagedIndexError: What was read is not what was written.
    """
    import numpy as np

    from embedcli.vectors.metric import pair_cosines

    size = memory.size()
    if not len(vectors) or size == 0 or (max_score is None and size == 1):
        return Novelty([Unlike(row, None, None) for row in range(len(vectors))][:count], max_score)
    bound = max_score
    if bound is None:
        rows, sample = memory.sample(SAMPLED_ROWS)
        has_words = sample.any(axis=1)
        usual = _nearest(sample[has_words], memory, jobs, own=rows[has_words]).cosines
        bound = bound_of(usual, new_ratio)
    found = _nearest(vectors, memory, jobs)
    # The scan says which row; the cosine that decides is the exact one.
    exact = pair_cosines(vectors, memory.vectors(found.rows))
    order = np.lexsort((np.arange(len(exact)), exact))
    unlike = order[exact[order] <= bound][:count]
    named = memory.known(found.rows[unlike].tolist())
    return Novelty(
        [Unlike(row, float(exact[row]), known.id) for row, known in zip(unlike.tolist(), named, strict=True)],
        bound,
    )


def bound_of(usual: npt.NDArray[np.floating], new_ratio: float) -> float:
    """Return the highest cosine of what is new, given the nearest cosines of what is usual, -1 to 1.

    Args:
        usual: Shape (n,). Of fewer than 1 / `new_ratio`, what is below all is new; of none, everything.
        new_ratio: The share of usual ones that may be called new.
    """
    import numpy as np

    if not len(usual):
        return 1.0
    rank = max(1, math.floor((len(usual) + 1) * new_ratio))
    lowest = float(np.sort(usual)[min(rank, len(usual)) - 1])
    # What is as near as a usual one is not new; the epsilon keeps a bound that has so few decimals apart.
    return math.floor((lowest - 1e-9) * 10**_DECIMALS) / 10**_DECIMALS


class _Nearest(NamedTuple):
    """The nearest vector of the index to each row: its place, and its cosine as the scan has it."""

    rows: Rows
    cosines: Floats


def _nearest(vectors: Vectors, memory: Memory, jobs: int, own: Rows | None = None) -> _Nearest:
    """Compare rows with all of the index.

    Args:
        vectors: Shape (n, dim), float32; of any length above 0 where only the nearest row is of interest.
        memory: The index.
        jobs: Threads.
        own: Shape (n,): which vector of the index each row is, that is not its own neighbour; None for none.
    """
    import numpy as np

    from embedcli.vectors.in_blocks import CELLS, in_blocks
    from embedcli.vectors.normalize import normalize

    unit = normalize(vectors)
    best = np.full(len(unit), -np.inf, dtype=np.float32)
    rows = np.zeros(len(unit), dtype=np.int64)
    for block in memory.blocks():
        others = normalize(block.vectors)

        def compare(part: slice, others: Vectors = others, places: Rows = block.rows) -> None:
            near = unit[part] @ others.T
            if own is not None:
                near[own[part][:, None] == places] = -np.inf
            top = near.argmax(axis=1)
            cosines = near[np.arange(len(top)), top]
            closer = cosines > best[part]
            best[part][closer] = cosines[closer]
            rows[part][closer] = places[top[closer]]

        if len(others):
            list(in_blocks(len(unit), max(1, CELLS // len(others)), compare, jobs))
    return _Nearest(rows, best)


def remember_all(pool: Pool, vectors: Vectors, memory: Memory) -> None:
    """Add all records to the index, with the vectors that they were compared by, and commit.

    Args:
        pool: The records.
        vectors: What `Pool.gather` gave.
        memory: Open for additions.
    """
    import numpy as np

    dim, all_rows = memory.identity.dim, pool.rows
    for start in range(0, len(pool.spool), _ADDED_RECORDS):
        numbers = range(start, min(start + _ADDED_RECORDS, len(pool.spool)))
        rows = all_rows[start : numbers.stop]
        added = np.zeros((len(rows), dim), dtype=np.float32)
        if len(vectors):
            added[rows >= 0] = vectors[rows[rows >= 0]]
        memory.add([pool.spool.record(number) for number in numbers], added)
    memory.commit()
