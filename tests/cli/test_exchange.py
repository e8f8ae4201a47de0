"""`embedcli index export` and `embedcli index import`, as real processes."""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import resource
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Finished, Program

Write = Callable[..., Path]

LONG = " ".join(
    f"Sentence {number} of a long report speaks of bread, taxes and servers." for number in range(60)
)
PARAGRAPHS = "\n\n".join(
    f"Paragraph {number} tells of {word} things, and of nothing else than {word} things, é 漢字 \U0001f600 {number}."
    for number, word in enumerate(["red", "green", "blue", "late", "early"])
)
QUERIES = ("bread and water", "when is the tax due")
NAMED = {"query", "rank", "score", "cosine", "id", "chunk", "path", "line", "end_line", "text"}


@pytest.fixture
def corpus(program: Program, write: Write) -> Program:
    """An index `x.emb` of text, CSV and JSONL: chunks, fields, awkward characters, one id in two files."""
    write("docs/a.md", f"# Bread\n\nMix flour and water.\n\n{PARAGRAPHS}\n")
    write(
        "docs/deep/b.txt", "  Control \x01\x1b[31m characters\x7f, \u2028 and \u202e, in one line of text.\n"
    )
    write(os.fsdecode(b"docs/not-utf8-\xff.txt"), "A file whose name is not UTF-8.\n")
    write("t.csv", 'id,text,note\n1,hello world,"x, ""y"""\n2,"two\nlines",=1+1\n')
    rows = [
        {"id": "1", "text": "a tax form", "start": 1.5, "end": 9, "tags": ["a", {"b": None}], "n": 2**70},
        {"id": "long", "text": LONG, "path": "own path", "n": None, "chunk": "mine"},
        {"id": 5, "text": "half a pair \ud83d and a NUL \u0000 \u001f", "vector_note": 1},
    ]
    write("x.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    program("index", "build", "-i", "x.emb", "docs", "t.csv", "x.jsonl", "--text", "-q").ok()
    return program


def export(program: Program, *arguments: object, **options: Any) -> Finished:
    return program("index", "export", *arguments, **options)


def take(program: Program, *arguments: object, **options: Any) -> dict[str, Any]:
    """Import, and return the counts."""
    program("index", "import", *arguments, "--stats-json", "s.json", **options).ok()
    counts: dict[str, Any] = json.loads((program.folder / "s.json").read_text())
    return counts


def hits(program: Program, index: str, query: str) -> list[dict[str, Any]]:
    # What is imported are records, of which a search shows one chunk each unless it is told otherwise.
    return program("search", query, "-n", 10_000, "--by", "chunk", "--json", "-i", index).ok().objects


def comparable(found: list[dict[str, Any]], shared: set[str]) -> list[tuple[str, str, int, str, float]]:
    """Return what a copy must have too: id (with its path where it is shared), chunk, text, own fields, cosine."""
    rows = []
    for hit in found:
        name = f"{hit['path']}#{hit['id']}" if hit["id"] in shared and hit["path"] else hit["id"]
        own = {key: value for key, value in hit.items() if key not in NAMED}
        rows.append((name, hit["text"], hit["chunk"], json.dumps(own, sort_keys=True), hit["cosine"]))
    return sorted(rows)


def assert_same(program: Program, index: str, copy: str, shared: set[str]) -> None:
    """Check that two indexes answer alike."""
    for query in QUERIES:
        wanted = comparable(hits(program, index, query), shared)
        found = comparable(hits(program, copy, query), shared)
        assert [row[:-1] for row in found] == [row[:-1] for row in wanted]
        np.testing.assert_allclose([row[-1] for row in found], [row[-1] for row in wanted], rtol=0, atol=1e-6)


def lines(program: Program, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (program.folder / name).read_bytes().splitlines()]


def status(program: Program, index: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(program("index", "status", "-i", index, "--json").ok().out)
    return facts


@pytest.mark.parametrize("form", ["npy", "parquet"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "binary"])
def test_a_round_trip_changes_nothing_that_a_search_shows(corpus: Program, form: str, dtype: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    shared = {"1"}
    export(corpus, "-i", "x.emb", "-o", "out", "--to", form).ok()
    first = take(corpus, f"out.{form}", "-i", "y.emb", "--dtype", dtype)
    assert first["records_added"] == status(corpus, "x.emb")["records"] == 8
    assert first["encoded"] == 0
    if dtype == "float16":
        assert_same(corpus, "x.emb", "y.emb", shared)
    assert status(corpus, "y.emb")["dtype"] == dtype
    # From here on nothing may change at all, whatever the dtype: it is taken from the vectors.
    export(corpus, "-i", "y.emb", "-o", "again", "--to", form).ok()
    take(corpus, f"again.{form}", "-i", "z.emb")
    assert status(corpus, "z.emb")["dtype"] == dtype
    assert_same(corpus, "y.emb", "z.emb", shared)
    export(corpus, "-i", "z.emb", "-o", "third", "--to", "npy").ok()
    export(corpus, "-i", "y.emb", "-o", "again", "--to", "npy").ok()
    assert (corpus.folder / "again.npy").read_bytes() == (corpus.folder / "third.npy").read_bytes()
    assert lines(corpus, "again.jsonl") == lines(corpus, "third.jsonl")
    corpus("index", "check", "-i", "z.emb").ok()


def test_an_export_says_all_of_each_vector(corpus: Program) -> None:
    done = export(corpus, "-i", "x.emb", "-o", "out").ok()
    assert done.out == b""
    assert (
        done.err
        == f"out.npy, out.jsonl: {status(corpus, 'x.emb')['chunks']} vectors of 384 numbers, float16\n"
    )
    rows = lines(corpus, "out.jsonl")
    array = np.load(corpus.folder / "out.npy", allow_pickle=False)
    assert (array.shape, array.dtype) == ((len(rows), 384), np.float16)
    (bread,) = (row for row in rows if row["id"] == "a.md" and row["chunk"] == 1)
    text = (corpus.folder / "docs/a.md").read_text()
    assert list(bread) == [
        "id", "chunk", "path", "line", "end_line", "start", "end", "text", "vector_model", "vector_dtype",
    ]  # fmt: skip
    assert text[bread["start"] : bread["end"]] == bread["text"]
    assert bread["path"] == "docs/a.md"
    embedded = corpus("embed", "--string", bread["text"]).ok().objects[0]
    assert bread["vector_model"] == embedded["vector_model"]
    np.testing.assert_allclose(array[rows.index(bread)], embedded["vector"], atol=1e-3)
    (form,) = (row for row in rows if row.get("text") == "a tax form")
    assert list(form)[8:] == ["tags", "n", "own_fields", "vector_model", "vector_dtype"]
    assert (form["start"], form["end"], form["own_fields"]) == (0, 10, {"start": 1.5, "end": 9})
    assert form["n"] == 2**70
    parts = [row for row in rows if row["id"] == "long"]
    assert len(parts) > 2
    assert [row["chunk"] for row in parts] == list(range(1, len(parts) + 1))
    assert all(LONG[row["start"] : row["end"]] == row["text"] for row in parts)
    assert b"\\udcff" in (corpus.folder / "out.jsonl").read_bytes(), "a name that is not UTF-8"


def test_what_was_deleted_or_changed_is_left_out(corpus: Program) -> None:
    (corpus.folder / "docs/deep/b.txt").unlink()
    (corpus.folder / "docs/a.md").write_text("Only this sentence is left of it.\n")
    corpus("index", "build", "-i", "x.emb", "-q").ok()
    facts = status(corpus, "x.emb")
    assert facts["deleted"] > 0
    export(corpus, "-i", "x.emb", "-o", "out", "-q").ok()
    rows = lines(corpus, "out.jsonl")
    assert len(np.load(corpus.folder / "out.npy")) == len(rows) == facts["chunks"]
    assert [row["text"] for row in rows if row["id"] == "a.md"] == ["Only this sentence is left of it."]


def test_without_text_no_text_gets_out(program: Program, write: Write) -> None:
    write("docs/a.txt", "A secret sentence.\n")
    row = {
        "id": "t",
        "subject": "A secret subject.",
        "body": "A secret body.",
        "text": "A secret text.",
        "n": 1,
    }
    write("t.jsonl", json.dumps(row) + "\n")
    write("t.csv", "n,what\n7,A secret cell.\n")
    program("index", "build", "-i", "x.emb", "docs", "-q").ok()
    program("index", "build", "-i", "x.emb", "t.jsonl", "--field", "subject", "--field", "body", "-q").ok()
    program("index", "build", "-i", "x.emb", "t.csv", "--column", "2", "-q").ok()
    for form in ("npy", "parquet"):
        export(program, "-i", "x.emb", "-o", "out", "--no-text", "--to", form).ok()
        take(program, f"out.{form}", "-i", f"{form}.emb")
        assert len(hits(program, f"{form}.emb", "secret")) == 3
        assert all(hit["text"] is None for hit in hits(program, f"{form}.emb", "secret"))
        assert {hit.get("n") for hit in hits(program, f"{form}.emb", "secret")} == {None, 1, "7"}
    for path in program.folder.glob("*.emb"):
        assert (b"secret" in path.read_bytes()) == (path.name == "x.emb"), path
    for path in program.folder.glob("out.*"):
        assert b"secret" not in path.read_bytes(), path


def test_an_index_without_text_is_exported_and_taken_back(program: Program, write: Write) -> None:
    write("docs/a.txt", f"{PARAGRAPHS}\n")
    program("index", "build", "-i", "x.emb", "docs", "--no-text", "-q").ok()
    export(program, "-i", "x.emb", "-o", "out").ok()
    rows = lines(program, "out.jsonl")
    assert [row["text"] for row in rows] == [None] * status(program, "x.emb")["chunks"]
    assert "\n\n".join(PARAGRAPHS[row["start"] : row["end"]] for row in rows) == PARAGRAPHS
    take(program, "out.npy", "-i", "y.emb")
    assert {hit["text"] for hit in hits(program, "y.emb", "red")} == {None}
    refused = program("index", "import", "out.npy", "-i", "z.emb", "--encode")
    assert (refused.code, "no texts to encode" in refused.err) == (2, True)
    assert not (program.folder / "z.emb").exists()


def test_the_name_of_an_export_says_its_form(corpus: Program) -> None:
    for given, there in (
        (("-o", "a.npy"), {"a.npy", "a.jsonl"}),
        (("-o", "b.parquet"), {"b.parquet"}),
        (("-o", "c.npy", "--to", "parquet"), {"c.npy.parquet"}),
        (("-o", "d.v2"), {"d.v2.npy", "d.v2.jsonl"}),
    ):
        before = {path.name for path in corpus.folder.iterdir()}
        export(corpus, "-i", "x.emb", *given).ok()
        assert {path.name for path in corpus.folder.iterdir()} - before == there
    for name in ("-", "new/", ".", ".."):
        assert export(corpus, "-i", "x.emb", "-o", name).code == 2
    assert export(corpus, "-i", "x.emb", "-o", "none/out").code == 2
    assert export(corpus, "-i", "x.emb", "-o", "out", "--to", "csv").code == 2
    assert export(corpus, "-i", "x.emb").code == 2


def test_an_export_writes_over_no_file_of_its_index(corpus: Program) -> None:
    before = (corpus.folder / "x.jsonl").read_bytes()
    done = export(corpus, "-i", "x.emb", "-o", "x")
    assert (done.code, "x.jsonl belongs to the index" in done.err) == (2, True)
    assert (corpus.folder / "x.jsonl").read_bytes() == before
    assert not (corpus.folder / "x.npy").exists()


def limited() -> None:
    """Let no file grow beyond 4 KiB: writing then fails as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


@pytest.mark.parametrize("form", ["npy", "parquet"])
def test_a_full_disk_leaves_what_was_there(corpus: Program, write: Write, form: str) -> None:
    names = ("out.npy", "out.jsonl") if form == "npy" else ("out.parquet",)
    for name in names:
        write(name, "old")
    before = {path.name for path in corpus.folder.iterdir()}
    # Coverage could not write its own file either.
    bare = dict.fromkeys((key for key in os.environ if key.startswith("COV")), "")
    done = export(corpus, "-i", "x.emb", "-o", "out", "--to", form, preexec_fn=limited, env=bare)
    assert (done.code, "cannot write to out." in done.err) == (2, True), done.err
    assert {path.name for path in corpus.folder.iterdir()} == before
    assert [(corpus.folder / name).read_text() for name in names] == ["old"] * len(names)


def test_a_damaged_index_is_not_exported(corpus: Program) -> None:
    path = corpus.folder / "x.emb"
    content = path.read_bytes()
    at = content.index(b"Paragraph 3 tells")
    path.write_bytes(content[:at] + b"paragraph" + content[at + 9 :])
    done = export(corpus, "-i", "x.emb", "-o", "out")
    assert (done.code, "damaged: row" in done.err) == (2, True)
    assert not list(corpus.folder.glob("out*"))


def test_no_index_is_an_error(program: Program) -> None:
    assert export(program, "-i", "none.emb", "-o", "out").code == 2
    assert program("index", "import", "none.npy", "-i", "x.emb").code == 2
    assert not list(program.folder.iterdir())


# --- import


@pytest.fixture
def small(program: Program, write: Write) -> Program:
    """`a.npy` and `a.jsonl`: three records of one chunk, and the texts they are of."""
    write("a.txt", "my dog\na tax form\na loaf of bread\n")
    program("embed", "a.txt", "-o", "a.npy").ok()
    model = program("embed", "a.txt").ok().objects[0]["vector_model"]
    rows = [
        {"id": name, "text": text, "vector_model": model}
        for name, text in zip("abc", (program.folder / "a.txt").read_text().splitlines(), strict=True)
    ]
    write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return program


def save(program: Program, name: str, array: np.ndarray) -> None:
    np.save(program.folder / name, array, allow_pickle=True)


def change(program: Program, number: int, **fields: object) -> None:
    """Set fields of a line of `a.jsonl`; None takes a field out."""
    rows = lines(program, "a.jsonl")
    rows[number].update(fields)
    rows[number] = {key: value for key, value in rows[number].items() if value is not None}
    (program.folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_vectors_are_used_as_they_are_and_records_replaced(small: Program) -> None:
    counts = take(small, "a.npy", "-i", "x.emb")
    assert (counts["records_added"], counts["encoded"], counts["cached"], counts["written"]) == (3, 0, 3, 3)
    assert hits(small, "x.emb", "puppy")[0]["text"] == "my dog"
    assert status(small, "x.emb")["commit"] > 0
    again = take(small, "a.jsonl", "-i", "x.emb")
    assert (again["records_unchanged"], again["written"]) == (3, 0)
    array = np.load(small.folder / "a.npy")
    array[1] = array[2]
    save(small, "a.npy", array)
    change(small, 2, note="new")
    changed = take(small, "a.npy", "-i", "x.emb")
    assert (changed["records_replaced"], changed["records_unchanged"], changed["written"]) == (2, 1, 1)
    found = {hit["id"]: hit for hit in hits(small, "x.emb", "bread")}
    assert len(found) == 3
    assert abs(found["b"]["cosine"] - found["c"]["cosine"]) < 1e-6
    assert (found["c"]["note"], found["b"].get("note")) == ("new", None)
    facts = status(small, "x.emb")
    assert (facts["records"], facts["chunks"], facts["deleted"], facts["partial"]) == (3, 3, 1, 0)


def test_lengths_and_kinds_of_numbers_do_not_matter(small: Program) -> None:
    take(small, "a.npy", "-i", "x.emb")
    array = np.load(small.folder / "a.npy").astype(np.float64) * [[1e200], [1e-200], [3]]
    for dtype in ("<f8", ">f8"):
        save(small, "a.npy", array.astype(dtype))
        take(small, "a.npy", "-i", "y.emb")
        assert_same(small, "x.emb", "y.emb", set())


def test_they_are_records_of_standard_input(small: Program, write: Write) -> None:
    write("docs/d.txt", "a fast car\n")
    small("index", "build", "-i", "x.emb", "docs", "-q").ok()
    take(small, "a.npy", "-i", "x.emb")
    small("index", "build", "-i", "x.emb", "-q").ok()
    assert {hit["id"]: hit["path"] for hit in hits(small, "x.emb", "dog")} == {
        "a": None, "b": None, "c": None, "d.txt": "docs/d.txt",
    }  # fmt: skip
    row = json.dumps({"id": "a", "text": "a black cat"}).encode()
    small("index", "build", "-i", "x.emb", "-", "-q", stdin=row).ok()
    assert hits(small, "x.emb", "kitten")[0]["text"] == "a black cat"
    assert status(small, "x.emb")["records"] == 4
    small("index", "build", "-i", "x.emb", "-", "--prune", "-q", stdin=row).ok()
    assert {hit["id"] for hit in hits(small, "x.emb", "dog")} == {"a", "d.txt"}


def test_paths_and_lines_become_fields_and_shared_ids_carry_their_path(small: Program) -> None:
    for number, path in enumerate(("p", "q", None)):
        change(small, number, id="same", path=path, line=number + 7)
    take(small, "a.npy", "-i", "x.emb")
    found = {hit["id"]: hit for hit in hits(small, "x.emb", "dog")}
    assert sorted(found) == ["p#same", "q#same", "same"]
    assert [found[name]["line"] for name in sorted(found)] == [7, 8, 9]
    export(small, "-i", "x.emb", "-o", "out").ok()
    assert [row.get("own_fields") for row in lines(small, "out.jsonl")] == [
        {"path": "p", "line": 7, "end_line": 7}, {"path": "q", "line": 8, "end_line": 8}, None,
    ]  # fmt: skip
    change(small, 2, path="q")
    refused = small("index", "import", "a.npy", "-i", "y.emb")
    assert (refused.code, "a.jsonl:3: a record before it has the same id 'q#same'" in refused.err) == (
        3,
        True,
    )
    assert [hit["text"] for hit in hits(small, "y.emb", "tax form")] == ["a tax form", "my dog"]


def test_bad_records_are_named_and_the_others_go_in(small: Program) -> None:
    array = np.load(small.folder / "a.npy")
    array[0, 5], array[1] = np.nan, 0
    save(small, "a.npy", array)
    done = small("index", "import", "a.npy", "-i", "x.emb", "--stats-json", "s.json")
    assert done.code == 3
    assert "a.jsonl:1: its vector holds a value that is no finite number" in done.err
    assert "a.jsonl:2: its vector is all zeros" in done.err
    counts = json.loads((small.folder / "s.json").read_text())
    assert (counts["records_added"], counts["records_refused"], counts["skipped"]) == (1, 2, 2)
    assert [hit["id"] for hit in hits(small, "x.emb", "x")] == ["c"]
    quiet = small("index", "import", "a.npy", "-i", "x.emb", "-q")
    assert (quiet.code, len(quiet.err.splitlines())) == (3, 2)


def test_a_record_with_one_bad_chunk_is_refused_whole(small: Program) -> None:
    for number in range(3):
        change(small, number, id="one", chunk=number + 1)
    array = np.load(small.folder / "a.npy")
    array[1] = np.inf
    save(small, "a.npy", array)
    done = small("index", "import", "a.npy", "-i", "x.emb")
    assert (done.code, done.err.count("a.jsonl:")) == (3, 1)
    assert status(small, "x.emb")["chunks"] == 0


class Explosive:
    """Unpickled, it leaves a file behind."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("exploded",))


def test_hostile_files_are_one_error_and_leave_nothing(small: Program, write: Write) -> None:
    array, good = np.load(small.folder / "a.npy"), (small.folder / "a.npy").read_bytes()
    text = (small.folder / "a.jsonl").read_text()
    claim = good.replace(b"(3, 384)", b"(%d, 384)" % (1 << 40))
    end = claim.index(b"\n", 100) - good.index(b"\n", 100)
    claim = claim.replace(b" " * end + b"\n", b"\n", 1)
    np.save(small.folder / "objects.npy", np.array([[Explosive()]], dtype=object), allow_pickle=True)
    cases = {
        "pickled": ((small.folder / "objects.npy").read_bytes(), text, "object"),
        "pickle alone": (pickle.dumps(Explosive()), text, "no .npy file"),
        "truncated": (good[:-1], text, "take 4608 bytes, it holds 4607"),
        "2**40 rows": (claim, text, f"{1 << 40} rows"),
        "fewer lines": (good, text[: text.rindex("{")], "3 vectors, a.jsonl 2 lines"),
        "more lines": (good, text + '{"id":"d"}\n', "3 vectors, a.jsonl 4 lines"),
    }
    (small.folder / "objects.npy").unlink()
    for name, (vectors, rows, message) in cases.items():
        write("a.npy", vectors)
        write("a.jsonl", rows)
        done = small("index", "import", "a.jsonl", "-i", "x.emb")
        assert (done.code, done.err.count("embedcli:")) == (2, 1), (name, done.err)
        assert message in done.err, name
    write("a.jsonl", text)
    for shape in ((3, 383), (3, 385), (3, 48), (384, 3)):
        save(small, "a.npy", np.resize(array, shape))
        write("a.jsonl", "{}\n" * shape[0])
        done = small("index", "import", "a.npy", "-i", "x.emb")
        assert (done.code, f"{shape[1]} numbers, this run needs 384" in done.err) == (2, True), done.err
    assert {path.name for path in small.folder.iterdir()} == {"a.txt", "a.npy", "a.jsonl"}


def test_vectors_of_another_model_are_refused_with_both_named(small: Program) -> None:
    ours = lines(small, "a.jsonl")[1]["vector_model"]
    change(small, 1, vector_model="other:fp32:0123456789ab")
    done = small("index", "import", "a.npy", "-i", "x.emb")
    assert done.code == 2
    assert f"a.jsonl:2: its vector is from other:fp32:0123456789ab, this run uses {ours}" in done.err
    assert not (small.folder / "x.emb").exists()
    counts = take(small, "a.npy", "-i", "x.emb", "--encode")
    assert (counts["encoded"], counts["records_added"]) == (3, 3)
    for number in range(3):
        change(small, number, vector_model=None)
    unsaid = small("index", "import", "a.npy", "-i", "y.emb").ok()
    assert "does not say which model it is from" in unsaid.err
    assert_same(small, "x.emb", "y.emb", set())


def test_encoding_reuses_and_replaces(small: Program) -> None:
    array = np.load(small.folder / "a.npy")
    save(small, "a.npy", array[::-1])
    take(small, "a.npy", "-i", "x.emb")
    assert hits(small, "x.emb", "puppy")[0]["id"] == "c", "as the vectors say"
    counts = take(small, "a.npy", "-i", "x.emb", "--encode")
    assert (counts["records_replaced"], counts["encoded"]) == (3, 3)
    assert hits(small, "x.emb", "puppy")[0]["id"] == "a"
    again = take(small, "a.npy", "-i", "x.emb", "--encode")
    assert (again["records_unchanged"], again["encoded"]) == (3, 0)
    assert status(small, "x.emb")["chunks"] == 3
    change(small, 0, text=" ")
    refused = small("index", "import", "a.npy", "-i", "y.emb", "--encode")
    assert (refused.code, "a.jsonl:1: has no text to encode" in refused.err) == (3, True)
    assert status(small, "y.emb")["records"] == 2


def test_shorter_vectors_need_an_index_of_that_dimension(small: Program) -> None:
    array = np.load(small.folder / "a.npy")
    take(small, "a.npy", "-i", "x.emb", "--dim", "100")
    save(small, "a.npy", array[:, :100])
    assert small("index", "import", "a.npy", "-i", "y.emb").code == 2
    take(small, "a.npy", "-i", "y.emb", "--dim", "100")
    assert_same(small, "x.emb", "y.emb", set())
    assert take(small, "a.npy", "-i", "x.emb")["records_unchanged"] == 3
    save(small, "a.npy", array)
    assert small("index", "import", "a.npy", "-i", "x.emb", "--dim", "384").code == 2


def test_an_index_keeps_its_dtype(small: Program) -> None:
    take(small, "a.npy", "-i", "x.emb", "--dtype", "float32")
    take(small, "a.npy", "-i", "x.emb")
    done = small("index", "import", "a.npy", "-i", "x.emb", "--dtype", "int8")
    assert (done.code, "built with dtype 'float32', this run has 'int8'" in done.err) == (2, True)
    assert small("index", "import", "a.npy", "-i", "y.emb", "--dtype", "uint8").code == 2
    assert small("index", "import", "a.npy").code == 2
    assert small("index", "import", "-", "-i", "y.emb").code == 2
    assert not (small.folder / "y.emb").exists()


def test_nothing_is_imported_from_an_empty_pair(small: Program, write: Write) -> None:
    save(small, "a.npy", np.zeros((0, 384), dtype=np.float16))
    write("a.jsonl", "")
    assert take(small, "a.npy", "-i", "x.emb")["records_added"] == 0
    export(small, "-i", "x.emb", "-o", "out").ok()
    assert np.load(small.folder / "out.npy").shape == (0, 384)
    assert (small.folder / "out.jsonl").read_bytes() == b""


def test_a_second_writer_is_exit_75(small: Program) -> None:
    with (small.folder / "x.emb.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = small("index", "import", "a.npy", "-i", "x.emb")
        waited = small("index", "import", "a.npy", "-i", "x.emb", "--lock-timeout", "0.2")
    assert (done.code, waited.code) == (75, 75)
    assert not (small.folder / "x.emb").exists()


def many(program: Program, count: int) -> np.ndarray:
    """Write `m.npy` and `m.jsonl` with so many records of two chunks."""
    vectors = np.random.default_rng(0).normal(size=(2 * count, 384)).astype(np.float32)
    np.save(program.folder / "m.npy", vectors)
    rows = [
        {"id": f"r{number // 2}", "chunk": number % 2 + 1, "text": f"Text {number}."}
        for number in range(2 * count)
    ]
    (program.folder / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return vectors


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_stopped_import_keeps_what_was_committed_and_goes_on(
    program: Program, number: int, code: int
) -> None:
    count = 8_000
    many(program, count)
    process = program.start("index", "import", "m.npy", "-i", "x.emb", "-q")
    path = program.folder / "x.emb"
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        # Pages come into the file itself only after a commit.
        if path.exists() and path.stat().st_size > 4_000_000:
            break
        time.sleep(0.005)
    process.send_signal(number)
    assert process.wait(timeout=60) == code
    facts = status(program, "x.emb")
    assert 0 < facts["records"] < count
    assert facts["chunks"] == 2 * facts["records"]
    counts = take(program, "m.npy", "-i", "x.emb")
    assert counts["records_unchanged"] == facts["records"]
    assert counts["records_added"] == count - facts["records"]
    facts = status(program, "x.emb")
    assert (facts["records"], facts["chunks"], facts["deleted"], facts["partial"]) == (count, 2 * count, 0, 0)
    program("index", "check", "-i", "x.emb", "--no-encode").ok()


# --- the database of llm

SCHEMA = """
CREATE TABLE [collections] ([id] INTEGER PRIMARY KEY, [name] TEXT, [model] TEXT);
CREATE TABLE "embeddings" ([collection_id] INTEGER REFERENCES [collections]([id]), [id] TEXT,
  [embedding] BLOB, [content] TEXT, [content_blob] BLOB, [content_hash] BLOB, [metadata] TEXT,
  [updated] INTEGER, PRIMARY KEY ([collection_id], [id]));
"""


def llm_database(program: Program, **collections: str) -> sqlite3.Connection:
    """Write `llm.db` with collections, by name and model, each of the same three vectors."""
    path = program.folder / "llm.db"
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA)
    vectors = np.load(program.folder / "a.npy").astype("<f4")
    rows = lines(program, "a.jsonl")
    for number, (name, model) in enumerate(collections.items(), start=1):
        connection.execute("INSERT INTO collections VALUES (?, ?, ?)", (number, name, model))
        connection.executemany(
            "INSERT INTO embeddings (collection_id, id, embedding, content, metadata) VALUES (?, ?, ?, ?, ?)",
            [
                (number, row["id"], vector.tobytes(), row["text"], json.dumps({"n": row["id"]}))
                for row, vector in zip(rows, vectors, strict=True)
            ],
        )
    connection.commit()
    return connection


SOURCE = "sentence-transformers/all-MiniLM-L6-v2"


def test_a_database_of_llm_is_taken_over(small: Program) -> None:
    llm_database(small, docs=SOURCE).close()
    before = (small.folder / "llm.db").read_bytes()
    shutil.move(small.folder / "llm.db", small.folder / "embeddings.txt")
    done = small("index", "import", "embeddings.txt", "-i", "x.emb").ok()
    assert done.err.count("another export of the same model") == 1
    take(small, "a.npy", "-i", "y.emb")
    for query in QUERIES:
        wanted, found = hits(small, "y.emb", query), hits(small, "x.emb", query)
        assert [hit["n"] for hit in found] == [hit["id"] for hit in wanted]
        assert [(hit["id"], hit["text"], hit["cosine"]) for hit in found] == [
            (hit["id"], hit["text"], hit["cosine"]) for hit in wanted
        ]
    assert (small.folder / "embeddings.txt").read_bytes() == before
    assert take(small, "embeddings.txt", "-i", "x.emb")["records_unchanged"] == 3
    assert take(small, "embeddings.txt", "-i", "x.emb", "--encode")["encoded"] == 3


def test_a_database_in_wal_mode_is_read(small: Program) -> None:
    connection = llm_database(small, docs="all-MiniLM-L6-v2")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("DELETE FROM embeddings WHERE id = 'b'")
    connection.commit()
    assert take(small, "llm.db", "-i", "x.emb")["records_added"] == 2
    connection.close()


def test_the_collection_and_its_model_must_be_clear(small: Program) -> None:
    llm_database(small, docs="all-MiniLM-L6-v2", other="ada-002").close()
    done = small("index", "import", "llm.db", "-i", "x.emb")
    assert (done.code, "hint: --collection NAME; there are: 'docs', 'other'" in done.err) == (2, True)
    assert small("index", "import", "llm.db", "--collection", "none", "-i", "x.emb").code == 2
    done = small("index", "import", "llm.db", "--collection", "other", "-i", "x.emb")
    assert (done.code, "from 'ada-002', this run uses all-MiniLM-L6-v2:int8:" in done.err) == (2, True)
    assert "--accept-model" in done.err
    assert not (small.folder / "x.emb").exists()
    take(small, "llm.db", "--collection", "other", "--accept-model", "-i", "x.emb")
    take(small, "llm.db", "--collection", "docs", "-i", "y.emb")
    assert_same(small, "x.emb", "y.emb", set())
    assert small("index", "import", "a.npy", "--collection", "docs", "-i", "x.emb").code == 2


def test_hostile_databases_run_nothing(small: Program) -> None:
    connection = llm_database(small, docs=SOURCE)
    connection.execute("UPDATE embeddings SET embedding = substr(embedding, 2) WHERE id = 'b'")
    connection.commit()
    done = small("index", "import", "llm.db", "-i", "x.emb")
    assert (done.code, "llm.db: 'b': its vector has 1535 bytes" in done.err) == (3, True)
    assert status(small, "x.emb")["records"] == 2
    connection.executescript(
        "ALTER TABLE embeddings RENAME TO real; CREATE VIEW embeddings AS SELECT * FROM real;"
    )
    connection.close()
    done = small("index", "import", "llm.db", "-i", "y.emb")
    assert (done.code, "no table 'embeddings'" in done.err) == (2, True)
    take(small, "a.npy", "-i", "z.emb")
    done = small("index", "import", "z.emb", "-i", "y.emb")
    assert (done.code, "embedcli index export" in done.err) == (2, True)
    assert not (small.folder / "y.emb").exists()


def test_a_shorter_collection_is_one_error(small: Program) -> None:
    connection = llm_database(small, docs=SOURCE)
    connection.execute("UPDATE embeddings SET embedding = substr(embedding, 1, 400)")
    connection.commit()
    connection.close()
    done = small("index", "import", "llm.db", "-i", "x.emb")
    assert (done.code, "100 numbers, this run needs 384" in done.err) == (2, True)
    assert not (small.folder / "x.emb").exists()
