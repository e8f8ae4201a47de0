"""Export and import below the command line: names, vectors, what is left out, what is refused."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.datatypes import Chunk, Counts, Record
from embedcli.errors import DamagedIndexError, OutputError, UsageError, VectorError
from embedcli.index.checksum import row_hash
from embedcli.index.file import open_for_reading, open_for_writing
from embedcli.index.meta import Identity
from embedcli.index.reader import IndexReader
from embedcli.index.rows import storable
from embedcli.index.schema import SEGMENT_ROWS
from embedcli.index.writer import IndexWriter, NewChunk
from embedcli.records.exchange import ImportedRow, RefusedRow, follows
from embedcli.records.vector_sources import open_vector_source
from embedcli.tasks.export_index import export_index, shown_fields, vector_model
from embedcli.tasks.import_names import Names, content_hash
from embedcli.tasks.import_vectors import codes_dtype, unit_vectors
from embedcli.tasks.text_fields import text_names
from embedcli.tasks.vector_queue import VectorQueue
from embedcli.vectors.normalize import normalize
from embedcli.vectors.quantize import quantize, restore
from embedcli.write.archive import open_npy_archive
from embedcli.write.archive_parquet import OwnColumns, open_parquet_archive

# --- names

ROWS = st.lists(
    st.one_of(
        st.builds(
            ImportedRow,
            where=st.just("x"),
            id=st.sampled_from(["a", "b", "p#a", "\ud800", "\ufffd"]),
            path=st.none() | st.sampled_from(["p", "q"]),
            ordinal=st.integers(1, 3),
        ),
        st.just(RefusedRow("x", "bad")),
    ),
    max_size=12,
)


def records_of(rows):
    """The first rows of the records, by the rule itself."""
    before = None
    for row in rows:
        if isinstance(row, RefusedRow):
            before = None
            continue
        if not follows(row, before):
            yield row
        before = row


@given(ROWS)
def test_names_are_the_ids_and_only_shared_ones_carry_their_path(rows):
    names = Names()
    for row in rows:
        names.add(row)
    names.close()
    records = list(records_of(rows))
    found = [names.name(row) for row in records]
    for row, name in zip(records, found, strict=True):
        paths = {other.path for other in records if storable(other.id) == storable(row.id)}
        wanted = f"{row.path}#{row.id}" if len(paths) > 1 and row.path is not None else row.id
        assert name == storable(wanted)
        assert names.is_repeated(name) == (found.count(name) > 1)


# --- vectors

NUMBERS = st.floats(-4, 4, width=32) | st.sampled_from([0.0, np.nan, np.inf, 1e-30, 3e38])
BLOCKS = st.lists(st.lists(NUMBERS, min_size=8, max_size=8), min_size=1, max_size=6).map(
    lambda rows: np.array(rows, dtype=np.float32)
)


@given(BLOCKS, st.sampled_from([np.float32, np.float64, ">f4"]), st.sampled_from([8, 5]))
def test_vectors_get_unit_length_and_the_rest_is_named(rows, dtype, dim):
    unit, faults = unit_vectors(rows.astype(dtype), "float32", dim, keeps_half=False)
    cut = rows[:, :dim].astype(np.float64)
    bad = ~np.isfinite(cut).all(axis=1) | ~cut.any(axis=1)
    assert sorted(faults) == np.flatnonzero(bad).tolist()
    assert (unit.dtype, unit.shape) == (np.float32, (len(rows), dim))
    assert not unit[bad].any()
    good = cut[~bad] / np.abs(cut[~bad]).max(axis=1, keepdims=True, initial=1e-300)
    good /= np.linalg.norm(good, axis=1, keepdims=True)
    np.testing.assert_allclose(unit[~bad], good, atol=1e-6)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["float32", "float16", "int8", "binary"]),
    st.sampled_from([8, 48]),
)
def test_what_an_index_stores_is_stored_again_bit_for_bit(seed, dtype, dim):
    # In few dimensions rounding to float16 changes a length so much that scaling it back changes numbers.
    vectors = normalize(np.random.default_rng(seed).normal(size=(100, dim)).astype(np.float32))
    codes = quantize(vectors, dtype).codes
    unit, faults = unit_vectors(codes, dtype, dim, keeps_half=dtype == "float16")
    assert faults == {}
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-3)
    np.testing.assert_array_equal(quantize(unit, dtype).codes, codes)


def test_float16_that_is_not_of_unit_length_gets_it():
    codes = np.array([[3, 4], [0.6, 0.8]], dtype=np.float16)
    unit, _ = unit_vectors(codes, "float16", 2, keeps_half=True)
    np.testing.assert_allclose(unit[0], [0.6, 0.8], atol=1e-7)
    np.testing.assert_array_equal(unit[1], codes[1].astype(np.float32))
    unit, _ = unit_vectors(codes, "float16", 2, keeps_half=False)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)


class Source:
    """As much of a source as its dimension needs."""

    name, model = "x.npy", None

    def __init__(self, dtype: str, width: int) -> None:
        self.dtype, self.width = np.dtype(dtype), width

    def read(self, *, with_vectors):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("dtype", "width", "said", "dims", "wanted"),
    [
        ("f4", 384, {"binary"}, (384, 384), "float32"),
        (">f8", 384, set(), (384, 384), "float32"),
        ("f2", 100, set(), (384, 100), "float16"),
        ("i1", 384, set(), (384, 100), "int8"),
        ("u1", 384, set(), (384, 384), "uint8"),
        ("u1", 48, set(), (384, 384), "binary"),
        ("u1", 48, set(), (384, 48), "uint8"),
        ("u1", 48, {"binary"}, (384, 48), "binary"),
    ],
)
def test_a_dimension_says_what_bytes_are(dtype, width, said, dims, wanted):
    assert codes_dtype(Source(dtype, width), said, dims) == wanted


@pytest.mark.parametrize(("dtype", "width"), [("f4", 383), ("f2", 1), ("u1", 47), ("u1", 50), ("i1", 48)])
def test_another_dimension_is_refused_with_both_named(dtype, width):
    with pytest.raises(VectorError, match=rf"x\.npy: .* {width} .*100 or 384"):
        codes_dtype(Source(dtype, width), set(), (384, 100))


# --- fields


def test_fields_whose_names_are_taken_are_shown_apart():
    fields = {"id": 5, "text": "t", "start": 1.5, "own_fields": 1, "vector": [1], "note": "n", "body": "b"}
    assert shown_fields(fields, "5", ()) == (
        {"note": "n", "body": "b"},
        {"id": 5, "start": 1.5, "own_fields": 1},
    )
    assert shown_fields({"id": "a", "line": 1}, "a", ()) == ({}, {"line": 1})
    assert shown_fields(fields, "5", ("body", "start")) == ({"note": "n"}, {"id": 5, "own_fields": 1})


def test_the_fields_of_a_text_are_those_that_were_said():
    names = ["id", "subject", "body"]
    assert text_names(["body", "none"], names) == ("body",)
    assert text_names(["3", "subject"], names) == ("body", "subject")
    assert text_names([], names) == ()
    assert text_names([], ["text"]) == ("text",)


def test_a_record_changed_when_its_content_did():
    def hashed(vector=1.0, **change):
        chunk = {"text": "t", "ordinal": 1, "start": 0, "end": 1, "line": 4, "end_line": 4, **change}
        chunks = [Chunk(**chunk, start_byte=0, end_byte=1), Chunk("u", 2, 1, 2, 1, 2, 9, 9)]
        return content_hash(chunks, None if vector is None else np.full((2, 3), vector, dtype=np.float32))

    others = [
        hashed(2.0), hashed(None), hashed(text="u"), hashed(ordinal=0), hashed(start=1), hashed(end=2),
        hashed(line=5), hashed(end_line=5),
    ]  # fmt: skip
    assert len({hashed(), *others}) == len(others) + 1
    moved = [Chunk("t", 1, 0, 1, 0, 1, 14, 14), Chunk("u", 2, 1, 2, 1, 2, 19, 19)]
    assert content_hash(moved, np.ones((2, 3), dtype=np.float32)) == hashed()


# --- an index of our own making

IDENTITY = Identity("tiny", "int8", "f" * 32, "mean", "", "", 16, 8)


def unit_rows(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make(path: Path, *, dtype: str = "float32", rows: int = 5, identity: Identity = IDENTITY) -> np.ndarray:
    """Write an index of one record in two chunks, `rows` single ones, a deleted and an unfinished one."""
    identity = Identity(**{**vars_of(identity), "dtype": dtype})
    vectors = unit_rows(rows + 4)
    with open_for_writing(path, identity) as connection:
        writer = IndexWriter(path, connection, identity, may_shrink=True)
        root = writer.put_root(b"/r", "{}")
        source = writer.put_source(
            root, b"a.txt", stat=None, content_hash=b"h", state="indexed", settings="{}"
        )
        numbers = [writer.reserve_record() for _ in range(rows + 3)]
        ids = ["two", *(f"r{n}" for n in range(rows)), "gone", "unfinished"]
        for number, name in zip(numbers, ids, strict=True):
            record = Record(name, "", fields={"of": name})
            writer.add_record(
                number, source, record, json.dumps({"of": name}), b"t", complete=name != "unfinished"
            )
        owners = [numbers[0], *numbers]
        chunks = [
            NewChunk(owner, Chunk(f"text {n}", 2 if n == 1 else 1, n, n + 6, n, n + 6, 1, 2), b"t" * 16)
            for n, owner in enumerate(owners)
        ]
        for start in range(0, len(chunks), SEGMENT_ROWS):
            part = slice(start, start + SEGMENT_ROWS)
            writer.add_chunks(chunks[part], vectors[part], {numbers[-1]})
        writer.drop_records([numbers[-2]])
        writer.commit()
    return vectors[:-2]


def vars_of(identity: Identity) -> dict[str, object]:
    return {name: getattr(identity, name) for name in Identity.__slots__}


def objects(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "binary"])
def test_live_vectors_are_exported_as_they_are_stored(dtype, tmp_path):
    vectors = make(tmp_path / "x.emb", dtype=dtype)
    report = export_index(tmp_path / "x.emb", str(tmp_path / "out"), "npy")
    assert (report.vectors, report.dim, report.dtype) == (7, 8, dtype)
    codes = np.load(tmp_path / "out.npy", allow_pickle=False)
    np.testing.assert_array_equal(codes, quantize(vectors, dtype).codes)
    assert codes.dtype == quantize(vectors, dtype).codes.dtype
    lines = objects(tmp_path / "out.jsonl")
    assert [(line["id"], line["chunk"]) for line in lines] == [
        ("two", 1), ("two", 2), *((f"r{n}", 1) for n in range(5)),
    ]  # fmt: skip
    assert list(lines[1].items())[1:] == [
        ("chunk", 2), ("path", lines[0]["path"]), ("line", 1), ("end_line", 2), ("start", 1), ("end", 7),
        ("text", "text 1"), ("of", "two"), ("vector_model", "tiny:int8:ffffffffffff"), ("vector_dtype", dtype),
    ]  # fmt: skip
    pytest.importorskip("pyarrow")
    export_index(tmp_path / "x.emb", str(tmp_path / "out"), "parquet")
    with open_vector_source(str(tmp_path / "out.parquet")) as source:
        (batch,) = source.read(with_vectors=True)
    np.testing.assert_array_equal(batch.vectors, codes)
    with open_vector_source(str(tmp_path / "out.npy")) as source:
        (other,) = source.read(with_vectors=True)
    assert [row_of(row) for row in batch.rows] == [row_of(row) for row in other.rows]


def row_of(row):
    return {name: getattr(row, name) for name in ImportedRow.__slots__ if name != "where"}


def test_several_segments_are_one_export(tmp_path):
    vectors = make(tmp_path / "x.emb", rows=SEGMENT_ROWS + 10)
    export_index(tmp_path / "x.emb", str(tmp_path / "out"), "npy")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), vectors)
    assert len(objects(tmp_path / "out.jsonl")) == len(vectors)


def test_damage_and_failure_leave_nothing_and_change_nothing(tmp_path):
    make(tmp_path / "x.emb")
    (tmp_path / "out.npy").write_text("old")
    content = (tmp_path / "x.emb").read_bytes()
    for wanted, other in ((b"text 3", b"text 8"), (b'{"of": "r2"}', b'{"of": "r9"}'), (b"/r", b"/x")):
        assert content.count(wanted) >= 1
        (tmp_path / "x.emb").write_bytes(content.replace(wanted, other))
        for form in ("npy", "parquet"):
            with pytest.raises(DamagedIndexError):
                export_index(tmp_path / "x.emb", str(tmp_path / "out"), form)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.npy", "x.emb"]
    assert (tmp_path / "out.npy").read_text() == "old"


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("record", "fields", "[]"), ("record", "fields", "{"), ("record", "name", b"n"),
        ("source", "settings", "no JSON"), ("source", "path", "text"), ("chunk", "text", b"blob"),
        ("chunk", "line", "one"), ("root", "path", "text"),
    ],
)  # fmt: skip
def test_values_of_another_kind_are_damage_whatever_their_hash(table, column, value, tmp_path):
    make(tmp_path / "x.emb")
    with contextlib.closing(sqlite3.connect(tmp_path / "x.emb")) as connection:
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE id > 0", (value,))
        for row in connection.execute(f"SELECT * FROM {table}").fetchall():
            assert names[-1] == "row_hash"
            connection.execute(f"UPDATE {table} SET row_hash = ? WHERE id = ?", (row_hash(row[:-1]), row[0]))
        connection.commit()
    for form in ("npy", "parquet"):
        with pytest.raises(DamagedIndexError, match=f"{table}"):
            export_index(tmp_path / "x.emb", str(tmp_path / "out"), form)
    assert [path.name for path in tmp_path.iterdir()] == ["x.emb"]


def test_sign_bits_that_fill_no_bytes_are_refused(tmp_path):
    identity = Identity(**{**vars_of(IDENTITY), "dim": 7, "dtype": "binary"})
    with open_for_writing(tmp_path / "x.emb", identity):
        pass
    with pytest.raises(VectorError, match="multiple of 8"):
        export_index(tmp_path / "x.emb", str(tmp_path / "out"), "npy")


def test_files_of_the_index_are_not_written_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_for_writing(Path("x.npy"), IDENTITY) as connection:
        writer = IndexWriter(Path("x.npy"), connection, IDENTITY, may_shrink=True)
        root = writer.put_root(bytes(tmp_path / "docs"), "{}")
        writer.put_source(root, b"t.jsonl", stat=None, content_hash=b"h", state="indexed", settings="{}")
        writer.commit()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/t.jsonl").write_text("mine")
    for base in ("x", "docs/t", str(tmp_path / "docs/../docs/t")):
        with pytest.raises(UsageError, match="belongs to the index"):
            export_index(Path("x.npy"), base, "npy")
    export_index(Path("x.npy"), "docs/u", "npy")
    assert (tmp_path / "docs/t.jsonl").read_text() == "mine"


def test_vector_model_is_that_of_embed():
    assert vector_model(IDENTITY) == "tiny:int8:ffffffffffff"


# --- the queue


def test_records_larger_than_a_segment_are_shown_whole(tmp_path):
    path, count = tmp_path / "x.emb", 2 * SEGMENT_ROWS + 1
    chunks = [Chunk(f"t{n}", n + 1, 0, 2, 0, 2, 1, 1) for n in range(count)]
    vectors = unit_rows(count)
    identity = Identity(**{**vars_of(IDENTITY), "dtype": "float32"})
    with open_for_writing(path, identity) as connection:
        writer = IndexWriter(path, connection, identity, may_shrink=True)
        source = writer.put_source(0, b"-", stat=None, content_hash=None, state="indexed", settings="{}")
        counts = Counts()
        queue = VectorQueue(writer, source, counts)
        queue.add_record(Record("small", ""), "{}", b"a", chunks[:1], vectors[:1], [])
        queue.add_record(Record("large", ""), "{}", b"b", chunks, vectors, [])
        old = writer.stored_record(source, "small")
        queue.add_record(Record("small", ""), "{}", b"c", chunks[1:3], vectors[1:3], [old.id])
        queue.write()
        assert counts.written == count + 3
        stored_counts = IndexReader(path, connection).counts()
        assert (stored_counts["records"], stored_counts["chunks"]) == (2, count + 2)
    with open_for_reading(path) as connection:
        status = IndexReader(path, connection).status()
        assert (status.records, status.chunks, status.deleted) == (2, count + 2, 1)
        stored = np.concatenate([block.vectors for block in IndexReader(path, connection).blocks()])
    np.testing.assert_array_equal(stored, np.concatenate((vectors[:1], vectors, vectors[1:3])))


def test_a_large_record_that_is_cut_off_is_not_shown(tmp_path, monkeypatch):
    path, count = tmp_path / "x.emb", SEGMENT_ROWS + 1
    chunks = [Chunk(f"t{n}", n + 1, 0, 2, 0, 2, 1, 1) for n in range(count)]
    with open_for_writing(path, IDENTITY) as connection:
        writer = IndexWriter(path, connection, IDENTITY, may_shrink=True)
        source = writer.put_source(0, b"-", stat=None, content_hash=None, state="partial", settings="{}")
        queue = VectorQueue(writer, source, Counts())

        def stop(_record):
            raise KeyboardInterrupt

        monkeypatch.setattr(writer, "complete_record", stop)
        with pytest.raises(KeyboardInterrupt):
            queue.add_record(Record("large", ""), "{}", b"b", chunks, unit_rows(count), [])
        queue.write_ready()
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        assert (reader.status().chunks, reader.counts()["vectors"]) == (0, count)
        assert all(block.dead is not None and block.dead.all() for block in reader.blocks())
    export_index(path, str(tmp_path / "out"), "npy")
    assert len(np.load(tmp_path / "out.npy")) == 0


def test_an_interrupt_while_writing_commits_no_half_of_it(tmp_path):
    path = tmp_path / "x.emb"
    with open_for_writing(path, IDENTITY) as connection:
        writer = IndexWriter(path, connection, IDENTITY, may_shrink=True)
        source = writer.put_source(0, b"-", stat=None, content_hash=None, state="indexed", settings="{}")
        queue = VectorQueue(writer, source, Counts())
        queue.add_record(Record("a", ""), "{}", b"a", [Chunk("t", 1, 0, 1, 0, 1, 1, 1)], unit_rows(1), [])
        queue.write_ready()
        bad = np.full((1, 8), np.nan, dtype=np.float32)
        queue.add_record(Record("b", ""), "{}", b"b", [Chunk("t", 1, 0, 1, 0, 1, 1, 1)], bad, [])
        with pytest.raises(VectorError):
            queue.write()
        queue.write_ready()
    with open_for_reading(path) as connection:
        assert IndexReader(path, connection).status().records == 1


# --- writing

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters() | st.characters(categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
FIELDS = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "c d", "é", "own_fields"]), JSON, max_size=4).map(
        lambda fields: {**fields, **({"own_fields": {"id": 1}} if "own_fields" in fields else {})}
    ),
    min_size=1,
    max_size=5,
)


@given(FIELDS)
def test_any_fields_come_back_from_parquet(records):
    pytest.importorskip("pyarrow")
    import tempfile

    columns = OwnColumns()
    for fields in records:
        columns.observe(fields)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/a.parquet"
        with open_parquet_archive(path, columns, keep_text=True, width=2, dtype="float32") as archive:
            archive.write(
                [{"id": "x", "text": "t", **fields} for fields in records],
                np.ones((len(records), 2)).astype("f4"),
            )
        with open_vector_source(path) as source:
            (batch,) = source.read(with_vectors=False)
    for row, fields in zip(batch.rows, records, strict=True):
        wanted = {name: item for name, item in fields.items() if name != "own_fields"}
        wanted |= fields.get("own_fields", {})
        assert row.fields == wanted
        assert {name: type(item) for name, item in row.fields.items() if not isinstance(item, float)} == {
            name: type(item) for name, item in wanted.items() if not isinstance(row.fields[name], float)
        }


def test_columns_have_the_narrowest_type_that_holds_all():
    columns = OwnColumns()
    for fields in (
        {
            "i": 1,
            "d": 1,
            "s": "a",
            "b": True,
            "m": 1,
            "big": 2**60,
            "n": None,
            "l": [1],
            "sparse": 1,
            "both": 1,
        },
        {"i": 2, "d": 0.5, "s": "b", "b": False, "m": "x", "big": 0.5, "n": None, "l": [], "both": None},
        {"i": 2**60, "d": 0, "s": None, "b": True, "m": 1, "big": 1, "n": None, "l": []},
    ):
        columns.observe(fields)
    assert columns.types() == {
        "i": ("int64", False), "d": ("double", False), "s": ("string", False), "b": ("bool", False),
        "m": ("json", False), "big": ("json", False), "n": ("json", False), "l": ("json", False),
        "sparse": ("int64", True), "both": ("json", True),
    }  # fmt: skip


def test_a_pair_is_whole_or_not_there(tmp_path):
    paths = (str(tmp_path / "a.npy"), str(tmp_path / "a.jsonl"))
    for rows in (1, 3):
        with (
            pytest.raises(OutputError),
            open_npy_archive(paths, rows=rows, width=2, dtype="float16") as archive,
        ):
            archive.write([{}, {}], np.ones((2, 2), dtype=np.float16))
    assert list(tmp_path.iterdir()) == []
    with open_npy_archive(paths, rows=2, width=2, dtype="float16") as archive:
        archive.write([{"id": "\udc80"}, {"id": "b"}], np.ones((2, 2), dtype=np.float16))
    assert (tmp_path / "a.jsonl").read_bytes() == b'{"id":"\\udc80"}\n{"id":"b"}\n'
    expected = io.BytesIO()
    np.save(expected, np.ones((2, 2), dtype=np.float16))
    assert (tmp_path / "a.npy").read_bytes() == expected.getvalue()
    assert restore(np.load(paths[0]), "float16").tolist() == [[1, 1]] * 2
