"""`eval sts`: do cosines rank pairs of texts as people do?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedcli.errors import InputError
from embedcli.reports import Evaluation
from embedcli.tasks.evaluate.bag_of_words import NAME, word_cosines
from embedcli.tasks.evaluate.measured import statistic_measurements

if TYPE_CHECKING:
    from embedcli.reports import Measurement
    from embedcli.tasks.judged_pairs import ScoredPairs


def evaluate_sts(pairs: ScoredPairs, system: str, seed: int) -> Evaluation:
    """Return the correlations of cosines with scores, of an encoder and of the words alone.

    Args:
        pairs: With the scores that people gave.
        system: What the encoder is called.
        seed: Of the resamples.

    Raises:
        InputError: There are not two different scores.

    Source: Spearman first, as in D. Cer et al., "SemEval-2017 Task 1: Semantic Textual Similarity", and N.
    Reimers et al., "Task-Oriented Intrinsic Evaluation of Semantic Textual Similarity", COLING 2016.
    """
    from embedcli.vectors.pair_measures import Correlation

    if len(set(pairs.values.tolist())) < 2:
        said = f"all {len(pairs.ids)} pairs have the same score" if pairs.ids else "no pairs"
        raise InputError(f"{said}: there is no order to compare with")
    measurements: list[Measurement] = []
    for name, cosines in ((system, pairs.cosines), (NAME, word_cosines(pairs.lefts, pairs.rights))):
        both = Correlation(cosines, pairs.values)
        statistics = {"Spearman": both.spearman, "Pearson": both.pearson}
        measurements += statistic_measurements(name, statistics, len(pairs.ids), seed)
    return Evaluation(
        "sts", pairs.ids, "pairs", tuple(measurements), {"Spearman": 0.0, "Pearson": 0.0}, {"seed": seed}
    )
