"""Spans join back to the text, however many sentences are looked at together."""

from __future__ import annotations

import pytest

from embedcli.datatypes import Counts
from embedcli.encode.catalog import EncoderSettings, find_model
from embedcli.tasks.topic_cuts import TopicCuts
from embedcli.tasks.vectorize import Vectorizer, VectorSettings

BAKING = "Knead the dough. Let the dough rest. Bake the bread. Cut the bread when it is cold. "
LAW = "The court met on Monday. The judge heard the witness. The lawyer objected. The jury left the court. "
TEXT = "\n" + (BAKING + LAW) * 3 + "\n\nNo more. "


@pytest.fixture(scope="module")
def cuts() -> TopicCuts:
    model = find_model("default", ())
    return TopicCuts(Vectorizer(model, EncoderSettings(jobs=1), VectorSettings(), Counts()))


@pytest.mark.parametrize("together", [2, 3, 7, 16, 1024])
@pytest.mark.parametrize("max_tokens", [None, 8, 200])
def test_spans_join_back_to_the_text(
    cuts: TopicCuts, monkeypatch: pytest.MonkeyPatch, together: int, max_tokens: int | None
) -> None:
    monkeypatch.setattr("embedcli.tasks.topic_cuts._BLOCK_SENTENCES", together)
    spans = list(cuts.spans(TEXT, max_tokens))
    assert "".join(TEXT[start:end] for start, end in spans) == TEXT
    assert spans[0][0] == 0
    if together >= 16 and max_tokens != 8:
        parts = [TEXT[start:end].strip() for start, end in spans]
        assert parts[:6] == [BAKING.strip(), LAW.strip()] * 3


def test_what_it_encodes_is_not_counted(cuts: TopicCuts) -> None:
    counts = Counts()
    vectorizer = Vectorizer(find_model("static", ()), EncoderSettings(), VectorSettings(), counts)
    assert len(list(vectorizer.topic_cuts.spans(TEXT, None))) > 1
    assert counts == Counts()


def test_empty_text_has_no_spans(cuts: TopicCuts) -> None:
    assert list(cuts.spans("", 9)) == []
