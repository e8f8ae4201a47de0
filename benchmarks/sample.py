"""What `sample` finds where it is known what there is to find.

    python benchmarks/sample.py banking77/ agnews/ [--model default static] [--rows 0]

`banking77` is a folder with `train.csv` and `test.csv` (`text`, `category`), `agnews` one with `test.csv` (class,
title, description). All of it by the functions that the command calls, with the vectors that it would make.

- `--diverse 40` over 20 categories of unequal sizes (from 100 texts down to 10, each 15 % smaller than the one
  before, and in turn 10 to 120 at random): how many of the 20 are among the 40, for 20 draws. Once with 20 categories
  that are different topics (their mean vectors taken farthest first), once with any 20. Beside it, what each part of
  the method is worth: no mean taken away, no row moved, the farthest row itself, none (plain k-center), as well as `--representative 40`
  and 40 at random. Then the same with 30 titles of AG News among the texts: how many of the 40 are such strangers.
- `--outliers`: titles of AG News among 3,080 questions to a bank; the chance that a stranger ranks before a question.
- `--novel`: the past are the training questions without 10 categories; how many test questions are called new, of the
  categories that are there, of those that are not, and of AG News.
- `--like`: examples of some categories; the share of what is chosen that is of them, for the nearest example and for
  the mean of the examples.
- `--hard-negatives`: pairs of questions of one category, one in ten positives hidden among the texts; how many hidden
  ones are suspected, with and without a guide, and how many of the ten nearest texts of other categories are.
- with `--rows N`: seconds and memory for N random vectors around 1,000 centres.
"""

from __future__ import annotations

import argparse
import csv
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embedcli.datatypes import Counts, Record
from embedcli.encode.catalog import EncoderSettings, find_model
from embedcli.tasks.hard_negatives import Mine, MiningSettings
from embedcli.tasks.novel import NEW_RATIO, find_novel
from embedcli.tasks.remember import MemorySettings, open_memory
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from embedcli.vectors.facility import representatives
from embedcli.vectors.k_center import NEIGHBOR_WEIGHT, NEIGHBORS, settle, spread_out
from embedcli.vectors.normalize import normalize
from embedcli.vectors.outliers import NEIGHBORS as OUTLIER_NEIGHBORS
from embedcli.vectors.outliers import outliers
from embedcli.vectors.set_query import SetQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Vectors = np.ndarray
    Labels = np.ndarray

DRAWS = 20
TOPICS = 20
CHOSEN = 40
STRANGERS = 30
JOBS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("banking", type=Path)
    parser.add_argument("agnews", type=Path)
    parser.add_argument("--model", nargs="+", default=["default", "static"])
    parser.add_argument("--rows", type=int, default=0)
    arguments = parser.parse_args()
    train, test = (read_banking(arguments.banking / f"{part}.csv") for part in ("train", "test"))
    with (arguments.agnews / "test.csv").open(encoding="utf-8", newline="") as stream:
        titles = [row[1] for row in csv.reader(stream)]
    for name in arguments.model:
        vectorizer = Vectorizer(
            find_model(name, ()), EncoderSettings(), VectorSettings(normalize=True), Counts()
        )
        print(f"\n{vectorizer.model.manifest.name}")
        learnt, asked, news = (encode(vectorizer, texts) for texts in (train[0], test[0], titles))
        labels, asked_labels = np.array(train[1]), np.array(test[1])
        diverse(learnt, labels, news)
        far_out(asked, news)
        novel(vectorizer, learnt, labels, asked, asked_labels, news)
        like(learnt, labels, asked, asked_labels)
        for positives in (1, 9):
            hard_negatives(vectorizer, test[0], asked_labels, positives)
        vectorizer.close()
    if arguments.rows:
        scale(arguments.rows)


def read_banking(path: Path) -> tuple[list[str], list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [row["text"] for row in rows], [row["category"] for row in rows]


def encode(vectorizer: Vectorizer, texts: list[str]) -> Vectors:
    return np.concatenate(
        [vectorizer.text_vectors(texts[start : start + 256]) for start in range(0, len(texts), 256)]
    )


def at_random(rng: np.random.Generator, rows: int) -> list[int]:
    return rng.permutation(rows)[:CHOSEN].tolist()


def planted(vectors: Vectors, labels: Labels, *, different: bool) -> Iterator[tuple[Vectors, Labels]]:
    """Yield texts of 20 categories in unequal sizes."""
    names = np.unique(labels)
    means = normalize(np.stack([vectors[labels == name].mean(axis=0) for name in names]))
    apart = names[spread_out(means, TOPICS, inward=1)]
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        chosen = rng.permutation(apart if different else rng.permutation(names)[:TOPICS])
        sizes = (
            np.maximum(10, 100 * 0.85 ** np.arange(TOPICS)).astype(int)
            if draw % 2
            else rng.integers(10, 121, TOPICS)
        )
        rows = np.concatenate(
            [
                rng.permutation(np.flatnonzero(labels == name))[:size]
                for name, size in zip(chosen, sizes, strict=True)
            ]
        )
        yield vectors[rows], labels[rows]


def ways(rng: np.random.Generator) -> dict[str, Callable[[Vectors], list[int]]]:
    def settled(vectors: Vectors, neighbors: int) -> list[int]:
        return spread_out(settle(vectors, neighbors, jobs=JOBS), CHOSEN)

    def moved_alone(vectors: Vectors) -> list[int]:
        near = vectors @ vectors.T
        np.fill_diagonal(near, -2)
        nearest = np.argsort(-near, axis=1)[:, :NEIGHBORS]
        moved = vectors + NEIGHBOR_WEIGHT * vectors[nearest].sum(axis=1)
        return spread_out(normalize(moved), CHOSEN)

    return {
        "--diverse": lambda vectors: settled(vectors, NEIGHBORS),
        "no row moved": lambda vectors: settled(vectors, 0),
        "no mean taken away": moved_alone,
        "the farthest itself": lambda vectors: spread_out(
            settle(vectors, NEIGHBORS, jobs=JOBS), CHOSEN, inward=1
        ),
        "none of the three": lambda vectors: spread_out(vectors, CHOSEN, inward=1),
        "--representative": lambda vectors: [
            each.row
            for each in representatives(vectors, np.ones(len(vectors), dtype=np.float32), CHOSEN, jobs=JOBS)
        ],
        "--random": lambda vectors: at_random(rng, len(vectors)),
    }


def diverse(vectors: Vectors, labels: Labels, news: Vectors) -> None:
    for different in (True, False):
        covered: dict[str, list[int]] = {}
        for rows, own in planted(vectors, labels, different=different):
            for name, way in ways(np.random.default_rng(len(rows))).items():
                covered.setdefault(name, []).append(len(set(own[way(rows)])))
        print(f"{CHOSEN} of {TOPICS} {'different' if different else 'random'} categories, {DRAWS} draws:")
        for name, found in covered.items():
            print(
                f"  {name:20} {np.mean(found):5.2f} covered, all in {found.count(TOPICS)}, least {min(found)}"
            )
    taken: dict[str, list[tuple[int, int]]] = {}
    for draw, (rows, own) in enumerate(planted(vectors, labels, different=True)):
        among = np.concatenate([rows, news[np.random.default_rng(draw).permutation(len(news))[:STRANGERS]]])
        marks = np.concatenate([own, np.full(STRANGERS, "")])
        for name, way in ways(np.random.default_rng(draw)).items():
            found = marks[way(among)]
            taken.setdefault(name, []).append(((found == "").sum(), len(set(found) - {""})))
    print(f"the same with {STRANGERS} strangers:")
    for name, pairs in taken.items():
        strangers, topics = np.mean(pairs, axis=0)
        print(f"  {name:20} {strangers:5.2f} strangers, {topics:5.2f} covered")


def auc(strangers: Vectors, others: Vectors) -> float:
    """The chance that a stranger has the lower score."""
    lower = strangers[:, None] < others
    return float((lower + 0.5 * (strangers[:, None] == others)).mean())


def far_out(asked: Vectors, news: Vectors) -> None:
    for count in (30, 300):
        rows = np.concatenate([asked, news[np.random.default_rng(count).permutation(len(news))[:count]]])
        found = []
        for neighbors in (1, OUTLIER_NEIGHBORS, 20):
            scores = np.empty(len(rows))
            for each in outliers(rows, len(rows), neighbors=neighbors, jobs=JOBS):
                scores[each.row] = each.cosine
            found.append(f"{neighbors}: {auc(scores[len(asked) :], scores[: len(asked)]):.4f}")
        print(
            f"outliers, {count} strangers among {len(asked)}: AUC by nearest row that counts, {', '.join(found)}"
        )


def novel(
    vectorizer: Vectorizer,
    learnt: Vectors,
    labels: Labels,
    asked: Vectors,
    asked_labels: Labels,
    news: Vectors,
) -> None:
    import tempfile

    hidden = np.random.default_rng(0).permutation(np.unique(labels))[:10]
    there = np.flatnonzero(~np.isin(labels, hidden))
    is_new = np.isin(asked_labels, hidden)
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "past.emb"
        with open_memory(index, vectorizer, MemorySettings(update=True)) as memory:
            memory.add([Record(str(row), str(row)) for row in there.tolist()], learnt[there])
            memory.commit()
        with open_memory(index, vectorizer) as memory:
            for ratio in (NEW_RATIO, 0.05):
                shares = []
                for rows in (asked[~is_new], asked[is_new], news[:1000]):
                    found = find_novel(rows, memory, new_ratio=ratio, jobs=JOBS)
                    shares.append(f"{len(found.unlike) / len(rows):.1%}")
                print(
                    f"novel, auto:{ratio}: bound {found.bound:.4f}; new: {shares[0]} of known categories,"
                    f" {shares[1]} of hidden ones, {shares[2]} of AG News"
                )
    near = asked[is_new] @ learnt[there].T
    print(
        "novel, hidden against known categories: AUC"
        f" {auc(near.max(axis=1), (asked[~is_new] @ learnt[there].T).max(axis=1)):.3f}"
    )


def like(learnt: Vectors, labels: Labels, asked: Vectors, asked_labels: Labels) -> None:
    for groups in (1, 4):
        for examples in (5, 20):
            shares = {"nearest": [], "mean": []}
            for draw in range(DRAWS):
                rng = np.random.default_rng(draw)
                names = rng.permutation(np.unique(labels))[:groups]
                given = np.concatenate(
                    [learnt[rng.permutation(np.flatnonzero(labels == name))[:examples]] for name in names]
                )
                for name, vectors in (("nearest", given), ("mean", given.mean(axis=0, keepdims=True))):
                    query = SetQuery(tuple(vectors))
                    scores = query.scores(query.cosines(asked))
                    best = np.argsort(-scores, kind="stable")[: CHOSEN * groups]
                    shares[name].append(np.isin(asked_labels[best], names).mean())
            print(
                f"like {examples} examples of each of {groups} categories, {CHOSEN * groups} chosen: right:"
                f" nearest example {np.mean(shares['nearest']):.1%}, mean {np.mean(shares['mean']):.1%}"
            )


def hard_negatives(vectorizer: Vectorizer, texts: list[str], labels: Labels, positives: int) -> None:
    """Each category gives a query, some positives, and one that nobody labelled."""
    queries = vectorizer.with_settings(VectorSettings("query", normalize=True))
    found: dict[str, list[float]] = {}
    wrongly: dict[str, list[float]] = {}
    for draw in range(8 if positives == 1 else 2):
        rng = np.random.default_rng(draw)
        pairs, hidden, kind = [], {}, {}
        for name in np.unique(labels):
            rows = rng.permutation(np.flatnonzero(labels == name))[: positives + 2].tolist()
            query, *rest = (texts[row] for row in rows)
            hidden[query] = rest[-1]
            kind |= dict.fromkeys((query, *rest), name)
            pairs += [Record("", query, fields={"query": query, "positive": text}) for text in rest[:-1]]
        for margin in (0.0, 0.05, 0.1, 0.2, None):
            settings = MiningSettings(count=40, guided=margin is not None, margin=margin or 0.0, jobs=JOBS)
            mine = Mine(settings)
            mine.add_pairs(pairs, Counts(), print)
            mine.add_texts([Record("", text) for text in hidden.values()])
            for each in mine.mine(queries, vectorizer):
                suspected = {text for text, _ in each.suspected}
                nearest = sorted([*each.negatives, *each.suspected], key=lambda one: -one.score)
                others = [one.text for one in nearest if kind[one.text] != kind[each.query]][:10]
                key = "no guide" if margin is None else f"margin {margin}"
                if hidden[each.query] in {one.text for one in nearest}:
                    found.setdefault(key, []).append(hidden[each.query] in suspected)
                wrongly.setdefault(key, []).append(np.mean([text in suspected for text in others]))
            mine.close()
    print(f"hard negatives, {positives} labelled positives a query and one hidden:")
    for key, each in found.items():
        print(
            f"  {key:12} hidden ones suspected {np.mean(each):.1%}; of the 10 nearest others {np.mean(wrongly[key]):.1%}"
        )


def scale(rows: int) -> None:
    rng = np.random.default_rng(0)
    centres = normalize(rng.standard_normal((1000, 384)).astype(np.float32))
    vectors = np.empty((rows, 384), dtype=np.float32)
    for start in range(0, rows, 8192):
        part = vectors[start : start + 8192]
        part[:] = normalize(
            centres[rng.integers(0, 1000, len(part))]
            + 0.05 * rng.standard_normal(part.shape).astype(np.float32)
        )
    weights = np.ones(rows, dtype=np.float32)
    print(f"\n{rows} vectors of 384 numbers, {JOBS} threads")
    for name, work in (
        ("--diverse 40", lambda: spread_out(settle(vectors, NEIGHBORS, jobs=JOBS), 40, jobs=JOBS)),
        ("--representative 40", lambda: representatives(vectors, weights, 40, jobs=JOBS)),
        ("--outliers 40", lambda: outliers(vectors, 40, jobs=JOBS)),
    ):
        start = time.perf_counter()
        work()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(f"  {name:20} {time.perf_counter() - start:6.1f} s, peak so far {peak} MiB")


if __name__ == "__main__":
    main()
