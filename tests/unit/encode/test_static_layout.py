"""Static encoders of other makers are read as they are, or refused by name."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from embedcli.encode.adopt import Origin, adopt_folder
from embedcli.encode.catalog import EncoderSettings, Model, open_encoder
from embedcli.encode.static_layout import adopt_static, is_static
from embedcli.encode.word_vectors import UNKNOWN, read_word_vectors, word_tokenizer
from embedcli.errors import DamagedModelError, EmbedcliError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

WORDS = ["the", "dog", "cat", "runs"]
TABLE = np.random.default_rng(5).normal(size=(len(WORDS) + 1, 4)).astype(np.float32)
ORIGIN = Origin(name="tiny", source="here", revision="1", licence="MIT")
TEXT_FORM = "the 1 2\ndog 0.5 -1\nNew York 3 4\ndog 9 9\n"


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def encode(manifest: Any, folder: Path, texts: list[str]) -> np.ndarray:
    return open_encoder(Model(folder, manifest), EncoderSettings(jobs=1)).encode(texts).vectors


def model2vec(folder: Path, config: dict[str, Any] | None = None, **tensors: np.ndarray) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({"model_type": "model2vec", "normalize": True, **(config or {})})
    )
    (folder / "tokenizer.json").write_text(word_tokenizer(WORDS))
    save_file({"embeddings": TABLE, **tensors}, folder / "model.safetensors")
    return folder


def sentence_transformers(folder: Path, *kinds: str, path: str = "") -> Path:
    (folder / path).mkdir(parents=True)
    modules = [{"idx": 0, "name": "0", "path": path, "type": "sentence_transformers.models.StaticEmbedding"}]
    modules += [
        {"idx": n, "name": str(n), "path": f"{n}_{kind}", "type": f"sentence_transformers.models.{kind}"}
        for n, kind in enumerate(kinds, start=1)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / path / "tokenizer.json").write_text(word_tokenizer(WORDS))
    save_file({"embedding.weight": TABLE}, folder / path / "model.safetensors")
    return folder


def test_a_model2vec_folder_gives_its_own_vectors_without_unknown_words(tmp_path: Path) -> None:
    source = model2vec(tmp_path / "s")
    assert is_static(source)
    manifest = adopt_folder(source, tmp_path / "m", ORIGIN)
    assert (manifest.kind, manifest.normalize, manifest.dim, manifest.licence) == ("static", True, 4, "MIT")
    found = encode(manifest, tmp_path / "m", ["the dog zebra", "cat"])
    assert np.allclose(found, [TABLE[[1, 2]].mean(axis=0), TABLE[3]], atol=1e-6)


def test_model2vec_weights_and_a_shared_table_are_followed(tmp_path: Path) -> None:
    weights = np.array([1, 0.5, 2, 3, 4], dtype=np.float32)
    mapping = np.array([0, 4, 4, 1, 2], dtype=np.int64)
    source = model2vec(tmp_path / "s", {"normalize": False}, weights=weights, mapping=mapping)
    manifest = adopt_static(source, tmp_path / "m", ORIGIN)
    assert not manifest.normalize
    found = encode(manifest, tmp_path / "m", ["the cat"])
    assert np.allclose(found, (0.5 * TABLE[4] + 3 * TABLE[1]) / 2, atol=1e-6)


def test_an_int8_table_and_a_unigram_tokenizer_are_read(tmp_path: Path) -> None:
    source = model2vec(tmp_path / "s")
    vocabulary = [["<unk>", 0.0], ["▁the", -1.0], ["▁dog", -2.0], ["▁cat", -3.0], ["▁runs", -4.0]]
    tokenizer = json.loads(word_tokenizer(WORDS))
    tokenizer |= {
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": vocabulary, "byte_fallback": False},
    }
    (source / "tokenizer.json").write_text(json.dumps(tokenizer))
    save_file({"embeddings": (TABLE * 20).astype(np.int8)}, source / "model.safetensors")
    manifest = adopt_static(source, tmp_path / "m", ORIGIN)
    found = encode(manifest, tmp_path / "m", ["the dog qqq", "cat"])
    assert np.allclose(found[0], (TABLE * 20).astype(np.int8)[[1, 2]].mean(axis=0))


@pytest.mark.parametrize("path", ["", "0_StaticEmbedding"])
@pytest.mark.parametrize("kinds", [(), ("Normalize",)])
def test_a_static_module_counts_unknown_words(tmp_path: Path, kinds: tuple[str, ...], path: str) -> None:
    source = sentence_transformers(tmp_path / "s", *kinds, path=path)
    assert is_static(source)
    manifest = adopt_static(source, tmp_path / "m", ORIGIN)
    assert manifest.normalize == bool(kinds)
    found = encode(manifest, tmp_path / "m", ["dog zebra"])
    assert np.allclose(found, TABLE[[2, 0]].mean(axis=0), atol=1e-6)


def test_what_is_not_understood_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="StaticEmbedding, Dense"):
        is_static(sentence_transformers(tmp_path / "a", "Dense"))
    outside = sentence_transformers(tmp_path / "b")
    modules = json.loads((outside / "modules.json").read_text())
    (outside / "modules.json").write_text(json.dumps([{**modules[0], "path": "../a"}]))
    with pytest.raises(ModelError, match="outside"):
        adopt_static(outside, tmp_path / "m", ORIGIN)
    for name, tensors, words in (
        ("c", {"weights": np.ones(2, np.float32)}, "weights for 5 rows"),
        ("d", {"mapping": np.array([0, 1, 2, 3, 9])}, "mapping points outside"),
        ("e", {"embeddings": np.full((5, 4), np.nan, np.float32)}, "not finite"),
        ("f", {"embeddings": np.ones(5, np.float32)}, "no table"),
        ("g", {"embeddings": TABLE[:3]}, "3 rows for 5 tokens"),
    ):
        with pytest.raises(DamagedModelError, match=words):
            adopt_static(model2vec(tmp_path / name, None, **tensors), tmp_path / "m", ORIGIN)
    cut = model2vec(tmp_path / "h")
    (cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:50])
    with pytest.raises(DamagedModelError, match="safetensors"):
        adopt_static(cut, tmp_path / "m", ORIGIN)
    assert not (tmp_path / "m").exists()


def test_other_folders_are_not_static(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert not is_static(tmp_path)
    (tmp_path / "modules.json").write_text(
        '[{"type": "sentence_transformers.models.Transformer", "path": ""}]'
    )
    assert not is_static(tmp_path)
    assert not is_static(tmp_path / "config.json")


@pytest.mark.parametrize("header", ["", "4 2\n"])
@pytest.mark.parametrize("zipped", [False, True])
def test_word_vectors_as_text(tmp_path: Path, header: str, *, zipped: bool) -> None:
    path = tmp_path / ("v.txt.gz" if zipped else "v.txt")
    content = (header + TEXT_FORM).encode()
    path.write_bytes(gzip.compress(content) if zipped else content)
    words, vectors = read_word_vectors(path)
    assert words == ["the", "dog", "New York"]
    assert vectors.tolist() == [[1, 2], [0.5, -1], [3, 4]]
    assert vectors.dtype == np.float32


def test_word_vectors_in_binary(tmp_path: Path) -> None:
    path = tmp_path / "v.bin"
    numbers = np.array([[1, 2, 3], [4, 5, 6]], dtype="<f4")
    content = b"2 3\n" + b"".join(
        w + b" " + n.tobytes() + b"\n" for w, n in zip([b"the", b"dog"], numbers, strict=True)
    )
    path.write_bytes(content)
    words, vectors = read_word_vectors(path)
    assert words == ["the", "dog"]
    assert np.array_equal(vectors, numbers)
    for broken, message in (
        (content[:-4], "cut off or damaged at word 2"),
        (b"2 0\n", "not believable"),
        (b"99999999999 3\n", "not believable"),
        (b"hello", "binary form"),
        (b"1 3\n" + b"x" * 5000, "does not end"),
    ):
        path.write_bytes(broken)
        with pytest.raises(DamagedModelError, match=message):
            read_word_vectors(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no word vectors"),
        ("the 1 2\ndog 1\n", ":2: not a word followed by 2 numbers"),
        ("the 1 2\ndog 1 x\n", ":2:"),
        ("the 1 2\ndog 1 nan\n", ":2:"),
        ("the\n", ":1:"),
    ],
)
def test_word_vectors_that_are_none(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "v.txt"
    path.write_text(content)
    with pytest.raises(DamagedModelError, match=message):
        read_word_vectors(path)


def test_a_file_of_word_vectors_becomes_an_encoder(tmp_path: Path) -> None:
    path = tmp_path / "glove.txt"
    path.write_text("the 1 0\ndog 0 1\nnaïve 1 1\n")
    manifest = adopt_static(path, tmp_path / "m", ORIGIN)
    found = encode(manifest, tmp_path / "m", ["The dog!", "zebra", "NAÏVE"])
    assert np.allclose(found, [[0.5, 0.5], [0, 0], [1, 1]])
    assert manifest.files["tokenizer.json"].bytes > 0
    assert UNKNOWN in (tmp_path / "m" / "tokenizer.json").read_text()


def test_words_with_capitals_keep_the_case_of_texts(tmp_path: Path) -> None:
    path = tmp_path / "v.vec"
    path.write_text("2 2\nThe 1 0\ndog 0 1\n")
    manifest = adopt_static(path, tmp_path / "m", ORIGIN)
    assert np.allclose(encode(manifest, tmp_path / "m", ["the dog", "The dog"]), [[0, 1], [0.5, 0.5]])


def test_a_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    source = model2vec(tmp_path / "s")
    (source / "tokenizer.json").unlink()
    with pytest.raises(EmbedcliError, match=r"no tokenizer\.json"):
        adopt_static(source, tmp_path / "m", ORIGIN)
