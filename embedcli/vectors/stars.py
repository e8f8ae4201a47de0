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
from typing import TYPE_CHECKING, Protocol

import numpy as np

from embedcli.errors import UsageError, VectorError
from embedcli.vectors.exact import safe_margin
from embedcli.vectors.kept import rounded
from embedcli.vectors.look import Look
from embedcli.vectors.nearest_kept import Best, Nearest, Rule
from embedcli.vectors.recall import Recall, RecallSample
from embedcli.vectors.scanned_rows import ScannedRows

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, Self

    import numpy.typing as npt

    from embedcli.datatypes import Vectors
    from embedcli.vectors.close_rows import CloseRows
    from embedcli.vectors.kept import Numbers, Piece, Rounded
    from embedcli.vectors.pairing import Run

__all__ = ["Look", "Nearest", "Recall", "SearchedRows", "Stars"]

LEAVING_ROWS: Final = 1024


class SearchedRows(Protocol):
    """Kept rows that find what is near: `ScannedRows`, `ListedRows`, or the graph of `index.star_graph`.

    Attributes:
        exact: Whether everything near is found, from the rows that are there now.
    """

    @property
    def exact(self) -> bool:
        """Stands for an attribute."""

    def add(self, rows: Rounded, numbers: Numbers) -> None:
        """Take rows in."""

    def offer_to(self, best: Best, floats: Vectors, first: int, run: Run) -> None:
        """Offer what is found near to each row of a block, shape (n, dim), unit length."""

    def offer_all_to(self, best: Best, floats: Vectors, run: Run) -> None:
        """Offer everything that is near."""


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
        rows: Callable[[int, Rule], SearchedRows] = ScannedRows,
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
            rows: What finds the rows kept last, and those of `keep_all`, given the dimension and the rule. A
                window is always compared in full.

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
        self._given = rows(dim, self.rule)
        self._windowed = None if window is None else ScannedRows(dim, self.rule)
        self._recent = rows(dim, self.rule) if self._windowed is None else self._windowed
        self._sample: RecallSample | None = None
        self._last_number = np.iinfo(np.int64).min
        self._look: Look | None = None
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="stars") if jobs > 1 else None
        self._run: Run = map if self._pool is None else self._pool.map

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the threads; what is asked later is done without."""
        if self._pool is not None:
            self._pool.shutdown()
        self._pool, self._run = None, map

    def keep_all(
        self, vectors: npt.NDArray[Any], numbers: npt.NDArray[Any], lengths: npt.NDArray[Any]
    ) -> None:
        """Keep rows from the beginning, without a look at them.

        Args:
            vectors: Shape (n, dim), any float dtype, of any length.
            numbers: Shape (n,), integers, unique, below those of all rows that are kept later.
            lengths: Shape (n,): characters of each text, 0 where there is none.

        Raises:
            VectorError: Another shape, or a value is not finite.
        """
        self._given.add(self._rounded(vectors, lengths), np.asarray(numbers, dtype=np.int64))

    def look(self, vectors: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> Look:
        """Compare the next rows; what the last look kept is kept from now on.

        Args:
            vectors: Shape (n, dim), float32, of any length; n may be 0. Zeros are near to nothing.
            lengths: Shape (n,): characters of each text, 0 where there is none.

        Raises:
            VectorError: Another shape, or a value is not finite.
        """
        rows = self._rounded(vectors, lengths)
        if self._look is not None:
            self._look.finish()
        self._look = Look(self, rows)
        return self._look

    def recall(self) -> Recall | None:
        """Measure how much of what was near was found, where not all rows were compared; None if all were.

        Rows that were compared with all are not counted, nor is what is near and within `look.BLOCK_ROWS`
        rows in the input, which is always found.
        """
        if self._sample is None:
            return None
        return self._sample.measure(self.rule, self._offer_all)

    def nearest_of(self, block: Rounded, first: int) -> Best:
        """Return the nearest of the rows given at the beginning and of the recent ones.

        Args:
            block: At most `look.BLOCK_ROWS` rows.
            first: Recent rows before this position are left out.
        """
        best = Best(block, self.rule)
        floats = block.floats()
        self._given.offer_to(best, floats, 0, self._run)
        self._recent.offer_to(best, floats, first, self._run)
        best.settle()
        if not (self._given.exact and self._recent.exact):
            self._sample = self._sample or RecallSample()
            self._sample.take(block, best, self._last_number)
        return best

    def begin(self, task: Callable[[], CloseRows]) -> Callable[[], CloseRows]:
        """Start something in a thread, if there are any; what comes back waits for it."""
        return task if self._pool is None else self._pool.submit(task).result

    def take_up(self, rows: Rounded, numbers: Numbers) -> None:
        """Keep rows whose part is decided."""
        self._recent.add(rows, numbers)
        self._last_number = max(self._last_number, int(numbers.max()))
        if self.window is not None and self._windowed is not None:
            self._windowed.forget(self._windowed.count - self.window)

    def leaving_before(self, rows: int) -> int:
        """Return the position before which the window may forget rows while so many more are kept."""
        if self.window is None or self._windowed is None:
            return 0
        recent = self._windowed
        return min(max(recent.forgotten, recent.count + rows - self.window), recent.count)

    def leaving(self, before: int) -> list[Piece]:
        """Return the rows that are remembered, up to a position."""
        if self._windowed is None:
            return []
        return list(self._windowed.pieces(self._windowed.forgotten, before, LEAVING_ROWS))

    def forgotten_after(self, kept: int) -> int:
        """Return how many of the rows that are remembered are not any more when so many more are kept."""
        if self.window is None or self._windowed is None:
            return 0
        return max(0, self._windowed.count + kept - self.window - self._windowed.forgotten)

    def _offer_all(self, best: Best, floats: Vectors) -> None:
        self._given.offer_all_to(best, floats, self._run)
        self._recent.offer_all_to(best, floats, self._run)

    def _rounded(self, vectors: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> Rounded:
        if vectors.ndim != 2 or vectors.shape[1] != self.dim or np.shape(lengths) != vectors.shape[:1]:
            raise VectorError(
                f"vectors of dimension {self.dim} and a length for each are expected,"
                f" found the shapes {vectors.shape} and {np.shape(lengths)}"
            )
        return rounded(vectors, lengths)
