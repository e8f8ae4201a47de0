"""`dedupe --preview`: how close records are to one another, and what a threshold would do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from embedcli.records.normal_form import normal_form
from embedcli.reports import KeptAt, NearPair, Preview, ScoreBin
from embedcli.tasks.carried import CarriedVectors
from embedcli.tasks.dedupe import Deduper

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Record, Vectors
    from embedcli.tasks.dedupe import DedupeSettings
    from embedcli.vectors.closest import Closest

OFFSETS: Final = (-0.1, -0.05, -0.02, -0.01, 0.0, 0.01, 0.02, 0.05)
"""Where else kept records are counted, from the threshold."""

BINS: Final = 50
SHOWN_PAIRS: Final = 5
"""Pairs on each side of the line."""

BLOCK_RECORDS: Final = 1024
_DECIMALS: Final = 4


def preview(records: Sequence[Record], vectors: Vectors, settings: DedupeSettings) -> Preview:
    """Return what the threshold of some settings would do to records.

    How many are kept is counted by deciding them all, once for each threshold. Memory is that of the
    vectors, time O(n^2 dim) for each threshold.

    Args:
        records: In the order in which they would be decided.
        vectors: Shape (len(records), dim), float32; those of blank records do not count.
        settings: With the semantic stage and its threshold.
    """
    import numpy as np

    from embedcli.vectors.closest import NO_ROW, closest_others

    threshold = settings.threshold
    assert threshold is not None  # what is previewed
    rows = [row for row, record in enumerate(records) if not record.is_blank]
    ready = [records[row]._replace(vector=vectors[row], vector_model=None) for row in rows]
    by_text = replace(settings, methods=tuple(stage for stage in settings.methods if stage != "semantic"))
    is_open = np.array(_kept(ready, replace(by_text, threshold=None)), dtype=bool)
    left = [record for record, kept in zip(ready, is_open.tolist(), strict=True) if kept]
    closest = closest_others(
        vectors[np.array(rows, dtype=np.intp)][is_open],
        np.array([len(normal_form(record.text)) for record in left], dtype=np.int64),
        settings.length_ratio,
    )
    has_place = (closest.rows != NO_ROW) & (closest.cosines >= 0)
    above, below = _around(left, closest, threshold)
    return Preview(
        threshold=threshold,
        records=len(ready),
        by_text=len(ready) - len(left),
        alone=int((~has_place).sum()),
        histogram=_histogram(closest.cosines[has_place]),
        above=above,
        below=below,
        kept=tuple(
            KeptAt(at, sum(_kept(ready, replace(settings, threshold=at)))) for at in _thresholds(threshold)
        ),
    )


def _kept(records: Sequence[Record], settings: DedupeSettings) -> list[bool]:
    """Return whether each record, none of them blank, would be kept."""
    deduper = Deduper(settings, None if settings.threshold is None else CarriedVectors())
    kept = []
    try:
        for first in range(0, len(records), BLOCK_RECORDS):
            block = records[first : first + BLOCK_RECORDS]
            kept += [duplicate is None for duplicate in deduper.decide(block)]
    finally:
        deduper.close()
    return kept


def _thresholds(threshold: float) -> list[float]:
    """Return the threshold and others around it, each once, ascending."""
    around = {round(threshold + offset, _DECIMALS) for offset in OFFSETS if offset}
    return sorted({threshold, *(at for at in around if -1 <= at <= 1)})


def _histogram(cosines: npt.NDArray[np.float64]) -> tuple[ScoreBin, ...]:
    """Return bins from the lowest that holds any to 1."""
    import numpy as np

    places = np.minimum((cosines * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(places, minlength=BINS).tolist()
    lowest = next((place for place, count in enumerate(counts) if count), BINS)
    return tuple(ScoreBin(place / BINS, (place + 1) / BINS, counts[place]) for place in range(lowest, BINS))


def _around(
    records: Sequence[Record], closest: Closest, threshold: float
) -> tuple[tuple[NearPair, ...], tuple[NearPair, ...]]:
    """Return the pairs just above a threshold, and those just below; each pair once."""
    import numpy as np

    from embedcli.vectors.closest import NO_ROW

    found: dict[tuple[int, int], float] = {}
    for row in np.argsort(-closest.cosines, kind="stable").tolist():
        other = int(closest.rows[row])
        if other != NO_ROW:
            found.setdefault((min(row, other), max(row, other)), float(closest.cosines[row]))
    pairs = list(found.items())
    line = sum(cosine >= threshold for _, cosine in pairs)
    first, last = max(0, line - SHOWN_PAIRS), line + SHOWN_PAIRS
    shown = [
        NearPair((records[one].id, records[other].id), (records[one].text, records[other].text), cosine)
        for (one, other), cosine in pairs[first:last]
    ]
    return tuple(shown[: line - first]), tuple(shown[line - first :])
