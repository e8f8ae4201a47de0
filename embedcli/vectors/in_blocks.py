"""Work on many rows, a block at a time, in threads whose number changes no bit of the result."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

R = TypeVar("R")

CELLS: Final = 1 << 20
"""Cosines computed at a time, 4 MiB."""


def in_blocks(rows: int, step: int, work: Callable[[slice], R], jobs: int = 1) -> Iterator[R]:
    """Yield what `work` gives for each block of rows, in order.

    Args:
        rows: How many there are.
        step: Rows of a block. It must not depend on `jobs`: a matrix product sums by its shape.
        work: Called with each block, by several threads at once.
        jobs: Threads. At most as many results as blocks wait for their turn.
    """
    blocks = [slice(start, min(start + step, rows)) for start in range(0, rows, step)]
    if jobs == 1 or len(blocks) < 2:
        yield from map(work, blocks)
        return
    with ThreadPoolExecutor(min(jobs, len(blocks)), thread_name_prefix="rows") as threads:
        yield from threads.map(work, blocks)
