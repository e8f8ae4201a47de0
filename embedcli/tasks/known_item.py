"""Known-item retrieval: how well a model finds a text by its own first sentence.

It needs no judgements, only texts, and so says something about the user's own data. What it says is narrow:
a question in other words than the text's is harder, and an encoder may be better at one than at the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from embedcli.tasks.vectorize import VectorSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import numpy.typing as npt

    from embedcli.tasks.vectorize import Vectorizer

MAX_ITEMS = 2000
"""Texts that are asked for: enough for an interval of about two points of a hundred."""

MIN_ITEMS = 50
"""With fewer, the interval says nothing."""

DEPTH = 10
MRR, RECALL, GAIN = f"MRR@{DEPTH}", "recall@1", f"gain in MRR@{DEPTH}"
_MIN_WORDS = 3
"""In a query and in a document: "Introduction." or "1." could stand over anything."""

_BREAK = re.compile(r"(?<=[.!?])\s+|\s*\n\s*")


class Item(NamedTuple):
    """A text in two: `query` is its first sentence or line, `document` the rest."""

    query: str
    document: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure of one model, with its 95 % bootstrap interval.

    Attributes:
        system: What was measured.
        metric: `MRR@10`, the mean of 1 / rank, 0 beyond ten; `recall@1`, the share of queries whose own
            text came first; `gain in MRR@10`, its difference to the first system, with the interval of the
            difference, query by query.
        value: 0 to 1; -1 to 1 for a gain.
        low: Lower end of the interval.
        high: Upper end.
        queries: How many were asked.
    """

    system: str
    metric: str
    value: float
    low: float
    high: float
    queries: int


def split_item(text: str) -> Item | None:
    """Return a text's first sentence, or its first line if that ends earlier, and the rest.

    A sentence ends at `.`, `!` or `?` before white space. None where one of the two has less than three
    words.
    """
    parts = _BREAK.split(text.strip(), maxsplit=1)
    if len(parts) < 2 or min(len(part.split()) for part in parts) < _MIN_WORDS:
        return None
    return Item(*parts)


def find_items(texts: Iterable[str], at_most: int = MAX_ITEMS) -> list[Item]:
    """Return the items among some texts, spread evenly over them if there are more than `at_most`.

    Of items with equal documents only the first is taken: no model could tell which of them is meant.
    """
    found: dict[str, Item] = {}
    for text in texts:
        item = split_item(text)
        if item is not None:
            found.setdefault(item.document, item)
    items = list(found.values())
    if len(items) <= at_most:
        return items
    return [items[number * len(items) // at_most] for number in range(at_most)]


def item_ranks(vectorizer: Vectorizer, items: Sequence[Item]) -> npt.NDArray[np.int64]:
    """Return the rank of each item's document among all documents, for its query, from 1.

    Each text is encoded in its role, with the model's own prompts.
    """
    import numpy as np

    from embedcli.vectors.own_ranks import own_ranks

    documents = vectorizer.with_settings(VectorSettings("document", normalize=True))
    queries = vectorizer.with_settings(VectorSettings("query", normalize=True))
    return own_ranks(
        queries.text_vectors([item.query for item in items]),
        documents.text_vectors([item.document for item in items]),
        np.arange(len(items)),
    )


def measure(ranks: Sequence[tuple[str, npt.NDArray[np.int64]]]) -> list[Measured]:
    """Return the figures of some systems for the same items.

    The same resamples serve all systems, drawn from a fixed seed: two equal runs give equal intervals.

    Args:
        ranks: By system, shape (n,), n at least 2; gains are over the first.
    """
    from embedcli.tasks.evaluate.measured import mean_measurements
    from embedcli.vectors.ranking_measures import RankingMetric, own_rank_values

    figures: list[Measured] = []
    first = None
    for system, own in ranks:
        reciprocal = own_rank_values(RankingMetric("MRR", DEPTH), own)
        terms = {MRR: reciprocal, RECALL: own_rank_values(RankingMetric("recall", 1), own)}
        if first is None:
            first = reciprocal
        else:
            terms[GAIN] = reciprocal - first
        for found in mean_measurements(system, terms, 0):
            assert found.low is not None
            assert found.high is not None
            figures.append(Measured(system, found.metric, found.value, found.low, found.high, len(own)))
    return figures
