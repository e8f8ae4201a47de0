"""The records of an import on their way into an index: what is new, what is the same, what is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from embedcli.datatypes import Problem, Record
from embedcli.index.rows import storable
from embedcli.index.writer import fields_json
from embedcli.records.exchange import RefusedRow, chunks_of, follows
from embedcli.tasks.build_queue import BuildQueue
from embedcli.tasks.chunks import Cut
from embedcli.tasks.import_names import content_hash
from embedcli.tasks.import_vectors import unit_vectors
from embedcli.tasks.vector_queue import VectorQueue, put_stdin_source, stdin_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from embedcli.datatypes import Counts, OnProblem, Vector, VectorDtype
    from embedcli.index.reader import IndexReader
    from embedcli.index.writer import IndexWriter
    from embedcli.records.exchange import ImportedRow, RowBatch, VectorSource
    from embedcli.tasks.import_survey import Survey
    from embedcli.tasks.vectorize import Vectorizer

MAX_RECORD_CHUNKS = 1 << 18
"""A record is held in memory until its last chunk was read. One of 16 MiB, the most that a build reads unless
told, has fewer: its paragraphs have 80 characters or more."""


@dataclass(slots=True)
class ImportReport:
    """What an import did, in records."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    refused: int = 0


@dataclass(slots=True)
class _Group:
    """The rows of one record, as far as they have come, with their vectors."""

    rows: list[ImportedRow] = field(default_factory=list)
    vectors: list[Vector] = field(default_factory=list)
    last: ImportedRow | None = None
    is_refused: bool = False

    def add(self, row: ImportedRow, vector: Vector | None) -> None:
        """Add a row; of a record that was refused nothing is kept."""
        self.last = row
        if self.is_refused:
            self.rows, self.vectors = [], []
            return
        self.rows.append(row)
        if vector is not None:
            self.vectors.append(vector)


class Import:
    """One import into an open index."""

    def __init__(
        self,
        source: VectorSource,
        survey: Survey,
        reader: IndexReader,
        writer: IndexWriter,
        vectorizer: Vectorizer,
        counts: Counts,
        on_problem: OnProblem,
        *,
        encode: bool,
    ) -> None:
        self._source, self._survey, self._encode = source, survey, encode
        self._reader, self._writer, self._vectorizer = reader, writer, vectorizer
        self._counts, self._tell = counts, on_problem
        self._earlier = stdin_source(writer)
        self._number = put_stdin_source(writer, self._earlier, "partial")
        self._unfinished = writer.unfinished_record_ids(self._number)
        self._seen: dict[str, tuple[bytes, str]] = {}
        self._vectors = VectorQueue(writer, self._number, counts)
        self._texts = BuildQueue(writer, vectorizer, counts)
        self.report = ImportReport()

    def run(self, dtype: VectorDtype, *, keeps_half: bool, on_progress: Callable[[int, int], None]) -> None:
        """Read and write everything.

        Args:
            dtype: What the source's numbers are.
            keeps_half: Whether float16 is stored as it is.
            on_progress: Told how many of how many rows are done.
        """
        done = 0
        group = _Group()
        for batch in self._source.read(with_vectors=not self._encode):
            vectors, faults = None, dict(batch.faults)
            if batch.vectors is not None:
                vectors, found = unit_vectors(
                    batch.vectors, dtype, self._vectorizer.dim, keeps_half=keeps_half
                )
                faults = {**found, **faults}
            for place, row in self._rows(batch):
                if row is None or not follows(row, group.last):
                    self._finish(group)
                    group = _Group()
                if row is None:
                    continue
                fault = faults.get(place) or self._fault(row, group)
                if fault and not group.is_refused:
                    self._refuse(row.where, fault)
                    group.is_refused = True
                group.add(row, None if vectors is None else vectors[place])
            done += len(batch.rows)
            on_progress(done, self._survey.rows)
        self._finish(group)
        self._write()
        # What an earlier run did not finish was written again by this one, or is of no use.
        self._writer.drop_records(self._unfinished & self._writer.record_ids(self._number))
        # A bad record of standard input itself stays named; a run that was killed left no reason.
        reason = self._earlier.reason if self._earlier else None
        put_stdin_source(self._writer, self._earlier, "partial" if reason else "indexed", reason)
        self._writer.commit()

    def write_ready(self) -> None:
        """Commit what can be committed: what an interrupted run does."""
        if self._encode:
            self._texts.write_ready()
        else:
            self._vectors.write_ready()

    def _write(self) -> None:
        if self._encode:
            self._texts.write()
        else:
            self._vectors.write()

    def _rows(self, batch: RowBatch) -> Iterator[tuple[int, ImportedRow | None]]:
        """Yield the rows of a batch with their place, None for one that was refused and reported."""
        for place, row in enumerate(batch.rows):
            if isinstance(row, RefusedRow):
                self._refuse(row.where, row.reason)
                yield place, None
            else:
                yield place, row

    def _fault(self, row: ImportedRow, group: _Group) -> str | None:
        """Return why a record cannot be used because of this row of it."""
        if len(group.rows) == MAX_RECORD_CHUNKS:
            return f"its record has more than {MAX_RECORD_CHUNKS} chunks"
        is_blank = row.text is None or not row.text or row.text.isspace()
        return "has no text to encode" if self._encode and is_blank else None

    def _refuse(self, where: str, reason: str) -> None:
        self._counts.skipped += 1
        self.report.refused += 1
        self._tell(Problem(where, reason))

    def _finish(self, group: _Group) -> None:
        """Queue a record, unless it is there already."""
        import numpy as np

        if group.last is None:
            return
        self._counts.read += 1
        if group.is_refused:
            return
        first, last = group.rows[0], group.last
        chunks = chunks_of(group.rows)
        vectors = np.stack(group.vectors) if group.vectors else None
        found_hash = content_hash(chunks, vectors)
        name = self._survey.names.name(first)
        fields = dict(first.fields)
        if first.path is not None:
            fields |= {"path": first.path, "line": first.line, "end_line": last.end_line}
        record = Record(name, "", fields=fields, line=first.line, end_line=last.end_line)
        if self._survey.names.is_repeated(name) and self._is_again(record, found_hash, first.where):
            return
        old = self._place(record, found_hash)
        if old is None:
            return
        if vectors is not None:
            self._counts.cached += len(chunks)
            self._vectors.add_record(record, fields_json(record), found_hash, chunks, vectors, old)
            return
        cuts = (Cut(chunk, chunk.text) for chunk in chunks)
        self._texts.add_record(self._number, record, fields_json(record), found_hash, cuts, "pool")
        if old:
            self._texts.add_step(lambda: self._drop(old))

    def _is_again(self, record: Record, found_hash: bytes, where: str) -> bool:
        """Whether a record of that id came before; another one under the same id is refused."""
        is_new = record.id not in self._seen
        known = self._seen.setdefault(record.id, (found_hash, fields_json(record)))
        if not is_new and known == (found_hash, fields_json(record)):
            self.report.unchanged += 1
        elif not is_new:
            self._refuse(where, f"a record before it has the same id {record.id!r}")
        return not is_new

    def _place(self, record: Record, found_hash: bytes) -> list[int] | None:
        """Return the records whose place a record takes, or None if it is there already."""
        stored = self._writer.stored_record(self._number, record.id)
        if stored is None:
            self.report.added += 1
            return []
        # More than one where a run was killed between writing the new one and dropping the old one.
        there = self._reader.stdin_records(storable(record.id))
        if stored.text_hash != found_hash:
            self.report.replaced += 1
            return there
        is_same = json.loads(stored.fields) == json.loads(fields_json(record))
        self.report.unchanged += is_same
        self.report.replaced += not is_same
        self._writer.move_record(self._number, stored, record, fields_json(record))
        self._drop([number for number in there if number != stored.id])
        return None

    def _drop(self, records: list[int]) -> None:
        self._writer.drop_records(records)
