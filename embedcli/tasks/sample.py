"""Which records to look at: spread out, standing for all, far out, or like examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from embedcli.datatypes import Record, Vectors
    from embedcli.tasks.pool import Chosen, Pool
    from embedcli.vectors.set_query import SetQuery


class Sample(NamedTuple):
    """What was chosen, best first, and how well it does; None where there is nothing to say of that."""

    chosen: list[Chosen]
    reach: float | None = None


def diverse(pool: Pool, vectors: Vectors, count: int, jobs: int = 1) -> Sample:
    """Choose records that lie far from each other and near to all; see `vectors.k_center`.

    A record's score is its cosine to the nearest of those chosen before it, none for the first; the reach is
    the lowest cosine of any text to the nearest chosen one.
    """
    from embedcli.vectors.in_blocks import CELLS, in_blocks
    from embedcli.vectors.k_center import neighbors_for, settle, spread_out
    from embedcli.vectors.metric import cosine

    wanted = min(count, len(vectors))
    if len(vectors) < 2:
        return Sample(pool.chosen([(row, None) for row in range(len(vectors))], count))
    rows = spread_out(settle(vectors, neighbors_for(len(vectors), wanted), jobs=jobs), wanted, jobs=jobs)
    taken = vectors[rows]
    scores = [None, *(float(cosine(taken[:place], taken[place]).max()) for place in range(1, wanted))]
    nearest = in_blocks(
        len(vectors),
        max(1, CELLS // wanted),
        lambda block: float((vectors[block] @ taken.T).max(axis=1).min()),
        jobs,
    )
    return Sample(pool.chosen(zip(rows, scores, strict=True), count), min(nearest))


def representative(pool: Pool, vectors: Vectors, count: int, jobs: int = 1) -> Sample:
    """Choose records that stand for all, copies counted; see `vectors.facility`.

    A record's score is what it adds to the mean cosine of all records to the nearest chosen one; the reach is
    that mean.
    """
    from embedcli.vectors.facility import representatives

    wanted = min(count, len(vectors))
    if not wanted:
        return Sample([])
    taken = representatives(vectors, pool.weights, wanted, jobs=jobs)
    return Sample(pool.chosen(taken, count), sum(each.gain for each in taken))


def outlying(pool: Pool, vectors: Vectors, count: int, jobs: int = 1) -> Sample:
    """Choose records that are far from their neighbours; see `vectors.outliers`.

    A record's score is its cosine to its fifth nearest other text; copies of it are no other text.
    """
    from embedcli.vectors.outliers import outliers

    if len(vectors) < 2:
        return Sample(pool.chosen([(row, None) for row in range(len(vectors))], count))
    found = outliers(vectors, min(count, len(vectors)), jobs=jobs)
    return Sample(pool.chosen(found, count), found[-1].cosine)


def alike(pool: Pool, records: Iterable[Record], examples: SetQuery, count: int) -> Sample:
    """Choose the records that are nearest to any of some examples.

    A record's score is the cosine to the nearest example, 0 where that is below. Memory is O(count x dim),
    and the records' hashes.
    """
    from embedcli.vectors.set_query import SetTop

    top, first = SetTop(examples, count), 0
    for vectors in pool.stream(records):
        top.add(vectors, first)
        first += len(vectors)
    found = [(each.row, each.score) for each in top.result()]
    return Sample(pool.chosen(found, count), found[-1][1] if found else None)
