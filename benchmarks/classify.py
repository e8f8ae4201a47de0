"""How often `classify` is right: by names, by few examples, by heads, where it may abstain, and on a planted tree.

    python benchmarks/classify.py banking77/ agnews/ [--model default static] [--seeds 3]

`banking77` is a folder with `train.csv` and `test.csv` (`text`, `category`), `agnews` one with `test.csv` (class,
title, description) and `classes.txt`. Everything by the functions that the command calls. Means over seeds, with the
standard deviation.

- Names: cosine to the label's name; with templates; with hub correction, where all labels are equally frequent and
  where they are not (each label 10 % rarer than the one before; of AG News 60 %).
- Examples: 1 to 16 for each label, for Banking77 from its training set, for AG News from one half, asked about the other:
  class means, neighbours and logistic regression, with and without the names, and what `auto` takes. Beside it logistic
  regression on TF-IDF of words and pairs of words (scikit-learn).
- Abstaining: target, share answered, share right of what is answered.
- A tree: three branches with three leaves each, vectors made up. Examples are of leaves; half of what is asked belongs to a
  branch, which has none.
"""

from __future__ import annotations

import argparse
import csv
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from embedcli.datatypes import Counts, Record
from embedcli.encode.catalog import EncoderSettings, find_model
from embedcli.tasks.classify import Classifier
from embedcli.tasks.label_set import label_vectors, name_labels
from embedcli.tasks.labelled import Labelled
from embedcli.tasks.taxonomy import read_taxonomy
from embedcli.tasks.train import TrainSettings, train
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from embedcli.vectors.abstain import choose_margin
from embedcli.vectors.fit_heads import Examples, Fit, fit
from embedcli.vectors.heads import DirectionHead, margins
from embedcli.vectors.hubs import hub_penalties
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from embedcli.vectors.heads import Head

SHOTS = (1, 2, 4, 8, 16)
TARGETS = (0.85, 0.9, 0.95, 0.98)
TEMPLATES = (None, "This text is about {}", "This text is about {}.", "A question about {}")
NOISE = 0.6


class Texts(NamedTuple):
    """Texts, their vectors and the place of each one's label."""

    texts: list[str]
    vectors: np.ndarray
    labels: np.ndarray

    def some(self, rows: np.ndarray) -> Texts:
        """Return those in some rows."""
        return Texts([self.texts[row] for row in rows], self.vectors[rows], self.labels[rows])


class Task(NamedTuple):
    """A set to measure on: `test` is empty where both come from `train`, a half each."""

    name: str
    names: tuple[str, ...]
    train: Texts
    test: Texts | None
    skew: float


def main() -> None:
    # Labels with one example are what is asked about.
    warnings.simplefilter("ignore", UserWarning)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("banking", type=Path)
    parser.add_argument("agnews", type=Path)
    parser.add_argument("--model", nargs="+", default=["default", "static"])
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    for name in arguments.model:
        vectorizer = Vectorizer(
            find_model(None if name == "default" else name, ()),
            EncoderSettings(),
            VectorSettings(normalize=True),
            Counts(),
        )
        tasks = (read_banking(arguments.banking, vectorizer), read_news(arguments.agnews, vectorizer))
        print(f"\n# {vectorizer.model.manifest.name}")
        for task in tasks:
            by_name(task, vectorizer, arguments.seeds)
            by_examples(task, vectorizer, arguments.seeds)
        abstaining(tasks[0], vectorizer, arguments.seeds)
        vectorizer.close()
    tree(arguments.seeds)


def read_banking(folder: Path, vectorizer: Vectorizer) -> Task:
    parts = []
    for part in ("train", "test"):
        with (folder / f"{part}.csv").open(encoding="utf-8", newline="") as stream:
            parts.append([(row["text"], row["category"]) for row in csv.DictReader(stream)])
    names = tuple(sorted({label for _, label in parts[1]}))
    train, test = (encoded(part, names, vectorizer) for part in parts)
    return Task("Banking77", names, train, test, 0.9)


def read_news(folder: Path, vectorizer: Vectorizer) -> Task:
    names = tuple((folder / "classes.txt").read_text(encoding="utf-8").split())
    with (folder / "test.csv").open(encoding="utf-8", newline="") as stream:
        rows = [(f"{row[1]} {row[2]}", names[int(row[0]) - 1]) for row in csv.reader(stream)]
    return Task("AG News", names, encoded(rows, names, vectorizer), None, 0.4)


def encoded(rows: list[tuple[str, str]], names: tuple[str, ...], vectorizer: Vectorizer) -> Texts:
    texts = [text for text, _ in rows]
    parts = [vectorizer.text_vectors(texts[start : start + 256]) for start in range(0, len(texts), 256)]
    return Texts(texts, np.concatenate(parts), np.array([names.index(label) for _, label in rows]))


def split(task: Task, seed: int) -> tuple[Texts, Texts]:
    """Return what examples are drawn from, and what is asked."""
    if task.test is not None:
        return task.train, task.test
    order = np.random.default_rng(seed).permutation(len(task.train.labels))
    half = len(order) // 2
    return task.train.some(order[:half]), task.train.some(order[half:])


def drawn(texts: Texts, labels: int, shots: int, seed: int) -> Texts:
    rng = np.random.default_rng(seed)
    own = [rng.permutation(np.flatnonzero(texts.labels == label))[:shots] for label in range(labels)]
    return texts.some(np.concatenate(own))


def accuracy(head: Head, asked: Texts, penalties: np.ndarray | None = None) -> float:
    scores = Classifier([str(x) for x in range(head.labels)], head, penalties=penalties).scores(asked.vectors)
    return float((scores.argmax(axis=1) == asked.labels).mean())


def said(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def by_name(task: Task, vectorizer: Vectorizer, seeds: int) -> None:
    whole = task.test or task.train
    print(f"\n{task.name}, by names\n")
    print("| | accuracy |\n|---|---|")
    for template in TEMPLATES:
        head = DirectionHead(label_vectors(name_labels(task.names, template), vectorizer))
        print(f"| {template or 'the name alone'} | {accuracy(head, whole):.4f} |")
    head = DirectionHead(label_vectors(name_labels(task.names), vectorizer))
    print(f"| `--hub-correct` | {accuracy(head, whole, hub_penalties(head.directions, whole.vectors)):.4f} |")
    plain, corrected = [], []
    for asked in skewed(task, whole, seeds):
        plain.append(accuracy(head, asked))
        corrected.append(accuracy(head, asked, hub_penalties(head.directions, asked.vectors)))
    print(f"| unequally frequent, the name alone | {said(plain)} |")
    print(f"| unequally frequent, `--hub-correct` | {said(corrected)} |")


def skewed(task: Task, whole: Texts, seeds: int) -> Iterator[Texts]:
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        shares = rng.permutation(task.skew ** np.arange(len(task.names)))
        rows = [rng.permutation(np.flatnonzero(whole.labels == label)) for label in range(len(task.names))]
        kept = [own[: max(1, int(share * len(own)))] for own, share in zip(rows, shares, strict=True)]
        yield whole.some(np.concatenate(kept))


def by_examples(task: Task, vectorizer: Vectorizer, seeds: int) -> None:
    names = label_vectors(name_labels(task.names), vectorizer)
    labels = len(task.names)
    rows: dict[str, list[str]] = {}
    for shots in SHOTS:
        found: dict[str, list[float]] = {}
        for seed in range(seeds):
            pool, asked = split(task, seed)
            own = drawn(pool, labels, shots, seed)
            for way, right in ways(own, asked, names):
                found.setdefault(way, []).append(right)
        for way, values in found.items():
            rows.setdefault(way, []).append(said(values))
    print(f"\n{task.name}, by examples\n")
    print("| examples a label | " + " | ".join(map(str, SHOTS)) + " |\n" + "|---" * (len(SHOTS) + 1) + "|")
    for way, cells in rows.items():
        print(f"| {way} | " + " | ".join(cells) + " |")


def ways(own: Texts, asked: Texts, names: np.ndarray) -> Iterator[tuple[str, float]]:
    targets = np.eye(len(names), dtype=bool)[own.labels]
    bare, named = Examples(own.vectors, targets), Examples(own.vectors, targets, names)
    yield "`mean`, without names", accuracy(fit(bare, Fit("mean")), asked)
    yield "`mean`", accuracy(fit(named, Fit("mean")), asked)
    yield "`knn`", accuracy(fit(bare, Fit("knn")), asked)
    yield "`logistic` with C = 10, without names", accuracy(fit(bare, Fit("logistic")), asked)
    labelled = Labelled(tuple(map(str, range(len(names)))), own.vectors, targets, 0)
    yield "`logistic`", accuracy(train(labelled, names, TrainSettings("logistic")).head, asked)
    yield "`auto`", accuracy(train(labelled, names, TrainSettings()).head, asked)
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(own.texts)
    model = LogisticRegression(C=10, max_iter=1000).fit(words.transform(own.texts), own.labels)
    yield (
        "TF-IDF and logistic regression",
        float((model.predict(words.transform(asked.texts)) == asked.labels).mean()),
    )


def abstaining(task: Task, vectorizer: Vectorizer, seeds: int) -> None:
    names = label_vectors(name_labels(task.names), vectorizer)
    print(f"\n{task.name}, `--abstain`\n")
    print("| examples a label | target | answered | right, of these | expected |\n|---|---|---|---|---|")
    for shots in (4, 16):
        found: dict[float, list[tuple[float, float, float]]] = {}
        for seed in range(seeds):
            pool, asked = split(task, seed)
            own = drawn(pool, len(names), shots, seed)
            targets = np.eye(len(names), dtype=bool)[own.labels]
            labelled = Labelled(tuple(map(str, range(len(names)))), own.vectors, targets, 0)
            trained = train(labelled, names, TrainSettings())
            assert trained.held_out is not None
            scores = trained.head.scores(asked.vectors)
            right, ahead = scores.argmax(axis=1) == asked.labels, margins(scores)
            found.setdefault(0.0, []).append((1.0, float(right.mean()), trained.held_out.accuracy))
            for target in TARGETS:
                bar = choose_margin(trained.held_out.margins, trained.held_out.right, target)
                kept = ahead >= bar.value
                found.setdefault(target, []).append(
                    (float(kept.mean()), float(right[kept].mean()), bar.accuracy)
                )
        for target, values in found.items():
            answered, right_of, expected = (said(list(column)) for column in zip(*values, strict=True))
            print(f"| {shots} | {target or 'none'} | {answered} | {right_of} | {expected} |")


def tree(seeds: int) -> None:
    """Ask about leaves and branches where only leaves have examples."""
    leaves = [f"{branch}{leaf}" for branch in "abc" for leaf in "123"]
    lines = [f"root\t{branch}" for branch in "abc"] + [f"{leaf[0]}\t{leaf}" for leaf in leaves]
    taxonomy = read_taxonomy(
        [Record(str(place), line, line=place) for place, line in enumerate(lines, 1)], leaves
    )
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        parts = {name: rng.standard_normal(64) / 8 for name in [*"abc", *leaves]}
        places = {leaf: parts[leaf[0]] + parts[leaf] for leaf in leaves}
        places |= {branch: sum(places[leaf] for leaf in leaves if leaf[0] == branch) / 3 for branch in "abc"}

        def around(
            name: str, count: int, rng: np.random.Generator = rng, places: dict = places
        ) -> np.ndarray:
            return places[name] + NOISE * rng.standard_normal((count, 64)) / 8

        own = normalize(np.concatenate([around(leaf, 8) for leaf in leaves]).astype(np.float32))
        targets = np.eye(len(leaves), dtype=bool)[np.repeat(np.arange(len(leaves)), 8)]
        trained = train(Labelled(tuple(leaves), own, targets, 0), None, TrainSettings())
        for way, tree_ in (("the best score", None), ("`--taxonomy`", taxonomy)):
            classifier = Classifier(leaves, trained.head, taxonomy=tree_)
            right = []
            for asked in (leaves, list("abc")):
                vectors = normalize(np.concatenate([around(name, 50) for name in asked]).astype(np.float32))
                given = [each.label for each in classifier.answers(vectors)]
                right.append(np.mean([a == b for a, b in zip(given, np.repeat(asked, 50), strict=True)]))
            found.setdefault(way, []).append((float(right[0]), float(right[1])))
    print(
        "\nA planted tree\n\n| | records of leaves, right | records of branches, which have no examples |\n|---|---|---|"
    )
    for way, values in found.items():
        print(f"| {way} | " + " | ".join(said(list(column)) for column in zip(*values, strict=True)) + " |")


if __name__ == "__main__":
    main()
