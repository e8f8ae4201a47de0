"""What `search --min-score auto` keeps and what it turns away.

    python benchmarks/min_score.py scifact/ packages/ agnews/ --unanswerable banking77/test.csv [--keep indexes/]

A collection is a folder with `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` and `qrels.tsv`
(`benchmarks/packages.py` makes one), or with `test.csv` (class, title, description): titles ask for their own
descriptions. Each is asked its own questions, those of the other collections, and the first column of
`--unanswerable`; what is not its own counts as unanswerable. Vectors alone, everything else default.

Prints, by the share of unrelated questions that may find something (5 % is what `auto` takes):
the bound; the share of unanswerable questions that find nothing; of the right documents among the first 10, the
share that stays. Then the same for the first 10, 100 and 1,000 documents (unanswerable questions alone), and how
well the nearest row tells answerable from unanswerable questions, as it is, and in standard deviations above the
mean of the question's own cosines: the chance that an answerable question has the higher value.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedcli.datatypes import Counts
from embedcli.encode.catalog import EncoderSettings, find_model
from embedcli.index.file import open_for_reading
from embedcli.tasks.background import UNRELATED_RATIO, bound_of_indexes, probe_vectors
from embedcli.tasks.open_index import IndexSettings, OpenIndex
from embedcli.tasks.vectorize import Vectorizer, VectorSettings

RATIOS = (0.2, 0.1, UNRELATED_RATIO, 0.02, 0.01)
SIZES = (10, 100, 1_000)
QUESTIONS = 600
"""Of a collection whose titles ask, so many do."""


class Collection(NamedTuple):
    """Documents (id, text), questions, and the ids of the documents that answer each."""

    documents: list[tuple[str, str]]
    questions: list[str]
    right: list[set[str]]


class Found(NamedTuple):
    """Of each question, the cosines of the first hits, and of those among them that are right."""

    nearest: list[list[float]]
    right: list[list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("collections", type=Path, nargs="+")
    parser.add_argument("--unanswerable", type=Path, nargs="*", default=[])
    parser.add_argument("--model", default="default")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    collections = {path.resolve().name: read(path) for path in arguments.collections}
    others = {path.resolve().parent.name: first_column(path) for path in arguments.unanswerable}
    asked = {name: own.questions for name, own in collections.items()} | others
    vectorizer = Vectorizer(find_model(arguments.model), EncoderSettings(), VectorSettings("query"), Counts())
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        indexes = arguments.keep or work
        indexes.mkdir(parents=True, exist_ok=True)
        for name, own in collections.items():
            index = build(own.documents, indexes / f"{name}.emb", arguments.model)
            found = {other: search(questions, index, work, own) for other, questions in asked.items()}
            print(f"{name}: {len(own.documents)} documents, {len(own.questions)} questions of its own")
            report(name, found, index, vectorizer)
            for size in SIZES:
                few = build(own.documents[:size], indexes / f"{name}-{size}.emb", arguments.model)
                away = {other: search(asked[other], few, work, own) for other in asked if other != name}
                bound = bounds(few, vectorizer)[UNRELATED_RATIO]
                shares = "  ".join(f"{other} {nothing(own, bound):.1%}" for other, own in away.items())
                print(f"  of {size} documents, bound {bound:.2f}, nothing found: {shares}")
            tell_apart(name, found, asked, index, vectorizer)
    vectorizer.close()


def read(folder: Path) -> Collection:
    """Read a collection; see the head."""
    if not (folder / "corpus.jsonl").exists():
        rows = list(csv.reader((folder / "test.csv").open(encoding="utf-8", newline="")))
        documents = [(str(number), row[2]) for number, row in enumerate(rows)]
        return Collection(
            documents, [row[1] for row in rows[:QUESTIONS]], [{str(n)} for n in range(QUESTIONS)]
        )
    right: dict[str, set[str]] = {}
    with (folder / "qrels.tsv").open(encoding="utf-8", newline="") as stream:
        for query, document, grade in csv.reader(stream, delimiter="\t"):
            if grade.isdecimal() and int(grade) > 0:
                right.setdefault(query, set()).add(document)
    corpus = map(json.loads, (folder / "corpus.jsonl").open(encoding="utf-8"))
    queries = map(json.loads, (folder / "queries.jsonl").open(encoding="utf-8"))
    questions = {row["_id"]: row["text"] for row in queries if row["_id"] in right}
    return Collection(
        [(row["_id"], f"{row['title']} {row['text']}".strip()) for row in corpus],
        list(questions.values()),
        [right[query] for query in questions],
    )


def first_column(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as stream:
        return [row[0] for row in csv.reader(stream)][1:]


def build(documents: list[tuple[str, str]], index: Path, model: str) -> Path:
    """Index documents, or find them indexed."""
    if not index.exists():
        rows = [json.dumps({"id": number, "text": text}) for number, text in documents]
        command = ("index", "build", "-", "--format", "jsonl", "-i", index, "-q", "-m", model)
        run(*command, given="\n".join(rows).encode())
    return index


def search(questions: list[str], index: Path, work: Path, own: Collection) -> Found:
    """Ask, without a bound."""
    asked = work / "asked.jsonl"
    asked.write_text("".join(json.dumps({"text": question}) + "\n" for question in questions))
    found = Found([[] for _ in questions], [[] for _ in questions])
    lines = run("search", "--queries", asked, "-i", index, "--mode", "dense", "--json").splitlines()
    for hit in map(json.loads, lines):
        place = int(hit["query"]) - 1
        found.nearest[place].append(hit["cosine"])
        if questions is own.questions and hit["id"] in own.right[place]:
            found.right[place].append(hit["cosine"])
    return found


def run(*arguments: object, given: bytes = b"") -> bytes:
    """Run the program and return what it printed; code 1 is nothing found."""
    command = [sys.executable, "-m", "embedcli", *map(str, arguments)]
    done = subprocess.run(command, input=given, check=False, stdout=subprocess.PIPE)
    if done.returncode not in (0, 1):
        sys.exit(f"failed: {arguments}")
    return done.stdout


def bounds(index: Path, vectorizer: Vectorizer) -> dict[float, float]:
    """Return the bound for each share of unrelated questions."""
    probes = probe_vectors(vectorizer)
    with open_for_reading(index) as connection:
        opened = [OpenIndex(index, connection, IndexSettings(), print)]
        return {ratio: bound_of_indexes(opened, probes, ratio) for ratio in RATIOS}


def nothing(found: Found, bound: float) -> float:
    """Return the share of questions without a hit."""
    return float(np.mean([not own or own[0] < bound for own in found.nearest]))


def report(name: str, found: dict[str, Found], index: Path, vectorizer: Vectorizer) -> None:
    """Print what each share of unrelated questions comes to."""
    right = np.array([cosine for own in found[name].right for cosine in own])
    others = [other for other in found if other != name]
    print("  share  bound  " + "".join(f"{other[:11]:>12}" for other in others) + "   right ones that stay")
    for ratio, bound in bounds(index, vectorizer).items():
        shares = "".join(f"{nothing(found[other], bound):12.1%}" for other in others)
        print(f"  {ratio:5.0%}  {bound:5.2f}  {shares}   {np.mean(right >= bound):.1%} of {len(right)}")


def tell_apart(
    name: str, found: dict[str, Found], asked: dict[str, list[str]], index: Path, vectorizer: Vectorizer
) -> None:
    """Print how well the nearest row, and its place among the question's own cosines, tell what is answerable."""
    with open_for_reading(index) as connection:
        rows, _ = OpenIndex(index, connection, IndexSettings(), print).sample(4096)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    nearest, standing = {}, {}
    for other, questions in asked.items():
        cosines = vectorizer.text_vectors(questions) @ rows.T
        nearest[other] = np.array([own[0] for own in found[other].nearest])
        standing[other] = (nearest[other] - cosines.mean(axis=1)) / cosines.std(axis=1)
    for other in asked:
        if other != name:
            values = [above(kind[name], kind[other]) for kind in (nearest, standing)]
            print(f"  against {other}: nearest {values[0]:.3f}, in its own deviations {values[1]:.3f}")


def above(answerable: np.ndarray, unanswerable: np.ndarray) -> float:
    """Return the chance that one of the first is above one of the second."""
    return float(np.mean(answerable[:, None] > unanswerable[None, :]))


if __name__ == "__main__":
    main()
