"""The bound of `--min-score auto`: closer than a text that has nothing to do with what is searched.

A bound belongs to a model and to what is searched, not to a question: `vectors.background` says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Hit, Record, Vectors
    from embedcli.tasks.chunk_settings import ChunkSettings
    from embedcli.tasks.open_index import OpenIndex
    from embedcli.tasks.search import SearchSettings
    from embedcli.tasks.vectorize import Vectorizer

UNRELATED_RATIO: Final = 0.05
"""Of the questions that nothing answers, so many find something. What other shares cost: docs/search.md."""

SAMPLED_ROWS: Final = 4096
"""Rows of each index that the probes are compared with: a sample of 12,000 moves the bound by some 0.02."""

_FEWEST_PROBES: Final = 20

_DECIMALS: Final = 4
"""So that what is told, typed as a number, finds the same hits."""


def probe_vectors(vectorizer: Vectorizer) -> Vectors:
    """Return the vectors of the probes, shape (p, dim), float32, unit length, in the role of the vectorizer.

    Raises:
        UsageError: The model knows the words of too few of them.
    """
    from embedcli.encode.export.probe_texts import SENTENCES
    from embedcli.vectors.normalize import normalize

    vectors = normalize(vectorizer.text_vectors(SENTENCES))
    known: Vectors = vectors[vectors.any(axis=1)]
    if len(known) < _FEWEST_PROBES:
        raise UsageError(
            f"--min-score auto: of the {len(SENTENCES)} English texts that it compares,"
            f" model {vectorizer.model.manifest.name} knows {len(known)}",
            hint="--min-score NUMBER, after a look at some hits",
        )
    return known


def bound_of_indexes(indexes: Sequence[OpenIndex], probes: Vectors, ratio: float) -> float:
    """Return the cosine that the nearest of all rows that may be found reaches by chance, -1 to 1.

    Args:
        indexes: What is searched; the filter counts.
        probes: From `probe_vectors`.
        ratio: The share of unrelated questions that come at least as close.
    """
    import numpy as np

    from embedcli.vectors.background import chance_maxima
    from embedcli.vectors.normalize import normalize

    maxima = np.full(len(probes), -1.0)
    for index in indexes:
        vectors, rows = index.sample(SAMPLED_ROWS)
        if rows:
            maxima = np.maximum(maxima, chance_maxima(probes @ normalize(vectors).T, rows))
    return _bound(maxima, ratio)


def search_records_by_background(
    records: Iterable[Record],
    queries: Vectors,
    probes: Vectors,
    documents: Vectorizer,
    settings: SearchSettings,
    chunks: ChunkSettings | None,
    text_fields: Sequence[str],
    on_bound: Callable[[float], None],
) -> list[list[Hit]]:
    """Return the best hits among records that are closer than by chance; see `search_records`.

    All vectors pass by, and are compared with the probes as they do: the bound is known in the end.

    Args:
        records: What to search.
        queries: Shape (q, dim), float32.
        probes: From `probe_vectors`.
        documents: Makes the records' vectors.
        settings: How many hits, and the `unrelated_ratio`.
        chunks: How records become chunks.
        text_fields: What was said about the fields of the text.
        on_bound: Told the lowest cosine of a hit.
    """
    from embedcli.tasks.search import search_records

    nearest = NearestToProbes(probes)
    found = search_records(records, queries, documents, settings, chunks, text_fields, nearest.add)
    bound = nearest.bound(UNRELATED_RATIO if settings.unrelated_ratio is None else settings.unrelated_ratio)
    on_bound(bound)
    return [[hit for hit in hits if hit.cosine is not None and hit.cosine >= bound] for hits in found]


class NearestToProbes:
    """How close the nearest of vectors that pass by comes to each probe. Memory is O(probes)."""

    def __init__(self, probes: Vectors) -> None:
        """Take the probes, from `probe_vectors`."""
        import numpy as np

        self._probes = probes
        self._maxima: npt.NDArray[np.float64] = np.full(len(probes), -1.0)

    def add(self, vectors: Vectors) -> None:
        """Compare some more vectors, shape (n, dim), n at least 1."""
        import numpy as np

        from embedcli.vectors.normalize import normalize

        self._maxima = np.maximum(self._maxima, (self._probes @ normalize(vectors).T).max(axis=1))

    def bound(self, ratio: float) -> float:
        """Return the cosine that the nearest of them all reaches by chance; see `bound_of_indexes`."""
        return _bound(self._maxima, ratio)


def _bound(maxima: npt.NDArray[np.float64], ratio: float) -> float:
    from embedcli.vectors.background import fit_background

    return round(fit_background(maxima).quantile(1 - ratio), _DECIMALS)
