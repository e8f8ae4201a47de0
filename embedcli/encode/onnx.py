"""The encoder that runs an ONNX graph, and applies what follows it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from embedcli.encode.dense import DenseLayer
from embedcli.encode.encoder import Encoded
from embedcli.encode.pooling import pool, pooled_dim, pooling_modes
from embedcli.encode.spans import SpanSums, check_can_pool_spans, span_means, span_sums, token_places
from embedcli.encode.text_graph import TextGraph
from embedcli.errors import DamagedModelError, ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from embedcli.datatypes import OnLong, Pooling, TokenSpan, Vector, Vectors
    from embedcli.encode.manifest import Manifest
    from embedcli.encode.text_graph import Window


class OnnxEncoder(TextGraph):
    """Runs a model folder's ONNX graph and makes one vector of each text's token vectors; see `TextGraph`."""

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        *,
        variant: str,
        device: str,
        jobs: int,
        pooling: Pooling | None = None,
        cache_folder: Path | None = None,
    ) -> None:
        """Load tokenizer, graph and dense layers.

        Raises:
            DamagedModelError: A file is missing or is not what the manifest says.
            DeviceError: The device cannot be had.
            ModelError: The graph is not that of an encoder of texts.
            UsageError: `pooling` does not fit what follows it.
        """
        self._pooling = pooling or manifest.pooling
        self.dim = pooled_dim(manifest, self._pooling)
        super().__init__(
            folder, manifest, variant=variant, device=device, jobs=jobs, cache_folder=cache_folder
        )
        self._dense = [DenseLayer(folder / layer.file, layer.activation) for layer in manifest.dense]
        if self._width is not None:
            self._check_width(self._width)

    def encode(self, texts: Sequence[str], *, on_long: OnLong = "pool", prompt: str = "") -> Encoded:
        """Return one vector for each text; see `Encoder.encode`.

        Raises:
            ModelError: The graph failed or gave numbers that are not finite.
        """
        windows, token_counts = self._tokenize(texts, on_long, prompt)
        pooled = np.zeros((len(windows), self.dim), dtype=np.float32)

        def take(number: int, tokens: Vectors, start: int) -> None:
            pooled[number] = self._vector(tokens, start)

        self._run_windows(windows, prompt, take)
        vectors = self._combine(windows, pooled, len(texts))
        self._check_finite(vectors, texts)
        return Encoded(vectors, token_counts)

    def token_vectors(self, texts: Sequence[str], *, prompt: str = "") -> list[Vectors]:
        """Return the vectors of each text's tokens; see `Encoder.token_vectors`.

        Raises:
            ModelError: The graph failed.
        """
        windows, _ = self._tokenize(texts, "pool", prompt)
        found: list[list[Vectors]] = [[] for _ in texts]
        parts: dict[int, Vectors] = {}

        def take(number: int, tokens: Vectors, start: int) -> None:
            parts[number] = tokens[start:]

        self._run_windows(windows, prompt, take)
        for number, window in enumerate(windows):
            found[window.row].append(parts[number])
        return [np.concatenate(own) for own in found]

    def span_vectors(
        self, texts: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]], *, prompt: str = ""
    ) -> list[Vectors]:
        """Return vectors of parts of texts; see `Encoder.span_vectors`.

        Raises:
            ModelError: The pooling is not the mean, or the graph failed.
        """
        check_can_pool_spans(self.manifest.name, self._pooling)
        located: list[tuple[list[int], list[TokenSpan]]] = [([], [])] * len(texts)

        def locate(rows: Iterator[int]) -> None:
            for row in rows:
                located[row] = self._tokenizer.located(prompt + texts[row])

        self._graph.share(locate, range(len(texts)), self.jobs)
        windows = self._windows([ids for ids, _ in located], prompt)
        firsts = _first_tokens(windows)
        before, after = len(self._tokenizer.prefix), len(self._tokenizer.suffix)
        parts: dict[int, SpanSums] = {}

        def take(number: int, tokens: Vectors, start: int) -> None:
            row, ids, _ = windows[number]
            self._check_width(tokens.shape[1])
            all_own, first = located[row][1], firsts[number]
            own, is_last = all_own[first : first + len(ids)], first + len(ids) == len(all_own)
            places = token_places(texts[row], prompt, own, before, after, first=first == 0, last=is_last)
            parts[number] = span_sums(tokens[start:], places[start:], texts[row], spans[row])

        self._run_windows(windows, prompt, take)
        found = []
        for row, group in groupby(range(len(windows)), key=lambda number: windows[number].row):
            means = span_means([parts[number] for number in group])
            vectors = np.zeros((len(means), self.dim), dtype=np.float32)
            for place, mean in enumerate(means):
                vectors[place] = self._finished(mean)
            self._check_finite(vectors, [texts[row]] * len(vectors))
            found.append(vectors)
        return found

    def _vector(self, tokens: Vectors, start: int) -> Vector:
        """Return what becomes of one window's token vectors, the first `start` of them left out."""
        self._check_width(tokens.shape[1])
        return self._finished(pool(tokens, self._pooling, start=start))

    def _finished(self, vector: Vector) -> Vector:
        """Return what the dense layers make of a pooled vector, cut where the manifest says so."""
        for layer in self._dense:
            vector = layer(vector)
        return vector[: self.dim]

    def _check_finite(self, vectors: Vectors, texts: Sequence[str]) -> None:
        """Refuse numbers that are not finite, naming the text.

        Raises:
            ModelError: There are some.
        """
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise ModelError(
                f"model {self.manifest.name} gave numbers that are not finite for {texts[row][:80]!r}"
            )

    def _check_width(self, hidden: int) -> None:
        """Compare the width of token vectors with what follows them.

        A manifest may state fewer numbers than come out: the vector is then cut.

        Raises:
            DamagedModelError: They do not fit.
            UsageError: Another pooling was asked for, and the model's vectors are cut.
        """
        width, name = hidden * len(pooling_modes(self._pooling)), self.manifest.name
        for layer in self._dense:
            if layer.inputs != width:
                raise DamagedModelError(
                    f"model {name}: a dense layer takes {layer.inputs} numbers, not {width}"
                )
            width = layer.outputs
        if width < self.dim:
            raise DamagedModelError(
                f"model {name}: gives {width} numbers, its manifest says {self.manifest.dim}"
            )
        if width > self.dim and self._pooling != self.manifest.pooling:
            raise UsageError(f"--pooling {self._pooling}: the vectors of {name} are cut to a part of them")

    def _combine(self, windows: Sequence[Window], pooled: Vectors, count: int) -> Vectors:
        """Return a vector a text: that of its window, or the mean over windows weighted by their tokens."""
        vectors = np.zeros((count, self.dim), dtype=np.float32)
        for row, group in groupby(range(len(windows)), key=lambda number: windows[number].row):
            numbers = list(group)
            if len(numbers) == 1:
                vectors[row] = pooled[numbers[0]]
                continue
            weights = np.array([_pooled_tokens(windows[number]) for number in numbers], dtype=np.float32)
            vectors[row] = (pooled[numbers] * weights[:, None]).sum(axis=0) / max(weights.sum(), 1)
        return vectors


def _pooled_tokens(window: Window) -> int:
    """Return how many tokens of text a window's vector is made of."""
    return max(0, len(window.token_ids) - window.skip)


def _first_tokens(windows: Sequence[Window]) -> list[int]:
    """Return for each window how many tokens of its text stand in the windows before it."""
    firsts: list[int] = []
    for before, window in zip([None, *windows], windows, strict=False):
        same = before is not None and before.row == window.row
        firsts.append(firsts[-1] + len(before.token_ids) if before is not None and same else 0)
    return firsts
