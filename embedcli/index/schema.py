"""The tables of an index file. `docs/index-format.md` is generated from what stands here.

An index is one SQLite file. Every row of every table has a `row_hash` over its other columns (see
`checksum.py`), which is checked before the row is used; long blobs are hashed on their own, and the row's
hash covers theirs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

FORMAT_VERSION = 1
SPARSE_FORMAT_VERSION = 2
"""Of a file that holds sparse vectors as well: all of version 1, and `SPARSE_TABLES`."""
APPLICATION_ID = 0x656D6264
"""The bytes "embd" in the place that SQLite keeps for telling whose file it is."""

SEGMENT_ROWS = 4096
"""Most vectors in a segment: one block is read, verified and multiplied at a time."""

PAGE_BYTES = 8192
"""Size of SQLite's pages. The sign bits of a million vectors are read in 63 ms CPU, with 4096 in 71; with
16384 in 48, but then an index of three notes takes a quarter of a megabyte."""

_AUTO_VACUUM = "INCREMENTAL"
"""Keeps the map of pages that lets SQLite jump to the middle of a long blob instead of reading up to there:
single vectors out of 211 segments in 13 ms instead of 110."""

LEXICAL_TABLE = "lexical"
LEXICAL_TOKENIZER = "porter unicode61"
"""How texts become words: letters and digits without case and marks, English endings taken off."""

_NoneType = type(None)
_PYTHON_TYPES = {"INTEGER": int, "TEXT": str, "BLOB": bytes}


class Column(NamedTuple):
    """A column: name, SQL type and constraints, and what it holds."""

    name: str
    type: str
    holds: str

    @property
    def python_types(self) -> tuple[Any, ...]:
        """What a value of the column is in Python."""
        kind, _, constraints = self.type.partition(" ")
        return (_PYTHON_TYPES[kind],) if constraints else (_PYTHON_TYPES[kind], _NoneType)


class Table(NamedTuple):
    """A table: name, what one row is, columns, the SQL of its indexes, and its key where that is several."""

    name: str
    row: str
    columns: tuple[Column, ...]
    indexes: tuple[str, ...] = ()
    options: str = ""
    key: str = ""

    def sql(self) -> tuple[str, ...]:
        """Return the statements that create the table and its indexes."""
        parts = [f"{column.name} {column.type}" for column in self.columns]
        columns = ", ".join([*parts, *([f"PRIMARY KEY ({self.key})"] if self.key else [])])
        return (f"CREATE TABLE {self.name} ({columns}) {self.options}".strip(), *self.indexes)


_ROW_HASH = Column("row_hash", "INTEGER NOT NULL", "xxh3-64 over the other columns")

TABLES = (
    Table(
        "meta",
        "one fact about the whole index",
        (
            Column(
                "key",
                "TEXT PRIMARY KEY",
                "`identity`, `commit`, `vectors_commit`, `counts`, `query_defaults`; in version 2 `sparse`",
            ),
            Column("value", "TEXT NOT NULL", "JSON"),
            _ROW_HASH,
        ),
        options="WITHOUT ROWID",
    ),
    Table(
        "root",
        "one path given to `index build`",
        (
            Column("id", "INTEGER PRIMARY KEY", "0 is standard input"),
            Column(
                "path", "BLOB NOT NULL UNIQUE", "relative to the index's folder if it lies in the same tree"
            ),
            Column(
                "settings", "TEXT NOT NULL", "JSON: how its files are read and chunked, as far as was said"
            ),
            _ROW_HASH,
        ),
    ),
    Table(
        "source",
        "one file",
        (
            Column("id", "INTEGER PRIMARY KEY", ""),
            Column("root", "INTEGER NOT NULL REFERENCES root", "the root it was found under"),
            Column("path", "BLOB NOT NULL", "relative to the root; empty for a root that is a file"),
            Column(
                "size", "INTEGER", "bytes; with the next three, tells an unchanged file without reading it"
            ),
            Column("mtime_ns", "INTEGER", "time of last change, nanoseconds since 1970"),
            Column("ctime_ns", "INTEGER", "time of last status change, likewise"),
            Column("inode", "INTEGER", ""),
            Column("seen_ns", "INTEGER", "when it was looked at, nanoseconds since 1970"),
            Column("content_hash", "BLOB", "blake2b-128 of the bytes"),
            Column("state", "TEXT NOT NULL", "`indexed`, `partial` or `skipped`"),
            Column("reason", "TEXT", "why it was skipped"),
            Column("settings", "TEXT NOT NULL", "JSON: how it was read and chunked"),
            _ROW_HASH,
        ),
        ("CREATE UNIQUE INDEX source_path ON source (root, path)",),
    ),
    Table(
        "record",
        "one record",
        (
            Column("id", "INTEGER PRIMARY KEY", ""),
            Column("source", "INTEGER NOT NULL REFERENCES source", ""),
            Column("name", "TEXT NOT NULL", "the record's own id"),
            Column("line", "INTEGER NOT NULL", "first line in the source, from 1"),
            Column("end_line", "INTEGER NOT NULL", "last line"),
            Column("fields", "TEXT NOT NULL", "JSON object: its other fields"),
            Column(
                "text_hash", "BLOB NOT NULL", "blake2b-128 of its text, or of the vector that came with it"
            ),
            Column("complete", "INTEGER NOT NULL", "0 while its chunks are still being written"),
            _ROW_HASH,
        ),
        ("CREATE INDEX record_name ON record (source, name)",),
    ),
    Table(
        "chunk",
        "one vector",
        (
            Column("id", "INTEGER PRIMARY KEY", "also the vector's place: `segment.first` + row"),
            Column("record", "INTEGER NOT NULL REFERENCES record", ""),
            Column("ordinal", "INTEGER NOT NULL", "number within the record, from 1"),
            Column("start_char", "INTEGER NOT NULL", "span in the record's text, characters"),
            Column("end_char", "INTEGER NOT NULL", ""),
            Column("start_byte", "INTEGER NOT NULL", "the same in bytes of UTF-8"),
            Column("end_byte", "INTEGER NOT NULL", ""),
            Column("line", "INTEGER NOT NULL", "first line in the source, from 1"),
            Column("end_line", "INTEGER NOT NULL", "last line"),
            Column("text", "TEXT", "null in an index built with `--no-text`"),
            Column("text_hash", "BLOB NOT NULL", "blake2b-128 of what was encoded"),
            _ROW_HASH,
        ),
        (
            "CREATE INDEX chunk_record ON chunk (record)",
            "CREATE INDEX chunk_text ON chunk (text_hash)",
        ),
    ),
    Table(
        "segment",
        f"up to {SEGMENT_ROWS} vectors, written once",
        (
            Column("id", "INTEGER PRIMARY KEY", ""),
            Column("first", "INTEGER NOT NULL UNIQUE", "`chunk.id` of its first vector"),
            Column("count", "INTEGER NOT NULL", "vectors"),
            Column("dtype", "TEXT NOT NULL", "`float32`, `float16`, `int8` or `binary`, little-endian"),
            Column("signs_hash", "INTEGER NOT NULL", "xxh3-64 of `signs`, checked by each scan of them"),
            Column("vectors_hash", "INTEGER NOT NULL", "xxh3-64 of `vectors`, checked by scans"),
            Column("hashes_hash", "INTEGER NOT NULL", "xxh3-64 of `row_hashes`"),
            Column("row_hash", "INTEGER NOT NULL", "xxh3-64 over the columns before"),
            Column(
                "signs",
                "BLOB NOT NULL",
                "one bit a number, 1 above zero, lowest bit first, in 64-bit words: all first words, then all"
                " second ones, …",
            ),
            Column(
                "row_hashes",
                "BLOB NOT NULL",
                "xxh3-64 of each vector, checked when one is read alone; empty for `binary`",
            ),
            Column(
                "vectors",
                "BLOB NOT NULL",
                "count x dim numbers, unit length (`int8`: the same direction); empty for `binary`",
            ),
        ),
    ),
    Table(
        "tombstone",
        "the deleted vectors of a segment",
        (
            Column("segment", "INTEGER PRIMARY KEY REFERENCES segment", ""),
            Column("dead", "BLOB NOT NULL", "one bit a vector, highest bit first; 1 is deleted"),
            _ROW_HASH,
        ),
    ),
)

SPARSE_TABLES = (
    Table(
        "sparse",
        "the terms of the sparse vectors of a segment",
        (
            Column("segment", "INTEGER PRIMARY KEY REFERENCES segment", ""),
            Column(
                "terms",
                "BLOB NOT NULL",
                "one bit for each word of the vocabulary, highest bit first; 1 where there is a posting",
            ),
            _ROW_HASH,
        ),
    ),
    Table(
        "posting",
        "what one term weighs in the vectors of a segment",
        (
            Column("segment", "INTEGER NOT NULL REFERENCES segment", ""),
            Column("term", "INTEGER NOT NULL", "the word's number in the vocabulary"),
            Column(
                "rows", "BLOB NOT NULL", "uint16, little-endian, ascending: the vectors that hold it, from 0"
            ),
            Column("weights", "BLOB NOT NULL", "float16, little-endian, above 0: what it weighs in each"),
            _ROW_HASH,
        ),
        options="WITHOUT ROWID",
        key="segment, term",
    ),
)
"""What a file of version 2 has as well. `sparse` tells a posting that is gone from one that never was."""

LEXICAL_SQL = (
    f"CREATE VIRTUAL TABLE {LEXICAL_TABLE} USING fts5"
    f"(text, content='chunk', content_rowid='id', tokenize='{LEXICAL_TOKENIZER}')"
)
"""The full-text table over `chunk.text`: it holds words and places, and no text of its own."""

REBUILD_LEXICAL_SQL = f"INSERT INTO {LEXICAL_TABLE} ({LEXICAL_TABLE}) VALUES ('rebuild')"  # noqa: S608  (our own name)
"""Fills the full-text table anew from the texts."""


def create_statements(*, sparse: bool) -> tuple[str, ...]:
    """Return the SQL that makes an empty index, application id and format version included.

    Args:
        sparse: Whether it is to hold sparse vectors.
    """
    tables = (*TABLES, *SPARSE_TABLES) if sparse else TABLES
    return (
        f"PRAGMA application_id = {APPLICATION_ID}",
        f"PRAGMA user_version = {SPARSE_FORMAT_VERSION if sparse else FORMAT_VERSION}",
        *(statement for table in tables for statement in table.sql()),
        LEXICAL_SQL,
    )


def layout_pragmas() -> tuple[str, ...]:
    """Return what must be said before anything is written to a new file."""
    return (f"PRAGMA page_size = {PAGE_BYTES}", f"PRAGMA auto_vacuum = {_AUTO_VACUUM}")
