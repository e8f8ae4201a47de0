"""What might rank better without training, tried on the words and vectors of an index: titles, word pairs, feedback.

    embedcli index build -i x.emb scifact/corpus.jsonl --field title --field text --chunking none --on-long truncate
    python benchmarks/gains.py x.emb scifact/

The folder is as in `quality.py`. Prints nDCG@10 x 100 of words alone, and of both sides as `search` fuses them (z-score,
0.45 of the cosine, 100 best of each side), with each change by itself. All is computed here, from the index's own
vectors and words, so that a change costs some lines and no new index.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import math
import sqlite3
import statistics
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from quality import ndcg, relevance, run

POOL, ALPHA, K1, B, TOP_K = 100, 0.45, 1.2, 0.75, 10
TOKENIZER = "porter unicode61"

Weights = Mapping[str, float]


class Collection:
    """The words and vectors of an index, and the questions to it."""

    def __init__(self, index: Path, folder: Path) -> None:
        connection = sqlite3.connect(index)
        names = connection.execute(
            "SELECT chunk.id, record.name FROM chunk JOIN record ON record.id = chunk.record ORDER BY chunk.id"
        ).fetchall()
        self.names = [name for _, name in names]
        place = {row: number for number, (row, _) in enumerate(names)}
        self.folder, self.total = folder, len(names)
        relevant = relevance(folder)
        queries = [json.loads(line) for line in (folder / "queries.jsonl").open(encoding="utf-8")]
        self.queries = {row["_id"]: row["text"] for row in queries if row["_id"] in relevant}
        self.cosines = self.vectors_of_queries() @ stored_vectors(connection).T
        self.places: dict[str, dict[int, list[int]]] = collections.defaultdict(dict)
        connection.execute("CREATE VIRTUAL TABLE temp.words USING fts5vocab (main, lexical, instance)")
        self.lengths = np.zeros(self.total)
        for word, row, _, offset in connection.execute("SELECT * FROM words"):
            self.places[word].setdefault(place[row], []).append(offset)
            self.lengths[place[row]] += 1
        rows = map(json.loads, (folder / "corpus.jsonl").open(encoding="utf-8"))
        titles = {row["_id"]: row.get("title", "") for row in rows}
        self.titles = words_of([titles[name] for name in self.names])
        self.asked = words_of(self.queries.values())

    def vectors_of_queries(self) -> np.ndarray:
        """Return a vector a query, shape (q, dim)."""
        with tempfile.TemporaryDirectory() as work:
            asked, out = Path(work) / "asked.jsonl", Path(work) / "asked.npy"
            asked.write_text("".join(json.dumps({"text": text}) + "\n" for text in self.queries.values()))
            run("embed", "--role", "query", asked, "-o", out, "-q")
            return np.load(out)

    def weight(self, rows: int) -> float:
        """Return the weight of a word that so many chunks hold."""
        return max(1e-6, math.log((self.total - rows + 0.5) / (rows + 0.5)))

    def add(self, scores: np.ndarray, counts: Mapping[int, float], factor: float = 1.0) -> None:
        """Add one word's BM25 to the scores of the chunks that hold it."""
        if not counts:
            return
        rows, often = np.fromiter(counts, int), np.array(list(counts.values()), float)
        tempered = K1 * (1 - B + B * self.lengths[rows] / self.lengths.mean())
        scores[rows] += factor * self.weight(len(rows)) * often * (K1 + 1) / (often + tempered)

    def bm25(self, wanted: Weights, title_times: int = 0) -> np.ndarray:
        """Return BM25 of every chunk; each word of a title counts so many times more."""
        scores = np.zeros(self.total)
        for word, factor in wanted.items():
            counts = {row: float(len(found)) for row, found in self.places.get(word, {}).items()}
            if title_times:
                counts = {
                    row: often + title_times * self.titles[row].count(word) for row, often in counts.items()
                }
            self.add(scores, counts, factor)
        return scores

    def pairs(self, words: list[str]) -> np.ndarray:
        """Return BM25 of neighbouring words of a question that are neighbours in a chunk."""
        scores = np.zeros(self.total)
        for first, second in itertools.pairwise(words):
            other = self.places.get(second, {})
            counts = {}
            for row, found in self.places.get(first, {}).items():
                after = set(other.get(row, ()))
                if count := sum(place + 1 in after for place in found):
                    counts[row] = float(count)
            self.add(scores, counts)
        return scores

    def expanded(
        self, words: list[str], ranked: np.ndarray, documents: int, terms: int, share: float
    ) -> Weights:
        """Return a question's words with those that its first documents have most of (RM3)."""
        first = set(np.argsort(-ranked, kind="stable")[:documents].tolist())
        seen = {
            word: sum(len(found[row]) / self.lengths[row] for row in first & found.keys())
            * self.weight(len(found))
            for word, found in self.places.items()
        }
        best = sorted(seen.items(), key=lambda item: -item[1])[:terms]
        wanted: dict[str, float] = dict.fromkeys(words, 1.0)
        total = sum(value for _, value in best) or 1.0
        size = len(wanted)
        for word, value in best:
            wanted[word] = wanted.get(word, 0.0) + share * size * value / total
        return wanted

    def fused(self, words: np.ndarray) -> np.ndarray:
        """Return both sides as one score, far below for chunks outside of the pool."""
        fused = np.full_like(self.cosines, -np.inf)
        for row, (cosines, own) in enumerate(zip(self.cosines, words, strict=True)):
            near = np.argsort(-cosines, kind="stable")[:POOL]
            worded = np.argsort(-own, kind="stable")[:POOL]
            pool = np.union1d(near, worded[own[worded] > 0])
            fused[row, pool] = ALPHA * standard(cosines[pool]) + (1 - ALPHA) * standard(own[pool])
        return fused

    def value(self, scores: np.ndarray) -> float:
        """Return nDCG@10 x 100."""
        hits = {
            query: [{"id": self.names[at]} for at in np.argsort(-own, kind="stable")[:TOP_K]]
            for query, own in zip(self.queries, scores, strict=True)
        }
        return 100 * statistics.fmean(ndcg(hits, self.folder).values())

    def report(self, what: str, scores_of: Callable[[int, list[str]], np.ndarray]) -> np.ndarray:
        """Print what a change of the words' scores makes of the ranking; return the fused scores."""
        words = np.array([scores_of(number, own) for number, own in enumerate(self.asked)])
        fused = self.fused(words)
        print(f"{what:44} {self.value(words):7.2f} {self.value(fused):7.2f}", flush=True)
        return fused


def stored_vectors(connection: sqlite3.Connection) -> np.ndarray:
    """Return all vectors of an index without deleted ones, shape (n, dim)."""
    dim = json.loads(connection.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()[0])["dim"]
    parts = connection.execute("SELECT vectors FROM segment ORDER BY first")
    return np.concatenate([np.frombuffer(part[0], "<f2").reshape(-1, dim) for part in parts]).astype(
        np.float32
    )


def words_of(texts: Iterable[str]) -> list[list[str]]:
    """Return the words of each text, as the index has them."""
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE VIRTUAL TABLE texts USING fts5 (text, tokenize = '{TOKENIZER}')")
    connection.executemany("INSERT INTO texts (rowid, text) VALUES (?, ?)", enumerate(texts))
    connection.execute("CREATE VIRTUAL TABLE words USING fts5vocab (texts, instance)")
    found: list[list[str]] = [
        [] for _ in range(connection.execute("SELECT count(*) FROM texts").fetchone()[0])
    ]
    for word, row in connection.execute("SELECT term, doc FROM words ORDER BY doc, offset"):
        found[row].append(word)
    return found


def standard(scores: np.ndarray) -> np.ndarray:
    return (scores - scores.mean()) / (scores.std() or 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("index", type=Path, help="built with --chunking none, float16, nothing deleted")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    some = Collection(arguments.index, arguments.folder)
    print(f"{'':44} {'words':>7} {'both':>7}")
    plain = some.report("as it is", lambda _number, words: some.bm25(dict.fromkeys(words, 1.0)))
    for times in (1, 2, 4):
        some.report(
            f"a word in the title counts {times + 1} times",
            lambda _number, words, times=times: some.bm25(dict.fromkeys(words, 1.0), times),
        )
    for share in (0.05, 0.1, 0.2, 0.4):
        some.report(
            f"pairs of neighbouring words, weight {share}",
            lambda _number, words, share=share: (
                some.bm25(dict.fromkeys(words, 1.0)) + share * some.pairs(words)
            ),
        )
    for documents, terms, share in ((3, 20, 0.3), (10, 20, 0.3), (10, 20, 0.6)):
        some.report(
            f"{terms} words of the first {documents} hits, weight {share}",
            lambda number, words, how=(documents, terms, share): some.bm25(
                some.expanded(words, plain[number], *how)
            ),
        )


if __name__ == "__main__":
    main()
