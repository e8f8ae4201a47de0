"""Which rows are near to a row that was kept before them: groups are stars around kept rows, never chains.

Vectors are scaled to unit length and rounded to float16 before anything is compared; the cosine of two
rounded rows, as `metric.cosine` has it, decides. Fast float32 products only choose what is compared so, with
a margin for their error. The result is therefore the same however rows are cut into blocks, and for any
number of threads.

Source: the greedy rule is that of SemHash and of leader clustering (J. A. Hartigan, "Clustering Algorithms",
1975, chapter 3), here against the kept rows alone.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from embedcli.errors import UsageError, VectorError
from embedcli.vectors.close_rows import CloseRows
from embedcli.vectors.exact import safe_margin
from embedcli.vectors.kept import Rounded, rounded
from embedcli.vectors.nearest_kept import NOTHING, Best, Nearest, Rule
from embedcli.vectors.scanned_rows import ScannedRows

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, Self

    import numpy.typing as npt

    from embedcli.vectors.pairing import Run

BLOCK_ROWS: Final = 1024
"""Rows compared with all kept ones, and with one another, at a time."""


class Stars:
    """The kept rows, and what is near to them.

    Memory is that of the kept rows, 2 * dim + 20 bytes each, and of one block. Not to be used by several
    threads at once.
    """

    def __init__(
        self,
        dim: int,
        threshold: float,
        *,
        jobs: int = 1,
        length_ratio: float = 0.0,
        window: int | None = None,
    ) -> None:
        """Start with nothing kept.

        Args:
            dim: Numbers in a vector.
            threshold: The lowest cosine at which a row is near, inclusive, -1 to 1.
            jobs: Threads, at least 1.
            length_ratio: The lowest ratio of two texts' lengths, the shorter one's to the longer one's, at
                which they can be near, 0 to 1.
            window: How many of the rows kept last are remembered, at least 1; None for all. Those of
                `keep_all` are never forgotten.

        Raises:
            UsageError: A value is out of range.
        """
        if not -1 <= threshold <= 1:
            raise UsageError(f"a threshold is from -1 to 1, not {threshold}")
        if not 0 <= length_ratio <= 1:
            raise UsageError(f"a length ratio is from 0 to 1, not {length_ratio}")
        if jobs < 1 or (window is not None and window < 1):
            raise UsageError(f"jobs and window must be at least 1, not {jobs} and {window}")
        self.dim, self.window = dim, window
        self.rule = Rule(threshold, safe_margin(dim), length_ratio)
        self.recent = ScannedRows(dim, self.rule)
        self._given = ScannedRows(dim, self.rule)
        self._look: Look | None = None
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="stars") if jobs > 1 else None
        self._run: Run = map if self._pool is None else self._pool.map

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def keep_all(
        self, vectors: npt.NDArray[Any], numbers: npt.NDArray[Any], lengths: npt.NDArray[Any]
    ) -> None:
        """Keep rows from the beginning, without a look at them.

        Args:
            vectors: Shape (n, dim), any float dtype, of any length.
            numbers: Shape (n,), integers, unique.
            lengths: Shape (n,): characters of each text.

        Raises:
            VectorError: Another shape, or a value is not finite.
        """
        self._given.add(self._rounded(vectors, lengths), np.asarray(numbers, dtype=np.int64))

    def look(self, vectors: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> Look:
        """Compare the next rows; what the last look kept is kept from now on.

        Args:
            vectors: Shape (n, dim), float32, of any length; n may be 0. Zeros are near to nothing.
            lengths: Shape (n,): characters of each text.

        Raises:
            VectorError: Another shape, or a value is not finite.
        """
        rows = self._rounded(vectors, lengths)
        if self._look is not None:
            self._look.finish()
        self._look = Look(self, rows)
        return self._look

    def _rounded(self, vectors: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> Rounded:
        if vectors.ndim != 2 or vectors.shape[1] != self.dim or np.shape(lengths) != vectors.shape[:1]:
            raise VectorError(
                f"vectors of dimension {self.dim} and a length for each are expected,"
                f" found the shapes {vectors.shape} and {np.shape(lengths)}"
            )
        return rounded(vectors, lengths)

    def begin(self, task: Callable[[], CloseRows]) -> Callable[[], CloseRows]:
        """Start something in a thread, if there are any; what comes back waits for it."""
        return task if self._pool is None else self._pool.submit(task).result

    def nearest_of(self, block: Rounded, first: int) -> Best:
        """Return the nearest of the rows given at the beginning and of the recent ones.

        Args:
            block: At most `BLOCK_ROWS` rows.
            first: Recent rows before this position are left out.
        """
        best = Best(block, self.rule)
        floats = block.floats()
        self._given.offer_to(best, floats, 0, self._run)
        self.recent.offer_to(best, floats, first, self._run)
        best.settle()
        return best


class Look:
    """One block of rows as they are decided, from the first to the last."""

    def __init__(self, stars: Stars, rows: Rounded) -> None:
        """Start before the first row."""
        self._stars, self._rows = stars, rows
        self._part = _Part(stars, rows.take(slice(0, BLOCK_ROWS)))
        self._first = 0

    def nearest(self, row: int) -> Nearest | None:
        """Return the nearest row kept so far, of equally near ones that of the lowest number; None for none.

        Args:
            row: From 0, not before one that was asked for or kept already.
        """
        return self._reach(row).nearest(row - self._first)

    def keep(self, row: int, number: int) -> None:
        """Keep a row.

        Args:
            row: As in `nearest`; each once.
            number: What it is called from now on; above those of the rows kept before it.
        """
        self._reach(row).keep(row - self._first, number)

    def finish(self) -> None:
        """Hand on what was kept."""
        self._part.finish()

    def _reach(self, row: int) -> _Part:
        if not self._first <= row < len(self._rows.scales):
            raise IndexError(f"row {row} is not one of those that are left of {len(self._rows.scales)}")
        if row >= self._first + BLOCK_ROWS:
            self._part.finish()
            self._first = row - row % BLOCK_ROWS
            self._part = _Part(self._stars, self._rows.take(slice(self._first, self._first + BLOCK_ROWS)))
        return self._part


class _Part:
    """Some rows that are compared together.

    Their neighbours are of two kinds: far ones, kept for as long as these rows are decided, and close ones,
    which come or go meanwhile. Nothing is compared before the first question.
    """

    def __init__(self, stars: Stars, rows: Rounded) -> None:
        """Start before the first row."""
        self._stars, self._rows = stars, rows
        recent = stars.recent
        # Before this position, rows may be forgotten while these are decided.
        self._first_far = recent.forgotten
        if stars.window is not None:
            last_end = recent.count + len(rows.scales) - stars.window
            self._first_far = min(max(recent.forgotten, last_end), recent.count)
        self._kept: list[int] = []
        self._numbers: list[int] = []
        self._close: CloseRows | None = None
        self._far: Best | None = None

    def nearest(self, row: int) -> Nearest | None:
        """Return the nearest row kept so far."""
        if self._far is None or self._close is None:
            close = self._stars.begin(self._open_close)
            self._far = self._stars.nearest_of(self._rows, self._first_far)
            self._close = close()
        found = self._close.nearest(row)
        cosine, number = float(self._far.cosines[row]), int(self._far.numbers[row])
        if cosine == NOTHING or (found is not None and (found.cosine, -found.number) > (cosine, -number)):
            return found
        return Nearest(number, cosine)

    def keep(self, row: int, number: int) -> None:
        """Keep a row, which other rows of the part may then be near to."""
        self._kept.append(row)
        self._numbers.append(number)
        if self._close is not None:
            self._close.keep(row, number)
            self._close.forget(self._forgotten())

    def finish(self) -> None:
        """Hand on what was kept, once."""
        recent, window = self._stars.recent, self._stars.window
        recent.add(self._rows.take(np.array(self._kept, dtype=np.intp)), np.array(self._numbers, np.int64))
        if window is not None:
            recent.forget(recent.count - window)
        self._kept, self._numbers = [], []

    def _forgotten(self) -> int:
        """How many of the close rows, in the order of keeping, the window has forgotten."""
        recent, window = self._stars.recent, self._stars.window
        return 0 if window is None else max(0, recent.count + len(self._kept) - window - recent.forgotten)

    def _open_close(self) -> CloseRows:
        recent = self._stars.recent
        leaving = recent.pieces(recent.forgotten, self._first_far, BLOCK_ROWS)
        close = CloseRows(self._rows, list(leaving), self._stars.rule)
        for row, number in zip(self._kept, self._numbers, strict=True):
            close.keep(row, number)
        close.forget(self._forgotten())
        return close
