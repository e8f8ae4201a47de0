"""Batches, and reading and writing while the encoder works."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
R = TypeVar("R")

BATCH_ITEMS = 256
BATCH_CHARS = 1 << 18
"""A batch ends at either: enough to keep the workers busy, little enough to hold twice in memory."""


def batches(
    items: Iterable[T],
    text_of: Callable[[T], str],
    shared: Callable[[T], object] = lambda _item: None,
) -> Iterator[list[T]]:
    """Group items into batches of bounded number and text. A single item may be larger than the bound.

    Items next to each other that share one and the same object, if it is not None, stay together.
    """
    batch: list[T] = []
    chars = 0
    for item in items:
        own = shared(item)
        if batch and _is_full(batch, chars) and own is not shared(batch[-1]):
            yield batch
            batch, chars = [], 0
        batch.append(item)
        chars += len(text_of(item))
        # Not one item later than it must: the next may be long in coming.
        if own is None and _is_full(batch, chars):
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


def _is_full(batch: list[T], chars: int) -> bool:
    return len(batch) >= BATCH_ITEMS or chars >= BATCH_CHARS


def in_turn(items: Iterable[T], work: Callable[[T], R]) -> Iterator[tuple[T, R]]:
    """Yield each item with `work(item)`, in this thread.

    For work that holds the interpreter's lock as long as reading and writing do: threads would only wait for
    each other.
    """
    for item in items:
        yield item, work(item)


def overlapped(items: Iterable[T], work: Callable[[T], R]) -> Iterator[tuple[T, R]]:
    """Yield each item with `work(item)`, done in a thread while the next item is read and the last used.

    Order is kept and one call of `work` runs at a time. A single item is worked on in place: a short run
    does not pay for a thread.
    """
    iterator = iter(items)
    try:
        current = next(iterator)
    except StopIteration:
        return
    try:
        following = next(iterator)
    except StopIteration:
        yield current, work(current)
        return

    from concurrent.futures import ThreadPoolExecutor

    executor = ThreadPoolExecutor(1, thread_name_prefix="batch")
    try:
        future = executor.submit(work, current)
        done = False
        while not done:
            result = future.result()
            item, current = current, following
            future = executor.submit(work, current)
            yield item, result
            try:
                following = next(iterator)
            except StopIteration:
                done = True
        yield current, future.result()
    finally:
        # Not waited for: an interrupt must not hang on a batch that the caller is about to stop.
        executor.shutdown(wait=False, cancel_futures=True)
