"""The tables of an index file. `docs/index-format.md` is generated from what stands here.

An index is one SQLite file. Every row of every table but `meta` ends with `row_hash`, a hash over its other
columns (see `checksum.py`), which is checked before the row is used.
"""

from __future__ import annotations

from typing import NamedTuple

FORMAT_VERSION = 1
APPLICATION_ID = 0x656D6264
"""The bytes "embd" in the place that SQLite keeps for telling whose file it is."""

SEGMENT_ROWS = 4096
"""Most vectors in a segment: one block is read, verified and multiplied at a time."""


class Column(NamedTuple):
    """A column: name, SQL type and constraints, and what it holds."""

    name: str
    type: str
    holds: str


class Table(NamedTuple):
    """A table: name, what one row is, columns, and the SQL of its indexes."""

    name: str
    row: str
    columns: tuple[Column, ...]
    indexes: tuple[str, ...] = ()
    options: str = ""

    def sql(self) -> tuple[str, ...]:
        """Return the statements that create the table and its indexes."""
        columns = ", ".join(f"{column.name} {column.type}" for column in self.columns)
        return (f"CREATE TABLE {self.name} ({columns}) {self.options}".strip(), *self.indexes)


_ROW_HASH = Column("row_hash", "INTEGER NOT NULL", "xxh3-64 over the other columns")

TABLES = (
    Table(
        "meta",
        "one fact about the whole index",
        (
            Column("key", "TEXT PRIMARY KEY", "`identity`, `commit`, `created_with`"),
            Column("value", "TEXT NOT NULL", "JSON"),
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
            Column("dtype", "TEXT NOT NULL", "`float16` or `float32`, little-endian"),
            Column("vectors", "BLOB NOT NULL", "count x dim numbers, unit length"),
            Column("vectors_hash", "INTEGER NOT NULL", "xxh3-64 of `vectors`, checked by scans"),
            Column("row_hashes", "BLOB NOT NULL", "xxh3-64 of each vector, checked when one is read alone"),
            _ROW_HASH,
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


def create_statements() -> tuple[str, ...]:
    """Return the SQL that makes an empty index, application id and format version included."""
    return (
        f"PRAGMA application_id = {APPLICATION_ID}",
        f"PRAGMA user_version = {FORMAT_VERSION}",
        *(statement for table in TABLES for statement in table.sql()),
    )
