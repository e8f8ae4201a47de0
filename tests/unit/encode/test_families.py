"""The catalogue of families, and for each of them the very text that reaches the tokenizer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest

from embedcli.datatypes import Counts
from embedcli.encode.adopt import Origin, adopt_folder
from embedcli.encode.catalog import EncoderSettings, Model
from embedcli.encode.families import find_family, known_families
from embedcli.encode.layout import read_layout
from embedcli.encode.manifest import Kind
from embedcli.encode.pooling import pooling_modes
from embedcli.encode.tokenizer import Tokenizer
from embedcli.errors import ModelError
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from tests.models_maker import (
    TOKENIZERS,
    encoder_graph,
    transformer_config,
    write_dense,
    write_json,
    write_modules,
    write_source,
)

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.encode.families import Family

SEARCH = "Represent this sentence for searching relevant passages: "
INSTRUCT = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"

# Written out from the model cards, not read from the catalogue.
EXPECTED: dict[str, tuple[str, str, str]] = {
    "sentence-transformers/all-MiniLM-L6-v2": ("", "", "mean"),
    "sentence-transformers/all-MiniLM-L12-v2": ("", "", "mean"),
    "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2": ("", "", "mean"),
    "sentence-transformers/all-mpnet-base-v2": ("", "", "mean"),
    "sentence-transformers/multi-qa-mpnet-base-dot-v1": ("", "", "cls"),
    "sentence-transformers/multi-qa-MiniLM-L6-cos-v1": ("", "", "mean"),
    "intfloat/e5-small-v2": ("query: ", "passage: ", "mean"),
    "intfloat/e5-base": ("query: ", "passage: ", "mean"),
    "intfloat/e5-large-v2": ("query: ", "passage: ", "mean"),
    "intfloat/multilingual-e5-small": ("query: ", "passage: ", "mean"),
    "intfloat/multilingual-e5-base": ("query: ", "passage: ", "mean"),
    "intfloat/multilingual-e5-large": ("query: ", "passage: ", "mean"),
    "intfloat/multilingual-e5-large-instruct": (INSTRUCT + " ", "", "mean"),
    "BAAI/bge-small-en-v1.5": (SEARCH, "", "cls"),
    "BAAI/bge-base-en-v1.5": (SEARCH, "", "cls"),
    "BAAI/bge-large-en-v1.5": (SEARCH, "", "cls"),
    "BAAI/bge-m3": ("", "", "cls"),
    "thenlper/gte-small": ("", "", "mean"),
    "thenlper/gte-base": ("", "", "mean"),
    "thenlper/gte-large": ("", "", "mean"),
    "Alibaba-NLP/gte-modernbert-base": ("", "", "cls"),
    "ibm-granite/granite-embedding-30m-english": ("", "", "cls"),
    "ibm-granite/granite-embedding-125m-english": ("", "", "cls"),
    "ibm-granite/granite-embedding-107m-multilingual": ("", "", "cls"),
    "ibm-granite/granite-embedding-278m-multilingual": ("", "", "cls"),
    "ibm-granite/granite-embedding-english-r2": ("", "", "cls"),
    "ibm-granite/granite-embedding-small-english-r2": ("", "", "cls"),
    "Snowflake/snowflake-arctic-embed-xs": (SEARCH, "", "cls"),
    "Snowflake/snowflake-arctic-embed-s": (SEARCH, "", "cls"),
    "Snowflake/snowflake-arctic-embed-m": (SEARCH, "", "cls"),
    "Snowflake/snowflake-arctic-embed-l": (SEARCH, "", "cls"),
    "Snowflake/snowflake-arctic-embed-m-v1.5": (SEARCH, "", "cls"),
    "Snowflake/snowflake-arctic-embed-l-v2.0": ("query: ", "", "cls"),
    "google/embeddinggemma-300m": ("task: search result | query: ", "title: none | text: ", "mean"),
    "nomic-ai/modernbert-embed-base": ("search_query: ", "search_document: ", "mean"),
    "mixedbread-ai/mxbai-embed-large-v1": (SEARCH, "", "cls"),
    "mixedbread-ai/mxbai-embed-xsmall-v1": ("", "", "mean"),
    "Qwen/Qwen3-Embedding-0.6B": (INSTRUCT, "", "last_token"),
}
CUSTOM = {
    "Alibaba-NLP/gte-multilingual-base",
    "Snowflake/snowflake-arctic-embed-m-v2.0",
    "jinaai/jina-embeddings-v2-small-en",
    "jinaai/jina-embeddings-v2-base-en",
    "jinaai/jina-embeddings-v3",
    "nomic-ai/nomic-embed-text-v1.5",
}
SWITCH = {"mean": "mean_tokens", "cls": "cls_token", "last_token": "lasttoken"}
TEXT = "The Dog\truns: naïve 漢字 (#2)"


def family_of(name: str) -> Family:
    family = find_family(name)
    assert family is not None, name
    return family


def test_every_family_of_encoders_is_expected_here() -> None:
    encoders = {family.name for family in known_families() if family.kind == "onnx"}
    assert encoders == {family_of(name).name for name in (*EXPECTED, *CUSTOM)}
    assert {family.name for family in known_families() if family.custom_code} == {
        family_of(name).name for name in CUSTOM
    }


def test_names_and_repositories_are_unique() -> None:
    families = known_families()
    names = [family.name for family in families]
    assert len(set(names)) == len(names)
    repositories = [name.lower() for family in families for name in family.repositories]
    assert len(set(repositories)) == len(repositories)
    for family in families:
        for repository in family.repositories:
            assert find_family(repository) is family
            assert re.fullmatch(r"[\w.-]+/[\w.-]+", repository)


@pytest.mark.parametrize("family", known_families(), ids=lambda family: family.name)
def test_entries_are_whole(family: Family) -> None:
    assert family.kind in get_args(Kind)
    assert family.dim > 0
    assert list(family.dims) == sorted((dim for dim in family.dims if 0 < dim < family.dim), reverse=True)
    assert family.languages
    assert all(re.fullmatch("[a-z]{2,3}", code) for code in family.languages)
    assert re.fullmatch(r"[A-Za-z0-9.-]*", family.licence)
    assert all(type(text) is str for text in family.prompts.values())
    if family.kind == "onnx":
        assert {"query", "document"} <= set(family.prompts)
        assert len(pooling_modes(family.pooling)) == 1
        assert family.max_tokens >= 128
        assert family.custom_code or family.architecture in TOKENIZERS
    else:
        assert family.pooling == ""
        assert family.prompts == {}


def test_names_are_found_as_they_are_written() -> None:
    assert family_of("intfloat/E5-Base-v2").name == "e5-base"
    assert family_of("bge-m3").name == "bge-m3"
    for name in ("somebody/bge-m3", "BAAI/bge-m3-retromae", "", "/", "*", "a/b/c"):
        assert find_family(name) is None, name


def test_licences_that_forbid_something_are_said() -> None:
    found = {family.licence for family in known_families()} - {"Apache-2.0", "MIT", ""}
    assert found == {"CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "LicenseRef-Gemma"}
    for family in known_families():
        if "-NC-" in family.licence:
            assert "commercial" in family.not_for


def test_tasks_have_prompts_of_their_own() -> None:
    gemma = family_of("google/embeddinggemma-300m").prompts
    assert gemma["STS"] == "task: sentence similarity | query: "
    assert gemma["Clustering"] == "task: clustering | query: "
    assert family_of("nomic-ai/nomic-embed-text-v1.5").prompts["clustering"] == "clustering: "


def pool(tokens: np.ndarray, pooling: str) -> np.ndarray:
    return {"mean": tokens.mean(axis=0), "cls": tokens[0], "last_token": tokens[-1]}[pooling]


def write_family(folder: Path, family: Family, pooling: str) -> np.ndarray:
    """Write a tiny model as the family's repositories hold it, but without prompts in any file."""
    switches = {f"pooling_mode_{name}": False for name in SWITCH.values()}
    table = write_source(
        folder,
        architecture=family.architecture,
        pooling={"word_embedding_dimension": 16, **switches, f"pooling_mode_{SWITCH[pooling]}": True},
        normalize=family.normalize,
        max_tokens=400,
        prompts={},
    )
    if family.dense:
        names = ["Transformer", "Pooling", *["Dense"] * family.dense, "Normalize"]
        write_modules(folder, names)
        for number in range(2, 2 + family.dense):
            write_dense(folder / f"{number}_Dense", np.random.default_rng(number).standard_normal((16, 16)))
    return table


@pytest.mark.parametrize("repository", EXPECTED)
def test_what_reaches_the_tokenizer_and_what_becomes_of_it(
    repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tokenizers

    query, document, pooling = EXPECTED[repository]
    family = family_of(repository)
    table = write_family(tmp_path / "source", family, pooling)
    manifest = adopt_folder(tmp_path / "source", tmp_path / "out", Origin("tiny", repository, "", ""))
    model = Model(tmp_path / "out", manifest)
    assert (manifest.licence, manifest.languages) == (family.licence, family.languages)
    assert manifest.pooling == pooling

    seen: list[str] = []
    original = Tokenizer.token_ids

    def spy(self: Tokenizer, text: str, limit: int | None = None) -> list[int]:
        seen.append(text)
        return original(self, text, limit)

    monkeypatch.setattr(Tokenizer, "token_ids", spy)
    reference = tokenizers.Tokenizer.from_file(str(tmp_path / "source" / "tokenizer.json"))
    for role, prompt in (("query", query), ("document", document)):
        seen.clear()
        vectorizer = Vectorizer(model, EncoderSettings(device="cpu", jobs=1), VectorSettings(role), Counts())
        (vector,) = vectorizer.text_vectors([TEXT])
        vectorizer.close()
        assert [text.encode() for text in seen] == [(prompt + TEXT).encode()]
        expected = pool(table[reference.encode(prompt + TEXT).ids], pooling)
        for number in range(2, 2 + family.dense):
            expected = np.random.default_rng(number).standard_normal((16, 16)) @ expected
        if family.normalize:
            expected = expected / np.linalg.norm(expected)
        np.testing.assert_allclose(vector, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "repository", ["Xenova/all-MiniLM-L6-v2", "Xenova/e5-small-v2", "Xenova/bge-small-en-v1.5"]
)
def test_a_bare_repository_of_a_known_family(repository: str, tmp_path: Path) -> None:
    folder = tmp_path / "source"
    table = write_source(folder, hidden=384, modules=False)
    family = family_of(repository)
    manifest = adopt_folder(folder, tmp_path / "out", Origin("tiny", repository, "", ""))
    assert (manifest.pooling, manifest.normalize) == (family.pooling, True)
    assert manifest.prompts == family.prompts
    small = table[:, :16]
    (folder / "onnx" / "model.onnx").write_bytes(encoder_graph(small))
    write_json(folder / "config.json", transformer_config("bert", 16, len(table)))
    with pytest.raises(ModelError, match=f"{family.name} has 384"):
        read_layout(folder, name=repository)
