"""What recipes need, refuse and record; models that give scores instead of token vectors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

from embedcli.encode.catalog import EncoderSettings, Model, open_pair_encoder
from embedcli.encode.export import ExportSettings, export_model
from embedcli.encode.export.graph import constant_products, count_operators, require_operators
from embedcli.encode.manifest import read_manifest, verify_files
from embedcli.errors import ModelError, UsageError
from embedcli.tasks.model_test import run_model_test

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
families = pytest.importorskip("test_export_families")

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SETTINGS = ExportSettings(name="tiny", source="made up", licence="Apache-2.0", recipe="fp32")
TEXTS = families.TEXTS[:20]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return families.make_encoder("bert", tmp_path_factory.mktemp("bert"))[0]


def _scales(file: Path) -> dict[str, float]:
    import onnx

    return {
        item.name: float(onnx.numpy_helper.to_array(item))
        for item in onnx.load(file).graph.initializer
        if item.name.endswith("_scale") and not item.dims
    }


@pytest.mark.parametrize(("name", "recipe"), [("bert", "int8"), ("modernbert", "int8-dynamic")])
def test_auto_is_the_best_int8_that_fits(tmp_path: Path, name: str, recipe: str) -> None:
    source, _ = families.make_encoder(name, tmp_path)
    manifest = export_model(source, tmp_path / "tiny", replace(SETTINGS, recipe="auto"), lambda _: None)
    assert list(manifest.variants) == [manifest.default_variant] == [recipe]


@pytest.mark.parametrize("recipe", ["int8", "int8-static"])
def test_fixed_scales_are_taken_from_the_texts_given(bert: Path, tmp_path: Path, recipe: Any) -> None:
    made = {}
    for name, texts in (("own", ()), ("digits", ("1234567890", "42")), ("again", ("1234567890", "42"))):
        settings = replace(SETTINGS, recipe=recipe, calibration_texts=texts)
        manifest = export_model(bert, tmp_path / name, replace(settings, name=name), lambda _: None)
        made[name] = tmp_path / name / manifest.variants[recipe].file
        assert ("scales from 2 texts of the user's" in manifest.variants[recipe].recipe) is bool(texts)
    scales = {name: _scales(file) for name, file in made.items()}
    assert scales["digits"].keys() == scales["own"].keys()
    assert len(scales["own"]) >= 12
    differing = [key for key, value in scales["own"].items() if scales["digits"][key] != value]
    # Ranges over two short texts are narrower nearly everywhere.
    assert len(differing) >= 0.9 * len(scales["own"])
    assert made["digits"].read_bytes() == made["again"].read_bytes()


@pytest.mark.parametrize("recipe", ["fp32", "fp16", "int8-dynamic", "int4"])
def test_texts_are_refused_where_no_scale_is_taken(bert: Path, tmp_path: Path, recipe: Any) -> None:
    settings = replace(SETTINGS, recipe=recipe, calibration_texts=("a",))
    with pytest.raises(UsageError, match=f"recipe {recipe} takes no scales"):
        export_model(bert, tmp_path / "tiny", settings, lambda _: None)


@pytest.mark.parametrize("recipe", ["fp32", "fp16", "int8", "int8-dynamic", "int8-static", "int4"])
def test_only_the_graph_that_was_built_for_it_takes_texts_together(
    bert: Path, tmp_path: Path, recipe: Any
) -> None:
    export_model(bert, tmp_path / "tiny", replace(SETTINGS, recipe=recipe), lambda _: None)
    assert read_manifest(tmp_path / "tiny").variants[recipe].one_text_per_call is (recipe != "int8")


def test_a_graph_that_is_not_matched_is_refused_and_the_missing_operators_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from embedcli.encode.export import fuse

    # What the newest exporter of PyTorch writes is not matched at all; the same is had by not looking.
    monkeypatch.setitem(fuse.FAMILIES, "bert", fuse.Family("qwen3", attention=True, embedding=True))
    source, _ = families.make_encoder("bert", tmp_path)
    with pytest.raises(ModelError, match=r"after fusing .* only 0 of 3 Attention"):
        export_model(source, tmp_path / "models" / "tiny", SETTINGS, lambda _: None)
    assert not list((tmp_path / "models").iterdir())


def test_operators_that_are_missing_are_named() -> None:
    with pytest.raises(ModelError, match="after a step the graph holds only 1 of 2 B, 0 of 1 C") as caught:
        require_operators({"A": 3, "B": 1}, {"A": 3, "B": 2, "C": 1}, "a step")
    assert "encoder-recipe.md" in caught.value.hint


def test_an_architecture_without_fusions_is_exported_as_it_is(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from embedcli.encode.export import fuse

    monkeypatch.delitem(fuse.FAMILIES, "bert")
    manifest = export_model(bert, tmp_path / "tiny", SETTINGS, lambda _: None)
    assert manifest.variants["fp32"].recipe == "not fused (no fusion matches bert)"
    # Per layer six with weights and two of activations.
    assert dict(manifest.variants["fp32"].operators) == {"MatMul": 24, "Softmax": 3}
    with pytest.raises(ModelError, match="cannot be made of a bert"):
        export_model(bert, tmp_path / "other", replace(SETTINGS, recipe="int8"), lambda _: None)


def _logits(folder: Path, variant: str, feeds: dict[str, Any]) -> np.ndarray:
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    file = folder / manifest.variants[variant].file
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {item.name: feeds[item.name] for item in session.get_inputs()})[0]


def _save_sparse(name: str, folder: Path) -> tuple[Path, Any]:
    modules = pytest.importorskip("sentence_transformers.sparse_encoder.modules")
    weights = families.save_weights(name, folder / "weights", "AutoModelForMaskedLM")
    parts = [modules.MLMTransformer(str(weights)), modules.SpladePooling("max")]
    model = families.sentence_transformers.SparseEncoder(modules=parts, device="cpu")
    model.save_pretrained(str(folder / "saved"))
    return folder / "saved", model


def _sparse_weights(folder: Path, variant: str, texts: Sequence[str], tokenizer: Any) -> np.ndarray:
    """Return what SPLADE makes of the logits (Formal et al. 2021, SPLADE v2, equation 6)."""
    rows = []
    for text in texts:
        encoded = tokenizer([text], truncation=True, max_length=families.MAX_TOKENS, return_tensors="np")
        logits = _logits(folder, variant, {"token_type_ids": np.zeros_like(encoded["input_ids"]), **encoded})
        assert logits.shape == (1, encoded["input_ids"].shape[1], families.VOCABULARY)
        rows.append(np.log1p(np.maximum(logits[0], 0)).max(axis=0))
    return np.stack(rows)


@pytest.mark.parametrize("name", ["bert", "distilbert"])
def test_a_sparse_model_gives_the_scores_of_words(tmp_path: Path, name: str) -> None:
    source, model = _save_sparse(name, tmp_path)
    expected = model.encode(TEXTS, batch_size=1, convert_to_tensor=True).to_dense().numpy()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    for recipe in ("fp32", "int8-dynamic"):
        export_model(source, tmp_path / "tiny", replace(SETTINGS, recipe=recipe), lambda _: None)
        found = _sparse_weights(tmp_path / "tiny", recipe, TEXTS, tokenizer)
        cosines = (found * expected).sum(axis=1)
        cosines /= np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
        assert cosines.min() >= (0.9999 if recipe == "fp32" else 0.99)
    manifest = read_manifest(tmp_path / "tiny")
    assert (manifest.kind, manifest.dim, manifest.probes) == ("sparse", families.VOCABULARY, ())
    assert manifest.variants["int8-dynamic"].cosine_min >= 0.99


def _save_cross_encoder(name: str, folder: Path) -> tuple[Path, Any]:
    weights = families.save_weights(
        name, folder / "weights", "AutoModelForSequenceClassification", num_labels=1
    )
    model = families.sentence_transformers.CrossEncoder(
        str(weights), device="cpu", max_length=families.MAX_TOKENS
    )
    model.save_pretrained(str(folder / "saved"))
    return folder / "saved", model


@pytest.mark.parametrize("name", ["bert", "roberta", "xlm-roberta", "modernbert"])
def test_a_cross_encoder_gives_the_score_of_a_pair(tmp_path: Path, name: str) -> None:
    source, model = _save_cross_encoder(name, tmp_path)
    pairs = list(zip(TEXTS, TEXTS[3:], strict=False))
    expected = model.predict(pairs, batch_size=1, activation_fn=torch.nn.Identity())
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    for recipe in ("fp32", "int8-dynamic"):
        export_model(source, tmp_path / "tiny", replace(SETTINGS, recipe=recipe), lambda _: None)
        found = []
        for pair in pairs:
            encoded = tokenizer(
                *pair,
                truncation=True,
                max_length=families.MAX_TOKENS,
                return_tensors="np",
                return_token_type_ids=True,
            )
            logits = _logits(tmp_path / "tiny", recipe, dict(encoded))
            assert logits.shape == (1, 1)
            found.append(logits[0, 0])
        assert np.std(expected) > 0
        if recipe == "fp32":
            assert np.abs(np.array(found) - expected).max() < 1e-5
        else:
            assert np.corrcoef(found, expected)[0, 1] >= 0.99
    manifest = read_manifest(tmp_path / "tiny")
    assert (manifest.kind, manifest.dim, len(manifest.probes)) == ("cross-encoder", 1, 16)
    assert manifest.variants["fp32"].cosine_min == pytest.approx(1, abs=1e-4)
    assert manifest.variants["int8-dynamic"].cosine_min >= 0.99
    _check_search_scores(Model(tmp_path / "tiny", manifest), model)


def _check_search_scores(folder: Model, model: Any) -> None:
    """Compare what a search makes of pairs with the scores of sentence-transformers, long texts included."""
    encoder = open_pair_encoder(folder, EncoderSettings(device="cpu", jobs=2))
    long = "the dog runs " * 40
    for query, texts in (("a dog", [*TEXTS, long]), ("[SEP] x", TEXTS[:5]), (long, [long])):
        pairs = [(query, text) for text in texts]
        expected = model.predict(pairs, batch_size=1, activation_fn=torch.nn.Identity())
        assert np.abs(np.array(encoder.score(query, texts).scores) - expected).max() < 1e-5
    assert encoder.score("a dog", [long]).texts_cut == 1
    assert run_model_test(folder, EncoderSettings(device="cpu", jobs=1)).passed


def test_models_that_give_scores_refuse_what_is_for_encoders(tmp_path: Path) -> None:
    source, _ = _save_cross_encoder("bert", tmp_path)
    with pytest.raises(ModelError, match="cannot be made of a cross-encoder model") as caught:
        export_model(source, tmp_path / "tiny", replace(SETTINGS, recipe="int8"), lambda _: None)
    assert caught.value.hint == "--recipe int8-dynamic"
    with pytest.raises(UsageError, match="a cross-encoder model reads its last layer"):
        export_model(source, tmp_path / "tiny", replace(SETTINGS, exit_layer=1), lambda _: None)


def test_weights_too_large_for_one_file_are_halved_where_that_is_allowed(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from embedcli.encode.export import graph

    # The file of this model takes 0.5 MB instead of 2 GB; the ways are the same.
    monkeypatch.setattr(graph, "MAX_FILE_BYTES", 300_000)
    monkeypatch.setattr(graph, "_WORTH_HALVING", 1_000)
    with pytest.raises(ModelError, match="more than the 2 GB") as caught:
        export_model(bert, tmp_path / "whole", SETTINGS, lambda _: None)
    assert "int8-dynamic" in caught.value.hint
    manifest = export_model(bert, tmp_path / "tiny", replace(SETTINGS, recipe="int8"), lambda _: None)
    assert manifest.variants["int8"].cosine_min > 0.99


def test_products_with_weights_are_told_from_others() -> None:
    from onnx import TensorProto, helper, numpy_helper

    table = numpy_helper.from_array(np.ones((4, 4), dtype=np.float32), "table")
    nodes = [
        helper.make_node("MatMul", ["x", "table"], ["y"]),
        helper.make_node("MatMul", ["y", "x"], ["z"]),
        helper.make_node("Softmax", ["z"], ["w"]),
    ]
    x, w = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 4]) for name in ("x", "w"))
    model = helper.make_model(helper.make_graph(nodes, "graph", [x], [w], [table]))
    assert [node.output[0] for node in constant_products(model)] == ["y"]
    assert count_operators(model) == {"MatMul": 2, "Softmax": 1}
