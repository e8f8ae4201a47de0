"""Two encoders in a row: the cheap one looks at everything, the costly one at what it is unsure of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from embedcli.datatypes import Record
from embedcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.datatypes import Hit
    from embedcli.tasks.vectorize import Vectorizer

DEFAULT_MARGIN: Final = 0.1
"""Distance of the two best cosines below which a query is deferred. Measured: docs/static-encoder.md."""

DEFAULT_DEPTH: Final = 100
"""Hits of the cheap encoder that the costly one looks at."""


@dataclass(frozen=True, slots=True)
class CascadeSettings:
    """When the costly encoder is asked, and about how much.

    Attributes:
        margin: A query whose best two hits with different texts are closer than this, in cosine, is deferred;
            0 defers none, more than 2 all.
        depth: Hits that are compared again.
    """

    margin: float = DEFAULT_MARGIN
    depth: int = DEFAULT_DEPTH


def cascade_models(names: str) -> tuple[str, str]:
    """Return the two models in `cheap,costly`.

    Raises:
        UsageError: There are not two.
    """
    parts = tuple(part.strip() for part in names.split(","))
    if len(parts) != 2 or not all(parts):
        raise UsageError(f"--cascade {names!r}: two models are needed", hint="--cascade static,default")
    return parts


def defer(
    asked: Sequence[Record],
    found: Sequence[Sequence[Hit]],
    cheap: str,
    queries: Vectorizer,
    documents: Vectorizer,
    settings: CascadeSettings,
    top_k: int,
) -> list[list[Hit]]:
    """Return the best hits for each query, those of unsure queries in the order of the costly encoder.

    Each hit names the encoder that its cosine is from: cosines of two encoders are no common scale. Equal
    cosines keep the order of the cheap encoder.

    Args:
        asked: The queries.
        found: The cheap encoder's hits of each, best first, `settings.depth` of them.
        cheap: The cheap encoder, as a vector says what it is from.
        queries: The costly encoder in the role of a query.
        documents: The same in the role of a document.
        settings: Who is deferred.
        top_k: Most hits of a query.

    Raises:
        UsageError: A hit has no text, as from an index without texts.

    Source: Dohan et al., "Language Model Cascades", 2022; the margin of the two best as the sign of doubt is
        the oldest rule of active learning (Scheffer et al. 2001).
    """
    import numpy as np

    from embedcli.vectors.metric import cosine

    answers: list[list[Hit]] = []
    for query, hits in zip(asked, found, strict=True):
        if not hits or margin(hits) >= settings.margin:
            answers.append([replace(hit, model=cheap) for hit in hits[:top_k]])
            continue
        if any(hit.text is None for hit in hits):
            raise UsageError("an index without texts has nothing that a second encoder could read")
        vector = queries.record_vectors([query])[0]
        texts = [Record(hit.id, hit.text or "") for hit in hits]
        cosines = cosine(documents.record_vectors(texts), vector)
        order = np.argsort(-cosines, kind="stable")[:top_k]
        scored = [(hits[number], float(cosines[number])) for number in order]
        answers.append(
            [replace(hit, score=value, cosine=value, model=documents.vector_model) for hit, value in scored]
        )
    return answers


def margin(hits: Sequence[Hit]) -> float:
    """Return how far the best hit is ahead of the next one with another text; 2 where there is none."""
    best = hits[0]
    other = next((hit for hit in hits[1:] if hit.text is None or hit.text != best.text), None)
    return 2.0 if other is None else best.score - other.score
