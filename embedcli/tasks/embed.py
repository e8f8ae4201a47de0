"""Records to vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from embedcli.tasks.chunk_settings import ChunkSettings
from embedcli.tasks.chunks import parts_of, record_cuts
from embedcli.tasks.pipeline import batches, in_turn, overlapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from embedcli.datatypes import Record, Vectors
    from embedcli.tasks.vectorize import Vectorizer


class EmbeddedBatch(NamedTuple):
    """Some records, in input order, and their vectors.

    Attributes:
        records: The records; with `--on-long split`, a long one is replaced by its parts.
        vectors: Shape (len(records), dim), float32; zero rows for blank records.
    """

    records: list[Record]
    vectors: Vectors


def embed(records: Iterable[Record], vectorizer: Vectorizer) -> Iterator[EmbeddedBatch]:
    """Yield the records batch by batch with their vectors. Memory is O(batch).

    Raises:
        TextTooLongError: A text is too long and `on_long` is `error`.
        VectorError: A vector that came with a record does not fit.
    """
    if vectorizer.settings.on_long == "split":
        records = split_long(records, vectorizer)
    staged = in_turn if vectorizer.is_lookup else overlapped
    for batch, vectors in staged(batches(records, lambda record: record.text), vectorizer.record_vectors):
        yield EmbeddedBatch(batch, vectors)


def split_long(records: Iterable[Record], vectorizer: Vectorizer) -> Iterator[Record]:
    """Yield the records, with each one that is longer than the model takes replaced by its parts.

    A part has the id `record-id#n`, and in its fields `chunk` (n), `start` and `end` (characters).
    """
    for record in records:
        if record.vector is not None or record.is_blank:
            yield record
            continue
        cuts = list(record_cuts(record, "none", ChunkSettings("none"), vectorizer))
        if len(cuts) < 2:
            yield record
        else:
            yield from parts_of(record, cuts)
