"""Recall: the share of the exact answer that a way finds, a query's own row not counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedcli.datatypes import Chunk, Record
from embedcli.errors import MissingIndexError
from embedcli.index.file import open_for_reading, open_for_writing
from embedcli.index.meta import Identity
from embedcli.index.nearest import nearest
from embedcli.index.plan import Plan
from embedcli.index.reader import IndexReader
from embedcli.index.scan import Wanted
from embedcli.index.writer import IndexWriter, NewChunk
from embedcli.tasks.recall import (
    EF_TRIED,
    RESCORED_TRIED,
    Measured,
    _recall,
    choose_setting,
    measure_recall,
    tune,
)
from embedcli.vectors.exact import Candidate
from embedcli.vectors.metric import cosine

DIM = 24


def fill(path: Path, rows: np.ndarray, dtype: str = "float16", gone: range = range(0)) -> None:
    own = Identity("tiny", "int8", "f" * 32, "mean", "", "", 16, DIM, dtype)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    with open_for_writing(path, own) as connection:
        writer = IndexWriter(path, connection, own, may_shrink=True)
        root = writer.put_root(b"..", "{}")
        source = writer.put_source(root, b"a", stat=None, content_hash=b"h", state="indexed", settings="{}")
        for start in range(0, len(rows), 1000):
            part = rows[start : start + 1000]
            chunks = []
            for number in range(len(part)):
                record = writer.reserve_record()
                writer.add_record(record, source, Record(f"{start + number}", ""), "{}", b"t")
                chunks.append(NewChunk(record, Chunk("x", 1, 0, 1, 0, 1, 1, 1), b"h" * 16))
            writer.add_chunks(chunks, part, set())
        writer.drop_records(gone)
        writer.commit()


def random_rows(count: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, DIM))


def measured(path: Path, **settings) -> list[Measured]:
    with open_for_reading(path) as connection:
        return measure_recall(IndexReader(path, connection), None, **settings)


def by_setting(found: list[Measured], method: str) -> dict[int, float]:
    return {entry.setting: entry.recall for entry in found if entry.method == method}


# --- the share itself


def answer(*pairs: tuple[int, float]) -> list[Candidate]:
    return [Candidate(row, score) for row, score in pairs]


OWN = (7, 1.0)


@pytest.mark.parametrize(
    ("found", "recall"),
    [
        ([OWN, (1, 0.9), (2, 0.8), (3, 0.7)], 1.0),
        ([(1, 0.9), (2, 0.8), (3, 0.7)], 1.0),
        ([OWN, (1, 0.9), (3, 0.7), (9, 0.1)], 2 / 3),
        ([OWN, (9, 0.1), (8, 0.0), (6, 0.0)], 0.0),
        ([OWN], 0.0),
        ([], 0.0),
        # As near as the third: it counts as well, and no more than three do.
        ([OWN, (1, 0.9), (2, 0.8), (4, 0.7)], 1.0),
        ([OWN, (1, 0.9), (2, 0.8), (3, 0.7), (4, 0.7)], 1.0),
        ([OWN, (3, 0.7), (4, 0.7)], 2 / 3),
    ],
)
def test_the_share_counts_all_but_the_own_row(found, recall):
    exact = answer(OWN, (1, 0.9), (2, 0.8), (3, 0.7), (4, 0.7))
    assert _recall([exact], [answer(*found)], [7], 3) == recall


def test_where_there_are_fewer_than_k_others_those_are_all():
    exact = answer(OWN, (1, 0.9))
    assert _recall([exact], [answer(OWN, (1, 0.9))], [7], 10) == 1.0
    assert _recall([exact], [answer(OWN)], [7], 10) == 0.0
    # A query without others says nothing.
    alone = answer((5, 1.0))
    assert _recall([exact, alone], [answer(OWN), []], [7, 5], 10) == 0.0
    assert _recall([alone], [[]], [5], 10) == 1.0


def test_the_recall_is_the_mean_over_queries():
    exact = [answer((1, 1.0), (2, 0.9)), answer((2, 1.0), (1, 0.9))]
    found = [answer((1, 1.0)), answer((2, 1.0), (1, 0.9))]
    assert _recall(exact, found, [1, 2], 1) == 0.5


# --- measured on an index


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "binary"])
def test_a_way_that_compares_every_row_is_perfect(tmp_path, dtype):
    path = tmp_path / "x.emb"
    rows = random_rows(120)
    rows[40:60] = rows[3]
    fill(path, rows, dtype, gone=range(1, 100, 2))
    found = measured(path, top_k=5, sample=200)
    assert (found[0].method, found[0].setting, found[0].recall) == ("exact", 0, 1.0)
    assert [entry.setting for entry in found[1:]] == list(RESCORED_TRIED)
    signs = by_setting(found, "signs")
    assert [recall for depth, recall in signs.items() if depth >= 70] == [1.0] * 5
    assert all(entry.seconds >= 0 for entry in found)


def test_the_recall_of_signs_is_what_a_count_of_the_hits_says(tmp_path):
    path = tmp_path / "x.emb"
    fill(path, random_rows(3000), gone=range(1, 3000, 3))
    found = by_setting(measured(path, top_k=8, sample=40), "signs")
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        live = np.concatenate(
            [np.flatnonzero(~block.dead) + block.first for block in reader.blocks() if block.dead is not None]
        )
        assert len(live) == 2000
        chosen = np.sort(np.random.default_rng(0).choice(live, 40, replace=False))
        vectors = reader.vectors(live)
        for depth, recall in found.items():
            shares = []
            for row, query in zip(chosen, reader.vectors(chosen), strict=True):
                scores = cosine(vectors, query)
                scores[live == row] = -2
                best = set(live[np.argsort(-scores)[:8]].tolist())
                (hits,) = nearest(reader, query[np.newaxis], Wanted(9), Plan("signs", depth, {}))
                shares.append(len(best & {hit.row for hit in hits}) / 8)
            assert recall == pytest.approx(np.mean(shares)), depth
    assert found[25] < found[1600]
    assert 0 < found[25] < 1, "a case that tells the settings apart"


def test_the_same_queries_are_asked_each_time(tmp_path):
    path = tmp_path / "x.emb"
    fill(path, random_rows(1500))
    first, second = (measured(path, top_k=3, sample=20) for _ in range(2))
    assert [entry.recall for entry in first] == [entry.recall for entry in second]


def test_an_index_without_vectors_has_nothing_to_measure(tmp_path):
    path = tmp_path / "x.emb"
    fill(path, random_rows(5), gone=range(1, 6))
    assert measured(path) == []
    fill(tmp_path / "y.emb", random_rows(0).reshape(0, DIM))
    assert measured(tmp_path / "y.emb") == []
    assert tune(path, 0.9) == ([], [])


def test_a_graph_is_measured_with_each_setting(tmp_path):
    pytest.importorskip("hnswlib")
    from embedcli.index.graph import make_graph
    from embedcli.index.hnsw_format import GraphSettings

    path = tmp_path / "x.emb"
    fill(path, random_rows(400))
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        graph = make_graph(reader, GraphSettings(m=4, ef_construction=10))
        found = by_setting(measure_recall(reader, graph, top_k=3, sample=50), "graph")
    assert list(found) == list(EF_TRIED)
    assert found[16] < found[512] == 1.0, "512 candidates are more than there are rows"


# --- what is picked


def entries(method: str, **recalls: float) -> list[Measured]:
    return [Measured(method, int(name[1:]), recall, 0.0) for name, recall in recalls.items()]


def test_the_smallest_setting_that_reaches_the_target_is_picked():
    found = entries("signs", s400=0.99, s50=0.9, s100=0.95, s200=0.94) + entries("graph", g16=0.999)
    assert choose_setting(found, "signs", 0.95) == Measured("signs", 100, 0.95, 0.0)
    assert choose_setting(found, "signs", 0.9) == Measured("signs", 50, 0.9, 0.0)
    assert choose_setting(found, "signs", 0.991) is None
    assert choose_setting(found, "graph", 0.99) == Measured("graph", 16, 0.999, 0.0)
    assert choose_setting(found, "exact", 0.5) is None
    assert choose_setting([], "signs", 0.0) is None


def test_what_is_picked_is_stored_only_when_asked(tmp_path):
    path = tmp_path / "x.emb"
    fill(path, random_rows(2000))
    before = path.read_bytes()
    found, picked = tune(path, 0.9, top_k=5, sample=30)
    assert path.read_bytes() == before
    assert [entry.method for entry in picked] == ["signs"]
    assert picked[0] == choose_setting(found, "signs", 0.9)
    again, stored = tune(path, 0.9, top_k=5, sample=30, save=True)
    assert [(entry.method, entry.setting) for entry in stored] == [("signs", picked[0].setting)]
    assert [entry.recall for entry in again] == [entry.recall for entry in found]
    with open_for_reading(path) as connection:
        assert IndexReader(path, connection).query_defaults() == {"rescored": picked[0].setting}


def test_where_nothing_reaches_the_target_nothing_is_stored(tmp_path):
    path = tmp_path / "x.emb"
    fill(path, random_rows(3000))
    before = path.read_bytes()
    found, picked = tune(path, 1.1, top_k=5, sample=10, save=True)
    assert len(found) == 1 + len(RESCORED_TRIED)
    assert picked == []
    assert path.read_bytes() == before


def test_the_setting_of_a_graph_is_stored_with_it(tmp_path):
    pytest.importorskip("hnswlib")
    from embedcli.index.graph import graph_path, keep_graph, make_graph, open_graph
    from embedcli.index.hnsw_file import Unusable, read_graph_header
    from embedcli.index.hnsw_format import GraphHeader, GraphSettings

    path = tmp_path / "x.emb"
    fill(path, random_rows(400))
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        keep_graph(reader, make_graph(reader, GraphSettings(m=4, ef_construction=10)))
    _, picked = tune(path, 1.0, top_k=3, sample=50, save=True)
    settings = {entry.method: entry.setting for entry in picked}
    assert settings.keys() == {"signs", "graph"}
    header = read_graph_header(graph_path(path))
    assert isinstance(header, GraphHeader)
    assert header.ef_search == settings["graph"] != GraphSettings().ef_construction
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        assert not isinstance(open_graph(reader), Unusable), "what was stored makes no graph stale"
        assert reader.query_defaults()["rescored"] == settings["signs"]


def test_a_missing_index_is_named(tmp_path):
    with pytest.raises(MissingIndexError, match="no index here"):
        tune(tmp_path / "none.emb", 0.9)
