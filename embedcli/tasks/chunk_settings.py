"""How records are cut into chunks, and what of that a model can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from embedcli.datatypes import Chunking, Json, OnLong, TokenSpan
    from embedcli.tasks.topic_cuts import TopicCuts
    from embedcli.tasks.vectorize import Vectorizer

OVERLAP_TOKENS = 32
"""Tokens that neighbouring windows of a long chunk share, so that a sentence on the cut is whole in one."""

OVERLAP_RATIO = 0.25
"""At most this share of a window, for models that take few tokens."""

LATE_TOKENS = 128
"""Most tokens of a late chunk where nothing else is said: better than 64 by nDCG, see docs/chunking.md."""

CONTEXT_OVERLAP_RATIO = 0.5
"""Share of a window of late chunks that the next one may read again. On 600 documents of SciFact, joined as
in benchmarks/long_documents.py, nDCG@10 was 83.9, with a quarter 83.3, without 82.6."""

TITLE_TOKENS = 32
"""Most tokens of a title that is encoded with each chunk."""


class KnowsTokens(Protocol):
    """An encoder, as far as it tells the tokens of a text."""

    def token_spans(self, text: str) -> list[TokenSpan]:
        """Return where the tokens stand in the text, special tokens left out."""
        ...


class KnowsRoom(Protocol):
    """What knows how much text goes into one vector; see `Vectorizer`."""

    @property
    def encoder(self) -> KnowsTokens:
        """What it encodes with."""
        ...

    @property
    def room_tokens(self) -> int:
        """How many tokens of text fit."""
        ...


class KnowsTopics(KnowsRoom, Protocol):
    """What knows also where the meaning of a text shifts; see `Vectorizer`."""

    @property
    def topic_cuts(self) -> TopicCuts:
        """What tells that."""
        ...


@dataclass(frozen=True, slots=True)
class ChunkSettings:
    """How a record is cut, and what is encoded with each chunk.

    Attributes:
        chunking: How; None for `paragraphs` in whole files and nothing else.
        on_long: What becomes of a chunk over the limit; `split` for windows.
        chunk_tokens: Most tokens of a chunk; None for as many as the model takes, `LATE_TOKENS` for `late`.
        chunk_overlap: Tokens that the windows of a long chunk share; None for `OVERLAP_TOKENS`.
        context_title: Whether a chunk is encoded with the headings above it, or its record's title.
    """

    chunking: Chunking | None = None
    on_long: OnLong = "split"
    chunk_tokens: int | None = None
    chunk_overlap: int | None = None
    context_title: bool = False

    def chosen(self) -> dict[str, Json]:
        """Return the settings that are not in every index, as far as they were chosen."""
        values = {
            "chunk_tokens": self.chunk_tokens,
            "chunk_overlap": self.chunk_overlap,
            "context_title": self.context_title or None,
        }
        return {key: value for key, value in values.items() if value is not None}


CHOSEN_KEYS = ("chunk_tokens", "chunk_overlap", "context_title")


class Limits(NamedTuple):
    """Tokens of a chunk and tokens that windows share."""

    max_tokens: int
    overlap_tokens: int


def title_tokens(vectorizer: KnowsRoom) -> int:
    """Return how many tokens of a title are encoded with a chunk: fewer for models that take few."""
    return min(TITLE_TOKENS, int(OVERLAP_RATIO * vectorizer.room_tokens))


def limits_of(
    settings: ChunkSettings, chunking: Chunking, vectorizer: KnowsRoom, reserved_tokens: int = 0
) -> Limits:
    """Return the limits of a record's chunks when `reserved_tokens` are needed for its title."""
    room = vectorizer.room_tokens - reserved_tokens
    wanted = settings.chunk_tokens or (LATE_TOKENS if chunking == "late" else room)
    tokens = max(1, min(room, wanted))
    if settings.chunk_overlap is not None:
        return Limits(tokens, settings.chunk_overlap)
    return Limits(tokens, 0 if chunking == "late" else min(OVERLAP_TOKENS, int(OVERLAP_RATIO * tokens)))


def check_chunking(settings: ChunkSettings, vectorizer: Vectorizer) -> None:
    """Refuse what contradicts itself or what the model cannot do.

    The encoder is opened only if something was chosen that depends on how much it takes.

    Raises:
        UsageError: The settings do not go together, or a number does not fit.
        ModelError: Late chunks of a model that cannot make them.
    """
    if settings.chunking == "late":
        _check_late(settings, vectorizer)
    if settings.chunk_tokens is None and settings.chunk_overlap is None:
        return
    if settings.on_long != "split":
        option = "--chunk-tokens" if settings.chunk_tokens is not None else "--chunk-overlap"
        raise UsageError(
            f"{option} is about chunks that are split; --on-long {settings.on_long} splits none",
            hint="--on-long split",
        )
    room, name = vectorizer.room_tokens, vectorizer.model.manifest.name
    if settings.chunk_tokens is not None and settings.chunk_tokens > room:
        raise UsageError(
            f"--chunk-tokens {settings.chunk_tokens}: {name} takes {room} tokens of text",
            hint=f"--chunk-tokens {room}, or a model that takes more",
        )
    reserved = title_tokens(vectorizer) + 1 if settings.context_title else 0
    tokens, overlap = limits_of(settings, settings.chunking or "paragraphs", vectorizer, reserved)
    if overlap >= tokens:
        raise UsageError(
            f"--chunk-overlap {overlap} does not fit chunks of {tokens} tokens",
            hint="the overlap must be smaller",
        )


def _check_late(settings: ChunkSettings, vectorizer: Vectorizer) -> None:
    manifest = vectorizer.model.manifest
    if manifest.kind != "onnx":
        why = "a table of tokens" if manifest.kind == "static" else "made of several models"
        raise UsageError(
            f"--chunking late: model {manifest.name} is {why}: its chunks know no surroundings",
            hint="--chunking paragraphs, or another model",
        )
    if vectorizer.pooling != "mean":
        raise UsageError(
            f"--chunking late takes the mean over tokens; {manifest.name} pools by {vectorizer.pooling}",
            hint="--chunking paragraphs, or a model with mean pooling",
        )
    if settings.on_long != "split":
        raise UsageError(
            f"--chunking late cuts what is long; --on-long {settings.on_long} contradicts it",
            hint="--on-long split",
        )
    if settings.chunk_overlap:
        raise UsageError(
            "--chunking late: its chunks share no tokens, they know what stands around them",
            hint="leave --chunk-overlap out",
        )
    if settings.context_title:
        raise UsageError(
            "--chunking late: its chunks know what stands around them, --context-title is for the others",
            hint="--no-context-title",
        )


def described(settings: Mapping[str, Json]) -> str:
    """Return how the records of a source were cut, in words, from its stored settings."""
    how = settings.get("chunking")
    shown = "paragraphs for text files, none for JSONL and CSV" if how == "auto" else how
    more = [
        f", at most {tokens} tokens" if (tokens := settings.get("chunk_tokens")) is not None else "",
        f", sharing {overlap}" if (overlap := settings.get("chunk_overlap")) is not None else "",
        ", with titles" if settings.get("context_title") else "",
    ]
    return f"{shown}{''.join(more)}; {settings.get('on_long')} when long"
