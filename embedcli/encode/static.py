"""The static encoder: a table with a vector for each token; a text's vector is their mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedcli.encode.encoder import Encoded
from embedcli.encode.manifest import verify_files
from embedcli.encode.static_table import read_table
from embedcli.encode.token_ids import TokenIds
from embedcli.encode.tokenizer import Tokenizer
from embedcli.encode.words import WordTokenizer
from embedcli.errors import DamagedModelError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    from embedcli.datatypes import OnLong, TokenSpan, Vectors
    from embedcli.encode.manifest import Manifest

BLOCK_TEXTS = 256
"""Texts worked on at a time by one worker."""

SCALED_AFTER_TEXTS = 16_384
"""Texts after which scaling the whole table, and loading what multiplies with it, has paid for itself."""


class StaticEncoder:
    """Looks tokens up and averages their rows.

    There are no special tokens and no position: word order does not count. A text without a known token has
    a zero vector. Rows are added in the text's own order, so that no other text changes a sum in its last
    bit.
    """

    device = "cpu"

    def __init__(self, folder: Path, manifest: Manifest, *, variant: str, jobs: int) -> None:
        """Load tokenizer and table.

        Raises:
            DamagedModelError: A file is missing or is not what the manifest says.
        """
        self.manifest, self.variant, self.jobs = manifest, variant, jobs
        verify_files(folder, manifest, (manifest.tokenizer,))
        self._tokenizer = Tokenizer(folder / manifest.tokenizer)
        self._words = WordTokenizer(self._tokenizer)
        file = manifest.variants[variant].file
        self._table = read_table(folder / file, manifest.files[file].sha256)
        if self._table.dim != manifest.dim:
            raise DamagedModelError(
                f"{folder / file}: rows of {self._table.dim} numbers, the manifest says {manifest.dim}"
            )
        if len(self._table.rows) < self._tokenizer.vocabulary_size:
            raise DamagedModelError(
                f"{folder / file}: {len(self._table.rows)} rows for "
                f"{self._tokenizer.vocabulary_size} tokens of {manifest.tokenizer}"
            )
        self._texts = 0
        self._pool: ThreadPoolExecutor | None = None
        self._stopped = False

    @property
    def content_tokens(self) -> int:
        """Tokens of text that count as one window; there are no special tokens."""
        return self.manifest.max_tokens

    def token_spans(self, text: str) -> list[TokenSpan]:
        """Return where the tokens stand in the text."""
        return self._tokenizer.token_spans(text)

    def encode(self, texts: Sequence[str], *, on_long: OnLong = "pool", prompt: str = "") -> Encoded:
        """Return one vector for each text; see `Encoder.encode`.

        Every token of a long text has its share: the mean over windows, weighted by their tokens, is the
        mean over the text.

        Raises:
            ModelError: The table gave numbers that are not finite, or the encoder was closed.
        """
        self._texts += len(texts)
        if self._texts > SCALED_AFTER_TEXTS:
            # The products are the same, number for number.
            self._table = self._table.scaled()

        def work(start: int) -> Encoded:
            if self._stopped:
                raise ModelError("the encoder was closed")
            block = texts[start : start + BLOCK_TEXTS]
            return self._encode_block([prompt + text for text in block] if prompt else block, on_long)

        starts = range(0, len(texts), BLOCK_TEXTS)
        if min(self.jobs, len(starts)) <= 1:
            blocks = [work(start) for start in starts]
        else:
            if self._pool is None:
                from concurrent.futures import ThreadPoolExecutor

                self._pool = ThreadPoolExecutor(self.jobs, thread_name_prefix="encode")
            blocks = list(self._pool.map(work, starts))
        encoded = _joined(blocks, self.manifest.dim)
        vectors = encoded.vectors
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise ModelError(
                f"model {self.manifest.name} gave numbers that are not finite for {texts[row][:80]!r}"
            )
        return encoded

    def token_vectors(self, texts: Sequence[str], *, prompt: str = "") -> list[Vectors]:
        """Return the table's weighted row for each token; see `Encoder.token_vectors`."""
        tokens = self._words.token_ids([prompt + text for text in texts], None)
        rows = self._table.means(TokenIds(tokens.ids, np.arange(len(tokens.ids) + 1)))
        return np.split(rows, tokens.ends[1:-1])

    def span_vectors(
        self,
        texts: Sequence[str],  # noqa: ARG002  (always refused)
        spans: Sequence[Sequence[tuple[int, int]]],  # noqa: ARG002
        *,
        prompt: str = "",  # noqa: ARG002
    ) -> list[Vectors]:
        """Refuse: a table of tokens knows no surroundings.

        Raises:
            ModelError: Always.
        """
        raise ModelError(f"model {self.manifest.name}: a table of tokens knows no surroundings")

    def close(self) -> None:
        """Stop the workers; a call that is under way ends early with a ModelError."""
        self._stopped = True
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _encode_block(self, texts: Sequence[str], on_long: OnLong) -> Encoded:
        """Return the vectors of some texts and how many tokens each has."""
        limit = self.manifest.max_tokens if on_long == "truncate" else None
        tokens = self._words.token_ids(texts, limit)
        try:
            means = self._table.means(tokens if limit is None else tokens.cut(limit))
        except IndexError:
            raise ModelError(
                f"model {self.manifest.name}: its tokenizer knows tokens that the table has no row for"
            ) from None
        return Encoded(means, tokens.counts.tolist())


def _joined(blocks: Sequence[Encoded], dim: int) -> Encoded:
    """Return the blocks as one."""
    if len(blocks) == 1:
        return blocks[0]
    vectors = [block.vectors for block in blocks] or [np.empty((0, dim), dtype=np.float32)]
    return Encoded(np.concatenate(vectors), [count for block in blocks for count in block.token_counts])
