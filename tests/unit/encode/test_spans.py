"""Parts of a text pooled from its own tokens: what they add up to, and which models refuse."""

from __future__ import annotations

import itertools
import re
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.encode.adopt import Origin, adopt_folder
from embedcli.encode.catalog import EncoderSettings, Model, find_model, open_encoder
from embedcli.errors import ModelError
from tests.models_maker import TOKENIZERS, write_dense, write_json, write_modules, write_source

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.encode.encoder import Encoder

ORIGIN = Origin("tiny", "nobody/tiny", "abc", "MIT", ("en",), "A tiny one", "real work", (), {})
KINDS = ("bert", "roberta", "qwen3", "xlm-roberta", "gemma3_text")
PROMPTS = ("", "query: ", "q\n")

texts = (
    st.lists(
        st.sampled_from(["dog", "the dog", "x.", "\n\n", " ", "  ", "é", "漢字", "dogdog", "\u200b", "a-b"]),
        min_size=1,
        max_size=30,
    )
    .map("".join)
    .filter(lambda text: text.strip())
    .map(str.strip)
)


def opened(folder: Path, **options: object) -> Encoder:
    model = Model(folder / "model", adopt_folder(folder / "source", folder / "model", ORIGIN))
    return open_encoder(model, EncoderSettings(device="cpu", jobs=2, **options))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory):
    """Return a tiny encoder of each kind of tokenizer, its vectors with a place in them."""

    @cache
    def encoder(kind: str, max_tokens: int = 256) -> Encoder:
        folder = tmp_path_factory.mktemp(kind)
        places = np.random.default_rng(1).standard_normal((max_tokens, 16))
        write_source(folder / "source", architecture=kind, max_tokens=max_tokens, positions=places)
        return opened(folder)

    return encoder


@st.composite
def cut_texts(draw):
    """Return a text, and spans without white space at their ends that leave nothing else out."""
    text = draw(texts)
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=5)) | {0, len(text)})
    spans = []
    for start, end in itertools.pairwise(cuts):
        part = text[start:end]
        if part.strip():
            spans.append((start + len(part) - len(part.lstrip()), start + len(part.rstrip())))
    return text, spans


def brute_force(encoder: Encoder, kind: str, text: str, spans, prompt: str):
    """Return the sums of the tokens of each span, and their counts, token by token."""
    (tokens,) = encoder.token_vectors([text], prompt=prompt)
    inner = TOKENIZERS[kind]()
    encoded = inner.encode(prompt + text)
    assert len(encoded.ids) == len(tokens)
    last_real = max(at for at, special in enumerate(encoded.special_tokens_mask) if not special)
    sums, counts = np.zeros((len(spans), tokens.shape[1])), np.zeros(len(spans))
    for at, (vector, (start, end), special) in enumerate(
        zip(tokens, encoded.offsets, encoded.special_tokens_mask, strict=True)
    ):
        place = max(0, (end - 1 if end > start else start) - len(prompt))
        if special:
            place = 0 if at < last_real else len(text)
        # A token between two spans counts for the one before it.
        owner = max((row for row, (first, _) in enumerate(spans) if first <= place), default=0)
        sums[owner] += vector
        counts[owner] += 1
    return sums, counts, tokens.mean(axis=0)


@settings(max_examples=25)
@given(cut_texts(), st.sampled_from(PROMPTS), st.sampled_from(KINDS))
def test_spans_are_pooled_from_their_own_tokens(tiny, cut, prompt, kind):
    text, spans = cut
    encoder = tiny(kind)
    (found,) = encoder.span_vectors([text], [spans], prompt=prompt)
    sums, counts, whole = brute_force(encoder, kind, text, spans, prompt)
    expected = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], whole)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    # Together they are the text.
    np.testing.assert_allclose((found * counts[:, None]).sum(axis=0) / counts.sum(), whole, atol=1e-5)
    ((one,),) = encoder.span_vectors([text], [[(0, len(text))]], prompt=prompt)
    np.testing.assert_allclose(one, encoder.encode([text], prompt=prompt).vectors[0], atol=1e-5)


def test_the_shipped_encoder_s_parts_know_their_surroundings() -> None:
    encoder = open_encoder(find_model(), EncoderSettings(device="cpu", jobs=2))
    other = "Berlin is the capital of Germany."
    text = f"{other} It has 3.8 million inhabitants. The city is also a state."
    cuts = [0, len(other), text.index(" The"), len(text)]
    spans = [(start + (start > 0), end) for start, end in itertools.pairwise(cuts)]
    try:
        whole = encoder.encode([text]).vectors[0]
        parts, one = encoder.span_vectors([text, text], [spans, [(0, len(text))]])
        np.testing.assert_allclose(one[0], whole, atol=1e-5)
        counts = np.array([len(encoder.token_spans(text[start:end])) for start, end in spans])
        counts[[0, -1]] += 1
        np.testing.assert_allclose((parts * counts[:, None]).sum(axis=0) / counts.sum(), whole, atol=1e-5)
        asked, separate = encoder.encode(["Berlin", text[slice(*spans[1])]]).vectors

        def cosine(one: np.ndarray, two: np.ndarray) -> float:
            return float(one @ two / np.linalg.norm(one) / np.linalg.norm(two))

        assert cosine(asked, parts[1]) > cosine(asked, separate) + 0.1
        # In any company.
        again = encoder.span_vectors(["x", text, "a b"], [[(0, 1)], spans, [(2, 3)]])[1]
        assert again.tobytes() == parts.tobytes()
    finally:
        encoder.close()


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_text_that_is_too_long_after_all_loses_nothing(tiny, prompt: str) -> None:
    encoder = tiny("bert", 16)
    text = " ".join(["the dog runs"] * 20)
    words = [found.span() for found in re.finditer(r"\w+", text)]
    firsts = [0, 2, 21]
    spans = [(words[0][0], words[1][1]), (words[2][0], words[20][1]), (words[21][0], len(text))]
    (found,) = encoder.span_vectors([text], [spans], prompt=prompt)
    (tokens,) = encoder.token_vectors([text], prompt=prompt)
    before, room = len(encoder.token_spans(prompt)), encoder.content_tokens
    # Special tokens stand around each call; but for the very first, they go with the token before them.
    rows = [0, *((before + at) + 2 * ((before + at) // room) + 1 for at in firsts[1:]), len(tokens)]
    for vector, (start, end) in zip(found, itertools.pairwise(rows), strict=True):
        np.testing.assert_allclose(vector, tokens[start:end].mean(axis=0), atol=1e-5)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_prompt_that_is_not_pooled_is_left_out(tmp_path: Path, prompt: str) -> None:
    pooling = {"pooling_mode_mean_tokens": True, "include_prompt": False}
    write_source(tmp_path / "source", pooling=pooling)
    encoder = opened(tmp_path)
    text = "the dog runs"
    ((one,),) = encoder.span_vectors([text], [[(0, len(text))]], prompt=prompt)
    np.testing.assert_allclose(one, encoder.encode([text], prompt=prompt).vectors[0], atol=1e-5)
    (first, _) = encoder.span_vectors([text], [[(0, 3), (4, 12)]], prompt=prompt)[0]
    (tokens,) = encoder.token_vectors([text], prompt=prompt)
    alone = 1 if prompt else 2
    np.testing.assert_allclose(first, tokens[:alone].mean(axis=0), atol=1e-5)


def test_dense_layers_follow_for_each_part(tmp_path: Path) -> None:
    write_source(tmp_path / "source")
    weight = np.random.default_rng(2).standard_normal((4, 16))
    write_modules(tmp_path / "source", ["Transformer", "Pooling", "Dense"])
    write_json(tmp_path / "source" / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    tanh = "torch.nn.modules.activation.Tanh"
    write_dense(tmp_path / "source" / "2_Dense", weight, np.ones(4), tanh)
    encoder = opened(tmp_path)
    (tokens,) = encoder.token_vectors(["dog cat"])
    (found,) = encoder.span_vectors(["dog cat"], [[(0, 3), (4, 7)]])
    halves = [tokens[:2].mean(axis=0), tokens[2:].mean(axis=0)]
    np.testing.assert_allclose(found, np.tanh(np.array(halves) @ weight.T + 1), atol=1e-5)


def test_no_parts_no_texts(tiny) -> None:
    encoder = tiny("bert")
    assert encoder.span_vectors([], []) == []
    (found,) = encoder.span_vectors(["dog"], [[]])
    assert found.shape == (0, 16)


def test_models_that_have_none(tmp_path: Path) -> None:
    write_source(tmp_path / "source", pooling={"pooling_mode": "cls"})
    refusing = [opened(tmp_path), open_encoder(find_model("static", []), EncoderSettings("cpu", 1))]
    for encoder, why in zip(refusing, ("pools by cls", "knows no surroundings"), strict=True):
        with pytest.raises(ModelError, match=why):
            encoder.span_vectors(["dog"], [[(0, 3)]])


def test_the_tokenizers_are_of_different_kinds() -> None:
    """The property above says something about each of them: a space belongs to a token, or to none."""
    offsets = {kind: TOKENIZERS[kind]().encode("a dog", add_special_tokens=False).offsets for kind in KINDS}
    assert offsets["bert"][1] == (2, 5)
    assert offsets["roberta"][-1] == (1, 5)
    assert isinstance(TOKENIZERS["bert"](), tokenizers.Tokenizer)
