"""What each part of `cluster` is worth.

    python benchmarks/cluster_parts.py banking77/ agnews/ [--model default] [--vectors FILE.npy] [--jobs 2]

The folders are those of `cluster.py`. Measured on both sets:

- communities: V-measure at the right number of them, for other numbers of neighbours, links only where both rows
  are among each other's nearest, and other weights of the links.
- density: V-measure of what is in a cluster, and the share of noise, without moving rows and with more or fewer moves;
  with 30 titles of AG News among the questions, how many of these are noise; HDBSCAN on all distances beside it.
- stars: V-measure with the rows in input order instead of those with the nearest company first.
- `--vectors`: an array of shape (n, dim); how far k-means ends from the rows, and after how long, with starts on some
  rows and on all, and with mini-batches; how many of the nearest rows lists find, and after how long.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cluster import agnews, banking
from scipy.sparse import csr_array
from sklearn.cluster import HDBSCAN, KMeans, MiniBatchKMeans
from sklearn.metrics import v_measure_score
from threadpoolctl import threadpool_limits

from embedcli.datatypes import Counts
from embedcli.encode.catalog import EncoderSettings, find_model
from embedcli.tasks.cluster_methods import NEIGHBORS
from embedcli.tasks.star_plan import make_stars
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from embedcli.vectors import density, k_means, neighbors
from embedcli.vectors.communities import communities_of_count, link_weights, mean_cosine
from embedcli.vectors.neighbors import Neighbors, nearest_neighbors
from embedcli.vectors.normalize import normalize
from embedcli.vectors.star_clusters import star_clusters

if TYPE_CHECKING:
    from embedcli.datatypes import Vectors

    Labels = np.ndarray

SEEDS = 3
STRANGERS = 30
CLUSTERS = (100, 500)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("banking77", type=Path)
    parser.add_argument("agnews", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    typed = parser.parse_args()
    vectorizer = Vectorizer(
        find_model(typed.model, ()),
        EncoderSettings("auto", typed.jobs),
        VectorSettings(normalize=True),
        Counts(),
    )
    sets = {}
    for name, (texts, known) in {
        "banking77": banking(typed.banking77),
        "agnews": agnews(typed.agnews),
    }.items():
        # Equal texts are one, as in the command.
        firsts = np.unique(texts, return_index=True)[1]
        sets[name] = (
            vectorizer.text_vectors([texts[row] for row in np.sort(firsts)]),
            known[np.sort(firsts)],
        )
    vectorizer.close()
    for name, (vectors, known) in sets.items():
        near = nearest_neighbors(vectors, 2 * NEIGHBORS, jobs=typed.jobs)
        print(f"\n{name}: {len(known)} texts, {len(np.unique(known))} kinds")
        links(vectors, known, near)
        dense(vectors, known, near)
        stars(vectors, known, near)
    strangers(sets["banking77"][0], sets["agnews"][0], typed.jobs)
    if typed.vectors is not None:
        vectors = normalize(np.load(typed.vectors))
        print(f"\n{typed.vectors.name}: {vectors.shape}")
        lists(vectors, typed.jobs)
        starts(vectors)


def cut(near: Neighbors, count: int) -> Neighbors:
    return Neighbors(near.rows[:, :count], near.cosines[:, :count])


def links(vectors: Vectors, known: Labels, near: Neighbors) -> None:
    base, kinds = mean_cosine(vectors), len(np.unique(known))

    def show(what: str, used: Neighbors, weights: np.ndarray, *, mutual: bool = False) -> None:
        count = len(used.rows)
        starts = np.arange(0, used.rows.size + 1, used.rows.shape[1])
        one_way = csr_array(
            (np.maximum(weights, 1e-6).ravel(), used.rows.ravel(), starts), shape=(count, count)
        )
        graph = one_way.minimum(one_way.T) if mutual else one_way.maximum(one_way.T)
        found = [communities_of_count(graph.tocsr(), kinds, seed=seed).labels for seed in range(SEEDS)]
        quality = np.mean([v_measure_score(known, labels) for labels in found])
        print(
            f"  communities -k {kinds}: {what:34} {found[0].max() + 1:5} found, V {quality:.3f}", flush=True
        )

    for count in (5, 10, NEIGHBORS, 2 * NEIGHBORS):
        used = cut(near, count)
        show(f"{count} neighbours", used, link_weights(used, base))
    used = cut(near, NEIGHBORS)
    show("mutual neighbours only", used, link_weights(used, base), mutual=True)
    show("weight: the cosine", used, used.cosines.astype(np.float64))
    show("weight: 1", used, np.ones(used.cosines.shape))


def dense(vectors: Vectors, known: Labels, near: Neighbors) -> None:
    near = cut(near, NEIGHBORS)
    shipped = density.MOVES
    for moves in (0, 1, shipped, 2 * shipped):
        density.MOVES = moves
        report(f"density, {moves} moves", density.dense_clusters(vectors, near, 10), known)
    density.MOVES = shipped
    report(
        "HDBSCAN, all distances",
        HDBSCAN(min_cluster_size=10, min_samples=5, copy=True).fit_predict(vectors),
        known,
    )


def report(what: str, labels: Labels, known: Labels) -> None:
    inside = labels >= 0
    quality = v_measure_score(known[inside], labels[inside]) if inside.any() else 0
    print(
        f"  {what:34} {labels.max() + 1:5} clusters, noise {1 - inside.mean():4.0%}, V of the others {quality:.3f}",
        flush=True,
    )


def stars(vectors: Vectors, known: Labels, near: Neighbors) -> None:
    near = cut(near, NEIGHBORS)
    # Nobody has company: the order is that of the rows.
    alone = Neighbors(near.rows, np.full(near.cosines.shape, -1, dtype=np.float32))
    weights = np.ones(len(vectors), dtype=np.float32)
    for threshold in (0.6, 0.7, 0.8):
        for what, used in (("as shipped", near), ("input order", alone)):
            with make_stars(vectors.shape[1], threshold) as made:
                labels = star_clusters(vectors, weights, used, made).labels
            sizes = np.bincount(labels)
            print(
                f"  threshold {threshold}, {what:12} {np.count_nonzero(sizes > 1):5} clusters of two or more,"
                f" V {v_measure_score(known, labels):.3f}"
            )


def strangers(vectors: Vectors, others: Vectors, jobs: int) -> None:
    rows = np.random.default_rng(0).choice(len(others), STRANGERS, replace=False)
    every = np.concatenate([vectors, others[rows]])
    near = nearest_neighbors(every, NEIGHBORS, jobs=jobs)
    labels = density.dense_clusters(every, near, 10)
    print(f"\ndensity: {np.mean(labels[-STRANGERS:] < 0):.0%} of {STRANGERS} strangers are noise")


def lists(vectors: Vectors, jobs: int) -> None:
    start = time.perf_counter()
    nearest_neighbors(vectors, NEIGHBORS, jobs=jobs)
    print(f"  neighbours, as shipped                  {time.perf_counter() - start:6.1f} s", flush=True)
    exact, neighbors.EXACT_ROWS = neighbors.EXACT_ROWS, 1
    start = time.perf_counter()
    found = nearest_neighbors(vectors, NEIGHBORS, jobs=jobs)
    print(
        f"  neighbours, lists                       {time.perf_counter() - start:6.1f} s, {found.recall:.1%} found",
        flush=True,
    )
    neighbors.EXACT_ROWS = exact


def starts(vectors: Vectors) -> None:
    vectors = np.unique(vectors, axis=0)[
        np.random.default_rng(0).permutation(len(np.unique(vectors, axis=0)))
    ]
    weights = np.ones(len(vectors), dtype=np.float32)
    for count in CLUSTERS:
        for what, work in (
            ("as shipped", lambda count=count: k_means.k_means(vectors, weights, count)),
            (
                "one start on all rows",
                lambda count=count: KMeans(count, n_init=1, random_state=0).fit_predict(vectors),
            ),
            (
                "mini-batches, 3 starts",
                lambda count=count: MiniBatchKMeans(
                    count, n_init=3, batch_size=4096, random_state=0
                ).fit_predict(vectors),
            ),
        ):
            with threadpool_limits(1):
                start = time.perf_counter()
                labels = work()
                seconds = time.perf_counter() - start
            print(
                f"  k-means -k {count}: {what:24} {seconds:6.1f} s, mean squared distance {spread(vectors, labels):.4f}",
                flush=True,
            )


def spread(vectors: Vectors, labels: Labels) -> float:
    """Return the mean squared distance of the rows to the means of their clusters."""
    order = np.argsort(labels, kind="stable")
    firsts = np.unique(labels[order], return_index=True)[1]
    parts = np.split(vectors[order].astype(np.float64), firsts[1:])
    return sum(float(np.square(part - part.mean(axis=0)).sum()) for part in parts) / len(vectors)


if __name__ == "__main__":
    main()
