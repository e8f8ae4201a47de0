from __future__ import annotations

import json

import numpy as np
import pytest

from embedcli.datatypes import Counts, Record
from embedcli.encode.catalog import EncoderSettings, find_model
from embedcli.tasks.evaluate.encoder_sweep import sample_documents, sweep_encoder
from embedcli.tasks.evaluate.tune_bench import Questions
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from embedcli.vectors.ranking_measures import parse_metrics
from embedcli.write.tuning import verdict

TEXTS = {
    "card": "My card has not arrived",
    "pass": "How to reset a forgotten password",
    "close": "Closing an account for good",
    "rate": "Exchange rates and currencies",
    "pin": "Changing the PIN of a card",
    "top": "Adding money by bank transfer",
}
ASKED = {
    "card": "where is what I ordered",
    "pass": "i cannot log in",
    "close": "leave the bank",
    "rate": "dollars",
}


@pytest.fixture
def questions(tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"_id": key, "text": text}) + "\n" for key, text in TEXTS.items()))
    return Questions(
        (str(corpus),),
        {},
        [Record(f"q-{key}", text) for key, text in ASKED.items()],
        [{key: 1.0, "nowhere": 1.0} for key in ASKED],
    )


def vectorizer_of(name):
    model = find_model(name, ())
    return Vectorizer(model, EncoderSettings(jobs=1), VectorSettings("document", normalize=True), Counts())


def test_a_sample_holds_what_is_relevant_and_others_by_the_seed(questions):
    assert set(sample_documents(questions, 100, 0)) == set(TEXTS)
    assert set(sample_documents(questions, 2, 0)) == set(ASKED)
    five = [frozenset(sample_documents(questions, 5, seed)) for seed in range(8)]
    assert {len(names) for names in five} == {5}
    assert len(set(five)) == 2
    assert sample_documents(questions, 100, 0)["card"] == TEXTS["card"]


def test_every_layer_pooling_and_whitening_is_held_against_the_encoder_as_it_is(questions):
    vectorizer = vectorizer_of(None)
    try:
        metric = parse_metrics(["nDCG@10"])[0]
        found = sweep_encoder(vectorizer, questions, TEXTS, metric)
        own = vectorizer.text_vectors(list(TEXTS.values()))
        asked = vectorizer.text_vectors(list(ASKED.values()))
    finally:
        vectorizer.close()
    assert (found[0].knob, found[0].change, found[0].p) == ("encoder", 0.0, 1.0)
    assert [each.setting for each in found if each.knob == "layer"] == [
        f"{layer} of 6{more}" for layer in range(5, -1, -1) for more in ("", ", centred")
    ]
    assert [each.setting for each in found if each.knob == "pooling"] == ["cls", "max"]
    assert len([each for each in found if each.knob == "whitening"]) == 4
    assert all(each.change == pytest.approx(each.value - found[0].value) for each in found)
    # The value is that of the whole encoder's own cosines, a document that is not there counted as missed.
    ranks = [
        1 + int((row > row[place]).sum())
        for place, row in (
            (list(TEXTS).index(key), cosines) for key, cosines in zip(ASKED, asked @ own.T, strict=True)
        )
    ]
    ideal = 1 + 1 / np.log2(3)
    assert found[0].value == pytest.approx(np.mean([1 / np.log2(rank + 1) / ideal for rank in ranks]))
    ratios = [each.time_ratio for each in found if each.knob == "layer"]
    assert ratios[-1] < 0.6


def test_a_verdict_is_said_in_plain_words():
    from embedcli.tuning import Swept

    assert verdict(Swept("layer", "5 of 6", 0.4, -0.312, 0.0001)) == ".31 lower: leave it"
    assert verdict(Swept("whitening", "centred", 0.7, -0.01, 0.3)) == "no clear difference: leave it"
    assert verdict(Swept("whitening", "centred", 0.8, 0.07, 0.01)) == ".07 higher: worth a test of your own"
