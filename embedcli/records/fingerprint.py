"""Hashes that say whether two texts or two files are the same."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

HASH_BYTES: Final = 16
"""128 bits: among 10**12 texts two share a hash with a chance below 10**-14."""

_BLOCK_BYTES: Final = 1 << 20


def text_hash(text: str) -> bytes:
    """Return 16 bytes that are equal for equal texts and, as far as anyone can tell, only for those.

    Halves of surrogate pairs, which JSON escapes and names of files can hold, are hashed like any character.

    Source: RFC 7693, BLAKE2b with a digest of 16 bytes.
    """
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()


def file_hash(path: str | Path) -> bytes:
    """Return 16 bytes for the content of a file, read block by block.

    Raises:
        OSError: The file cannot be read.

    Source: RFC 7693, BLAKE2b with a digest of 16 bytes.
    """
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  (a name need not be UTF-8)
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.digest()
