"""What is there already, for `dedupe --against`: the records of files, and those that an index remembers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from embedcli.datatypes import Record
from embedcli.tasks.pipeline import batches
from embedcli.tasks.places import index_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from embedcli.datatypes import Duplicate, Head
    from embedcli.tasks.dedupe import Deduper, RecordVectors
    from embedcli.tasks.remember import Memory
    from embedcli.write.duplicates import Sink

COMMIT_SECONDS: Final = 10.0
"""An endless run remembers what it wrote so long ago even if it is killed."""

_SQLITE_MAGIC: Final = b"SQLite format 3\0"
_INDEX_SUFFIX: Final = ".emb"
_BLOCK: Final = 1024


def is_index(given: str) -> bool:
    """Whether a path of `--against` means an index: a folder with one, or a file that is or is to be one."""
    path = Path(given)
    if path.is_dir():
        return index_path(given).exists()
    if not path.exists():
        return path.suffix == _INDEX_SUFFIX
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        head = stream.read(len(_SQLITE_MAGIC))
    return head == _SQLITE_MAGIC or (not head and path.suffix == _INDEX_SUFFIX)


def keep_records(deduper: Deduper, records: Iterable[Record]) -> None:
    """Keep the records of a file from the beginning."""
    for block in batches((record for record in records if not record.is_blank), lambda record: record.text):
        deduper.keep_all(block)


def keep_memory(deduper: Deduper, memory: Memory) -> None:
    """Keep all that an index holds from the beginning; one built without texts is compared by vectors alone.

    Raises:
        DamagedIndexError: What was read is not what was written.
    """
    import numpy as np

    for block in memory.blocks(with_texts=True):
        records = [
            Record(known.id if known.chunk == 1 else f"{known.id}#{known.chunk}", known.text or "")
            for known in block.known
        ]
        vectors = np.asarray(block.vectors, dtype=np.float32)
        deduper.keep_all(records, vectors)


class Remembering:
    """A sink that adds to an index what is kept, once another sink has written it."""

    def __init__(self, sink: Sink, memory: Memory, vectors: RecordVectors, *, commits: bool) -> None:
        """Start with nothing to add.

        Args:
            sink: Writes the records.
            memory: Open for additions.
            vectors: Makes the vectors of records.
            commits: Whether what was flushed has left: then it is remembered from time to time. What waits
                in a file that is not yet in its place is not.
        """
        self._sink, self._memory, self._vectors, self._commits = sink, memory, vectors, commits
        self._waiting: list[Record] = []
        self._last_commit = time.monotonic()

    def head(self, head: Head) -> None:
        """Pass on."""
        self._sink.head(head)

    def kept(self, record: Record, number: int) -> None:
        """Pass on, and remember the record when its turn comes."""
        self._sink.kept(record, number)
        if not record.is_blank:
            self._waiting.append(record)
        if len(self._waiting) == _BLOCK:
            self._add()

    def dropped(self, record: Record, duplicate: Duplicate) -> None:
        """Pass on."""
        self._sink.dropped(record, duplicate)

    def flush(self) -> None:
        """Pass on; what was written is then remembered."""
        self._sink.flush()
        self._add()
        if self._commits and time.monotonic() - self._last_commit > COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Make durable what was added."""
        self._memory.commit()
        self._last_commit = time.monotonic()

    def _add(self) -> None:
        if self._waiting:
            self._memory.add(self._waiting, self._vectors.record_vectors(self._waiting))
            self._waiting = []
