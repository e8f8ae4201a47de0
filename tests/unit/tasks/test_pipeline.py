"""Batches are bounded and in order; work overlaps and stops."""

from __future__ import annotations

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from embedcli.tasks.pipeline import BATCH_CHARS, BATCH_ITEMS, batches, in_turn, overlapped


@given(st.lists(st.integers(0, BATCH_CHARS), max_size=40))
def test_batches_join_back_and_are_bounded(sizes: list[int]) -> None:
    found = list(batches(sizes, lambda size: "x" * min(size, 1000) if size < 1000 else "x" * size))
    assert [size for batch in found for size in batch] == sizes
    for batch in found:
        assert len(batch) <= BATCH_ITEMS
        assert sum(batch[:-1]) < BATCH_CHARS, "the bound is passed by one item at most"


@given(st.lists(st.integers()))
def test_overlapped_work_keeps_the_order(items: list[int]) -> None:
    assert list(overlapped(items, lambda item: item * 2)) == [(item, item * 2) for item in items]
    assert list(in_turn(items, lambda item: item * 2)) == [(item, item * 2) for item in items]


def test_the_next_item_is_read_while_one_is_worked_on() -> None:
    reading = threading.Event()

    def items() -> object:
        yield 1
        yield 2
        reading.set()
        yield 3

    def work(item: int) -> bool:
        return item != 2 or reading.wait(10)

    assert [result for _, result in overlapped(items(), work)] == [True, True, True]


def test_stopping_does_not_wait_for_the_batch_under_way() -> None:
    release = threading.Event()
    results = overlapped([1, 2, 3], lambda item: item == 1 or release.wait(20))
    assert next(results) == (1, True)
    start = time.monotonic()
    results.close()
    release.set()
    assert time.monotonic() - start < 10
