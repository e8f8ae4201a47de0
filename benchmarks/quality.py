"""How good an encoder is, through the program itself.

    python benchmarks/quality.py --sts stsb-test.csv
    python benchmarks/quality.py --sts stsb-test.csv --model static
    python benchmarks/quality.py --retrieval scifact/ --modes
    python benchmarks/quality.py --retrieval scifact/ --modes --sparse my-splade
    python benchmarks/quality.py --retrieval scifact/ --cascade static,default

`--sts` is CSV without a header: two sentences and a score. `--retrieval` is a folder with `corpus.jsonl`
(`_id`, `title`, `text`), `queries.jsonl` and judgements, as `embedcli eval retrieval` takes it, which measures
hybrid, dense and BM25 by itself. Prints Spearman's rank correlation x 100; with `--modes` nDCG@10 and recall@2 by
what ranks, with `--sparse` by a learned sparse model's weights; for a cascade, nDCG@10 and the share of queries that the second encoder was asked, by margin, beside
a random choice of as many. Needs scipy, which scikit-learn brings along.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from embedcli.records.judgements import Judgements, find_collection, read_judgements
from embedcli.tasks.evaluate.judged import with_relevant
from embedcli.vectors.ranking_measures import parse_metrics, query_values

TOP_K = 10
PARTS_PER_DOCUMENT = 5
"""Chunks asked for, for each document that is wanted: a long one has several, the best of which counts."""

MODES = (
    ("--mode", "dense"),
    ("--mode", "lexical"),
    ("--mode", "hybrid"),
    ("--mode", "hybrid", "--fuse", "minmax"),
    ("--mode", "hybrid", "--fuse", "rrf"),
    ("--mode", "hybrid", "--rerank", "maxsim"),
)

SPARSE_MODES = (
    ("--mode", "sparse"),
    *(("--sparse-weight", weight) for weight in ("0", "0.1", "0.2", "0.3", "0.5", "1")),
    ("--rerank", "maxsim"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sts", type=Path)
    parser.add_argument("--retrieval", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--modes", action="store_true")
    parser.add_argument("--sparse", metavar="MODEL")
    parser.add_argument("--cascade", metavar="CHEAP,COSTLY")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        if arguments.cascade:
            cascade(arguments.retrieval, Path(work), arguments.cascade)
            return
        if arguments.sts:
            print(f"STS, Spearman x 100: {100 * spearman(arguments.sts, Path(work), arguments.model):.2f}")
        if arguments.retrieval and arguments.modes:
            modes(arguments.retrieval, Path(work), arguments.model, arguments.sparse)


def run(*arguments: object) -> bytes:
    """Run the program and return what it printed."""
    command = [sys.executable, "-m", "embedcli", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def spearman(path: Path, work: Path, model: str) -> float:
    """Return the rank correlation of cosines and human scores."""
    import numpy as np
    from scipy.stats import spearmanr

    sides = []
    for column in (1, 2):
        out = work / f"{column}.npy"
        run("embed", path, "--no-header", "--column", column, "-o", out, "-q", "-m", model)
        sides.append(np.load(out))
    scores = [float(row[2]) for row in csv.reader(path.open(encoding="utf-8", newline=""))]
    return float(spearmanr((sides[0] * sides[1]).sum(axis=1), scores).statistic)


def build(folder: Path, index: Path, model: str, on_long: str, sparse: str | None = None) -> None:
    """Index a corpus, one vector a document."""
    run(
        *("index", "build", "-i", index, folder / "corpus.jsonl", "--field", "title", "--field", "text"),
        *("--chunking", "none", "--on-long", on_long, "-q", "-m", model),
        *(() if sparse is None else ("--sparse", sparse)),
    )


def modes(folder: Path, work: Path, model: str, sparse: str | None = None) -> None:
    """Print what each way of ranking finds, with long documents cut and with all of their chunks."""
    print("long documents  nDCG@10  recall@2")
    for on_long in ("truncate", "split"):
        index = work / f"{on_long}.emb"
        build(folder, index, model, on_long, sparse)
        for mode in SPARSE_MODES if sparse else MODES:
            hits = hits_by_query(folder, work, "-i", index, *mode)
            gain = statistics.fmean(values(hits, folder, f"nDCG@{TOP_K}").values())
            found = statistics.fmean(values(hits, folder, "recall@2").values())
            print(f"{on_long:14}  {100 * gain:7.2f}  {found:8.3f}  {' '.join(mode)}")


def relevance(folder: Path) -> Judgements:
    """Return the relevant documents of each query, with their grade."""
    return with_relevant(read_judgements(find_collection(str(folder)).judgements), print)


def values(hits: dict[str, list[dict[str, object]]], folder: Path, metric: str) -> dict[str, float]:
    """Return a metric of `eval retrieval` for each query."""
    import numpy as np

    relevant = relevance(folder)
    return {
        query: query_values(
            parse_metrics([metric]),
            np.array([relevant[query].get(str(hit["id"]), 0.0) for hit in found]),
            np.array([grade for grade in relevant[query].values() if grade > 0]),
        ).item()
        for query, found in hits.items()
    }


def hits_by_query(
    folder: Path, work: Path, *options: object, count: int = TOP_K * PARTS_PER_DOCUMENT
) -> dict[str, list[dict[str, object]]]:
    """Ask all queries that have a relevant document in one process; of each document, the best chunk counts."""
    relevant = relevance(folder)
    queries = [json.loads(line) for line in (folder / "queries.jsonl").open(encoding="utf-8")]
    asked = work / "asked.jsonl"
    asked.write_text(
        "".join(
            json.dumps({"id": query["_id"], "text": query["text"]}) + "\n"
            for query in queries
            if query["_id"] in relevant
        )
    )
    found: dict[str, list[dict[str, object]]] = {
        query["_id"]: [] for query in queries if query["_id"] in relevant
    }
    wanted = ("-n", count, "--json", "--no-collapse")
    for line in run("search", "--queries", asked, *options, *wanted).splitlines():
        hit = json.loads(line)
        own = found[hit["query"]]
        if len(own) < TOP_K and hit["id"] not in {other["id"] for other in own}:
            own.append(hit)
    return found


def ndcg_by_query(folder: Path, work: Path, *options: object) -> dict[str, float]:
    """Return nDCG@10 of each query that has a relevant document."""
    return values(hits_by_query(folder, work, *options), folder, f"nDCG@{TOP_K}")


def cascade(folder: Path, work: Path, models: str) -> None:
    """Print what deferring unsure queries gains, and what deferring as many random ones does."""
    cheap, costly = models.split(",")
    build(folder, work / "cheap.emb", cheap, "pool")
    build(folder, work / "costly.emb", costly, "pool")
    alone = {
        name: ndcg_by_query(folder, work, "-i", work / f"{name}.emb", "--mode", "dense")
        for name in ("cheap", "costly")
    }
    for name, values in alone.items():
        print(f"{name} alone: {100 * statistics.fmean(values.values()):.2f}")
    options = ("-i", work / "cheap.emb", "--cascade", models, "--cache", work / "cache")
    deferred = ndcg_by_query(folder, work, *options, "--cascade-margin", 3)
    print("margin  deferred  nDCG@10  random choice")
    for margin in (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 3):
        hits = hits_by_query(folder, work, *options, "--cascade-margin", margin)
        own = str(hits_by_query(folder, work, *options, "--cascade-margin", 0)[next(iter(hits))][0]["model"])
        asked = {query for query, found in hits.items() if found and found[0]["model"] != own}
        value = statistics.fmean(
            (deferred if query in asked else alone["cheap"])[query] for query in alone["cheap"]
        )
        rng = random.Random(1)
        chance = statistics.fmean(
            statistics.fmean(
                (deferred if query in some else alone["cheap"])[query] for query in alone["cheap"]
            )
            for some in (set(rng.sample(sorted(hits), len(asked))) for _ in range(200))
        )
        print(f"{margin:6}  {len(asked) / len(hits):8.0%}  {100 * value:7.2f}  {100 * chance:13.2f}")


if __name__ == "__main__":
    main()
