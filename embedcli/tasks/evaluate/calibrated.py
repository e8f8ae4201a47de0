"""`eval calibrate`: a threshold chosen on one half of the judged pairs, and what it does on the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.reports import CurvePoint, Evaluation, Measurement
from embedcli.tasks.evaluate.bag_of_words import NAME, word_cosines
from embedcli.tasks.evaluate.measured import statistic_measurements
from embedcli.tasks.evaluate.pairs import first_half, labels_of_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    import numpy.typing as npt

    from embedcli.tasks.judged_pairs import Doubles, ScoredPairs
    from embedcli.vectors.threshold import Threshold

    Flags = npt.NDArray[np.bool_]

FITTED: Final = "fitted"


class Calibrated(NamedTuple):
    """What came of it.

    Attributes:
        evaluation: Of the other half.
        chosen: The threshold, with its precision and recall on the half that it was chosen on.
        is_precise: Whether that precision is the one wanted.
        curve: Of the other half: each cosine that there is, the highest first.
    """

    evaluation: Evaluation
    chosen: Threshold
    is_precise: bool
    curve: tuple[CurvePoint, ...]


def evaluate_calibration(
    pairs: ScoredPairs,
    system: str,
    precision: float | None,
    others: Mapping[str, float],
    seed: int,
) -> Calibrated:
    """Return what a threshold does on pairs that it was not chosen on.

    Args:
        pairs: With labels, 1 or 0.
        system: What the encoder is called.
        precision: The one wanted, above 0 to 1: the lowest threshold that has it is taken. None for the rule
            of `dedupe --calibrate`, see `vectors.threshold`.
        others: More thresholds of the same encoder that are measured on the same pairs, by name.
        seed: Of the halves and of the resamples.

    Raises:
        InputError: There are not two pairs of each kind.
    """
    from embedcli.vectors.pair_measures import precision_recall
    from embedcli.vectors.threshold import PRECISION

    labels = labels_of_pairs(pairs)
    half = first_half(labels, seed)
    chosen = _choose(pairs.cosines[half], labels[half], precision)
    held = _HeldOut(labels[~half], seed)
    cosines = pairs.cosines[~half]
    measurements = [*held.measure(f"{system}, {FITTED}", cosines, chosen.value)]
    for name, threshold in others.items():
        measurements += held.measure(f"{system}, {name}", cosines, threshold)
    words = word_cosines(pairs.lefts, pairs.rights)
    by_words = _choose(words[half], labels[half], precision)
    measurements += held.measure(f"{NAME}, {FITTED}", words[~half], by_words.value)
    ids = tuple(name for name, is_first in zip(pairs.ids, half.tolist(), strict=True) if not is_first)
    curve = precision_recall(cosines, labels[~half])
    wanted = PRECISION if precision is None else precision
    about = {"seed": seed, "precision": wanted, "pairs": len(labels)}
    return Calibrated(
        Evaluation(
            *("calibrate", ids, "held-out pairs", tuple(measurements)),
            chance={"precision": float(labels[~half].mean())},
            about=about,
        ),
        chosen,
        chosen.precision >= wanted,
        tuple(CurvePoint(*each) for each in zip(*(column.tolist() for column in curve), strict=True)),
    )


def _choose(cosines: Doubles, labels: Flags, precision: float | None) -> Threshold:
    from embedcli.vectors.threshold import choose_threshold

    sides = cosines[labels], cosines[~labels]
    return (
        choose_threshold(*sides) if precision is None else choose_threshold(*sides, precision, found_ratio=1)
    )


class _HeldOut(NamedTuple):
    """The pairs of the other half.

    Attributes:
        labels: Shape (n,).
        seed: Of the resamples.
    """

    labels: Flags
    seed: int

    def measure(self, system: str, cosines: Doubles, threshold: float) -> Iterator[Measurement]:
        """Yield precision and recall of a threshold, and the threshold."""
        from embedcli.vectors.pair_measures import Decisions

        decisions = Decisions(cosines >= threshold, self.labels)
        statistics = {"precision": decisions.precision, "recall": decisions.recall}
        yield from statistic_measurements(system, statistics, len(self.labels), self.seed)
        yield Measurement(system, "threshold", threshold)
