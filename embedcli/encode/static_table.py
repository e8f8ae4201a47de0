"""The table of a static encoder: a row and a scale for each token, in one safetensors file.

| tensor | shape | dtype | what |
|---|---|---|---|
| `rows` | (tokens, dim) | int8, float16 or float32 | a row for each token id |
| `scales` | (tokens,) | float32 | factor of the row, 1 for float32 rows; 0 for a token that does not count |

A token's weight in a text is part of its scale.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from embedcli.errors import DamagedModelError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from embedcli.datatypes import Vector, Vectors
    from embedcli.encode.token_ids import TokenIds

SUMMED_TOKENS = 4096
"""Rows that are gathered at a time, 6 MiB as float32: a long text must not cost more memory."""

_ROW_DTYPES = ("int8", "float16", "float32")


@dataclass(frozen=True, slots=True)
class StaticTable:
    """A vector for each token: `rows[token] * scales[token]`.

    Attributes:
        rows: Shape (tokens, dim), int8, float16 or float32.
        scales: Shape (tokens,), float32.
        all_count: Whether no token is left out of a mean.
    """

    rows: npt.NDArray[np.int8] | npt.NDArray[np.float16] | npt.NDArray[np.float32]
    scales: npt.NDArray[np.float32]
    """For float32 rows, which are the vectors themselves, 1 for a token that counts and 0 for another."""
    all_count: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "all_count", bool(self.scales.all()))

    @property
    def is_scaled(self) -> bool:
        """Whether the rows are the vectors themselves, so that looking them up costs nothing more."""
        return self.rows.dtype == np.float32

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return int(self.rows.shape[1])

    def means(self, tokens: TokenIds) -> Vectors:
        """Return the mean of each text's token vectors, shape (texts, dim), float32.

        Rows are added one after the other in the order of the text, here and in `scaled` tables alike: a
        mean depends on nothing but the text's own tokens. A text without tokens that count has a zero row.

        Args:
            tokens: Token ids of each text, all below the number of rows.
        """
        if self.is_scaled:
            return self._means_by_product(tokens)
        means = np.empty((len(tokens.ends) - 1, self.dim), dtype=np.float32)
        for row, ids in enumerate(tokens.each()):
            total, counted = self._sum(ids)
            np.divide(total, max(counted, 1), out=means[row])
        return means

    def _sum(self, ids: npt.NDArray[np.int64]) -> tuple[Vector, int]:
        """Return the sum of some tokens' vectors, and how many of them count."""
        total, counted = np.zeros(self.dim, dtype=np.float32), 0
        for start in range(0, len(ids), SUMMED_TOKENS):
            index = ids[start : start + SUMMED_TOKENS]
            rows = self.rows.take(index, 0) * self.scales[index, None]
            # The sum so far goes first: the same additions as in one step.
            total = np.add.reduce(np.concatenate([total[None], rows]) if start else rows, 0)
            counted += int(np.count_nonzero(self.scales[index]))
        return total, counted

    def _means_by_product(self, tokens: TokenIds) -> Vectors:
        """Return the same as a product of a sparse matrix and the table, which adds in the same order."""
        from scipy.sparse import csr_array

        ids, ends = tokens
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < len(self.rows):
            # The product below does not look.
            raise IndexError(int(ids.max()))
        counts = np.ones(len(ids), dtype=np.float32)
        means: Vectors = csr_array((counts, ids, ends), shape=(len(ends) - 1, len(self.rows))) @ self.rows
        counted = (
            np.diff(ends) if self.all_count else np.diff(np.append(0, np.cumsum(self.scales[ids] != 0))[ends])
        )
        means /= np.maximum(counted, 1).astype(np.float32)[:, None]
        return means

    def scaled(self) -> StaticTable:
        """Return the same vectors as float32 rows: four times the memory, a fifth of the time of a mean.

        A row's scale stays only as whether the token counts.
        """
        if self.is_scaled:
            return self
        vectors = np.multiply(self.rows, self.scales[:, None], dtype=np.float32)
        return StaticTable(vectors, (self.scales != 0).astype(np.float32))


def quantize_rows(vectors: Vectors) -> StaticTable:
    """Return a table whose rows are int8, each with a scale of its own.

    Args:
        vectors: Shape (tokens, dim), float32. A zero row gets the scale 0 and does not count.

    Returns:
        Each number within half a step of what it was, a step being the row's largest number / 127.
    """
    steps = np.abs(vectors).max(axis=1) / np.float32(127)
    rows = np.rint(vectors / np.where(steps > 0, steps, 1)[:, None]).astype(np.int8)
    return StaticTable(rows, steps.astype(np.float32))


def write_table(table: StaticTable, path: Path) -> None:
    """Write a table as a safetensors file."""
    from safetensors.numpy import save

    path.write_bytes(save({"rows": np.ascontiguousarray(table.rows), "scales": table.scales}))


def read_table(path: Path, sha256: str) -> StaticTable:
    """Read a table after a look at the file's hash.

    Args:
        path: The file.
        sha256: What its content must hash to, in hexadecimal.

    Raises:
        DamagedModelError: The file cannot be read, is not what the hash says, or holds no table.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        content = path.read_bytes()
        if (found := hashlib.sha256(content).hexdigest()) != sha256:
            raise DamagedModelError(
                f"{path}: sha256 is {found}, the manifest says {sha256}",
                hint="the file is damaged or was changed; get the model again",
            )
        tensors = load(content)
        rows, scales = tensors["rows"], tensors["scales"]
    except OSError as error:
        raise DamagedModelError(f"{path}: {error.strerror}") from error
    except (SafetensorError, KeyError) as error:
        raise DamagedModelError(f"{path}: not a token table: {error}") from error
    if rows.ndim != 2 or str(rows.dtype) not in _ROW_DTYPES or scales.dtype != np.float32:
        raise DamagedModelError(f"{path}: not a token table: rows of {rows.dtype}, scales of {scales.dtype}")
    if scales.shape != rows.shape[:1] or not np.isfinite(scales).all():
        raise DamagedModelError(f"{path}: not a token table: {scales.shape} scales for {rows.shape} rows")
    if rows.dtype == np.float32 and not np.isin(scales, (0, 1)).all():
        raise DamagedModelError(f"{path}: not a token table: float32 rows have the scale 1 or 0")
    return StaticTable(rows, scales)
