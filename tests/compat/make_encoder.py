"""Make the encoder of the compatibility files: a random vector for each of 300 words, and their mean.

    pip install onnx && python tests/compat/make_encoder.py

It is committed and not made again: an index of each released format belongs to it, whatever becomes of the
shipped encoders.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).resolve().parent / "models" / "tiny"
DIM = 24
CONSONANTS, VOWELS = "bdfgklmnprst", "aeiou"
WORDS = [f"{c}{v}{d}" for c in CONSONANTS for v in VOWELS for d in CONSONANTS[:5]]


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    rows = np.random.default_rng(1).normal(size=(len(tokens), DIM)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
        "tiny",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", DIM])],
        [numpy_helper.from_array(rows, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    (FOLDER / "model.onnx").write_bytes(model.SerializeToString())
    special = [
        {
            "id": number,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for number, token in enumerate(tokens[:4])
    ]
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]},
            },
        },
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {token: number for number, token in enumerate(tokens)},
            "unk_token": "[UNK]",
        },
    }
    (FOLDER / "tokenizer.json").write_text(json.dumps(tokenizer))
    manifest = f"""format = 1
name = "tiny"
kind = "onnx"
description = "A random vector for each of {len(WORDS)} words, for tests"
source = "made by tests/compat/make_encoder.py"
revision = "1"
weights_sha256 = "{hashlib.sha256(rows.tobytes()).hexdigest()}"
licence = "Apache-2.0"
languages = []
not_for = "anything but tests"
dim = {DIM}
dims = []
max_tokens = 32
pooling = "mean"
normalize = true
tokenizer = "tokenizer.json"
default_variant = "fp32"

[prompts]
"query" = ""
"document" = ""

[variants."fp32"]
file = "model.onnx"
device = "cpu"
one_text_per_call = true
recipe = "a table"
"""
    for name in ("model.onnx", "tokenizer.json"):
        content = (FOLDER / name).read_bytes()
        manifest += (
            f'\n[files."{name}"]\nsha256 = "{hashlib.sha256(content).hexdigest()}"\nbytes = {len(content)}\n'
        )
    (FOLDER / "model.toml").write_text(manifest)


if __name__ == "__main__":
    main()
