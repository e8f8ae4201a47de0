"""The encoder that runs an ONNX graph."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from embedcli.encode.encoder import Encoded
from embedcli.encode.manifest import verify_files
from embedcli.encode.pooling import pool
from embedcli.encode.session import open_session, run
from embedcli.encode.tokenizer import Tokenizer
from embedcli.errors import DamagedModelError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    from embedcli.datatypes import OnLong, Pooling, TokenSpan, Vectors
    from embedcli.encode.manifest import Manifest

PADDED_CALL_TOKENS = 16_384
"""Tokens of one padded call on a GPU, where a call must be large to pay."""

EQUAL_CALL_TOKENS = 128
"""Tokens of one call with texts of one length on a CPU: beyond it there is nothing to gain, measured."""

_OUTPUT = "last_hidden_state"


T = TypeVar("T")


class _Window(NamedTuple):
    """Some tokens of one text that go through the graph together: the text's row, and their ids."""

    row: int
    token_ids: list[int]


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
        """Load tokenizer and graph.

        Raises:
            DamagedModelError: A file is missing or is not what the manifest says.
            DeviceError: The device cannot be had.
        """
        self.manifest, self.variant, self.device, self.jobs = manifest, variant, device, jobs
        self._pooling = pooling or manifest.pooling
        verify_files(folder, manifest, (manifest.tokenizer,))
        self._tokenizer = Tokenizer(folder / manifest.tokenizer)
        file = manifest.variants[variant].file
        self._session = open_session(
            folder / file,
            manifest.files[file].sha256,
            device=device,
            threads=1 if device == "cpu" else jobs,
            cache_folder=cache_folder,
        )
        self._inputs = frozenset(item.name for item in self._session.get_inputs())
        unknown = self._inputs - {"input_ids", "attention_mask", "token_type_ids", "position_ids"}
        outputs = {item.name for item in self._session.get_outputs()}
        if unknown or _OUTPUT not in outputs:
            raise DamagedModelError(
                f"{folder / file}: inputs {sorted(self._inputs)} and outputs {sorted(outputs)} "
                f"are not those of a text encoder"
            )
        self._pool: ThreadPoolExecutor | None = None
        self._stopped = False

    @property
    def content_tokens(self) -> int:
        """Tokens of text that one call takes."""
        return self.manifest.max_tokens - len(self._tokenizer.prefix) - len(self._tokenizer.suffix)

    def token_spans(self, text: str) -> list[TokenSpan]:
        """Return where the tokens stand in the text, special tokens left out."""
        return self._tokenizer.token_spans(text)

    def encode(self, texts: Sequence[str], *, on_long: OnLong = "pool") -> Encoded:
        """Return one vector for each text; see `Encoder.encode`.

        Raises:
            ModelError: The graph failed or gave numbers that are not finite.
        """
        windows, token_counts = self._tokenize(texts, on_long)
        pooled = np.zeros((len(windows), self.manifest.dim), dtype=np.float32)

        def work(calls: Iterator[list[int]]) -> None:
            for call in calls:
                tokens = self._token_vectors([windows[number].token_ids for number in call])
                for number, of_window in zip(call, tokens, strict=True):
                    pooled[number] = pool(of_window, self._pooling)

        # One call at a time on a GPU; on a CPU the longest first, so that no worker is left with one.
        self._share(work, self._calls(windows), 1 if self.device != "cpu" else self.jobs)
        vectors = self._combine(windows, pooled, len(texts))
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise ModelError(
                f"model {self.manifest.name} gave numbers that are not finite for {texts[row][:80]!r}"
            )
        return Encoded(vectors, token_counts)

    def close(self) -> None:
        """Stop the workers; a call that is under way ends early with a ModelError."""
        self._stopped = True
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

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

    def _tokenize(self, texts: Sequence[str], on_long: OnLong) -> tuple[list[_Window], list[int]]:
        """Return the windows of all texts, in order, and each text's count of tokens, special ones too."""
        size, special = self.content_tokens, self.manifest.max_tokens - self.content_tokens
        ids_of: list[list[int]] = [[] for _ in texts]

        def work(rows: Iterator[int]) -> None:
            for row in rows:
                limit = size if on_long == "truncate" else None
                ids_of[row] = self._tokenizer.token_ids(texts[row], limit)

        self._share(work, range(len(texts)), self.jobs)
        windows = []
        for row, ids in enumerate(ids_of):
            kept = ids[:size] if on_long == "truncate" else ids
            windows += [
                _Window(row, kept[start : start + size]) for start in range(0, max(1, len(kept)), size)
            ]
        return windows, [len(ids) + special for ids in ids_of]

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
        vectors = np.zeros((count, self.manifest.dim), dtype=np.float32)
        for row, group in groupby(range(len(windows)), key=lambda number: windows[number].row):
            numbers = list(group)
            if len(numbers) == 1:
                vectors[row] = pooled[numbers[0]]
                continue
            weights = np.array([len(windows[number].token_ids) for number in numbers], dtype=np.float32)
            vectors[row] = (pooled[numbers] * weights[:, None]).sum(axis=0) / weights.sum()
        return vectors

    def _token_vectors(self, windows: Sequence[list[int]]) -> list[Vectors]:
        """Run the graph once and return each window's token vectors, shape (tokens, dim), float32."""
        prefix, suffix = self._tokenizer.prefix, self._tokenizer.suffix
        lengths = [len(ids) + len(prefix) + len(suffix) for ids in windows]
        shape = (len(windows), max(lengths))
        token_ids = np.full(shape, self._tokenizer.pad_id, dtype=np.int64)
        attention_mask = np.zeros(shape, dtype=np.int64)
        for row, (ids, length) in enumerate(zip(windows, lengths, strict=True)):
            token_ids[row, :length] = prefix + ids + suffix
            attention_mask[row, :length] = 1
        feeds = {"input_ids": token_ids, "attention_mask": attention_mask}
        if "token_type_ids" in self._inputs:
            feeds["token_type_ids"] = np.zeros(shape, dtype=np.int64)
        if "position_ids" in self._inputs:
            feeds["position_ids"] = np.broadcast_to(np.arange(shape[1], dtype=np.int64), shape)
        hidden = run(self._session, {name: feeds[name] for name in self._inputs}, _OUTPUT)
        return [hidden[row, :length].astype(np.float32, copy=False) for row, length in enumerate(lengths)]


class _Locked(Iterator[T]):
    """An iterator that several threads may take from."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items, self._lock = items, Lock()

    def __next__(self) -> T:
        with self._lock:
            return next(self._items)
