"""The shipped model: its graph computes what its manifest says, whatever shares a call."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

from embedcli.encode.catalog import shipped_folder
from embedcli.encode.manifest import read_manifest, verify_files

FOLDER = shipped_folder() / "all-MiniLM-L6-v2"


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
