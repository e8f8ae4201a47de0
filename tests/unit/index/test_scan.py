"""Which rows a search compares, and what it returns: alive, allowed, as many as there are, in exact order."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from index_helpers import DTYPES, identity, put, rows_alive, unit_rows, writing

from embedcli.index import nearest as nearest_module
from embedcli.index.file import open_for_reading
from embedcli.index.nearest import nearest
from embedcli.index.plan import RESCORED, Plan, Workload, choose_plan
from embedcli.index.reader import IndexReader
from embedcli.index.scan import (
    Wanted,
    best_of_blocks,
    best_of_rows,
    candidates_by_product,
    candidates_by_signs,
    left_out,
)
from embedcli.index.segments import Block, SignBlock
from embedcli.vectors.metric import cosine
from embedcli.vectors.signs import sign_words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = 5
"""Number of the first row in blocks that no file is behind."""


def brute_force(places, vectors, query, top_k, *, min_score=None, allowed=None):
    """Return the best rows by a sort, those that tie with the last one included."""
    scores = cosine(vectors, query)
    found = sorted(
        (-score, place)
        for place, score, vector in zip(places.tolist(), scores.tolist(), vectors, strict=True)
        if vector.any() and query.any()
        if allowed is None or place in allowed
        if min_score is None or score >= min_score
    )
    if len(found) > top_k:
        found = [pair for pair in found if pair[0] <= found[top_k - 1][0]]
    return [(place, -score) for score, place in found]


# --- blocks without a file


@st.composite
def cases(draw):
    """Rows with many ties, a query, marks, allowed rows and cuts into blocks."""
    dim, count = draw(st.sampled_from([1, 2, 5, 64, 65])), draw(st.integers(0, 80))
    rows = draw(arrays(np.float32, (count, dim), elements=st.integers(-2, 2)))
    query = draw(arrays(np.float32, dim, elements=st.integers(-2, 2)))
    dead = draw(arrays(np.bool_, count, elements=st.sampled_from([False, False, True])))
    allowed = None
    if draw(st.booleans()):
        marks = draw(arrays(np.bool_, count, elements=st.booleans()))
        # Rows of other blocks, or of none, may be among them.
        allowed = np.concatenate(([1, 3], np.flatnonzero(marks) + FIRST, [10_000]))
    cuts = sorted(draw(st.lists(st.integers(0, count), max_size=4)))
    return rows, query, dead, allowed, [0, *cuts, count]


def blocks_of(rows, dead, cuts) -> list[Block]:
    return [
        Block(FIRST + start, rows[start:end], dead[start:end] if dead[start:end].any() else None)
        for start, end in itertools.pairwise(cuts)
    ]


def sign_blocks_of(rows, dead, allowed, cuts) -> list[SignBlock]:
    return [
        SignBlock(first, sign_words(part), left_out(first, len(part), marks, allowed))
        for first, part, marks in blocks_of(rows, dead, cuts)
    ]


def may_be_found(rows, dead, allowed) -> np.ndarray:
    places = np.arange(len(rows)) + FIRST
    return places[~dead & (np.isin(places, allowed) if allowed is not None else True)]


@given(cases())
def test_rows_that_are_dead_or_not_allowed_are_left_out(case):
    rows, _, dead, allowed, cuts = case
    found = []
    for first, part, marks in blocks_of(rows, dead, cuts):
        out = left_out(first, len(part), marks, allowed)
        assert out is None or out.shape == (len(part),)
        found += [first + place for place in range(len(part)) if out is None or not out[place]]
    assert found == may_be_found(rows, dead, allowed).tolist()


@given(cases(), st.integers(1, 8), st.none() | st.floats(-1, 1))
def test_the_best_of_blocks_and_of_rows_are_a_sort(case, top_k, min_score):
    rows, query, dead, allowed, cuts = case
    wanted = Wanted(top_k, min_score, allowed)
    places = may_be_found(rows, dead, allowed)
    expected = brute_force(places, rows[places - FIRST], query, top_k, min_score=min_score)
    assert best_of_blocks(blocks_of(rows, dead, cuts), query, wanted) == expected
    assert best_of_rows(places, query, wanted, lambda part: rows[part - FIRST]) == expected


def test_many_rows_are_read_in_parts():
    rows, query = unit_rows(10_000, 4), unit_rows(1, 4, seed=1)[0]
    sizes = []

    def read(part):
        sizes.append(len(part))
        return rows[part]

    found = best_of_rows(np.arange(10_000), query, Wanted(5), read)
    assert found == brute_force(np.arange(10_000), rows, query, 5)
    assert sum(sizes) == 10_000
    assert max(sizes) <= 4096


@given(cases(), st.integers(1, 8), st.none() | st.floats(-1, 1), st.integers(1, 5))
def test_candidates_by_product_hold_the_answer_of_each_query(case, top_k, min_score, jobs):
    rows, query, dead, allowed, cuts = case
    queries = np.stack((query, -query, query[::-1]))
    wanted = Wanted(top_k, min_score, allowed)
    places = may_be_found(rows, dead, allowed)
    found = candidates_by_product(blocks_of(rows, dead, cuts), queries, wanted, jobs)
    assert len(found) == len(queries)
    for own, one in zip(found, queries, strict=True):
        assert set(own.tolist()) <= set(places.tolist())
        best = brute_force(places, rows[places - FIRST], one, top_k, min_score=min_score)
        assert {place for place, _ in best} <= set(own.tolist())


@given(cases(), st.integers(1, 12))
def test_candidates_by_signs_are_alive_allowed_and_as_many_as_there_are(case, count):
    rows, query, dead, allowed, cuts = case
    found = candidates_by_signs(sign_blocks_of(rows, dead, allowed, cuts), query, count).tolist()
    places = may_be_found(rows, dead, allowed).tolist()
    assert len(found) == min(count, len(places))
    assert found == sorted(set(found))
    assert set(found) <= set(places)
    whole = candidates_by_signs(sign_blocks_of(rows, dead, allowed, [0, len(rows)]), query, count)
    assert found == whole.tolist(), "cuts into blocks change nothing"


@given(cases(), st.integers(1, 3))
def test_candidates_by_signs_are_the_nearest_by_both_comparisons(case, count):
    rows, query, dead, allowed, cuts = case
    found = candidates_by_signs(sign_blocks_of(rows, dead, allowed, cuts), query, count).tolist()
    signs = np.where(rows > 0, 1, -1)
    distance = {
        place: int(np.count_nonzero(signs[place - FIRST] != np.where(query > 0, 1, -1)))
        for place in may_be_found(rows, dead, allowed).tolist()
    }
    first = sorted(distance, key=lambda place: (distance[place], place))[: 10 * count]
    assert set(found) <= set(first)
    # Small whole numbers: these sums are exact, and so are the comparisons between them.
    likeness = {place: int(signs[place - FIRST] @ query.astype(int)) for place in first}
    assert (
        sorted(likeness[place] for place in found) == sorted(likeness.values())[-len(found) :][: len(found)]
    )


@given(cases(), st.integers(0, 5))
def test_with_all_rows_rescored_the_answer_is_exact(case, more):
    rows, query, dead, allowed, cuts = case
    places = may_be_found(rows, dead, allowed)
    found = candidates_by_signs(sign_blocks_of(rows, dead, allowed, cuts), query, max(1, len(places) + more))
    assert found.tolist() == places.tolist()


@pytest.mark.parametrize("before", [9, 10])
def test_ten_times_as_many_as_are_wanted_are_compared_again(before):
    query = np.ones(20, np.float32)
    query[0] = 100
    near, best, far = (np.ones((count, 20), np.float32) for count in (before, 1, 30))
    near[:, 0] = -1  # one sign differs, the one that matters
    best[:, 1:3] = -1
    far[:, 1:4] = -1
    rows = np.concatenate((far, best, near))
    found = candidates_by_signs([SignBlock(0, sign_words(rows), None)], query, 1).tolist()
    # The best by the numbers is found if it is among the first ten by the signs.
    assert (found == [30]) == (before == 9)
    assert candidates_by_signs([SignBlock(0, sign_words(rows), None)], query, 2).tolist()[-1] >= 30


def test_where_all_are_equally_near_those_stored_first_are_taken():
    rows = np.ones((20_000, 64), np.float32)
    dead = np.zeros(20_000, bool)
    dead[:3] = True
    for cuts in ([0, 20_000], [0, 7, 4096, 12_000, 20_000]):
        for query in (rows[0], -rows[0]):
            found = candidates_by_signs(sign_blocks_of(rows, dead, None, cuts), query, 10)
            assert found.tolist() == list(range(FIRST + 3, FIRST + 13))


def test_without_live_rows_there_are_no_candidates():
    query = np.ones(3, np.float32)
    gone = sign_blocks_of(np.ones((4, 3), np.float32), np.ones(4, bool), None, [0, 2, 4])
    assert candidates_by_signs(gone, query, 5).tolist() == []
    assert candidates_by_signs([], query, 5).tolist() == []


# --- nearest, in files


@pytest.fixture(scope="module", params=DTYPES)
def reader(request, tmp_path_factory) -> Iterator[IndexReader]:
    """An index of four segments: neighbours, equal vectors, deleted and unfinished records."""
    path: Path = tmp_path_factory.mktemp("scan") / "x.emb"
    own = identity(request.param, 20)
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(12, 20))
    with writing(path, own) as writer:
        for part, count in enumerate((90, 40, 1, 120)):
            rows = centres[rng.integers(0, 12, count)] + 0.5 * rng.normal(size=(count, 20))
            rows[count // 2 :: 7] = centres[0]
            rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
            records = {f"{part}.{number}": ["text"] for number in range(count)}
            put(writer, b"%d.txt" % part, records, rows, dim=20, complete=part != 1 or count != 40)
        writer.drop_records(range(5, 250, 4))
    with open_for_reading(path) as connection:
        yield IndexReader(path, connection)


def allowed_of(reader: IndexReader, share: int) -> np.ndarray:
    return rows_alive(reader)[0][::share]


def queries_of(reader: IndexReader) -> np.ndarray:
    return np.concatenate((unit_rows(6, 20, seed=9), rows_alive(reader)[1][:4])).astype(np.float32)


def test_the_index_has_what_is_looked_for_here(reader):
    places, vectors = rows_alive(reader)
    assert len(places) == reader.counts()["chunks"] < reader.counts()["vectors"]
    assert len(np.unique(vectors, axis=0)) < len(vectors)
    assert len(list(reader.blocks())) == 4


@pytest.mark.parametrize("share", [None, 1, 3, 50])
@pytest.mark.parametrize("min_score", [None, 0.2, 0.99])
@pytest.mark.parametrize("top_k", [1, 7, 1000])
def test_the_exact_plans_are_a_sort(reader, top_k, min_score, share):
    allowed = None if share is None else allowed_of(reader, share)
    wanted = Wanted(top_k, min_score, allowed)
    places, vectors = rows_alive(reader)
    inside = None if allowed is None else set(allowed.tolist())
    queries = queries_of(reader)
    expected = [
        brute_force(places, vectors, query, top_k, min_score=min_score, allowed=inside) for query in queries
    ]
    for method in ("exact", "rows"):
        assert nearest(reader, queries, wanted, Plan(method, 0, {})) == expected
        assert nearest(reader, queries, wanted, Plan(method, 0, {}), jobs=3) == expected
    for query, best in zip(queries, expected, strict=True):
        assert nearest(reader, query[np.newaxis], wanted, Plan("exact", 0, {})) == [best]
    everything = Plan("signs", len(places), {})
    assert nearest(reader, queries, wanted, everything) == expected


@pytest.mark.parametrize("share", [None, 1, 3, 50])
@pytest.mark.parametrize("top_k", [1, 7, 1000])
def test_a_scan_of_signs_gives_as_many_hits_as_there_are(reader, top_k, share):
    allowed = None if share is None else allowed_of(reader, share)
    places, vectors = rows_alive(reader)
    inside = places if allowed is None else allowed
    plan = choose_plan(
        Workload(len(places), 20, reader.identity.dtype, top_k=top_k), method="signs", rescored=1
    )
    queries = queries_of(reader)
    for query, found in zip(
        queries, nearest(reader, queries, Wanted(top_k, None, allowed), plan), strict=True
    ):
        assert len(found) >= min(top_k, len(inside))
        assert {row for row, _ in found} <= set(inside.tolist())
        scores = dict(zip(places.tolist(), cosine(vectors, query).tolist(), strict=True))
        assert all(scores[row] == score for row, score in found)
        assert found == sorted(found, key=lambda entry: (-entry.cosine, entry.row))


@pytest.mark.parametrize("method", ["exact", "signs", "rows"])
def test_several_queries_are_answered_as_each_alone(reader, method, monkeypatch):
    queries = queries_of(reader)
    allowed = allowed_of(reader, 2) if method == "rows" else None
    wanted = Wanted(5, None, allowed)
    alone = [nearest(reader, query[np.newaxis], wanted, Plan(method, 9, {}))[0] for query in queries]
    assert nearest(reader, queries, wanted, Plan(method, 9, {})) == alone
    assert nearest(reader, queries, wanted, Plan(method, 9, {}), jobs=4) == alone
    monkeypatch.setattr(nearest_module, "_QUERIES_BY_PRODUCT", 3)
    monkeypatch.setattr(nearest_module, "_QUERIES_BY_ROWS", 3)
    assert nearest(reader, queries, wanted, Plan(method, 9, {})) == alone
    assert nearest(reader, queries[:0], wanted, Plan(method, 9, {})) == []


@pytest.mark.parametrize("method", ["exact", "signs", "rows"])
def test_a_query_of_zeros_finds_nothing(reader, method):
    allowed = allowed_of(reader, 2)
    queries = queries_of(reader)[:3]
    queries[1] = 0
    for wanted in (Wanted(4), Wanted(4, None, allowed), Wanted(4, -1.0)):
        found = nearest(reader, queries, wanted, Plan(method, 50, {}))
        assert [bool(own) for own in found] == [True, False, True]
        assert nearest(reader, queries[1:2], wanted, Plan(method, 50, {})) == [[]]


@pytest.mark.parametrize("method", ["exact", "signs", "rows", "graph"])
def test_where_nothing_is_allowed_nothing_is_found(reader, method):
    wanted = Wanted(4, None, np.empty(0, np.int64))
    assert nearest(reader, queries_of(reader), wanted, Plan(method, 9, {})) == [[]] * 10


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_a_graph_gives_as_many_hits_as_there_are(tmp_path, dtype):
    pytest.importorskip("hnswlib")
    from embedcli.index.graph import make_graph
    from embedcli.index.hnsw_format import GraphSettings

    path = tmp_path / "x.emb"
    rows = unit_rows(200, 20)
    rows[50:90] = rows[3]
    with writing(path, identity(dtype, 20)) as writer:
        put(writer, b"a.txt", {str(number): ["text"] for number in range(200)}, rows, dim=20)
        writer.drop_records(range(1, 200, 3))
    queries = np.concatenate((unit_rows(5, 20, seed=3), rows[3:4], np.zeros((1, 20), np.float32)))
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        graph = make_graph(reader, GraphSettings(m=4, ef_construction=20))
        places, vectors = rows_alive(reader)
        for top_k in (1, 8, 100, 1000):
            wanted, plan = Wanted(top_k), Plan("graph", 0, {})
            found = nearest(reader, queries, wanted, plan, graph=graph, ef_search=400)
            for own, query in zip(found, queries, strict=True):
                assert own == brute_force(places, vectors, query, top_k), "ef covers every node"
            few = nearest(reader, queries, wanted, plan, graph=graph, ef_search=1, jobs=2)
            for own, query in zip(few[:-1], queries, strict=False):
                assert len(own) >= min(top_k, len(places))
                scores = dict(zip(places.tolist(), cosine(vectors, query).tolist(), strict=True))
                assert all(scores[row] == score for row, score in own)
            alone = [
                nearest(reader, query[np.newaxis], wanted, plan, graph=graph, ef_search=1)[0]
                for query in queries
            ]
            assert few == alone
            assert nearest(reader, queries[-1:], wanted, plan, graph=graph) == [[]]


def test_rows_that_no_links_lead_to_are_there_where_few_are_found(tmp_path):
    pytest.importorskip("hnswlib")
    from embedcli.index.graph import make_graph
    from embedcli.index.hnsw_format import GraphSettings

    path = tmp_path / "x.emb"
    rng = np.random.default_rng(2)
    # Far clusters and few links: some rows are cut off.
    rows = np.eye(20)[rng.integers(0, 20, 600)] + 0.01 * rng.normal(size=(600, 20))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    with writing(path, identity(dim=20)) as writer:
        put(writer, b"a.txt", {str(number): ["text"] for number in range(600)}, rows, dim=20)
    queries = unit_rows(3, 20, seed=3)
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        graph = make_graph(reader, GraphSettings(m=2, ef_construction=1))
        assert all(len(found) < 600 for found in graph.candidates(queries, 600, ef=1000)), "the case is there"
        places, vectors = rows_alive(reader)
        found = nearest(reader, queries, Wanted(600), Plan("graph", 0, {}), graph=graph, ef_search=1000)
        assert found == [brute_force(places, vectors, query, 600) for query in queries]


def test_a_graph_returns_no_row_that_is_not_allowed(tmp_path):
    pytest.importorskip("hnswlib")
    from embedcli.index.graph import make_graph
    from embedcli.index.hnsw_format import GraphSettings

    path = tmp_path / "x.emb"
    with writing(path, identity()) as writer:
        put(writer, b"a.txt", {str(number): ["text"] for number in range(60)}, unit_rows(60))
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        graph = make_graph(reader, GraphSettings(m=4, ef_construction=20))
        allowed = np.array([2, 30, 31])
        wanted, plan = Wanted(5, None, allowed), Plan("graph", 0, {})
        for query in unit_rows(4, seed=5):
            (found,) = nearest(reader, query[np.newaxis], wanted, plan, graph=graph)
            assert {row for row, _ in found} == set(allowed.tolist())


def test_an_exact_plan_does_not_ask_the_graph(tmp_path):
    pytest.importorskip("hnswlib")
    from embedcli.index.graph import make_graph
    from embedcli.index.hnsw_format import GraphSettings

    path = tmp_path / "x.emb"
    with writing(path, identity(dim=48)) as writer:
        records = {str(number): ["text"] for number in range(500)}
        put(writer, b"a.txt", records, unit_rows(500, 48), dim=48)
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        poor = make_graph(reader, GraphSettings(m=2, ef_construction=1))
        places, vectors = rows_alive(reader)
        queries = unit_rows(20, 48, seed=5)
        found = nearest(reader, queries, Wanted(3), Plan("exact", 0, {}), graph=poor, ef_search=1)
        assert found == [brute_force(places, vectors, query, 3) for query in queries]


def test_an_empty_index_finds_nothing(tmp_path):
    path = tmp_path / "x.emb"
    with writing(path, identity()):
        pass
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        for method in ("exact", "signs"):
            for count in (1, 3):
                plan = Plan(method, 5, {})
                assert nearest(reader, unit_rows(count), Wanted(5), plan) == [[]] * count


# --- plans

SMALL = Workload(vectors=500, dim=384, dtype="float16")
LARGE = Workload(vectors=1_000_000, dim=384, dtype="float16")


def test_what_was_asked_for_is_done_whatever_it_costs():
    for method in ("exact", "rows", "signs", "graph"):
        for work in (SMALL, LARGE, replace(LARGE, allowed=3)):
            assert choose_plan(work, method=method).method == method


@pytest.mark.parametrize("dtype", DTYPES)
def test_small_indexes_are_compared_whole_and_large_ones_by_their_signs(dtype):
    assert choose_plan(replace(SMALL, dtype=dtype)).method == "exact"
    assert choose_plan(replace(LARGE, dtype=dtype)).method == "signs"


@pytest.mark.parametrize("dtype", DTYPES)
def test_of_few_allowed_rows_only_those_are_read(dtype):
    assert choose_plan(replace(LARGE, dtype=dtype, allowed=5)).method == "rows"
    assert choose_plan(replace(LARGE, dtype=dtype, allowed=900_000)).method == "signs"
    assert "rows" not in choose_plan(replace(LARGE, dtype=dtype)).costs


def test_a_graph_is_used_where_there_is_one_and_built_only_where_that_pays():
    for queries in (1, 10, 10_000, 10_000_000):
        work = replace(LARGE, queries=queries)
        assert choose_plan(work).method != "graph"
        assert "graph" not in choose_plan(work).costs
    many = replace(LARGE, queries=10_000)
    there = choose_plan(replace(many, has_graph=True))
    assert (there.method, there.builds_graph) == ("graph", False)
    assert choose_plan(replace(LARGE, may_build_graph=True)).method == "signs", "one query builds no graph"
    assert choose_plan(replace(LARGE, has_graph=True)).method == "signs", "nor does it load one"
    pays = choose_plan(replace(LARGE, queries=10_000_000, may_build_graph=True))
    assert (pays.method, pays.builds_graph) == ("graph", True)
    assert choose_plan(replace(many, may_build_graph=True)).method == "exact", "one that is there pays sooner"
    asked = choose_plan(LARGE, method="graph")
    assert (asked.method, asked.builds_graph) == ("graph", True)
    filtered = replace(many, has_graph=True, may_build_graph=True, allowed=500_000)
    assert "graph" not in choose_plan(filtered).costs


WORKLOADS = st.builds(
    Workload,
    vectors=st.integers(0, 10**8),
    dim=st.integers(1, 4096),
    dtype=st.sampled_from(DTYPES),
    queries=st.integers(1, 10**6) | st.just(1),
    top_k=st.integers(1, 10_000),
    allowed=st.none() | st.integers(0, 10**8),
    has_graph=st.booleans(),
    may_build_graph=st.booleans(),
    jobs=st.integers(1, 64),
)


@given(WORKLOADS, st.none() | st.integers(1, 10_000), st.data())
def test_the_cheapest_way_is_chosen_and_more_work_is_never_cheaper(work, rescored, data):
    plan = choose_plan(work, rescored=rescored)
    assert plan.costs[plan.method] == min(plan.costs.values())
    assert plan.builds_graph == (plan.method == "graph" and not work.has_graph)
    what = data.draw(st.sampled_from(["vectors", "dim", "queries", "top_k", "allowed"]))
    if getattr(work, what) is None:
        what = "dim"
    if what == "queries" and work.queries == 1:
        # One query is compared in another way than several, at another price.
        what = "vectors"
    more = replace(work, **{what: getattr(work, what) * data.draw(st.integers(1, 50)) + 1})
    costs = choose_plan(more, rescored=rescored).costs
    assert costs.keys() == plan.costs.keys()
    for way, seconds in plan.costs.items():
        assert costs[way] >= seconds * (1 - 1e-9), way


@given(WORKLOADS, st.none() | st.integers(1, 10_000))
def test_at_least_as_many_rows_are_rescored_as_are_wanted(work, rescored):
    depth = choose_plan(work, rescored=rescored).rescored
    if rescored is not None:
        assert depth == max(rescored, work.top_k)
    else:
        assert depth == max(RESCORED, 50 * work.top_k)
