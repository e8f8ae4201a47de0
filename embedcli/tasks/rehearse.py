"""What a build would do, and how long it would take, without doing it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from embedcli.index.file import open_for_rehearsal
from embedcli.index.writer import IndexWriter
from embedcli.tasks.build import Build, connection_roots
from embedcli.tasks.chunks import identity_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from embedcli.datatypes import Counts, Encodable, OnProblem, Record, Vector, Vectors
    from embedcli.index.writer import NewChunk
    from embedcli.tasks.build_settings import BuildReport, BuildSettings
    from embedcli.tasks.sparse_vectors import SparseVectorizer
    from embedcli.tasks.vectorize import Vectorizer, VectorSettings

_SAMPLE_TEXTS = 64
"""Texts that are really encoded, to learn how fast this machine is."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a build would do.

    Attributes:
        records: Records read: those in files that changed.
        chunks: New chunks, encoded or not.
        encoded: Chunks that would be encoded.
        tokens: Tokens in these.
        seconds: How long encoding them would take, from a sample of them.
        report: Files and chunks, as a build tells them.
    """

    records: int
    chunks: int
    encoded: int
    tokens: int
    seconds: float
    report: BuildReport

    @property
    def cached_ratio(self) -> float:
        """The share of new chunks whose vectors are there already, 0 to 1; 1 if there are none."""
        return 1 - self.encoded / self.chunks if self.chunks else 1.0


def rehearse_build(
    index: Path,
    settings: BuildSettings,
    vectorizer: Vectorizer,
    counts: Counts,
    on_problem: OnProblem,
    *,
    stdin: BinaryIO | None = None,
    sparse: SparseVectorizer | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Estimate:
    """Return what `build_index` would do; the index is not changed by a byte, and not made.

    All that changed is read, chunked and tokenized, and the first `_SAMPLE_TEXTS` new texts are encoded.

    Raises:
        MissingPathError: A root does not exist.
        IndexMismatchError: The index holds vectors of another model or of other settings.
        ShrinkError: The build would stop there.
    """
    identity = identity_of(vectorizer, settings.dtype, keep_text=settings.keep_text, sparse=sparse)
    tally = _Tally(counts)
    with open_for_rehearsal(index, identity) as connection:
        writer = _RehearsalWriter(index, connection, identity, may_shrink=settings.may_shrink)
        build = Build(
            *(index, replace(settings, max_seconds=None), vectorizer, writer, counts, on_problem, stdin),
            encode_with=_TokenCounter(vectorizer, tally, sparse),
        )
        build.run(connection_roots(connection), on_progress)
    rate = tally.sample_seconds / tally.sample_tokens if tally.sample_tokens else 0.0
    return Estimate(
        records=counts.read,
        chunks=counts.encoded + counts.cached,
        encoded=counts.encoded,
        tokens=tally.tokens,
        seconds=rate * tally.tokens,
        report=build.report,
    )


class _RehearsalWriter(IndexWriter):
    """Remembers sources and deletions as far as a build asks for them again, and nothing else."""

    def commit(self) -> None:
        """Keep nothing."""

    def add_record(
        self,
        number: int,
        source: int,
        record: Record,
        fields: str,
        text_hash: bytes,
        *,
        complete: bool = True,
    ) -> None:
        """Keep nothing."""

    def add_chunks(self, chunks: Sequence[NewChunk], _vectors: Vectors, _hidden: set[int]) -> None:
        """Keep nothing but how many there are, for the shrink guard."""
        self._net_dropped -= len(chunks)

    def complete_record(self, record: int) -> None:
        """Keep nothing."""


class _Tally:
    """What was counted so far, by all counters of one rehearsal."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.tokens = self.sample_texts = self.sample_tokens = 0
        self.sample_seconds = 0.0


class _TokenCounter:
    """Counts the tokens of texts instead of encoding them; see `build_queue.TextVectors`."""

    def __init__(self, vectorizer: Vectorizer, tally: _Tally, sparse: SparseVectorizer | None) -> None:
        self._vectorizer, self._tally, self._sparse = vectorizer, tally, sparse

    @property
    def settings(self) -> VectorSettings:
        return self._vectorizer.settings

    def with_settings(self, settings: VectorSettings) -> _TokenCounter:
        return _TokenCounter(self._vectorizer.with_settings(settings), self._tally, self._sparse)

    def carried_vector(self, record: Record, vector: Vector) -> Vector:
        return self._vectorizer.carried_vector(record, vector)

    def text_vectors(self, texts: Sequence[Encodable]) -> Vectors:
        """Return zeros; encode the first texts of the run for the clock. Parts of one text count once."""
        import numpy as np

        vectors = np.zeros((len(texts), self._vectorizer.dim), dtype=np.float32)
        self._tally.counts.encoded += len(texts)
        self._count(list(dict.fromkeys(text if isinstance(text, str) else text.text for text in texts)))
        return vectors

    def _count(self, texts: Sequence[str]) -> None:
        tally, encoder = self._tally, self._vectorizer.encoder
        tokens = [len(encoder.token_spans(text)) for text in texts]
        tally.tokens += sum(tokens)
        sample = list(texts[: max(0, _SAMPLE_TEXTS - tally.sample_texts)])
        if sample:
            start = time.perf_counter()
            encoder.encode(sample, on_long="pool")
            if self._sparse is not None:
                self._sparse.text_vectors(sample)
            tally.sample_seconds += time.perf_counter() - start
            tally.sample_texts += len(sample)
            tally.sample_tokens += sum(tokens[: len(sample)])
