"""Records on their way through a filter: each with the very bytes that are written if it is kept."""

from __future__ import annotations

import io
import os
import select
from typing import TYPE_CHECKING, Final

from embedcli.datatypes import Head
from embedcli.errors import InputError
from embedcli.write.objects import object_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from typing_extensions import Buffer

    from embedcli.datatypes import Counts, OnProblem, Record
    from embedcli.records.read import Records
    from embedcli.records.tables import Header
    from embedcli.tasks.inputs import Inputs

_PAUSE_SECONDS: Final = 0.02
"""A pipe that gives nothing for so long pauses; a busy one is only emptied faster than it is filled."""


def passing_records(
    inputs: Inputs,
    counts: Counts,
    on_problem: OnProblem,
    on_head: Callable[[Head], None],
    on_progress: Callable[[int], None] = lambda _done: None,
    *,
    null: bool = False,
) -> Iterator[Record]:
    """Yield all records, source by source; head and raw bytes join to what a filter that keeps all writes.

    That is the input, byte for byte, with these exceptions: of several sources only the first one's byte
    order mark and table header stand at the head; where another source follows a last line without its end,
    it gets one; a file that is one record is named, not copied; a record of Parquet becomes JSON.

    Args:
        inputs: What is read.
        counts: Added to.
        on_problem: Told of what was left out.
        on_head: Told, once and before the first record, what stands before it.
        on_progress: Told how many records were read.
        null: Whether names of files end in NUL.

    Raises:
        MissingPathError: A path does not exist; nothing was read.
        InputError: A table has other columns than the one before it.
    """
    heads = _Heads(on_head, names_columns=inputs.settings.header)
    end = b"\0" if inputs.settings.format == "null" else b"\n"
    path_end = b"\0" if null else b"\n"
    last: Record | None = None
    for records in inputs.sources(counts, on_problem):
        if last is not None:
            yield last if last.raw.endswith((end, b"\r", path_end)) else last._replace(raw=last.raw + end)
            last = None
        for record in records:
            heads.tell(records)
            if last is not None:
                yield last
            last = _with_bytes(record, records, path_end)
            on_progress(counts.read)
            if record.path is None and last.raw.endswith(end):
                # A slow pipe is not waited for.
                yield last
                last = None
        heads.tell(records)
    if last is not None:
        yield last


class _Heads:
    """What stands before the first record, told once."""

    def __init__(self, on_head: Callable[[Head], None], *, names_columns: bool) -> None:
        self._on_head: Callable[[Head], None] | None = on_head
        self._names_columns = names_columns
        self._told: Records | None = None
        self._header: Header | None = None

    def tell(self, records: Records) -> None:
        """Tell of the first source's head, and see whether another one's fits.

        Raises:
            InputError: It is that of another table.
        """
        if records is self._told:
            return
        self._told = records
        if self._on_head is not None:
            header = self._header = records.header
            self._on_head(
                Head(records.bom)
                if header is None
                else Head(header.raw, header.delimiter, self._names_columns)
            )
            self._on_head = None
        elif records.header is not None and not _is_same(self._header, records.header):
            raise InputError(
                f"{records.source.name}: its columns are not those of what was read before",
                hint="one run for each table",
            )


def _is_same(first: Header | None, other: Header) -> bool:
    return first is not None and (first.names, first.delimiter) == (other.names, other.delimiter)


def _with_bytes(record: Record, records: Records, path_end: bytes) -> Record:
    """Return a record with the bytes that are written for it."""
    if records.format == "whole" and record.path is not None:
        return record._replace(raw=os.fsencode(record.path) + path_end)
    if records.format == "parquet":
        return record._replace(raw=object_line(record, {}))
    return record


class WatchedStream(io.RawIOBase):
    """Standard input that says when it would have to be waited for."""

    def __init__(self, stream: BinaryIO, on_wait: Callable[[], None]) -> None:
        """Take over a stream of which nothing was read yet.

        Args:
            stream: Standard input.
            on_wait: Called each time nothing has come for a moment, in the thread that reads.
        """
        self._stream, self._on_wait = stream, on_wait

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Read what there is; 0 at the end."""
        view = memoryview(buffer).cast("B")
        try:
            descriptor = self._stream.fileno()
        except OSError:  # a stream without a descriptor never lets anyone wait
            content = self._stream.read(len(view))
        else:
            if not select.select([descriptor], [], [], _PAUSE_SECONDS)[0]:
                self._on_wait()
            content = os.read(descriptor, len(view))
        view[: len(content)] = content
        return len(content)
