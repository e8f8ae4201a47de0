"""Rows that were kept: unit vectors rounded to float16, in slabs that never move.

Everything is compared as rounded here, so that a row gives the same cosines before and after it is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedcli.vectors.metric import sum_rows
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    import numpy.typing as npt

    from embedcli.datatypes import Vectors
    from embedcli.vectors.bounds import Axes

    Halves = npt.NDArray[np.float16]
    Floats = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.int64]

SLAB_NUMBERS: Final = 1 << 22
"""Numbers in a slab: 8 MiB, 10,922 rows of 384."""
ROUND_NUMBERS: Final = 1 << 18
"""Numbers rounded at a time."""
HEADS_AT_A_TIME: Final = 1024
"""Rows whose heads are computed at a time: 1.5 MiB of 384 numbers."""


class Rounded(NamedTuple):
    """Vectors of unit length as they are compared.

    Attributes:
        halves: Shape (n, dim), float16: what decides.
        scales: Shape (n,), float32: 1 / length of each, 0 for a row of zeros; rounding moved it from 1.
        lengths: Shape (n,), int64: characters of each text.
    """

    halves: Halves
    scales: Floats
    lengths: Numbers

    def floats(self) -> Vectors:
        """Return a new array of unit length, shape (n, dim), float32."""
        return widened(self.halves) * self.scales[:, np.newaxis]

    def take(self, rows: npt.NDArray[Any] | slice) -> Rounded:
        """Return some of the rows."""
        return Rounded(self.halves[rows], self.scales[rows], self.lengths[rows])


def joined(parts: list[Rounded]) -> Rounded:
    """Return all rows of some, at least one, as one."""
    halves, scales, lengths = (list(values) for values in zip(*parts, strict=True))
    return Rounded(np.concatenate(halves), np.concatenate(scales), np.concatenate(lengths))


def widened(halves: Halves) -> Floats:
    """float16 as float32, new and exact for all finite values, in half the time that `astype` takes.

    A sign-extended float16 moved 13 bits up is a float32 with the exponent of 2**112 too little; the product
    with it also makes subnormal numbers right.
    """
    bits = halves.view(np.int16).astype(np.int32)
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, np.int32(-0x70002000), out=bits)
    floats = bits.view(np.float32)
    return np.multiply(floats, np.float32(2.0**112), out=floats)


def rounded(vectors: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> Rounded:
    """Scale vectors to unit length and round them to float16. A row of zeros stays one.

    Args:
        vectors: Shape (n, dim), any float dtype, of any length.
        lengths: Shape (n,): characters of each text.

    Raises:
        VectorError: Not two-dimensional, or a value is not finite.
    """
    halves = np.empty(vectors.shape, dtype=np.float16)
    scales = np.zeros(len(vectors), dtype=np.float32)
    step = max(1, ROUND_NUMBERS // max(1, vectors.shape[1]))
    for first in range(0, len(vectors), step):
        part = slice(first, first + step)
        halves[part] = normalize(vectors[part])
        roots = np.sqrt(sum_rows(np.square(halves[part].astype(np.float64))))
        np.divide(1.0, roots, out=scales[part], where=roots > 0, casting="same_kind")
    return Rounded(halves, scales, np.asarray(lengths, dtype=np.int64))


class Piece(NamedTuple):
    """Some kept rows, without copies.

    Attributes:
        rows: n of them.
        numbers: Shape (n,), int64: what the caller calls each.
        heads: Shape (n, k + 1), float32, or None.
    """

    rows: Rounded
    numbers: Numbers
    heads: Floats | None


class Slab:
    """Room for some kept rows, filled from the front. What is filled never changes.

    Attributes:
        rows: The room, as `Rounded`.
        numbers: Shape (room,), int64: what the caller calls each row.
        count: Rows in it.
        heads: Shape (room, k + 1), float32, for the bounds of `bounds.Axes`; None where there are none.
        headed: How many rows have their head.
    """

    def __init__(self, room: int, dim: int) -> None:
        # Pages that were never written take no memory.
        self.rows = Rounded(
            np.empty((room, dim), np.float16), np.empty(room, np.float32), np.empty(room, np.int64)
        )
        self.numbers: Numbers = np.empty(room, dtype=np.int64)
        self.count = self.headed = 0
        self.heads: Floats | None = None

    def piece(self, part: slice = slice(None)) -> Piece:
        """Return the rows that are there, or part of them."""
        part = slice(*part.indices(self.count))
        heads = None if self.heads is None else self.heads[part]
        return Piece(self.rows.take(part), self.numbers[part], heads)

    def grown(self, room: int) -> Slab:
        """Return a slab with the same rows and more room."""
        other = Slab(room, self.rows.halves.shape[1])
        other.add(self.rows.take(slice(self.count)), self.numbers[: self.count])
        if self.heads is not None:
            other.heads = np.empty((room, self.heads.shape[1]), dtype=np.float32)
            other.heads[: self.headed] = self.heads[: self.headed]
            other.headed = self.headed
        return other

    def add(self, rows: Rounded, numbers: Numbers, heads: Floats | None = None) -> int:
        """Take as many of the rows as there is room for; returns how many that were.

        Args:
            rows: Any number.
            numbers: What they are called.
            heads: Their heads, where all rows before them have theirs.
        """
        taken = min(len(numbers), len(self.numbers) - self.count)
        place = slice(self.count, self.count + taken)
        self.rows.halves[place] = rows.halves[:taken]
        self.rows.scales[place] = rows.scales[:taken]
        self.rows.lengths[place] = rows.lengths[:taken]
        self.numbers[place] = numbers[:taken]
        if heads is not None:
            if self.heads is None:
                self.heads = np.empty((len(self.numbers), heads.shape[1]), dtype=np.float32)
            self.heads[place] = heads[:taken]
            self.headed += taken
        self.count += taken
        return taken

    def behead(self) -> None:
        """Forget the heads, since the axes are other ones."""
        self.heads, self.headed = None, 0

    def add_heads(self, axes: Axes) -> None:
        """Add the heads that are not there yet."""
        if self.headed == self.count:
            return
        if self.heads is None:
            self.heads = np.empty((len(self.numbers), axes.directions.shape[1] + 1), dtype=np.float32)
        for start in range(self.headed, self.count, HEADS_AT_A_TIME):
            part = slice(start, min(start + HEADS_AT_A_TIME, self.count))
            self.heads[part] = axes.heads(self.rows.take(part).floats())
        self.headed = self.count


def sample_slabs(slabs: list[Slab], most: int) -> Vectors:
    """Rows spread evenly over slabs, those of zeros left out, shape (n, dim), float32, unit length.

    Args:
        slabs: At least one, with at least one row in all.
        most: The most that n can be.
    """
    step = -(-sum(slab.count for slab in slabs) // most)
    found, first = [], 0
    for slab in slabs:
        rows = slab.rows.take(slice(first, slab.count, step))
        found.append(rows.take(rows.scales > 0).floats())
        first = (first - slab.count) % step
    return np.concatenate(found)


class KeptRows:
    """All kept rows by their position: 0, 1, 2, … in the order of keeping.

    Attributes:
        dim: Numbers in a vector.
        count: Positions given so far; those of rows that were forgotten are not given again.
        forgotten: Positions below this one are gone.
        slabs: Where the others are.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.count = self.forgotten = 0
        self._room = max(1, SLAB_NUMBERS // max(1, dim))
        self.slabs: list[Slab] = []
        self._first_slab = 0

    def add(self, rows: Rounded, numbers: Numbers) -> None:
        """Take rows in, numbers ascending."""
        done = 0
        while done < len(numbers):
            if self.count == (self._first_slab + len(self.slabs)) * self._room:
                self.slabs.append(Slab(self._room, self.dim))
            taken = self.slabs[-1].add(rows.take(slice(done, None)), numbers[done:])
            self.count += taken
            done += taken

    def forget(self, position: int) -> None:
        """Forget the rows before this position; memory is freed a slab at a time."""
        self.forgotten = max(self.forgotten, min(position, self.count))
        while self.slabs and (self._first_slab + 1) * self._room <= self.forgotten:
            del self.slabs[0]
            self._first_slab += 1

    def gather(self, positions: npt.NDArray[np.int64]) -> Piece:
        """Return copies of the rows of some positions, at least one, none of which is forgotten."""
        slabs, places = np.divmod(positions, self._room)
        order = np.argsort(slabs, kind="stable")
        present, starts = np.unique(slabs[order], return_index=True)
        back = np.argsort(order)
        rows, numbers = [], []
        for number, some in zip(present.tolist(), np.split(order, starts[1:]), strict=True):
            slab = self.slabs[number - self._first_slab]
            rows.append(slab.rows.take(places[some]))
            numbers.append(slab.numbers[places[some]])
        return Piece(joined(rows).take(back), np.concatenate(numbers)[back], None)

    def pieces(self, first: int, end: int, most: int) -> Iterator[Piece]:
        """Yield rows in the order of their positions, without copies.

        Args:
            first: The first position that is wanted; forgotten ones are left out.
            end: The one behind the last.
            most: Rows in one piece; fewer at the end of a slab.
        """
        first = max(first, self.forgotten)
        for number, slab in enumerate(self.slabs, self._first_slab):
            base = number * self._room
            low, high = max(0, first - base), min(slab.count, end - base)
            for start in range(low, high, most):
                yield slab.piece(slice(start, min(start + most, high)))
