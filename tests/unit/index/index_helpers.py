"""Indexes in tests: made of texts, read back whole, changed behind the program's back."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from embedcli.datatypes import Chunk, Record, SparseVector
from embedcli.index.file import open_for_reading, open_for_writing
from embedcli.index.meta import Identity, SparseIdentity
from embedcli.index.reader import IndexReader
from embedcli.index.writer import IndexWriter, NewChunk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

DIM = 8
TERMS = 20
DTYPES = ("float32", "float16", "int8", "binary")
STDIN = b"-"

Content = dict[tuple[bytes, bytes, str, int], tuple[str | None, bytes]]


def identity(
    dtype: str = "float16", dim: int = DIM, *, keep_text: bool = True, sparse: bool = False
) -> Identity:
    own = SparseIdentity("tiny-sparse", "fp32", "e" * 32, "", "", TERMS) if sparse else None
    return Identity("tiny", "int8", "f" * 32, "mean", "", "", 16, dim, dtype, keep_text, sparse=own)


def unit_rows(count: int, dim: int = DIM, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def vector_of(text: str, dim: int = DIM) -> np.ndarray:
    """Return the vector that a text always has, shape (dim,)."""
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    return unit_rows(1, dim, seed)[0]


def sparse_of(text: str) -> SparseVector:
    """Return the sparse vector that a text always has; one in eight has no terms."""
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    rng = np.random.default_rng(seed)
    terms = np.flatnonzero(rng.random(TERMS) < rng.integers(0, 8) / 10).astype(np.int32)
    return SparseVector(terms, rng.uniform(1e-3, 4, len(terms)).astype(np.float32))


def chunk(text: str, ordinal: int = 1) -> Chunk:
    return Chunk(text, ordinal, 0, len(text), 0, len(text.encode()), ordinal, ordinal)


@contextlib.contextmanager
def writing(path: Path, own: Identity) -> Iterator[IndexWriter]:
    """Open an index for writing; what was done is committed at the end."""
    with open_for_writing(path, own) as connection:
        writer = IndexWriter(path, connection, own, may_shrink=True)
        yield writer
        writer.commit()


def put(
    writer: IndexWriter,
    file: bytes,
    records: Mapping[str, Sequence[str]],
    rows: np.ndarray | None = None,
    *,
    root: bytes = b"../notes",
    complete: bool = True,
    fields: str = "{}",
    dim: int = DIM,
) -> int:
    """Write records, each with the texts of its chunks, as one segment; return the source's id."""
    number = 0 if root == STDIN else writer.put_root(root, "{}")
    source = writer.put_source(
        number, file, stat=None, content_hash=b"h", state="indexed", settings='{"chunking": "lines"}'
    )
    chunks, hidden = [], set()
    for name, texts in records.items():
        record = writer.reserve_record()
        writer.add_record(record, source, Record(name, ""), fields, b"t", complete=complete)
        if not complete:
            hidden.add(record)
        for ordinal, text in enumerate(texts, start=1):
            own = sparse_of(text) if writer._identity.sparse is not None else None
            chunks.append(
                NewChunk(record, chunk(text, ordinal), hashlib.blake2b(text.encode()).digest()[:16], own)
            )
    if rows is None:
        rows = np.array([vector_of(item.chunk.text, dim) for item in chunks]).reshape(-1, dim)
    writer.add_chunks(chunks, rows, hidden)
    return source


@st.composite
def histories(draw):
    """Records that come and go; each step adds some to a source, or drops some of all."""
    steps = []
    for number in range(draw(st.integers(0, 6))):
        if number and draw(st.booleans()):
            steps.append(("drop", draw(st.lists(st.integers(1, 40), max_size=12))))
        else:
            sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=8))
            steps.append(("put", sizes, draw(st.booleans()), draw(st.sampled_from([True, True, False]))))
    return steps


def play(path: Path, own: Identity, steps: Sequence[Any]) -> None:
    """Let an index live through a history, one commit a step."""
    with writing(path, own) as writer:
        for number, (kind, what, *more) in enumerate(steps):
            if kind == "drop":
                writer.drop_records(what)
            else:
                from_stdin, complete = more
                records = {
                    f"{number}.{place}": [f"text {place % 3} of {part}" for part in range(size)]
                    for place, size in enumerate(what)
                }
                root = STDIN if from_stdin else b"../notes"
                put(writer, b"%d.txt" % number, records, root=root, complete=complete)
            writer.commit()


def rows_alive(reader: IndexReader) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of all live vectors, shape (n,), and the vectors, shape (n, dim)."""
    places, vectors = [np.empty(0, np.int64)], [np.empty((0, reader.identity.dim), np.float32)]
    for first, block, dead in reader.blocks():
        alive = np.arange(len(block)) if dead is None else np.flatnonzero(~dead)
        places.append(alive + first)
        vectors.append(np.asarray(block[alive], np.float32))
    return np.concatenate(places), np.concatenate(vectors)


def content(path: Path) -> Content:
    """Return text and vector of every chunk that can be found, by root, file, record and number."""
    found: Content = {}
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        places, vectors = rows_alive(reader)
        for stored, vector in zip(reader.chunks(places.tolist()), vectors, strict=True):
            key = (stored.root, stored.path, stored.record, stored.ordinal)
            assert key not in found, key
            found[key] = (stored.text, vector.tobytes())
    return found


@contextlib.contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """Open an index file as any program could, in autocommit mode, without waiting for the disk."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection


def query(path: Path, sql: str, *parameters: Any) -> list[Any]:
    """Run one statement behind the program's back and return what it gives."""
    with raw(path) as connection:
        return connection.execute(sql, parameters).fetchall()


def check_lexical(path: Path) -> None:
    """Let FTS5 compare its table with the texts; it raises where they differ."""
    query(path, "INSERT INTO lexical(lexical, rank) VALUES('integrity-check', 1)")
