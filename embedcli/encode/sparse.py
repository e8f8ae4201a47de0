"""Learned sparse encoders: texts to weights of the words of a vocabulary.

Source: T. Formal et al., "SPLADE v2: Sparse Lexical and Expansion Model for Information Retrieval", 2021,
equation 6: the weight of a word is the largest of log(1 + relu(score)) over the tokens of the text, the score
being that of a masked language model. Unlike there, the special tokens around a text are no tokens of it, and
the special tokens of the vocabulary are no words.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedcli.datatypes import SparseVector
from embedcli.encode.onnx_ports import WORD_SCORES
from embedcli.encode.text_graph import TextGraph
from embedcli.errors import DamagedModelError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from embedcli.datatypes import OnLong, Vector, Vectors
    from embedcli.encode.manifest import Manifest
    from embedcli.encode.text_graph import Window


class SparseEncoded(NamedTuple):
    """The sparse vectors of some texts.

    Attributes:
        vectors: One a text, in the order given.
        token_counts: As in `encoder.Encoded`.
    """

    vectors: list[SparseVector]
    token_counts: list[int]


class SparseEncoder(TextGraph):
    """Runs the graph of a masked language model and keeps the words that weigh anything; see `TextGraph`.

    The scores of a window, a row of the whole vocabulary for each token, are reduced as soon as they come.
    """

    outputs = WORD_SCORES
    # 1,024 tokens of 30,522 scores are 125 MB.
    padded_call_tokens = 1024

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        *,
        variant: str,
        device: str,
        jobs: int,
        cache_folder: Path | None = None,
    ) -> None:
        """Load tokenizer and graph.

        Raises:
            DamagedModelError: A file is missing or is not what the manifest says.
            DeviceError: The device cannot be had.
            ModelError: The graph is not that of a masked language model.
        """
        super().__init__(
            folder, manifest, variant=variant, device=device, jobs=jobs, cache_folder=cache_folder
        )
        if self._width is not None:
            self._check_scores(self._width)
        self.terms = self._tokenizer.term_texts(manifest.dim)
        self._is_term: npt.NDArray[np.bool_] = np.array([bool(term) for term in self.terms])

    def encode(self, texts: Sequence[str], *, on_long: OnLong = "pool", prompt: str = "") -> SparseEncoded:
        """Return one sparse vector for each text; an empty text has no terms.

        Args:
            texts: Texts as they are.
            on_long: What to make of a text over `content_tokens`: `truncate` takes its beginning; anything
                else all of it, in windows, each word with its largest weight.
            prompt: What is put before each text. A model may leave its tokens out.

        Raises:
            ModelError: The graph failed or gave numbers that are not finite.
        """
        windows, token_counts = self._tokenize(texts, on_long, prompt)
        peaks = _Peaks(windows, len(texts))

        def take(number: int, tokens: Vectors, start: int) -> None:
            self._check_scores(tokens.shape[1])
            peaks.add(windows[number].row, self._peak(tokens, start))

        self._run_windows(windows, prompt, take)
        for text, vector in zip(texts, peaks.vectors, strict=True):
            if not np.isfinite(vector.weights).all():
                raise ModelError(
                    f"model {self.manifest.name} gave numbers that are not finite for {text[:80]!r}"
                )
        return SparseEncoded(peaks.vectors, token_counts)

    def _peak(self, tokens: Vectors, start: int) -> Vector:
        """Return the weight of each word in one window, shape (terms,), float32.

        The largest score has the largest weight, so that one row alone goes through the logarithm.

        Args:
            tokens: Scores, shape (tokens, terms), special tokens included.
            start: Tokens at the head that do not take part: those of a prompt that is left out.
        """
        own = tokens[max(start, len(self._tokenizer.prefix)) : len(tokens) - len(self._tokenizer.suffix)]
        if not len(own):
            return np.zeros(tokens.shape[1], dtype=np.float32)
        weights: Vector = np.log1p(np.maximum(own.max(axis=0), 0))
        weights[~self._is_term] = 0
        return weights

    def _check_scores(self, width: int) -> None:
        """Compare what the graph gives with the manifest.

        Raises:
            DamagedModelError: It gives scores of another number of words.
        """
        if width != self.manifest.dim:
            raise DamagedModelError(
                f"model {self.manifest.name}: gives scores of {width} words, its manifest says "
                f"{self.manifest.dim}"
            )


def dense_rows(vectors: Sequence[SparseVector], terms: int) -> Vectors:
    """Return sparse vectors written out, shape (n, terms), float32."""
    rows = np.zeros((len(vectors), terms), dtype=np.float32)
    for row, vector in zip(rows, vectors, strict=True):
        row[vector.terms] = vector.weights
    return rows


class _Peaks:
    """The largest weights over the windows of each text, gathered from several threads.

    A text of many windows takes one row of the vocabulary, and that only until its last window is there.
    """

    def __init__(self, windows: Sequence[Window], count: int) -> None:
        empty = SparseVector(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32))
        self.vectors = [empty] * count
        self._left = np.bincount([window.row for window in windows], minlength=count)
        self._unfinished: dict[int, Vector] = {}
        self._lock = Lock()

    def add(self, row: int, weights: Vector) -> None:
        """Take what one window gives, shape (terms,)."""
        with self._lock:
            if row in self._unfinished:
                np.maximum(weights, self._unfinished[row], out=weights)
            self._unfinished[row] = weights
            self._left[row] -= 1
            is_whole = not self._left[row]
            if is_whole:
                del self._unfinished[row]
        if is_whole:
            terms = np.flatnonzero(weights)
            self.vectors[row] = SparseVector(terms.astype(np.int32), weights[terms])
