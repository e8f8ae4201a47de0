"""Files that are not what was written: cut, swapped, of another version or model, and damaged caches."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.faults.corpus import QUERY, SEARCH_ALL
from tests.faults.stage import Stage

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda content: content[: len(content) // 2],
    "nearly whole": lambda content: content[: len(content) * 999 // 1000],
    "first page only": lambda content: content[:4096],
    "garbage at the end": lambda content: content + random.Random(3).randbytes(5000),
    "garbage": lambda content: random.Random(4).randbytes(len(content)),
    "zeros behind the header": lambda content: content[:100].ljust(len(content), b"\0"),
    "text": lambda _: b"These are notes.\n" * 500,
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_cut_or_replaced_index_is_named_or_answers_right(built: Stage, how: str) -> None:
    before, clean, facts = built.stored()["x.emb"], built.search().ok().out, built.status()
    damaged = DAMAGE[how](before)
    commands: dict[str, tuple[object, ...]] = {
        "search": (
            *SEARCH_ALL,
            "--cache",
            "queries.db",
        ),
        "status": ("index", "status", "-i", "store/x.emb", "--json"),
        "build": built.build,
    }
    codes = {}
    for name, command in commands.items():
        built.restore({"x.emb": damaged})
        done = built.ask(*command)
        codes[name] = done.code
        if done.code == 2:
            assert done.out == b""
            assert done.err.startswith("embedcli: store/x.emb: ")
            assert built.stored() == {"x.emb": damaged}, "not made worse"
        elif name == "search":
            assert done.ok().out == clean
        elif name == "status":
            assert done.ok().objects[0] | {"bytes": 0} == facts | {"bytes": 0}
        else:
            # It reads no more than it needs; what it did not touch is found damaged by whoever reads it.
            after = built.search()
            assert (after.code, after.out) in ((0, clean), (2, b"")), after
    if how == "garbage at the end":
        assert set(codes.values()) == {0}, "what lies behind the last page is not part of the index"
    elif how == "empty":
        assert codes == {"search": 2, "status": 2, "build": 0}, "there is nothing in it to lose"
    else:
        assert codes["search"] == 2


def test_an_index_swapped_for_another_program_s_database_is_not_touched(built: Stage) -> None:
    built.clear()
    with sqlite3.connect(built.index) as connection:
        connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)")
    connection.close()
    content = built.index.read_bytes()
    for command in (
        ("search", QUERY, "-i", "store/x.emb"),
        ("index", "status", "-i", "store/x.emb"),
        built.build,
    ):
        done = built.ask(*command)
        assert (done.code, done.out) == (2, b"")
        assert "store/x.emb: not an embedcli index" in done.err
    assert built.stored() == {"x.emb": content}


def test_another_format_version_is_refused_with_both_named(built: Stage) -> None:
    with sqlite3.connect(built.index) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    before = built.stored()["x.emb"]
    for other in (version + 2, version - 1):
        content = bytearray(before)
        content[60:64] = other.to_bytes(4, "big")
        built.restore({"x.emb": bytes(content)})
        for command in (
            ("search", QUERY, "-i", "store/x.emb"),
            ("index", "status", "-i", "store/x.emb"),
            built.build,
        ):
            done = built.ask(*command)
            assert (done.code, done.out) == (2, b"")
            assert f"format {other}, this version reads {version} to {version + 1}" in done.err
            assert "hint: " in done.err
        assert built.stored() == {"x.emb": bytes(content)}


def another_model(folder: Path) -> Path:
    """Return a copy of the shipped model under another name."""
    shipped = next((REPOSITORY / "models").iterdir())
    copy = folder / "another-model"
    shutil.copytree(shipped, copy)
    manifest = (copy / "model.toml").read_text()
    assert f'"{shipped.name}"' in manifest
    (copy / "model.toml").write_text(manifest.replace(f'"{shipped.name}"', '"another-model"', 1))
    return copy


def test_another_model_or_dimension_is_refused_with_both_named(built: Stage) -> None:
    before, clean = built.stored(), built.content()
    model = another_model(built.program.folder)
    wanted = [
        ("--model", "./another-model", "'all-MiniLM-L6-v2'", "'another-model'"),
        ("--dim", "100", "384", "100"),
    ]
    for option, value, stored, given in wanted:
        for command in (("search", QUERY, "-i", "store/x.emb"), built.build):
            done = built.ask(*command, option, value)
            assert (done.code, done.out) == (2, b"")
            assert stored in done.err
            assert given in done.err
    assert built.stored() == before
    # The other way round, and then without the model that the index names.
    built.ask("index", "build", "-i", "other.emb", "docs", "-q", "--model", "./another-model").ok()
    refused = built.ask("search", QUERY, "-i", "other.emb", "--model", "all-MiniLM-L6-v2")
    assert (refused.code, refused.out) == (2, b"")
    assert "'another-model'" in refused.err
    assert "'all-MiniLM-L6-v2'" in refused.err
    shutil.rmtree(model)
    gone = built.ask("search", QUERY, "-i", "other.emb")
    assert (gone.code, gone.out) == (2, b"")
    assert "no model named 'another-model'" in gone.err
    assert built.content() == clean


def garbage_cache(stage: Stage) -> list[object]:
    (stage.program.folder / "bad.db").write_bytes(b"SQLite format 3\0" + random.Random(5).randbytes(9000))
    return ["--cache", "bad.db"]


def flipped_cache(stage: Stage) -> list[object]:
    """The query's vector, changed in the cache."""
    stage.ask("search", QUERY, "-i", "store/x.emb", "--cache", "bad.db").ok()
    path = stage.program.folder / "bad.db"
    content = bytearray(path.read_bytes())
    with sqlite3.connect(path) as connection:
        (vector,) = connection.execute("SELECT vector FROM vector").fetchone()
    connection.close()
    content[content.index(vector[:40]) + 3] ^= 0x40
    path.write_bytes(content)
    return ["--cache", "bad.db"]


def cache_is_a_folder(stage: Stage) -> list[object]:
    (stage.program.folder / "bad.db").mkdir()
    return ["--cache", "bad.db"]


@pytest.mark.parametrize("make", [garbage_cache, flipped_cache, cache_is_a_folder])
def test_a_damaged_vector_cache_changes_no_answer(
    built: Stage, make: Callable[[Stage], list[object]]
) -> None:
    clean = built.search().ok().out
    options = make(built)
    for _ in range(2):
        assert (
            built.ask(
                *SEARCH_ALL,
                *options,
            )
            .ok()
            .out
            == clean
        )


def test_damaged_optimized_graphs_are_made_again(built: Stage) -> None:
    clean = built.search().ok().out
    # A folder of its own: the other tests share theirs.
    folder = built.program.folder / "graph-home"
    graphs = folder / "graphs"
    environment = {"EMBEDCLI_CACHE_DIR": str(folder)}
    assert built.program(*SEARCH_ALL, env=environment).ok().out == clean
    (graph,) = graphs.iterdir()
    content = graph.read_bytes()
    for damaged in (b"", content[: len(content) // 2], random.Random(6).randbytes(5000)):
        graph.write_bytes(damaged)
        (graphs / f"{graph.stem}-0.tmp").write_bytes(damaged)
        done = built.program(*SEARCH_ALL, env=environment).ok()
        assert (done.out, done.err) == (clean, "")
        assert graph.read_bytes() == content
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    graph.write_bytes(flipped)
    assert built.program(*SEARCH_ALL, env=environment).ok().out == clean


@pytest.mark.parametrize(
    "suffix", ["-journal", "-wal", "-shm", ".lock", ".tmp", "-journal.tmp", ".hnsw", ".hnsw.tmp"]
)
@pytest.mark.parametrize("content", [b"", b"left over\n" * 1000], ids=["empty", "garbage"])
def test_leftovers_beside_an_index_are_ignored(built: Stage, suffix: str, content: bytes) -> None:
    clean = built.content()
    (built.store / f"x.emb{suffix}").write_bytes(content)
    assert built.content() == clean
    built.ask("index", "status", "-i", "store/x.emb").ok()
    built.ask(*built.build).ok()
    assert built.content() == clean
