"""What `cluster --state` keeps from night to night, and what it says of clusters that did not stay.

    python benchmarks/cluster_state.py banking77/ agnews/ [--lines FILE --vectors FILE.npy]

`banking77` is a folder with `train.csv` (`text`, `category`), `agnews` one with `test.csv` (class, title,
description); `--lines` takes any text file, `--vectors` the vectors of its lines. All of it by the functions that the
command calls.

- The first night has all texts but every tenth, the second all but another tenth: nine in ten texts of each are in both.
  Printed for each method: clusters of both nights; the share of the texts in both that kept their id (noise that is noise again
  counts too), once with clusters that were only matched and once with those that the second night started from; and what the start
  costs: the mean cosine to the own centroid, and on Banking77 and AG News the V-measure against the classes, without and with it.
- Planted events, on ten classes of Banking77 that lie far from each other, k-means and communities: a class that comes, one that
  goes, two that become one cluster, one that becomes two. Printed is what was said.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.metrics import v_measure_score

from embedcli.datatypes import Counts
from embedcli.encode.catalog import EncoderSettings, find_model
from embedcli.tasks.cluster import ClusterSettings, cluster_rows
from embedcli.tasks.cluster_state import ClusterState, Origin, follow_state, start_of
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from embedcli.vectors.clusters import NOISE, group_stats
from embedcli.vectors.k_center import spread_out
from embedcli.vectors.normalize import normalize

JOBS = 2
TOPICS = 10


class Texts(NamedTuple):
    """Different texts, their vectors and, where known, their classes."""

    keys: np.ndarray
    vectors: np.ndarray
    classes: np.ndarray | None

    def take(self, rows: np.ndarray) -> Texts:
        """Return some of them."""
        return Texts(
            self.keys[rows], self.vectors[rows], None if self.classes is None else self.classes[rows]
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("banking", type=Path)
    parser.add_argument("agnews", type=Path)
    parser.add_argument("--lines", type=Path)
    parser.add_argument("--vectors", type=Path)
    arguments = parser.parse_args()
    with (arguments.banking / "train.csv").open(encoding="utf-8", newline="") as stream:
        questions = [(row["text"], row["category"]) for row in csv.DictReader(stream)]
    with (arguments.agnews / "test.csv").open(encoding="utf-8", newline="") as stream:
        news = [(f"{row[1]} {row[2]}", row[0]) for row in csv.reader(stream)]
    vectorizer = Vectorizer(
        find_model("default", ()), EncoderSettings(), VectorSettings(normalize=True), Counts()
    )
    banking, agnews = (encoded(vectorizer, rows) for rows in (questions, news))
    vectorizer.close()
    print(
        "set, method                      clusters    kept: matched  started    cosine             V-measure"
    )
    nights("Banking77", banking, 77, 0.7)
    nights("AG News", agnews, 4, 0.6)
    if arguments.lines:
        lines = arguments.lines.read_text(encoding="utf-8").splitlines()
        vectors = normalize(np.load(arguments.vectors))
        nights(arguments.lines.name, distinct(lines, vectors, None), 100, 0.7)
    planted(banking)


def encoded(vectorizer: Vectorizer, rows: list[tuple[str, str]]) -> Texts:
    texts = [text for text, _ in rows]
    parts = [vectorizer.text_vectors(texts[start : start + 256]) for start in range(0, len(texts), 256)]
    return distinct(texts, normalize(np.concatenate(parts)), np.array([each for _, each in rows]))


def distinct(texts: list[str], vectors: np.ndarray, classes: np.ndarray | None) -> Texts:
    keys = np.array(
        [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") for text in texts],
        np.uint64,
    )
    every = Texts(keys, vectors, classes)
    return every.take(np.sort(np.unique(keys, return_index=True)[1]))


class Night(NamedTuple):
    """What a run found."""

    labels: np.ndarray
    state: ClusterState
    events: list
    kept: float
    seconds: float


def night(texts: Texts, how: ClusterSettings, past: ClusterState | None, *, started: bool) -> Night:
    weights = np.ones(len(texts.keys), np.float32)
    began = time.perf_counter()
    start = start_of(past, texts.keys, how.threshold) if started else None
    found = cluster_rows(texts.vectors, weights, how, JOBS, start)
    stats = group_stats(texts.vectors, found.labels, weights)
    followed = follow_state(past, texts.keys, weights, found, stats)
    seconds = time.perf_counter() - began
    origin = Origin(None, None, None, texts.vectors.shape[1], how.method, how.count, how.threshold, how.seed)
    names = ("",) * len(stats.sizes)
    state = ClusterState(origin, followed.clusters, names, followed.next_id, found.middles)
    lineage = followed.lineage
    kept = lineage.kept / max(1, lineage.shared) if lineage else 1.0
    return Night(found.labels, state, lineage.events if lineage else [], kept, seconds)


def nights(name: str, texts: Texts, count: int, threshold: float) -> None:
    rows = np.arange(len(texts.keys))
    first, second = texts.take(rows[rows % 10 != 0]), texts.take(rows[rows % 10 != 1])
    for how in (
        ClusterSettings("kmeans", count=count),
        ClusterSettings("communities"),
        ClusterSettings("threshold", threshold=threshold),
        ClusterSettings("density"),
    ):
        old = night(first, how, None, started=False)
        matched, started = (night(second, how, old.state, started=each) for each in (False, True))
        sizes = "/".join(str(len(each.state.names)) for each in (old, matched, started))
        what = f"{name}, {how.method}{'' if how.count is None else f' -k {count}'}"
        what += "" if how.threshold is None else f" {threshold}"
        cosines = "  ".join(f"{inner_cosine(second, each):.4f}" for each in (matched, started))
        print(f"{what:<33}{sizes:<16}{matched.kept:8.1%} {started.kept:8.1%}    {cosines}     ", end="")
        if second.classes is not None:
            measures = (v_measure_score(second.classes, each.labels) for each in (matched, started))
            print("  ".join(f"{each:.3f}" for each in measures), end="")
        print(f"   {matched.seconds:.0f}/{started.seconds:.0f} s")
        sys.stdout.flush()


def inner_cosine(texts: Texts, found: Night) -> float:
    stats = group_stats(texts.vectors, found.labels, np.ones(len(found.labels), np.float32))
    return float(np.nanmean(np.where(found.labels == NOISE, np.nan, stats.scores)))


def planted(texts: Texts) -> None:
    """Print what is said of classes that come and go, and of clusters that are made one, or two."""
    assert texts.classes is not None
    names = np.unique(texts.classes)
    means = normalize(np.stack([texts.vectors[texts.classes == name].mean(axis=0) for name in names]))
    apart = names[spread_out(means, TOPICS + 1, inward=1)]
    all_but = texts.take(np.flatnonzero(np.isin(texts.classes, apart[:TOPICS])))
    for how in (ClusterSettings("kmeans", count=TOPICS), ClusterSettings("communities", resolution=0.5)):
        old = night(all_but, how, None, started=False)
        print(f"\n{how.method}: {len(old.state.names)} clusters of {TOPICS} classes")
        with_one = texts.take(np.flatnonzero(np.isin(texts.classes, apart)))
        more = None if how.count is None else how.count + 1
        say("a class comes", night(with_one, replace(how, count=more), old.state, started=True))
        without = texts.take(np.flatnonzero(np.isin(texts.classes, apart[1:TOPICS])))
        less = None if how.count is None else how.count - 1
        say("a class goes", night(without, replace(how, count=less), old.state, started=True))
        fewer = replace(how, count=less) if how.count else replace(how, resolution=0.1)
        say("as many texts, fewer clusters", night(all_but, fewer, old.state, started=True))
        finer = replace(how, count=more) if how.count else replace(how, resolution=2.0)
        say("as many texts, more clusters", night(all_but, finer, old.state, started=True))


def say(what: str, found: Night) -> None:
    print(f"  {what}: {len(found.state.names)} clusters, {found.kept:.1%} kept")
    for event in found.events:
        shares = " ".join(
            f"{other}:{share:.2f}" for other, share in zip(event.others, event.shares, strict=True)
        )
        print(f"    {event.name} {event.cluster} {shares}")


if __name__ == "__main__":
    main()
