"""`eval cluster`: do clusters of texts agree with the labels that people gave?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedcli.errors import InputError
from embedcli.reports import Evaluation
from embedcli.tasks.cluster import ClusterSettings, cluster_rows
from embedcli.tasks.evaluate.bag_of_words import NAME, TfidfVectors
from embedcli.tasks.evaluate.measured import statistic_measurements

if TYPE_CHECKING:
    from typing import Final

    import numpy as np
    import numpy.typing as npt

    from embedcli.reports import Measurement
    from embedcli.tasks.evaluate.labelled_texts import LabelledTexts

    Labels = npt.NDArray[np.int64]

_WORD_STARTS: Final = 3
"""Starts of k-means on words, each of which takes some seconds; twenty end at the same figures."""


def evaluate_clusters(texts: LabelledTexts, seed: int, jobs: int = 1) -> Evaluation:
    """Return how well as many clusters as there are labels agree with the labels.

    Clusters are found once: the intervals say what other texts of the kind would do in these clusters, not
    what another run of the method would.

    Args:
        texts: With their labels.
        seed: Of the clusters and the resamples.
        jobs: Threads; their number changes nothing.

    Raises:
        InputError: There are fewer than two labels, or fewer different texts than labels.
    """
    import numpy as np

    from embedcli.vectors.contingency import Contingency
    from embedcli.vectors.distinct import distinct_rows

    if len(texts.labels) < 2:
        raise InputError(f"all texts have the label {texts.labels[0]!r}: there is nothing to tell apart")
    weights = np.ones(len(texts.texts), dtype=np.float32)
    count, different = len(texts.labels), len(distinct_rows(texts.vectors)[0])
    if different < count:
        raise InputError(f"{count} labels, and {different} different texts: too few for as many clusters")
    found: dict[str, Labels] = {}
    for name, settings in (
        ("k-means", ClusterSettings("kmeans", count, seed=seed)),
        ("communities", ClusterSettings("communities", count, min_size=1, seed=seed)),
    ):
        found[name] = cluster_rows(texts.vectors, weights, settings, jobs).labels
    found[NAME] = _word_clusters(texts.texts, count, seed, jobs)
    measurements: list[Measurement] = []
    for name, clusters in found.items():
        table = Contingency(texts.targets, clusters)
        statistics = {"V-measure": table.v_measure, "ARI": table.adjusted_rand, "NMI": table.v_measure}
        measurements += map(_centred, statistic_measurements(name, statistics, len(clusters), seed))
    about = {"seed": seed, "labels": count}
    return Evaluation("cluster", texts.ids, "texts", tuple(measurements), {"ARI": 0.0}, about)


def _centred(found: Measurement) -> Measurement:
    """Return a measurement whose resamples lie around its value.

    A resample has some texts twice and others not at all, so that fewer cells of the table are filled and
    labels and clusters seem to agree more: with 77 labels of 40 texts by 0.01, as much as intervals are wide.

    Source: B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 10, for the bias.
    """
    from dataclasses import replace

    import numpy as np

    from embedcli.vectors.resampling import percentile_interval

    assert found.resampled is not None  # there are texts
    around = found.resampled - np.nanmean(found.resampled) + found.value
    low, high = np.clip(percentile_interval(around), -1.0, 1.0)
    return replace(found, resampled=around, low=float(low), high=float(high))


def _word_clusters(texts: list[str], count: int, seed: int, jobs: int) -> Labels:
    """Return clusters of the same k-means on TF-IDF."""
    import numpy as np

    from embedcli.vectors.k_means import k_means

    words = TfidfVectors(texts).vectors(texts)
    weights = np.ones(len(texts), dtype=np.float32)
    return k_means(words, weights, count, seed=seed, jobs=jobs, starts=_WORD_STARTS)
