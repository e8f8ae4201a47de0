"""One hit for each record or file: its best chunk."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import By, Vector, Vectors


def group_of(by: By | None, *, path: str | None, record: str, chunk: int, whole_file: bool) -> Hashable:
    """Return what a chunk is grouped by: chunks with an equal one make one hit.

    Args:
        by: `chunk`, `record` or `file`; None for records, and for chunks where the record is a text file as a
            whole: a paragraph is an answer, a file seldom.
        path: The file; None for standard input, where each record counts as a file of its own.
        record: The record's id.
        chunk: The chunk's number in it.
        whole_file: Whether the record is a text file as a whole.
    """
    if by == "chunk" or (by is None and whole_file):
        return path, record, chunk
    if by == "file" and path is not None:
        return path
    return path, record


class Run(NamedTuple):
    """Rows of one group that stand together: from `start` to one before `end`."""

    group: Hashable
    start: int
    end: int


def runs_to_choose_from(groups: Sequence[Hashable]) -> list[Run]:
    """Return the runs of more than one row, and the first and the last: they may be parts of longer ones."""
    runs, start = [], 0
    for group, members in groupby(groups):
        end = start + sum(1 for _ in members)
        if end - start > 1 or start == 0 or end == len(groups):
            runs.append(Run(group, start, end))
        start = end
    return runs


class _Open(NamedTuple):
    """The best chunk so far of a group that may go on in the next batch."""

    group: Hashable
    score: float
    row: int
    vector: Vector


class Top(Protocol):
    """What keeps the best of the vectors that it is shown: a `TopK`, or a `SetTop`."""

    def scores(self, vectors: Vectors) -> npt.NDArray[np.float64]:
        """Return what ranks each vector."""
        ...

    def add(self, block: Vectors, first: int = 0, dead: npt.NDArray[np.bool_] | None = None) -> None:
        """Look at one more block."""
        ...


class GroupedTop:
    """Shows each group's best chunk to a `Top`, and no other, where groups come one after the other.

    Memory is O(one vector) beside that of the `Top`: a group may be as long as it likes.
    """

    def __init__(self, top: Top) -> None:
        self._top = top
        self._open: _Open | None = None

    def add(self, vectors: Vectors, first: int, runs: Sequence[Run], left_out: npt.NDArray[np.bool_]) -> None:
        """Look at one more batch.

        Args:
            vectors: Shape (n, dim), float32, n at least 1.
            first: Number of the first row.
            runs: From `runs_to_choose_from` of the n rows' groups.
            left_out: Shape (n,), True for rows to leave out, each of which is all of its group.
        """
        import numpy as np

        dead = left_out.copy()
        for group, start, end in runs:
            if self._open is not None and group != self._open.group:
                self.close()
            if left_out[start]:
                continue
            dead[start:end] = True
            scores = self._top.scores(vectors[start:end])
            best = int(np.argmax(scores))
            if self._open is None or scores[best] > self._open.score:
                at = start + best
                self._open = _Open(group, float(scores[best]), first + at, vectors[at].copy())
            if end < len(vectors):
                self.close()
        self._top.add(vectors, first, dead)

    def close(self) -> None:
        """Show what is left: no more of its group will come."""
        import numpy as np

        if self._open is not None:
            self._top.add(self._open.vector[np.newaxis], self._open.row)
            self._open = None

    @property
    def open_row(self) -> int | None:
        """The row that may still be shown; None if there is none."""
        return None if self._open is None else self._open.row
