"""Sparse vectors in an index: scores against brute force, damage, compaction, another model."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.datatypes import SparseVector
from embedcli.errors import DamagedIndexError, EmbedcliError, IndexMismatchError, VectorError
from embedcli.index import postings, segments
from embedcli.index.compact import compact
from embedcli.index.file import open_for_reading, open_for_writing, stored_identity
from embedcli.index.postings import PostingsReader, stored_weights
from embedcli.index.reader import IndexReader
from embedcli.index.repair import repair
from embedcli.index.verify import verify
from embedcli.index.writer import IndexWriter
from tests.unit.index.index_helpers import (
    DIM,
    STDIN,
    TERMS,
    content,
    histories,
    identity,
    play,
    put,
    query,
    raw,
    sparse_of,
    vector_of,
    writing,
)

OWN = identity(sparse=True)
TOLERANCE = 1e-6

queries = st.dictionaries(st.integers(0, TERMS - 1), st.floats(2**-10, 5, width=32), max_size=TERMS).map(
    lambda weights: SparseVector(
        np.array(sorted(weights), dtype=np.int32),
        np.array([weights[term] for term in sorted(weights)], dtype=np.float32),
    )
)


def brute_force(reader: IndexReader, asked: SparseVector) -> dict[int, float]:
    """Return the score of every chunk that can be found, from its text alone."""
    weights = np.zeros(TERMS)
    weights[asked.terms] = asked.weights
    places = [
        first + row
        for first, block, dead in reader.blocks()
        for row in range(len(block))
        if dead is None or not dead[row]
    ]
    found = {}
    for chunk in reader.chunks(places):
        vector = stored_weights(sparse_of(chunk.text or ""))
        found[chunk.id] = float(vector.weights.astype(np.float64) @ weights[vector.terms])
    return found


def postings_of(reader: IndexReader) -> PostingsReader:
    found = reader.postings()
    assert found is not None
    return found


def best(path: Path, asked: SparseVector, count: int = 1000, allowed: Any = None) -> dict[int, float]:
    with open_for_reading(path) as connection:
        scores = postings_of(IndexReader(path, connection)).scores(asked)
        return dict(scores.best(count, allowed))


EVERYTHING = SparseVector(np.arange(TERMS, dtype=np.int32), np.ones(TERMS, dtype=np.float32))


@given(
    steps=histories(),
    asked=st.lists(queries, min_size=1, max_size=4),
    count=st.integers(1, 30),
    allowed=st.none() | st.sets(st.integers(1, 60)),
)
@settings(max_examples=30)
def test_scores_are_those_of_brute_force(
    tmp_path_factory: pytest.TempPathFactory,
    steps: Sequence[Any],
    asked: list[SparseVector],
    count: int,
    allowed: set[int] | None,
) -> None:
    path = tmp_path_factory.mktemp("index") / "a.emb"
    play(path, OWN, steps)
    rows = None if allowed is None else np.array(sorted(allowed), dtype=np.int64)
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        for one in asked:
            wanted = brute_force(reader, one)
            scores = postings_of(reader).scores(one)
            every = list(wanted)
            np.testing.assert_allclose(scores.of(every), list(wanted.values()), rtol=TOLERANCE, atol=0)
            hits = scores.best(count, rows)
            may = {
                row: score
                for row, score in wanted.items()
                if score > 0 and (allowed is None or row in allowed)
            }
            order = sorted(may.values(), reverse=True)
            limit = order[:count][-1] if order else 0.0
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
            assert {row for row, score in may.items() if score > limit * (1 + TOLERANCE)} <= {
                hit.row for hit in hits
            }
            assert len(hits) >= min(count, len(may))
            for hit in hits:
                assert hit.score == pytest.approx(may[hit.row], rel=TOLERANCE)
            weights = postings_of(reader).weights(one.terms, every)
            np.testing.assert_allclose(
                weights @ one.weights.astype(np.float64), list(wanted.values()), rtol=TOLERANCE
            )


@given(steps=histories())
@settings(max_examples=15)
def test_compacting_changes_no_score(tmp_path_factory: pytest.TempPathFactory, steps: Sequence[Any]) -> None:
    path = tmp_path_factory.mktemp("index") / "a.emb"
    play(path, OWN, steps)
    before, texts = sorted(best(path, EVERYTHING).values()), content(path)
    with open_for_writing(path, OWN) as connection:
        compact(path, connection)
    assert sorted(best(path, EVERYTHING).values()) == before
    assert content(path) == texts
    live = query(path, "SELECT count(*) FROM chunk")[0][0]
    segments_left = query(path, "SELECT count(*) FROM segment")[0][0]
    assert query(path, "SELECT count(*) FROM sparse")[0][0] == segments_left == (live > 0)
    assert findings(path) == []


def findings(path: Path) -> list[str]:
    with open_for_reading(path) as connection:
        return verify(path, connection, check_lexical=False).findings


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of two segments, the second from standard input, with some chunks deleted."""
    path = tmp_path_factory.mktemp("made") / "made.emb"
    with writing(path, OWN) as writer:
        put(writer, b"a.txt", {f"r{number}": [f"text {number}", f"more {number}"] for number in range(6)})
        put(writer, b"-", {f"s{number}": [f"piped {number}"] for number in range(4)}, root=STDIN)
        writer.commit()
        writer.drop_records([2])
    return path


@pytest.fixture
def index(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made, tmp_path / "a.emb"))


CHANGES = (
    "UPDATE posting SET rows = substr(rows, 1, length(rows) - 2) || x'0700' WHERE {}",
    "UPDATE posting SET weights = zeroblob(length(weights)) WHERE {}",
    "UPDATE posting SET row_hash = row_hash + 1 WHERE {}",
    "DELETE FROM posting WHERE {}",
    "UPDATE posting SET rows = 'text' WHERE {}",
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_posting_is_found_and_never_used(index: Path, change: str) -> None:
    terms = query(index, "SELECT segment, term FROM posting")
    for segment, term in terms[:: max(1, len(terms) // 6)]:
        with raw(index) as connection:
            connection.execute("BEGIN")
            connection.execute(change.format(f"segment = {segment} AND term = {term}"))
            connection.execute("COMMIT")
        own = SparseVector(np.array([term], dtype=np.int32), np.ones(1, dtype=np.float32))
        with pytest.raises(DamagedIndexError, match=f"the posting of term {term} in segment {segment}"):
            best(index, own)
        assert [line for line in findings(index) if f"segment {segment}: the posting of term {term}" in line]
        shutil.copy(made_of(index), index)


def made_of(index: Path) -> Path:
    """Return the untouched copy beside an index."""
    return index.with_name("untouched.emb")


@pytest.fixture(autouse=True)
def untouched(request: pytest.FixtureRequest) -> None:
    if "index" in request.fixturenames:
        path = request.getfixturevalue("index")
        shutil.copy(path, made_of(path))


def test_a_flipped_byte_never_makes_a_false_score(index: Path) -> None:
    content, clean = index.read_bytes(), best(index, EVERYTHING)
    chance = random.Random(3)
    outcomes = set()
    for _ in range(300):
        changed = bytearray(content)
        changed[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        index.write_bytes(changed)
        try:
            found = best(index, EVERYTHING)
        except EmbedcliError:
            outcomes.add("refused")
        else:
            assert found == clean
            outcomes.add("right")
    assert outcomes == {"refused", "right"}


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM sparse WHERE segment = 1",
        "UPDATE sparse SET terms = zeroblob(length(terms)) WHERE segment = 1",
        "UPDATE sparse SET terms = x'00' WHERE segment = 1",
    ],
)
def test_a_changed_list_of_terms_is_found(index: Path, change: str) -> None:
    query(index, change)
    with pytest.raises(DamagedIndexError, match="the sparse vectors of segment 1"):
        best(index, EVERYTHING)
    assert findings(index) == ["segment 1: the list of its terms is not what was written"]


def test_what_belongs_to_no_segment_is_found_and_taken_out(index: Path) -> None:
    query(
        index, "INSERT INTO posting SELECT 99, term, rows, weights, row_hash FROM posting WHERE segment = 1"
    )
    query(index, "INSERT INTO sparse SELECT 98, terms, row_hash FROM sparse WHERE segment = 1")
    assert findings(index) == ["posting: segment 98 is not there", "posting: segment 99 is not there"]
    before = best(index, EVERYTHING)
    repaired(index)
    assert best(index, EVERYTHING) == before
    assert findings(index) == []


def repaired(path: Path) -> Any:
    with open_for_writing(path, stored_identity(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        done = repair(path, connection, verify(path, connection, check_lexical=True))
        connection.execute("COMMIT")
        return done


def test_a_repair_takes_out_the_segment_and_leaves_the_rest(index: Path) -> None:
    before = best(index, EVERYTHING)
    query(index, "DELETE FROM posting WHERE segment = 1 AND term = (SELECT min(term) FROM posting)")
    done = repaired(index)
    assert (done.records, done.lost) == (5, [])
    assert findings(index) == []
    after = best(index, EVERYTHING)
    assert after
    assert after == {row: score for row, score in before.items() if row in after}
    assert len(content(index)) == 4
    with writing(index, OWN) as writer:
        put(writer, b"b.txt", {"new": ["a text", "another text"]})
    assert findings(index) == []


def test_damage_stops_a_compaction(index: Path) -> None:
    query(index, "DELETE FROM posting WHERE segment = 2 AND term = (SELECT min(term) FROM posting)")
    kept = index.read_bytes()
    with open_for_writing(index, OWN) as connection, pytest.raises(DamagedIndexError, match="posting"):
        compact(index, connection)
    assert content(index) == content(made_of(index))
    assert len(kept) == index.stat().st_size


def test_known_texts_keep_their_sparse_vectors(index: Path) -> None:
    rows = dict(query(index, "SELECT text, text_hash FROM chunk"))
    with open_for_writing(index, OWN) as connection:
        writer = IndexWriter(index, connection, OWN, may_shrink=True)
        found = writer.known_sparse([*rows.values(), b"unknown"])
    assert set(found) == set(rows.values())
    for text, key in rows.items():
        wanted = stored_weights(sparse_of(text))
        assert found[key].terms.tolist() == wanted.terms.tolist()
        assert found[key].weights.tolist() == wanted.weights.tolist()


def test_another_sparse_model_is_refused_by_name(index: Path, tmp_path: Path) -> None:
    assert OWN.sparse is not None
    other = replace(OWN, sparse=replace(OWN.sparse, model="bigger", fingerprint="d" * 32))
    for wanted, said in (
        (other, r"tiny-sparse \(fp32, eeeeeeeeeeee\), this run has bigger \(fp32, dddddddddddd\)"),
        (identity(), r"tiny-sparse \(fp32, eeeeeeeeeeee\), this run has none"),
    ):
        with pytest.raises(IndexMismatchError, match=said), open_for_writing(index, wanted):
            pass
    plain = tmp_path / "plain.emb"
    with writing(plain, identity()) as writer:
        put(writer, b"a.txt", {"r": ["text"]})
    said = r"built without --sparse, this run has tiny-sparse"
    with pytest.raises(IndexMismatchError, match=said), open_for_writing(plain, OWN):
        pass
    with open_for_reading(plain) as connection:
        assert IndexReader(plain, connection).postings() is None


def test_an_index_without_is_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "plain.emb"
    with writing(path, identity()):
        pass
    assert query(path, "PRAGMA user_version") == [(1,)]
    assert not query(path, "SELECT 1 FROM sqlite_schema WHERE name IN ('sparse', 'posting')")
    assert "sparse" not in query(path, "SELECT value FROM meta WHERE key = 'identity'")[0][0]
    assert not query(path, "SELECT 1 FROM meta WHERE key = 'sparse'")


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM meta WHERE key = 'sparse'",
        "UPDATE meta SET value = '{}' WHERE key = 'sparse'",
        "PRAGMA user_version = 1",
        "DROP TABLE posting",
    ],
)
def test_a_file_that_is_neither_is_refused(index: Path, change: str) -> None:
    query(index, change)
    with pytest.raises(DamagedIndexError), open_for_reading(index) as connection:
        IndexReader(index, connection)


def test_vectors_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    bad = (
        SparseVector(np.array([TERMS], np.int32), np.ones(1, np.float32)),
        SparseVector(np.array([1], np.int32), np.array([np.nan], np.float32)),
        None,
    )
    for number, vector in enumerate(bad):
        path = tmp_path / f"{number}.emb"
        with open_for_writing(path, OWN) as connection:
            connection.execute("BEGIN")
            rows = np.array([vector_of("x", DIM)])
            first = segments.append_segment(connection, rows, "float16", None)
            with pytest.raises(VectorError, match="sparse vector"):
                postings.append_postings(connection, segments.segment_at(connection, first), [vector], TERMS)


def test_weights_are_rounded_to_float16() -> None:
    vector = SparseVector(np.arange(4, dtype=np.int32), np.array([1.23456, 1e-9, 80.0, 3e38], np.float32))
    kept = stored_weights(vector)
    assert kept.terms.tolist() == [0, 2, 3]
    np.testing.assert_allclose(kept.weights, [1.23456, 80, 65504], rtol=5e-4)
    assert stored_weights(kept).weights.tolist() == kept.weights.tolist()
