"""A query against an index, or straight against records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from embedcli.datatypes import STDIN_NAME, Chunk, Hit, Record
from embedcli.errors import UsageError
from embedcli.index.file import check_identity, open_for_reading
from embedcli.index.reader import IndexReader
from embedcli.tasks.chunks import identity_of, record_chunks
from embedcli.tasks.pipeline import batches, overlapped
from embedcli.tasks.places import is_out_of_place, shown_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from embedcli.datatypes import Chunking, Vector, Vectors
    from embedcli.index.reader import StoredChunk
    from embedcli.tasks.vectorize import Vectorizer


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """What counts as an answer.

    Attributes:
        top_k: Most hits.
        min_score: Lowest cosine of a hit, inclusive; None for no limit.
    """

    top_k: int = 10
    min_score: float | None = None


class _Unit(NamedTuple):
    """What is compared with the query: a chunk and the record it is from."""

    record: Record
    chunk: Chunk


def query_vector(query: str, vectorizer: Vectorizer) -> Vector:
    """Return the query's vector, shape (dim,), float32, encoded in the role of a query.

    Raises:
        UsageError: The query is blank.
    """
    if not query or query.isspace():
        raise UsageError("the query is empty", hint="embedcli search 'what to look for' PATH…")
    vector: Vector = vectorizer.text_vectors([query])[0]
    return vector


def search_index(
    index: Path,
    query: str,
    vectorizer: Vectorizer,
    settings: SearchSettings,
    on_notice: Callable[[str], None] = lambda _notice: None,
) -> list[Hit]:
    """Return the best hits of an index, by cosine, computed from the stored vectors.

    Every vector is compared: exact, O(chunks). Equal scores are ordered by path and place.

    Args:
        index: The index file.
        query: The text to look for.
        vectorizer: For queries, with the model that the index was built with.
        settings: How many hits, and how close.
        on_notice: Told when the index no longer lies in the folder that its paths are relative to.

    Raises:
        IndexMismatchError: The index holds vectors of another model.
        DamagedIndexError: What was read is not what was written.
    """
    from embedcli.vectors.exact import TopK

    with open_for_reading(index) as connection:
        reader = IndexReader(index, connection)
        stored = reader.identity
        wanted = identity_of(vectorizer, stored.dtype, keep_text=stored.keep_text)
        # The query's own prompt may differ on each call; what the documents were given is settled.
        check_identity(index, stored, replace(wanted, document_prompt=stored.document_prompt))
        if any(is_out_of_place(root, index) for root in reader.roots()):
            on_notice(f"{index}: taken out of its folder: paths are relative to where it was")
        top = TopK(query_vector(query, vectorizer), settings.top_k, settings.min_score)
        for first, vectors, dead in reader.blocks():
            top.add(vectors, first, dead)
        candidates = top.result(ties=True)
        chunks = reader.chunks([candidate.row for candidate in candidates])
    scores = {candidate.row: candidate.cosine for candidate in candidates}
    chunks.sort(key=lambda chunk: (-scores[chunk.id], chunk.root, chunk.path, chunk.line, chunk.start))
    return [_stored_hit(index, chunk, scores[chunk.id]) for chunk in chunks[: settings.top_k]]


def _stored_hit(index: Path, chunk: StoredChunk, cosine: float) -> Hit:
    path = None
    if chunk.root != STDIN_NAME.encode():
        path = shown_source(chunk.root, chunk.path, index)
    return Hit(
        score=cosine,
        cosine=cosine,
        id=chunk.record,
        chunk=chunk.ordinal,
        path=path,
        line=chunk.line,
        end_line=chunk.end_line,
        text=chunk.text,
        fields=chunk.fields,
    )


def search_records(
    records: Iterable[Record],
    query: str,
    queries: Vectorizer,
    documents: Vectorizer,
    settings: SearchSettings,
    chunking: Chunking | None = None,
) -> list[Hit]:
    """Return the best hits among records, by cosine. Memory is O(batch + hits).

    Equal scores are ordered by place in the input.

    Args:
        records: What to search; blank ones are passed over.
        query: The text to look for.
        queries: Makes the query's vector.
        documents: Makes the records' vectors; `on_long` `split` gives a long one several.
        settings: How many hits, and how close.
        chunking: How records become chunks; None cuts whole files into paragraphs and nothing else.
    """
    from embedcli.vectors.exact import TopK

    top = TopK(query_vector(query, queries), settings.top_k, settings.min_score)
    units: dict[int, _Unit] = {}
    first = 0

    def vectors_of(batch: list[_Unit]) -> Vectors:
        return documents.record_vectors(
            [
                unit.record if unit.record.vector is not None else replace(unit.record, text=unit.chunk.text)
                for unit in batch
            ]
        )

    all_units = _units(records, documents, chunking)
    for batch, vectors in overlapped(batches(all_units, lambda unit: unit.chunk.text), vectors_of):
        top.add(vectors, first)
        units.update(enumerate(batch, start=first))
        first += len(batch)
        units = {candidate.row: units[candidate.row] for candidate in top.result(ties=True)}
    return [_hit(units[candidate.row], candidate.cosine) for candidate in top.result()]


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
    )


def _units(records: Iterable[Record], documents: Vectorizer, chunking: Chunking | None) -> Iterator[_Unit]:
    """Yield every chunk of every record that is not blank."""
    for record in records:
        if record.is_blank:
            continue
        how = chunking or ("paragraphs" if record.id == record.path else "none")
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
