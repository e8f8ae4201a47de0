"""The encoder that runs an ONNX graph, and applies what follows it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedcli.encode.dense import DenseLayer
from embedcli.encode.encoder import Encoded
from embedcli.encode.manifest import verify_files
from embedcli.encode.onnx_ports import token_output
from embedcli.encode.pooling import pool, pooled_dim, pooling_modes
from embedcli.encode.token_graph import TokenGraph, TokenRow
from embedcli.encode.tokenizer import Tokenizer
from embedcli.errors import DamagedModelError, ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from embedcli.datatypes import OnLong, Pooling, TokenSpan, Vector, Vectors
    from embedcli.encode.manifest import Manifest


class _Window(NamedTuple):
    """Some tokens of one text that go through the graph together.

    Attributes:
        row: The text's row.
        token_ids: Their ids, special tokens left out.
        skip: How many of them, at the head, do not take part in pooling.
    """

    row: int
    token_ids: list[int]
    skip: int


class OnnxEncoder:
    """Runs a model folder's ONNX graph on CPU or GPU; see `TokenGraph` for what shares a call."""

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
        self.manifest, self.variant, self.device, self.jobs = manifest, variant, device, jobs
        self._pooling = pooling or manifest.pooling
        self.dim = pooled_dim(manifest, self._pooling)
        verify_files(folder, manifest, (manifest.tokenizer, *(layer.file for layer in manifest.dense)))
        self._tokenizer = Tokenizer(folder / manifest.tokenizer, lower_case=manifest.lower_case)
        if self.content_tokens < 1:
            raise DamagedModelError(f"{folder}: max_tokens {manifest.max_tokens} leaves no room for a text")
        self._dense = [DenseLayer(folder / layer.file, layer.activation) for layer in manifest.dense]
        self._graph = TokenGraph(
            folder,
            manifest,
            variant=variant,
            device=device,
            jobs=jobs,
            pad_id=self._tokenizer.pad_id,
            cache_folder=cache_folder,
        )
        self._output, hidden = token_output(self._graph.session, self._graph.path)
        if hidden is not None:
            self._check_width(hidden)

    @property
    def content_tokens(self) -> int:
        """Tokens of text that one call takes."""
        return self.manifest.max_tokens - len(self._tokenizer.prefix) - len(self._tokenizer.suffix)

    def token_spans(self, text: str) -> list[TokenSpan]:
        """Return where the tokens stand in the text, special tokens left out."""
        return self._tokenizer.token_spans(text)

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
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise ModelError(
                f"model {self.manifest.name} gave numbers that are not finite for {texts[row][:80]!r}"
            )
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

    def close(self) -> None:
        """Stop the workers; a call that is under way ends early with a ModelError."""
        self._graph.close()

    def _run_windows(
        self, windows: Sequence[_Window], prompt: str, take: Callable[[int, Vectors, int], None]
    ) -> None:
        """Run the graph over all windows; hand over each one's number, tokens and first token that counts."""
        prefix, suffix = self._tokenizer.prefix, self._tokenizer.suffix
        # Special tokens before the prompt are left out together with it.
        head = len(prefix) if prompt and not self.manifest.pool_prompt else 0
        lengths = [len(prefix) + len(window.token_ids) + len(suffix) for window in windows]

        def row(number: int) -> TokenRow:
            return TokenRow(prefix + windows[number].token_ids + suffix, [])

        def take_tokens(number: int, hidden: Vectors) -> None:
            tokens = hidden[: lengths[number]].astype(np.float32, copy=False)
            take(number, tokens, head + windows[number].skip)

        self._graph.run_rows(lengths, row, self._output, take_tokens)

    def _vector(self, tokens: Vectors, start: int) -> Vector:
        """Return what becomes of one window's token vectors, the first `start` of them left out."""
        self._check_width(tokens.shape[1])
        vector = pool(tokens, self._pooling, start=start)
        for layer in self._dense:
            vector = layer(vector)
        return vector[: self.dim]

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

    def _tokenize(
        self, texts: Sequence[str], on_long: OnLong, prompt: str
    ) -> tuple[list[_Window], list[int]]:
        """Return the windows of all texts, in order, and each text's count of tokens, special ones too."""
        size, special = self.content_tokens, self.manifest.max_tokens - self.content_tokens
        ids_of: list[list[int]] = [[] for _ in texts]

        def work(rows: Iterator[int]) -> None:
            for row in rows:
                limit = size if on_long == "truncate" else None
                ids_of[row] = self._tokenizer.token_ids(prompt + texts[row], limit)

        self._graph.share(work, range(len(texts)), self.jobs)
        skip = 0 if self.manifest.pool_prompt else self._tokenizer.prompt_tokens(prompt)
        # The last special token always takes part.
        spare = max(0, len(self._tokenizer.suffix) - 1)
        windows = []
        for row, ids in enumerate(ids_of):
            kept = ids[:size] if on_long == "truncate" else ids
            windows += [
                _Window(row, part := kept[start : start + size], max(0, min(skip - start, len(part) + spare)))
                for start in range(0, max(1, len(kept)), size)
            ]
        return windows, [len(ids) + special for ids in ids_of]

    def _combine(self, windows: Sequence[_Window], pooled: Vectors, count: int) -> Vectors:
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


def _pooled_tokens(window: _Window) -> int:
    """Return how many tokens of text a window's vector is made of."""
    return max(0, len(window.token_ids) - window.skip)
