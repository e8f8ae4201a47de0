"""`embedcli index list`, `remove`, `compact` and `check`, as real processes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from embedcli.index.checksum import row_hash
from embedcli.records.fingerprint import text_hash
from tests.conftest import Finished, Program, without_privileges

Write = Callable[..., Path]

DOCS = {
    "docs/bread.md": "# Bread\n\nMix flour and water, rest the dough over night and bake it hot.\n",
    "docs/notes/dog.txt": "My dog chased the cat through the garden.\n",
    "docs/notes/disk.txt": "The disk was full, because old log files were never deleted.\n",
    "docs/notes2/tax.txt": "The quarterly tax payment is due on the tenth of March.\n",
}
PAGE_BYTES = 8192


@pytest.fixture
def docs(write: Write) -> None:
    for name, text in DOCS.items():
        write(name, text)


def build(program: Program, *arguments: object, **options: Any) -> Finished:
    return program("index", "build", *arguments, "-q", **options).ok()


def care(program: Program, verb: str, *arguments: object, **options: Any) -> Finished:
    """Run one of the commands on `x.emb`."""
    return program("index", verb, "-i", "x.emb", *arguments, **options)


def listed(program: Program) -> list[str]:
    return [source["path"] for source in care(program, "list", "--json").ok().objects]


def hits(program: Program, query: str = "a puppy ran after a kitten", *options: object) -> list[Any]:
    return program("search", query, "-i", "x.emb", "--json", "-n", 100, *options).ok().objects


def send(program: Program, *rows: dict[str, Any]) -> None:
    """Build with records from standard input."""
    build(program, "-i", "x.emb", "-", stdin="".join(json.dumps(row) + "\n" for row in rows).encode())


def damage(program: Program, sql: str, *values: object) -> None:
    """Change the index behind its back."""
    with closing(sqlite3.connect(program.folder / "x.emb")) as connection, connection:
        assert connection.execute(sql, values).rowcount == 1


def content(program: Program) -> bytes:
    """Return the bytes of the index without SQLite's own header, which counts openings for writing too."""
    return (program.folder / "x.emb").read_bytes()[100:]


def check(program: Program, *options: object, code: int = 0) -> Finished:
    done = care(program, "check", *options)
    assert done.code == code, (done.out, done.err)
    return done


def test_a_list_shows_state_chunks_and_name(program: Program, docs: None, write: Write) -> None:
    write("docs/picture.png", b"\x89PNG\r\n\x1a\n\0\0\0")
    write("docs/new\nline.txt", "One.\n")
    write("t.jsonl", '{"id": "a", "text": "my dog"}\n{broken\n{"id": "b", "text": "a tax form"}\n')
    build(program, "-i", "x.emb", "docs")
    assert program("index", "build", "-i", "x.emb", "t.jsonl", "-q").code == 3
    send(program, {"id": "a", "text": "a fast car"})
    texts = care(program, "list").ok()
    assert texts.lines == [
        "indexed        1  -",
        "indexed        1  docs/bread.md",
        r"indexed        1  docs/new\nline.txt",
        "indexed        1  docs/notes/disk.txt",
        "indexed        1  docs/notes/dog.txt",
        "indexed        1  docs/notes2/tax.txt",
        "skipped        0  docs/picture.png  (binary, holds NUL bytes)",
        "partial        2  t.jsonl  (no JSON: Expecting property name enclosed in double quotes at column 2)",
    ]
    objects = care(program, "list", "--json").ok().objects
    assert objects[6] == {
        "path": "docs/picture.png",
        "state": "skipped",
        "reason": "binary, holds NUL bytes",
        "records": 0,
        "chunks": 0,
    }
    names = [source["path"] for source in objects]
    assert names[2] == "docs/new\nline.txt"
    done = care(program, "list", "-0").ok()
    assert done.out == b"".join(name.encode() + b"\0" for name in names)
    missing = program("index", "list", "-i", "none.emb")
    assert (missing.code, missing.out) == (2, b"")


def test_files_folders_and_roots_are_removed_and_no_more_than_named(program: Program, docs: None) -> None:
    build(program, "-i", "x.emb", "docs")
    done = care(program, "remove", "docs/notes").ok()
    assert done.err == "embedcli: x.emb: 2 files and 0 records removed, 2 chunks dropped\n"
    assert listed(program) == ["docs/bread.md", "docs/notes2/tax.txt"]
    assert (program.folder / "docs/notes/dog.txt").exists()
    assert {hit["id"] for hit in hits(program)} == {"bread.md", "notes2/tax.txt"}
    build(program, "-i", "x.emb")
    assert len(listed(program)) == 4, "what is still there comes back while its root stays"
    (program.folder / "docs/bread.md").unlink()
    quiet = care(program, "remove", program.folder / "docs/bread.md", "docs/notes2/../notes/dog.txt", "-q")
    assert quiet.ok().err == ""
    assert listed(program) == ["docs/notes/disk.txt", "docs/notes2/tax.txt"]
    care(program, "remove", "docs/").ok()
    assert listed(program) == []
    forgotten = program("index", "build", "-i", "x.emb")
    assert forgotten.code == 2
    assert "no paths to read" in forgotten.err
    assert "sound" in check(program, "--no-encode").err


def test_records_from_standard_input_are_removed_by_id_or_all(program: Program, docs: None) -> None:
    build(program, "-i", "x.emb", "docs/bread.md")
    send(program, *({"id": name, "text": f"About {name}."} for name in ("a", "b", "c")))
    done = care(program, "remove", "--id", "a", "--id", "c").ok()
    assert done.err == "embedcli: x.emb: 0 files and 2 records removed, 2 chunks dropped\n"
    assert {hit["id"] for hit in hits(program)} == {"bread.md", "b"}
    care(program, "remove", "-").ok()
    assert [hit["id"] for hit in hits(program)] == ["bread.md"]
    assert listed(program) == ["docs/bread.md"]


def test_an_unknown_name_removes_nothing(program: Program, docs: None) -> None:
    build(program, "-i", "x.emb", "docs")
    send(program, {"id": "a", "text": "my dog"})
    found = hits(program)
    for names, message in (
        (("docs/bread.md", "docs/nowhere", "--id", "a"), "docs/nowhere: not in x.emb"),
        (("docs/note",), "docs/note: not in x.emb"),
        (("docs/bread.md", "--id", "a", "--id", "bread.md"), "bread.md: no record of that id from standard"),
        ((), "nothing to remove"),
    ):
        done = care(program, "remove", *names)
        assert (done.code, done.out) == (2, b"")
        assert message in done.err
        assert "hint: " in done.err
    assert len(found) == 5
    assert hits(program) == found


def test_a_compacted_index_is_smaller_and_answers_the_same(
    program: Program, docs: None, write: Write
) -> None:
    write("docs/large.txt", "The same line again and again.\n" * 1000)
    build(program, "-i", "x.emb", "docs", "--chunking", "lines")
    care(program, "remove", "docs/large.txt").ok()
    before, found = (program.folder / "x.emb").stat().st_size, hits(program)
    assert len(found) == 5
    done = care(program, "compact").ok()
    after = (program.folder / "x.emb").stat().st_size
    assert done.err == f"embedcli: x.emb: {before} bytes before, {after} after\n"
    assert after < before / 2
    assert hits(program) == found
    assert "sound" in check(program).err
    assert not list(program.folder.glob("x.emb-*"))


def test_a_locked_index_is_not_written_to_and_a_writer_can_wait(program: Program, docs: None) -> None:
    build(program, "-i", "x.emb", "docs")
    with (program.folder / "x.emb.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for verb, *options in (
            ("compact", "--lock-timeout", "0.2"),
            ("remove", "docs/bread.md"),
            ("check", "--repair"),
        ):
            done = care(program, verb, *options)
            assert (done.code, done.out) == (75, b""), verb
            assert "another run is writing to it" in done.err
        assert "sound" in check(program, "--no-encode").err, "reading goes on"
        waiting = program.start(
            *("index", "compact", "-i", "x.emb", "--lock-timeout", 60), stderr=subprocess.PIPE
        )
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(timeout=1.5)
    _, said = waiting.communicate(timeout=60)
    assert (waiting.returncode, b"bytes before" in said) == (0, True)


def test_a_sound_index(program: Program, docs: None) -> None:
    build(program, "-i", "x.emb", "docs")
    done = check(program)
    assert (done.out, done.err) == (b"", "embedcli: x.emb: sound\n")
    assert check(program, "--json").objects == [
        {"path": "x.emb", "findings": [], "notes": [], "recall": None}
    ]
    before = content(program)
    assert (check(program, "--repair", "-q").out, check(program, "-q").err) == (b"", "")
    assert content(program) == before, "there was nothing to repair"
    missing = program("index", "check", "-i", "none.emb")
    assert (missing.code, missing.out) == (2, b"")
    assert "none.emb: no index here" in missing.err
    assert check(program, "--save", code=2).out == b""


@pytest.mark.parametrize(
    ("sql", "value", "finding"),
    [
        ("UPDATE chunk SET text = ? WHERE text LIKE 'My dog%'", "My hog", "chunk 3: not what was written"),
        ("UPDATE segment SET vectors = zeroblob(length(vectors)) WHERE id = ?", 1, "segment 1: its vectors"),
        ("UPDATE meta SET value = ? WHERE key = 'counts'", "{}", "meta: counts is not what was written"),
        ("UPDATE chunk SET record = ? WHERE text LIKE 'My dog%'", 99, "chunk 3: not what was written"),
        ("UPDATE source SET id = ? WHERE id = 1", 99, "source 99: not what was written"),
        # One flipped bit in a row's header turns an integer into a float, or bytes into text.
        ("UPDATE source SET mtime_ns = ? WHERE id = 1", 1.5, "source 1: not what was written"),
        ("UPDATE segment SET vectors = ? WHERE id = 1", "text", "segment 1: its vectors are not"),
    ],
)
def test_damage_is_found_taken_out_and_made_anew(
    program: Program, docs: None, sql: str, value: object, finding: str
) -> None:
    build(program, "-i", "x.emb", "docs")
    damage(program, sql, value)
    done = check(program, code=1)
    assert any(line.startswith(finding) for line in done.lines)
    assert "sound" not in done.err
    repaired = check(program, "--repair")
    assert repaired.lines == done.lines
    assert "taken out" in repaired.err
    build(program, "-i", "x.emb")
    found = hits(program)
    assert {(hit["path"], hit["text"]) for hit in found} == {(name, DOCS[name].strip()) for name in DOCS}
    assert found[0]["id"] == "notes/dog.txt"
    assert "sound" in check(program, "--no-encode").err


def test_a_condition_on_damaged_fields_is_not_answered_from_them(program: Program, write: Write) -> None:
    write("t.jsonl", '{"id": "a", "text": "my dog", "year": 2020}\n{"id": "b", "text": "a tax form"}\n')
    build(program, "-i", "x.emb", "t.jsonl")
    damage(program, "UPDATE record SET fields = ? WHERE name = 'a'", '{"year":20')
    done = program("search", "x", "-i", "x.emb", "--where", "year = 2020")
    assert (done.code, done.out) == (2, b"")
    assert "x.emb: damaged: " in done.err


def test_lost_records_of_standard_input_are_named(program: Program, docs: None) -> None:
    build(program, "-i", "x.emb", "docs/bread.md")
    send(program, {"id": "a", "text": "my dog"}, {"id": "b", "text": "a tax form"})
    damage(program, "UPDATE chunk SET text = ? WHERE text = 'a tax form'", "a fax form")
    done = check(program, "--repair")
    assert "record 'b' came from standard input and has to be given again" in done.err
    assert "record 'a'" not in done.err
    send(program, {"id": "b", "text": "a tax form"})
    assert {hit["id"] for hit in hits(program)} == {"a", "b", "bread.md"}
    assert "sound" in check(program).err


def test_a_vector_of_another_text_is_found_by_encoding_it_again(program: Program, write: Write) -> None:
    write("a.jsonl", '{"id": "a", "text": "my dog"}\n{"id": "b", "text": "a tax form"}\n')
    build(program, "-i", "x.emb", "a.jsonl")
    assert "sound" in check(program).err
    # All hashes right, and yet the vector is not that of the text.
    with contextlib.closing(sqlite3.connect(program.folder / "x.emb")) as connection, connection:
        row = connection.execute("SELECT * FROM chunk WHERE id = 1").fetchone()
        columns = (*row[:9], "quarterly report", text_hash("quarterly report"))
        connection.execute(
            "UPDATE chunk SET text = ?, text_hash = ?, row_hash = ? WHERE id = 1",
            (*columns[9:], row_hash(columns)),
        )
        connection.execute("INSERT INTO lexical (lexical) VALUES ('rebuild')")
    (facts,) = check(program, "--json", code=1).objects
    (finding,) = facts["findings"]
    assert finding.startswith("chunk 1: encoded again it is only 0.")
    assert "sound" in check(program, "--no-encode").err


def test_vectors_that_came_along_are_not_held_against_the_model(program: Program, write: Write) -> None:
    write("a.jsonl", '{"id": "a", "text": "my dog"}\n{"id": "b", "text": "a tax form"}\n')
    program("embed", "a.jsonl", "-o", "v.jsonl").ok()
    first, second = (json.loads(line) for line in (program.folder / "v.jsonl").read_text().splitlines())
    send(program, first | {"vector": second["vector"]}, second)
    assert "sound" in check(program).err


def test_a_damaged_graph_is_found_removed_and_made_anew(program: Program, docs: None) -> None:
    pytest.importorskip("hnswlib")
    build(program, "-i", "x.emb", "docs", "--graph")
    graph = program.folder / "x.emb.hnsw"
    good = graph.read_bytes()
    graph.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert check(program, "--no-encode", code=1).lines == ["graph: x.emb.hnsw: its checksum does not match"]
    assert care(program, "check", "--repair").lines == ["graph: x.emb.hnsw: its checksum does not match"]
    assert not graph.exists()
    build(program, "-i", "x.emb")
    assert graph.read_bytes() == good


def test_a_repair_that_removed_a_damaged_graph_is_exit_0(program: Program, docs: None) -> None:
    pytest.importorskip("hnswlib")
    build(program, "-i", "x.emb", "docs", "--graph")
    (program.folder / "x.emb.hnsw").write_bytes(b"no graph at all")
    check(program, "--repair")
    assert "sound" in check(program, "--no-encode").err


def test_recall_is_measured_and_its_settings_are_kept_on_demand(program: Program, write: Write) -> None:
    write("lines.txt", "".join(f"This is line {number} of a file.\n" for number in range(60)))
    build(program, "-i", "x.emb", "lines.txt", "--chunking", "lines")
    plan = ("search", "line 7", "-i", "x.emb", "--plan", "signs", "--explain-plan")
    done = check(program, "--recall", 0.9, "-n", 5, "--sample", 20, "--no-encode")
    rows = [line.split() for line in done.lines]
    assert [row[0] for row in rows] == ["exact", *["signs"] * 7]
    assert [int(row[1]) for row in rows] == [0, 25, 50, 100, 200, 400, 800, 1600]
    assert all(0 < float(row[3]) <= 1 for row in rows)
    assert float(rows[0][3]) == 1
    assert [row[1] for row in rows if row[-1] == "picked"] == ["25"]
    assert ", 60 rows compared" in program(*plan).ok().err, "measuring alone keeps nothing"
    (table,) = check(program, "--recall", 0.9, "--save", "--no-encode", "--json").objects
    assert [row["setting"] for row in table["recall"] if row["picked"]] == [25]
    assert ", 25 rows compared" in program(*plan).ok().err
    assert ", 30 rows compared" in program(*plan, "--rescore", 30).ok().err
    assert "sound" in check(program, "--no-encode").err


def test_structural_damage_cannot_be_repaired(program: Program, docs: None) -> None:
    build(program, "-i", "x.emb", "docs")
    path = program.folder / "x.emb"
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'chunk'").fetchone()
    whole = path.read_bytes()
    start = (page - 1) * PAGE_BYTES
    assert 0 < start < len(whole) - PAGE_BYTES
    path.write_bytes(whole[:start] + bytes(PAGE_BYTES) + whole[start + PAGE_BYTES :])
    before = content(program)
    found = check(program, code=1)
    assert found.lines[0].startswith("structure: ")
    done = check(program, "--repair", code=2)
    assert done.out == b""
    assert "hint: this cannot be repaired: delete it and build it again" in done.err
    assert content(program) == before


def test_an_index_on_read_only_media_can_be_searched_listed_and_checked(
    program: Program, docs: None, write: Write
) -> None:
    (program.folder / "disc").mkdir()
    build(program, "-i", "disc/x.emb", "docs")
    before = without_privileges()
    (program.folder / "disc/x.emb").chmod(0o444)
    (program.folder / "disc").chmod(0o555)
    try:
        found = program("search", "a puppy", "-i", "disc/x.emb", "-n", 1, before=before).ok()
        names = program("index", "list", "-i", "disc/x.emb", "-0", before=before).ok()
        sound = program("index", "check", "-i", "disc/x.emb", before=before).ok()
        refused = program("index", "remove", "-i", "disc/x.emb", "docs/bread.md", before=before)
    finally:
        (program.folder / "disc").chmod(0o755)
    assert found.lines[0].startswith("docs/notes/dog.txt:1:")
    assert len(names.out.split(b"\0")) == 5
    assert sound.out == b""
    assert "disc/x.emb: full-text table not checked: " in sound.err
    assert sound.err.endswith("disc/x.emb: sound\n")
    assert refused.code == 2
    assert [path.name for path in (program.folder / "disc").iterdir()] == ["x.emb"]
