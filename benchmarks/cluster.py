"""How good clusters are, by every method, where it is known what belongs together.

    python benchmarks/cluster.py banking77/ agnews/ [--reference FOLDER] [--model default] [--jobs 2]

`banking77` is a folder with `test.csv` (`text`, `category`; 77 intents), `agnews` one with `test.csv` (class,
title, description, joined by a space; 4 classes). V-measure and ARI are of all records, each of the noise as a cluster of its own;
`noise` is its share, `in` the V-measure of the others.

- k-means, communities (as they are, and with the right `-k`), density, stars at several thresholds.
- `--auto`: the number that it chooses, for the two sets and for planted topics (intents of Banking77 taken farthest
  first by their mean vectors, and any intents).
- seeds: the lowest V-measure, and the ARI between the runs, of five seeds on 20 planted topics.
- with `--reference`: a folder with `banking77.npy` and `agnews.npy`, vectors that another program made of the same
  texts; scikit-learn's KMeans (10 starts) on these stands beside. `--write-texts FOLDER` writes the texts for it.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, v_measure_score

from embedcli.datatypes import Counts
from embedcli.encode.catalog import EncoderSettings, find_model
from embedcli.tasks.cluster import ClusterSettings, cluster_rows
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    from embedcli.datatypes import Vectors

    Labels = np.ndarray

SEEDS = 5
THRESHOLDS = (0.5, 0.6, 0.7, 0.8)
PLANTED = (3, 5, 10, 20)
DRAWS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("banking77", type=Path)
    parser.add_argument("agnews", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--write-texts", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    typed = parser.parse_args()
    sets = {"banking77": banking(typed.banking77), "agnews": agnews(typed.agnews)}
    if typed.write_texts is not None:
        for name, (texts, _) in sets.items():
            (typed.write_texts / f"{name}.json").write_text(json.dumps(texts), encoding="utf-8")
        return
    vectorizer = Vectorizer(
        find_model(typed.model, ()),
        EncoderSettings("auto", typed.jobs),
        VectorSettings(normalize=True),
        Counts(),
    )
    vectors = {name: vectorizer.text_vectors(texts) for name, (texts, _) in sets.items()}
    vectorizer.close()
    for name, (_, known) in sets.items():
        print(f"\n{name}: {len(known)} records, {len(np.unique(known))} kinds, {typed.model}")
        methods(vectors[name], known, typed.jobs)
        if typed.reference is not None:
            reference(typed.reference / f"{name}.npy", known)
    known = sets["banking77"][1]
    auto(vectors, known, sets["agnews"][1], typed.jobs)
    seeds(vectors["banking77"], known, typed.jobs)


def banking(folder: Path) -> tuple[list[str], Labels]:
    with (folder / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], np.array([row["category"] for row in rows])


def agnews(folder: Path) -> tuple[list[str], Labels]:
    with (folder / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    return [f"{title} {description}" for _, title, description in rows], np.array([row[0] for row in rows])


def find(vectors: Vectors, settings: ClusterSettings, jobs: int) -> tuple[Labels, float, str]:
    """Return the labels, how long they took, and what the command would say."""
    start = time.perf_counter()
    found = cluster_rows(vectors, np.ones(len(vectors), dtype=np.float32), settings, jobs)
    return found.labels, time.perf_counter() - start, found.reason


def show(what: str, known: Labels, labels: Labels, seconds: float) -> None:
    noise = labels < 0
    alone = labels.copy()
    alone[noise] = labels.max() + 1 + np.arange(noise.sum())
    inside = f"{v_measure_score(known[~noise], labels[~noise]):.3f}" if not noise.all() else "-"
    print(
        f"  {what:34} clusters {labels.max() + 1:4}  noise {noise.mean():4.0%}  V {v_measure_score(known, alone):.3f}"
        f"  ARI {adjusted_rand_score(known, alone):.3f}  in {inside}  {seconds:5.1f} s",
        flush=True,
    )


def methods(vectors: Vectors, known: Labels, jobs: int) -> None:
    kinds = len(np.unique(known))
    ways = {
        f"k-means -k {kinds}": ClusterSettings("kmeans", kinds),
        "communities": ClusterSettings(),
        f"communities -k {kinds}": ClusterSettings(count=kinds),
        "density": ClusterSettings("density"),
        "density --min-size 5": ClusterSettings("density", min_size=5),
        "density --assign-noise": ClusterSettings("density", assign_noise=True),
        **{
            f"threshold {threshold}": ClusterSettings("threshold", threshold=threshold)
            for threshold in THRESHOLDS
        },
    }
    for what, settings in ways.items():
        labels, seconds, _ = find(vectors, settings, jobs)
        show(what, known, labels, seconds)


def reference(path: Path, known: Labels) -> None:
    theirs = normalize(np.load(path))
    start = time.perf_counter()
    found = KMeans(len(np.unique(known)), n_init=10, random_state=0).fit(theirs)
    show("reference: scikit-learn KMeans", known, found.labels_, time.perf_counter() - start)


def planted(vectors: Vectors, known: Labels, count: int, draw: int, *, far: bool) -> Labels:
    """Return the rows of some intents: far from each other, or any."""
    names = np.unique(known)
    random = np.random.default_rng(draw)
    if not far:
        return np.flatnonzero(np.isin(known, random.choice(names, count, replace=False)))
    means = normalize(np.stack([vectors[known == name].mean(axis=0) for name in names]))
    taken = [int(random.integers(len(names)))]
    while len(taken) < count:
        taken.append(int((means @ means[taken].T).max(axis=1).argmin()))
    return np.flatnonzero(np.isin(known, names[taken]))


def auto(vectors: dict[str, Vectors], known: Labels, classes: Labels, jobs: int) -> None:
    print("\n--auto: clusters chosen")
    settings = ClusterSettings("kmeans", auto=True)
    for far, count in itertools.product((True, False), PLANTED):
        chosen = []
        for draw in range(DRAWS):
            rows = planted(vectors["banking77"], known, count, draw, far=far)
            labels, _, _ = find(vectors["banking77"][rows], settings, jobs)
            chosen.append(int(labels.max()) + 1)
        print(f"  {count:3} {'distant' if far else 'any'} intents: {chosen}", flush=True)
    for name, kinds in (("banking77", known), ("agnews", classes)):
        labels, seconds, reason = find(vectors[name], settings, jobs)
        show(f"{name} --auto", kinds, labels, seconds)
        print(f"    {reason}")


def seeds(vectors: Vectors, known: Labels, jobs: int) -> None:
    rows = planted(vectors, known, 20, 0, far=True)
    print(f"\nseeds 0 to {SEEDS - 1}, 20 distant intents, {len(rows)} records")
    for what, make in (
        ("k-means -k 20", lambda seed: ClusterSettings("kmeans", 20, seed=seed)),
        ("communities", lambda seed: ClusterSettings(seed=seed)),
    ):
        runs = [find(vectors[rows], make(seed), jobs)[0] for seed in range(SEEDS)]
        quality = [v_measure_score(known[rows], run) for run in runs]
        right = [adjusted_rand_score(known[rows], run) for run in runs]
        alike = [adjusted_rand_score(one, other) for one, other in itertools.combinations(runs, 2)]
        print(
            f"  {what:16} V {min(quality):.3f} to {max(quality):.3f}, ARI {min(right):.3f} to {max(right):.3f};"
            f" ARI between two runs at least {min(alike):.3f}"
        )


if __name__ == "__main__":
    main()
