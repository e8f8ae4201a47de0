"""How good the shipped encoder is, through the program itself.

    python benchmarks/quality.py --sts stsb-test.csv --retrieval scifact/

`--sts` is CSV without a header: two sentences and a score. `--retrieval` is a folder with `corpus.jsonl`
(`_id`, `title`, `text`), `queries.jsonl` and `qrels.tsv` (query, document, relevance). Prints Spearman's
rank correlation and nDCG@10, both x 100. Needs scipy, which scikit-learn brings along.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

TOP_K = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sts", type=Path)
    parser.add_argument("--retrieval", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        if arguments.sts:
            print(f"STS, Spearman x 100: {100 * spearman(arguments.sts, Path(work)):.2f}")
        if arguments.retrieval:
            for on_long in ("truncate", "pool"):
                value = ndcg(arguments.retrieval, Path(work) / f"{on_long}.emb", on_long)
                print(
                    f"retrieval, one vector a document (--on-long {on_long}), nDCG@{TOP_K} x 100: {100 * value:.2f}"
                )


def run(*arguments: object) -> bytes:
    """Run the program and return what it printed."""
    command = [sys.executable, "-m", "embedcli", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def spearman(path: Path, work: Path) -> float:
    """Return the rank correlation of cosines and human scores."""
    import numpy as np
    from scipy.stats import spearmanr

    sides = []
    for column in (1, 2):
        out = work / f"{column}.npy"
        run("embed", path, "--no-header", "--column", column, "-o", out, "-q")
        sides.append(np.load(out))
    scores = [float(row[2]) for row in csv.reader(path.open(encoding="utf-8", newline=""))]
    return float(spearmanr((sides[0] * sides[1]).sum(axis=1), scores).statistic)


def ndcg(folder: Path, index: Path, on_long: str) -> float:
    """Return the mean nDCG@10 over all queries that have a relevant document.

    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002, with the
    relevance itself as gain, as the BEIR benchmark has it.
    """
    run(
        *("index", "build", "-i", index, folder / "corpus.jsonl", "--field", "title", "--field", "text"),
        *("--chunking", "none", "--on-long", on_long, "-q"),
    )
    relevant: dict[str, dict[str, int]] = {}
    with (folder / "qrels.tsv").open(encoding="utf-8", newline="") as stream:
        for query, document, relevance in csv.reader(stream, delimiter="\t"):
            if relevance.isdecimal() and int(relevance) > 0:
                relevant.setdefault(query, {})[document] = int(relevance)
    total = 0.0
    queries = [json.loads(line) for line in (folder / "queries.jsonl").open(encoding="utf-8")]
    wanted = [query for query in queries if query["_id"] in relevant]
    for query in wanted:
        hits = run("search", query["text"], "-i", index, "-n", TOP_K, "--json")
        gains = [relevant[query["_id"]].get(json.loads(line)["id"], 0) for line in hits.splitlines()]
        best = sorted(relevant[query["_id"]].values(), reverse=True)[:TOP_K]
        total += discounted(gains) / discounted(best)
    return total / len(wanted)


def discounted(gains: list[int]) -> float:
    """Return the gain of a ranking, discounted by the logarithm of the rank."""
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


if __name__ == "__main__":
    main()
