"""The full-text side of an index against BM25 as its definition says, and against FTS5's own."""

from __future__ import annotations

import contextlib
import math
import re
import sqlite3
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from index_helpers import identity, put, writing

from embedcli.errors import DamagedIndexError, UsageError
from embedcli.index import lexical
from embedcli.index.file import open_for_reading
from embedcli.index.lexical import LexicalReader, Question
from embedcli.index.lexical_memory import LexicalMemory
from embedcli.index.lexical_words import WordCounter, varints
from embedcli.index.reader import IndexReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Words whose stem is themselves, so that the reference needs no stemmer.
WORDS = ["dog", "cat", "bird", "fish", "tax", "disk", "bread", "car", "rain", "sun"]
TEXTS = [
    "dog dog dog cat",
    "cat bird",
    "Dog, CAT; bird! fish.",
    "tax tax disk",
    "the disk and the bread and the dog",
    "bread",
    "car rain sun rain",
    "rain",
    "",
    "nothing in common",
    "dog " * 30 + "sun",
    "dog",
    "dog",
]


@contextlib.contextmanager
def opened(path: Path, texts: list[str]) -> Iterator[tuple[LexicalReader, sqlite3.Connection]]:
    with writing(path, identity()) as writer:
        put(writer, b"a.txt", {str(number): [text] for number, text in enumerate(texts)})
    with open_for_reading(path) as connection:
        chunks = IndexReader(path, connection).counts()["chunks"]
        yield LexicalReader(path, connection, chunks), connection


def rows_by_text(connection: sqlite3.Connection) -> dict[int, str]:
    return dict(connection.execute("SELECT id, text FROM chunk"))


def bm25(texts: dict[int, str], question: set[str]) -> dict[int, float]:
    """Score each text as the definition says."""
    split = {row: re.findall("[a-z]+", text.lower()) for row, text in texts.items()}
    mean = sum(map(len, split.values())) / len(split)
    scores = {}
    for row, words in split.items():
        score = 0.0
        for word in question:
            holding = sum(word in others for others in split.values())
            if not holding:
                continue
            weight = max(1e-6, math.log((len(split) - holding + 0.5) / (holding + 0.5)))
            count = words.count(word)
            score += weight * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(words) / mean))
        scores[row] = score
    return scores


@given(words=st.lists(st.sampled_from([*WORDS, "unseen"]), max_size=6))
def test_scores_are_those_of_the_definition_and_of_fts5(tmp_path_factory, words):
    with opened(tmp_path_factory.mktemp("x") / "x.emb", TEXTS) as (reader, connection):
        texts = rows_by_text(connection)
        question = reader.question(" ".join(words))
        wanted = bm25(texts, set(words))
        rows = np.array(list(texts), dtype=np.int64)
        np.testing.assert_allclose(reader.scores(question, rows), [wanted[row] for row in texts], rtol=1e-9)
        best = reader.best(question, len(texts))
        assert {hit.row for hit in best} == {row for row, score in wanted.items() if score > 0}
        assert best == sorted(best, key=lambda hit: (-hit.score, hit.row))
        if question.words:
            own = connection.execute(
                "SELECT rowid, -rank FROM lexical WHERE lexical MATCH ?",
                (" OR ".join(f'"{word}"' for word in set(words)),),
            ).fetchall()
            assert {row: pytest.approx(score, rel=1e-9) for row, score in own} == dict(best)


def test_the_rarest_words_find_candidates_and_all_words_rank_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = (f"{'dog' if number < 15 else 'cat'} number {number}" for number in range(40))
    # By the rare word alone the first of the last three is best.
    texts = [*others, "tax cat cat", "tax cat cat", "tax dog dog"]
    with opened(tmp_path / "x.emb", texts) as (reader, connection):
        exact = reader.best(reader.question("dog tax"), 1)
        assert rows_by_text(connection)[exact[0].row] == "tax dog dog"
        monkeypatch.setattr(lexical, "POSTINGS", 3)
        reader.memory = LexicalMemory()
        shown = rows_by_text(connection)
        pruned = reader.best(reader.question("dog tax"), 1)
        assert pruned == exact
        # Fewer chunks hold the rare word than are wanted: the frequent one finds the rest.
        assert len(reader.best(reader.question("dog tax"), 18)) == 18
        # As many as are wanted hold it: no other is looked at.
        seen: list[str] = []
        reader.memory = LexicalMemory()
        connection.set_trace_callback(seen.append)
        best = reader.best(reader.question("dog tax"), 1)
        connection.set_trace_callback(None)
        assert [shown[hit.row] for hit in best] == [shown[exact[0].row]]
        assert any("MATCH '\"tax\"'" in line for line in seen)
        assert not any("dog" in line for line in seen)


@given(st.text() | st.text(alphabet='ab "*():^-+{}NEARORANDNOT,\x00é漢\ud83d'))
def test_no_text_is_syntax(shared, text):
    reader, everything = shared
    found = reader.best(reader.question(text), 10)
    assert {hit.row for hit in found} <= everything


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("shared") / "x.emb", [*TEXTS, "é 漢字 a b near or and not"]) as (
        reader,
        connection,
    ):
        yield reader, set(rows_by_text(connection))


def test_what_a_filter_forbids_is_not_found(tmp_path: Path) -> None:
    with opened(tmp_path / "x.emb", TEXTS) as (reader, connection):
        rows = [row for row, text in rows_by_text(connection).items() if text == "dog"]
        allowed = np.array(rows, dtype=np.int64)
        assert [hit.row for hit in reader.best(reader.question("dog"), 10, allowed)] == rows
        assert [hit.row for hit in reader.best(Question(expression="dog"), 10, allowed)] == rows
        assert reader.best(reader.question("dog"), 10, allowed[:0]) == []


def test_chunks_of_a_record_that_is_still_written_are_not_found(tmp_path: Path) -> None:
    with writing(tmp_path / "x.emb", identity()) as writer:
        put(writer, b"a.txt", {"a": ["dog one"]})
        put(writer, b"b.txt", {"b": ["dog two"]}, complete=False)
    with open_for_reading(tmp_path / "x.emb") as connection:
        chunks = IndexReader(tmp_path / "x.emb", connection).counts()["chunks"]
        reader = LexicalReader(tmp_path / "x.emb", connection, chunks)
        texts = rows_by_text(connection)
        assert [texts[hit.row] for hit in reader.best(reader.question("dog"), 10)] == ["dog one"]
        assert [texts[hit.row] for hit in reader.best(Question(expression="dog"), 10)] == ["dog one"]


def test_asked_again_is_as_asked_first(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(lexical, "MATCHES", 2)
    with opened(tmp_path / "x.emb", TEXTS) as (reader, connection):
        chunks = len(TEXTS)

        def anew(text: str, count: int, allowed: np.ndarray | None) -> list[lexical.LexicalHit]:
            fresh = LexicalReader(tmp_path / "x.emb", connection, chunks)
            return fresh.best(fresh.question(text), count, allowed)

        allowed = np.array([1, 3, 4, 7, 12])
        for text, count, only in [
            ("dog and tax", 1, None),
            ("dog and tax", 5, None),
            ("dog and tax", 3, allowed),
            ("rain", 9, None),
            ("dog and tax", 20, None),
            ("dog and tax", 2, allowed),
        ]:
            assert reader.best(reader.question(text), count, only) == anew(text, count, only)
        reader.memory = LexicalMemory(1)
        for text in ("rain", "sun", "rain", "sun"):
            assert reader.best(reader.question(text), 3) == anew(text, 3, None)


def test_a_chunk_is_read_and_scored_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path / "x.emb", TEXTS) as (reader, connection):
        before = reader.best(reader.question("dog"), 9)
        with monkeypatch.context() as patch:
            patch.setattr(reader, "_computed", None)
            assert reader.best(reader.question("dog"), 2) == before[:2]
        # Another index with the same rows.
        other = LexicalReader(tmp_path / "x.emb", connection, len(TEXTS))
        other.memory = reader.memory
        with monkeypatch.context() as patch:
            patch.setattr(other, "_computed", None)
            assert other.best(other.question("dog"), 9) == before
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        assert {hit.row for hit in before} <= {
            hit.row for hit in reader.best(reader.question("dog and cat"), 9)
        }
        read = [number for number in map(str, statements) if "FROM chunk WHERE id" in number]
        assert not {f"SELECT * FROM chunk WHERE id = {hit.row}" for hit in before} & set(read)


def test_an_expression_is_ranked_as_fts5_does(tmp_path: Path) -> None:
    with opened(tmp_path / "x.emb", TEXTS) as (reader, connection):
        own = connection.execute(
            "SELECT rowid, -rank FROM lexical WHERE lexical MATCH 'dog NOT cat'"
        ).fetchall()
        found = reader.best(Question(expression="dog NOT cat"), 10)
        assert dict(found) == dict(own)
        rows = np.array(list(rows_by_text(connection)), dtype=np.int64)
        scores = reader.scores(Question(expression="dog NOT cat"), rows)
        assert dict(zip(rows.tolist(), scores.tolist(), strict=True)) == dict.fromkeys(
            rows.tolist(), 0.0
        ) | dict(own)
        for wrong in ("dog AND (", '"dog', "nocolumn: dog", "*"):
            with pytest.raises(UsageError, match="--lexical-query"):
                reader.best(Question(expression=wrong), 10)


def test_words_of_a_chunk_that_is_gone_or_changed_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "x.emb"
    with opened(path, TEXTS):
        pass
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE chunk SET text = 'fish dog' WHERE text = 'dog'")
    with open_for_reading(path) as connection:
        reader = LexicalReader(path, connection, len(TEXTS))
        with pytest.raises(DamagedIndexError, match="of chunk"):
            reader.best(reader.question("dog"), 10)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM chunk WHERE text = 'fish dog'")
    with open_for_reading(path) as connection, pytest.raises(DamagedIndexError, match="is missing"):
        reader = LexicalReader(path, connection, len(TEXTS))
        reader.best(reader.question("dog"), 10)


def test_words_are_as_the_table_has_them() -> None:
    counter = WordCounter()
    assert counter.words("Running dogs RUN; the café's dog") == {
        "run": "run", "dog": "dog", "the": "the", "cafe": "cafe", "s": "s",
    }  # fmt: skip
    counts, lengths = counter.count(["runs ran running", "", "dog"], ["run", "dog"])
    assert counts.tolist() == [[2, 0], [0, 0], [0, 1]]
    assert lengths.tolist() == [3, 0, 1]
    assert counter.count([], ["run"])[0].shape == (0, 1)


def encoded(number: int) -> bytes:
    """Write a number as SQLite does."""
    if number >= 1 << 56:
        head, last = number >> 8, number & 0xFF
        return bytes((head >> shift & 0x7F) | 0x80 for shift in range(49, -1, -7)) + bytes([last])
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))


@given(st.lists(st.integers(0, (1 << 64) - 1) | st.integers(0, 300)))
def test_variable_length_integers_are_read(numbers):
    assert varints(b"".join(map(encoded, numbers))) == numbers
