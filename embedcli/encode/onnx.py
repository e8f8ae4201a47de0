"""The encoder that runs an ONNX graph, and applies what follows it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from embedcli.encode.dense import DenseLayer
from embedcli.encode.encoder import Encoded
from embedcli.encode.manifest import verify_files
from embedcli.encode.onnx_ports import input_dtypes, token_output
from embedcli.encode.pooling import pool, pooled_dim, pooling_modes
from embedcli.encode.session import open_session, run
from embedcli.encode.spans import SpanSums, check_can_pool_spans, span_means, span_sums, token_places
from embedcli.encode.tokenizer import Tokenizer
from embedcli.errors import DamagedModelError, ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    from embedcli.datatypes import OnLong, Pooling, TokenSpan, Vector, Vectors
    from embedcli.encode.manifest import Manifest

PADDED_CALL_TOKENS = 16_384
"""Tokens of one padded call on a GPU, where a call must be large to pay."""

EQUAL_CALL_TOKENS = 128
"""Tokens of one call with texts of one length on a CPU: beyond it there is nothing to gain, measured."""

_OUT_OF_TABLE = ("out of data bounds", "index out of range")
"""ONNX Runtime's words for an id or a position beyond a table."""

T = TypeVar("T")


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
    """Runs a model folder's ONNX graph on CPU or GPU.

    On the CPU, `jobs` threads share one session, and nothing is ever padded: texts share a call only when
    they have the same number of tokens and the manifest says that company does not change their vectors.
    (Dynamic scales are taken over the whole call, and would.) On a GPU, calls are padded and large.
    """

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
        file = manifest.variants[variant].file
        self._session = open_session(
            folder / file,
            manifest.files[file].sha256,
            device=device,
            threads=1 if device == "cpu" else jobs,
            cache_folder=cache_folder,
        )
        self._inputs = input_dtypes(self._session, folder / file)
        self._output, hidden = token_output(self._session, folder / file)
        if hidden is not None:
            self._check_width(hidden)
        self._pool: ThreadPoolExecutor | None = None
        self._stopped = False

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

        self._share(locate, range(len(texts)), self.jobs)
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

    def close(self) -> None:
        """Stop the workers; a call that is under way ends early with a ModelError."""
        self._stopped = True
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _run_windows(
        self, windows: Sequence[_Window], prompt: str, take: Callable[[int, Vectors, int], None]
    ) -> None:
        """Run the graph over all windows; hand over each one's number, tokens and first token that counts."""
        # Special tokens before the prompt are left out together with it.
        head = len(self._tokenizer.prefix) if prompt and not self.manifest.pool_prompt else 0

        def work(calls: Iterator[list[int]]) -> None:
            for call in calls:
                tokens = self._call([windows[number].token_ids for number in call])
                for number, of_window in zip(call, tokens, strict=True):
                    take(number, of_window, head + windows[number].skip)

        # One call at a time on a GPU; on a CPU the longest first, so that no worker is left with one.
        self._share(work, self._calls(windows), 1 if self.device != "cpu" else self.jobs)

    def _share(self, work: Callable[[Iterator[T]], None], items: Sequence[T], workers: int) -> None:
        """Let `work` take from the items in as many threads as are wanted, or here if that is one.

        Raises:
            ModelError: The encoder was closed meanwhile.
        """

        def until_closed() -> Iterator[T]:
            for item in items:
                if self._stopped:
                    raise ModelError("the encoder was closed")
                yield item

        if min(workers, len(items)) <= 1:
            work(until_closed())
            return
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self.jobs, thread_name_prefix="encode")
        shared = _Locked(until_closed())
        for future in [self._pool.submit(work, shared) for _ in range(workers)]:
            future.result()

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

        self._share(work, range(len(texts)), self.jobs)
        kept = [ids[:size] for ids in ids_of] if on_long == "truncate" else ids_of
        return self._windows(kept, prompt), [len(ids) + special for ids in ids_of]

    def _windows(self, ids_of: Sequence[list[int]], prompt: str) -> list[_Window]:
        """Return the windows of texts whose tokens are given."""
        size = self.content_tokens
        skip = 0 if self.manifest.pool_prompt else self._tokenizer.prompt_tokens(prompt)
        # The last special token always takes part.
        spare = max(0, len(self._tokenizer.suffix) - 1)
        return [
            _Window(row, part := ids[start : start + size], max(0, min(skip - start, len(part) + spare)))
            for row, ids in enumerate(ids_of)
            for start in range(0, max(1, len(ids)), size)
        ]

    def _calls(self, windows: Sequence[_Window]) -> list[list[int]]:
        """Return which windows go through the graph together, the longest first."""
        special = self.manifest.max_tokens - self.content_tokens
        order = sorted(range(len(windows)), key=lambda number: -len(windows[number].token_ids))
        calls: list[list[int]] = []
        budget = PADDED_CALL_TOKENS
        if self.device == "cpu":
            budget = 0 if self.manifest.variants[self.variant].one_text_per_call else EQUAL_CALL_TOKENS
        for number in order:
            call = calls[-1] if calls else []
            width = len(windows[call[0]].token_ids) if call else 0
            fits = (len(call) + 1) * (width + special) <= budget
            same = self.device != "cpu" or width == len(windows[number].token_ids)
            if call and fits and same:
                call.append(number)
            else:
                calls.append([number])
        return calls

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

    def _call(self, windows: Sequence[list[int]]) -> list[Vectors]:
        """Run the graph once and return each window's token vectors, shape (tokens, dim), float32."""
        prefix, suffix = self._tokenizer.prefix, self._tokenizer.suffix
        lengths = [len(ids) + len(prefix) + len(suffix) for ids in windows]
        shape = (len(windows), max(lengths))
        token_ids = np.full(shape, self._tokenizer.pad_id, dtype=np.int64)
        attention_mask = np.zeros(shape, dtype=np.int64)
        for row, (ids, length) in enumerate(zip(windows, lengths, strict=True)):
            token_ids[row, :length] = prefix + ids + suffix
            attention_mask[row, :length] = 1
        feeds = {
            "input_ids": token_ids,
            "attention_mask": attention_mask,
            "token_type_ids": np.zeros(shape, dtype=np.int64),
            # Nothing is padded on the left, so that positions are the same with and without padding.
            "position_ids": np.broadcast_to(np.arange(shape[1], dtype=np.int64), shape),
        }
        taken = {name: feeds[name].astype(dtype, copy=False) for name, dtype in self._inputs.items()}
        try:
            hidden = run(self._session, taken, self._output)
        except ModelError as error:
            if any(words in str(error) for words in _OUT_OF_TABLE):
                raise ModelError(
                    f"model {self.manifest.name}: the graph has no token {token_ids.max()} or no position "
                    f"{shape[1] - 1}: {self.manifest.tokenizer} or max_tokens belongs to another model"
                ) from error
            raise
        return [hidden[row, :length].astype(np.float32, copy=False) for row, length in enumerate(lengths)]


def _pooled_tokens(window: _Window) -> int:
    """Return how many tokens of text a window's vector is made of."""
    return max(0, len(window.token_ids) - window.skip)


def _first_tokens(windows: Sequence[_Window]) -> list[int]:
    """Return for each window how many tokens of its text stand in the windows before it."""
    firsts: list[int] = []
    for before, window in zip([None, *windows], windows, strict=False):
        same = before is not None and before.row == window.row
        firsts.append(firsts[-1] + len(before.token_ids) if before is not None and same else 0)
    return firsts


class _Locked(Iterator[T]):
    """An iterator that several threads may take from."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items, self._lock = items, Lock()

    def __next__(self) -> T:
        with self._lock:
            return next(self._items)
