"""Texts through an ONNX graph, in windows of as many tokens as it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from embedcli.encode.manifest import verify_files
from embedcli.encode.onnx_ports import TOKEN_VECTORS, token_output
from embedcli.encode.token_graph import PADDED_CALL_TOKENS, TokenGraph, TokenRow
from embedcli.encode.tokenizer import Tokenizer
from embedcli.errors import DamagedModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from embedcli.datatypes import OnLong, TokenSpan, Vectors
    from embedcli.encode.manifest import Manifest


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
    """What encoders of single texts have in common: a tokenizer, windows, and a `TokenGraph`."""

    outputs: ClassVar[tuple[str, ...]] = TOKEN_VECTORS
    """What the output that is read may be called; see `token_output`."""

    padded_call_tokens: ClassVar[int] = PADDED_CALL_TOKENS
    """Tokens of one padded call on a GPU."""

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
        self._graph = TokenGraph(
            folder,
            manifest,
            variant=variant,
            device=device,
            jobs=jobs,
            pad_id=self._tokenizer.pad_id,
            padded_call_tokens=self.padded_call_tokens,
            cache_folder=cache_folder,
        )
        self._output, self._width = token_output(self._graph.session, self._graph.path, self.outputs)

    @property
    def content_tokens(self) -> int:
        """Tokens of text that one call takes."""
        return self.manifest.max_tokens - len(self._tokenizer.prefix) - len(self._tokenizer.suffix)

    def token_spans(self, text: str) -> list[TokenSpan]:
        """Return where the tokens stand in the text, special tokens left out."""
        return self._tokenizer.token_spans(text)

    def close(self) -> None:
        """Stop the workers; a call that is under way ends early with a ModelError."""
        self._graph.close()

    def _run_windows(
        self, windows: Sequence[Window], prompt: str, take: Callable[[int, Vectors, int], None]
    ) -> None:
        """Run the graph over all windows; hand over each one's number, tokens and first token that counts.

        `take` is called from several threads, once for each window.
        """
        prefix, suffix = self._tokenizer.prefix, self._tokenizer.suffix
        # Special tokens before the prompt are left out together with it.
        head = len(prefix) if prompt and not self.manifest.pool_prompt else 0
        lengths = [len(prefix) + len(window.token_ids) + len(suffix) for window in windows]

        def row(number: int) -> TokenRow:
            return TokenRow(prefix + windows[number].token_ids + suffix, [])

        def given(number: int, tokens: Any) -> None:
            own = tokens[: lengths[number]].astype(np.float32, copy=False)
            take(number, own, head + windows[number].skip)

        self._graph.run_rows(lengths, row, self._output, given)

    def _tokenize(self, texts: Sequence[str], on_long: OnLong, prompt: str) -> tuple[list[Window], list[int]]:
        """Return the windows of all texts, in order, and each text's count of tokens, special ones too."""
        size, special = self.content_tokens, self.manifest.max_tokens - self.content_tokens
        ids_of: list[list[int]] = [[] for _ in texts]

        def work(rows: Iterator[int]) -> None:
            for row in rows:
                limit = size if on_long == "truncate" else None
                ids_of[row] = self._tokenizer.token_ids(prompt + texts[row], limit)

        self._graph.share(work, range(len(texts)), self.jobs)
        kept = [ids[:size] for ids in ids_of] if on_long == "truncate" else ids_of
        return self._windows(kept, prompt), [len(ids) + special for ids in ids_of]

    def _windows(self, ids_of: Sequence[list[int]], prompt: str) -> list[Window]:
        """Return the windows of texts whose tokens are given."""
        size = self.content_tokens
        skip = 0 if self.manifest.pool_prompt else self._tokenizer.prompt_tokens(prompt)
        # The last special token always takes part.
        spare = max(0, len(self._tokenizer.suffix) - 1)
        return [
            Window(row, part := ids[start : start + size], max(0, min(skip - start, len(part) + spare)))
            for row, ids in enumerate(ids_of)
            for start in range(0, max(1, len(ids)), size)
        ]
