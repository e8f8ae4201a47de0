"""The static encoder: a text is the mean of its tokens, bit for bit, whatever stands beside it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedcli.encode import static
from embedcli.encode.catalog import EncoderSettings, Model, find_model, open_encoder
from embedcli.encode.static_folder import StaticFacts, write_static_folder
from embedcli.encode.static_table import StaticTable, quantize_rows, read_table, write_table
from embedcli.encode.token_ids import TokenIds
from embedcli.encode.tokenizer import Tokenizer
from embedcli.encode.word_vectors import word_tokenizer
from embedcli.encode.words import WordTokenizer
from embedcli.errors import DamagedModelError, DeviceError, ModelError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.encode.encoder import Encoder

WORDS = ["the", "dog", "cat", "runs", "sleeps", ",", ".", "naïve"]
DIM = 6
FACTS = StaticFacts("tiny", "here", "1", "Apache-2.0", "by hand")


def rows(count: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)


def make(folder: Path, table: StaticTable, **changed: object) -> Encoder:
    from dataclasses import replace

    manifest = write_static_folder(folder, table, word_tokenizer(WORDS), replace(FACTS, **changed))
    return open_encoder(Model(folder, manifest), EncoderSettings(jobs=2))


def with_unknown(vectors: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros((1, DIM), np.float32), vectors])


@pytest.fixture(scope="module")
def shipped_tokenizer() -> Tokenizer:
    model = find_model()
    return Tokenizer(model.folder / model.manifest.tokenizer)


@pytest.fixture(scope="module")
def cased_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    model = find_model()
    content = json.loads((model.folder / model.manifest.tokenizer).read_text("utf-8"))
    content["normalizer"] |= {"lowercase": False, "strip_accents": False}
    path = tmp_path_factory.mktemp("cased") / "tokenizer.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return Tokenizer(path)


def test_a_text_is_the_mean_of_its_tokens_and_unknown_words_do_not_count(tmp_path: Path) -> None:
    vectors = rows(len(WORDS))
    encoder = make(tmp_path / "m", quantize_rows(with_unknown(vectors)))
    found = encoder.encode(["The dog, runs.", "zebra", "", "dog zebra cat"])
    expected = [
        vectors[[0, 1, 5, 3, 6]].mean(axis=0),
        np.zeros(DIM),
        np.zeros(DIM),
        vectors[[1, 2]].mean(axis=0),
    ]
    assert np.abs(found.vectors - expected).max() < 0.02
    assert found.token_counts == [5, 1, 0, 3]
    assert not found.vectors[1:3].any()


@pytest.mark.parametrize("dtype", ["int8", "float16", "float32"])
def test_a_mean_is_the_same_bits_alone_in_company_and_from_the_scaled_table(dtype: str) -> None:
    vectors = with_unknown(rows(40))
    table = quantize_rows(vectors)
    if dtype != "int8":
        counts = np.ones(len(vectors), np.float32)
        counts[0] = 0
        table = StaticTable(vectors.astype(dtype), counts)
    rng = np.random.default_rng(1)
    ids_of = [list(rng.integers(0, 41, size=size)) for size in (1, 2, 5, 17, 300, 5000, 0, 9000, 3)]
    together = table.means(TokenIds.of(ids_of))
    alone = np.concatenate([table.means(TokenIds.of([ids])) for ids in ids_of])
    scaled = table.scaled().means(TokenIds.of(ids_of))
    scaled_alone = np.concatenate([table.scaled().means(TokenIds.of([ids])) for ids in reversed(ids_of)])[
        ::-1
    ]
    assert together.tobytes() == alone.tobytes() == scaled.tobytes() == scaled_alone.tobytes()
    exact = np.stack(
        [
            (table.rows[ids].astype(float) * table.scales[ids, None]).sum(axis=0)
            / max(np.count_nonzero(ids), 1)
            for ids in ids_of
        ]
    )
    assert np.abs(together - exact).max() < 1e-4


def test_many_texts_give_what_few_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{WORDS[n % 8]} {WORDS[n % 5]} the {WORDS[n % 3]}" for n in range(700)] + ["", "naïve CAT"]
    expected = make(tmp_path / "a", quantize_rows(with_unknown(rows(len(WORDS))))).encode(texts)
    monkeypatch.setattr(static, "SCALED_AFTER_TEXTS", 100)
    encoder = make(tmp_path / "b", quantize_rows(with_unknown(rows(len(WORDS)))))
    for _ in range(2):
        found = encoder.encode(texts)
        assert found.vectors.tobytes() == expected.vectors.tobytes()
        assert found.token_counts == expected.token_counts
    encoder.close()
    with pytest.raises(ModelError, match="closed"):
        encoder.encode(texts)


def test_truncating_takes_the_beginning_and_pooling_takes_all(tmp_path: Path) -> None:
    encoder = make(tmp_path / "m", quantize_rows(with_unknown(rows(len(WORDS)))), max_tokens=4)
    long = "dog cat dog cat sleeps sleeps sleeps"
    cut, whole = encoder.encode([long], on_long="truncate"), encoder.encode([long])
    assert cut.vectors.tobytes() == encoder.encode(["dog cat dog cat"]).vectors.tobytes()
    assert cut.vectors.tobytes() != whole.vectors.tobytes()
    assert cut.token_counts[0] > 4
    assert whole.token_counts == [7]


def test_the_mean_of_the_token_vectors_is_the_vector(tmp_path: Path) -> None:
    encoder = open_encoder(find_model("static"), EncoderSettings(jobs=1))
    texts = ["a dog", "", "unheard-of words 漢字", "one"]
    found = encoder.token_vectors(texts)
    assert [len(own) for own in found] == encoder.encode(texts).token_counts
    for own, vector in zip(found, encoder.encode(texts).vectors, strict=True):
        mean = own.mean(axis=0) if len(own) else np.zeros_like(vector)
        np.testing.assert_allclose(mean, vector, atol=1e-5)
    prompted = encoder.token_vectors(["dog"], prompt="a ")
    np.testing.assert_array_equal(prompted[0], found[0])
    encoder.close()


def test_a_prompt_goes_before_each_text(tmp_path: Path) -> None:
    encoder = make(tmp_path / "m", quantize_rows(with_unknown(rows(len(WORDS)))))
    found = encoder.encode(["dog", "cat"], prompt="the ").vectors
    assert found.tobytes() == encoder.encode(["the dog", "the cat"]).vectors.tobytes()


def test_quantizing_moves_a_number_by_half_a_step_at_most() -> None:
    vectors = rows(50) * np.logspace(-6, 6, 50)[:, None].astype(np.float32)
    vectors[7] = 0
    table = quantize_rows(vectors)
    back = table.rows.astype(np.float64) * table.scales[:, None]
    steps = np.abs(vectors).max(axis=1) / 127
    assert (np.abs(back - vectors) <= 0.5001 * steps[:, None]).all()
    assert table.scales[7] == 0
    assert not table.all_count


def test_a_damaged_table_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    write_table(quantize_rows(rows(4)), path)
    good = path.read_bytes()

    def refused(content: bytes, words: str, sha256: str | None = None) -> None:
        path.write_bytes(content)
        with pytest.raises(DamagedModelError, match=words):
            read_table(path, sha256 or hashlib.sha256(content).hexdigest())

    refused(good, "sha256 is", "0" * 64)
    refused(good[:40], "not a token table")
    refused(b"\xff" * 64, "not a token table")
    refused(good.replace(b'"rows"', b'"lows"'), "not a token table")
    for table in (
        StaticTable(rows(4), np.full(4, 0.5, np.float32)),
        StaticTable(rows(4).astype(np.float16), np.full(4, np.nan, np.float32)),
        StaticTable(rows(4).astype(np.float16), np.ones(3, np.float32)),
        StaticTable(rows(4).astype(np.float64), np.ones(4, np.float32)),
    ):
        write_table(table, path)
        refused(path.read_bytes(), "not a token table")
    path.unlink()
    with pytest.raises(DamagedModelError, match="No such file"):
        read_table(path, "0" * 64)


def test_a_tokenizer_with_more_tokens_than_the_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedModelError, match="4 rows for 9 tokens"):
        make(tmp_path / "m", quantize_rows(rows(4)))
    assert not (tmp_path / "m").exists()


def test_a_table_that_is_not_finite_gives_an_error_not_a_vector(tmp_path: Path) -> None:
    vectors = with_unknown(rows(len(WORDS)))
    vectors[2] = np.inf
    with pytest.raises(ModelError, match="not finite"):
        counts = np.ones(len(vectors), np.float32)
        make(tmp_path / "m", StaticTable(vectors, counts)).encode(["the dog"])


def test_a_table_runs_on_no_gpu_and_replaces_no_folder(tmp_path: Path) -> None:
    manifest = write_static_folder(
        tmp_path / "m", quantize_rows(with_unknown(rows(8))), word_tokenizer(WORDS), FACTS
    )
    with pytest.raises(DeviceError, match="runs on the CPU"):
        open_encoder(Model(tmp_path / "m", manifest), EncoderSettings(device="cuda"))
    with pytest.raises(UsageError, match="exists"):
        write_static_folder(tmp_path / "m", quantize_rows(rows(9)), word_tokenizer(WORDS), FACTS)


PLAIN = st.text(st.characters(min_codepoint=1, max_codepoint=126), max_size=60)
LETTERS = st.text(
    st.one_of(
        st.characters(min_codepoint=0xA1, max_codepoint=0x52F),
        st.characters(min_codepoint=32, max_codepoint=126),
        st.just(" "),
    ),
    max_size=60,
)
ANY = st.text(max_size=40)
ODD = st.sampled_from(
    [
        "[CLS]",
        "[sep]",
        "[MASK] x",
        "don't",
        "a" * 150,
        "##ing",
        "İstanbul",
        "e\u0301",
        "\x7f",
        "a\x00b",
        "a \x01 b",
        "\xa0",
        "\xad-\xad",
        "a \u0301b c\u0301",
        "ΟΔΟΣ ΣΟΦΟΣ Ǆ İ ŉ",
        "x" * 65,
        "(one)(two),three ... four!",
        "\u3000",
        "中文",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(PLAIN, LETTERS, ANY, ODD), max_size=6), st.booleans())
def test_words_looked_up_are_the_tokens_of_the_whole_text(
    shipped_tokenizer: Tokenizer, cased_tokenizer: Tokenizer, texts: list[str], is_cased: bool
) -> None:
    tokenizer = cased_tokenizer if is_cased else shipped_tokenizer
    words = WordTokenizer(tokenizer)
    joined = [*texts, " ".join(texts)]
    expected = [tokenizer.token_ids(text) for text in joined]
    assert words.token_ids(joined).lists() == expected
    assert words.token_ids(joined).lists() == expected


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.one_of(PLAIN, LETTERS, ANY, ODD), max_size=4), max_size=4))
def test_a_word_memory_that_is_full_begins_anew(
    shipped_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, calls: list[list[str]]
) -> None:
    # Nearly all words share a place, and every other call finds no room.
    monkeypatch.setattr("embedcli.encode.words.REMEMBERED_WORDS", 4)
    monkeypatch.setattr("embedcli.encode.words.REMEMBERED_TOKENS", 300)
    words = WordTokenizer(shipped_tokenizer)
    for texts in calls:
        assert words.token_ids(texts).lists() == [shipped_tokenizer.token_ids(text) for text in texts]


def test_a_word_that_begins_a_longer_one_keeps_its_own_tokens(shipped_tokenizer: Tokenizer) -> None:
    # 16 bytes, as many as a word is known by, and more.
    texts = ["characterizations", "characterization", "intercontinentally yours", "intercontinental"]
    for order in (texts, texts[::-1]):
        words = WordTokenizer(shipped_tokenizer)
        for text in order:
            found = words.token_ids([text])
            assert found.ids.tolist() == shipped_tokenizer.token_ids(text), (order, text)
