"""Late chunks on their way to the encoder: each window once, whatever is batched; and titles."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.datatypes import Counts, Record, TextPart
from embedcli.encode.adopt import Origin, adopt_folder
from embedcli.encode.catalog import EncoderSettings, Model
from embedcli.errors import UsageError
from embedcli.tasks import build_queue
from embedcli.tasks.build import build_index
from embedcli.tasks.build_settings import BuildSettings
from embedcli.tasks.chunk_settings import ChunkSettings, check_chunking
from embedcli.tasks.chunks import record_cuts, record_title
from embedcli.tasks.pipeline import BATCH_ITEMS, batches
from embedcli.tasks.search import SearchSettings, search_records
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from tests.models_maker import write_source

if TYPE_CHECKING:
    from pathlib import Path

LATE = ChunkSettings("late", chunk_tokens=8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A tiny model that takes 62 tokens of text; a token's vector depends on its place in the window."""
    folder = tmp_path_factory.mktemp("model")
    places = np.random.default_rng(1).standard_normal((64, 16))
    write_source(folder / "source", max_tokens=64, positions=places)
    origin = Origin("tiny", "nobody/tiny", "abc", "MIT", ("en",), "A tiny one", "real work", (), {})
    return Model(folder / "model", adopt_folder(folder / "source", folder / "model", origin))


@pytest.fixture
def vectorizer(model: Model):
    made = Vectorizer(model, EncoderSettings("cpu", 2), VectorSettings(normalize=True), Counts())
    yield made
    made.close()


@pytest.fixture
def seen(vectorizer: Vectorizer, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The texts of each call of the encoder."""
    calls: list[list[str]] = []
    pooled = vectorizer.encoder.span_vectors

    def span_vectors(texts, spans, **options):
        calls.append(list(texts))
        return pooled(texts, spans, **options)

    monkeypatch.setattr(vectorizer.encoder, "span_vectors", span_vectors)
    return calls


def sentences(count: int, first: int = 0) -> str:
    return " ".join(f"The dog {number} runs to a cat." for number in range(first, first + count))


def built(vectorizer: Vectorizer, folder: Path, rows: list[dict[str, str]]) -> Counts:
    """Build an index of some records with late chunks of a sentence each."""
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = BuildSettings((str(folder / "t.jsonl"),), chunking="late", chunk_tokens=12)
    counts = Counts()
    build_index(folder / "x.emb", settings, vectorizer, counts, pytest.fail)
    return counts


def test_windows_of_several_records_go_together(vectorizer, seen, tmp_path: Path) -> None:
    built(vectorizer, tmp_path, [{"id": str(n), "text": sentences(20, 20 * n)} for n in range(40)])
    assert build_queue.ENCODE_TEXTS // 2 < max(map(len, seen)) <= build_queue.ENCODE_TEXTS


def test_no_window_goes_through_the_encoder_twice(vectorizer, seen, tmp_path: Path) -> None:
    """Neither at the edge of a batch nor where a large record is written in parts."""
    rows = [{"id": "large", "text": sentences(1500)}]
    rows += [{"id": str(number), "text": sentences(20, 5000 + 20 * number)} for number in range(40)]
    counts = built(vectorizer, tmp_path, rows)
    texts = [text for call in seen for text in call]
    assert len(texts) == len(set(texts)) > 300
    assert counts.written > 4 * build_queue.LARGE_RECORD_CHUNKS

    seen.clear()
    query = np.ones((1, 16), dtype=np.float32)
    records = [Record(row["id"], row["text"]) for row in rows]
    fresh = vectorizer.with_settings(VectorSettings(on_long="split", normalize=True))
    search_records(records, query, fresh, SearchSettings(), ChunkSettings("late", chunk_tokens=12))
    again = [text for call in seen for text in call]
    assert sorted(again) == sorted(texts)


def test_a_record_s_chunks_have_the_vectors_of_their_windows(vectorizer) -> None:
    text = sentences(60)
    cuts = list(record_cuts(Record("1", text), "late", LATE, vectorizer))
    assert len({cut.encoded.text for cut in cuts}) > 3
    for cut in cuts:
        around = cut.encoded
        assert around.text[around.start : around.end] == cut.chunk.text
        assert around.text in text
        assert len(vectorizer.encoder.token_spans(around.text)) <= vectorizer.room_tokens
    found = vectorizer.text_vectors([cut.encoded for cut in cuts])
    for row in (0, 7, len(cuts) - 1):
        alone = vectorizer.text_vectors([cuts[row].encoded])[0]
        assert alone.tobytes() == found[row].tobytes()
    # A chunk that is its own window is an ordinary text.
    (whole,) = record_cuts(Record("1", "The dog runs."), "late", LATE, vectorizer)
    assert whole.encoded == "The dog runs."


def test_the_part_is_in_the_key(vectorizer) -> None:
    text = "The dog runs to a cat."
    parts = [TextPart(text, 0, 7), TextPart(text, 8, 22), TextPart(text, 0, 22), text]
    found = vectorizer.text_vectors(parts)
    np.testing.assert_allclose(found[2], found[3], atol=1e-5)
    assert len({row.tobytes() for row in found}) >= 3
    assert vectorizer.text_vectors(parts[::-1]).tobytes() == found[::-1].tobytes()


@given(st.lists(st.integers(1, 3 * BATCH_ITEMS), max_size=12))
def test_what_shares_a_text_stays_in_one_batch(sizes: list[int]) -> None:
    texts = [f"text {number}" for number in range(len(sizes))]
    items = [text for text, size in zip(texts, sizes, strict=True) for _ in range(size)]
    found = list(batches(items, len_of, lambda item: item))
    assert [item for batch in found for item in batch] == items
    for text in texts:
        assert sum(text in batch for batch in found) == 1
    for batch in found:
        assert len(batch) - batch.count(batch[-1]) < BATCH_ITEMS


def len_of(item: str) -> str:
    return item


def test_titles_are_of_a_field_that_is_not_in_the_text() -> None:
    record = Record("1", "x", fields={"title": " A\n title ", "text": "x", "n": 1})
    assert record_title(record, ()) == "A title"
    assert record_title(record, ("text",)) == "A title"
    assert record_title(record, ("title", "text")) == ""
    assert record_title(record, ("1",)) == "", "the number of its column"
    assert record_title(record._replace(fields={"title": 3}), ()) == ""
    assert record_title(record._replace(fields={}), ()) == ""


def test_a_model_that_takes_little_has_short_titles(vectorizer) -> None:
    """A quarter of what it takes; and chunk and title together fit."""
    record = Record("1", sentences(30), fields={"title": "dog " * 100, "text": ""})
    settings = ChunkSettings("tokens", context_title=True)
    for cut in record_cuts(record, "tokens", settings, vectorizer, ("text",)):
        assert cut.title.split() == ["dog"] * 15
        assert cut.encoded == f"{cut.title}\n{cut.chunk.text}"
        assert len(vectorizer.encoder.token_spans(cut.encoded)) <= vectorizer.room_tokens


@pytest.mark.parametrize("settings", [ChunkSettings(chunk_tokens=63), ChunkSettings(chunk_overlap=62)])
def test_sizes_that_the_model_does_not_take(vectorizer, settings: ChunkSettings) -> None:
    with pytest.raises(UsageError, match="62"):
        check_chunking(settings, vectorizer)


def test_late_chunks_of_another_pooling_are_refused(model: Model) -> None:
    made = Vectorizer(model, EncoderSettings("cpu", 1, pooling="max"), VectorSettings(), Counts())
    with pytest.raises(UsageError, match="pools by max") as caught:
        check_chunking(LATE, made)
    assert caught.value.hint
