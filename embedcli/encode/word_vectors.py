"""Files of word vectors: GloVe and word2vec text, word2vec binary, gzipped or not.

Source: the formats that the programs `glove`, `word2vec` and `fastText` write.
"""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from embedcli.errors import DamagedModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from embedcli.datatypes import Vectors

UNKNOWN = "[UNK]"
_SUFFIXES = (".txt", ".vec", ".bin", ".glove", ".w2v")
MAX_WORDS = 10_000_000
MAX_DIM = 8192
_MAX_WORD_BYTES = 4096


def is_word_vectors(path: Path) -> bool:
    """Return whether a file's name is one that word vectors have."""
    return path.name.removesuffix(".gz").endswith(_SUFFIXES)


def read_word_vectors(path: Path) -> tuple[list[str], Vectors]:
    """Read a file of word vectors.

    Words come in the file's order, which is by frequency in most; a word that comes again is left out.

    Returns:
        The words, and their vectors, shape (words, dim), float32.

    Raises:
        DamagedModelError: The file cannot be read, or a line is no word with its numbers; it is named.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            plain = cast("BinaryIO", stream)
            if path.name.removesuffix(".gz").endswith(".bin"):
                return _read_binary(plain, path)
            return _read_text(plain, path)
    except (OSError, EOFError) as error:
        raise DamagedModelError(f"{path}: {error}") from error


def _read_text(stream: BinaryIO, path: Path) -> tuple[list[str], Vectors]:
    words: list[str] = []
    seen: set[str] = set()
    rows: list[Vectors] = []
    dim = 0
    for number, line in enumerate(stream, start=1):
        parts = line.rstrip().split(b" ")
        if number == 1 and len(parts) == 2 and all(part.isdigit() for part in parts):
            # word2vec's header: how many words, how many numbers.
            continue
        dim = dim or len(parts) - 1
        try:
            # A word may hold spaces: the numbers are counted from the end.
            row = np.array(parts[-dim:], dtype=np.float32)
        except ValueError:
            row = np.zeros(0, dtype=np.float32)
        word = b" ".join(parts[:-dim]).decode("utf-8", "replace")
        if not 0 < dim <= MAX_DIM or len(row) != dim or not word or not np.isfinite(row).all():
            raise DamagedModelError(f"{path}:{number}: not a word followed by {dim or 'its'} numbers")
        if len(words) >= MAX_WORDS:
            raise DamagedModelError(f"{path}: more than {MAX_WORDS} words")
        if word not in seen and word != UNKNOWN:
            seen.add(word)
            words.append(word)
            rows.append(row)
    if not words:
        raise DamagedModelError(f"{path}: no word vectors in it")
    return words, np.stack(rows)


def _read_binary(stream: BinaryIO, path: Path) -> tuple[list[str], Vectors]:
    header = stream.readline(64).split()
    if len(header) != 2 or not all(part.isdigit() for part in header):
        raise DamagedModelError(f"{path}: not word2vec's binary form")
    count, dim = map(int, header)
    if not (0 < count <= MAX_WORDS and 0 < dim <= MAX_DIM):
        raise DamagedModelError(f"{path}: {count} words of {dim} numbers are not believable")
    words: list[str] = []
    seen: set[str] = set()
    rows: list[Vectors] = []
    for number in range(count):
        word = bytearray()
        while (char := stream.read(1)) not in (b" ", b""):
            word += char
            if len(word) > _MAX_WORD_BYTES:
                raise DamagedModelError(f"{path}: word {number + 1} does not end")
        numbers = stream.read(4 * dim)
        row = np.frombuffer(numbers, dtype="<f4") if len(numbers) == 4 * dim else None
        if row is None or not np.isfinite(row).all():
            raise DamagedModelError(f"{path}: cut off or damaged at word {number + 1} of {count}")
        text = word.decode("utf-8", "replace").lstrip("\n")
        if text and text not in seen and text != UNKNOWN:
            seen.add(text)
            words.append(text)
            rows.append(row.astype(np.float32))
    return words, np.stack(rows)


def word_tokenizer(words: Sequence[str]) -> str:
    """Return a tokenizer for a list of words, as JSON text: id 0 for unknown words, then the list.

    Text falls into words and punctuation marks as BERT splits it. It is put into lower case if no word of
    the list has a capital letter.
    """
    lower_case = not any(word != word.lower() for word in words)
    vocabulary = {UNKNOWN: 0, **{word: number for number, word in enumerate(words, start=1)}}
    unknown = {"id": 0, "content": UNKNOWN, "single_word": False, "lstrip": False, "rstrip": False}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{**unknown, "normalized": False, "special": True}],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": False,
            "lowercase": lower_case,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": UNKNOWN},
    }
    return json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
