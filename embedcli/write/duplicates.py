"""What `dedupe` writes: kept records, dropped ones, the report, or all records with marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import xxhash

from embedcli.write.added_fields import AddedFields
from embedcli.write.objects import dump

if TYPE_CHECKING:
    from embedcli.datatypes import Duplicate, Head, Record
    from embedcli.write.target import Output

MARKS = ("duplicate_group", "duplicate_of", "duplicate_score", "duplicate_stage")
"""Fields that `--mark` adds. A kept record is in the group that bears its number."""


class Sink(Protocol):
    """Takes all records of a run in input order."""

    def head(self, head: Head) -> None:
        """Take what stands before the first record."""
        ...

    def kept(self, record: Record, number: int) -> None:
        """Take a record that is kept, or blank; `number` is that of its group, 0 for a blank one."""
        ...

    def dropped(self, record: Record, duplicate: Duplicate) -> None:
        """Take a record that is not kept."""
        ...

    def flush(self) -> None:
        """Hand on what is buffered."""
        ...


class Filter:
    """Writes kept records as they are, and beside them what was dropped and why.

    A line of the report says where the dropped bytes would stand in the output if nothing had been dropped,
    and has a hash of the output before that place: with these the input can be put together again.
    """

    def __init__(self, output: Output | None, report: Output | None, dropped: Output | None) -> None:
        """Take the outputs, each None where it is not wanted."""
        self._output, self._report, self._dropped = output, report, dropped
        self._offset = 0
        self._hash = xxhash.xxh3_64()
        self._waiting: list[bytes] = []

    def head(self, head: Head) -> None:
        """Write what stands before the first record."""
        if head.content:
            self._keep(head.content)
            if self._dropped is not None:
                self._dropped.write(head.content)

    def kept(self, record: Record, number: int) -> None:
        """Write the record's bytes."""
        del number
        self._keep(record.raw)

    def dropped(self, record: Record, duplicate: Duplicate) -> None:
        """Write the record's bytes to the other file, and a line to the report."""
        if self._dropped is not None:
            self._dropped.write(record.raw)
        if self._report is not None:
            self._hand_on()
            line = {
                "dropped": record.id,
                "kept": duplicate.kept,
                "score": duplicate.score,
                "stage": duplicate.stage,
                "group": duplicate.group,
                "offset": self._offset,
                "before": self._hash.hexdigest(),
                "raw": record.raw.decode("utf-8", "surrogateescape"),
            }
            self._report.write(dump(line) + b"\n")
        self._offset += len(record.raw)

    def flush(self) -> None:
        """Hand on what is buffered."""
        self._hand_on()
        for output in (self._output, self._report, self._dropped):
            if output is not None:
                output.flush()

    def _keep(self, content: bytes) -> None:
        self._offset += len(content)
        self._waiting.append(content)

    def _hand_on(self) -> None:
        """Write what was kept since the last time: many records in one call."""
        content = b"".join(self._waiting)
        self._waiting.clear()
        if self._report is not None:
            self._hash.update(content)
        if self._output is not None:
            self._output.write(content)


class Marks:
    """Writes all records with the fields of `MARKS`; see `AddedFields`."""

    def __init__(self, output: Output) -> None:
        """Take the output."""
        self._added = AddedFields(output, MARKS)

    def head(self, head: Head) -> None:
        """Write the header with the columns of the marks."""
        self._added.head(head)

    def kept(self, record: Record, number: int) -> None:
        """Write a record that is in its own group, or, blank, in none."""
        self._added.write(record, (number or None, None, None, None))

    def dropped(self, record: Record, duplicate: Duplicate) -> None:
        """Write a record that is a duplicate."""
        self._added.write(record, (duplicate.group, duplicate.kept, duplicate.score, duplicate.stage))

    def flush(self) -> None:
        """Hand on what is buffered."""
        self._added.flush()
