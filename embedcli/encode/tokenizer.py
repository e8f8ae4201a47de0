"""Text to token ids, in bounded pieces whatever the text's length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedcli.datatypes import TokenSpan
from embedcli.errors import DamagedModelError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIECE_CHARS = 16_384
"""Most characters that the tokenizer sees at once. Its time and memory are only known to be linear for
bounded input: some tokenizers are quadratic in the length of a text."""

_SAMPLE = "a"


class Tokenizer:
    """A `tokenizer.json` of the tokenizers library.

    Attributes:
        prefix: Ids of the special tokens before a text.
        suffix: Ids of those after it.
        pad_id: What fills a batch up.
    """

    def __init__(self, path: Path) -> None:
        """Load the tokenizer.

        Raises:
            DamagedModelError: The library cannot read the file.
        """
        import tokenizers

        try:
            self._inner = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # the library raises bare Exception
            raise DamagedModelError(f"{path}: not a tokenizer: {error}") from error
        padding = self._inner.padding
        self.pad_id: int = padding["pad_id"] if padding else 0
        self._inner.no_truncation()
        self._inner.no_padding()
        bare = self._inner.encode(_SAMPLE, add_special_tokens=False).ids
        whole = self._inner.encode(_SAMPLE).ids
        start = next((i for i in range(len(whole)) if whole[i : i + len(bare)] == bare), None)
        if not bare or start is None:
            raise DamagedModelError(f"{path}: its special tokens do not stand around the text")
        self.prefix: list[int] = whole[:start]
        self.suffix: list[int] = whole[start + len(bare) :]

    def token_ids(self, text: str, limit: int | None = None) -> list[int]:
        """Return the ids of a text without special tokens; reading stops once `limit` ids are passed.

        A limit keeps the cost of a text that will be cut independent of its length.
        """
        ids: list[int] = []
        for start, end in pieces(text):
            ids += self._encode(text if end - start == len(text) else text[start:end]).ids
            if limit is not None and len(ids) > limit:
                break
        return ids

    def token_spans(self, text: str) -> list[TokenSpan]:
        """Return where the tokens stand in the text, in characters, special tokens left out."""
        return [
            TokenSpan(start + first, start + last)
            for start, end in pieces(text)
            for first, last in self._encode(text[start:end]).offsets
        ]

    def _encode(self, piece: str):  # type: ignore[no-untyped-def]  # noqa: ANN202  (the library's own type)
        try:
            return self._inner.encode(piece, add_special_tokens=False)
        except TypeError:
            # Half of a surrogate pair, from JSON, has no UTF-8 form and is refused. One character for one,
            # so that offsets stay right.
            clean = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in piece)
            return self._inner.encode(clean, add_special_tokens=False)
        except BaseException as error:
            # A panic in the library arrives as a BaseException of its own.
            if type(error).__name__ == "PanicException":
                raise ModelError(f"the tokenizer failed on a text: {error}") from error
            raise


def pieces(text: str, size: int = PIECE_CHARS) -> Iterator[tuple[int, int]]:
    """Cut a text into spans of at most `size` characters, before white space where there is any.

    The spans join back to the text. Cutting before white space leaves every word whole, and its leading
    space with it, so that the tokens are those of the uncut text; a word longer than `size` is cut hard.
    """
    start = 0
    while len(text) - start > size:
        cut = start + size
        while cut > start and not text[cut].isspace():
            cut -= 1
        if cut == start:
            cut = start + size
        yield start, cut
        start = cut
    yield start, len(text)
