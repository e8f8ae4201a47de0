"""Vectors from elsewhere: what is said of one, the pair of files, Parquet, and the database of llm."""

from __future__ import annotations

import io
import json
import sqlite3
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from embedcli.datatypes import Chunk
from embedcli.errors import InputError, MissingPathError, UsageError
from embedcli.records.chunk import chunk_text
from embedcli.records.exchange import ImportedRow, RefusedRow, chunks_of, follows, row_of_object
from embedcli.records.llm_database import Collection, choose_collection, metadata_fields
from embedcli.records.npy_pair import read_npy_header
from embedcli.records.reading import BadRecordError
from embedcli.records.vector_sources import beside, open_vector_source

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(
    st.sampled_from(["id", "_id", "chunk", "path", "line", "end_line", "start", "end", "text", "own_fields"])
    | st.sampled_from(["vector", "vector_model", "vector_dtype"])
    | st.text(max_size=5),
    JSON,
    max_size=8,
)
SPAN = ("ordinal", "start", "end", "line", "end_line")


@given(OBJECTS, st.integers(1, 1000))
def test_any_object_is_a_row_or_refused(value, number):
    try:
        row = row_of_object(value, number, "x:1")
    except BadRecordError:
        return
    assert all(0 <= getattr(row, name) < 1 << 63 for name in SPAN)
    assert row.start <= row.end
    assert row.line <= row.end_line
    assert row.id
    assert not set(row.fields) & {"vector", "vector_model", "vector_dtype", "vector_scale"}
    own = set(value) - {"id", "chunk", "path", "line", "end_line", "start", "end", "text", "own_fields"}
    for name in (
        own - {"vector", "vector_model", "vector_dtype", "vector_scale"} - set(value.get("own_fields") or {})
    ):
        assert row.fields[name] == value[name]


def test_what_is_not_said_is_that_of_a_record_of_one_chunk():
    assert row_of_object({"text": "é"}, 7, "x:7") == ImportedRow(
        "x:7", "7", None, 1, 0, 1, 7, 7, "é", {}, None, None
    )
    assert row_of_object({"id": 5, "_id": "no"}, 7, "x:7").id == "5"
    assert row_of_object({"id": "", "_id": "b"}, 7, "x:7").id == "b"
    hidden = {"own_fields": {"start": 1.5, "vector": 1}, "b": 2}
    assert row_of_object(hidden, 1, "x:1").fields == {"start": 1.5, "b": 2}


@pytest.mark.parametrize(
    "value",
    [
        {"text": 1}, {"path": ["a"]}, {"line": -1}, {"line": 1 << 63}, {"chunk": 1.5}, {"start": True},
        {"id": ["a"]}, {"id": True}, {"own_fields": 1}, {"vector_model": 1},
    ],
)  # fmt: skip
def test_what_is_not_of_its_kind_is_refused(value):
    with pytest.raises(BadRecordError):
        row_of_object(value, 1, "x:1")


def test_only_the_next_chunk_of_the_same_record_follows():
    first = ImportedRow("", "a", "p", ordinal=4)
    assert follows(ImportedRow("", "a", "p", ordinal=5), first)
    for other in (("a", "p", 4), ("a", "p", 6), ("a", None, 5), ("b", "p", 5)):
        assert not follows(ImportedRow("", *other), first)
    assert not follows(first, None)


@given(
    st.lists(st.sampled_from(["word", "é", "漢字", "\n\n", " ", "\n", "x" * 90, "𝄞"]), max_size=40).map(
        "".join
    ),
    st.sampled_from(["lines", "paragraphs", "none"]),
)
@example("  a\n\n" + "é" * 100 + "\n\nb", "paragraphs")
def test_chunks_keep_their_places_also_in_bytes(text, chunking):
    chunks = list(chunk_text(text, chunking, line=3, token_spans=None, max_tokens=None, overlap_tokens=0))
    assert chunks_of([as_row(chunk) for chunk in chunks]) == chunks


def as_row(chunk: Chunk) -> ImportedRow:
    return ImportedRow(
        "x", "a", None, chunk.ordinal, chunk.start, chunk.end, chunk.line, chunk.end_line, chunk.text
    )


def test_chunks_that_share_text_keep_their_places_in_bytes():
    text = "é ü 漢字 end"
    spans = [(0, 6), (2, 10), (4, 10)]
    rows = [
        ImportedRow("x", "a", None, number, start, end, text=text[start:end])
        for number, (start, end) in enumerate(spans, start=1)
    ]
    assert [(chunk.start_byte, chunk.end_byte) for chunk in chunks_of(rows)] == [
        (len(text[:start].encode()), len(text[:end].encode())) for start, end in spans
    ]


# --- .npy and .jsonl


def saved(array: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def pair(folder: Path, content: bytes, lines: str) -> str:
    (folder / "a.npy").write_bytes(content)
    (folder / "a.jsonl").write_text(lines)
    return str(folder / "a.npy")


def header(text: str, version: tuple[int, int] = (1, 0)) -> bytes:
    size = len(text).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + bytes(version) + size + text.encode("latin1")


ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)
GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }\n"
HOSTILE = {
    "objects": saved(np.array([[{}, 1]], dtype=object), allow_pickle=True),
    "cut": saved(ROWS)[:-1],
    "cut header": saved(ROWS)[:40],
    "magic only": b"\x93NUMPY",
    "longer": saved(ROWS) + b"\0",
    "2**40 rows": header(GOOD.replace("(4, 3)", f"({1 << 40}, 384)")) + ROWS.tobytes(),
    "2**200 rows": header(GOOD.replace("(4, 3)", f"({1 << 200}, {1 << 200})")) + ROWS.tobytes(),
    "negative": header(GOOD.replace("(4, 3)", "(-4, -3)")) + ROWS.tobytes(),
    "truths": header(GOOD.replace("(4, 3)", "(True, 12)")) + ROWS.tobytes(),
    "by columns": saved(np.asfortranarray(ROWS)),
    "one row": saved(ROWS[0]),
    "cube": saved(ROWS.reshape(2, 2, 3)),
    "no numbers": saved(np.zeros((4, 0), dtype=np.float32)),
    "complex": saved(ROWS.astype(np.complex64)),
    "integers": saved(ROWS.astype(np.int64)),
    "texts": saved(np.array([["a", "b"]])),
    "fields": saved(np.zeros((4, 3), dtype=[("a", "<f4")])),
    "blocks": header(GOOD.replace("'<f4'", "('<f4', (2,))")) + ROWS.tobytes() * 2,
    "long header": header(GOOD + " " * 20_000) + ROWS.tobytes(),
    "4 GiB header": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(100),
    "version 3": header(GOOD, (3, 0)) + ROWS.tobytes(),
    "code": header("__import__('os').abort()\n"),
    "deep": header("-" * 9000 + "1\n"),
    "open": header("(" * 9000 + "\n"),
    "no dict": header("1\n"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_arrays_are_one_error(name, tmp_path):
    path = pair(tmp_path, HOSTILE[name], "{}\n" * 4)
    with pytest.raises(InputError, match=r"a\.npy: "), open_vector_source(path):
        pass


@given(st.binary(max_size=200), st.booleans())
def test_no_header_is_more_than_an_error(content, is_array):
    with tempfile.TemporaryFile() as stream:
        stream.write((b"\x93NUMPY\x01\x00" if is_array else b"") + content)
        with pytest.raises(InputError):
            read_npy_header(stream, "a.npy")


@given(st.text("{}[]()'-+~:,0123456789 descrfortran_orderFalseshape<>fiu", max_size=80))
def test_no_python_in_a_header_is_more_than_an_error(text):
    with tempfile.TemporaryFile() as stream:
        stream.write(header(text))
        with pytest.raises(InputError):
            read_npy_header(stream, "a.npy")


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "<f8", "i1", "u1"])
def test_arrays_are_read_as_numpy_wrote_them(dtype, tmp_path):
    array = np.arange(9000 * 3).reshape(9000, 3).astype(dtype)
    path = pair(tmp_path, saved(array), "".join(f'{{"id":{number}}}\n' for number in range(9000)))
    for name in (path, path.replace("npy", "jsonl")):
        with open_vector_source(name) as source:
            assert (source.width, source.model) == (3, None)
            batches = list(source.read(with_vectors=True))
            again = [row for batch in source.read(with_vectors=False) for row in batch.rows]
        np.testing.assert_array_equal(np.concatenate([batch.vectors for batch in batches]), array)
        rows = [row for batch in batches for row in batch.rows]
        assert [row.id for row in rows] == [str(number) for number in range(9000)]
        assert rows == again


def test_version_2_and_no_rows_are_read(tmp_path):
    path = pair(
        tmp_path, header(GOOD, (2, 0)) + ROWS.tobytes(), '{"id":"a"}\n\n{"id":"b"}\n{"id":"c"}\n{"id":"d"}'
    )
    with open_vector_source(path) as source:
        (batch,) = source.read(with_vectors=True)
    assert [(row.id, row.line) for row in batch.rows] == [("a", 1), ("b", 3), ("c", 4), ("d", 5)]
    path = pair(tmp_path, saved(np.zeros((0, 3), dtype=np.float32)), "")
    with open_vector_source(path) as source:
        assert list(source.read(with_vectors=True)) == []


@pytest.mark.parametrize("lines", [3, 5, 0, 9000])
def test_other_than_one_line_a_vector_is_one_error(lines, tmp_path):
    path = pair(tmp_path, saved(ROWS), "{}\n" * lines)
    with open_vector_source(path) as source, pytest.raises(InputError, match=f"4 vectors, .* {lines} lines"):
        list(source.read(with_vectors=False))


def test_bad_lines_are_rows_of_their_own(tmp_path):
    path = pair(tmp_path, saved(ROWS), "")
    (tmp_path / "a.jsonl").write_bytes(b'{"id":"a"}\n{broken\n{"id":"\xff"}\n[' + b"[" * 50_000 + b"\n")
    with open_vector_source(path) as source:
        (batch,) = source.read(with_vectors=True)
    assert [isinstance(row, RefusedRow) for row in batch.rows] == [False, True, True, True]
    assert batch.rows[1].where == f"{tmp_path}/a.jsonl:2"
    assert len(batch.vectors) == 4


def test_files_are_told_by_their_content(tmp_path):
    assert beside("v1.2", ".npy") == "v1.2.npy"
    assert beside("a.NPY", ".jsonl") == "a.jsonl"
    (tmp_path / "v").write_bytes(saved(ROWS))
    (tmp_path / "v.jsonl").write_text("{}\n" * 4)
    with open_vector_source(str(tmp_path / "v")) as source:
        assert source.width == 3
    with pytest.raises(InputError, match="no .*w.jsonl beside it"):
        (tmp_path / "w.npy").write_bytes(saved(ROWS))
        open_vector_source(str(tmp_path / "w.npy")).__enter__()
    with pytest.raises(InputError, match="no .*x.txt.npy beside it"):
        (tmp_path / "x.txt").write_text("text")
        open_vector_source(str(tmp_path / "x.txt")).__enter__()
    with pytest.raises(InputError, match="no plain file"):
        open_vector_source(str(tmp_path)).__enter__()
    with pytest.raises(MissingPathError):
        open_vector_source(str(tmp_path / "none.npy")).__enter__()
    with pytest.raises(UsageError, match="no database of llm"):
        open_vector_source(str(tmp_path / "v"), "docs").__enter__()


# --- the database of llm

SCHEMA = """
CREATE TABLE [collections] ([id] INTEGER PRIMARY KEY, [name] TEXT, [model] TEXT);
CREATE TABLE "embeddings" ([collection_id] INTEGER REFERENCES [collections]([id]), [id] TEXT,
  [embedding] BLOB, [content] TEXT, [content_blob] BLOB, [content_hash] BLOB, [metadata] TEXT,
  [updated] INTEGER, PRIMARY KEY ([collection_id], [id]));
"""
VECTOR = np.array([1, 2, 3], dtype="<f4").tobytes()


def database(folder: Path, *statements: tuple[str, tuple[object, ...]], schema: str = SCHEMA) -> str:
    path = folder / "llm.db"
    connection = sqlite3.connect(path)
    connection.executescript(schema)
    for sql, values in statements:
        connection.execute(sql, values)
    connection.commit()
    connection.close()
    return str(path)


def collection(number: int, name: object, model: object = "m") -> tuple[str, tuple[object, ...]]:
    return "INSERT INTO collections VALUES (?, ?, ?)", (number, name, model)


def embedding(
    number: int, name: object, vector: object = VECTOR, content: object = None, metadata: object = None
) -> tuple[str, tuple[object, ...]]:
    return (
        "INSERT INTO embeddings (collection_id, id, embedding, content, metadata) VALUES (?, ?, ?, ?, ?)",
        (number, name, vector, content, metadata),
    )


def test_a_collection_is_read(tmp_path):
    path = database(
        tmp_path,
        collection(1, "docs", "a/model"),
        collection(2, "other"),
        embedding(2, "z"),
        embedding(1, "b", content="text é", metadata='{"n": 1, "text": "own", "vector": 3}'),
        embedding(1, "a"),
    )
    with open_vector_source(path, "docs") as source:
        assert (source.model, source.width, source.name) == ("a/model", 3, f"{path}: collection 'docs'")
        (batch,) = source.read(with_vectors=True)
        (bare,) = source.read(with_vectors=False)
    assert batch.rows == bare.rows
    first, second = batch.rows
    assert (first.id, first.text, first.fields, first.end) == ("b", "text é", {"n": 1, "text": "own"}, 6)
    assert (second.id, second.text, second.fields, second.line) == ("a", None, {}, 2)
    np.testing.assert_array_equal(batch.vectors, [[1, 2, 3]] * 2)
    assert batch.faults == {}


def test_bad_embeddings_are_faults_of_their_own(tmp_path):
    path = database(
        tmp_path,
        collection(1, "docs"),
        *(embedding(1, name) for name in "ab"),
        embedding(1, "odd", b"12345"),
        embedding(1, "short", b"1234"),
        embedding(1, "none", None),
        embedding(1, "words", "text of 12 c"),
        embedding(1, None),
        embedding(1, b"blob"),
    )
    with open_vector_source(path) as source:
        (batch,) = source.read(with_vectors=True)
    assert sorted(batch.faults) == [2, 3, 4, 5]
    assert "5 bytes" in batch.faults[2]
    assert "1 numbers, most have 3" in batch.faults[3]
    assert [isinstance(row, RefusedRow) for row in batch.rows] == [False] * 6 + [True] * 2
    assert not batch.vectors[2:6].any()


def test_a_collection_without_embeddings_has_no_width(tmp_path):
    with open_vector_source(database(tmp_path, collection(1, "docs"))) as source:
        assert source.width is None
        assert list(source.read(with_vectors=True)) == []


COLLECTIONS, EMBEDDINGS = SCHEMA.strip().split(";\n")[:2]
REAL = EMBEDDINGS.replace('"embeddings"', "real")


@pytest.mark.parametrize(
    "schema",
    [
        f"{COLLECTIONS}; {REAL}; CREATE VIEW embeddings AS SELECT * FROM real;",
        f"{EMBEDDINGS}; CREATE VIEW collections AS SELECT 1 AS id, 'docs' AS name, 'm' AS model;",
        f"{COLLECTIONS}; CREATE VIRTUAL TABLE embeddings USING fts5(collection_id, id, embedding, content, metadata);",
        f"{COLLECTIONS}; {EMBEDDINGS.replace('[embedding] BLOB', '[embedding] BLOB AS (zeroblob(12))')};",
        f"{COLLECTIONS}; {EMBEDDINGS.replace('[metadata] TEXT,', '')};",
        f"{COLLECTIONS};",
        "CREATE TABLE other (a);",
    ],
)
def test_what_is_no_plain_table_is_not_read(schema, tmp_path):
    path = database(tmp_path, schema=schema)
    with pytest.raises(InputError, match="no table"), open_vector_source(path, "docs"):
        pass


def test_the_file_is_not_written_to_and_damage_is_an_error(tmp_path):
    path = database(tmp_path, collection(1, "docs"), *(embedding(1, f"e{n}", bytes(3000)) for n in range(50)))
    before = Path(path).read_bytes()
    with open_vector_source(path) as source:
        assert len([row for batch in source.read(with_vectors=True) for row in batch.rows]) == 50
        with pytest.raises(
            sqlite3.OperationalError, match="readonly|read-only|not authorized|attempt to write"
        ):
            source._connection.execute("DELETE FROM embeddings")
    assert Path(path).read_bytes() == before
    Path(path).write_bytes(before[:8192] + b"\xff" * 60_000 + before[68_192:])
    with pytest.raises(InputError, match=r"llm\.db"), open_vector_source(path) as source:
        list(source.read(with_vectors=True))


@given(st.none() | st.binary() | st.integers() | st.text() | JSON.map(json.dumps))
def test_metadata_become_fields_and_nothing_is_lost(metadata):
    fields = metadata_fields(metadata)
    assert not set(fields) & {"vector", "vector_model", "vector_dtype", "vector_scale"}
    if not isinstance(metadata, str) or not metadata:
        assert fields == {}
        return
    try:
        value = json.loads(metadata)
    except ValueError:
        assert fields == {"metadata": metadata}
        return
    if isinstance(value, dict):
        about = {"vector", "vector_model", "vector_dtype", "vector_scale"}
        assert fields == {name: item for name, item in value.items() if name not in about}
    else:
        assert fields == {"metadata": value}


def test_metadata_that_python_wrote_are_json():
    assert metadata_fields('{"a": NaN, "b": [-Infinity]}') == {"a": None, "b": [None]}
    assert metadata_fields("[" * 100_000) == {"metadata": "[" * 100_000}


@given(st.lists(st.sampled_from("abc"), max_size=4), st.none() | st.sampled_from("abcd"))
def test_a_collection_is_chosen_only_where_it_is_clear(names, wanted):
    there = [Collection(number, name, "m") for number, name in enumerate(names)]
    fitting = [each for each in there if wanted is None or each.name == wanted]
    if len(fitting) == 1:
        assert choose_collection("x", there, wanted) == fitting[0]
        return
    with pytest.raises(InputError) as caught:
        choose_collection("x", there, wanted)
    assert all(repr(name) in caught.value.hint for name in names)


# --- Parquet


def test_parquet_of_others_is_read(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    vectors = [[1.0, 2.0], [3.0, 4.0], None, [5.0], [6.0, None], [7.0, 8.0]]
    table = pa.table(
        {
            "id": ["a", "b", "c", "d", "e", None],
            "vector": pa.array(vectors, pa.list_(pa.float32())),
            "n": [1, None, 3, 4, 5, 6],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    with open_vector_source(str(tmp_path / "a.parquet")) as source:
        assert (source.width, source.dtype) == (2, np.float32)
        (batch,) = source.read(with_vectors=True)
        (bare,) = source.read(with_vectors=False)
    assert batch.rows == bare.rows
    assert [row.id for row in batch.rows] == ["a", "b", "c", "d", "e", "6"]
    assert [row.fields for row in batch.rows[:2]] == [{"n": 1}, {"n": None}]
    assert sorted(batch.faults) == [2, 3, 4]
    np.testing.assert_array_equal(batch.vectors[[0, 1, 5]], [[1, 2], [3, 4], [7, 8]])


def test_parquet_of_vectors_alone_is_read(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    column = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(6, dtype=np.float16)), 2)
    pq.write_table(pa.table({"vector": column}), tmp_path / "a.parquet")
    with open_vector_source(str(tmp_path / "a.parquet")) as source:
        (batch,) = source.read(with_vectors=True)
        assert sum(len(bare.rows) for bare in source.read(with_vectors=False)) == 3
    assert (batch.vectors.dtype, [row.id for row in batch.rows]) == (np.float16, ["1", "2", "3"])


@pytest.mark.parametrize("column", [["a"], [1.0], [["a"]], [[1]]])
def test_parquet_without_vectors_is_one_error(column, tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"vector": column}), tmp_path / "a.parquet")
    with (
        pytest.raises(InputError, match="no column 'vector'"),
        open_vector_source(str(tmp_path / "a.parquet")),
    ):
        pass
    (tmp_path / "b").write_bytes((tmp_path / "a.parquet").read_bytes()[:50])
    with (
        pytest.raises(InputError, match="cannot be read as Parquet"),
        open_vector_source(str(tmp_path / "b")),
    ):
        pass
