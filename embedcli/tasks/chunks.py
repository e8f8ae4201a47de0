"""How records are cut for a model, and what an index of that model's vectors is called."""

from __future__ import annotations

from itertools import tee
from typing import TYPE_CHECKING, NamedTuple

from embedcli.datatypes import TextPart
from embedcli.errors import UsageError
from embedcli.records.chunk import chunk_text
from embedcli.tasks.chunk_settings import CONTEXT_OVERLAP_RATIO, ChunkSettings, limits_of, title_tokens
from embedcli.tasks.text_fields import text_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from embedcli.datatypes import Chunk, Chunking, Encodable, Record
    from embedcli.index.meta import Identity, SparseIdentity
    from embedcli.tasks.chunk_settings import KnowsRoom, KnowsTopics
    from embedcli.tasks.sparse_vectors import SparseVectorizer
    from embedcli.tasks.topic_cuts import TopicCuts
    from embedcli.tasks.vectorize import Vectorizer


class Cut(NamedTuple):
    """A chunk, what its vector is made of, and its title, empty where it has none."""

    chunk: Chunk
    encoded: Encodable
    title: str = ""


def record_cuts(
    record: Record,
    chunking: Chunking,
    settings: ChunkSettings,
    vectorizer: KnowsTopics,
    text_fields: Sequence[str] = (),
) -> Iterator[Cut]:
    """Return a record's chunks with what is encoded for each, in order.

    With `on_long` `split`, no chunk is longer than the model takes, title included. A record that brought its
    vector along is not split: the vector stands for all of it.

    Args:
        record: What is cut.
        chunking: How.
        settings: Everything else about it; that they fit the model has been checked.
        vectorizer: Knows what the model takes; asked for vectors of sentences by `semantic` alone.
        text_fields: What the text was made of; no title is taken from there.
    """
    if record.vector is not None:
        return _alone(_chunks(record, "none", settings, None))
    topics = vectorizer.topic_cuts if chunking == "semantic" else None
    if not settings.context_title:
        chunks = _chunks(record, chunking, settings, vectorizer, topics=topics)
        return _late(record, chunks, vectorizer) if chunking == "late" else _alone(chunks)
    spans = vectorizer.encoder.token_spans
    if chunking == "markdown":
        break_tokens = len(spans("\n"))
        chunks = _chunks(record, chunking, settings, vectorizer, title_tokens(vectorizer) + break_tokens)
        return _under_headings(record, chunks, vectorizer)
    title = _shortened(record_title(record, text_fields), vectorizer)
    reserved = len(spans(title + "\n")) if title else 0
    chunks = _chunks(record, chunking, settings, vectorizer, reserved, topics)
    return (_with_title(chunk, title) for chunk in chunks)


def record_title(record: Record, text_fields: Sequence[str]) -> str:
    """Return the text of a record's `title`, in one line; empty where there is none or it is in the text.

    Args:
        record: Its fields are looked at.
        text_fields: What was said about the fields or columns of the text; empty for the default.
    """
    title = record.fields.get("title")
    if not isinstance(title, str) or "title" in text_names(text_fields, tuple(record.fields)):
        return ""
    return " ".join(title.split())


def _chunks(
    record: Record,
    chunking: Chunking,
    settings: ChunkSettings,
    vectorizer: KnowsRoom | None,
    reserved_tokens: int = 0,
    topics: TopicCuts | None = None,
) -> Iterator[Chunk]:
    """Return the chunks of a record; without a vectorizer, none is split; `topics` for `semantic`."""
    encoder = vectorizer.encoder if vectorizer is not None and settings.on_long == "split" else None
    limits = limits_of(settings, chunking, vectorizer, reserved_tokens) if vectorizer and encoder else None
    most = limits.max_tokens if limits else None
    return chunk_text(
        record.text,
        chunking,
        line=record.line,
        token_spans=encoder.token_spans if encoder else None,
        max_tokens=most,
        overlap_tokens=limits.overlap_tokens if limits else 0,
        spans=None if topics is None else topics.spans(record.text, most),
    )


def _alone(chunks: Iterable[Chunk]) -> Iterator[Cut]:
    return (Cut(chunk, chunk.text) for chunk in chunks)


def _late(record: Record, chunks: Iterable[Chunk], vectorizer: KnowsRoom) -> Iterator[Cut]:
    """Yield chunks each with as much of the text around it as the model takes."""
    from embedcli.records.late import iter_contexts

    text, room = record.text, vectorizer.room_tokens
    for_spans, chunks = tee(chunks)
    contexts = iter_contexts(
        text,
        ((chunk.start, chunk.end) for chunk in for_spans),
        token_spans=vectorizer.encoder.token_spans,
        max_tokens=room,
        overlap_tokens=int(CONTEXT_OVERLAP_RATIO * room),
    )
    last, around = (-1, -1), ""
    for chunk, (start, end, first, past) in zip(chunks, contexts, strict=True):
        if (first, past) != last:
            # One string for all chunks of a window: it is encoded once for all of them.
            last, around = (first, past), text[first:past]
        is_all = (start, end) == (first, past)
        yield Cut(chunk, chunk.text if is_all else TextPart(around, start - first, end - first))


def _under_headings(record: Record, chunks: Iterable[Chunk], vectorizer: KnowsRoom) -> Iterator[Cut]:
    """Yield chunks of a Markdown text, each with the headings that it stands under."""
    from embedcli.records.sections import heading_paths

    for_ends, chunks = tee(chunks)
    paths = heading_paths(record.text, (chunk.end for chunk in for_ends))
    last = title = ""
    for chunk, path in zip(chunks, paths, strict=True):
        if path != last:
            last, title = path, _shortened(path, vectorizer)
        yield _with_title(chunk, title)


def _with_title(chunk: Chunk, title: str) -> Cut:
    return Cut(chunk, f"{title}\n{chunk.text}" if title else chunk.text, title)


def _shortened(title: str, vectorizer: KnowsRoom) -> str:
    """Return as much of a title as is encoded."""
    from embedcli.records.windows import PIECE_CHARS

    title, most = title[:PIECE_CHARS], title_tokens(vectorizer)
    # What is left of it may have more tokens than it had in the whole.
    for limit in range(most, -1, -1):
        spans = vectorizer.encoder.token_spans(title)
        if len(spans) <= most:
            return title
        title = title[: spans[limit].start].rstrip()
    return ""


def chunks_as_records(
    records: Iterable[Record],
    settings: ChunkSettings,
    vectorizer: Vectorizer,
    text_fields: Sequence[str] = (),
) -> Iterator[Record]:
    """Yield the chunks of records, each as a record with its place in the text.

    Its id is `record-id#n`; its fields are the record's own without the text, and `chunk` (n), `start` and
    `end` (characters), and `title` where it is encoded with one. Blank records have no chunks.

    Args:
        records: What is cut.
        settings: How; as in an index.
        vectorizer: Knows what the model takes; it is not asked for a vector.
        text_fields: See `record_cuts`.
    """
    for record in records:
        if not record.is_blank:
            how = chunking_of(record, settings.chunking)
            yield from parts_of(record, record_cuts(record, how, settings, vectorizer, text_fields))


def parts_of(record: Record, cuts: Iterable[Cut]) -> Iterator[Record]:
    """Yield chunks of a record as records; see `chunks_as_records`."""
    fields = {key: value for key, value in record.fields.items() if value != record.text}
    for chunk, _, title in cuts:
        own = {"title": title} if title else {}
        yield record._replace(
            id=f"{record.id}#{chunk.ordinal}",
            text=chunk.text,
            line=chunk.line,
            end_line=chunk.end_line,
            fields={**fields, **own, "chunk": chunk.ordinal, "start": chunk.start, "end": chunk.end},
        )


def split_long(records: Iterable[Record], vectorizer: KnowsRoom) -> Iterator[Record]:
    """Yield the records, with each one that is longer than the model takes replaced by its parts.

    A part has the id `record-id#n`, and in its fields `chunk` (n), `start` and `end` (characters).
    """
    for record in records:
        if record.vector is not None or record.is_blank:
            yield record
            continue
        cuts = list(_alone(_chunks(record, "none", ChunkSettings("none"), vectorizer)))
        if len(cuts) < 2:
            yield record
        else:
            yield from parts_of(record, cuts)


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
