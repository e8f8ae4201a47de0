"""Queries straight against records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.datatypes import Chunk, Hit, Record, TextPart
from embedcli.errors import UsageError
from embedcli.tasks.answers import Ranked, put_together
from embedcli.tasks.chunk_settings import ChunkSettings, check_chunking
from embedcli.tasks.chunks import chunking_of, is_whole_file, record_cuts
from embedcli.tasks.group import GroupedTop, group_of, runs_to_choose_from
from embedcli.tasks.pipeline import batches, in_turn, overlapped
from embedcli.tasks.select import UnseenFields
from embedcli.tasks.sets import ranked_by_set

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from embedcli.datatypes import By, Encodable, Vector, Vectors
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.vectors.exact import Candidate, TopK
    from embedcli.vectors.set_query import SetCandidate, SetQuery, SetTop
    from embedcli.where import Condition


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """What counts as an answer.

    Attributes:
        top_k: Most hits.
        min_score: Lowest cosine of a hit, inclusive; None for no limit.
        by: What a hit stands for; see `group.group_of`.
        merge: Whether chunks of a text file that touch each other make one hit.
        collapse: Whether a text that an earlier hit shows already is only counted there.
        unrelated_ratio: In place of `min_score`: as close as this share of unrelated questions comes, 0 to 1;
            see `tasks.background`.
        first_chunks: How many chunks are looked for at first, where more than `top_k` are known to be needed;
            changes no hit.
    """

    top_k: int = 10
    min_score: float | None = None
    by: By | None = None
    merge: bool = True
    collapse: bool = True
    unrelated_ratio: float | None = None
    first_chunks: int = 0

    def at_first(self, depth: int) -> SearchSettings:
        """Return what is asked for where something looks at the hits again: more, as single chunks."""
        return replace(self, top_k=depth, merge=False, collapse=False)


_SPARE: Final = 3
"""So many times as many chunks are kept as hits are wanted, for those that are joined or collapsed."""


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


def matching(
    records: Iterable[Record], condition: Condition, on_notice: Callable[[str], None] = lambda _notice: None
) -> Iterator[Record]:
    """Yield the records whose fields meet a condition; `id` and `path` count as fields of their own.

    `on_notice` is told, in the end, of fields that no record has.
    """
    unseen = UnseenFields(condition)
    for record in records:
        unseen.look_at(record.fields)
        if condition.matches({"id": record.id, "path": record.path, **record.fields}):
            yield record
    unseen.tell(on_notice)


def search_records(
    records: Iterable[Record],
    queries: Iterable[Vector | SetQuery],
    documents: Vectorizer,
    settings: SearchSettings,
    chunks: ChunkSettings | None = None,
    text_fields: Sequence[str] = (),
    on_vectors: Callable[[Vectors], None] = lambda _vectors: None,
) -> list[list[Hit]]:
    """Return the best hits among records for each query, by cosine. Memory is O(batch + hits).

    Equal scores are ordered by place in the input.

    Args:
        records: What to search; blank ones are passed over.
        queries: Each of shape (dim,), float32, one of zeros finds nothing; or several vectors as one.
        documents: Makes the records' vectors.
        settings: How many hits, and how close.
        chunks: How records become chunks; None cuts whole files into paragraphs and nothing else, and does
            with long ones what `documents` says.
        text_fields: What was said about the fields of the text.
        on_vectors: Shown the vectors of all chunks, shape (n, dim), batch by batch.
    """
    import numpy as np

    count = _SPARE * settings.top_k if settings.merge or settings.collapse else settings.top_k
    asked = list(queries)
    tops = [_top(query, count, settings.min_score) for query in asked]
    grouped = [GroupedTop(top) for top in tops]
    units: dict[int, _Unit] = {}
    repeats = _Repeats(enabled=settings.collapse)
    first = 0

    def vectors_of(batch: list[_Unit]) -> Vectors:
        return documents.record_vectors([unit.record for unit in batch], [unit.encoded for unit in batch])

    how = chunks or ChunkSettings(on_long=documents.settings.on_long)
    check_chunking(how, documents)
    all_units = _units(records, documents, how, text_fields)
    staged = in_turn if documents.is_lookup else overlapped
    for batch, vectors in staged(batches(all_units, lambda unit: unit.chunk.text, _one_text), vectors_of):
        on_vectors(vectors)
        runs = runs_to_choose_from([_group(unit, settings.by) for unit in batch])
        seen = np.array(repeats.find(batch, first, units))
        for best in grouped:
            best.add(vectors, first, runs, seen)
        units.update(enumerate(batch, start=first))
        first += len(batch)
        kept = {found.row for top in tops for found in top.result(ties=True)}
        kept |= {best.open_row for best in grouped if best.open_row is not None}
        units = {row: units[row] for row in kept}
    for best in grouped:
        best.close()
    return [
        put_together(
            (_hit(units[found.row], _ranked(query, found), repeats) for found in top.result()), settings
        )
        for query, top in zip(asked, tops, strict=True)
    ]


def _top(query: Vector | SetQuery, count: int, min_score: float | None) -> TopK | SetTop:
    from embedcli.vectors.exact import TopK
    from embedcli.vectors.set_query import SetQuery, SetTop

    if isinstance(query, SetQuery):
        return SetTop(query, count, min_score)
    return TopK(query, count, min_score)


def _ranked(query: Vector | SetQuery, found: Candidate | SetCandidate) -> Ranked:
    from embedcli.vectors.exact import Candidate
    from embedcli.vectors.set_query import SetQuery

    if isinstance(found, Candidate):
        return Ranked(found.row, found.cosine, found.cosine, {})
    assert isinstance(query, SetQuery)
    return ranked_by_set(query, found)


class _Repeats:
    """Finds records of one chunk whose text is already among the best: they say nothing new.

    Memory is O(batch + hits): a text that is no hit any more would not become one the next time either.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self.alike: dict[int, int] = {}

    def find(self, batch: Sequence[_Unit], first: int, kept: Mapping[int, _Unit]) -> list[bool]:
        """Return for each unit of a batch whether it repeats one before it, and count it there.

        Args:
            batch: Rows from `first` on.
            first: Number of the first.
            kept: The units that may be hits so far, by row.
        """
        if not self._enabled:
            return [False] * len(batch)
        self.alike = {row: count for row, count in self.alike.items() if row in kept}
        rows = {unit.record.text: row for row, unit in kept.items() if _stands_alone(unit)}
        found = []
        for row, unit in enumerate(batch, start=first):
            alone = _stands_alone(unit)
            earlier = rows.setdefault(unit.record.text, row) if alone else row
            found.append(earlier != row)
            if earlier != row:
                self.alike[earlier] = self.alike.get(earlier, 0) + 1
        return found


def _stands_alone(unit: _Unit) -> bool:
    """Whether a chunk is all of a record whose text decides its vector."""
    record, chunk, encoded = unit
    whole = record.text.strip()
    return (
        record.vector is None
        and chunk.ordinal == 1
        and chunk.text == whole
        and encoded in (whole, record.text)
    )


def _group(unit: _Unit, by: By | None) -> Hashable:
    record, chunk, _ = unit
    return group_of(
        by, path=record.path, record=record.id, chunk=chunk.ordinal, whole_file=is_whole_file(record)
    )


def _hit(unit: _Unit, ranked: Ranked, repeats: _Repeats) -> Hit:
    record, chunk, _ = unit
    return Hit(
        score=ranked.score,
        cosine=ranked.cosine,
        parts=ranked.parts,
        id=record.id,
        chunk=chunk.ordinal,
        path=record.path,
        line=chunk.line,
        end_line=chunk.end_line,
        text=chunk.text,
        fields=record.fields,
        whole_file=is_whole_file(record),
        start=chunk.start,
        end=chunk.end,
        alike=repeats.alike.get(ranked.row, 0),
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
