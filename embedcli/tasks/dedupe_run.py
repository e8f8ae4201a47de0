"""One run of `dedupe`: records in, decisions out, in blocks or over all of them."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from embedcli.datatypes import Duplicate, Record, Stage
    from embedcli.tasks.dedupe import Deduper
    from embedcli.tasks.preference import Preference
    from embedcli.tasks.spool import Spool
    from embedcli.vectors.recall import Recall
    from embedcli.write.duplicates import Sink

BLOCK_RECORDS: Final = 1024
"""Records that are compared at once: few enough to hold, enough that a matrix product is worth its call."""

BLOCK_CHARS: Final = 1 << 22
"""A block also ends here: long texts are held in memory until they are encoded."""


class Tally:
    """How many records were kept, and how many each stage dropped.

    Attributes:
        kept: Records that are not blank and were kept.
        blank: Records that are.
        dropped: Records by stage.
        first: The first duplicate in input order, and why.
        recall: What share of the records with a near kept one was found; None where all were compared.
    """

    def __init__(self) -> None:
        self.kept = self.blank = 0
        self.dropped: Counter[Stage] = Counter()
        self.first: tuple[Record, Duplicate] | None = None
        self.recall: Recall | None = None

    def add(self, record: Record, duplicate: Duplicate | None) -> None:
        """Count one record that is not blank."""
        if duplicate is None:
            self.kept += 1
            return
        self.dropped[duplicate.stage] += 1
        self.first = self.first or (record, duplicate)


class Stream:
    """Decides records as they come and hands them on. Memory: a block, and what the deduper keeps."""

    def __init__(
        self, deduper: Deduper, sink: Sink, tally: Tally, block_records: int = BLOCK_RECORDS
    ) -> None:
        """Start with nothing waiting.

        Args:
            deduper: Decides.
            sink: Takes the records.
            tally: Counts them.
            block_records: How many are decided at once.
        """
        self._deduper, self._sink, self._tally = deduper, sink, tally
        self._block_records = block_records
        self._waiting: list[Record] = []
        self._chars = 0

    def run(self, records: Iterable[Record], *, to_first: bool = False) -> None:
        """Take all records, or go no further than the block with the first duplicate."""
        for record in records:
            self._waiting.append(record)
            self._chars += len(record.text)
            if len(self._waiting) >= self._block_records or self._chars >= BLOCK_CHARS:
                self.flush()
            if to_first and self._tally.first is not None:
                return
        self.flush()

    def flush(self) -> None:
        """Decide what is waiting: called when the input pauses."""
        if not self._waiting:
            return
        block, self._waiting, self._chars = self._waiting, [], 0
        first = self._deduper.seen + 1
        found = self._deduper.decide(block)
        for number, (record, duplicate) in enumerate(zip(block, found, strict=True), start=first):
            hand_on(record, duplicate, number, self._sink, self._tally)
        self._sink.flush()


def hand_on(record: Record, duplicate: Duplicate | None, number: int, sink: Sink, tally: Tally) -> None:
    """Give one record to the sink and count it."""
    if record.is_blank:
        tally.blank += 1
        sink.kept(record, 0)
        return
    tally.add(record, duplicate)
    if duplicate is None:
        sink.kept(record, number)
    else:
        sink.dropped(record, duplicate)


def dedupe_by_preference(
    records: Iterable[Record],
    preference: Preference,
    deduper: Deduper,
    sink: Sink,
    tally: Tally,
    block_records: int = BLOCK_RECORDS,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> int:
    """Decide all records, the preferred ones first, and hand them on in input order.

    Records wait on disk (`Spool`); memory is some 40 bytes for each, and what the deduper keeps.

    Args:
        records: All of them.
        preference: The order in which they are decided.
        deduper: Decides.
        sink: Takes the records.
        tally: Counts them.
        block_records: How many are decided at once.
        on_progress: Told how many of how many are decided.

    Returns:
        How many records, blank ones left out, have no value that the rule asks for.

    Raises:
        UsageError: None of them has one.
    """
    import numpy as np

    from embedcli.tasks.spool import Spool

    spool = Spool()
    try:
        # A blank record has no duplicates, so its place in the order does not matter.
        keys = np.fromiter(
            (
                math.nan if record.is_blank else preference.key(record, number)
                for number, record in enumerate(spool.keep(records))
            ),
            dtype=np.float64,
        )
        without = int(np.isinf(keys).sum())
        if without and without == np.count_nonzero(~np.isnan(keys)):
            raise UsageError(
                f"--keep: no record has such a value in {preference.field!r}",
                hint="newest:FIELD takes dates and numbers, max:FIELD and min:FIELD take numbers",
            )
        order = np.argsort(keys, kind="stable")
        numbers = np.empty(len(order), dtype=np.int64)
        found: dict[int, Duplicate] = {}
        for block in _blocks(spool, order.tolist(), block_records):
            first = deduper.seen + 1
            numbers[[place for place, _ in block]] = np.arange(first, first + len(block))
            decided = deduper.decide([record for _, record in block])
            for (place, _), duplicate in zip(block, decided, strict=True):
                if duplicate is not None:
                    found[place] = duplicate
            on_progress(deduper.seen, len(order))
        for place in range(len(order)):
            hand_on(spool.record(place), found.get(place), int(numbers[place]), sink, tally)
        sink.flush()
        return without
    finally:
        spool.close()


def _blocks(spool: Spool, order: list[int], size: int) -> Iterator[list[tuple[int, Record]]]:
    """Yield records with their places, in an order, in blocks of bounded number and text."""
    block: list[tuple[int, Record]] = []
    chars = 0
    for place in order:
        record = spool.record(place)
        block.append((place, record))
        chars += len(record.text)
        if len(block) >= size or chars >= BLOCK_CHARS:
            yield block
            block, chars = [], 0
    if block:
        yield block
