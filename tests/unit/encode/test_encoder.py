"""The shipped encoder: same text, same vector; long texts; damage; threads."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.encode.catalog import EncoderSettings, choose_variant, find_model, open_encoder
from embedcli.encode.pooling import pool
from embedcli.encode.processors import usable_cpus
from embedcli.encode.tokenizer import PIECE_CHARS, Tokenizer, pieces
from embedcli.errors import DamagedModelError, DeviceError, ModelError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.encode.encoder import Encoder

TEXTS = [
    "A dog runs along the beach.",
    "The stock market fell sharply on Friday.",
    "x",
    "naïve café 漢字 \U0001f600",
    "word " * 200,
    "The quick brown fox jumps over the lazy dog. " * 60,
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return open_encoder(find_model(), EncoderSettings(jobs=2, cache_folder=tmp_path_factory.mktemp("graphs")))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    model = find_model()
    return Tokenizer(model.folder / model.manifest.tokenizer)


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(len(TEXTS))), st.sampled_from([1, 2, 3]))
def test_a_vector_does_not_depend_on_neighbours_order_or_jobs(
    encoder: Encoder, order: list[int], size: int
) -> None:
    expected = encoder.encode(TEXTS).vectors
    shuffled = [TEXTS[number] for number in order]
    found = np.concatenate(
        [encoder.encode(shuffled[start : start + size]).vectors for start in range(0, len(shuffled), size)]
    )
    assert found.tobytes() == expected[list(order)].tobytes()


def test_the_optimized_graph_gives_the_same_vectors(tmp_path: Path, encoder: Encoder) -> None:
    expected = encoder.encode(TEXTS).vectors
    for run in ("no cache folder", "fills it", "uses it", "damaged", "filled again"):
        folder = None if run == "no cache folder" else tmp_path / "graphs"
        if run == "damaged":
            (graph,) = folder.glob("*.onnx")
            content = bytearray(graph.read_bytes())
            content[len(content) // 2] ^= 1
            graph.write_bytes(content)
        other = open_encoder(find_model(), EncoderSettings(jobs=1, cache_folder=folder))
        assert other.encode(TEXTS).vectors.tobytes() == expected.tobytes(), run
        if folder is not None:
            assert len(list(folder.iterdir())) == 1, run


def test_long_text_is_the_token_weighted_mean_of_its_windows(encoder: Encoder) -> None:
    words = ["alpha"] * encoder.content_tokens + ["beta"] * 100
    text = " ".join(words)
    first, second = (" ".join(part) for part in (words[: encoder.content_tokens], words[-100:]))
    parts = encoder.encode([first, second]).vectors
    weights = np.array([encoder.content_tokens, 100], dtype=np.float32)
    expected = (parts * weights[:, None]).sum(axis=0) / weights.sum()
    encoded = encoder.encode([text], on_long="pool")
    np.testing.assert_allclose(encoded.vectors[0], expected, atol=1e-6)
    assert encoded.token_counts == [encoder.content_tokens + 102]
    cut = encoder.encode([text], on_long="truncate")
    assert cut.vectors[0].tobytes() == parts[0].tobytes()
    assert cut.token_counts[0] > encoder.manifest.max_tokens


def test_token_vectors_are_those_that_are_pooled(encoder: Encoder) -> None:
    short = TEXTS[:5]
    tokens = encoder.token_vectors(short)
    vectors = encoder.encode(short).vectors
    for own, vector, count in zip(tokens, vectors, encoder.encode(short).token_counts, strict=True):
        assert own.shape == (count, encoder.manifest.dim)
        np.testing.assert_array_equal(pool(own, "mean"), vector)
    # A long text has the tokens of all its windows, each with special ones of its own.
    (long,) = encoder.token_vectors([TEXTS[5]])
    count = encoder.encode([TEXTS[5]]).token_counts[0]
    windows = -(-(count - 2) // encoder.content_tokens)
    assert windows == 3
    assert len(long) == count + 2 * (windows - 1)
    assert encoder.token_vectors([]) == []


def test_truncating_reads_only_the_beginning(tokenizer: Tokenizer) -> None:
    class Counting(str):
        read = 0

        def __getitem__(self, key: object) -> str:
            part = super().__getitem__(key)
            Counting.read += len(part)
            return part

    text = Counting("some words " * 1_000_000)
    ids = tokenizer.token_ids(text, limit=254)
    assert len(ids) > 254
    assert Counting.read < 10 * PIECE_CHARS


@given(st.text(alphabet=" ab\n", max_size=300), st.integers(1, 40))
def test_pieces_join_back_and_are_bounded(text: str, size: int) -> None:
    spans = list(pieces(text, size))
    assert "".join(text[start:end] for start, end in spans) == text
    assert all(end - start <= size for start, end in spans)
    for start, _ in spans[1:]:
        hard = not any(char.isspace() for char in text[start - size + 1 : start + 1])
        assert text[start].isspace() or hard


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab ,.é漢\n"), max_size=200))
def test_cutting_into_pieces_does_not_change_the_tokens(tokenizer: Tokenizer, text: str) -> None:
    whole = tokenizer.token_ids(text)
    cut = [token for start, end in pieces(text, 50) for token in tokenizer._encode(text[start:end]).ids]
    if all(len(word) < 50 for word in text.split()):
        assert cut == whole


def test_token_spans_stand_where_the_words_are(tokenizer: Tokenizer) -> None:
    text = "Grüße, world!\n" * 2_000
    spans = tokenizer.token_spans(text)
    assert len(spans) == len(tokenizer.token_ids(text))
    assert {text[start:end] for start, end in spans} >= {"world", "!", ","}
    assert all(later[0] >= earlier[0] for earlier, later in itertools.pairwise(spans))


def test_half_a_surrogate_pair_is_a_character_like_another(encoder: Encoder) -> None:
    assert np.isfinite(encoder.encode(["broken \ud800 text"]).vectors).all()


def test_pooling_modes() -> None:
    tokens = np.array([[1, 5], [2, 4], [6, 0]], dtype=np.float32)
    assert pool(tokens, "mean").tolist() == [3, 3]
    assert pool(tokens, "cls").tolist() == [1, 5]
    assert pool(tokens, "last_token").tolist() == [6, 0]
    assert pool(tokens, "max").tolist() == [6, 5]


def test_a_changed_graph_is_refused(tmp_path: Path) -> None:
    model = find_model()
    folder = tmp_path / "copy"
    shutil.copytree(model.folder, folder)
    path = folder / model.manifest.variants["int8"].file
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedModelError, match="sha256 is"):
        open_encoder(find_model(str(folder)), EncoderSettings())


def test_devices_that_cannot_be_had(tmp_path: Path) -> None:
    model = find_model()
    with pytest.raises(DeviceError, match="no variant for a GPU"):
        open_encoder(model, EncoderSettings(device="cuda"))
    with pytest.raises(UsageError, match="device 'tpu'"):
        open_encoder(model, EncoderSettings(device="tpu"))
    with pytest.raises(ModelError, match="no variant 'fp8'"):
        choose_variant(model.manifest, EncoderSettings(variant="fp8"))
    with pytest.raises(DeviceError, match="int8 of all-MiniLM-L6-v2 is for the CPU"):
        open_encoder(model, EncoderSettings(device="cuda:0", variant="int8"))
    assert open_encoder(model, EncoderSettings(device="auto")).device == "cpu"


def test_a_closed_encoder_stops(encoder: Encoder) -> None:
    other = open_encoder(find_model(), EncoderSettings(jobs=2))
    other.close()
    with pytest.raises(ModelError, match="closed"):
        other.encode(TEXTS)


def test_at_least_one_cpu_is_usable() -> None:
    import os

    assert 1 <= usable_cpus() <= len(os.sched_getaffinity(0))
