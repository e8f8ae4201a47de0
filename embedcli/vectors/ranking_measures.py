"""How good a ranking is: nDCG, reciprocal rank, average precision, recall, precision and hits, per query.

They are those of trec_eval, to the last digits: the gain is the grade itself, grades of 0 and below are not
relevant, a query's relevant documents count whether a system can find them or not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

import numpy as np

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[np.float64]
    Rows: TypeAlias = npt.NDArray[np.int64]

Kind = Literal["nDCG", "MRR", "MAP", "recall", "precision", "hit"]

DEFAULT_METRICS: Final = ("nDCG@10", "MRR@10", "MAP", "recall@100", "hit@10")
MAX_DEPTH: Final = 10_000
"""Deepest cut-off: beyond it nobody reads, and a search would hold as many hits for each query."""

_NEEDS_DEPTH: Final = frozenset({"recall", "precision", "hit"})
_METRIC = re.compile(r"([A-Za-z]+)(?:@([0-9]{1,6}))?")


@dataclass(frozen=True, slots=True)
class RankingMetric:
    """A measure of rankings.

    Attributes:
        kind: Which one.
        depth: How many of the first documents count; None for all that were found.
    """

    kind: Kind
    depth: int | None = None

    @property
    def name(self) -> str:
        """What it is called, as in `nDCG@10`."""
        return self.kind if self.depth is None else f"{self.kind}@{self.depth}"


def parse_metrics(texts: Iterable[str]) -> list[RankingMetric]:
    """Return the measures of these names, each once, in their order.

    Raises:
        UsageError: A name is not known, or there is none.
    """
    found = list(dict.fromkeys(_parse(text.strip()) for text in texts if text.strip()))
    if not found:
        raise UsageError("no metric is named", hint=", ".join(DEFAULT_METRICS))
    return found


def _parse(text: str) -> RankingMetric:
    match = _METRIC.fullmatch(text)
    kinds: dict[str, Kind] = {kind.lower(): kind for kind in get_args(Kind)}
    kind = kinds.get(match[1].lower()) if match else None
    if match is None or kind is None:
        raise UsageError(
            f"metric {text!r} is not known", hint="nDCG@K, MRR@K, MAP, recall@K, precision@K or hit@K"
        )
    depth = None if match[2] is None else int(match[2])
    if depth is None and kind in _NEEDS_DEPTH:
        raise UsageError(f"metric {text!r} says nothing without a cut-off", hint=f"{kind}@10")
    if depth is not None and not 1 <= depth <= MAX_DEPTH:
        raise UsageError(f"metric {text!r}: the cut-off is 1 to {MAX_DEPTH}", hint=f"{kind}@10")
    return RankingMetric(kind, depth)


def ranked_grades(scores: Sequence[float] | Array, grades: Sequence[float] | Array) -> Array:
    """Return the grades in the order of the scores, highest first; a tie counts against the system.

    Of documents with the same score the less relevant one goes first, so that a system that gives all the
    same score is not better than one that guesses.

    Args:
        scores: Shape (n,), finite.
        grades: Shape (n,), 0 for what was not judged.
    """
    own = np.asarray(grades, dtype=np.float64)
    ordered: Array = own[np.lexsort((own, -np.asarray(scores, dtype=np.float64)))]
    return ordered


def query_values(metrics: Sequence[RankingMetric], grades: Array, relevant: Array) -> Array:
    """Return the value of each measure for one query, shape (len(metrics),), 0 to 1.

    Args:
        metrics: Which.
        grades: Of the documents that were found, best first; 0 for what was not judged.
        relevant: Grades above 0 of all documents of the query, found or not; at least one.

    Source: K. Järvelin and J. Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS
    20(4), 2002, with the grade itself as gain and log2(rank + 1) as discount; E. Voorhees and D. Harman,
    "TREC: Experiment and Evaluation in Information Retrieval", 2005, chapter 3; both as in trec_eval 9.
    """
    gains = np.maximum(grades, 0.0)
    return np.array([_value(metric, gains, relevant) for metric in metrics])


def _value(metric: RankingMetric, gains: Array, relevant: Array) -> float:
    first = gains[: metric.depth]
    places = np.flatnonzero(first) + 1
    match metric.kind:
        case "nDCG":
            ideal = np.sort(relevant)[::-1][: metric.depth]
            return float(_discounted(first) / _discounted(ideal))
        case "MRR":
            return float(1 / places[0]) if len(places) else 0.0
        case "MAP":
            return float((np.arange(1, len(places) + 1) / places).sum() / len(relevant))
        case "recall":
            return len(places) / len(relevant)
        case "precision":
            return len(places) / (metric.depth or 1)
        case "hit":
            return float(len(places) > 0)


def _discounted(gains: Array) -> float:
    return float((gains / np.log2(np.arange(2, len(gains) + 2))).sum())


def own_rank_values(metric: RankingMetric, ranks: Rows) -> Array:
    """Return the value of a measure for queries with one relevant document each, shape (n,), 0 to 1.

    Args:
        metric: Which.
        ranks: Shape (n,), the rank of each query's document, from 1.
    """
    place = ranks.astype(np.float64)
    is_in = np.ones(len(ranks), np.bool_) if metric.depth is None else ranks <= metric.depth
    match metric.kind:
        case "nDCG":
            values = 1 / np.log2(place + 1)
        case "MRR" | "MAP":
            values = 1 / place
        case "precision":
            values = np.full(len(ranks), 1 / (metric.depth or 1))
        case _:
            values = np.ones(len(ranks))
    found: Array = np.where(is_in, values, 0.0)
    return found
