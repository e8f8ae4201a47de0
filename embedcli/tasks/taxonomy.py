"""A taxonomy: labels and how far they are from each other, from a file of edges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from embedcli.datatypes import Record
    from embedcli.vectors.heads import Doubles

MOST_LABELS: Final = 4000
"""The distances between all of them take 128 MB."""


class Taxonomy(NamedTuple):
    """All labels of a taxonomy, and the distances from some of them.

    Attributes:
        labels: In the order in which the file names them.
        distances: From each known label to all labels, shape (known, labels), 0 or more.
    """

    labels: tuple[str, ...]
    distances: Doubles


def read_taxonomy(records: Iterable[Record], known: Sequence[str]) -> Taxonomy:
    """Return the taxonomy that lines describe: parent and child, or two labels and their distance, by tabs.

    The distance of a parent and its child is 1; all others are those of the shortest way. Blank lines are
    passed over.

    Args:
        records: A line each.
        known: The labels that a head has scores of; each must be there.

    Raises:
        InputError: A line says something else, a known label is missing, or there is no way to one.
    """
    import numpy as np

    from embedcli.vectors.frechet import path_lengths

    places: dict[str, int] = {}
    edges: list[tuple[int, int, float]] = []
    for record in records:
        if record.is_blank:
            continue
        where = f"{record.path or '-'}:{record.line}"
        one, other, length = _edge(record.text, where)
        edges.append((places.setdefault(one, len(places)), places.setdefault(other, len(places)), length))
        if len(places) > MOST_LABELS:
            raise InputError(f"{where}: more than {MOST_LABELS} labels, too many for a taxonomy")
    missing = [label for label in known if label not in places]
    if missing:
        raise InputError(
            f"--taxonomy: label {missing[0]!r} is not in it"
            + f", nor are {len(missing) - 1} more" * (len(missing) > 1)
        )
    distances = path_lengths(len(places), edges)[[places[label] for label in known]]
    far = np.argwhere(np.isinf(distances))
    if len(far):
        one, other = known[int(far[0][0])], list(places)[int(far[0][1])]
        raise InputError(f"--taxonomy: no way leads from {one!r} to {other!r}")
    return Taxonomy(tuple(places), distances)


def _edge(line: str, where: str) -> tuple[str, str, float]:
    """Return two labels and their distance.

    Raises:
        InputError: The line is not that.
    """
    cells = [cell.strip() for cell in line.split("\t")]
    if len(cells) == 1:
        cells = line.split()
    hint = "parent<TAB>child, or label<TAB>label<TAB>distance"
    if len(cells) not in (2, 3) or not all(cells):
        raise InputError(f"{where}: neither two labels, nor two and a distance", hint=hint)
    try:
        length = float(cells[2]) if len(cells) == 3 else 1.0
    except ValueError:
        length = math.nan
    if not 0 < length < math.inf:
        raise InputError(f"{where}: the distance {cells[2][:20]!r} is no number above 0", hint=hint)
    if cells[0] == cells[1]:
        raise InputError(f"{where}: a label and itself", hint=hint)
    return cells[0], cells[1], length
