"""Texts and records to sparse vectors, with one model and one set of settings."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING

from embedcli.errors import TextTooLongError
from embedcli.records.fingerprint import text_hash
from embedcli.tasks.chunks import split_long
from embedcli.tasks.pipeline import batches, overlapped
from embedcli.tasks.vectorize import vector_origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from embedcli.datatypes import Counts, OnLong, Record, SparseVector
    from embedcli.encode.catalog import EncoderSettings, Model
    from embedcli.encode.sparse import SparseEncoder
    from embedcli.tasks.vectorize import VectorSettings

REMEMBERED_TERMS = 4_000_000
"""Terms of texts that were met in this run: 32 MB, some 16,000 texts of 250."""


class SparseVectorizer:
    """Makes sparse vectors.

    The encoder is opened when the first text needs it. They are kept in no cache beyond the run.

    Attributes:
        in_windows: Texts longer than the model takes of which all windows were read.
    """

    def __init__(
        self,
        model: Model,
        encoder_settings: EncoderSettings,
        settings: VectorSettings,
        counts: Counts,
        *,
        on_notice: Callable[[str], None] = lambda _notice: None,
    ) -> None:
        """Check the model's kind and the settings.

        Args:
            model: A sparse model.
            encoder_settings: How it is opened; its pooling is its own.
            settings: Role, prompt and what becomes of long texts; the rest is about other vectors.
            counts: Added to.
            on_notice: Told when a GPU cannot be used.

        Raises:
            ModelError: The model is of another kind, or the variant or device cannot be had.
        """
        from embedcli.encode.catalog import check_device, check_is_sparse, choose_variant

        self.model, self.settings, self._counts = model, settings, counts
        self._encoder_settings, self._on_notice = encoder_settings, on_notice
        check_is_sparse(model.manifest)
        check_device(encoder_settings.device)
        self._variant = choose_variant(model.manifest, encoder_settings)
        self.prompt = (
            model.manifest.prompts.get(settings.role, "") if settings.prompt is None else settings.prompt
        )
        self.in_windows = 0
        self._is_open = False
        self._remembered: OrderedDict[tuple[bytes, bool], SparseVector] = OrderedDict()
        self._remembered_terms = 0
        if model.manifest.variants[self._variant].device != "cpu" and encoder_settings.device == "auto":
            # `auto` may fall back to another variant, whose vectors are others.
            _ = self.encoder

    @cached_property
    def encoder(self) -> SparseEncoder:
        """The encoder, opened on first use."""
        from embedcli.encode.catalog import open_sparse_encoder

        encoder = open_sparse_encoder(self.model, self._encoder_settings, self._on_notice)
        self._is_open, self._variant = True, encoder.variant
        return encoder

    @property
    def variant(self) -> str:
        """Which of the model's variants runs."""
        return self._variant

    @property
    def fingerprint(self) -> str:
        """What the vectors depend on; see `Manifest.fingerprint`."""
        return self.model.manifest.fingerprint(self._variant)

    @property
    def vector_model(self) -> str:
        """What a vector says it is from."""
        return vector_origin(self.model.manifest.name, self.variant, self.fingerprint)

    @property
    def terms(self) -> list[str]:
        """The words of the vocabulary by id, as the tokenizer writes them."""
        return self.encoder.terms

    @cached_property
    def room_tokens(self) -> int:
        """How many tokens of text fit beside the special tokens and the prompt."""
        return self.encoder.content_tokens - len(self.encoder.token_spans(self.prompt))

    def close(self) -> None:
        """Stop the encoder, if it was opened."""
        if self._is_open:
            self.encoder.close()

    def text_vectors(self, texts: Sequence[str], on_long: OnLong | None = None) -> list[SparseVector]:
        """Return one vector a text; a text that was met in this run is not encoded again.

        Args:
            texts: Texts as they are.
            on_long: What becomes of long ones; None for what the settings say.

        Raises:
            TextTooLongError: A text is too long and `on_long` is `error`.
        """
        long = on_long or self.settings.on_long
        is_cut = long in ("truncate", "error")
        keys = {text: (text_hash(text), is_cut) for text in texts}
        known = {text: self._remembered[key] for text, key in keys.items() if key in self._remembered}
        missing = [text for text in keys if text not in known]
        if missing:
            encoded = self.encoder.encode(
                missing, on_long="truncate" if is_cut else "pool", prompt=self.prompt
            )
            self._count_long(missing, encoded.token_counts, long)
            known.update(zip(missing, encoded.vectors, strict=True))
            self._remember({keys[text]: known[text] for text in missing})
        self._counts.encoded += len(missing)
        self._counts.cached += len(texts) - len(missing)
        return [known[text] for text in texts]

    def record_vectors(self, records: Sequence[Record]) -> list[SparseVector | None]:
        """Return one vector a record, None for a blank text; a dense vector that came along is left alone."""
        texts = [record.text for record in records if record.text.strip()]
        vectors = iter(self.text_vectors(texts) if texts else ())
        return [next(vectors) if record.text.strip() else None for record in records]

    def _remember(self, fresh: Mapping[tuple[bytes, bool], SparseVector]) -> None:
        self._remembered.update(fresh)
        self._remembered_terms += sum(len(vector.terms) for vector in fresh.values())
        while self._remembered_terms > REMEMBERED_TERMS:
            _, dropped = self._remembered.popitem(last=False)
            self._remembered_terms -= len(dropped.terms)

    def _count_long(self, texts: Sequence[str], token_counts: Sequence[int], on_long: OnLong) -> None:
        limit = self.model.manifest.max_tokens
        for text, tokens in zip(texts, token_counts, strict=True):
            if tokens <= limit:
                continue
            if on_long == "error":
                raise TextTooLongError(repr(text[:60]), found=tokens, limit=limit)
            if on_long == "truncate":
                self._counts.truncated += 1
            else:
                self.in_windows += 1


def embed_sparse(
    records: Iterable[Record], vectorizer: SparseVectorizer
) -> Iterator[tuple[list[Record], list[SparseVector | None]]]:
    """Yield the records batch by batch with their sparse vectors; see `embed.embed`. Memory is O(batch)."""
    if vectorizer.settings.on_long == "split":
        records = split_long(records, vectorizer)
    yield from overlapped(batches(records, lambda record: record.text), vectorizer.record_vectors)
