"""Where a long hit is worth reading first: the sentence that is closest to the query."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.datatypes import Counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.datatypes import Record, Vectors
    from embedcli.tasks.vectorize import Vectorizer

SENTENCES: Final = 24
"""Sentences of a hit that are looked at, from its first."""

BY_MEANING: Final = 20
"""Hits of a run whose sentences are encoded, a screenful; those of further ones are compared by words."""

_CHARS: Final = 400
"""Characters of a sentence that are looked at."""


class LongHit(NamedTuple):
    """A hit whose text is longer than the room for it.

    Attributes:
        query: The number of its query, from 0.
        text: Its text.
    """

    query: int
    text: str


def best_sentences(
    asked: Sequence[Record],
    hits: Sequence[LongHit],
    vectors: Vectors | None = None,
    vectorizer: Vectorizer | None = None,
) -> list[int]:
    """Return where the best sentence of each hit begins in its text, in characters.

    Of equal ones the first is best. By meaning: the cosine of query and sentence. By words: how many
    different words of the query a sentence holds. Sentences are those of `records.sentences`.

    Args:
        asked: The queries.
        hits: Best first.
        vectors: Of the queries, shape (q, dim), float32, unit length or zero; None to go by words.
        vectorizer: The encoder that they are from.
    """
    found = []
    for number, hit in enumerate(hits):
        spans = _sentences(hit.text)
        texts = [hit.text[start:end][:_CHARS] for start, end in spans]
        if len(texts) < 2:
            best = 0
        elif vectorizer is not None and vectors is not None and number < BY_MEANING:
            best = _by_meaning(vectors, hit.query, texts, vectorizer)
        else:
            best = _by_words(asked[hit.query].text, texts)
        found.append(spans[best][0] if best else 0)
    return found


def _sentences(text: str) -> list[tuple[int, int]]:
    """Return the spans of the first sentences, white space at their heads left out, blank ones too."""
    from embedcli.records.sentences import iter_sentences

    spans = (
        (end - len(text[start:end].lstrip()), end) for start, end in islice(iter_sentences(text), SENTENCES)
    )
    return [(start, end) for start, end in spans if start < end]


def _by_meaning(vectors: Vectors, query: int, texts: Sequence[str], vectorizer: Vectorizer) -> int:
    import numpy as np

    from embedcli.tasks.vectorize import VectorSettings

    settings = VectorSettings("document", None, "truncate", vectorizer.settings.dim, normalize=True)
    # What is encoded for showing only is no part of what the run counts.
    documents = vectorizer.with_settings(settings, Counts())
    return int(np.argmax(documents.text_vectors(texts) @ vectors[query]))


def _by_words(query: str, texts: Sequence[str]) -> int:
    from embedcli.index.word_marks import words_held

    held = words_held(query, texts)
    return held.index(max(held))
