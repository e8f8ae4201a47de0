"""A graph that ends early: the hidden state of the full model, for a share of the time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from embedcli.encode.export import ExportSettings, export_model
from embedcli.encode.manifest import read_manifest, verify_files
from embedcli.errors import UsageError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
families = pytest.importorskip("test_export_families")

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SETTINGS = ExportSettings(name="tiny", source="made up", licence="Apache-2.0", recipe="fp32")
NAMES = ["bert", "roberta", "mpnet", "distilbert", "modernbert", "qwen3", "gemma3_text"]


def _hidden_state(folder: Path, file: str, ids: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(folder / file), providers=["CPUExecutionProvider"])
    feeds = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
        "position_ids": np.arange(ids.shape[1])[None],
    }
    return session.run(["last_hidden_state"], {item.name: feeds[item.name] for item in session.get_inputs()})[
        0
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layer", [1, 2])
def test_the_output_is_the_hidden_state_of_the_full_model(
    tmp_path_factory: pytest.TempPathFactory, name: str, layer: int
) -> None:
    folder = tmp_path_factory.mktemp(name)
    source, _ = families.make_encoder(name, folder)
    export_model(source, folder / "tiny", replace(SETTINGS, exit_layer=layer), lambda _: None)
    model = transformers.AutoModel.from_pretrained(source).eval()
    ids = np.random.default_rng(0).integers(4, families.VOCABULARY, (1, 20))
    with torch.no_grad():
        tokens = torch.from_numpy(ids)
        states = model(
            tokens, attention_mask=torch.ones_like(tokens), output_hidden_states=True
        ).hidden_states
    found = _hidden_state(folder / "tiny", f"model_fp32-layer{layer}.onnx", ids)
    assert len(states) == 4
    assert np.abs(found - states[layer].numpy()).max() < 1e-5
    # The neighbours are not what was meant.
    assert np.abs(found - states[layer + 1].numpy()).max() > 1e-2


def test_a_cut_graph_is_one_more_variant_and_says_so(tmp_path: Path) -> None:
    source, _ = families.make_encoder("bert", tmp_path)
    out = tmp_path / "tiny"
    export_model(source, out, replace(SETTINGS, recipe="int8"), lambda _: None)
    manifest = export_model(source, out, replace(SETTINGS, recipe="int8", exit_layer=2), lambda _: None)
    verify_files(out, manifest)
    assert read_manifest(out) == manifest
    assert list(manifest.variants) == ["int8", "int8-layer2"]
    assert manifest.default_variant == "int8"
    cut = manifest.variants["int8-layer2"]
    assert cut.operators["QAttention"] == 2
    assert cut.recipe.endswith("; ends after layer 2 of 3")
    assert cut.cosine_mean < manifest.variants["int8"].cosine_mean


@pytest.mark.parametrize("layer", [0, 3, 4])
def test_a_layer_that_is_not_before_the_last_is_refused(tmp_path: Path, layer: int) -> None:
    source, _ = families.make_encoder("bert", tmp_path)
    with pytest.raises(UsageError, match="the model has 3 layers") as caught:
        export_model(source, tmp_path / "tiny", replace(SETTINGS, exit_layer=layer), lambda _: None)
    assert "1 to 2" in caught.value.hint
