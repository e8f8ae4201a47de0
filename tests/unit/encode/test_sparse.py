"""Learned sparse encoders against their formula in numpy."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from embedcli.datatypes import SparseVector
from embedcli.encode.catalog import EncoderSettings, find_model, open_encoder, open_sparse_encoder
from embedcli.encode.manifest import read_manifest
from embedcli.encode.sparse import SparseEncoder
from embedcli.errors import DamagedModelError, ModelError
from tests.models_maker import wordpiece, write_sparse_model

TEXTS = [
    "the dog runs",
    "a cat sleeps, the dog runs to the cat and the dog sleeps: none of the words is rare here!",
    "",
    "cat",
    "dog cat",
    "runs to",
    "xyzzy " * 40,
]
SPECIAL = [2, 3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models") / "tiny-sparse"


@pytest.fixture(scope="module")
def scores(folder: Path) -> np.ndarray:
    return write_sparse_model(folder)


@pytest.fixture(scope="module")
def tokenizer(scores: np.ndarray, folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def opened(folder: Path, **changes: object) -> SparseEncoder:
    settings = {"variant": "fp32", "device": "cpu", "jobs": 2}
    return SparseEncoder(folder, read_manifest(folder), **(settings | changes))  # type: ignore[arg-type]


def formula(scores: np.ndarray, ids: list[int]) -> np.ndarray:
    """Return max over tokens of log(1 + relu(score)), shape (words,), 0 for special words."""
    if not ids:
        return np.zeros(scores.shape[1])
    weights = np.log1p(np.maximum(scores[ids], 0)).max(axis=0)
    weights[SPECIAL] = 0
    return weights


def dense(vector: SparseVector, size: int) -> np.ndarray:
    row = np.zeros(size)
    row[vector.terms] = vector.weights
    return row


def check_form(vector: SparseVector) -> None:
    assert (vector.terms.dtype, vector.weights.dtype) == (np.int32, np.float32)
    assert (np.diff(vector.terms) > 0).all()
    assert (vector.weights > 0).all()


def test_weights_are_those_of_the_formula(folder: Path, scores: np.ndarray, tokenizer: Tokenizer) -> None:
    found = opened(folder).encode(TEXTS)
    for text, vector, tokens in zip(TEXTS, found.vectors, found.token_counts, strict=True):
        check_form(vector)
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert tokens == len(ids) + 2
        # A long text goes through in windows; the largest over windows is the largest over all.
        np.testing.assert_allclose(dense(vector, len(scores)), formula(scores, ids), rtol=1e-6, atol=1e-6)
    assert not len(found.vectors[2].terms)
    assert found.token_counts[1] > 16, "more than one window"


def test_a_cut_text_weighs_as_its_beginning(folder: Path, scores: np.ndarray, tokenizer: Tokenizer) -> None:
    text = TEXTS[1]
    cut = opened(folder).encode([text], on_long="truncate").vectors[0]
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    np.testing.assert_allclose(dense(cut, len(scores)), formula(scores, ids[:14]), rtol=1e-6, atol=1e-6)
    assert (dense(cut, len(scores)) != formula(scores, ids)).any()


def test_company_changes_nothing(folder: Path, scores: np.ndarray) -> None:
    encoder = opened(folder)
    together = encoder.encode(TEXTS).vectors
    for text, vector in zip(TEXTS, together, strict=True):
        alone = encoder.encode([text]).vectors[0]
        assert alone.terms.tobytes() == vector.terms.tobytes()
        assert alone.weights.tobytes() == vector.weights.tobytes()
    backwards = opened(folder, jobs=1).encode(TEXTS[::-1]).vectors[::-1]
    assert [vector.weights.tobytes() for vector in backwards] == [
        vector.weights.tobytes() for vector in together
    ]


def test_a_prompt_counts_unless_the_model_leaves_it_out(
    folder: Path, scores: np.ndarray, tokenizer: Tokenizer
) -> None:
    manifest = read_manifest(folder)
    for counts in (True, False):
        own = dataclasses.replace(manifest, pool_prompt=counts)
        encoder = SparseEncoder(folder, own, variant="fp32", device="cpu", jobs=1)
        found = encoder.encode(["dog"], prompt="query: ").vectors[0]
        ids = tokenizer.encode("query: dog" if counts else "dog", add_special_tokens=False).ids
        np.testing.assert_allclose(dense(found, len(scores)), formula(scores, ids), rtol=1e-6, atol=1e-6)


def test_terms_are_the_tokens_as_they_are_written(folder: Path, scores: np.ndarray) -> None:
    terms = opened(folder).terms
    vocabulary = wordpiece().get_vocab()
    assert terms[vocabulary["dog"]] == "dog"
    assert terms[vocabulary["##g"]] == "##g"
    named = [term for term in terms if term]
    assert len(set(named)) == len(named) == len(terms) - len(SPECIAL)


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    table = np.ones((wordpiece().get_vocab_size(), 8), dtype=np.float32)
    table[wordpiece().token_to_id("cat")] = np.inf
    write_sparse_model(tmp_path / "broken", table=table)
    encoder = opened(tmp_path / "broken")
    encoder.encode(["dog"])
    with pytest.raises(ModelError, match="not finite for 'a cat'"):
        encoder.encode(["dog", "a cat"])


def test_another_vocabulary_is_refused(folder: Path, scores: np.ndarray) -> None:
    manifest = dataclasses.replace(read_manifest(folder), dim=len(scores) + 1)
    with pytest.raises(DamagedModelError, match=f"scores of {len(scores)} words, its manifest says"):
        SparseEncoder(folder, manifest, variant="fp32", device="cpu", jobs=1)


def test_each_kind_has_its_place(folder: Path, scores: np.ndarray) -> None:
    model = find_model(f"{folder}")
    with pytest.raises(ModelError, match="tiny-sparse is a sparse model") as caught:
        open_encoder(model, EncoderSettings())
    assert "--sparse" in caught.value.hint
    with pytest.raises(ModelError, match="no sparse model: its kind is static"):
        open_sparse_encoder(find_model("static"), EncoderSettings())
    assert open_sparse_encoder(model, EncoderSettings(device="cpu")).device == "cpu"
