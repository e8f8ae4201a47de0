"""Questions that know more than they say: drafted answers, the first hits, other ways to ask."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from embedcli.datatypes import ScorePart
from embedcli.errors import UsageError
from embedcli.tasks.answers import put_together

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from embedcli.datatypes import Hit, Record, Vectors
    from embedcli.tasks.search import SearchSettings
    from embedcli.tasks.vectorize import Vectorizer

FEEDBACK_WEIGHT: Final = 0.3
"""What the mean of the first hits weighs beside the question. Measured: docs/search.md."""


def with_drafts(questions: Vectors, drafts: Sequence[Record], documents: Vectorizer) -> Vectors:
    """Return questions moved to where their answers are expected: the mean with drafted answers.

    Args:
        questions: Shape (q, dim), float32, unit length.
        drafts: Answers as somebody, or a language model, would write them; right or not.
        documents: The encoder in the role of a document.

    Raises:
        UsageError: There is no text in the drafts.

    Source: L. Gao, X. Ma, J. Lin, J. Callan, "Precise Zero-Shot Dense Retrieval without Relevance Labels",
        ACL 2023, equation 8: the question counts as one draft.
    """
    from embedcli.vectors.normalize import normalize

    written = [draft for draft in drafts if not draft.is_blank]
    if not written:
        raise UsageError("--hyde: no text in it", hint="a drafted answer, or several, a record each")
    return normalize(questions + documents.record_vectors(written).sum(axis=0))


def with_feedback(questions: Vectors, found: Sequence[Sequence[Hit]], documents: Vectorizer) -> Vectors:
    """Return questions moved a little towards the texts that they found first.

    Args:
        questions: Shape (q, dim), float32, unit length.
        found: The first hits of each; with none, a question stays as it is.
        documents: The encoder in the role of a document.

    Raises:
        UsageError: A hit has no text.

    Source: J. Rocchio, "Relevance Feedback in Information Retrieval", 1971, without unwanted documents; the
        first hits stand for those that a reader would have marked.
    """
    import numpy as np

    from embedcli.vectors.normalize import normalize

    moved = questions.copy()
    for row, hits in enumerate(found):
        texts = [hit.text for hit in hits if hit.text is not None]
        if len(texts) < len(hits):
            raise UsageError("--prf reads the first hits, and an index without texts has nothing to read")
        if texts:
            mean = normalize(documents.text_vectors(texts).mean(axis=0)[np.newaxis])[0]
            moved[row] += np.float32(FEEDBACK_WEIGHT) * mean
    return normalize(moved)


def fuse_rankings(
    asked: Sequence[Record], found: Sequence[Sequence[Hit]], settings: SearchSettings
) -> list[Hit]:
    """Return one list of hits for several ways to ask one question.

    A hit's score is the sum of 1 / (60 + its rank) over the questions that found it; all else is as the one
    that ranked it best has it. Equal scores keep the order of the questions.

    Args:
        asked: The questions, each with an id.
        found: The hits of each, best first.
        settings: See `answers.put_together`.

    Source: G. Cormack, C. Clarke, S. Büttcher, "Reciprocal Rank Fusion Outperforms Condorcet and Individual
        Rank Learning Methods", SIGIR 2009.
    """
    from embedcli.vectors.fuse import RANK_CONSTANT

    best: dict[Hashable, tuple[int, Hit]] = {}
    parts: dict[Hashable, dict[str, ScorePart]] = {}
    for record, hits in zip(asked, found, strict=True):
        for rank, hit in enumerate(hits, start=1):
            place = (hit.path, hit.id, hit.chunk)
            parts.setdefault(place, {})[record.id] = ScorePart(hit.score, 1 / (RANK_CONSTANT + rank), 1.0)
            if place not in best or rank < best[place][0]:
                best[place] = (rank, hit)
    fused = [
        replace(hit, score=sum(part.scaled for part in parts[place].values()), parts=parts[place])
        for place, (_, hit) in best.items()
    ]
    return put_together(sorted(fused, key=lambda hit: -hit.score), settings)
