"""The encoder that runs an ONNX graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedcli.encode.encoder import Encoded
from embedcli.encode.manifest import verify_files
from embedcli.encode.pooling import pool
from embedcli.encode.session import open_session, run
from embedcli.encode.tokenizer import Tokenizer
from embedcli.errors import DamagedModelError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    from embedcli.datatypes import OnLong, Pooling, TokenSpan, Vector, Vectors
    from embedcli.encode.manifest import Manifest

BATCH_TOKENS = 16_384
"""Tokens of one padded call on a GPU, where a call must be large to pay."""

_OUTPUT = "last_hidden_state"


class _Window:
    """Some tokens of one text that go through the graph together."""

    __slots__ = ("text", "token_ids")

    def __init__(self, text: int, token_ids: list[int]) -> None:
        self.text = text
        self.token_ids = token_ids


class OnnxEncoder:
    """Runs a model folder's ONNX graph on CPU or GPU.

    On the CPU each text is one unpadded call from one of `jobs` threads over one session. That is the
    fastest shape there, and the only one in which the dynamic scales of an int8 graph, taken over the whole
    activation tensor, cannot make a text's vector depend on its neighbours.
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
        vectors = np.zeros((len(texts), self.manifest.dim), dtype=np.float32)
        token_counts = [0] * len(texts)
        if self.device == "cpu":
            self._encode_singly(texts, on_long, vectors, token_counts)
        else:
            self._encode_batches(texts, on_long, vectors, token_counts)
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

    def _windows(self, text: str, on_long: OnLong) -> tuple[list[list[int]], int]:
        """Return the token ids of a text, cut into windows, and how many tokens it has with the special ones."""
        size = self.content_tokens
        ids = self._tokenizer.token_ids(text, limit=size if on_long == "truncate" else None)
        count = len(ids) + self.manifest.max_tokens - size
        if len(ids) <= size or on_long == "truncate":
            return [ids[:size]], count
        return [ids[start : start + size] for start in range(0, len(ids), size)], count

    def _encode_singly(
        self, texts: Sequence[str], on_long: OnLong, vectors: Vectors, token_counts: list[int]
    ) -> None:
        """Fill `vectors` and `token_counts`, one text a call."""

        def work(rows: Iterator[int]) -> None:
            for row in rows:
                if self._stopped:
                    raise ModelError("the encoder was closed")
                windows, token_counts[row] = self._windows(texts[row], on_long)
                vectors[row] = self._mean_of_windows(
                    [(self._token_vectors([ids])[0], len(ids)) for ids in windows]
                )

        workers = min(self.jobs, len(texts))
        if workers <= 1:
            work(iter(range(len(texts))))
            return
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self.jobs, thread_name_prefix="encode")
        # Longest first, so that no worker is left with a long text at the end.
        order = iter(sorted(range(len(texts)), key=lambda row: -len(texts[row])))
        for future in [self._pool.submit(work, order) for _ in range(workers)]:
            future.result()

    def _encode_batches(
        self, texts: Sequence[str], on_long: OnLong, vectors: Vectors, token_counts: list[int]
    ) -> None:
        """Fill `vectors` and `token_counts` in padded calls of windows of about one length."""
        windows: list[_Window] = []
        for row, text in enumerate(texts):
            cut, token_counts[row] = self._windows(text, on_long)
            windows += [_Window(row, ids) for ids in cut]
        windows.sort(key=lambda window: -len(window.token_ids))
        parts: dict[int, list[tuple[Vectors, int]]] = {}
        start = 0
        while start < len(windows):
            if self._stopped:
                raise ModelError("the encoder was closed")
            width = len(windows[start].token_ids) + self.manifest.max_tokens - self.content_tokens
            batch = windows[start : start + max(1, BATCH_TOKENS // width)]
            for window, tokens in zip(
                batch, self._token_vectors([window.token_ids for window in batch]), strict=True
            ):
                parts.setdefault(window.text, []).append((tokens, len(window.token_ids)))
            start += len(batch)
        for row, windows_of_text in parts.items():
            vectors[row] = self._mean_of_windows(windows_of_text)

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

    def _mean_of_windows(self, windows: Sequence[tuple[Vectors, int]]) -> Vector:
        """Pool each window's token vectors and return their mean, weighted by tokens of text."""
        if len(windows) == 1:
            return pool(windows[0][0], self._pooling)
        pooled = np.stack([pool(tokens, self._pooling) for tokens, _ in windows])
        weights = np.array([count for _, count in windows], dtype=np.float32)
        mean: Vector = (pooled * weights[:, None]).sum(axis=0) / weights.sum()
        return mean
