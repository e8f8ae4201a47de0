"""Compare ways to make an encoder small and fast, side by side in one run.

    python benchmarks/recipes.py SOURCE [--sts FILE.csv] [--scifact FOLDER]

SOURCE is a model folder in the sentence-transformers layout. Needs the extra `export`. Speeds are medians
over rounds in which every graph takes its turn, one thread, in texts per CPU second: read them as ratios.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedcli.encode.export.calibrate import measure_ranges
from embedcli.encode.export.graph import OUTPUT_NAME, fuse, write_raw_graph
from embedcli.encode.export.int8 import CHANNEL_LIMIT, build_int8
from embedcli.encode.export.libraries import export_libraries
from embedcli.encode.export.measure import GraphRunner, token_ids
from embedcli.encode.export.network import read_network
from embedcli.encode.export.probe_texts import CALIBRATION_TEXTS, MEASURED_TEXTS
from embedcli.encode.export.source import read_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.encode.export.source import SourceModel

ROUNDS = 7
SHAPES = {"256 tokens": (256, 1, 6), "16 tokens": (16, 1, 48), "16 tokens, 8 a call": (16, 8, 6)}
"""Tokens of a text, texts of a call, calls of a round."""


def build_graphs(source: SourceModel, tokenizer: Path, work: Path) -> dict[str, Path]:
    """Write every graph that is compared; the first is the reference."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    raw = write_raw_graph(source, work / "raw")
    fused = fuse(raw, source).model
    paths = {"fp32, as exported": raw, "fp32, fused": work / "fused.onnx"}
    onnx.save(fused, str(paths["fp32, fused"]))
    paths["int8, dynamic scales"] = work / "dynamic.onnx"
    quantize_dynamic(
        paths["fp32, fused"],
        paths["int8, dynamic scales"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    network = read_network(fused)
    texts = token_ids(tokenizer, CALIBRATION_TEXTS, source.max_tokens)
    ranges = measure_ranges(fused, network, texts)
    for name, limit in (
        ("int8, fixed scales, channels as they are", float("inf")),
        ("int8, fixed scales, outliers scaled (shipped)", CHANNEL_LIMIT),
    ):
        paths[name] = work / f"fixed{limit}.onnx"
        onnx.save(build_int8(network, ranges, source.max_tokens, channel_limit=limit), str(paths[name]))
    return paths


def measure_speeds(paths: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Return texts per CPU second by graph and shape; random tokens cost what real ones do."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    sessions = {
        name: onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for name, path in paths.items()
    }
    generator = np.random.default_rng(0)
    speeds: dict[str, dict[str, list[float]]] = {name: {shape: [] for shape in SHAPES} for name in paths}
    for _, (shape, (tokens, texts, calls)), (name, session) in itertools.product(
        range(ROUNDS), SHAPES.items(), sessions.items()
    ):
        feeds = _feeds(session, generator.integers(1000, 20000, (texts, tokens)))
        session.run([OUTPUT_NAME], feeds)
        start = time.process_time()
        for _ in range(calls):
            session.run([OUTPUT_NAME], feeds)
        speeds[name][shape].append(texts * calls / (time.process_time() - start))
    return {
        name: {shape: statistics.median(values) for shape, values in by_shape.items()}
        for name, by_shape in speeds.items()
    }


def is_same_in_company(path: Path) -> bool:
    """Whether eight texts of one length get, bit for bit, the token vectors that each gets alone."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(1)
    for tokens in (3, 7, 16, 33, 100):
        ids = generator.integers(1000, 20000, (8, tokens))
        together = session.run([OUTPUT_NAME], _feeds(session, ids))[0]
        alone = [session.run([OUTPUT_NAME], _feeds(session, row[None]))[0][0] for row in ids]
        if not np.array_equal(together, np.stack(alone)):
            return False
    return True


def _feeds(session: Any, ids: Any) -> dict[str, Any]:
    """Return what the session takes for unpadded token ids, shape (texts, tokens)."""
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    return {item.name: feeds[item.name] for item in session.get_inputs()}


class Texts:
    """Encodes texts, each one once."""

    def __init__(self, runner: GraphRunner, tokenizer: Path, max_tokens: int) -> None:
        self._runner, self._tokenizer, self._max_tokens = runner, tokenizer, max_tokens

    def vectors(self, texts: Sequence[str]) -> Any:
        """Return unit vectors, shape (n, dim), float32."""
        unique = list(dict.fromkeys(texts))
        vectors = self._runner.vectors(token_ids(self._tokenizer, unique, self._max_tokens))
        rows = {text: row for row, text in enumerate(unique)}
        return vectors[[rows[text] for text in texts]]


def sts_spearman(encoder: Texts, file: Path) -> float:
    """Return Spearman's rank correlation x 100 between cosine and score; the CSV is `a,b,score`."""
    from scipy.stats import spearmanr

    with file.open(encoding="utf-8", newline="") as stream:
        left, right, scores = zip(*csv.reader(stream), strict=True)
    cosines = (encoder.vectors(left) * encoder.vectors(right)).sum(axis=1)
    return 100 * float(spearmanr(cosines, [float(score) for score in scores])[0])


def retrieval_ndcg(encoder: Texts, folder: Path) -> float:
    """Return nDCG@10 x 100, title and text joined by a space; the folder is laid out as BEIR does."""

    def objects(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]

    relevant: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines():
        query, document, grade = line.split("\t")
        if grade.isdigit():
            relevant.setdefault(query, {})[document] = int(grade)
    corpus = objects("corpus.jsonl")
    queries = [item for item in objects("queries.jsonl") if item["_id"] in relevant]
    documents = encoder.vectors([f"{item['title']} {item['text']}" for item in corpus])
    scores = encoder.vectors([item["text"] for item in queries]) @ documents.T
    discounts = 1 / np.log2(np.arange(10) + 2)
    values = []
    for row, query in zip(scores, queries, strict=True):
        grades = relevant[query["_id"]]
        found = np.array([grades.get(corpus[i]["_id"], 0) for i in np.argsort(-row, kind="stable")[:10]])
        ideal = np.array(sorted(grades.values(), reverse=True)[:10])
        values.append(float(found @ discounts) / float(ideal @ discounts[: len(ideal)]))
    return 100 * statistics.mean(values)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("source", type=Path)
    parser.add_argument("--sts", type=Path, help="CSV of pairs: a,b,score")
    parser.add_argument("--scifact", type=Path, help="folder with corpus.jsonl, queries.jsonl, qrels.tsv")
    arguments = parser.parse_args()
    source = read_source(arguments.source)
    with tempfile.TemporaryDirectory() as folder, export_libraries():
        work = Path(folder)
        tokenizer = work / "tokenizer.json"
        tokenizer.write_text(source.tokenizer, encoding="utf-8")
        paths = build_graphs(source, tokenizer, work)
        speeds = measure_speeds(paths)
        ids = token_ids(tokenizer, MEASURED_TEXTS, source.max_tokens)
        reference = GraphRunner(paths["fp32, fused"], source.pooling).vectors(ids)
        columns = ["MB", "cosine min", "cosine mean", "same in company", *SHAPES]
        columns += ["STS"] * bool(arguments.sts) + ["SciFact"] * bool(arguments.scifact)
        print("| graph | " + " | ".join(columns) + " |")
        print("|---" * (len(columns) + 1) + "|")
        for name, path in paths.items():
            runner = GraphRunner(path, source.pooling)
            cosines = (runner.vectors(ids) * reference).sum(axis=1)
            row = [f"{path.stat().st_size / 1e6:.1f}", f"{cosines.min():.4f}", f"{cosines.mean():.4f}"]
            row.append("yes" if is_same_in_company(path) else "no")
            row += [f"{speed:.0f}" for speed in speeds[name].values()]
            encoder = Texts(runner, tokenizer, source.max_tokens)
            if arguments.sts:
                row.append(f"{sts_spearman(encoder, arguments.sts):.2f}")
            if arguments.scifact:
                row.append(f"{retrieval_ndcg(encoder, arguments.scifact):.2f}")
            print(f"| {name} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
