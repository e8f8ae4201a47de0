"""Verification finds every kind of damage, and repair leaves what was not damaged as it was."""

from __future__ import annotations

import contextlib
import functools
import json
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from index_helpers import (
    DIM,
    DTYPES,
    STDIN,
    Content,
    check_lexical,
    content,
    histories,
    identity,
    play,
    put,
    query,
    raw,
    unit_rows,
    writing,
)

from embedcli.errors import DamagedIndexError
from embedcli.index.checksum import hash_bytes, row_hash, vector_hashes
from embedcli.index.file import open_for_reading, open_for_writing
from embedcli.index.meta import Identity, write_meta
from embedcli.index.reader import IndexReader
from embedcli.index.repair import Repaired, repair
from embedcli.index.schema import TABLES
from embedcli.index.segments import append_segment
from embedcli.index.verify import Damage, verify

OWN = identity()
COLUMNS = [(table.name, column.name) for table in TABLES for column in table.columns]

A = {"a1", "a2", "a3"}
B = {"b1", "b2"}
C = {"c1"}
S = {"s1", "s2"}
FILES = {b"a.txt": A, b"b.txt": B, b"c.txt": C}


@functools.cache
def sound(own: Identity) -> tuple[bytes, Content]:
    """Return the bytes of an index with some of everything, and its content.

    Chunks: a1 1 2, a2 3, a3 4 5 6, a4 7 (deleted); b1 8, b2 9 10; c1 11; s1 12, s2 13 14; u1 15 16
    (unfinished). Each source is a segment, and so is what is unfinished in b.txt.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.emb"
        with writing(path, own) as writer:
            put(
                writer,
                b"a.txt",
                {"a1": ["cat", "dog"], "a2": ["cow"], "a3": ["hen", "ant", "bee"], "a4": ["elk"]},
            )
            put(writer, b"b.txt", {"b1": ["cat"], "b2": ["fox", "owl"]})
            put(writer, b"c.txt", {"c1": ["cat"]}, root=b"../more", fields='{"year": 1999}')
            put(writer, STDIN, {"s1": ["yak"], "s2": ["gnu", "cat"]}, root=STDIN)
            put(writer, b"b.txt", {"u1": ["half", "way"]}, complete=False)
            writer.drop_records([4])
        return path.read_bytes(), content(path)


def make(path: Path, own: Identity = OWN) -> Content:
    """Write the index with some of everything; return its content."""
    file, found = sound(own)
    path.write_bytes(file)
    return found


def check(path: Path, *, lexical: bool = True) -> Damage:
    with raw(path) as connection:
        return verify(path, connection, check_lexical=lexical)


def mend(path: Path) -> tuple[Damage, Repaired]:
    with raw(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        damage = verify(path, connection, check_lexical=True)
        done = repair(path, connection, damage)
        connection.execute("COMMIT")
    return damage, done


def check_mended(
    path: Path, before: Content, damaged: set[str], nameless: frozenset[str] = frozenset()
) -> Repaired:
    """Repair an index and check what is left of it.

    Args:
        path: The index, damaged.
        before: Its content when it was sound.
        damaged: The records that the damage touches; all others must be there afterwards.
        nameless: Those of them whose names went with the damage.
    """
    damage, done = mend(path)
    assert damage.findings
    assert not damage.is_structural
    assert check(path).findings == []
    after = content(path)
    assert after == {key: before[key] for key in after}
    gone = {name for _, _, name, _ in before.keys() - after.keys()}
    assert gone <= damaged
    sources = {file: columns for file, *columns in query(path, "SELECT path, state, mtime_ns FROM source")}
    for file, records in FILES.items():
        if gone & records:
            assert sources.get(file, ["partial", None]) == ["partial", None], file
    # Of a record that is there only in part the next build must not say that it is unchanged.
    in_part = gone & {name for _, _, name, _ in after}
    assert not in_part & S
    for file, records in FILES.items():
        if in_part & records:
            assert query(path, "SELECT settings FROM source WHERE path = ?", file) == [("{}",)]
    assert (gone & S) - nameless <= set(done.lost) <= gone
    check_lexical(path)
    return done


def check_goes_on(path: Path) -> None:
    """Check that an index takes records and gives them up like any other."""
    assert check(path).findings == []
    with writing(path, OWN) as writer:
        put(writer, STDIN, {"new": ["a new text"]}, root=STDIN)
        put(writer, b"new.txt", {"newer": ["another"]})
    assert {"new", "newer"} <= {name for _, _, name, _ in content(path)}
    assert check(path).findings == []
    with writing(path, OWN) as writer:
        writer.drop_records([number for (number,) in query(path, "SELECT id FROM record")])
    assert content(path) == {}
    assert check(path).findings == []


# --- sound


@settings(max_examples=20)
@given(histories())
def test_a_sound_index_has_no_findings(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("index") / "x.emb"
    play(path, OWN, steps)
    seen: list[tuple[int, int]] = []
    with open_for_writing(path, OWN) as connection:
        damage = verify(path, connection, check_lexical=True, on_progress=lambda *done: seen.append(done))
    assert damage == Damage()
    sizes = [count for (count,) in query(path, "SELECT count FROM segment ORDER BY first")]
    assert seen == [(sum(sizes[: number + 1]), sum(sizes)) for number in range(len(sizes))]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sound_index_of_any_type_has_no_findings(tmp_path, dtype):
    path, own = tmp_path / "x.emb", identity(dtype)
    make(path, own)
    assert check(path) == Damage()
    with open_for_reading(path) as connection:
        assert verify(path, connection, check_lexical=False) == Damage()


def test_an_index_without_texts_has_no_findings(tmp_path):
    path, own = tmp_path / "x.emb", identity(keep_text=False)
    make(path, own)
    assert check(path, lexical=False) == Damage()


def test_verifying_changes_nothing(tmp_path):
    path = tmp_path / "x.emb"
    make(path)
    for sql in (None, "UPDATE chunk SET text = 'other' WHERE id = 1"):
        if sql:
            query(path, sql)
        before = [query(path, f"SELECT * FROM {table.name}") for table in TABLES]
        check(path)
        assert [query(path, f"SELECT * FROM {table.name}") for table in TABLES] == before


def test_repairing_what_is_sound_changes_no_content(tmp_path):
    path = tmp_path / "x.emb"
    before = make(path)
    damage, done = mend(path)
    assert damage == Damage()
    assert done == Repaired(0, 0, [], 0)
    assert content(path) == before
    assert query(path, "SELECT count(*) FROM source WHERE state = 'partial'") == [(0,)]


# --- a changed value in each column of each table

TARGETS: dict[str, tuple[str, set[str]]] = {
    "root": ("id = 1", A | B),
    "source": ("id = 1", A),
    "record": ("id = 1", {"a1"}),
    "chunk": ("id = 1", {"a1"}),
    "segment": ("id = 1", A),
    "tombstone": ("segment = 1", A),
}
"""A row of each table, and the records that depend on it."""

VALUES = (9_999, -1, 2**63 - 1, "other", b"\xff\x00", None)


def change(path: Path, table: str, column: str, where: str, value: Any) -> bool:
    """Put a value into a column; return whether that is another one and SQLite lets it in."""
    try:
        (old,) = query(path, f"SELECT {column} FROM {table} WHERE {where}")[0]
        query(path, f"UPDATE {table} SET {column} = ? WHERE {where}", value)
    except sqlite3.IntegrityError:
        return False
    return value is not old and value != old


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_changed_value_is_found_and_repaired(tmp_path, table, column):
    path = tmp_path / "x.emb"
    before = make(path)
    file = path.read_bytes()
    where, damaged = TARGETS.get(table, ("key = 'counts'", set()))
    tried = 0
    for value in VALUES:
        path.write_bytes(file)
        if change(path, table, column, where, value):
            tried += 1
            check_mended(path, before, damaged)
    assert tried > 0


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_fraction_in_place_of_a_value_is_found_and_repaired(tmp_path, table, column):
    """One bit in the head of an SQLite row makes a fraction of a whole number."""
    path = tmp_path / "x.emb"
    before = make(path)
    where, damaged = TARGETS.get(table, ("key = 'counts'", set()))
    if change(path, table, column, where, 0.5):
        check_mended(path, before, damaged)


@pytest.mark.parametrize("key", ["commit", "vectors_commit", "counts", "query_defaults"])
@pytest.mark.parametrize(
    "sql", ["DELETE FROM meta WHERE key = ?", "UPDATE meta SET value = '{}' || value WHERE key = ?"]
)
def test_facts_about_the_index_are_written_anew(tmp_path, key, sql):
    path = tmp_path / "x.emb"
    before = make(path)
    with open_for_reading(path) as connection:
        commit = IndexReader(path, connection).commit()
    query(path, sql, key)
    assert f"meta: {key} is not what was written" in check(path).findings
    damage, _ = mend(path)
    assert damage.findings == [f"meta: {key} is not what was written"]
    assert check(path).findings == []
    assert content(path) == before
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        assert reader.commit() == reader.vectors_commit() > commit


@pytest.mark.parametrize(
    "sql", ["DELETE FROM meta WHERE key = ?", "UPDATE meta SET value = '{}' WHERE key = ?"]
)
def test_a_damaged_identity_is_found_and_cannot_be_repaired(tmp_path, sql):
    path = tmp_path / "x.emb"
    make(path)
    query(path, sql, "identity")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        damage = verify(path, connection, check_lexical=True)
        assert damage.findings == ["meta: identity is not what was written"]
        connection.execute("BEGIN")
        with pytest.raises(DamagedIndexError, match="'identity' cannot be read"):
            repair(path, connection, damage)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        (table.name, column.name)
        for table in TABLES
        for column in table.columns
        if column.type.startswith("TEXT")
    ],
)
def test_text_that_is_not_utf8_any_more_is_found_and_repaired(tmp_path, table, column):
    """The highest bit of an ASCII character, changed, leaves no UTF-8."""
    path = tmp_path / "x.emb"
    before = make(path)
    where, damaged = TARGETS.get(table, ("key = 'commit'", set()))
    query(path, f"UPDATE {table} SET {column} = CAST(x'61e162' AS TEXT) WHERE {where}")
    assert check(path).findings
    check_mended(path, before, damaged)


# --- rows that belong to another one than before


@pytest.mark.parametrize(
    ("sql", "damaged", "partial"),
    [
        ("UPDATE chunk SET record = 5 WHERE id = 1", {"a1"}, "a.txt"),
        ("UPDATE chunk SET record = 7 WHERE id = 1", {"a1"}, "a.txt"),
        ("UPDATE record SET source = 2 WHERE id = 1", {"a1"}, "a.txt"),
        ("UPDATE record SET source = 4 WHERE id = 1", {"a1"}, "a.txt"),
        ("UPDATE source SET root = 2 WHERE id = 1", A, "a.txt"),
        ("UPDATE source SET root = 0 WHERE id = 1", A, "a.txt"),
    ],
)
def test_a_row_that_changed_its_owner_costs_the_new_one_nothing(tmp_path, sql, damaged, partial):
    path = tmp_path / "x.emb"
    before = make(path)
    query(path, sql)
    assert check(path).findings
    check_mended(path, before, damaged)
    states = dict(query(path, "SELECT CAST(path AS TEXT), state FROM source"))
    assert states.get(partial, "partial") == "partial"


def test_two_rows_that_swapped_their_ids_are_found(tmp_path):
    path = tmp_path / "x.emb"
    before = make(path)
    for table in ("chunk", "record"):
        file = path.read_bytes()
        for old, new in ((1, 999), (3, 1), (999, 3)):
            query(path, f"UPDATE {table} SET id = ? WHERE id = ?", new, old)
        assert len(check(path).findings) >= 1
        check_mended(path, before, {"a1", "a2", "a3"})
        path.write_bytes(file)


# --- deleted rows


@pytest.mark.parametrize(
    ("sql", "damaged"),
    [
        ("DELETE FROM root WHERE id = 1", A | B),
        ("DELETE FROM root WHERE id = 0", S),
        ("DELETE FROM source WHERE id = 1", A),
        ("DELETE FROM source WHERE id = 4", S),
        ("DELETE FROM record WHERE id = 1", {"a1"}),
        ("DELETE FROM record WHERE name = 's2'", {"s2"}),
        ("DELETE FROM record WHERE name = 'u1'", set()),
        ("DELETE FROM chunk WHERE id = 1", {"a1"}),
        ("DELETE FROM chunk WHERE id = 3", {"a2"}),
        ("DELETE FROM chunk WHERE id = 6", {"a3"}),
        ("DELETE FROM chunk WHERE id = 10", {"b2"}),
        ("DELETE FROM segment WHERE id = 1", A),
        ("DELETE FROM segment WHERE id = 3", C),
        ("DELETE FROM segment WHERE id = 5", set()),
        ("DELETE FROM tombstone WHERE segment = 1", A),
        ("DELETE FROM tombstone WHERE segment = 5", set()),
        ("DELETE FROM record", A | B | C | S),
        ("DELETE FROM chunk", A | B | C | S),
        ("DELETE FROM segment", A | B | C | S),
    ],
)
def test_a_deleted_row_is_found_and_repaired(tmp_path, sql, damaged):
    path = tmp_path / "x.emb"
    before = make(path)
    query(path, sql)
    assert check(path).findings
    check_mended(path, before, damaged, frozenset(damaged if "FROM record" in sql else ()))
    check_goes_on(path)


@pytest.mark.parametrize(
    ("sql", "file"),
    [
        ("DELETE FROM record WHERE name = 'a1'", "a.txt"),
        ("DELETE FROM chunk WHERE id = 1", "a.txt"),
        ("DELETE FROM chunk WHERE id = 3", "a.txt"),
        ("DELETE FROM chunk WHERE id = 11", "c.txt"),
        ("DELETE FROM segment WHERE id = 3", "c.txt"),
        ("UPDATE record SET source = 2 WHERE id = 1", "a.txt"),
        ("UPDATE chunk SET record = 5 WHERE id = 11", "c.txt"),
    ],
)
def test_the_source_of_what_went_is_read_again(tmp_path, sql, file):
    """Nobody can know any more whose row it was: then every source it can have been is read again."""
    path = tmp_path / "x.emb"
    make(path)
    query(path, sql)
    mend(path)
    assert query(path, "SELECT state, mtime_ns, size FROM source WHERE path = ?", file.encode()) == [
        ("partial", None, None)
    ]


def test_the_root_of_standard_input_is_missed_even_when_nothing_came_from_there(tmp_path):
    path = tmp_path / "x.emb"
    with writing(path, OWN) as writer:
        put(writer, b"a.txt", {"a1": ["cat"]})
    before = content(path)
    query(path, "DELETE FROM root WHERE id = 0")
    assert check(path).findings
    check_mended(path, before, set())
    check_goes_on(path)


# --- rows that are as they were written, and do not fit together


def test_a_wrong_count_is_found_and_repaired(tmp_path):
    for name in ("sources", "records", "chunks", "vectors"):
        path = tmp_path / f"{name}.emb"
        before = make(path)
        (right,) = (
            json.loads(value) for (value,) in query(path, "SELECT value FROM meta WHERE key = 'counts'")
        )
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            write_meta(connection, "counts", {**right, name: right[name] + 1})
        (finding,) = check(path).findings
        assert finding == f"meta: counts are { ({**right, name: right[name] + 1}) }, found {right}"
        done = check_mended(path, before, set())
        assert (done.records, done.lost, done.roots) == (0, [], 0)


def test_vectors_without_chunks_are_found_and_repaired(tmp_path):
    path = tmp_path / "x.emb"
    before = make(path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        first = append_segment(connection, unit_rows(7), "float16", None)
    damage = check(path)
    assert damage.orphans == list(range(first, first + 7))
    assert (
        f"vector {first}, {first + 1}, {first + 2}, {first + 3}, {first + 4} and 2 more: belongs to no chunk"
        in (damage.findings)
    )
    done = check_mended(path, before, set())
    assert done.records == 0


def test_a_chunk_without_a_vector_is_found_and_repaired(tmp_path):
    path = tmp_path / "x.emb"
    before = make(path)
    columns = (500, 1, 3, 0, 3, 0, 3, 1, 1, "new", b"h" * 16)
    query(path, f"INSERT INTO chunk VALUES ({', '.join('?' * 12)})", *columns, row_hash(columns))
    damage = check(path)
    assert "chunk 500: there is no vector" in damage.findings
    check_mended(path, before, {"a1"})


def test_a_live_chunk_marked_as_deleted_is_found_and_repaired(tmp_path):
    path = tmp_path / "x.emb"
    before = make(path)
    bits = np.packbits(np.arange(7) == 2).tobytes()
    query(path, "UPDATE tombstone SET dead = ?, row_hash = ? WHERE segment = 1", bits, row_hash((1, bits)))
    damage = check(path)
    assert "chunk 3: there is no vector" in damage.findings
    assert "vector 7: belongs to no chunk" in damage.findings
    check_mended(path, before, {"a2"})


@pytest.mark.parametrize(
    ("first", "count", "outside"), [(2, 6, B | C | S), (10, 3, A), (16, 1, A | B | C | S), (13, 9, A | B | C)]
)
def test_overlapping_segments_are_found_and_repaired(tmp_path, first, count, outside):
    path = tmp_path / "x.emb"
    before = make(path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        append_segment(connection, unit_rows(count, seed=9), "float16", None, first=first)
    damage, _ = mend(path)
    assert any("overlaps the one before" in finding for finding in damage.findings)
    assert check(path).findings == []
    after = content(path)
    assert after == {key: before[key] for key in after}
    assert outside <= {name for _, _, name, _ in after}
    check_goes_on(path)


def test_a_segment_whose_place_is_damaged_costs_its_neighbours_nothing(tmp_path):
    path = tmp_path / "x.emb"
    before = make(path)
    file = path.read_bytes()
    # Segment 1 has the rows 1 to 7; damaged, it seems to reach into those of others.
    for column, value in (("first", 9), ("first", 3), ("count", 12), ("count", 2**40), ("first", -3)):
        query(path, f"UPDATE segment SET {column} = ? WHERE id = 1", value)
        assert "segment 1: its columns are not what was written" in check(path).findings
        check_mended(path, before, A)
        path.write_bytes(file)


def test_marks_of_no_segment_are_found_and_repaired(tmp_path):
    path = tmp_path / "x.emb"
    before = make(path)
    query(path, "INSERT INTO tombstone VALUES (?, ?, ?)", 77, b"\x80", row_hash((77, b"\x80")))
    assert check(path).findings == ["tombstone: segment 77 is not there"]
    check_mended(path, before, set())


def rewrite(path: Path, number: int, **blobs: bytes) -> None:
    """Give a segment other blobs under hashes that fit them."""
    columns = query(path, "SELECT * FROM segment WHERE id = ?", number)[0]
    signs, hashes, vectors = (
        blobs.get(name, old)
        for name, old in zip(("signs", "row_hashes", "vectors"), columns[8:], strict=True)
    )
    head = (*columns[:4], hash_bytes(signs), hash_bytes(vectors), hash_bytes(hashes))
    query(path, "DELETE FROM segment WHERE id = ?", number)
    query(
        path,
        f"INSERT INTO segment VALUES ({', '.join('?' * 11)})",
        *(*head, row_hash(head), signs, hashes, vectors),
    )


@pytest.mark.parametrize("what", ["signs", "row_hashes", "nan", "short", "signs short"])
def test_blobs_that_do_not_fit_each_other_are_found_and_repaired(tmp_path, what):
    path = tmp_path / "x.emb"
    before = make(path)
    vectors = np.frombuffer(query(path, "SELECT vectors FROM segment WHERE id = 1")[0][0], "<f2").reshape(
        7, DIM
    )
    broken = vectors.copy()
    broken[3, 3] = np.nan
    blobs, finding = {
        "signs": ({"signs": bytes(7 * 8)}, "its sign bits are not those of its vectors"),
        "row_hashes": ({"row_hashes": bytes(7 * 8)}, "a vector does not match its own hash"),
        "nan": ({"vectors": broken.tobytes(), "row_hashes": vector_hashes(broken)}, "a number is not finite"),
        "short": ({"vectors": vectors[:6].tobytes()}, f"it holds {6 * DIM} numbers, not 7 x {DIM}"),
        "signs short": ({"signs": bytes(8)}, f"it holds {7 * DIM} numbers, not 7 x {DIM}"),
    }[what]
    rewrite(path, 1, **blobs)
    assert f"segment 1: {finding}" in check(path).findings
    check_mended(path, before, A)


@pytest.mark.parametrize("blob", ["signs", "row_hashes", "vectors"])
def test_any_changed_byte_of_a_segment_is_found(tmp_path, blob):
    path = tmp_path / "x.emb"
    make(path)
    (old,) = query(path, f"SELECT {blob} FROM segment WHERE id = 2")[0]
    name = {"signs": "sign bits", "row_hashes": "row hashes", "vectors": "vectors"}[blob]
    for place in range(len(old)):
        copy = bytearray(old)
        copy[place] ^= 1 << (place % 8)
        query(path, f"UPDATE segment SET {blob} = ? WHERE id = 2", bytes(copy))
        with open_for_reading(path) as connection:
            findings = verify(path, connection, check_lexical=False).findings
        assert findings[0] == f"segment 2: its {name} are not what was written"


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO lexical(lexical, rowid, text) VALUES('delete', 1, 'cat')",
        "INSERT INTO lexical(rowid, text) VALUES(1, 'zebra')",
        "INSERT INTO lexical(lexical) VALUES('delete-all')",
        "UPDATE lexical_data SET block = zeroblob(length(block)) WHERE id > 10",
        "DELETE FROM lexical_data WHERE id > 10",
        "DELETE FROM lexical_docsize",
    ],
)
def test_a_damaged_full_text_table_is_found_and_repaired(tmp_path, sql):
    path = tmp_path / "x.emb"
    before = make(path)
    query(path, sql)
    damage = check(path)
    assert damage.lexical
    (finding,) = damage.findings
    assert finding.startswith("lexical: ")
    assert check(path, lexical=False) == Damage()
    done = check_mended(path, before, set())
    assert done == Repaired(0, 0, [], 0)


def test_pages_that_sqlite_cannot_read_are_structural(tmp_path):
    path = tmp_path / "x.emb"
    make(path)
    file = path.read_bytes()
    noticed = 0
    for page in range(1, len(file) // 8192):
        broken = bytearray(file)
        broken[page * 8192 : page * 8192 + 64] = b"\xff" * 64
        path.write_bytes(broken)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            damage = verify(path, connection, check_lexical=False)
        assert damage.findings, f"page {page}"
        noticed += damage.is_structural
    assert noticed > 5


# --- what is lost


def test_records_from_standard_input_are_named_as_lost(tmp_path):
    path = tmp_path / "x.emb"
    before = make(path)
    query(path, "UPDATE chunk SET text = 'other' WHERE id IN (1, 12)")
    query(path, "UPDATE record SET fields = '[]' WHERE name = 's2'")
    damage = check(path, lexical=False)
    assert damage.findings == ["record 9: not what was written", "chunk 1, 12: not what was written"]
    assert (damage.records, damage.chunks) == ({1, 8, 9}, {1, 12, 13, 14})
    done = check_mended(path, before, {"a1", "s1", "s2"})
    assert (done.records, done.lost, done.roots) == (3, ["s1", "s2"], 0)


def test_a_record_from_standard_input_that_lost_its_last_chunk_is_named(tmp_path):
    """A file would be read again; of this one a part would be missing for good, and nobody told."""
    path = tmp_path / "x.emb"
    make(path)
    query(path, "DELETE FROM chunk WHERE id = 14")
    _, done = mend(path)
    assert "s2" in done.lost


def test_a_lost_root_is_counted(tmp_path):
    path = tmp_path / "x.emb"
    before = make(path)
    query(path, "UPDATE root SET settings = '[]' WHERE id = 1")
    done = check_mended(path, before, A | B)
    assert done.roots == 1
    assert done.sources == 2
    assert done.lost == []


def test_records_from_standard_input_can_come_again_after_its_root_was_damaged(tmp_path):
    path = tmp_path / "x.emb"
    before = make(path)
    query(path, "UPDATE root SET settings = '[]' WHERE id = 0")
    done = check_mended(path, before, set())
    assert done.lost == []
    check_goes_on(path)


def test_many_damages_at_once_are_repaired_together(tmp_path):
    path = tmp_path / "x.emb"
    before = make(path)
    query(path, "UPDATE segment SET vectors = zeroblob(length(vectors)) WHERE id = 1")
    query(path, "UPDATE chunk SET line = 9 WHERE id = 8")
    query(path, "DELETE FROM tombstone WHERE segment = 5")
    query(path, "INSERT INTO lexical(lexical) VALUES('delete-all')")
    query(path, "DELETE FROM meta WHERE key = 'counts'")
    done = check_mended(path, before, A | {"b1"})
    assert done.records == 4
    check_goes_on(path)


def test_what_is_not_committed_is_not_repaired(tmp_path):
    path = tmp_path / "x.emb"
    make(path)
    query(path, "UPDATE chunk SET text = 'other' WHERE id = 1")
    before = [query(path, f"SELECT * FROM {table.name}") for table in TABLES]
    with pytest.raises(KeyboardInterrupt), open_for_writing(path, OWN) as connection:
        connection.execute("BEGIN IMMEDIATE")
        repair(path, connection, verify(path, connection, check_lexical=True))
        raise KeyboardInterrupt
    assert [query(path, f"SELECT * FROM {table.name}") for table in TABLES] == before
