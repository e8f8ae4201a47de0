"""Texts cut where their meaning shifts: `--chunking semantic`.

Sentences are encoded one by one, and `vectors.change_points` says which of them belong together.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from embedcli.datatypes import Counts
from embedcli.records.sentences import iter_sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from embedcli.tasks.vectorize import Vectorizer

PENALTY: Final = 1.3
"""What a cut must be worth, where unrelated texts are at cosine 0; chosen by `benchmarks/segment.py`."""

MAX_SENTENCES: Final = 256
"""Most sentences of a chunk where nothing else limits it."""

_BLOCK_SENTENCES: Final = 1024
"""Sentences that are looked at together: bounds memory, and the work before the first chunk."""

_SENTENCE_CHARS: Final = 4096
"""Most characters of a sentence that are encoded: what has no end of a sentence for so long is no prose."""


class TopicCuts:
    """Cuts texts by the vectors of one model. It may be used beside a run of the same encoder."""

    def __init__(self, vectorizer: Vectorizer) -> None:
        """Take the encoder of a run; what is encoded here is not counted there."""
        from embedcli.tasks.vectorize import VectorSettings

        prompt = vectorizer.prompt
        settings = VectorSettings(
            vectorizer.settings.role, prompt, "truncate", vectorizer.settings.dim, normalize=True
        )
        self._vectorizer = vectorizer.with_settings(settings, Counts())

    def spans(self, text: str, max_tokens: int | None) -> Iterator[tuple[int, int]]:
        """Yield spans that join back to the text, one for each run of sentences that belong together.

        A text of many sentences is cut in blocks; the last chunk of a block is looked at again with the next.
        Linear in the text.

        Args:
            text: Its lines are parted by LF.
            max_tokens: Most tokens of a run; a single sentence may have more. None for no limit.
        """
        held: list[tuple[int, int]] = []
        for span in iter_sentences(text):
            held.append(span)
            if len(held) == _BLOCK_SENTENCES:
                *whole, last = self._runs(text, held, max_tokens)
                yield from ((held[start][0], held[end - 1][1]) for start, end in whole)
                held = held[last[0] :]
        for start, end in self._runs(text, held, max_tokens):
            yield held[start][0], held[end - 1][1]

    def _runs(
        self, text: str, sentences: list[tuple[int, int]], max_tokens: int | None
    ) -> list[tuple[int, int]]:
        """Return the first sentence of each run, and one past its last."""
        from itertools import pairwise

        from embedcli.vectors.change_points import change_points

        if len(sentences) < 2:
            return [(0, len(sentences))] if sentences else []
        texts = [text[start : min(end, start + _SENTENCE_CHARS)].strip() for start, end in sentences]
        vectors = self._vectorizer.text_vectors(texts)
        if max_tokens is None:
            sizes, most = [1] * len(sentences), MAX_SENTENCES
        else:
            sizes, most = [self._tokens(text[start:end]) for start, end in sentences], max_tokens
        starts = change_points(vectors, sizes, most, self.penalty)
        return [*pairwise([*starts, len(sentences)])]

    def _tokens(self, text: str) -> int:
        """Return how many tokens a sentence has, at least 1."""
        from embedcli.records.windows import pieces

        count = self._vectorizer.encoder.token_spans
        return max(1, sum(len(count(text[start:end])) for start, end in pieces(text, 0, len(text))))

    @cached_property
    def penalty(self) -> float:
        """What a cut must be worth: `PENALTY`, times how far unrelated texts are from each other.

        That is 1 minus the mean cosine of the project's own ones, so that a model whose texts are all close
        to each other cuts like others.
        """
        from embedcli.encode.export.probe_texts import SENTENCES

        vectors = self._vectorizer.text_vectors(SENTENCES)
        known = vectors[vectors.any(axis=1)]
        count = len(known)
        if count < 2:
            return PENALTY
        total = known.sum(axis=0, dtype="float64")
        return PENALTY * float(1 - (total @ total - count) / (count * (count - 1)))
