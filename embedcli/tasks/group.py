"""One hit for each record or file: its best chunk."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from embedcli.datatypes import By, Hit, Vector, Vectors
    from embedcli.vectors.exact import TopK

_MORE = 4
"""So many times as many chunks are asked for where those that were found are of too few groups."""


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


def best_of_groups(hits: Sequence[Hit], by: By | None, top_k: int) -> list[Hit]:
    """Return the first hit of each group, at most `top_k` of them, in their order."""
    best: dict[Hashable, Hit] = {}
    for hit in hits:
        group = group_of(by, path=hit.path, record=hit.id, chunk=hit.chunk, whole_file=hit.whole_file)
        best.setdefault(group, hit)
    return list(best.values())[:top_k]


def enough_groups(
    search: Callable[[Sequence[int], int], list[list[Hit]]], queries: int, by: By | None, top_k: int
) -> list[list[Hit]]:
    """Return the best hit of each group for each query: `top_k` of them whenever there are as many groups.

    Args:
        search: Gives the best chunks for some queries, by their numbers, at most so many, or all there are.
        queries: How many there are.
        by: See `group_of`.
        top_k: Most hits.
    """
    if by == "chunk":
        return search(range(queries), top_k)
    answers: list[list[Hit]] = [[] for _ in range(queries)]
    missing: Sequence[int] = range(queries)
    count = top_k
    while missing:
        short = []
        for number, hits in zip(missing, search(missing, count), strict=True):
            answers[number] = best_of_groups(hits, by, top_k)
            if len(answers[number]) < top_k and len(hits) >= count:
                short.append(number)
        missing, count = short, _MORE * count
    return answers


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
    cosine: float
    row: int
    vector: Vector


class GroupedTop:
    """Shows each group's best chunk to a `TopK`, and no other, where groups come one after the other.

    Memory is O(one vector) beside that of the `TopK`: a group may be as long as it likes.
    """

    def __init__(self, top: TopK, query: Vector) -> None:
        self._top, self._query = top, query
        self._open: _Open | None = None

    def add(self, vectors: Vectors, first: int, runs: Sequence[Run]) -> None:
        """Look at one more batch.

        Args:
            vectors: Shape (n, dim), float32, n at least 1.
            first: Number of the first row.
            runs: From `runs_to_choose_from` of the n rows' groups.
        """
        import numpy as np

        from embedcli.vectors.metric import cosine

        dead = np.zeros(len(vectors), dtype=np.bool_)
        for group, start, end in runs:
            if self._open is not None and group != self._open.group:
                self.close()
            dead[start:end] = True
            cosines = cosine(vectors[start:end], self._query)
            best = int(np.argmax(cosines))
            if self._open is None or cosines[best] > self._open.cosine:
                at = start + best
                self._open = _Open(group, float(cosines[best]), first + at, vectors[at].copy())
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
