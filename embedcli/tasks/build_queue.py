"""What a build has read and not yet written.

Chunks are encoded in batches and written in segments, both across files; steps such as "this file is done"
keep their place between them. What is written is always a whole number of records, but for a record so
large that it is written in parts: those stay hidden until the last one is there.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from embedcli.datatypes import TextPart
from embedcli.index.schema import SEGMENT_ROWS
from embedcli.index.writer import NewChunk
from embedcli.records.fingerprint import text_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from embedcli.datatypes import Counts, Encodable, OnLong, Record, Vector, Vectors
    from embedcli.index.writer import IndexWriter
    from embedcli.tasks.chunks import Cut
    from embedcli.tasks.sparse_vectors import SparseVectorizer
    from embedcli.tasks.vectorize import VectorSettings

ENCODE_TEXTS = 128
"""Texts that go to the encoder together; an interrupt loses no more than these. For late chunks a text is the
window that some of them share: the encoder's workers are busy with one as long as with any."""

LARGE_RECORD_CHUNKS = 256
"""A record with more chunks than this is written in parts of this size."""


class _Waiting(NamedTuple):
    """A chunk, what its vector is made of, and the vector that came with its record."""

    item: NewChunk
    encoded: Encodable
    carried: Vector | None


class TextVectors(Protocol):
    """What makes the vectors of a build's chunks; see `Vectorizer`."""

    @property
    def settings(self) -> VectorSettings:
        """What is done to a text."""
        ...

    def with_settings(self, settings: VectorSettings) -> TextVectors:
        """Return the same with other settings."""
        ...

    def carried_vector(self, record: Record, vector: Vector) -> Vector:
        """Return the vector that came with a record, finished like all others."""
        ...

    def text_vectors(self, texts: Sequence[Encodable]) -> Vectors:
        """Return vectors, shape (n, dim)."""
        ...


class OutOfTimeError(Exception):
    """The time that the build was given is over; what is encoded can be written."""


COMMIT_SECONDS = 10.0
"""A killed build loses no more than what it did since its last commit."""


class BuildQueue:
    """Chunks and steps on their way into an index."""

    def __init__(
        self,
        writer: IndexWriter,
        vectorizer: TextVectors,
        counts: Counts,
        max_seconds: float | None = None,
        sparse: SparseVectorizer | None = None,
    ) -> None:
        """Start with nothing queued.

        Args:
            writer: Of the index.
            vectorizer: Makes the chunks' vectors.
            counts: Added to.
            max_seconds: Stop encoding so long from now; None for no limit.
            sparse: Makes their sparse vectors; None in an index without.
        """
        self._sparse = sparse
        self._writer, self._vectorizer, self._counts = writer, vectorizer, counts
        self._deadline = None if max_seconds is None else time.monotonic() + max_seconds
        self._waiting: list[_Waiting] = []
        self._waiting_texts = 0
        self._waiting_steps: list[Callable[[], None]] = []
        self._ready: list[tuple[NewChunk, Vector]] = []
        self._ready_steps: list[Callable[[], None]] = []
        self._last_commit = time.monotonic()
        self._is_writing = False

    def add_record(
        self,
        source: int,
        record: Record,
        fields: str,
        record_hash: bytes,
        cuts: Iterator[Cut],
        on_long: OnLong,
    ) -> None:
        """Queue a record with its chunks; encode and write when enough has gathered.

        Args:
            source: The source's id.
            record: Under the id that the index keeps.
            fields: Its own fields as JSON.
            record_hash: What tells whether it changed.
            cuts: Its chunks; a vector that came with the record goes to each of them.
            on_long: What becomes of a chunk that is too long, which its vector depends on.

        Raises:
            OutOfTimeError: See `check_time`.
        """
        number = self._writer.reserve_record()
        carried = record.vector
        vector = None if carried is None else self._vectorizer.carried_vector(record, carried)
        part: list[_Waiting] = []
        in_parts = False
        for chunk, encoded, _ in cuts:
            # Chunks that are encoded together stay together.
            if len(part) >= LARGE_RECORD_CHUNKS and not _share_text(part[-1].encoded, encoded):
                if not in_parts:
                    self.write()
                    self._writer.add_record(number, source, record, fields, record_hash, complete=False)
                    in_parts = True
                self._add_waiting(part)
                self.write(hidden={number})
                part = []
            item = NewChunk(number, chunk, _chunk_hash(encoded, on_long, vector))
            part.append(_Waiting(item, encoded, vector))
        self._add_waiting(part)

        if in_parts:
            self.write(hidden={number})
            self._waiting_steps.append(lambda: self._writer.complete_record(number))
        else:
            self._waiting_steps.append(
                lambda: self._writer.add_record(number, source, record, fields, record_hash)
            )
        if self._waiting_texts >= ENCODE_TEXTS:
            self._encode()
            self.check_time()
        if len(self._ready) >= SEGMENT_ROWS or time.monotonic() - self._last_commit > COMMIT_SECONDS:
            self._write_ready(set())

    def _add_waiting(self, part: Sequence[_Waiting]) -> None:
        """Queue chunks, and count the texts that they are encoded in."""
        for each in part:
            before = self._waiting[-1].encoded if self._waiting else None
            self._waiting_texts += before is None or not _share_text(before, each.encoded)
            self._waiting.append(each)

    def use_on_long(self, on_long: OnLong) -> None:
        """Encode what follows with what its root says of long texts; what waits is encoded first."""
        settings = self._vectorizer.settings
        if on_long != settings.on_long:
            self._encode()
            self._vectorizer = self._vectorizer.with_settings(replace(settings, on_long=on_long))

    def check_time(self) -> None:
        """Stop a build whose time is over, at the edge of a batch.

        Raises:
            OutOfTimeError: It is.
        """
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise OutOfTimeError

    def add_step(self, step: Callable[[], None]) -> None:
        """Queue something to be done once everything queued before it is written."""
        self._waiting_steps.append(step)

    def write(self, hidden: Iterable[int] = ()) -> None:
        """Encode and write all that is queued, do the steps, and commit."""
        self._encode()
        self._write_ready(set(hidden))

    def write_ready(self) -> None:
        """Write what is encoded already and drop the rest: what an interrupted run does.

        A run that was interrupted in the middle of writing has half a transaction: that is left to be rolled
        back, and the next run does it again.
        """
        if self._is_writing:
            return
        self._waiting, self._waiting_steps, self._waiting_texts = [], [], 0
        self._write_ready(set())

    def _encode(self) -> None:
        """Give each waiting chunk its vector: its own, one that the index holds, or a new one."""
        hashes = [each.item.text_hash for each in self._waiting if each.carried is None]
        known = self._writer.known_vectors(list(dict.fromkeys(hashes)))
        for batch in _batches(self._waiting):
            missing = {
                each.item.text_hash: each.encoded
                for each in batch
                if each.carried is None and each.item.text_hash not in known
            }
            vectors = self._vectorizer.text_vectors(list(missing.values()))
            known.update(zip(missing, vectors, strict=True))
            self._counts.cached += len(batch) - len(missing)
        ready = self._ready + [
            (item, each.carried if each.carried is not None else known[each.item.text_hash])
            for item, each in zip(self._with_sparse(), self._waiting, strict=True)
        ]
        steps = self._ready_steps + self._waiting_steps
        # All at once: an interrupt in between must not part a record's chunks from its step.
        self._ready, self._ready_steps, self._waiting, self._waiting_steps = ready, steps, [], []
        self._waiting_texts = 0

    def _with_sparse(self) -> list[NewChunk]:
        """Return the waiting chunks, each with its sparse vector: one that the index holds, or a new one."""
        items = [each.item for each in self._waiting]
        if self._sparse is None:
            return items
        known = self._writer.known_sparse(list(dict.fromkeys(item.text_hash for item in items)))
        missing = {item.text_hash: item.chunk.text for item in items if item.text_hash not in known}
        hashes = list(missing)
        for start in range(0, len(hashes), ENCODE_TEXTS):
            part = hashes[start : start + ENCODE_TEXTS]
            texts = [missing[key] for key in part]
            vectors = self._sparse.text_vectors(texts, self._vectorizer.settings.on_long)
            known.update(zip(part, vectors, strict=True))
        return [replace(item, sparse=known[item.text_hash]) for item in items]

    def _write_ready(self, hidden: set[int]) -> None:
        import numpy as np

        self._is_writing = True
        for start in range(0, len(self._ready), SEGMENT_ROWS):
            part = self._ready[start : start + SEGMENT_ROWS]
            self._writer.add_chunks(
                [item for item, _ in part], np.stack([vector for _, vector in part]), hidden
            )
            self._counts.written += len(part)
        steps, self._ready, self._ready_steps = self._ready_steps, [], []
        for step in steps:
            step()
        self._writer.commit()
        self._is_writing = False
        self._last_commit = time.monotonic()


def _batches(waiting: Sequence[_Waiting]) -> Iterator[Sequence[_Waiting]]:
    """Yield chunks in runs of `ENCODE_TEXTS` texts."""
    start = texts = 0
    for at, each in enumerate(waiting):
        if at > start and _share_text(waiting[at - 1].encoded, each.encoded):
            continue
        if texts == ENCODE_TEXTS:
            yield waiting[start:at]
            start, texts = at, 0
        texts += 1
    if start < len(waiting):
        yield waiting[start:]


def _share_text(one: Encodable, other: Encodable) -> bool:
    """Whether two are parts of one text, which the encoder then reads once."""
    return isinstance(one, TextPart) and isinstance(other, TextPart) and one.text is other.text


def _chunk_hash(encoded: Encodable, on_long: OnLong, vector: Vector | None) -> bytes:
    """Return the hash of what a chunk's vector depends on, beside the identity of the index."""
    if isinstance(encoded, TextPart):
        return text_hash(f"late\0{encoded.start}\0{encoded.end}\0{encoded.text}")
    if vector is not None:
        return text_hash(encoded + vector.tobytes().hex())
    return text_hash(encoded + "\0truncate" if on_long in ("truncate", "error") else encoded)
