"""What a published ONNX graph computes in, and what it makes of some texts."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from embedcli.encode.layout_files import file_sha256
from embedcli.encode.manifest import FileEntry, Manifest, Probe
from embedcli.encode.trust import check_graph
from embedcli.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.datatypes import Vectors
    from embedcli.encode.layout import Layout
    from embedcli.encode.trust import GraphFacts

TELLING = (
    *("Attention", "MultiHeadAttention", "GroupQueryAttention", "QAttention", "EmbedLayerNormalization"),
    *("SkipLayerNormalization", "Gelu", "BiasGelu", "FastGelu", "MatMul", "MatMulInteger"),
    *("MatMulIntegerToFloat", "QLinearMatMul", "MatMulNBits", "DequantizeLinear", "DynamicQuantizeLinear"),
)
"""Operators that the manifest counts: they tell what is fused and what computes in integers."""

_INTEGER_PRODUCTS = frozenset({"MatMulInteger", "MatMulIntegerToFloat", "QLinearMatMul", "QAttention"})
NOT_MEASURED = 0.0
"""Stands for a fidelity or speed that was not measured."""


def copy_graph(path: Path, target: Path) -> GraphFacts:
    """Copy an ONNX file, having checked the very bytes that are written."""
    if path.is_symlink():
        raise ModelError(f"{path}: a link, not a plain file")
    content = path.read_bytes()
    facts = check_graph(content, str(path))
    target.write_bytes(content)
    return facts


def precision_of(facts: GraphFacts) -> tuple[str, str]:
    """Return a short name for what a graph computes in, and the same in words."""
    operators, stored = facts.operators, facts.initializer_bytes
    if _INTEGER_PRODUCTS & set(operators):
        return "int8", "int8 products"
    if operators.get("MatMulNBits"):
        return "nbits", "weights rounded in blocks, arithmetic in float"
    if operators.get("DequantizeLinear"):
        return "int8-weights", "weights rounded to 8 bits, arithmetic in float"
    if stored.get("float16", 0) > stored.get("float32", 0):
        return "fp16", "arithmetic in float16"
    return "fp32", "arithmetic in float32"


def measure(manifest: Manifest, made: Path, layout: Layout) -> Manifest:
    """Return the manifest of the folder `made` with probes; a sparse model has none.

    Where the source also holds an fp32 graph, the only variant's fidelity to it over the probes is stated: of
    a cross-encoder the correlation of the scores.
    """
    precision = manifest.default_variant
    look = {"cross-encoder": _pairs, "sparse": _sparse}.get(manifest.kind, _texts)
    probes, rows = look(manifest, made, precision)
    lowest = mean = 1.0 if precision == "fp32" else NOT_MEASURED
    plain = layout.onnx_files[0]
    if precision != "fp32" and PurePosixPath(plain).name == "model.onnx":
        scratch = made / "reference.tmp"
        facts = copy_graph(layout.folder / plain, scratch)
        if precision_of(facts)[0] == "fp32":
            entry = FileEntry(file_sha256(scratch), scratch.stat().st_size)
            reference = dataclasses.replace(
                manifest,
                variants={"fp32": dataclasses.replace(manifest.variants[precision], file=scratch.name)},
                files={**manifest.files, scratch.name: entry},
            )
            cosines = (rows * look(reference, made, "fp32")[1]).sum(axis=1)
            lowest, mean = (round(float(value), 4) for value in (cosines.min(), cosines.mean()))
        scratch.unlink()
    variant = dataclasses.replace(manifest.variants[precision], cosine_min=lowest, cosine_mean=mean)
    return dataclasses.replace(manifest, variants={precision: variant}, probes=probes)


def _texts(manifest: Manifest, folder: Path, variant: str) -> tuple[tuple[Probe, ...], Vectors]:
    """Return the probe texts, as documents, and their vectors, shape (n, dim), float32, unit length."""
    from embedcli.encode.export.probe_texts import STORED_PROBES
    from embedcli.encode.onnx import OnnxEncoder
    from embedcli.vectors.normalize import normalize

    encoder = OnnxEncoder(folder, manifest, variant=variant, device="cpu", jobs=1)
    try:
        prompt = manifest.prompts.get("document", "")
        vectors = normalize(encoder.encode(STORED_PROBES, prompt=prompt).vectors)
    finally:
        encoder.close()
    probes = tuple(
        Probe(text, base64.b64encode(vector.astype("<f2").tobytes()).decode("ascii"))
        for text, vector in zip(STORED_PROBES, vectors, strict=True)
    )
    return probes, vectors


def _sparse(manifest: Manifest, folder: Path, variant: str) -> tuple[tuple[Probe, ...], Vectors]:
    """Return no probes, and the weights that the probe texts have, shape (n, words), float32, unit length."""
    from embedcli.encode.export.probe_texts import STORED_PROBES
    from embedcli.encode.sparse import SparseEncoder, dense_rows
    from embedcli.vectors.normalize import normalize

    encoder = SparseEncoder(folder, manifest, variant=variant, device="cpu", jobs=1)
    try:
        encoded = encoder.encode(STORED_PROBES, prompt=manifest.prompts.get("document", ""))
    finally:
        encoder.close()
    return (), normalize(dense_rows(encoded.vectors, manifest.dim))


def _pairs(manifest: Manifest, folder: Path, variant: str) -> tuple[tuple[Probe, ...], Vectors]:
    """Return the probe pairs, and their scores around the mean as one row of unit length."""
    from embedcli.encode.export.probe_texts import STORED_PROBES
    from embedcli.encode.pair_probes import found_scores, make_pair_probes
    from embedcli.encode.pairs import PairEncoder
    from embedcli.vectors.normalize import normalize

    encoder = PairEncoder(folder, manifest, variant=variant, device="cpu", jobs=1)
    try:
        probes = make_pair_probes(encoder, STORED_PROBES)
        scores = found_scores(encoder, probes, alone=False)
    finally:
        encoder.close()
    return probes, normalize((scores - scores.mean()).reshape(1, -1))
