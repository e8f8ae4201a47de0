"""The shipped model: its graph computes what its manifest says, whatever shares a call."""

from __future__ import annotations

import base64
import importlib.metadata
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

from embedcli.encode.catalog import shipped_folder
from embedcli.encode.export import ExportSettings, export_model
from embedcli.encode.manifest import read_manifest, verify_files

FOLDER = shipped_folder() / "all-MiniLM-L6-v2"
WEIGHTS = "EMBEDCLI_TEST_WEIGHTS"
"""Environment variable with the folder of the default encoder's weights, as its publisher lays them out."""


@pytest.fixture(scope="module")
def session() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(FOLDER / "model_int8.onnx"), options, providers=["CPUExecutionProvider"]
    )


def test_files_are_those_of_the_manifest() -> None:
    manifest = read_manifest(FOLDER)
    verify_files(FOLDER, manifest)
    assert {"LICENSE", "NOTICE"} <= set(manifest.files)
    assert manifest.weights_sha256 == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@pytest.mark.parametrize("tokens", [2, 3, 7, 16, 33, 100, 256])
def test_texts_of_one_length_get_the_same_numbers_together_as_alone(session: Any, tokens: int) -> None:
    ids = np.random.default_rng(tokens).integers(1000, 20000, (3, tokens))
    together = session.run(None, {"input_ids": ids})[0]
    for row, token_ids in enumerate(ids):
        assert np.array_equal(session.run(None, {"input_ids": token_ids[None]})[0][0], together[row])


def test_probes_come_out_as_stored(session: Any) -> None:
    manifest = read_manifest(FOLDER)
    tokenizer = Tokenizer.from_file(str(FOLDER / manifest.tokenizer))
    tokenizer.enable_truncation(manifest.max_tokens)
    for probe in manifest.probes:
        ids = np.array([tokenizer.encode(probe.text).ids], dtype=np.int64)
        vector = session.run(None, {"input_ids": ids})[0][0].mean(axis=0)
        stored = np.frombuffer(base64.b64decode(probe.vector), dtype="<f2").astype(np.float32)
        # Kernels of other processors add in another order, and a rounding to 8 bits can tip over.
        assert stored @ vector / np.linalg.norm(vector) > 0.995


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_another_export_of_the_weights_is_equal_byte_for_byte(tmp_path: Path) -> None:
    if WEIGHTS not in os.environ:
        pytest.skip(f"{WEIGHTS} does not name the folder of the weights")
    pytest.importorskip("torch")
    pytest.importorskip("optimum.exporters.onnx", exc_type=ImportError)
    shipped = read_manifest(FOLDER)
    variant = shipped.variants["int8"]
    for name, version in variant.exported_with.items():
        if importlib.metadata.version(name) != version:
            pytest.skip(f"the shipped model was made with {name} {version}")
    settings = ExportSettings(
        name=shipped.name,
        source=shipped.source,
        licence=shipped.licence,
        max_tokens=shipped.max_tokens,
        languages=shipped.languages,
        description=shipped.description,
        not_for=shipped.not_for,
    )
    made = export_model(Path(os.environ[WEIGHTS]), tmp_path / shipped.name, settings, lambda _: None)
    assert made.files == shipped.files
    for file in shipped.files:
        assert (tmp_path / shipped.name / file).read_bytes() == (FOLDER / file).read_bytes()
    assert (made.variants["int8"].operators, made.variants["int8"].recipe) == (
        variant.operators,
        variant.recipe,
    )
