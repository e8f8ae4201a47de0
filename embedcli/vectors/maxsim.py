"""Late interaction: two texts compared token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    from embedcli.datatypes import Vectors


def maxsim(query: Vectors, document: Vectors) -> float:
    """Return how well each token of a query is met by some token of a document, on average.

    Args:
        query: Shape (q, dim), float32: the query's token vectors, of any length.
        document: Shape (d, dim), float32: the document's.

    Returns:
        The mean over the query's tokens of the highest cosine to a token of the document, -1 to 1; 0 where
        either has no token. O(q x d x dim).

    Source: O. Khattab, M. Zaharia, "ColBERT: Efficient and Effective Passage Search via Contextualized Late
        Interaction over BERT", SIGIR 2020, section 3.3; the mean for the sum, so that long queries score no
        higher.
    """
    if not len(query) or not len(document):
        return 0.0
    return float((normalize(query) @ normalize(document).T).max(axis=1).mean())
