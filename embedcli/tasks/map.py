"""A map of texts: vectors laid out on a plane, and regions of it with names."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from embedcli.datatypes import Vectors
    from embedcli.tasks.pool import Pool
    from embedcli.vectors.picture import Picture, Region
    from embedcli.vectors.regions import Level

LayoutName = Literal["auto", "pca", "tsne"]

_FEW: Final = 10
"""Texts of which each is near to most others: nothing for t-SNE to keep together."""
_FEWEST: Final = 4


@dataclass(frozen=True, slots=True)
class MapSettings:
    """How a map is made.

    Attributes:
        layout: By what; `auto` is t-SNE for all but a handful of texts.
        seed: Of what is left to chance.
    """

    layout: LayoutName = "auto"
    seed: int = 0


class Layout(NamedTuple):
    """Where each text is.

    Attributes:
        points: Shape (n, 2), float32, as in `Picture`.
        name: By what it was made, for people.
        trust: From `vectors.trust`; None for few texts.
        has_extra: Whether the library that does it best was there, or was not needed.
    """

    points: Vectors
    name: str
    trust: float | None
    has_extra: bool = True


def lay_out(vectors: Vectors, settings: MapSettings, jobs: int = 1) -> Layout:
    """Lay vectors out on a plane.

    Args:
        vectors: Shape (n, dim), float32, unit length; n may be 0.
        settings: How.
        jobs: Threads; their number changes nothing.
    """
    from embedcli.vectors.layout import TRUST_NEIGHBORS, principal
    from embedcli.vectors.picture import boxed

    name, has_extra = "principal components", True
    fewest = _FEW if settings.layout == "auto" else _FEWEST
    if settings.layout == "pca" or len(vectors) < fewest:
        points = principal(vectors)
    else:
        try:
            from embedcli.vectors.tsne import tsne

            points, name = tsne(vectors, seed=settings.seed, jobs=jobs), "t-SNE (openTSNE)"
        except ImportError:
            from embedcli.vectors.landmarks import LANDMARKS, landmark_tsne

            points, name, has_extra = landmark_tsne(vectors, seed=settings.seed, jobs=jobs), "t-SNE", False
            name += f" of {LANDMARKS:,} landmarks" * (len(vectors) > LANDMARKS) + " (scikit-learn)"
    points, trust = boxed(points), None
    if len(vectors) > 2 * TRUST_NEIGHBORS:
        from embedcli.vectors.trust import trustworthiness

        trust = trustworthiness(vectors, points, seed=settings.seed)
    return Layout(points, name, trust, has_extra)


def draw_map(pool: Pool, layout: Layout, settings: MapSettings) -> Picture:
    """Return the map of all records that have a vector, a point each, with regions named by their texts.

    Texts are read from the pool's disk, one at a time.
    """
    import numpy as np

    from embedcli.tasks.pool import NO_ROW
    from embedcli.vectors.picture import Picture

    rows = pool.rows
    numbers = np.flatnonzero(rows != NO_ROW)
    points = layout.points[rows[numbers]] if len(numbers) else np.zeros((0, 2), dtype=np.float32)
    if not len(numbers):
        return Picture(points, numbers, (), numbers)
    levels = _levels(points, settings.seed)
    return Picture(points, numbers, _named(pool, numbers.tolist(), levels), levels[-1].labels)


def _levels(points: Vectors, seed: int) -> list[Level]:
    """Return the regions; of few points, one."""
    import numpy as np

    from embedcli.vectors.regions import heights, level_of

    if len(points) < 2 * _FEW:
        return [level_of(points, np.zeros(len(points), dtype=np.int64), heights(points))]
    from embedcli.vectors.nested_regions import regions

    return regions(points, seed=seed)


def _named(pool: Pool, numbers: list[int], levels: list[Level]) -> list[list[Region]]:
    """Return the levels with names: the finest have their own, the others are named as unions of these."""
    from embedcli.tasks.naming import Namer
    from embedcli.vectors.picture import Region

    finest = levels[-1]
    namer = Namer(len(finest.sizes))
    for number, group in zip(numbers, finest.labels.tolist(), strict=True):
        namer.add(pool.spool.record(number).text, group)
    unions = [_members(level, finest) for level in levels[:-1]]
    names = iter(namer.union_names([groups for level in unions for groups in level]) if unions else ())
    named = [[next(names) for _ in level] for level in unions] + [namer.names()]
    parents: list[list[int] | list[None]] = [[None] * len(levels[0].sizes)]
    parents += [_parents(level, coarser) for coarser, level in pairwise(levels)]
    return [
        [
            Region(name, x, y, radius, size, parent)
            for name, (x, y), radius, size, parent in zip(
                *(own, level.places.tolist(), level.radii.tolist(), level.sizes.tolist(), above), strict=True
            )
        ]
        for level, own, above in zip(levels, named, parents, strict=True)
    ]


def _parents(level: Level, coarser: Level) -> list[int]:
    """Return the region of the coarser level that each region is part of."""
    import numpy as np

    _, firsts = np.unique(level.labels, return_index=True)
    parents: list[int] = coarser.labels[firsts].tolist()
    return parents


def _members(level: Level, finest: Level) -> list[list[int]]:
    """Return the finest regions that each region is made of."""
    groups: list[list[int]] = [[] for _ in level.sizes]
    for group, parent in enumerate(_parents(finest, level)):
        groups[parent].append(group)
    return groups
