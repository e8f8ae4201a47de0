"""How records are cut for a model, and what an index of that model's vectors is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from embedcli.errors import UsageError
from embedcli.records.chunk import chunk_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from embedcli.datatypes import Chunk, Chunking, OnLong, Record, TokenSpan
    from embedcli.index.meta import Identity, SparseIdentity
    from embedcli.tasks.sparse_vectors import SparseVectorizer
    from embedcli.tasks.vectorize import Vectorizer

OVERLAP_TOKENS = 32
"""Tokens that neighbouring windows of a long chunk share, so that a sentence on the cut is whole in one."""

OVERLAP_RATIO = 0.25
"""At most this share of a window, for models that take few tokens."""


class KnowsTokens(Protocol):
    """An encoder, as far as it tells the tokens of a text."""

    def token_spans(self, text: str) -> list[TokenSpan]:
        """Return where the tokens stand in the text, special tokens left out."""
        ...


class KnowsRoom(Protocol):
    """What knows how much text goes into one vector; see `Vectorizer`."""

    @property
    def encoder(self) -> KnowsTokens:
        """What it encodes with."""
        ...

    @property
    def room_tokens(self) -> int:
        """How many tokens of text fit."""
        ...


def record_chunks(
    record: Record, chunking: Chunking, on_long: OnLong, vectorizer: KnowsRoom
) -> Iterator[Chunk]:
    """Yield a record's chunks; with `on_long` `split`, none is longer than the model takes.

    A record that brought its vector along is not split: the vector stands for all of it.
    """
    splits = on_long == "split" and record.vector is None
    encoder = vectorizer.encoder if splits else None
    return chunk_text(
        record.text,
        chunking if record.vector is None else "none",
        line=record.line,
        token_spans=encoder.token_spans if encoder else None,
        max_tokens=vectorizer.room_tokens if encoder else None,
        overlap_tokens=min(OVERLAP_TOKENS, int(OVERLAP_RATIO * vectorizer.room_tokens)) if encoder else 0,
    )


def chunks_as_records(
    records: Iterable[Record], chunking: Chunking | None, on_long: OnLong, vectorizer: Vectorizer
) -> Iterator[Record]:
    """Yield the chunks of records, each as a record with its place in the text.

    Its id is `record-id#n`; its fields are the record's own without the text, and `chunk` (n), `start` and
    `end` (characters). Blank records have no chunks.

    Args:
        records: What is cut.
        chunking: How; None for paragraphs in whole files and nothing else, as in an index.
        on_long: `split` for no chunk longer than the model takes.
        vectorizer: Knows what the model takes; it is not asked for a vector.
    """
    for record in records:
        if not record.is_blank:
            how = chunking_of(record, chunking)
            yield from parts_of(record, record_chunks(record, how, on_long, vectorizer))


def parts_of(record: Record, chunks: Iterable[Chunk]) -> Iterator[Record]:
    """Yield chunks of a record as records; see `chunks_as_records`."""
    fields = {key: value for key, value in record.fields.items() if value != record.text}
    for chunk in chunks:
        yield record._replace(
            id=f"{record.id}#{chunk.ordinal}",
            text=chunk.text,
            line=chunk.line,
            end_line=chunk.end_line,
            fields={**fields, "chunk": chunk.ordinal, "start": chunk.start, "end": chunk.end},
        )


def split_long(records: Iterable[Record], vectorizer: KnowsRoom) -> Iterator[Record]:
    """Yield the records, with each one that is longer than the model takes replaced by its parts.

    A part has the id `record-id#n`, and in its fields `chunk` (n), `start` and `end` (characters).
    """
    for record in records:
        if record.vector is not None or record.is_blank:
            yield record
            continue
        chunks = list(record_chunks(record, "none", "split", vectorizer))
        if len(chunks) < 2:
            yield record
        else:
            yield from parts_of(record, chunks)


def chunking_of(record: Record, chunking: Chunking | None) -> Chunking:
    """Return how a record is cut: as said, else paragraphs in a whole file, and nothing else."""
    return chunking or ("paragraphs" if is_whole_file(record) else "none")


def is_whole_file(record: Record) -> bool:
    """Whether a record is a text file as a whole."""
    return record.id == record.path


def identity_of(
    vectorizer: Vectorizer, dtype: str, *, keep_text: bool, sparse: SparseVectorizer | None = None
) -> Identity:
    """Return the identity of an index that holds the vectors of these vectorizers.

    Raises:
        UsageError: It is to keep no texts, and sparse vectors, which are words of them.
    """
    from embedcli.index.meta import Identity

    if sparse is not None and not keep_text:
        raise UsageError("--no-text keeps no words of the texts, and sparse vectors are some of them")
    manifest = vectorizer.model.manifest
    return Identity(
        model=manifest.name,
        variant=vectorizer.variant,
        fingerprint=vectorizer.fingerprint,
        pooling=vectorizer.pooling,
        query_prompt=manifest.prompts.get("query", ""),
        document_prompt=vectorizer.prompt,
        max_tokens=manifest.max_tokens,
        dim=vectorizer.dim,
        dtype=dtype,
        keep_text=keep_text,
        sparse=None if sparse is None else sparse_identity_of(sparse),
    )


def sparse_identity_of(vectorizer: SparseVectorizer) -> SparseIdentity:
    """Return what the sparse vectors of an index that this makes have in common."""
    from embedcli.index.meta import SparseIdentity

    manifest = vectorizer.model.manifest
    return SparseIdentity(
        model=manifest.name,
        variant=vectorizer.variant,
        fingerprint=vectorizer.fingerprint,
        query_prompt=manifest.prompts.get("query", ""),
        document_prompt=vectorizer.prompt,
        terms=manifest.dim,
    )
