"""How well `--chunking semantic` finds where one text ends and another one begins.

    python benchmarks/segment.py scifact/corpus.jsonl packages/corpus.jsonl [--penalties 1.0 1.3 1.6]

Texts of a collection (JSONL with `text`; those with three sentences or more) are joined, 2, 5 and 20 at a time, in a shuffled
order and without a mark between them. F1 of the places that the cuts are at against those where a text ends, exactly and
within one sentence; beside it how often a text that stands alone is cut. The rules beside it: TextTiling (Hearst 1997) over
the same vectors, windows of three sentences, a cut where the depth is more than a standard deviation above the mean; and as
many cuts as there are, evenly spread. Half of the texts of each collection are for choosing the penalty (`--half first`),
the figures of the documentation are of the other.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embedcli.datatypes import Counts
from embedcli.encode.catalog import EncoderSettings, find_model
from embedcli.records.sentences import iter_sentences
from embedcli.tasks.topic_cuts import MAX_SENTENCES, PENALTY
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from embedcli.vectors.change_points import change_points
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Vectors = np.ndarray
    Cuts = set[int]

TEXTS = 1000
JOINED = (2, 5, 20)
WINDOW = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="+")
    parser.add_argument("--model", nargs="+", default=["default", "static"])
    parser.add_argument("--penalties", type=float, nargs="+", default=[PENALTY])
    parser.add_argument("--half", choices=["first", "second"], default="second")
    arguments = parser.parse_args()
    print("collection encoder rule | joined: F1 exact, within one sentence | cuts in one text alone")
    for corpus in arguments.corpus:
        texts = read_texts(corpus, arguments.half)
        for name in arguments.model:
            vectorizer = Vectorizer(
                find_model(name, ()), EncoderSettings(), VectorSettings(normalize=True), Counts()
            )
            vectors = [vectorizer.text_vectors(text) for text in texts]
            unit = vectorizer.topic_cuts.penalty / PENALTY
            rules: dict[str, Callable[[Vectors, Cuts], Cuts]] = {
                f"semantic, {penalty:g}": by_penalty(penalty * unit) for penalty in arguments.penalties
            }
            rules |= {"TextTiling": lambda rows, _gold: tiling(rows), "even": even}
            for rule, cut in rules.items():
                print(f"{corpus.parent.name} {name} {rule}", *figures(vectors, cut), sep=" | ")


def read_texts(corpus: Path, half: str) -> list[list[str]]:
    """Return the sentences of each text of one half of a collection."""
    rows = [json.loads(line) for line in corpus.read_text(encoding="utf-8").splitlines()]
    random.Random(1).shuffle(rows)
    texts = []
    for row in rows[: len(rows) // 2] if half == "first" else rows[len(rows) // 2 :]:
        text = row["text"]
        sentences = [text[start:end].strip() for start, end in iter_sentences(text)]
        sentences = [sentence for sentence in sentences if sentence]
        if len(sentences) >= 3:
            texts.append(sentences)
    return texts[:TEXTS]


def figures(vectors: list[Vectors], cut: Callable[[Vectors, Cuts], Cuts]) -> Iterator[str]:
    """Yield what is printed of a rule."""
    for number in JOINED:
        found = []
        for first in range(0, len(vectors) - number + 1, number):
            part = vectors[first : first + number]
            gold = set(np.cumsum([len(each) for each in part])[:-1].tolist())
            found.append((cut(np.concatenate(part), gold), gold))
        yield f"{number}: {f1(found, 0):.3f}, {f1(found, 1):.3f}"
    yield f"{np.mean([len(cut(each, set())) for each in vectors]):.3f}"


def f1(found: list[tuple[Cuts, Cuts]], within: int) -> float:
    right = sum(any(abs(cut - end) <= within for end in gold) for cuts, gold in found for cut in cuts)
    met = sum(any(abs(cut - end) <= within for cut in cuts) for cuts, gold in found for end in gold)
    precision = right / max(1, sum(len(cuts) for cuts, _ in found))
    recall = met / max(1, sum(len(gold) for _, gold in found))
    return 2 * precision * recall / max(1e-9, precision + recall)


def by_penalty(penalty: float) -> Callable[[Vectors, Cuts], Cuts]:
    return lambda rows, _gold: set(change_points(rows, [1] * len(rows), MAX_SENTENCES, penalty)[1:])


def tiling(rows: Vectors) -> Cuts:
    """Return the cuts of TextTiling, with vectors of sentences in place of counts of words."""
    ends = range(1, len(rows))
    before = normalize(np.stack([rows[max(0, end - WINDOW) : end].mean(axis=0) for end in ends]))
    after = normalize(np.stack([rows[end : end + WINDOW].mean(axis=0) for end in ends]))
    near = np.einsum("ij,ij->i", before, after)
    depths = np.array([peak(near, at, -1) + peak(near, at, 1) - 2 * near[at] for at in range(len(near))])
    bound = depths.mean() + depths.std()
    return {
        at + 1
        for at, depth in enumerate(depths)
        if depth > bound and depth == depths[max(0, at - 1) : at + 2].max()
    }


def peak(near: np.ndarray, at: int, step: int) -> float:
    while 0 <= at + step < len(near) and near[at + step] >= near[at]:
        at += step
    return float(near[at])


def even(rows: Vectors, gold: Cuts) -> Cuts:
    return {round(len(rows) * number / (len(gold) + 1)) for number in range(1, len(gold) + 1)}


if __name__ == "__main__":
    main()
