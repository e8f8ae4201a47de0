"""Queries straight against records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from embedcli.datatypes import Chunk, Hit, Record, TextPart
from embedcli.errors import UsageError
from embedcli.tasks.chunk_settings import ChunkSettings, check_chunking
from embedcli.tasks.chunks import chunking_of, is_whole_file, record_cuts
from embedcli.tasks.group import GroupedTop, group_of, runs_to_choose_from
from embedcli.tasks.pipeline import batches, in_turn, overlapped

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from embedcli.datatypes import By, Encodable, Vectors
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.where import Condition


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """What counts as an answer.

    Attributes:
        top_k: Most hits.
        min_score: Lowest cosine of a hit, inclusive; None for no limit.
        by: What a hit stands for; see `group.group_of`.
    """

    top_k: int = 10
    min_score: float | None = None
    by: By | None = None


class _Unit(NamedTuple):
    """What is compared with the query: a chunk, the record it is from, and what is encoded for it."""

    record: Record
    chunk: Chunk
    encoded: Encodable


def check_queries(queries: Sequence[Record]) -> None:
    """Refuse to ask nothing.

    Raises:
        UsageError: There is one query and it is blank.
    """
    if len(queries) == 1 and queries[0].is_blank:
        raise UsageError("the query is empty", hint="embedcli search 'what to look for' PATH…")


def query_vectors(queries: Sequence[Record], vectorizer: Vectorizer) -> Vectors:
    """Return the queries' vectors, shape (q, dim), float32, in the role of a query; zeros for a blank one.

    Raises:
        UsageError: There is one query and it is blank.
    """
    check_queries(queries)
    return vectorizer.record_vectors(queries)


def matching(records: Iterable[Record], condition: Condition) -> Iterator[Record]:
    """Yield the records whose fields meet a condition; `id` and `path` count as fields of their own."""
    for record in records:
        if condition.matches({"id": record.id, "path": record.path, **record.fields}):
            yield record


def search_records(
    records: Iterable[Record],
    queries: Vectors,
    documents: Vectorizer,
    settings: SearchSettings,
    chunks: ChunkSettings | None = None,
    text_fields: Sequence[str] = (),
) -> list[list[Hit]]:
    """Return the best hits among records for each query, by cosine. Memory is O(batch + hits).

    Equal scores are ordered by place in the input.

    Args:
        records: What to search; blank ones are passed over.
        queries: Shape (q, dim), float32; a query of zeros finds nothing.
        documents: Makes the records' vectors.
        settings: How many hits, and how close.
        chunks: How records become chunks; None cuts whole files into paragraphs and nothing else, and does
            with long ones what `documents` says.
        text_fields: What was said about the fields of the text.
    """
    from embedcli.vectors.exact import TopK

    tops = [TopK(query, settings.top_k, settings.min_score) for query in queries]
    grouped = [GroupedTop(top, query) for top, query in zip(tops, queries, strict=True)]
    units: dict[int, _Unit] = {}
    first = 0

    def vectors_of(batch: list[_Unit]) -> Vectors:
        return documents.record_vectors([unit.record for unit in batch], [unit.encoded for unit in batch])

    how = chunks or ChunkSettings(on_long=documents.settings.on_long)
    check_chunking(how, documents)
    all_units = _units(records, documents, how, text_fields)
    staged = in_turn if documents.is_lookup else overlapped
    for batch, vectors in staged(batches(all_units, lambda unit: unit.chunk.text, _one_text), vectors_of):
        runs = runs_to_choose_from([_group(unit, settings.by) for unit in batch])
        for best in grouped:
            best.add(vectors, first, runs)
        units.update(enumerate(batch, start=first))
        first += len(batch)
        kept = {found.row for top in tops for found in top.result(ties=True)}
        kept |= {best.open_row for best in grouped if best.open_row is not None}
        units = {row: units[row] for row in kept}
    for best in grouped:
        best.close()
    return [[_hit(units[found.row], found.cosine) for found in top.result()] for top in tops]


def _group(unit: _Unit, by: By | None) -> Hashable:
    record, chunk, _ = unit
    return group_of(
        by, path=record.path, record=record.id, chunk=chunk.ordinal, whole_file=is_whole_file(record)
    )


def _hit(unit: _Unit, cosine: float) -> Hit:
    record, chunk, _ = unit
    return Hit(
        score=cosine,
        cosine=cosine,
        id=record.id,
        chunk=chunk.ordinal,
        path=record.path,
        line=chunk.line,
        end_line=chunk.end_line,
        text=chunk.text,
        fields=record.fields,
        whole_file=is_whole_file(record),
    )


def _units(
    records: Iterable[Record], documents: Vectorizer, chunks: ChunkSettings, text_fields: Sequence[str]
) -> Iterator[_Unit]:
    """Yield every chunk of every record that is not blank."""
    for record in records:
        if record.is_blank:
            continue
        how = chunking_of(record, chunks.chunking)
        is_whole = how == "none" and chunks.on_long != "split" and not chunks.context_title
        if is_whole or (how == "none" and record.vector is not None):
            yield _Unit(record, _whole(record), record.text)
            continue
        for cut in record_cuts(record, how, chunks, documents, text_fields):
            yield _Unit(record, cut.chunk, cut.encoded)


def _one_text(unit: _Unit) -> str | None:
    """Return what units that are to be encoded together have in common."""
    return unit.encoded.text if isinstance(unit.encoded, TextPart) else None


def _whole(record: Record) -> Chunk:
    """Return the chunk that is all of a record."""
    return Chunk(
        record.text,
        1,
        0,
        len(record.text),
        0,
        len(record.text.encode("utf-8", "surrogatepass")),
        record.line,
        record.end_line,
    )
