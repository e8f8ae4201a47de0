"""A model's ONNX graph over token ids: which texts share a call, what a call takes, and the threads."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from embedcli.encode.onnx_ports import input_dtypes
from embedcli.encode.session import open_session, run
from embedcli.errors import DamagedModelError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    from embedcli.encode.manifest import Manifest

PADDED_CALL_TOKENS = 16_384
"""Tokens of one padded call on a GPU, where a call must be large to pay."""

EQUAL_CALL_TOKENS = 128
"""Tokens of one call with texts of one length on a CPU: beyond it there is nothing to gain, measured."""

_OUT_OF_TABLE = ("out of data bounds", "index out of range")
"""ONNX Runtime's words for an id or a position beyond a table."""

T = TypeVar("T")


class TokenRow(NamedTuple):
    """What goes through the graph as one row.

    Attributes:
        token_ids: All of them, special tokens counted in.
        type_ids: Which of two texts each is of, 0 or 1; empty where there is one text.
    """

    token_ids: list[int]
    type_ids: list[int]


class TokenGraph:
    """One variant of a model folder's graph, open on CPU or GPU.

    On the CPU, `jobs` threads share one session, and nothing is ever padded: rows share a call only when
    they have the same number of tokens and the manifest says that company does not change what comes out.
    (Dynamic scales are taken over the whole call, and would.) On a GPU, calls are padded and large.

    Attributes:
        path: The file.
        session: The `onnxruntime.InferenceSession`.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        *,
        variant: str,
        device: str,
        jobs: int,
        pad_id: int,
        padded_call_tokens: int = PADDED_CALL_TOKENS,
        cache_folder: Path | None = None,
    ) -> None:
        """Open the graph.

        Args:
            folder: The model's.
            manifest: What it says.
            variant: One of those.
            device: `cpu` or `cuda:N`.
            jobs: Threads.
            pad_id: What fills a padded call up.
            padded_call_tokens: Tokens of one padded call on a GPU.
            cache_folder: Where optimized graphs are kept; None for nowhere.

        Raises:
            DamagedModelError: The file is missing, is not what the manifest says, or takes something else
                than token ids.
            DeviceError: The device cannot be had.
            ModelError: The graph is for writing text.
        """
        self._manifest, self._pad_id, self._padded_call_tokens = manifest, pad_id, padded_call_tokens
        self._device, self._jobs = device, jobs
        self._one_per_call = manifest.variants[variant].one_text_per_call
        file = manifest.variants[variant].file
        self.path = folder / file
        self.session: Any = open_session(
            self.path,
            manifest.files[file].sha256,
            device=device,
            threads=1 if device == "cpu" else jobs,
            cache_folder=cache_folder,
        )
        self._inputs = input_dtypes(self.session, self.path)
        self._pool: ThreadPoolExecutor | None = None
        self._stopped = False

    def close(self) -> None:
        """Stop the workers; a call that is under way ends early with a ModelError."""
        self._stopped = True
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def run_rows(
        self,
        lengths: Sequence[int],
        row: Callable[[int], TokenRow],
        output: str,
        take: Callable[[int, Any], None],
    ) -> None:
        """Run the graph over some rows, several threads at once.

        Args:
            lengths: How many tokens each row has.
            row: Gives a row by its number.
            output: Which of the graph's outputs is wanted.
            take: Called with a row's number and what came out for it, padding included, in any order.

        Raises:
            DamagedModelError: It gave another number of rows than it took.
            ModelError: The graph failed, or was closed meanwhile.
        """

        def work(calls: Iterator[list[int]]) -> None:
            for call in calls:
                for number, given in zip(
                    call, self._call([row(number) for number in call], output), strict=True
                ):
                    take(number, given)

        # One call at a time on a GPU; on a CPU the longest first, so that no worker is left with one.
        self.share(work, self._calls(lengths), 1 if self._device != "cpu" else self._jobs)

    def share(self, work: Callable[[Iterator[T]], None], items: Sequence[T], workers: int) -> None:
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

            self._pool = ThreadPoolExecutor(self._jobs, thread_name_prefix="encode")
        shared = _Locked(until_closed())
        for future in [self._pool.submit(work, shared) for _ in range(workers)]:
            future.result()

    def _calls(self, lengths: Sequence[int]) -> list[list[int]]:
        """Return which rows go through the graph together, the longest first."""
        order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
        calls: list[list[int]] = []
        budget = self._padded_call_tokens
        if self._device == "cpu":
            budget = 0 if self._one_per_call else EQUAL_CALL_TOKENS
        for number in order:
            call = calls[-1] if calls else []
            width = lengths[call[0]] if call else 0
            fits = (len(call) + 1) * width <= budget
            same = self._device != "cpu" or width == lengths[number]
            if call and fits and same:
                call.append(number)
            else:
                calls.append([number])
        return calls

    def _call(self, rows: Sequence[TokenRow], output: str) -> Any:
        """Run the graph once and return what it gives, the axis of rows in front."""
        shape = (len(rows), max(len(row.token_ids) for row in rows))
        token_ids = np.full(shape, self._pad_id, dtype=np.int64)
        attention_mask, type_ids = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for number, row in enumerate(rows):
            token_ids[number, : len(row.token_ids)] = row.token_ids
            attention_mask[number, : len(row.token_ids)] = 1
            type_ids[number, : len(row.type_ids)] = row.type_ids
        feeds = {
            "input_ids": token_ids,
            "attention_mask": attention_mask,
            "token_type_ids": type_ids,
            # Nothing is padded on the left, so that positions are the same with and without padding.
            "position_ids": np.broadcast_to(np.arange(shape[1], dtype=np.int64), shape),
        }
        taken = {name: feeds[name].astype(dtype, copy=False) for name, dtype in self._inputs.items()}
        try:
            given = run(self.session, taken, output)
        except ModelError as error:
            if any(words in str(error) for words in _OUT_OF_TABLE):
                raise ModelError(
                    f"model {self._manifest.name}: the graph has no token {token_ids.max()} or no position "
                    f"{shape[1] - 1}: {self._manifest.tokenizer} or max_tokens belongs to another model"
                ) from error
            raise
        if np.shape(given)[:1] != shape[:1]:
            raise DamagedModelError(f"{self.path}: gives {np.shape(given)} for {shape[0]} texts")
        return given


class _Locked(Iterator[T]):
    """An iterator that several threads may take from."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items, self._lock = items, Lock()

    def __next__(self) -> T:
        with self._lock:
            return next(self._items)
