"""`embedcli index build`: what vectors are stored as, a time limit, a rehearsal, a graph beside the index."""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Finished, Program

Write = Callable[..., Path]

DIM = 384
STORED_BYTES = {"float32": 4 * DIM + 8, "float16": 2 * DIM + 8, "int8": DIM + 8, "binary": 0}
"""What a vector takes beside its sign bits: its numbers, and the hash of the row."""
DOCS = {
    "docs/bread.md": "# Bread\n\nMix flour and water, rest the dough over night and bake it hot.\n",
    "docs/disk.txt": "The disk was full, because old log files were never deleted.\n",
    "docs/dog.txt": "My dog chased the cat through the garden.\n",
    "docs/tax.txt": "The quarterly tax payment is due on the tenth of March.\n",
}
NOTES = "".join(json.dumps({"id": f"n{number}", "text": f"Note {number}."}) + "\n" for number in range(300))
QUERIES = b"when do I pay\na puppy ran after a kitten\n"


@pytest.fixture
def docs(write: Write) -> None:
    for name, text in DOCS.items():
        write(name, text)


def build(program: Program, *arguments: object, **options: Any) -> dict[str, Any]:
    """Build, and return the counts."""
    program("index", "build", *arguments, "--stats-json", "s.json", **options).ok()
    return json.loads((program.folder / "s.json").read_text())


def status(program: Program, index: str) -> dict[str, Any]:
    return json.loads(program("index", "status", "-i", index, "--json").ok().out)


def rehearse(program: Program, *arguments: object) -> dict[str, str]:
    """Run `--dry-run`, and return what it prints, by its first words."""
    done = program("index", "build", *arguments, "--dry-run").ok()
    assert done.err == ""
    return dict(line.split(maxsplit=1) for line in done.lines)


def ask(program: Program, *options: object) -> Finished:
    """Ask two queries of `x.emb` through its graph."""
    return program("search", "--queries", "-", "-i", "x.emb", "--json", *options, stdin=QUERIES).ok()


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_stored_types_find_the_same_and_take_the_room_they_should(program: Program, write: Write) -> None:
    texts = [text.splitlines()[-1] for text in DOCS.values()] + [f"Line {number}" for number in range(21)]
    write("lines.txt", "\n".join(texts * 80) + "\n")
    sizes = {}
    for dtype in STORED_BYTES:
        build(program, "-i", f"{dtype}.emb", "lines.txt", "--chunking", "lines", "--dtype", dtype)
        sizes[dtype] = (program.folder / f"{dtype}.emb").stat().st_size
        (hit,) = program("search", "a puppy", "-i", f"{dtype}.emb", "-n", 1, "--json").ok().objects
        assert (hit["text"], hit["line"]) == ("My dog chased the cat through the garden.", 3), dtype
    for larger, smaller in (("float32", "float16"), ("float16", "int8"), ("int8", "binary")):
        wanted = 2000 * (STORED_BYTES[larger] - STORED_BYTES[smaller])
        assert sizes[larger] - sizes[smaller] == pytest.approx(wanted, rel=0.1)


def test_another_type_than_the_stored_one_is_refused(program: Program, docs: None) -> None:
    unknown = program("index", "build", "-i", "x.emb", "docs", "--dtype", "int4")
    assert unknown.code == 2
    assert unknown.err.splitlines() == [
        "embedcli: --dtype 'int4' is not known",
        "hint: float32, float16, int8, binary",
    ]
    assert not (program.folder / "x.emb").exists()
    build(program, "-i", "x.emb", "docs", "--dtype", "int8")
    other = program("index", "build", "-i", "x.emb", "--dtype", "float32")
    assert other.code == 2
    assert "x.emb: built with dtype 'int8', this run has 'float32'" in other.err
    assert build(program, "-i", "x.emb")["files_unchanged"] == 4, "the type need not be said again"
    assert status(program, "x.emb")["dtype"] == "int8"


def test_shorter_vectors(program: Program, docs: None) -> None:
    done = program("index", "build", "-i", "x.emb", "docs", "--dim", 128).ok()
    assert "was not trained to be cut to 128 numbers" in done.err
    assert status(program, "x.emb")["dim"] == 128
    (hit,) = program("search", "a puppy", "-i", "x.emb", "-n", 1, "--json").ok().objects
    assert hit["path"] == "docs/dog.txt"
    assert program("index", "build", "-i", "y.emb", "docs", "--dim", 385).code == 2
    assert not (program.folder / "y.emb").exists()


def test_a_build_whose_time_is_over_is_finished_by_the_next(
    program: Program, write: Write, docs: None
) -> None:
    write("notes.jsonl", NOTES)
    for committed in (128, 256):
        stopped = program("index", "build", "-i", "x.emb", "notes.jsonl", "docs", "--max-time", "0s").ok()
        first, *_ = stopped.err.splitlines()
        assert first == "embedcli: stopped after 0s; files left: 5; the next run goes on there"
        facts = status(program, "x.emb")
        assert (facts["chunks"], facts["records"], facts["partial"]) == (committed, committed, 1)
    assert "x.emb: sound" in program("index", "check", "-i", "x.emb", "--no-encode").ok().err
    counts = build(program, "-i", "x.emb", "notes.jsonl", "docs")
    assert counts["encoded"] == 300 - 256 + 4
    build(program, "-i", "y.emb", "notes.jsonl", "docs")
    own = {"path", "bytes", "commit"}
    whole, joined = (
        {key: value for key, value in status(program, index).items() if key not in own}
        for index in ("y.emb", "x.emb")
    )
    assert joined == whole
    hits = [
        program("search", "note 7", "-i", index, "--json", "-n", 400).ok() for index in ("x.emb", "y.emb")
    ]
    assert len(hits[0].lines) == 304
    assert hits[0].out == hits[1].out


@pytest.mark.parametrize("time", ["soon", "-5"])
def test_what_is_no_time_is_refused(program: Program, docs: None, time: str) -> None:
    done = program("index", "build", "docs", f"--max-time={time}")
    assert done.code == 2
    assert f"--max-time '{time}' is not a time" in done.err
    assert "hint: for example 90s, 20m or 2h" in done.err
    assert not (program.folder / "docs/.embedcli").exists()


def test_a_rehearsal_says_what_a_build_does_and_changes_nothing(
    program: Program, write: Write, docs: None
) -> None:
    before = content(program.folder)
    facts = rehearse(program, "docs", "--max-time", "0s")
    assert content(program.folder) == before
    assert not (program.folder / "docs/.embedcli").exists()
    assert list(facts) == ["files", "records", "chunks", "tokens", "cached", "minutes"]
    assert facts["files"] == "4 to add, 0 changed, 0 unchanged, 0 to remove"
    assert (facts["records"], facts["chunks"], facts["cached"]) == ("4", "4", "0 %")
    assert 40 < int(facts["tokens"]) < 80
    assert re.fullmatch(r"0\.\d", facts["minutes"])
    assert build(program, "docs")["encoded"] == 4
    before = content(program.folder)
    facts = rehearse(program, "docs")
    assert facts["files"] == "0 to add, 0 changed, 4 unchanged, 0 to remove"
    assert (facts["chunks"], facts["tokens"]) == ("0", "0")
    assert content(program.folder) == before
    (program.folder / "docs/tax.txt").rename(program.folder / "docs/money.txt")
    write("docs/rain.txt", "It rained all night.\n")
    before = content(program.folder)
    facts = rehearse(program, "docs")
    assert facts["files"] == "2 to add, 0 changed, 3 unchanged, 1 to remove"
    assert (facts["chunks"], facts["cached"]) == ("2", "50 %")
    assert content(program.folder) == before
    counts = build(program, "docs")
    assert (counts["encoded"], counts["cached"], counts["files_removed"]) == (1, 1, 1)


def test_a_rehearsal_meets_the_shrink_guard_and_the_lock(program: Program, write: Write) -> None:
    write("docs/large.txt", "One line, many times.\n" * 150)
    write("docs/small.txt", "Another line.\n")
    build(program, "-i", "x.emb", "docs", "--chunking", "lines")
    (program.folder / "docs/large.txt").unlink()
    before = content(program.folder)
    stopped = program("index", "build", "-i", "x.emb", "--dry-run")
    assert (stopped.code, stopped.out) == (2, b"")
    assert "would drop 150 of 151 chunks" in stopped.err
    assert rehearse(program, "-i", "x.emb", "--allow-shrink")["files"].endswith("1 unchanged, 1 to remove")
    assert content(program.folder) == before
    with (program.folder / "x.emb.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        locked = program("index", "build", "-i", "x.emb", "--dry-run")
    assert (locked.code, locked.out) == (75, b"")
    assert "another run is writing to it" in locked.err


def test_a_graph_is_kept_and_renewed_and_is_the_same_each_time(
    program: Program, write: Write, docs: None
) -> None:
    pytest.importorskip("hnswlib")
    graph = program.folder / "x.emb.hnsw"
    build(program, "-i", "x.emb", "docs", "--graph")
    first = graph.read_bytes()
    build(program, "-i", "y.emb", "docs", "--graph")
    assert (program.folder / "y.emb.hnsw").read_bytes() == first
    made = graph.stat()
    build(program, "-i", "x.emb")
    assert (graph.stat().st_ino, graph.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    write("docs/dog.txt", "A young dog runs after a small cat.\n")
    build(program, "-i", "x.emb")
    assert graph.read_bytes() != first, "an index that was told to have a graph keeps having one"
    done = ask(program, "--plan", "graph", "-n", 1, "--explain-plan")
    assert done.objects[1]["text"] == "A young dog runs after a small cat."
    (line,) = done.err.splitlines()
    assert line.startswith("embedcli: x.emb: graph: graph walked; 5 vectors, queries: 2; ")
    assert done.out == ask(program, "--exact", "-n", 1).out


def test_a_graph_that_does_not_fit_is_named_once_and_not_used(
    program: Program, write: Write, docs: None
) -> None:
    pytest.importorskip("hnswlib")
    graph = program.folder / "x.emb.hnsw"
    build(program, "-i", "x.emb", "docs", "--graph")
    stale = graph.read_bytes()
    write("docs/dog.txt", "A young dog runs after a small cat.\n")
    build(program, "-i", "x.emb")
    good = graph.read_bytes()
    wanted = ask(program, "--exact").out
    for bad, options in (
        (stale, ("--plan", "graph")),
        (stale, ()),
        (good[:-1] + bytes([good[-1] ^ 1]), ("--plan", "graph")),
        (good[:-9], ("--plan", "graph")),
        (b"no graph at all", ("--plan", "graph")),
    ):
        graph.write_bytes(bad)
        done = ask(program, *options)
        (line,) = done.err.splitlines()
        assert line.startswith("embedcli: x.emb.hnsw: not used: "), (bad[:20], options)
        assert done.out == wanted
    assert ask(program, "--plan", "graph").err == "", "the last run made a new one"


def test_what_was_removed_is_not_found_through_a_graph(program: Program, docs: None) -> None:
    pytest.importorskip("hnswlib")
    graph = program.folder / "x.emb.hnsw"
    build(program, "-i", "x.emb", "docs", "--graph")
    earlier = graph.read_bytes()
    program("index", "remove", "-i", "x.emb", "docs/dog.txt").ok()
    done = ask(program, "--plan", "graph")
    assert done.err == ""
    assert {hit["id"] for hit in done.objects} == {"bread.md", "disk.txt", "tax.txt"}
    graph.write_bytes(earlier)
    assert ask(program, "--plan", "graph").out == done.out


def test_other_settings_give_another_graph(program: Program, docs: None) -> None:
    pytest.importorskip("hnswlib")
    graph = program.folder / "x.emb.hnsw"
    build(program, "-i", "x.emb", "docs", "--graph")
    first = graph.read_bytes()
    build(program, "-i", "x.emb", "--graph", "--graph-m", 32)
    assert len(graph.read_bytes()) > len(first), "twice as many links, although no text changed"


def test_a_graph_over_sign_bits_alone_is_refused_and_does_no_harm(program: Program, docs: None) -> None:
    pytest.importorskip("hnswlib")
    done = program("index", "build", "-i", "x.emb", "docs", "--dtype", "binary", "--graph")
    assert done.code == 2
    assert "a graph needs vectors" in done.err
    build(program, "-i", "x.emb", "docs", "--dtype", "binary")
    program("index", "remove", "-i", "x.emb", "docs/tax.txt").ok()
