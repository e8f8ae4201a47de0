"""What every encoder offers, whatever it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.datatypes import OnLong, TokenSpan, Vectors
    from embedcli.encode.manifest import Manifest


class Encoded(NamedTuple):
    """The vectors of some texts.

    Attributes:
        vectors: Shape (n, dim), float32, one row a text in the order given, not normalized.
        token_counts: Tokens of each text, special tokens counted in; for a text that was cut, only known to
            be more than `Manifest.max_tokens`.
    """

    vectors: Vectors
    token_counts: list[int]


class Encoder(Protocol):
    """Turns texts into vectors. The same text gives the same vector, bit for bit, in any company."""

    @property
    def manifest(self) -> Manifest:
        """What the model says of itself."""
        ...

    @property
    def variant(self) -> str:
        """Which of the manifest's variants is running."""
        ...

    @property
    def device(self) -> str:
        """What it really runs on: `cpu` or `cuda:N`."""
        ...

    @property
    def content_tokens(self) -> int:
        """Tokens of text that one call takes: the model's limit less the special tokens."""
        ...

    def encode(self, texts: Sequence[str], *, on_long: OnLong = "pool", prompt: str = "") -> Encoded:
        """Return one vector for each text.

        Args:
            texts: Texts as they are.
            on_long: What to make of a text over `content_tokens`: `truncate` takes its beginning; anything
                else the token-weighted mean over windows. (`split` and `error` are the caller's to act on.)
            prompt: What is put before each text. A model may leave it out of pooling.
        """
        ...

    def token_vectors(self, texts: Sequence[str], *, prompt: str = "") -> list[Vectors]:
        """Return the vectors of each text's tokens, before pooling.

        Args:
            texts: Texts as they are; of a long one, the tokens of all its windows.
            prompt: What is put before each text. Its tokens are left out where pooling leaves them out.

        Returns:
            For each text, shape (tokens, hidden), float32, special tokens counted in, of any length.

        Raises:
            ModelError: The model has no token vectors that could be compared.
        """
        ...

    def span_vectors(
        self, texts: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]], *, prompt: str = ""
    ) -> list[Vectors]:
        """Return vectors of parts of texts, each pooled from its own tokens in the whole text.

        One part over the whole text has the vector of `encode`. Where parts do not overlap and only white
        space stands between them, their mean weighted by tokens is that of the text, but for dense layers.
        The special tokens and the prompt before a text count for the part that begins with it, special
        tokens after it for the one that ends with it.

        Args:
            texts: Texts as they are; what does not fit goes through the encoder in windows of its own.
            spans: For each text the parts, start and end in characters.
            prompt: As for `encode`.

        Returns:
            For each text, shape (parts, dim), float32, not normalized.

        Raises:
            ModelError: The model's vectors are not made of tokens that know each other, or its pooling is
                not the mean.
        """
        ...

    def token_spans(self, text: str) -> list[TokenSpan]:
        """Return where the tokens stand in the text, special tokens left out."""
        ...

    def close(self) -> None:
        """Stop the workers, also in the middle of a call."""
        ...
