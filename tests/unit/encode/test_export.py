"""Whole exports of tiny random models. Needs the extra `export`; skipped where it is not installed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from embedcli.encode.export import ExportSettings, export_model
from embedcli.encode.manifest import read_manifest, verify_files
from embedcli.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
for library in ("optimum.exporters.onnx", "onnx", "sympy"):
    pytest.importorskip(library, exc_type=ImportError)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SETTINGS = ExportSettings(name="tiny", source="made up", licence="Apache-2.0", languages=("en",))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=40,
    )
    model = transformers.BertModel(config)
    with torch.no_grad():
        # One channel far above the others, as trained encoders have.
        model.encoder.layer[0].output.LayerNorm.weight[5] = 12.0
    model.save_pretrained(folder)
    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", *(chr(code) for code in range(33, 93))]
    tokenizer = Tokenizer(models.WordPiece({word: row for row, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]"
    ).save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    package = "sentence_transformers.models"
    for name, value in {
        "modules.json": [
            {"path": "", "type": f"{package}.Transformer"},
            {"path": "1_Pooling", "type": f"{package}.Pooling"},
        ],
        "1_Pooling/config.json": {"pooling_mode_mean_tokens": True},
        "sentence_bert_config.json": {"max_seq_length": 32},
    }.items():
        (folder / name).write_text(json.dumps(value))
    (folder / "LICENSE").write_text("free")
    return folder


@pytest.fixture(scope="module")
def exported(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "tiny"
    steps: list[str] = []
    export_model(source, out, SETTINGS, steps.append)
    assert steps[0] == "export to ONNX"
    assert [path.name for path in out.parent.iterdir()] == ["tiny"]
    return out


def _session(path: Path) -> Any:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_the_folder_holds_what_its_manifest_says(exported: Path) -> None:
    manifest = read_manifest(exported)
    verify_files(exported, manifest)
    assert {path.name for path in exported.iterdir()} == {*manifest.files, "model.toml"}
    variant = manifest.variants["int8"]
    assert variant.operators == {
        "QAttention": 2,
        "MatMulIntegerToFloat": 6,
        "InstanceNormalization": 5,
        "Gelu": 2,
    }
    assert variant.cosine_min > 0.99
    assert len(manifest.probes) == 4
    assert (manifest.max_tokens, manifest.normalize, manifest.dim) == (32, False, 32)


def test_the_int8_graph_is_close_to_torch(source: Path, exported: Path) -> None:
    ids = np.arange(4, 24, dtype=np.int64)[None]
    with torch.no_grad():
        expected = transformers.BertModel.from_pretrained(source)(
            torch.from_numpy(ids)
        ).last_hidden_state.numpy()
    found = _session(exported / "model_int8.onnx").run(None, {"input_ids": ids})[0]
    cosines = (found * expected).sum(-1) / np.linalg.norm(found, axis=-1) / np.linalg.norm(expected, axis=-1)
    assert cosines.min() > 0.99


def test_another_export_is_equal_byte_for_byte(source: Path, exported: Path, tmp_path: Path) -> None:
    export_model(source, tmp_path / "tiny", SETTINGS, lambda _: None)
    assert (tmp_path / "tiny" / "model_int8.onnx").read_bytes() == (exported / "model_int8.onnx").read_bytes()


def test_a_second_recipe_is_one_more_variant(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny"
    first = export_model(source, out, SETTINGS, lambda _: None)
    export_model(source, out, replace(SETTINGS, recipe="fp16"), lambda _: None)
    manifest = read_manifest(out)
    verify_files(out, manifest)
    assert set(manifest.variants) == {"int8", "fp16"}
    assert manifest.default_variant == "int8"
    assert manifest.probes == first.probes
    assert manifest.variants["fp16"].device == "cuda"
    with pytest.raises(ModelError, match="another model"):
        export_model(source, out, replace(SETTINGS, max_tokens=16), lambda _: None)


def _copy(source: Path, folder: Path) -> Path:
    return shutil.copytree(source, folder)


def test_a_failure_leaves_nothing_behind(source: Path, tmp_path: Path) -> None:
    broken = _copy(source, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="export to ONNX failed"):
        export_model(broken, tmp_path / "models" / "tiny", SETTINGS, lambda _: None)
    assert not list((tmp_path / "models").iterdir())


def test_weights_that_are_a_pickle_are_refused_by_name(source: Path, tmp_path: Path) -> None:
    pickled = _copy(source, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin"):
        export_model(pickled, tmp_path / "tiny", SETTINGS, lambda _: None)


def test_the_licence_is_the_one_given_or_that_of_the_card(source: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    settings = replace(SETTINGS, licence="", languages=(), recipe="fp32")
    assert export_model(source, tmp_path / "without", settings, steps.append).licence == ""
    assert steps[0].startswith("note: the source states no licence")
    assert "licence not stated" in (tmp_path / "without" / "NOTICE").read_text()
    card = _copy(source, tmp_path / "with-card")
    (card / "README.md").write_text("---\nlicense: mit\nlanguage: de\n---\n")
    manifest = export_model(card, tmp_path / "tiny", settings, lambda _: None)
    assert (manifest.licence, manifest.languages) == ("MIT", ("de",))
    assert "licence MIT" in (tmp_path / "tiny" / "NOTICE").read_text()
