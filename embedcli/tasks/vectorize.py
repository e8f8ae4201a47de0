"""Texts and records to finished vectors: carried, remembered, cached or encoded, in that order."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from embedcli.datatypes import EncodedText, TextPart
from embedcli.errors import TextTooLongError, UsageError, VectorError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from embedcli.datatypes import Counts, Encodable, OnLong, Pooling, Record, Role, Vector, Vectors
    from embedcli.encode.catalog import EncoderSettings, Model
    from embedcli.encode.encoder import Encoder
    from embedcli.index.cache import VectorCache
    from embedcli.tasks.topic_cuts import TopicCuts

REMEMBERED_BYTES = 64 << 20
"""Memory for vectors of texts that were met in this run: some 40,000 vectors of 384 numbers."""


def vector_origin(model: str, variant: str, fingerprint: str) -> str:
    """Return what a vector says it is from: `name:variant:` and the beginning of the fingerprint."""
    return f"{model}:{variant}:{fingerprint[:12]}"


@dataclass(frozen=True, slots=True)
class VectorSettings:
    """What is done to a text to make its vector.

    Attributes:
        role: Which of the model's prompts goes before the text.
        prompt: A prompt to use instead; None for the model's own.
        on_long: What to do with a text that is longer than the model takes.
        dim: Cut vectors to their first numbers; None keeps all.
        normalize: Whether vectors get unit length; None for what the model says.
    """

    role: Role = "document"
    prompt: str | None = None
    on_long: OnLong = "pool"
    dim: int | None = None
    normalize: bool | None = None


class _Shared:
    """What several vectorizers of one model have in common: the encoder, once it is open."""

    encoder: Encoder | None = None


class Vectorizer:
    """Makes vectors for one model and one set of settings.

    The encoder is opened when the first text needs it: a run whose texts are all known never loads it.
    """

    def __init__(
        self,
        model: Model,
        encoder_settings: EncoderSettings,
        settings: VectorSettings,
        counts: Counts,
        *,
        cache: VectorCache | None = None,
        on_notice: Callable[[str], None] = lambda _notice: None,
        shared: _Shared | None = None,
    ) -> None:
        """Check the settings against the model's manifest.

        Raises:
            UsageError: `dim` is out of range, or the pooling does not fit what follows it.
            ModelError: The model gives no vectors, or the variant or device cannot be had.
        """
        from embedcli.encode.catalog import check_device, check_gives_vectors, choose_variant
        from embedcli.encode.pooling import pooled_dim

        self.model, self.settings, self._counts, self._cache = model, settings, counts, cache
        self._encoder_settings, self._on_notice = encoder_settings, on_notice
        manifest = model.manifest
        check_device(encoder_settings.device)
        check_gives_vectors(manifest)
        self.variant = choose_variant(manifest, encoder_settings)
        self.fingerprint = manifest.fingerprint(self.variant)
        self.pooling: Pooling = encoder_settings.pooling or manifest.pooling
        self.prompt = manifest.prompts.get(settings.role, "") if settings.prompt is None else settings.prompt
        self.full_dim = pooled_dim(manifest, self.pooling)
        self.dim = settings.dim or self.full_dim
        if not 1 <= self.dim <= self.full_dim:
            raise UsageError(
                f"--dim {settings.dim}: model {manifest.name} gives 1 to {self.full_dim} numbers"
            )
        if self.dim not in (self.full_dim, *manifest.dims):
            on_notice(
                f"model {manifest.name} was not trained to be cut to {self.dim} numbers: expect worse results"
            )
        self.normalize = manifest.normalize if settings.normalize is None else settings.normalize
        self._shared = shared or _Shared()
        self._remembered: OrderedDict[bytes, EncodedText] = OrderedDict()
        self._remember_at_most = max(1, REMEMBERED_BYTES // (4 * self.full_dim))
        if manifest.variants[self.variant].device != "cpu" and encoder_settings.device == "auto":
            # `auto` may fall back to another variant, whose vectors have other keys in the cache.
            _ = self.encoder

    @property
    def encoder(self) -> Encoder:
        """The encoder, opened on first use."""
        encoder = self._shared.encoder
        if encoder is None:
            from embedcli.encode.catalog import open_encoder

            encoder = self._shared.encoder = open_encoder(self.model, self._encoder_settings, self._on_notice)
        if encoder.variant != self.variant:
            # Fell back from a GPU: what the cache calls this text's vector is another one now.
            self.variant = encoder.variant
            self.fingerprint = self.model.manifest.fingerprint(self.variant)
        return encoder

    @cached_property
    def room_tokens(self) -> int:
        """How many tokens of text fit beside the special tokens and the prompt."""
        return self.encoder.content_tokens - len(self.encoder.token_spans(self.prompt))

    @cached_property
    def topic_cuts(self) -> TopicCuts:
        """What cuts texts where their meaning shifts."""
        from embedcli.tasks.topic_cuts import TopicCuts

        return TopicCuts(self)

    @property
    def is_lookup(self) -> bool:
        """Whether vectors are looked up in a table, which takes no longer than reading their texts."""
        return self.model.manifest.kind == "static"

    @property
    def vector_model(self) -> str:
        """What a vector says it is from: `name:variant:` and the beginning of the fingerprint."""
        return vector_origin(self.model.manifest.name, self.variant, self.fingerprint)

    def with_settings(self, settings: VectorSettings, counts: Counts | None = None) -> Vectorizer:
        """Return a vectorizer with other settings that shares this one's encoder, cache and counts.

        Args:
            settings: The others.
            counts: To be added to instead.
        """
        return Vectorizer(
            self.model,
            self._encoder_settings,
            settings,
            self._counts if counts is None else counts,
            cache=self._cache,
            on_notice=self._on_notice if settings.dim != self.settings.dim else lambda _notice: None,
            shared=self._shared,
        )

    def close(self) -> None:
        """Stop the encoder's workers, also in the middle of a call."""
        if self._shared.encoder is not None:
            self._shared.encoder.close()

    def text_vectors(self, texts: Sequence[Encodable]) -> Vectors:
        """Return finished vectors, shape (n, dim), float32, in the order of the texts.

        Parts of one text are encoded together, if they come in one call.

        Raises:
            TextTooLongError: A text is too long and `on_long` is `error`.
        """
        import numpy as np

        if self.is_lookup:
            return self._look_up([_whole(text) for text in texts])
        keys = [self._key(text) for text in texts]
        known = self._known(dict.fromkeys(keys))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            known.update(self._encode(missing))
        self._counts.encoded += len(missing)
        self._counts.cached += len(texts) - len(missing)
        self._count_long(texts, [known[key].tokens for key in keys])
        raw = np.stack([known[key].vector for key in keys]) if keys else np.zeros((0, self.full_dim))
        return self._finish(raw.astype(np.float32, copy=False))

    def token_vectors(self, texts: Sequence[str]) -> list[Vectors]:
        """Return the vectors of each text's tokens, in the role of these settings.

        See `Encoder.token_vectors`. They are not kept: one text's take as much room as a hundred vectors.
        """
        self._counts.encoded += len(texts)
        return self.encoder.token_vectors(texts, prompt=self.prompt)

    def record_vectors(
        self, records: Sequence[Record], encoded: Sequence[Encodable] | None = None
    ) -> Vectors:
        """Return one vector a record, shape (n, dim), float32: a zero row for a blank record.

        A vector that came with a record is used instead of its text.

        Args:
            records: As they are.
            encoded: What is encoded for each instead of its text.

        Raises:
            VectorError: A record's vector has another dimension or is of another model.
        """
        import numpy as np

        texts = encoded or [record.text for record in records]

        to_encode = [
            row for row, record in enumerate(records) if record.vector is None and not record.is_blank
        ]
        if len(to_encode) == len(records):
            return self.text_vectors(texts)
        vectors = np.zeros((len(records), self.dim), dtype=np.float32)
        vectors[to_encode] = self.text_vectors([texts[row] for row in to_encode])
        for row, record in enumerate(records):
            if record.vector is not None:
                vectors[row] = self.carried_vector(record, record.vector)
                self._counts.cached += 1
        return vectors

    def carried_vector(self, record: Record, vector: Vector) -> Vector:
        """Return the vector that came with a record, finished like all others.

        Raises:
            VectorError: It has another dimension or is of another model.
        """
        manifest = self.model.manifest
        where = f"{record.path or '-'}:{record.line}"
        if record.vector_model is not None and record.vector_model != self.vector_model:
            raise VectorError(
                f"{where}: its vector is from {record.vector_model}, this run uses {self.vector_model}",
                hint="use the same model for both, or leave the vectors out: jq -c 'del(.vector)'",
            )
        if len(vector) not in (self.full_dim, self.dim):
            raise VectorError(
                f"{where}: its vector has {len(vector)} numbers, model {manifest.name} gives {self.full_dim}",
                hint="--dim for vectors that were cut; --model for vectors of another model",
            )
        row: Vector = self._finish(vector[None, :])[0]
        return row

    def _key(self, text: Encodable) -> bytes:
        """Return the hash over everything that the encoder's answer for this text depends on."""
        if isinstance(text, TextPart):
            part = (f"late {text.start} {text.end}", self.prompt, text.text)
            return _hash((self.fingerprint, self.pooling, *part))
        long = "truncate" if self.settings.on_long in ("truncate", "error") else "pool"
        return _hash((self.fingerprint, self.pooling, long, self.prompt, text))

    @property
    def _on_long(self) -> OnLong:
        """What the encoder is to do: an error is ours to raise."""
        return "truncate" if self.settings.on_long == "error" else self.settings.on_long

    def _known(self, keys: dict[bytes, None]) -> dict[bytes, EncodedText]:
        known = {}
        for key in keys:
            if (entry := self._remembered.get(key)) is not None:
                self._remembered.move_to_end(key)
                known[key] = entry
        if self._cache is not None and len(known) < len(keys):
            found = self._cache.get([key for key in keys if key not in known])
            known.update(found)
            self._remember(found)
        return known

    def _encode(self, missing: dict[bytes, Encodable]) -> dict[bytes, EncodedText]:
        fresh: dict[bytes, EncodedText] = {}
        whole = {key: text for key, text in missing.items() if isinstance(text, str)}
        if whole:
            encoded = self.encoder.encode(list(whole.values()), on_long=self._on_long, prompt=self.prompt)
            for key, tokens, vector in zip(whole, encoded.token_counts, encoded.vectors, strict=True):
                fresh[key] = EncodedText(tokens, vector)
        if len(whole) < len(missing):
            fresh |= self._encode_parts(
                {key: text for key, text in missing.items() if isinstance(text, TextPart)}
            )
        self._remember(fresh)
        if self._cache is not None:
            self._cache.put(fresh)
        return fresh

    def _encode_parts(self, missing: dict[bytes, TextPart]) -> dict[bytes, EncodedText]:
        """Return what the encoder gives for parts of texts; each text goes through it once."""
        of_text: dict[str, list[bytes]] = {}
        for key, part in missing.items():
            of_text.setdefault(part.text, []).append(key)
        spans = [[(missing[key].start, missing[key].end) for key in keys] for keys in of_text.values()]
        found = self.encoder.span_vectors(list(of_text), spans, prompt=self.prompt)
        return {
            key: EncodedText(0, vector)
            for keys, vectors in zip(of_text.values(), found, strict=True)
            for key, vector in zip(keys, vectors, strict=True)
        }

    def _look_up(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of a static encoder: to remember them would cost more than to make them."""
        encoded = self.encoder.encode(texts, on_long=self._on_long, prompt=self.prompt)
        self._counts.encoded += len(texts)
        self._count_long(texts, encoded.token_counts)
        return self._finish(encoded.vectors)

    def _remember(self, entries: dict[bytes, EncodedText]) -> None:
        self._remembered.update(entries)
        while len(self._remembered) > self._remember_at_most:
            self._remembered.popitem(last=False)

    def _count_long(self, texts: Sequence[Encodable], token_counts: Sequence[int]) -> None:
        limit = self.model.manifest.max_tokens
        if max(token_counts, default=0) <= limit:
            return
        for text, tokens in zip(texts, token_counts, strict=True):
            if tokens <= limit:
                continue
            if self.settings.on_long == "error":
                raise TextTooLongError(repr(_whole(text)[:60]), found=tokens, limit=limit)
            if self.settings.on_long == "truncate":
                self._counts.truncated += 1
            else:
                self._counts.pooled += 1

    def _finish(self, vectors: Vectors) -> Vectors:
        from embedcli.vectors.normalize import normalize, truncate_dim

        shorter = truncate_dim(vectors, self.dim) if vectors.shape[1] != self.dim else vectors
        return normalize(shorter) if self.normalize else shorter


def _whole(text: Encodable) -> str:
    """Return a text that is not part of another.

    Raises:
        UsageError: It is part of one, which a table of tokens knows nothing of.
    """
    if isinstance(text, TextPart):
        raise UsageError("late chunks need an encoder whose tokens know each other")
    return text


def _hash(parts: Sequence[str]) -> bytes:
    content = b"\0".join(part.encode("utf-8", "surrogatepass") for part in parts)
    return hashlib.blake2b(content, digest_size=16).digest()
