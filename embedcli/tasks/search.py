"""Queries straight against records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from embedcli.datatypes import Chunk, Hit, Record
from embedcli.errors import UsageError
from embedcli.tasks.chunks import chunking_of, is_whole_file, record_chunks
from embedcli.tasks.group import GroupedTop, group_of, runs_to_choose_from
from embedcli.tasks.pipeline import batches, in_turn, overlapped

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

    from embedcli.datatypes import By, Chunking, Vectors
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.where import Condition


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """What counts as an answer.

    Attributes:
        top_k: Most hits.
        min_score: Lowest cosine of a hit, inclusive; None for no limit.
        by: What a hit stands for; see `group.group_of`.
        unrelated_ratio: In place of `min_score`: as close as this share of unrelated questions comes, 0 to 1;
            see `tasks.background`.
    """

    top_k: int = 10
    min_score: float | None = None
    by: By | None = None
    unrelated_ratio: float | None = None


class _Unit(NamedTuple):
    """What is compared with the query: a chunk and the record it is from."""

    record: Record
    chunk: Chunk


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
    chunking: Chunking | None = None,
    on_vectors: Callable[[Vectors], None] = lambda _vectors: None,
) -> list[list[Hit]]:
    """Return the best hits among records for each query, by cosine. Memory is O(batch + hits).

    Equal scores are ordered by place in the input.

    Args:
        records: What to search; blank ones are passed over.
        queries: Shape (q, dim), float32; a query of zeros finds nothing.
        documents: Makes the records' vectors; `on_long` `split` gives a long one several.
        settings: How many hits, and how close.
        chunking: How records become chunks; None cuts whole files into paragraphs and nothing else.
        on_vectors: Shown the vectors of all chunks, shape (n, dim), batch by batch.
    """
    from embedcli.vectors.exact import TopK

    tops = [TopK(query, settings.top_k, settings.min_score) for query in queries]
    grouped = [GroupedTop(top, query) for top, query in zip(tops, queries, strict=True)]
    units: dict[int, _Unit] = {}
    first = 0

    def vectors_of(batch: list[_Unit]) -> Vectors:
        return documents.record_vectors(
            [
                unit.record if unit.record.vector is not None else unit.record._replace(text=unit.chunk.text)
                for unit in batch
            ]
        )

    all_units = _units(records, documents, chunking)
    staged = in_turn if documents.is_lookup else overlapped
    for batch, vectors in staged(batches(all_units, lambda unit: unit.chunk.text), vectors_of):
        on_vectors(vectors)
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
    record, chunk = unit
    return group_of(
        by, path=record.path, record=record.id, chunk=chunk.ordinal, whole_file=is_whole_file(record)
    )


def _hit(unit: _Unit, cosine: float) -> Hit:
    record, chunk = unit
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


def _units(records: Iterable[Record], documents: Vectorizer, chunking: Chunking | None) -> Iterator[_Unit]:
    """Yield every chunk of every record that is not blank."""
    for record in records:
        if record.is_blank:
            continue
        how = chunking_of(record, chunking)
        if how == "none" and (record.vector is not None or documents.settings.on_long != "split"):
            yield _Unit(record, _whole(record))
            continue
        for chunk in record_chunks(record, how, documents.settings.on_long, documents):
            yield _Unit(record, chunk)


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
