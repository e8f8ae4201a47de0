"""Texts through an ONNX graph: windows of tokens, calls, worker threads."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeVar

import numpy as np

from embedcli.encode.manifest import verify_files
from embedcli.encode.onnx_ports import TOKEN_VECTORS, input_dtypes, token_output
from embedcli.encode.session import open_session, run
from embedcli.encode.tokenizer import Tokenizer
from embedcli.errors import DamagedModelError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    from embedcli.datatypes import OnLong, TokenSpan, Vectors
    from embedcli.encode.manifest import Manifest

EQUAL_CALL_TOKENS = 128
"""Tokens of one call with texts of one length on a CPU: beyond it there is nothing to gain, measured."""

_OUT_OF_TABLE = ("out of data bounds", "index out of range")
"""ONNX Runtime's words for an id or a position beyond a table."""

T = TypeVar("T")


class Window(NamedTuple):
    """Some tokens of one text that go through the graph together.

    Attributes:
        row: The text's row.
        token_ids: Their ids, special tokens left out.
        skip: How many of them, at the head, do not take part in pooling.
    """

    row: int
    token_ids: list[int]
    skip: int


class TextGraph:
    """Runs a model folder's ONNX graph over texts, on CPU or GPU.

    On the CPU, `jobs` threads share one session, and nothing is ever padded: texts share a call only when
    they have the same number of tokens and the manifest says that company does not change their vectors.
    (Dynamic scales are taken over the whole call, and would.) On a GPU, calls are padded and large.
    """

    outputs: ClassVar[tuple[str, ...]] = TOKEN_VECTORS
    """What the output that is read may be called; see `token_output`."""

    padded_call_tokens: ClassVar[int] = 16_384
    """Tokens of one padded call on a GPU, where a call must be large to pay."""

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
            ModelError: The graph is not that of an encoder of texts.
        """
        self.manifest, self.variant, self.device, self.jobs = manifest, variant, device, jobs
        verify_files(folder, manifest, (manifest.tokenizer, *(layer.file for layer in manifest.dense)))
        self._tokenizer = Tokenizer(folder / manifest.tokenizer, lower_case=manifest.lower_case)
        if self.content_tokens < 1:
            raise DamagedModelError(f"{folder}: max_tokens {manifest.max_tokens} leaves no room for a text")
        file = manifest.variants[variant].file
        self._session = open_session(
            folder / file,
            manifest.files[file].sha256,
            device=device,
            threads=1 if device == "cpu" else jobs,
            cache_folder=cache_folder,
        )
        self._inputs = input_dtypes(self._session, folder / file)
        self._output, self._width = token_output(self._session, folder / file, self.outputs)
        self._pool: ThreadPoolExecutor | None = None
        self._stopped = False

    @property
    def content_tokens(self) -> int:
        """Tokens of text that one call takes."""
        return self.manifest.max_tokens - len(self._tokenizer.prefix) - len(self._tokenizer.suffix)

    def token_spans(self, text: str) -> list[TokenSpan]:
        """Return where the tokens stand in the text, special tokens left out."""
        return self._tokenizer.token_spans(text)

    def close(self) -> None:
        """Stop the workers; a call that is under way ends early with a ModelError."""
        self._stopped = True
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _run_windows(
        self, windows: Sequence[Window], prompt: str, take: Callable[[int, Vectors, int], None]
    ) -> None:
        """Run the graph over all windows; hand over each one's number, tokens and first token that counts.

        `take` is called from several threads, once for each window.
        """
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

    def _tokenize(self, texts: Sequence[str], on_long: OnLong, prompt: str) -> tuple[list[Window], list[int]]:
        """Return the windows of all texts, in order, and each text's count of tokens, special ones too."""
        size, special = self.content_tokens, self.manifest.max_tokens - self.content_tokens
        ids_of: list[list[int]] = [[] for _ in texts]

        def work(rows: Iterator[int]) -> None:
            for row in rows:
                limit = size if on_long == "truncate" else None
                ids_of[row] = self._tokenizer.token_ids(prompt + texts[row], limit)

        self._share(work, range(len(texts)), self.jobs)
        skip = 0 if self.manifest.pool_prompt else self._tokenizer.prompt_tokens(prompt)
        # The last special token always takes part.
        spare = max(0, len(self._tokenizer.suffix) - 1)
        windows = []
        for row, ids in enumerate(ids_of):
            kept = ids[:size] if on_long == "truncate" else ids
            windows += [
                Window(row, part := kept[start : start + size], max(0, min(skip - start, len(part) + spare)))
                for start in range(0, max(1, len(kept)), size)
            ]
        return windows, [len(ids) + special for ids in ids_of]

    def _calls(self, windows: Sequence[Window]) -> list[list[int]]:
        """Return which windows go through the graph together, the longest first."""
        special = self.manifest.max_tokens - self.content_tokens
        order = sorted(range(len(windows)), key=lambda number: -len(windows[number].token_ids))
        calls: list[list[int]] = []
        budget = self.padded_call_tokens
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


class _Locked(Iterator[T]):
    """An iterator that several threads may take from."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items, self._lock = items, Lock()

    def __next__(self) -> T:
        with self._lock:
            return next(self._items)
