"""Folders that need no export become model folders; what cannot be used as it is is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from embedcli.datatypes import Counts
from embedcli.encode.adopt import Origin, adopt_folder
from embedcli.encode.catalog import EncoderSettings, Model, find_model, open_encoder, open_sparse_encoder
from embedcli.encode.manifest import read_manifest, verify_files
from embedcli.errors import DamagedModelError, MissingPathError, ModelError, OutputError, UsageError
from embedcli.tasks.model_test import run_model_test
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from tests.models_maker import (
    INT32,
    TOKENIZERS,
    encoder_graph,
    graph_bytes,
    node,
    pair_graph,
    value_info,
    write_dense,
    write_json,
    write_modules,
    write_source,
    write_sparse_model,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from embedcli.encode.manifest import Manifest

ORIGIN = Origin(
    "tiny", "nobody/tiny", "abc", "MIT", ("en",), "A tiny one", "real work", (8,), {"code": "c: "}
)
SETTINGS = EncoderSettings(device="cpu", jobs=2)


def adopt(source: Path, **options: Any) -> Model:
    out = source.with_name("adopted")
    return Model(out, adopt_folder(source, out, ORIGIN, **options))


def encode(model: Model, texts: Sequence[str], **options: Any) -> np.ndarray:
    encoder = open_encoder(model, options.pop("settings", SETTINGS))
    try:
        return encoder.encode(texts, **options).vectors
    finally:
        encoder.close()


def ids(model: Model, text: str) -> list[int]:
    import tokenizers

    return list(tokenizers.Tokenizer.from_file(str(model.folder / "tokenizer.json")).encode(text).ids)


def test_a_published_graph_is_taken_as_it_is(tmp_path: Path) -> None:
    source = tmp_path / "source"
    table = write_source(source, prompts={"query": "query: "}, max_tokens=20)
    (source / "LICENSE").write_text("free")
    model = adopt(source)
    manifest = read_manifest(model.folder)
    assert manifest == model.manifest
    assert (manifest.name, manifest.source, manifest.revision) == ("tiny", "nobody/tiny", "abc")
    assert (manifest.licence, manifest.languages, manifest.dims) == ("MIT", ("en",), (8,))
    assert (manifest.description, manifest.not_for) == ("A tiny one", "real work")
    assert manifest.prompts == {"query": "query: ", "document": "", "code": "c: "}
    assert (manifest.dim, manifest.max_tokens, manifest.pooling) == (16, 20, "mean")
    (variant,) = manifest.variants.values()
    assert (variant.file, variant.device, variant.one_text_per_call) == ("model.onnx", "cpu", True)
    assert (variant.cosine_min, variant.cosine_mean) == (1.0, 1.0)
    assert "onnx/model.onnx" in variant.recipe
    assert {path.name for path in model.folder.iterdir()} == {*manifest.files, "model.toml"}
    assert set(manifest.files) == {"model.onnx", "tokenizer.json", "LICENSE", "NOTICE"}
    assert "nobody/tiny" in (model.folder / "NOTICE").read_text()
    verify_files(model.folder, manifest)
    graph = model.folder / "model.onnx"
    assert graph.read_bytes() == (source / "onnx" / "model.onnx").read_bytes()
    np.testing.assert_allclose(
        encode(model, ["the dog"])[0], table[ids(model, "the dog")].mean(axis=0), atol=1e-6
    )
    assert run_model_test(model, SETTINGS).passed
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_probes_go_through_the_document_prompt(tmp_path: Path) -> None:
    write_source(tmp_path / "source", prompts={"document": "text text text text "})
    model = adopt(tmp_path / "source")
    assert run_model_test(model, SETTINGS).cosine_min > 0.999
    bare = dataclasses.replace(model.manifest, prompts={"document": ""})
    assert run_model_test(Model(model.folder, bare), SETTINGS).cosine_min < 0.98


def test_another_graph_is_taken_when_named_and_measured_against_the_plain_one(tmp_path: Path) -> None:
    source = tmp_path / "source"
    table = write_source(source)
    other = (table + np.random.default_rng(5).standard_normal(table.shape)).astype(np.float32)
    graph = encoder_graph(other)
    rounded = graph_bytes(
        [
            node("DequantizeLinear", ["q", "s"], ["t"]),
            node("Gather", ["t", "input_ids"], ["last_hidden_state"]),
        ],
        _quantized(table),
        [value_info(name, 7, ["b", "t"]) for name in ("input_ids", "attention_mask")],
        [value_info("last_hidden_state", 1, ["b", "t", 16])],
    )
    (source / "onnx" / "model_quantized.onnx").write_bytes(rounded)
    (source / "onnx" / "model_O4.onnx").write_bytes(graph)
    manifest = adopt_folder(source, tmp_path / "q", ORIGIN, onnx_file="onnx/model_quantized.onnx")
    variant = manifest.variants["int8-weights"]
    assert 0.9 < variant.cosine_min <= variant.cosine_mean < 1
    assert variant.operators["DequantizeLinear"] == 1
    assert not list((tmp_path / "q").glob("*.tmp"))
    with pytest.raises(UsageError, match="no graph") as caught:
        adopt_folder(source, tmp_path / "no", ORIGIN, onnx_file="onnx/model_q4.onnx")
    assert "onnx/model_O4.onnx" in caught.value.hint
    (source / "onnx" / "model.onnx").unlink()
    alone = adopt_folder(source, tmp_path / "alone", ORIGIN)
    assert alone.variants["int8-weights"].cosine_min == 0.0


def _quantized(table: np.ndarray) -> list[bytes]:
    from tests.models_maker import field

    scale = np.float32(np.abs(table).max() / 12)
    codes = np.round(table / scale).astype(np.int8)
    dims = b"".join(field(1, size) for size in codes.shape)
    packed = dims + field(2, 3) + field(8, "q") + field(9, codes.tobytes())
    return [packed, field(2, 1) + field(8, "s") + field(9, scale.tobytes())]


def test_a_model_folder_is_copied_and_nothing_beside_it(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_source(source)
    first = adopt(source)
    (first.folder / "letter.txt").write_text("dear")
    manifest = adopt_folder(first.folder, tmp_path / "second", dataclasses.replace(ORIGIN, name="other"))
    assert manifest == dataclasses.replace(first.manifest, name="other")
    assert {path.name for path in (tmp_path / "second").iterdir()} == {*manifest.files, "model.toml"}
    graph = first.folder / "model.onnx"
    graph.rename(tmp_path / "moved.onnx")
    graph.symlink_to(tmp_path / "moved.onnx")
    with pytest.raises(DamagedModelError, match="not a plain file"):
        adopt_folder(first.folder, tmp_path / "third", ORIGIN)
    (tmp_path / "moved.onnx").replace(graph)
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedModelError, match="sha256"):
        adopt_folder(first.folder, tmp_path / "third", ORIGIN)
    assert not (tmp_path / "third").exists()


def test_dense_layers_come_along(tmp_path: Path) -> None:
    source, random = tmp_path / "source", np.random.default_rng(1)
    table = write_source(source)
    write_modules(source, ["Transformer", "Pooling", "Dense", "Dense", "Normalize"])
    first, second, bias = (
        random.standard_normal((20, 16)),
        random.standard_normal((6, 20)),
        random.standard_normal(20),
    )
    write_dense(source / "2_Dense", first, bias, "torch.nn.modules.activation.Tanh")
    write_dense(source / "3_Dense", second)
    model = adopt(source)
    manifest = model.manifest
    assert manifest.dim == 6
    assert [(layer.file, layer.activation) for layer in manifest.dense] == [
        ("dense_0.safetensors", "tanh"),
        ("dense_1.safetensors", "identity"),
    ]
    pooled = table[ids(model, "the dog")].mean(axis=0)
    expected = second @ np.tanh(first @ pooled + bias)
    np.testing.assert_allclose(encode(model, ["the dog"])[0], expected, rtol=1e-4)
    with pytest.raises(UsageError, match="dense layers"):
        vectorizer(model, pooling="cls+mean")
    (model.folder / "dense_0.safetensors").unlink()
    with pytest.raises(DamagedModelError, match="dense_0"):
        encode(model, ["the dog"])


def vectorizer(model: Model, *, pooling: str | None = None, **settings: Any) -> Vectorizer:
    encoder = dataclasses.replace(SETTINGS, pooling=pooling)
    return Vectorizer(model, encoder, VectorSettings(**settings), Counts())


def test_another_pooling_changes_the_size(tmp_path: Path) -> None:
    table = write_source(tmp_path / "source")
    model = adopt(tmp_path / "source")
    vectors = vectorizer(model, pooling="cls+max", normalize=False)
    assert vectors.dim == 32
    tokens = table[ids(model, "the dog")]
    expected = np.concatenate([tokens[0], tokens.max(axis=0)])
    np.testing.assert_allclose(vectors.text_vectors(["the dog"])[0], expected, atol=1e-6)
    assert vectors.text_vectors([]).shape == (0, 32)
    vectors.close()


def test_a_model_that_is_cut_gives_the_first_numbers(tmp_path: Path) -> None:
    source = tmp_path / "source"
    table = write_source(source)
    write_json(source / "config_sentence_transformers.json", {"truncate_dim": 5})
    model = adopt(source)
    assert model.manifest.dim == 5
    expected = table[ids(model, "a cat")].mean(axis=0)[:5]
    np.testing.assert_allclose(encode(model, ["a cat"])[0], expected, atol=1e-6)
    with pytest.raises(UsageError, match="cut"):
        encode(model, ["a cat"], settings=dataclasses.replace(SETTINGS, pooling="cls"))


@pytest.mark.parametrize("architecture", ["bert", "roberta", "qwen3"])
def test_a_prompt_is_left_out_of_pooling(tmp_path: Path, architecture: str) -> None:
    pooling = {"pooling_mode": ["mean", "weightedmean", "cls"], "include_prompt": False}
    table = write_source(tmp_path / "source", architecture=architecture, pooling=pooling)
    model = adopt(tmp_path / "source")
    prompt, text = "query: ", "the dog"
    before = 0 if architecture == "qwen3" else 1
    whole = ids(model, prompt + text)
    # The prompt by itself, less the special token at its end; in bytes, its last space is a token there.
    skipped = len(ids(model, prompt)) - 1
    assert skipped == before + {"bert": 2, "roberta": 7, "qwen3": 7}[architecture]
    kept = table[whole[skipped:]]
    weights = np.arange(skipped + 1, len(whole) + 1)[:, None]
    expected = np.concatenate([kept.mean(axis=0), (kept * weights).sum(axis=0) / weights.sum(), kept[0]])
    found = encode(model, [text], prompt=prompt)[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    without = table[ids(model, text)]
    np.testing.assert_allclose(encode(model, [text])[0][:16], without.mean(axis=0), atol=1e-6)


def test_a_long_prompt_is_left_out_of_every_window(tmp_path: Path) -> None:
    pooling = {"pooling_mode": "mean", "include_prompt": False}
    table = write_source(tmp_path / "source", pooling=pooling, max_tokens=6)
    model = adopt(tmp_path / "source")
    prompt = "query query query query query query "
    text = "dog cat a the dog"
    content = ids(model, prompt + text)[1:-1]
    end = ids(model, "")[-1]
    # Windows of four tokens: all prompt; two of it and two of the text; three of the text.
    second = table[[*content[6:8], end]].mean(axis=0)
    third = table[[*content[8:11], end]].mean(axis=0)
    expected = (second * 2 + third * 3) / 5
    np.testing.assert_allclose(encode(model, [text], prompt=prompt)[0], expected, atol=1e-6)
    cut = encode(model, [text], prompt=prompt, on_long="truncate")[0]
    np.testing.assert_allclose(cut, table[end], atol=1e-6)


def test_texts_are_put_into_lower_case_where_the_model_says_so(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_source(source, architecture="roberta")
    write_json(source / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": True})
    model = adopt(source)
    assert model.manifest.lower_case
    upper, lower, special = encode(model, ["THE Dog", "the dog", "</s>the dog"])
    assert upper.tobytes() == lower.tobytes() != special.tobytes()
    encoder = open_encoder(model, SETTINGS)
    assert [tuple(span) for span in encoder.token_spans("THE")] == [(0, 3)]
    encoder.close()


def test_white_space_at_both_ends_reaches_the_tokenizer(tmp_path: Path) -> None:
    table = write_source(tmp_path / "source", architecture="roberta")
    model = adopt(tmp_path / "source")
    text = " the dog\n"
    expected = table[ids(model, text)].mean(axis=0)
    np.testing.assert_allclose(encode(model, [text])[0], expected, atol=1e-6)
    assert ids(model, text) != ids(model, text.strip())


@pytest.mark.parametrize(
    "graph",
    [
        {"output": "token_embeddings", "pooled": "sentence_embedding"},
        {"output": "output_0"},
        {"also": "hidden_states"},
        {"output": "hidden", "pooled": "sentence_embedding"},
        {"inputs": ("input_ids", "attention_mask", "token_type_ids")},
        {"dtype": INT32},
    ],
)
def test_graphs_of_other_exporters(tmp_path: Path, graph: dict[str, Any]) -> None:
    table = write_source(tmp_path / "source", **graph)
    model = adopt(tmp_path / "source")
    np.testing.assert_allclose(
        encode(model, ["a dog"])[0], table[ids(model, "a dog")].mean(axis=0), atol=1e-6
    )


def test_positions_are_fed_to_a_graph_that_takes_them(tmp_path: Path) -> None:
    positions = np.random.default_rng(2).standard_normal((64, 16)).astype(np.float32)
    table = write_source(tmp_path / "source", pooling={"pooling_mode": "lasttoken"}, positions=positions)
    model = adopt(tmp_path / "source")
    tokens = ids(model, "a dog runs")
    expected = table[tokens[-1]] + positions[len(tokens) - 1]
    np.testing.assert_allclose(encode(model, ["a dog runs"])[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("graph", "error", "named"),
    [
        ({"inputs": ("input_ids", "past_key_values.0.key")}, ModelError, "cache of keys and values"),
        ({"inputs": ("input_ids", "task_id")}, DamagedModelError, "task_id"),
        ({"inputs": ("input_ids",), "dtype": 1}, DamagedModelError, "input"),
    ],
)
def test_graphs_that_are_no_encoders_are_refused(
    tmp_path: Path, graph: dict[str, Any], error: type[Exception], named: str
) -> None:
    write_source(tmp_path / "source", **graph)
    with pytest.raises(error, match=named):
        adopt(tmp_path / "source")
    assert not (tmp_path / "adopted").exists()


def test_a_graph_without_token_vectors_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    table = write_source(source)
    pooled = graph_bytes(
        [
            node("Gather", ["table", "input_ids"], ["x"]),
            node("ReduceSum", ["x", "axes"], ["out"], keepdims=0),
        ],
        _pooling_tensors(table),
        [value_info("input_ids", 7, ["b", "t"])],
        [value_info("out", 1, ["b", 16])],
    )
    (source / "onnx" / "model.onnx").write_bytes(pooled)
    with pytest.raises(DamagedModelError, match="none is known to be token vectors"):
        adopt(source)


def _pooling_tensors(table: np.ndarray) -> list[bytes]:
    from tests.models_maker import tensor

    return [tensor("table", table), tensor("axes", np.array([1], dtype=np.int64))]


def test_two_outputs_that_could_be_token_vectors_are_refused(tmp_path: Path) -> None:
    write_source(tmp_path / "source", output="one", also="other")
    with pytest.raises(DamagedModelError, match="none is known to be token vectors"):
        adopt(tmp_path / "source")


def test_a_graph_of_another_width_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    table = write_source(source)
    (source / "onnx" / "model.onnx").write_bytes(encoder_graph(table[:, :12]))
    with pytest.raises(DamagedModelError, match="gives 12 numbers, its manifest says 16"):
        adopt(source)


def test_a_token_that_the_graph_does_not_have_is_no_crash(tmp_path: Path) -> None:
    source = tmp_path / "source"
    table = write_source(source)
    (source / "onnx" / "model.onnx").write_bytes(encoder_graph(table[:30]))
    with pytest.raises(ModelError, match="belongs to another model"):
        adopt(source)


def test_a_position_that_the_graph_does_not_have_is_no_crash(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_source(source, positions=np.zeros((40, 16), dtype=np.float32), max_tokens=200)
    with pytest.raises(ModelError, match="belongs to another model"):
        adopt(source)


def test_a_graph_that_gives_no_numbers_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    table = write_source(source)
    (source / "onnx" / "model.onnx").write_bytes(encoder_graph(np.full_like(table, np.nan)))
    with pytest.raises(ModelError, match="not finite"):
        adopt(source)


def test_what_cannot_be_taken_as_it_is(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_source(source)
    graph = source / "onnx" / "model.onnx"
    content = graph.read_bytes()
    graph.unlink()
    graph.symlink_to(tmp_path / "elsewhere.onnx")
    (tmp_path / "elsewhere.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="a link"):
        adopt(source)
    graph.unlink()
    graph.write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedModelError):
        adopt(source)
    graph.unlink()
    (source / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(ModelError, match="no ONNX graph") as caught:
        adopt(source)
    assert "models export" in caught.value.hint
    (tmp_path / "adopted").mkdir()
    with pytest.raises(UsageError, match="exists"):
        adopt(source)
    with pytest.raises(MissingPathError):
        adopt_folder(tmp_path / "nowhere", tmp_path / "out", ORIGIN)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adopted", "elsewhere.onnx", "source"]


def test_a_graph_of_another_kind_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_source(source, modules=False)
    config = json.loads((source / "config.json").read_text())
    write_json(source / "config.json", {**config, "architectures": ["BertForSequenceClassification"]})
    with pytest.raises(DamagedModelError, match="none is known to be scores of pairs"):
        adopt(source)
    write_json(source / "sentence_bert_config.json", {"transformer_task": "fill-mask"})
    with pytest.raises(DamagedModelError, match="gives scores of 16 words, its manifest says"):
        adopt(source)


def test_a_cross_encoder_is_taken_with_pairs_as_probes(tmp_path: Path) -> None:
    source, precise = tmp_path / "source", TOKENIZERS["bert"]()
    write_source(source, modules=False)
    config = json.loads((source / "config.json").read_text())
    write_json(source / "config.json", {**config, "architectures": ["BertForSequenceClassification"]})
    table = np.random.default_rng(5).standard_normal((precise.get_vocab_size(), 8))
    (source / "onnx" / "model.onnx").write_bytes(pair_graph(table))
    model = adopt(source)
    variant = model.manifest.variants["fp32"]
    assert (model.manifest.kind, model.manifest.dim, len(model.manifest.probes)) == ("cross-encoder", 1, 16)
    assert (variant.cosine_min, variant.one_text_per_call) == (1.0, True)
    assert run_model_test(model, SETTINGS).passed
    # Another graph beside the plain one: how its scores rise and fall with the plain one's.
    dequantize = node("DequantizeLinear", ["q", "s"], ["t"])
    rounded = pair_graph(table, instead=([dequantize, node("Identity", ["t"], ["table"])], _quantized(table)))
    (source / "onnx" / "model_quantized.onnx").write_bytes(rounded)
    manifest = adopt_folder(source, tmp_path / "q", ORIGIN, onnx_file="onnx/model_quantized.onnx")
    other = manifest.variants["int8-weights"]
    assert 0.99 < other.cosine_min == other.cosine_mean < 1


def test_a_caller_may_state_the_pooling_that_no_file_does(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_source(source, modules=False)
    with pytest.raises(ModelError, match=r"no modules\.json"):
        adopt(source)
    assert adopt(source, pooling="cls").manifest.pooling == "cls"


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    write_source(tmp_path / "source")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        adopt_folder(tmp_path / "source", tmp_path / "file" / "out", ORIGIN)


def test_the_shipped_model_can_be_copied(tmp_path: Path) -> None:
    shipped = find_model()
    manifest: Manifest = adopt_folder(
        shipped.folder, tmp_path / "copy", dataclasses.replace(ORIGIN, name=shipped.manifest.name)
    )
    assert manifest == shipped.manifest


def test_a_published_sparse_graph_is_taken_too(tmp_path: Path) -> None:
    source, made = tmp_path / "source", tmp_path / "made"
    write_source(source, modules=False)
    write_sparse_model(made)
    shutil.copyfile(made / "model.onnx", source / "onnx" / "model.onnx")
    config = json.loads((source / "config.json").read_text())
    write_json(source / "config.json", config | {"architectures": ["BertForMaskedLM"]})
    model = adopt(source, pooling="splade")
    assert (model.manifest.kind, model.manifest.dim) == ("sparse", config["vocab_size"])
    assert (model.manifest.probes, model.manifest.default_variant) == ((), "fp32")
    found = open_sparse_encoder(model, EncoderSettings(device="cpu")).encode(["the dog runs"]).vectors[0]
    same = open_sparse_encoder(find_model(str(made)), EncoderSettings(device="cpu"))
    assert found.weights.tolist() == same.encode(["the dog runs"]).vectors[0].weights.tolist()
    with pytest.raises(ModelError, match="is a sparse model"):
        run_model_test(model, EncoderSettings(device="cpu"))
