"""The graph of an index: nodes stand for all live rows with their vector, for one state of the index alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from index_helpers import DIM, histories, identity, play, put, query, rows_alive, unit_rows, writing

from embedcli.errors import UsageError
from embedcli.index.compact import compact
from embedcli.index.file import open_for_reading, open_for_writing
from embedcli.index.graph import (
    RowGraph,
    check_graph,
    graph_key,
    graph_path,
    graph_state,
    keep_graph,
    make_graph,
    open_graph,
)
from embedcli.index.hnsw_file import Unusable
from embedcli.index.hnsw_format import GraphKey, GraphSettings
from embedcli.index.reader import IndexReader
from embedcli.index.repair import repair
from embedcli.index.verify import verify
from embedcli.vectors.metric import cosine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest.importorskip("hnswlib")

NUMBERS = ("float32", "float16", "int8")
SMALL = GraphSettings(m=4, ef_construction=30)
ALL = 10_000
"""Candidates enough for every node of these indexes."""


def fill(path: Path, dtype: str = "float16", count: int = 60) -> None:
    """Make an index of two segments in which every fifth vector is one of two, and some records are gone."""
    rows = unit_rows(2 * count, seed=4)
    rows[::5] = rows[0]
    rows[1::5] = rows[1]
    with writing(path, identity(dtype)) as writer:
        for part in range(2):
            names = {f"{part}.{number}": ["text"] for number in range(count)}
            put(writer, b"%d.txt" % part, names, rows[part * count : (part + 1) * count])
        writer.drop_records(range(6, 2 * count, 7))


def built(path: Path, keep: bool = True) -> None:
    """Make the graph of an index and write it beside it."""
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        graph = make_graph(reader, SMALL)
        if keep:
            keep_graph(reader, graph)


def state(path: Path) -> Unusable | None:
    with open_for_reading(path) as connection:
        return graph_state(IndexReader(path, connection))


def key(path: Path) -> GraphKey:
    with open_for_reading(path) as connection:
        return graph_key(IndexReader(path, connection))


def opened(path: Path) -> RowGraph | Unusable:
    with open_for_reading(path) as connection:
        return open_graph(IndexReader(path, connection))


def checked(path: Path) -> Unusable | None:
    with open_for_reading(path) as connection:
        return check_graph(IndexReader(path, connection))


def rows_of_nodes(path: Path) -> list[list[int]]:
    """Return the live rows in groups of the same vector, by the first of each."""
    groups: dict[bytes, list[int]] = {}
    with open_for_reading(path) as connection:
        for row, vector in zip(*rows_alive(IndexReader(path, connection)), strict=True):
            groups.setdefault(vector.tobytes(), []).append(int(row))
    return list(groups.values())


# --- nodes


@pytest.mark.parametrize("dtype", NUMBERS)
def test_equal_vectors_are_one_node_and_all_their_rows_come_back(tmp_path, dtype):
    path = tmp_path / "x.emb"
    fill(path, dtype)
    built(path)
    groups = rows_of_nodes(path)
    assert max(map(len, groups)) > 10
    graph = opened(path)
    assert isinstance(graph, RowGraph)
    assert graph.graph.count == len(groups)
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        vectors = reader.vectors([group[0] for group in groups])
        # Each node is the nearest to its own vector, which need not be of unit length.
        for group, found in zip(groups, graph.candidates(vectors * 3, 1, ef=ALL), strict=True):
            assert set(group) <= set(found.tolist())
            assert found.tolist() == sorted(set(found.tolist()))
        (everything,) = graph.candidates(vectors[:1], len(groups), ef=ALL)
        assert everything.tolist() == sorted(row for group in groups for row in group)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_candidates_hold_the_nearest_rows(tmp_path, dtype):
    path = tmp_path / "x.emb"
    fill(path, dtype)
    built(path)
    graph = opened(path)
    assert isinstance(graph, RowGraph)
    queries = unit_rows(20, seed=8)
    with open_for_reading(path) as connection:
        places, vectors = rows_alive(IndexReader(path, connection))
    for k in (1, 5):
        for own, one in zip(graph.candidates(queries, k, ef=ALL, jobs=2), queries, strict=True):
            scores = cosine(vectors, one)
            kth = np.sort(scores)[-k]
            # All rows that tie with the k-th are of its node, or of one that is as near.
            assert set(places[scores >= kth].tolist()) <= set(own.tolist())
            nodes = np.unique(vectors[np.isin(places, own)], axis=0)
            assert len(nodes) == 2 * k


@settings(max_examples=15)
@given(histories())
def test_exactly_the_live_rows_are_in_the_graph(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("index") / "x.emb"
    play(path, identity(), steps)
    groups = rows_of_nodes(path)
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        made = make_graph(reader, SMALL)
        keep_graph(reader, made)
        kept = open_graph(reader)
        assert isinstance(kept, RowGraph)
        assert check_graph(reader) is None
        for graph in (made, kept):
            assert graph.graph.count == len(groups)
            (found,) = graph.candidates(unit_rows(1, seed=5), max(1, len(groups)), ef=ALL)
            assert found.tolist() == sorted(row for group in groups for row in group)


def test_an_empty_index_has_a_graph_that_finds_nothing(tmp_path):
    path = tmp_path / "x.emb"
    with writing(path, identity()):
        pass
    built(path)
    graph = opened(path)
    assert isinstance(graph, RowGraph)
    assert [rows.tolist() for rows in graph.candidates(unit_rows(3), 5)] == [[], [], []]


def test_a_graph_of_sign_bits_is_refused(tmp_path):
    path = tmp_path / "x.emb"
    fill(path, "binary")
    with (
        open_for_reading(path) as connection,
        pytest.raises(UsageError, match=r"x\.emb: a graph needs vectors"),
    ):
        make_graph(IndexReader(path, connection), SMALL)
    assert not graph_path(path).exists()


def test_progress_counts_nodes(tmp_path):
    path = tmp_path / "x.emb"
    fill(path)
    seen: list[int] = []
    with open_for_reading(path) as connection:
        make_graph(IndexReader(path, connection), SMALL, seen.append)
    assert seen == [len(rows_of_nodes(path))]


# --- which state it belongs to


def add(path: Path) -> None:
    with writing(path, identity()) as writer:
        put(writer, b"new.txt", {"new": ["new text"]})


def add_what_is_there(path: Path) -> None:
    with writing(path, identity()) as writer, open_for_reading(path) as connection:
        put(writer, b"again.txt", {"again": ["text"]}, IndexReader(path, connection).vectors([2]))


def drop(path: Path) -> None:
    with writing(path, identity()) as writer:
        writer.drop_records([1])


def add_and_drop(path: Path) -> None:
    with writing(path, identity()) as writer:
        put(writer, b"new.txt", {"new": ["new text"]})
        (record,) = writer.record_ids(3)
        writer.drop_records([record])


def add_unfinished(path: Path) -> None:
    with writing(path, identity()) as writer:
        put(writer, b"new.txt", {"new": ["new text"]}, complete=False)


def finish(path: Path) -> None:
    with writing(path, identity()) as writer:
        for (number,) in query(path, "SELECT id FROM record WHERE NOT complete"):
            writer.complete_record(number)


def compacted(path: Path) -> None:
    with open_for_writing(path, identity()) as connection:
        compact(path, connection)


def repaired(path: Path) -> None:
    query(path, "UPDATE chunk SET text = 'other' WHERE id = 1")
    with open_for_writing(path, identity()) as connection:
        connection.execute("BEGIN IMMEDIATE")
        repair(path, connection, verify(path, connection, check_lexical=True))
        connection.execute("COMMIT")


def new_defaults(path: Path) -> None:
    with writing(path, identity()) as writer:
        writer.put_query_defaults({"rescored": 77})


def new_source(path: Path) -> None:
    with writing(path, identity()) as writer:
        root = writer.put_root(b"../other", "{}")
        writer.put_source(
            root, b"empty.txt", stat=None, content_hash=b"h", state="skipped", settings="{}", reason="empty"
        )


def nothing(path: Path) -> None:
    with writing(path, identity()):
        pass


@pytest.mark.parametrize(
    "change", [add, add_what_is_there, drop, add_and_drop, add_unfinished, finish, compacted, repaired]
)
def test_after_a_change_of_vectors_the_graph_is_stale(tmp_path, change: Callable[[Path], None]):
    path = tmp_path / "x.emb"
    fill(path)
    if change is finish:
        add_unfinished(path)
    built(path)
    assert state(path) is None
    before = key(path)
    change(path)
    assert key(path) != before
    assert key(path).commit > before.commit
    for found in (state(path), opened(path), checked(path)):
        assert isinstance(found, Unusable)
        assert found.cause == "stale"
    built(path)
    assert state(path) is None
    assert isinstance(opened(path), RowGraph)


@pytest.mark.parametrize("change", [new_defaults, new_source, nothing])
def test_after_other_commits_the_graph_still_serves(tmp_path, change: Callable[[Path], None]):
    path = tmp_path / "x.emb"
    fill(path)
    built(path)
    before = key(path)
    with open_for_reading(path) as connection:
        commit = IndexReader(path, connection).commit()
    change(path)
    with open_for_reading(path) as connection:
        assert IndexReader(path, connection).commit() == commit + (change is not nothing)
    assert key(path) == before
    assert state(path) is None
    assert checked(path) is None
    assert isinstance(opened(path), RowGraph)


def test_the_graph_of_another_index_is_stale(tmp_path):
    path, other = tmp_path / "x.emb", tmp_path / "y.emb"
    fill(path)
    with writing(other, identity()) as writer:
        for part in range(2):
            put(
                writer,
                b"%d.txt" % part,
                {f"{part}.{number}": ["text"] for number in range(60)},
                unit_rows(60),
            )
        writer.drop_records(range(6, 120, 7))
    built(path)
    assert key(other).commit == key(path).commit
    graph_path(path).rename(graph_path(other))
    for found in (state(other), opened(other), checked(other)):
        assert isinstance(found, Unusable)
        assert found.cause == "stale"
    assert isinstance(opened(path), Unusable)


def test_where_there_is_no_graph_that_is_said(tmp_path):
    path = tmp_path / "x.emb"
    fill(path)
    for found in (state(path), opened(path), checked(path)):
        assert found == Unusable("there is none", "missing")


def test_it_lies_beside_its_index(tmp_path):
    path = tmp_path / "x.emb"
    fill(path)
    built(path, keep=False)
    assert [file.name for file in tmp_path.iterdir()] == ["x.emb"]
    built(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.emb", "x.emb.hnsw"]


# --- damage


def test_no_changed_byte_passes_a_check(tmp_path):
    path = tmp_path / "x.emb"
    fill(path, count=12)
    built(path)
    content = graph_path(path).read_bytes()
    assert len(content) > 500
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        assert check_graph(reader) is None
        for place in range(len(content)):
            changed = bytearray(content)
            changed[place] ^= 1 << (place % 8)
            graph_path(path).write_bytes(changed)
            found = check_graph(reader)
            assert found is not None, f"byte {place}"
            assert found.cause == "damaged", f"byte {place}"
            if place % 50 == 0:
                loaded = open_graph(reader)
                assert isinstance(loaded, Unusable)
                assert loaded.cause == "damaged"
        for length in range(0, len(content), 25):
            graph_path(path).write_bytes(content[:length])
            found = check_graph(reader)
            assert found is not None
            assert found.cause == "damaged"


def test_a_damaged_graph_that_is_also_stale_is_called_damaged(tmp_path):
    path = tmp_path / "x.emb"
    fill(path)
    built(path)
    content = bytearray(graph_path(path).read_bytes())
    content[-1] ^= 1
    graph_path(path).write_bytes(content)
    drop(path)
    found = checked(path)
    assert found is not None
    assert found.cause == "damaged"


def test_a_dimension_that_is_not_the_indexes_is_stale(tmp_path):
    path = tmp_path / "x.emb"
    fill(path)
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        graph = make_graph(reader, SMALL)
        other = IndexReader(path, connection)
        keep_graph(reader, graph)
        other.identity = identity(dim=DIM + 1)
        found = graph_state(other)
    assert found == Unusable("it belongs to another state of the index", "stale")
