"""Records that bring the vectors of all their chunks along, on their way into an index."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedcli.datatypes import STDIN_NAME
from embedcli.index.schema import SEGMENT_ROWS
from embedcli.index.writer import NewChunk
from embedcli.records.fingerprint import text_hash
from embedcli.tasks.build_queue import COMMIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.datatypes import Chunk, Counts, Record, Vectors
    from embedcli.index.stored import StoredSource
    from embedcli.index.writer import IndexWriter

_STDIN_ROOT = 0
_SETTINGS = '{"chunking": "none", "on_long": "pool"}'
"""How records with vectors were chunked: they come in chunks, and a long text that is encoded is pooled."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A record that is not written yet, and those whose place it takes."""

    record: Record
    fields: str
    record_hash: bytes
    chunks: Sequence[Chunk]
    vectors: Vectors
    old: Sequence[int]


class VectorQueue:
    """Writes whole records, a segment at a time; a record that fills a segment alone is written in parts.

    What is committed is always complete: parts stay hidden until the last one is there.
    """

    def __init__(self, writer: IndexWriter, source: int, counts: Counts, *, commits: bool = True) -> None:
        """Start with nothing queued.

        Args:
            writer: Writes to the open index.
            source: The id of the source that the records belong to.
            counts: Added to.
            commits: Whether to commit whenever a segment is full or some time has passed; else `write` alone
                commits.
        """
        self._writer, self._source, self._counts, self._commits = writer, source, counts, commits
        self._waiting: list[_Waiting] = []
        self._names: set[str] = set()
        self._rows = 0
        self._last_commit = time.monotonic()
        self._is_writing = False

    def add_record(
        self,
        record: Record,
        fields: str,
        record_hash: bytes,
        chunks: Sequence[Chunk],
        vectors: Vectors,
        old: Sequence[int],
    ) -> None:
        """Queue a record; write when enough has gathered.

        Args:
            record: Under the id that the index keeps.
            fields: Its own fields as JSON.
            record_hash: What tells whether it changed.
            chunks: At least one.
            vectors: Shape (len(chunks), dim), float32, unit length.
            old: The records that are dropped when this one is there.
        """
        if self._rows + len(chunks) > SEGMENT_ROWS:
            self._write(commits=self._commits)
        self._waiting.append(_Waiting(record, fields, record_hash, chunks, vectors, old))
        self._names.add(record.id)
        self._rows += len(chunks)
        is_due = self._commits and time.monotonic() - self._last_commit > COMMIT_SECONDS
        if self._rows >= SEGMENT_ROWS or is_due:
            self._write(commits=self._commits)

    def holds(self, name: str) -> bool:
        """Whether a record of that id is queued."""
        return name in self._names

    def write(self) -> None:
        """Write all that is queued, and commit."""
        self._write(commits=True)

    def _write(self, *, commits: bool) -> None:
        self._is_writing = True
        waiting, self._waiting, self._names, self._rows = self._waiting, [], set(), 0
        if len(waiting) == 1 and len(waiting[0].chunks) > SEGMENT_ROWS:
            self._write_in_parts(waiting[0])
        else:
            self._write_whole(waiting)
        if commits:
            self._writer.commit()
            self._last_commit = time.monotonic()
        self._is_writing = False

    def write_ready(self) -> None:
        """Write what is queued, unless the run was interrupted while it wrote: that is rolled back."""
        if not self._is_writing:
            self.write()

    def _write_whole(self, waiting: Sequence[_Waiting]) -> None:
        import numpy as np

        chunks: list[NewChunk] = []
        for each in waiting:
            number = self._writer.reserve_record()
            self._writer.add_record(number, self._source, each.record, each.fields, each.record_hash)
            chunks += _new_chunks(number, each.chunks, each.vectors)
        if chunks:
            self._writer.add_chunks(chunks, np.concatenate([each.vectors for each in waiting]), set())
        self._counts.written += len(chunks)
        self._writer.drop_records({old for each in waiting for old in each.old})

    def _write_in_parts(self, large: _Waiting) -> None:
        number = self._writer.reserve_record()
        self._writer.add_record(
            number, self._source, large.record, large.fields, large.record_hash, complete=False
        )
        for start in range(0, len(large.chunks), SEGMENT_ROWS):
            part = slice(start, start + SEGMENT_ROWS)
            self._writer.add_chunks(
                _new_chunks(number, large.chunks[part], large.vectors[part]), large.vectors[part], {number}
            )
            self._writer.commit()
        self._writer.complete_record(number)
        self._counts.written += len(large.chunks)
        self._writer.drop_records(large.old)


def stdin_source(writer: IndexWriter) -> StoredSource | None:
    """Return what the index holds of standard input, which all records with vectors belong to."""
    return writer.source(_STDIN_ROOT, STDIN_NAME.encode())


def put_stdin_source(
    writer: IndexWriter, earlier: StoredSource | None, state: str, reason: str | None = None
) -> int:
    """Set the state of standard input as a source, and return its id; see `IndexWriter.put_source`."""
    return writer.put_source(
        *(_STDIN_ROOT, STDIN_NAME.encode()),
        stat=None,
        content_hash=None,
        state=state,
        settings=earlier.settings if earlier else _SETTINGS,
        reason=reason,
    )


def _new_chunks(record: int, chunks: Sequence[Chunk], vectors: Vectors) -> list[NewChunk]:
    return [
        # With the vector in it, so that no other text is ever taken for encoded because of this one.
        NewChunk(record, chunk, text_hash(chunk.text + vector.tobytes().hex()))
        for chunk, vector in zip(chunks, vectors, strict=True)
    ]
