"""`eval pairs`: are the pairs that belong together told from the others?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedcli.errors import InputError
from embedcli.reports import Evaluation, Measurement
from embedcli.tasks.evaluate.bag_of_words import NAME, word_cosines
from embedcli.tasks.evaluate.measured import statistic_measurements

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from embedcli.tasks.judged_pairs import Doubles, ScoredPairs

    Flags = npt.NDArray[np.bool_]

_HALVES = 2


def evaluate_pairs(pairs: ScoredPairs, system: str, seed: int) -> Evaluation:
    """Return how well cosines tell pairs apart, of an encoder and of the words alone.

    F1 is that of decisions by a threshold that was chosen on the other half of the pairs; the threshold that
    is reported is the best one on all of them.

    Args:
        pairs: With labels, 1 or 0.
        system: What the encoder is called.
        seed: Of the halves and of the resamples.

    Raises:
        InputError: There are not two pairs of each kind.
    """
    labels = labels_of_pairs(pairs)
    measurements: list[Measurement] = []
    for name, cosines in ((system, pairs.cosines), (NAME, word_cosines(pairs.lefts, pairs.rights))):
        measurements += _measured(name, cosines, labels, seed)
    share = float(labels.mean())
    # Whoever says yes to all.
    chance = {"AP": share, "ROC-AUC": 0.5, "F1": 2 * share / (1 + share)}
    return Evaluation("pairs", pairs.ids, "pairs", tuple(measurements), chance, {"seed": seed})


def labels_of_pairs(pairs: ScoredPairs) -> Flags:
    """Return which pairs belong together, shape (n,).

    Raises:
        InputError: There are not two pairs of each kind, one for each half.
    """
    labels: Flags = pairs.values == 1
    yes = int(labels.sum())
    if min(yes, len(labels) - yes) < _HALVES:
        raise InputError(f"{yes} of {len(labels)} pairs have the label 1: two of each kind are needed")
    return labels


def first_half(labels: Flags, seed: int) -> Flags:
    """Return which pairs are in the first of two halves, each with its share of both labels, shape (n,)."""
    from embedcli.vectors.held_out import dealt_parts

    half: Flags = dealt_parts(labels, _HALVES, seed) == 0
    return half


def _measured(system: str, cosines: Doubles, labels: Flags, seed: int) -> list[Measurement]:
    import numpy as np

    from embedcli.vectors.pair_measures import Decisions, RankedLabels, best_f1_threshold

    ranked = RankedLabels(cosines, labels)
    given = np.zeros(len(labels), dtype=bool)
    half = first_half(labels, seed)
    for own in (half, ~half):
        given[own] = cosines[own] >= best_f1_threshold(cosines[~own], labels[~own])
    statistics = {
        "AP": ranked.average_precision,
        "ROC-AUC": ranked.roc_auc,
        "F1": Decisions(given, labels).f1,
    }
    threshold = Measurement(system, "threshold", best_f1_threshold(cosines, labels))
    return [*statistic_measurements(system, statistics, len(labels), seed), threshold]
