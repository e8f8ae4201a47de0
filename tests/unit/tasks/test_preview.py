"""A preview says what runs do: its counts are those of the program over the same records."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.datatypes import Counts, Record
from embedcli.encode.catalog import EncoderSettings, find_model
from embedcli.encode.export.probe_texts import SENTENCES
from embedcli.tasks.dedupe import DedupeSettings
from embedcli.tasks.edits import EDITS, edit_text
from embedcli.tasks.preview import BINS, SHOWN_PAIRS, preview
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from embedcli.vectors.metric import cosine
from embedcli.write.preview import write_preview
from embedcli.write.target import Output
from tests.conftest import Program

COPIES = [copy for text in SENTENCES[:30] for edit in EDITS if (copy := edit_text(text, edit))]
TEXTS = [*SENTENCES, "", *COPIES]
RECORDS = [Record(f"r{number}", text) for number, text in enumerate(TEXTS)]
SETTINGS = DedupeSettings(("exact", "normalized", "semantic"), 0.93)


@pytest.fixture(scope="module")
def vectors():
    vectorizer = Vectorizer(find_model("static"), EncoderSettings(), VectorSettings(), Counts())
    yield vectorizer.record_vectors(RECORDS)
    vectorizer.close()


def test_what_would_be_kept_is_what_is_kept(vectors, program: Program):
    found = preview(RECORDS, vectors, SETTINGS)
    assert found.records == len(TEXTS) - 1
    stdin = "".join(f"{text}\n" for text in TEXTS).encode()
    assert [at for at, _ in found.kept] == [0.83, 0.88, 0.91, 0.92, 0.93, 0.94, 0.95, 0.98]
    for at, kept in (found.kept[0], found.kept[4], found.kept[-1]):
        stages = ("--method", ",".join(SETTINGS.methods))
        done = program("dedupe", "-m", "static", *stages, "--threshold", at, stdin=stdin).ok()
        assert len([line for line in done.lines if line]) == kept
    by_text = program("dedupe", "--method", "exact,normalized", stdin=stdin).ok()
    assert len([line for line in by_text.lines if line]) == found.records - found.by_text
    assert found.by_text == sum(text.lower() in map(str.lower, SENTENCES) for text in COPIES)


def test_every_record_that_text_leaves_open_has_its_place(vectors):
    found = preview(RECORDS, vectors, SETTINGS)
    assert sum(one.records for one in found.histogram) + found.alone == found.records - found.by_text
    assert found.histogram[0].records
    assert found.histogram[-1].high == 1
    assert all(
        one.high == other.low for one, other in zip(found.histogram, found.histogram[1:], strict=False)
    )
    assert {round(one.high - one.low, 9) for one in found.histogram} == {1 / BINS}


def test_the_pairs_around_the_line_are_the_nearest_to_it(vectors):
    found = preview(RECORDS, vectors, SETTINGS)
    shown = [*found.above, *found.below]
    scores = [pair.cosine for pair in shown]
    assert scores == sorted(scores, reverse=True)
    assert len(found.above) == len(found.below) == SHOWN_PAIRS
    assert found.above[-1].cosine >= SETTINGS.threshold > found.below[0].cosine
    assert len({frozenset(pair.ids) for pair in shown}) == len(shown)
    row_of = {record.id: row for row, record in enumerate(RECORDS)}
    for pair in shown:
        one, other = (row_of[own] for own in pair.ids)
        assert one < other
        assert pair.texts == (TEXTS[one], TEXTS[other])
        assert pair.cosine == pytest.approx(cosine(vectors[[one]], vectors[other])[0], abs=1e-3)


def one_way(*cosines):
    """Return vectors that have these cosines with the first, which leads."""
    return np.array([[1, 0], *([at, np.sqrt(1 - at**2)] for at in cosines)], dtype=np.float32)


def test_few_records_and_none():
    nothing = preview([], np.zeros((0, 2), np.float32), SETTINGS)
    assert (nothing.records, nothing.histogram, nothing.above, nothing.below) == (0, (), (), ())
    assert {kept for _, kept in nothing.kept} == {0}
    single = preview(RECORDS[:1], one_way(), SETTINGS)
    assert (single.alone, single.histogram) == (1, ())
    pair = preview(RECORDS[:2], one_way(0.51), SETTINGS)
    assert [one.records for one in pair.histogram] == [2, *[0] * 24]
    assert (len(pair.above), len(pair.below)) == (0, 1)


def test_the_line_is_inclusive_and_a_threshold_at_the_end_is_no_more_than_one():
    records = [Record("a", "one"), Record("b", "two")]
    found = preview(records, one_way(1), replace(SETTINGS, threshold=1.0))
    assert (len(found.above), len(found.below)) == (1, 0)
    assert found.kept[-1] == (1.0, 1)
    assert found.histogram[-1].records == 2


@given(st.lists(st.sampled_from([0.2, 0.5, 0.9, 0.93, 0.96]), max_size=8), st.sampled_from([0.0, 0.5, 1.0]))
def test_a_length_that_does_not_fit_is_no_pair(cosines, ratio):
    records = [Record(str(number), "x" * (1 + number % 3)) for number in range(len(cosines) + 1)]
    found = preview(records, one_way(*cosines), replace(SETTINGS, methods=("semantic",), length_ratio=ratio))
    for pair in (*found.above, *found.below):
        short, long = sorted(map(len, pair.texts))
        assert short >= ratio * long
    lengths = Counter(len(record.text) for record in records)
    if ratio == 1:
        assert found.alone == sum(count for count in lengths.values() if count == 1)


def test_a_preview_is_printed_in_the_columns_there_are(vectors):
    found = preview(RECORDS, vectors, SETTINGS)
    pair = found.above[0]._replace(texts=("two\nlines \x1b[31mred", "漢" * 90))
    found = replace(found, above=(pair, *found.above[1:]))
    stream = io.BytesIO()
    write_preview(found, Output(stream, "stream"), 60)
    lines = stream.getvalue().decode().split("\n")
    assert lines[0] == f"{found.records} records, {found.by_text} of them duplicates by their text alone"
    assert all(len(line) <= 60 for line in lines)
    assert sum(line.count("#") for line in lines) > 40
    assert [line for line in lines if "two lines \\x1b[31mred" in line]
    assert any(line.endswith("漢…") and len(line) < 45 for line in lines), "wide characters take two columns"
    table = lines[lines.index("threshold   kept  dropped") + 1 : -1]
    assert [line.split()[0] for line in table] == [f"{at:.4f}" for at, _ in found.kept]
    assert [line for line in table if line.endswith("<")] == [table[4]]
    bins = [line for line in lines if line.startswith("  0.") and "#" in line]
    assert [line[:8] for line in bins if "<" in line] == ["  0.92 <"]
    assert asdict(found)["kept"][0] == found.kept[0]
