"""Token vectors to one vector for each part of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedcli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from embedcli.datatypes import Pooling, TokenSpan, Vectors


class SpanSums(NamedTuple):
    """The tokens of each span, added up.

    Attributes:
        sums: Shape (spans, hidden), float64.
        counts: How many tokens each span has, shape (spans,), int64.
    """

    sums: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]


def check_can_pool_spans(model: str, pooling: Pooling) -> None:
    """Refuse another pooling than the mean: of it alone the parts of a text make up the whole.

    Raises:
        ModelError: It is another.
    """
    if pooling != "mean":
        raise ModelError(
            f"late chunking takes the mean over tokens; {model} pools by {pooling}",
            hint="--chunking paragraphs, or a model with mean pooling",
        )


def token_places(
    text: str, prompt: str, located: Sequence[TokenSpan], before: int, after: int, *, first: bool, last: bool
) -> npt.NDArray[np.int64]:
    """Return the character of a text that each token stands for, shape (tokens,), int64.

    That is its last one, so that the space that a token brings along does not count. Tokens of the prompt
    and special ones before it stand for the first character, special ones at the end for the last.

    Args:
        text: The text alone.
        prompt: What was put before it.
        located: Where the tokens of one call stand in both.
        before: Special tokens before them.
        after: Special tokens after them.
        first: Whether the text begins with this call; if not, the special ones stand where its tokens do.
        last: Whether it ends with it.
    """
    places = [max(token.start, token.end - 1) - len(prompt) for token in located]
    head = 0 if first or not places else places[0]
    tail = len(text) if last or not places else places[-1]
    found = np.array([head] * before + places + [tail] * after, dtype=np.int64)
    return np.clip(found, 0, max(0, len(text) - 1))


def span_sums(
    tokens: Vectors, places: npt.NDArray[np.int64], text: str, spans: Sequence[tuple[int, int]]
) -> SpanSums:
    """Return the sums over the tokens of each span, and of all of them in a last row.

    A token between two spans counts for the one before it.

    Args:
        tokens: Shape (tokens, hidden), float32.
        places: From `token_places`, for the same tokens.
        text: What they are the tokens of.
        spans: Start and end, in characters.
    """
    sums = np.zeros((len(spans) + 1, tokens.shape[1]))
    counts = np.zeros(len(spans) + 1, dtype=np.int64)
    for row, (start, end) in enumerate([*spans, (0, len(text))]):
        rest = text[end:]
        inside = (places >= start) & (places < max(end + len(rest) - len(rest.lstrip()), 1))
        sums[row], counts[row] = tokens[inside].sum(axis=0, dtype=np.float64), inside.sum()
    return SpanSums(sums, counts)


def span_means(parts: Sequence[SpanSums]) -> Vectors:
    """Return the mean of each span's tokens, shape (spans, hidden), float32, from the sums of all calls.

    A span without a token gets the mean over all of the text: it says nothing of its own.

    Source: Günther et al., "Late Chunking: Contextual Chunk Embeddings Using Long-Context Embedding Models",
    2024, section 3.1, algorithm 1.
    """
    sums, counts = sum(part.sums for part in parts), sum(part.counts for part in parts)
    means = sums / np.maximum(counts, 1)[:, None]
    means[counts == 0] = means[-1]
    found: Vectors = means[:-1].astype(np.float32)
    return found
