"""An index as the memory of a filter: what was there before, and the records that this run adds.

What is added stays in the writer's transaction until `Memory.commit`: a run that ends before has remembered
nothing, so that nothing is taken for told that never was.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from embedcli.datatypes import STDIN_NAME, Counts
from embedcli.errors import MissingIndexError, UsageError
from embedcli.index.chunk_rows import ChunkRows
from embedcli.index.file import open_for_reading, open_for_writing, stored_identity
from embedcli.index.meta import check_identity
from embedcli.index.reader import IndexReader
from embedcli.index.rows import storable
from embedcli.index.segments import STORED_DTYPES
from embedcli.index.writer import IndexWriter, fields_json
from embedcli.records.exchange import ImportedRow, chunks_of
from embedcli.records.fingerprint import text_hash
from embedcli.records.objects import ID_FIELDS
from embedcli.tasks.build import record_hash
from embedcli.tasks.chunks import identity_of, is_whole_file
from embedcli.tasks.graphs import renew_graph
from embedcli.tasks.places import INDEX_FOLDER
from embedcli.tasks.text_fields import text_names, without
from embedcli.tasks.vector_queue import VectorQueue, put_stdin_source, stdin_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Record, Vectors
    from embedcli.index.meta import Identity
    from embedcli.tasks.vectorize import Vectorizer

    Rows = npt.NDArray[np.int64]

_DEFAULT_DTYPE = "float16"


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """How an index is used as a memory.

    Attributes:
        update: Whether records are added: the index is made if it does not exist, and no other run can write
            to it meanwhile.
        dtype: What a new index stores vectors as; None for float16.
        keep_text: Whether a new index keeps the records' texts.
        text_fields: What was said about the fields or columns of the text.
        id_field: What was said about the one of the id.
        lock_timeout_seconds: How long to wait for another writer.
        graph_jobs: Threads that renew the index's graph, if it keeps one.
    """

    update: bool = False
    dtype: str | None = None
    keep_text: bool = True
    text_fields: tuple[str, ...] = ()
    id_field: str | None = None
    lock_timeout_seconds: float = 0.0
    graph_jobs: int = 1


class Known(NamedTuple):
    """What a memory says of one vector: the record's id, the chunk's number in it, its text where kept."""

    id: str
    chunk: int
    text: str | None


class KnownBlock(NamedTuple):
    """Some of the vectors that were there before.

    Attributes:
        rows: Their places in the index, shape (n,), int64, ascending.
        vectors: Shape (n, dim), float32, float16 or int8; what counts is their direction. A row of zeros is
            the vector of a text that the model knows no word of.
        known: What each of them stands for, where that was asked for; else empty.
    """

    rows: Rows
    vectors: npt.NDArray[Any]
    known: list[Known]


@dataclass(slots=True)
class MemoryReport:
    """What was added, in records."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0


@contextlib.contextmanager
def open_memory(
    index: Path, vectorizer: Vectorizer, settings: MemorySettings | None = None
) -> Iterator[Memory]:
    """Open an index as a memory for as long as the block runs.

    Args:
        index: The index file.
        vectorizer: Of the index's model, in the role of a document.
        settings: How.

    Raises:
        MissingIndexError: There is none, and nothing is to be added.
        IndexMismatchError: It holds vectors of another model or of other settings.
        IndexLockedError: Another run is writing to it, and something is to be added.
        UsageError: It cannot be added to.
        IndexFileError: It cannot be used.
    """
    settings = settings or MemorySettings()
    home = index.parent.parent if index.parent.name == INDEX_FOLDER else index.parent
    if settings.update and not home.is_dir():
        raise MissingIndexError(f"{index}: the folder {home} does not exist", hint="mkdir, or another name")
    identity = _identity(index, vectorizer, settings)
    if not settings.update:
        yield Memory(index, identity, settings)
        return
    with open_for_writing(index, identity, lock_timeout_seconds=settings.lock_timeout_seconds) as connection:
        writer = IndexWriter(index, connection, identity, may_shrink=True)
        memory = Memory(index, identity, settings, writer)
        yield memory
        if memory.is_changed:
            renew_graph(IndexReader(index, connection), writer, jobs=settings.graph_jobs)


def _identity(index: Path, vectorizer: Vectorizer, settings: MemorySettings) -> Identity:
    """Return the identity that the index has, or is to have; see `open_memory`."""
    try:
        stored = stored_identity(index)
    except MissingIndexError as error:
        if not settings.update:
            raise MissingIndexError(f"{index}: no index here", hint="--update makes one") from error
        dtype = settings.dtype or _DEFAULT_DTYPE
        if dtype not in STORED_DTYPES:
            raise UsageError(f"--dtype {dtype!r} is not known", hint=", ".join(STORED_DTYPES)) from error
        return identity_of(vectorizer, dtype, keep_text=settings.keep_text)
    wanted = identity_of(vectorizer, stored.dtype, keep_text=stored.keep_text)
    check_identity(index, stored, replace(wanted, sparse=stored.sparse))
    if settings.update and stored.sparse is not None:
        raise UsageError(
            f"{index}: holds sparse vectors, and --update makes none",
            hint="another index, which is made if it does not exist",
        )
    return stored


class Memory:
    """An index that is open as a memory; see `open_memory`.

    Attributes:
        path: The index file.
        identity: What all its vectors share.
        report: What this run has added so far.
        is_changed: Whether anything was committed.
    """

    def __init__(
        self, path: Path, identity: Identity, settings: MemorySettings, writer: IndexWriter | None = None
    ) -> None:
        self.path, self.identity, self._settings, self._writer = path, identity, settings, writer
        self.report = MemoryReport()
        self.is_changed = False
        if writer is not None:
            earlier = stdin_source(writer)
            self._source = earlier.id if earlier else put_stdin_source(writer, None, "indexed")
            self._queue = VectorQueue(writer, self._source, Counts(), commits=False)
            self._seen: set[bytes] = set()

    def size(self) -> int:
        """Return how many vectors there are, as of the last commit."""
        with open_for_reading(self.path) as connection:
            return IndexReader(self.path, connection).counts()["chunks"]

    def blocks(self, *, with_texts: bool = False) -> Iterator[KnownBlock]:
        """Yield what was there at the last commit, a segment at a time, in the order it was written.

        Args:
            with_texts: Whether ids and texts are read too.

        Raises:
            DamagedIndexError: What was read is not what was written.
        """
        import numpy as np

        with open_for_reading(self.path) as connection:
            chunk_rows = ChunkRows(self.path, connection)
            for first, vectors, dead in IndexReader(self.path, connection).blocks():
                alive = np.arange(len(vectors)) if dead is None else np.flatnonzero(~dead)
                rows = alive + first
                known = _known(chunk_rows, rows.tolist()) if with_texts else []
                yield KnownBlock(rows, vectors if dead is None else vectors[alive], known)

    def sample(self, count: int) -> tuple[Rows, Vectors]:
        """Return some places, ascending, the same ones each time, and their vectors, shape (n, dim), float32.

        Args:
            count: How many; all where there are no more.
        """
        from embedcli.vectors.background import spread_rows

        with open_for_reading(self.path) as connection:
            reader = IndexReader(self.path, connection)
            rows = spread_rows(reader.live_rows(), count)
            return rows, reader.vectors(rows)

    def vectors(self, rows: Rows) -> Vectors:
        """Return the vectors at some places, shape (n, dim), float32, in the order asked for."""
        with open_for_reading(self.path) as connection:
            return IndexReader(self.path, connection).vectors(rows)

    def known(self, rows: Sequence[int]) -> list[Known]:
        """Return what some vectors stand for, in the order asked for; see `blocks`.

        Args:
            rows: Places in the index, as of the last commit.
        """
        with open_for_reading(self.path) as connection:
            chunk_rows = ChunkRows(self.path, connection)
            return [each for row in rows for each in _known(chunk_rows, [row])]

    def add(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Add records, each whole and with its vector; blank ones are left out.

        A record with an id of its own takes the place of the one that has it. All others are known by their
        text, and one that is there already is left alone. Where two files of one run have the same id, that
        of the later one gets its path before it: `path#id`. For that a hash of each such id is held.

        Args:
            records: As they were read.
            vectors: Shape (len(records), dim), float32; of unit length when they are stored.
        """
        from embedcli.vectors.normalize import normalize

        unit = normalize(vectors)
        for record, vector in zip(records, unit, strict=True):
            if not record.is_blank:
                self._add(record, vector[None])

    def commit(self) -> None:
        """Make all that was added durable: from now on every run knows it."""
        self._queue.write()
        self.is_changed |= bool(self.report.added or self.report.replaced)

    def _add(self, record: Record, vector: Vectors) -> None:
        assert self._writer is not None
        found_hash = record_hash(record, "")
        own_id = _own_id(record, self._settings.id_field)
        # Of no place, so that a text has the same one wherever it comes from.
        name = found_hash.hex() if own_id is None else self._name(own_id, record.path)
        if self._queue.holds(name):
            self.report.unchanged += 1
            return
        named = record._replace(id=name, fields=self._fields(record))
        fields = fields_json(named)
        stored = self._writer.stored_record(self._source, name)
        if stored is not None and stored.text_hash == found_hash:
            self.report.unchanged += 1
            if own_id is not None and json.loads(stored.fields) != json.loads(fields):
                self._writer.move_record(self._source, stored, named, fields)
            return
        self.report.added += stored is None
        self.report.replaced += stored is not None
        chunks = chunks_of(
            [
                ImportedRow(
                    *(name, name),
                    end=len(record.text),
                    line=record.line,
                    end_line=record.end_line,
                    text=record.text,
                )
            ]
        )
        old = [] if stored is None else [stored.id]
        self._queue.add_record(named, fields, found_hash, chunks, vector, old)

    def _name(self, own_id: str, path: str | None) -> str:
        """Return what a record with an id of its own is called; within a source no two have the same."""
        key = text_hash(own_id)
        if key in self._seen:
            return storable(f"{path or STDIN_NAME}#{own_id}")
        self._seen.add(key)
        return storable(own_id)

    def _fields(self, record: Record) -> dict[str, Any]:
        """Return what is kept of a record's own fields, with the file that it is from."""
        fields = dict(record.fields)
        if not self.identity.keep_text:
            fields = without(fields, text_names(self._settings.text_fields, tuple(fields)))
        return fields if record.path is None else {"path": record.path, **fields}


def _known(chunk_rows: ChunkRows, rows: Sequence[int]) -> list[Known]:
    return [
        Known(chunk_rows.record(chunk.record).name, chunk.ordinal, chunk.text)
        for chunk in chunk_rows.chunks(rows)
    ]


def _own_id(record: Record, id_field: str | None) -> str | None:
    """Return the id that a record brings, or None for one that was made of its place."""
    if is_whole_file(record):
        return record.id
    names = ID_FIELDS if id_field is None else text_names((id_field,), tuple(record.fields))
    return record.id if any(str(record.fields.get(name)) == record.id for name in names) else None
