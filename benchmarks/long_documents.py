"""What is found in documents longer than the model takes, by how they are cut.

    python benchmarks/long_documents.py scifact/ --work long/
    python benchmarks/long_documents.py packages/ --work long-packages/ --documents 4000 --only late --only paragraphs

The folder holds `corpus.jsonl`, `queries.jsonl` and `qrels.tsv`, as for `quality.py`. Its documents are searched
alone, and joined: every five, in a shuffled order, with a blank line between them, each a paragraph with its title
in front (joined) or without it (bare), or a section under its title. A joined document is relevant if one of its five is. Indexes stay in `--work`,
and a second run finds them there; `--documents` takes the relevant documents and only so many others; `--only` takes
the rows whose name holds a word.

Columns: nDCG@10 x 100 by meaning and by meaning and words; how often one of the first 1 or 5 hits is right and shows
a chunk of the right one of the five (dense); how often the best chunk within the right document is from the right
one (dense); how often, asked with the title of one of 300 documents, one of the first 10 chunks of all holds its last
sentence (dense); vectors; seconds of the build.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from quality import TOP_K, hits_by_query, ndcg, relevance, run

from embedcli.records.sentences import iter_sentences

TOGETHER = 5
"""Documents in a joined one."""

ENDINGS = 300
"""Documents whose last sentence is looked for by their title."""

ROWS: tuple[tuple[str, str, str], ...] = (
    ("alone", "one vector, cut", "--chunking none --on-long truncate"),
    ("alone", "none (default for records)", "--chunking none"),
    ("joined", "one vector, cut", "--chunking none --on-long truncate"),
    ("joined", "one vector, pooled", "--chunking none --on-long pool"),
    ("joined", "paragraphs (default for files)", "--chunking paragraphs"),
    ("joined", "late 64", "--chunking late --chunk-tokens 64"),
    ("joined", "late 128", "--chunking late --chunk-tokens 128"),
    ("joined", "semantic", "--chunking semantic"),
    ("joined", "paragraphs 128", "--chunking paragraphs --chunk-tokens 128"),
    ("joined", "paragraphs 64", "--chunking paragraphs --chunk-tokens 64"),
    ("joined", "sentences", "--chunking sentences"),
    ("joined", "tokens 254", "--chunking tokens --chunk-tokens 254"),
    ("joined", "tokens 128", "--chunking tokens --chunk-tokens 128"),
    ("joined", "tokens 64", "--chunking tokens --chunk-tokens 64"),
    ("joined", "late 32", "--chunking late --chunk-tokens 32"),
    ("joined", "late 254", "--chunking late --chunk-tokens 254"),
    ("sections", "markdown", "--chunking markdown"),
    ("sections", "markdown, titles", "--chunking markdown --context-title"),
    ("sections", "markdown 64", "--chunking markdown --chunk-tokens 64"),
    ("sections", "markdown 64, titles", "--chunking markdown --chunk-tokens 64 --context-title"),
    ("bare", "paragraphs", "--chunking paragraphs"),
    ("bare", "paragraphs 64", "--chunking paragraphs --chunk-tokens 64"),
    ("bare", "late 64", "--chunking late --chunk-tokens 64"),
    ("alone", "none 64", "--chunking none --chunk-tokens 64"),
    ("alone", "late 64", "--chunking late --chunk-tokens 64"),
    ("alone", "none 64, titles", "--chunking none --chunk-tokens 64 --context-title"),
)


@dataclass(frozen=True)
class Collection:
    """A folder in the form of `quality.py`, and where the documents stand in its texts.

    Attributes:
        folder: The folder.
        places: For each text, its documents: id, first character, one past the last.
        relevant: For each query, the documents that answer it.
        endings: For some documents, by their titles: the text, and the middle of its last sentence there.
    """

    folder: Path
    places: dict[str, list[tuple[str, int, int]]]
    relevant: dict[str, set[str]]
    endings: dict[str, tuple[str, int]]

    def shows_relevant(self, query: str, name: str, start: int, end: int) -> bool:
        """Whether most of a chunk stands in a document that answers the query."""
        middle = (start + end) // 2
        return any(
            first <= middle < past and document in self.relevant[query]
            for document, first, past in self.places[name]
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--documents", type=int)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--model", default="default")
    arguments = parser.parse_args()
    work: Path = arguments.work
    collections = make_collections(arguments.folder, work, arguments.documents)
    print(
        "| documents | cut | nDCG dense | nDCG hybrid | exact@1 | exact@5 | inside@1 | last@10 | vectors | s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for kind, name, options in ROWS:
        if arguments.only and not any(word in f"{kind} {name}" for word in arguments.only):
            continue
        cells = measure(collections[kind], work, options.split(), arguments.model)
        print("| " + " | ".join([kind, name, *cells]) + " |", flush=True)


def make_collections(folder: Path, work: Path, count: int | None) -> dict[str, Collection]:
    """Write the documents alone, joined, and joined as sections."""
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").open(encoding="utf-8")]
    grades = relevance(folder)
    relevant = {query: set(own) for query, own in grades.items()}
    wanted = set().union(*relevant.values())
    rows = sorted(rows, key=lambda row: row["_id"] not in wanted)[:count]
    random.Random(1).shuffle(rows)
    groups = [rows[start : start + TOGETHER] for start in range(0, len(rows), TOGETHER)]
    found = {}
    for kind, texts_of in (
        ("alone", [[row] for row in rows]),
        ("joined", groups),
        ("bare", groups),
        ("sections", groups),
    ):
        own = work / kind
        endings: dict[str, tuple[str, int]] = {}
        own.mkdir(parents=True, exist_ok=True)
        places: dict[str, list[tuple[str, int, int]]] = {}
        with (own / "corpus.jsonl").open("w", encoding="utf-8") as stream:
            for number, group in enumerate(texts_of):
                name = group[0]["_id"] if kind == "alone" else f"joined-{number}"
                text, places[name] = joined([(row["_id"], shown(row, kind)) for row in group])
                for row, (_, start, end) in zip(group, places[name], strict=True):
                    if row["title"] and len(endings) < ENDINGS:
                        first, last = list(iter_sentences(text[start:end]))[-1]
                        endings[row["title"]] = (name, start + (first + last) // 2)
                title = {"title": group[0]["title"]} if kind == "alone" and group[0]["title"] else {}
                stream.write(json.dumps({"_id": name, "text": text, **title}) + "\n")
        (own / "queries.jsonl").write_bytes((folder / "queries.jsonl").read_bytes())
        with (own / "qrels.tsv").open("w", encoding="utf-8") as stream:
            for query, graded in grades.items():
                for name, documents in places.items():
                    grade = max(graded.get(document, 0) for document, _, _ in documents)
                    if grade:
                        stream.write(f"{query}\t{name}\t{grade}\n")
        found[kind] = Collection(own, places, relevant, endings)
    return found


def shown(row: dict[str, str], kind: str) -> str:
    """Return a document as one paragraph with its title in front, or as a section."""
    title, text = " ".join(row["title"].split()), " ".join(row["text"].split())
    if not title or kind == "bare":
        return text
    return f"# {title}\n\n{text}" if kind == "sections" else f"{title} {text}"


def joined(parts: list[tuple[str, str]]) -> tuple[str, list[tuple[str, int, int]]]:
    """Return one text of several, and where each of them stands in it."""
    text, places = "", []
    for name, part in parts:
        text += "\n\n" if text else ""
        places.append((name, len(text), len(text) + len(part)))
        text += part
    return text, places


def measure(collection: Collection, work: Path, options: list[str], model: str) -> list[str]:
    """Build an index, unless it is there, search it, and return the cells of a row."""
    name = "".join(options).replace("--", "-").strip("-")
    index = work / f"{collection.folder.name}-{name}.emb"
    seconds = index.with_suffix(".seconds")
    start = time.perf_counter()
    run("index", "build", "-i", index, collection.folder / "corpus.jsonl", *options, "-q", "-m", model)
    if not seconds.exists():
        seconds.write_text(f"{time.perf_counter() - start:.0f}")
    gains, hits = {}, {}
    asked = ("-i", index, "--by", "record")
    for mode in ("dense", "hybrid"):
        hits[mode] = hits_by_query(collection.folder, work, *asked, "--mode", mode, count=TOP_K)
        gains[mode] = 100 * statistics.fmean(ndcg(hits[mode], collection.folder).values())
    rows, vectors = exported(index, work)
    spans = {(row["id"], row["chunk"]): (row["start"], row["end"]) for row in rows}
    exact = []
    for top in (1, TOGETHER):
        right = [
            any(
                collection.shows_relevant(query, str(hit["id"]), *spans[hit["id"], hit["chunk"]])
                for hit in own[:top]
            )
            for query, own in hits["dense"].items()
        ]
        exact.append(statistics.fmean(right))
    inside = best_inside(collection, work, rows, vectors, model)
    shares = [f"{100 * share:.1f}" for share in (*exact, inside)]
    last = found_endings(collection, work, rows, vectors, model)
    return [
        *(f"{gains[mode]:.2f}" for mode in ("dense", "hybrid")),
        *shares,
        "" if last is None else f"{100 * last:.1f}",
        str(len(rows)),
        seconds.read_text(),
    ]


def exported(index: Path, work: Path) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Return the chunks of an index and their vectors, shape (chunks, dim), unit length."""
    run("index", "export", "-i", index, "-o", work / "exported", "-q")
    rows = [json.loads(line) for line in (work / "exported.jsonl").open(encoding="utf-8")]
    vectors = np.load(work / "exported.npy").astype(np.float32)
    return rows, vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def best_inside(
    collection: Collection, work: Path, rows: list[dict[str, Any]], vectors: np.ndarray, model: str
) -> float:
    """Return how often the best chunk within a right document stands where the answer is."""
    asked = [json.loads(line) for line in (work / "asked.jsonl").open(encoding="utf-8")]
    found = query_vectors([row["text"] for row in asked], work, model)
    queries = dict(zip((row["id"] for row in asked), found, strict=True))
    of_document: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        of_document.setdefault(row["id"], []).append(number)
    right = []
    for query, documents in relevance(collection.folder).items():
        for name in documents:
            own = of_document[name]
            best = rows[own[int(np.argmax(vectors[own] @ queries[query]))]]
            right.append(collection.shows_relevant(query, name, best["start"], best["end"]))
    return statistics.fmean(right)


def found_endings(
    collection: Collection, work: Path, rows: list[dict[str, Any]], vectors: np.ndarray, model: str
) -> float | None:
    """Return how often a document's last sentence is found by its title; None where there are no titles."""
    if not collection.endings:
        return None
    queries = query_vectors(list(collection.endings), work, model)
    best = np.argpartition(-(queries @ vectors.T), TOP_K, axis=1)[:, :TOP_K]
    return statistics.fmean(
        any(rows[at]["id"] == name and rows[at]["start"] <= middle < rows[at]["end"] for at in own)
        for own, (name, middle) in zip(best, collection.endings.values(), strict=True)
    )


def query_vectors(texts: list[str], work: Path, model: str) -> np.ndarray:
    """Return the vectors of queries, shape (n, dim)."""
    (work / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    run("embed", work / "texts.jsonl", "--role", "query", "-q", "-o", work / "texts.npy", "-m", model)
    return np.load(work / "texts.npy")


if __name__ == "__main__":
    main()
