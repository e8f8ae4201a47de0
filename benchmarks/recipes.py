"""Compare ways to make an encoder small and fast, side by side in one run.

    python benchmarks/recipes.py SOURCE [--sts FILE.csv] [--scifact FOLDER] [--rows WORD ...]

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
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedcli.encode.export.calibrate import Range, calibration_ids, measure_ranges, run_tapped
from embedcli.encode.export.folder import Job, describe, write_common
from embedcli.encode.export.fuse import fuse
from embedcli.encode.export.graph import OUTPUT_NAME, constant_products, make_feeds, save_graph
from embedcli.encode.export.int8 import build_int8
from embedcli.encode.export.libraries import export_libraries
from embedcli.encode.export.measure import EncoderRunner
from embedcli.encode.export.network import read_network
from embedcli.encode.export.probe_texts import CALIBRATION_TEXTS, MEASURED_TEXTS
from embedcli.encode.export.quantize import to_static_int8
from embedcli.encode.export.recipes import apply_recipe, check_recipe
from embedcli.encode.export.settings import ExportSettings
from embedcli.encode.export.trace import write_raw_graph
from embedcli.encode.layout import read_layout
from embedcli.encode.manifest import Variant
from embedcli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from embedcli.encode.layout import Layout

ROUNDS = 7
SHAPES = {"256 tokens": (256, 1, 6), "16 tokens": (16, 1, 48), "16 tokens, 8 a call": (16, 8, 6)}
"""Tokens of a text, texts of a call, calls of a round."""

TAIL = 0.01
"""Percent of the values that percentile calibration leaves out at each end."""

FP32 = "fp32, fused"
RECIPES = {
    FP32: "fp32",
    "fp16, on the CPU": "fp16",
    "int8, dynamic scales": "int8-dynamic",
    "int8, static scales, products only": "int8-static",
    "4-bit weights, blocks of 32": "int4",
    "int8, fixed scales, outliers scaled (shipped)": "int8",
}


class Bench:
    """The graphs of one model."""

    def __init__(self, source: Layout, work: Path) -> None:
        self.source, self.work = source, work
        self.raw = write_raw_graph(source, work / "raw")
        self.texts = calibration_ids(source, CALIBRATION_TEXTS, source.max_tokens)

    def builders(self) -> dict[str, Callable[[], Any]]:
        """Return what makes each graph, by the name of its row."""
        made: dict[str, Callable[[], Any]] = {"fp32, as exported": self._as_exported}
        for name, recipe in RECIPES.items():
            made[name] = lambda recipe=recipe: self._recipe(recipe)
        made["int8, static scales, as ONNX Runtime writes them"] = self._pairs
        made["int8, static scales, percentiles"] = self._percentiles
        made["int8, fixed scales, channels as they are"] = self._no_smoothing
        for layer in range(self.source.layers // 2, self.source.layers):
            made[f"fp32, layer {layer}"] = lambda layer=layer: self._recipe("fp32", layer)
            made[f"int8, fixed scales, layer {layer}"] = lambda layer=layer: self._recipe("int8", layer)
        return made

    def _as_exported(self) -> Any:
        import onnx

        return onnx.load(self.raw)

    def _recipe(self, recipe: Any, layer: int | None = None) -> Any:
        """Return what `models export` makes."""
        settings = ExportSettings(name="", source="", recipe=recipe, exit_layer=layer)
        check_recipe(self.source, settings)
        raw, source = self.raw, self.source
        if layer is not None:
            source = replace(source, layers=layer)
            raw = write_raw_graph(source, self.work / f"cut{layer}", layer)
        return apply_recipe(raw, source, settings, source.max_tokens, self.work).graph

    def _split(self) -> Any:
        return fuse(self.raw, self.source, split_attention=True).model

    def _pairs(self) -> Any:
        """Return the graph with pairs of quantizing and dequantizing operators, ranges whole."""
        import onnx
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

        split, texts = self._split(), iter(self.texts)
        inputs = [item.name for item in split.graph.input]

        class Reader(CalibrationDataReader):
            def get_next(self) -> Any:
                ids = next(texts, None)
                return None if ids is None else make_feeds(inputs, np.array([ids]))

        before, after = self.work / "split.onnx", self.work / "pairs.onnx"
        onnx.save(split, before)
        quantize_static(
            before,
            after,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={
                "DefaultTensorType": onnx.TensorProto.FLOAT,
                "MatMulConstBOnly": True,
                "OpTypesToExcludeOutputQuantization": ["MatMul"],
            },
        )
        return onnx.load(after)

    def _percentiles(self) -> Any:
        """Return the static graph whose ranges leave out the farthest values of each tensor."""
        split = self._split()
        names = list(dict.fromkeys(node.input[0] for node in constant_products(split)))
        # One tensor at a time: all of their values at once would take gigabytes.
        ranges = {}
        for name in names:
            values = np.concatenate([arrays[0].ravel() for arrays in run_tapped(split, [name], self.texts)])
            ranges[name] = Range(*np.percentile(values, [[TAIL], [100 - TAIL]]).astype(np.float32))
        return to_static_int8(split, ranges)

    def _no_smoothing(self) -> Any:
        fused = fuse(self.raw, self.source).model
        network = read_network(fused, self.source.max_tokens)
        ranges = measure_ranges(fused, network.inputs, self.texts)
        return build_int8(network, ranges, self.source.max_tokens, channel_limit=float("inf"))


def open_rows(bench: Bench, words: Sequence[str]) -> Iterator[tuple[str, Path, EncoderRunner]]:
    """Yield the name, file and encoder of each row whose name holds one of the words, the reference first."""
    job = Job(bench.source, ExportSettings(name="row", source=""), bench.source.max_tokens, print)
    builders = bench.builders()
    names = [FP32, *(name for name in builders if name != FP32)]
    for number, name in enumerate(names):
        if words and name != FP32 and not any(word in name for word in words):
            continue
        folder = bench.work / f"row{number}"
        folder.mkdir()
        try:
            graph = builders[name]()
        except ModelError as error:
            print(f"{name}: {error}")
            continue
        write_common(job, folder)
        variant = Variant(file="model.onnx", device="cpu", one_text_per_call=True, recipe=name)
        save_graph(graph, folder / variant.file)
        manifest = describe(job, folder, "row", variant)
        yield name, folder / variant.file, EncoderRunner(folder, manifest, "row")


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _feeds(session: Any, ids: Any) -> dict[str, Any]:
    return make_feeds([item.name for item in session.get_inputs()], ids)


def measure_speeds(paths: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Return texts per CPU second by graph and shape; random tokens cost what real ones do."""
    sessions = {name: _session(path) for name, path in paths.items()}
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
    session, generator = _session(path), np.random.default_rng(1)
    for tokens in (3, 7, 16, 33, 100):
        ids = generator.integers(1000, 20000, (8, tokens))
        together = session.run([OUTPUT_NAME], _feeds(session, ids))[0]
        alone = [session.run([OUTPUT_NAME], _feeds(session, row[None]))[0][0] for row in ids]
        if not np.array_equal(together, np.stack(alone)):
            return False
    return True


class Texts:
    """Encodes texts, each one once."""

    def __init__(self, runner: EncoderRunner) -> None:
        self._runner = runner

    def vectors(self, texts: Sequence[str]) -> Any:
        """Return unit vectors, shape (n, dim), float32."""
        unique = list(dict.fromkeys(texts))
        rows = {text: row for row, text in enumerate(unique)}
        return self._runner.outputs(unique)[[rows[text] for text in texts]]


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
    parser.add_argument("--rows", nargs="*", default=[], help="only rows whose names hold one of these")
    parser.add_argument("--max-tokens", type=int, help="default: what the source says")
    arguments = parser.parse_args()
    source = read_layout(arguments.source)
    source = replace(source, max_tokens=arguments.max_tokens or source.max_tokens)
    with tempfile.TemporaryDirectory() as folder, export_libraries():
        rows = list(open_rows(Bench(source, Path(folder)), arguments.rows))
        speeds = measure_speeds({name: path for name, path, _ in rows})
        reference = rows[0][2].outputs(MEASURED_TEXTS)
        columns = ["MB", "cosine min", "cosine mean", "same in company", *SHAPES]
        columns += ["STS"] * bool(arguments.sts) + ["SciFact"] * bool(arguments.scifact)
        print("| graph | " + " | ".join(columns) + " |")
        print("|---" * (len(columns) + 1) + "|")
        for name, path, runner in rows:
            cosines = (runner.outputs(MEASURED_TEXTS) * reference).sum(axis=1)
            row = [f"{path.stat().st_size / 1e6:.1f}", f"{cosines.min():.4f}", f"{cosines.mean():.4f}"]
            row.append("yes" if is_same_in_company(path) else "no")
            row += [f"{speed:.0f}" for speed in speeds[name].values()]
            if arguments.sts:
                row.append(f"{sts_spearman(Texts(runner), arguments.sts):.2f}")
            if arguments.scifact:
                row.append(f"{retrieval_ndcg(Texts(runner), arguments.scifact):.2f}")
            print(f"| {name} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
