"""The values that pass between stages. All are frozen but `Counts`, which only ever grows.

A stage never hands on its own objects: it takes and returns what is defined here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import numpy.typing as npt

    Vector: TypeAlias = npt.NDArray[np.float32]
    """One vector, shape (dim,), float32."""
    Vectors: TypeAlias = npt.NDArray[np.float32]
    """Vectors, shape (n, dim), float32."""

Pooling: TypeAlias = str
"""How token vectors become one: a `PoolingMode`, or several with `+` whose vectors are put end to end."""

Json: TypeAlias = Any
"""A value as JSON has it: object, list, string, number, true, false or null."""

By = Literal["chunk", "record", "file"]
Format = Literal["auto", "lines", "null", "whole", "jsonl", "csv", "tsv", "parquet"]
Chunking = Literal[
    "none", "lines", "sentences", "paragraphs", "markdown", "code", "tokens", "late", "semantic"
]
OnLong = Literal["split", "pool", "truncate", "error"]
Fusion = Literal["zscore", "minmax", "rrf"]
PoolingMode = Literal["mean", "cls", "last_token", "max", "mean_sqrt_len", "weighted_mean"]
Role = Literal["query", "document"]
SearchMode = Literal["hybrid", "dense", "lexical", "sparse"]
Stage = Literal["exact", "normalized", "lexical", "semantic"]
"""A way to compare two records in `dedupe`; the order is that in which they are tried."""
StoredDtype = Literal["float32", "float16", "int8", "binary"]
VectorDtype = Literal["float32", "float16", "int8", "uint8", "binary"]

DEFAULT_STAGES: tuple[Stage, ...] = ("exact", "normalized", "semantic")
"""What `dedupe` compares by; of texts after one pattern the lexical stage drops too many."""

STDIN_NAME = "-"
"""How standard input is called where a path is expected."""


_NO_FIELDS: Mapping[str, Json] = MappingProxyType({})


class Record(NamedTuple):
    """One unit of input. A tuple, since there are millions: a frozen dataclass takes four times as long.

    Attributes:
        id: Unique within its source.
        text: What is encoded; empty or blank for a record that only keeps its place.
        raw: The record's bytes as they were read, with their separator; empty where the source has no
            bytes of its own for a record (Parquet).
        fields: The record's own fields in their order, text and id fields included, vector left out.
        path: The file as the user would name it; None for standard input.
        line: First line in its source, from 1; for formats without lines, the record's number.
        end_line: Last line, inclusive.
        vector: The vector that came with the record, shape (dim,), or None.
        vector_model: The model that the vector says it is from, or None.
    """

    id: str
    text: str
    raw: bytes = b""
    fields: Mapping[str, Json] = _NO_FIELDS
    path: str | None = None
    line: int = 1
    end_line: int = 1
    vector: Vector | None = None
    vector_model: str | None = None

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to encode: no vector came along and the text is only white space."""
        return self.vector is None and (not self.text or self.text.isspace())


@dataclass(frozen=True, slots=True)
class Chunk:
    """Part of a record's text.

    Attributes:
        text: `record.text[start:end]`.
        ordinal: Number within the record, from 1; the chunk's id is `record-id#ordinal`.
        start: First character in the record's text, from 0.
        end: One past the last character.
        start_byte: `start`, counted in bytes of the record's text as UTF-8.
        end_byte: `end`, likewise.
        line: First line in the source, from 1.
        end_line: Last line, inclusive.
    """

    text: str
    ordinal: int
    start: int
    end: int
    start_byte: int
    end_byte: int
    line: int
    end_line: int


class Head(NamedTuple):
    """What stands before the first record of an input.

    Attributes:
        content: Byte order mark and header row; empty for most inputs.
        delimiter: What stands between two cells of a table; None where there is none.
        names_columns: Whether the content ends with the names of a table's columns.
    """

    content: bytes
    delimiter: str | None = None
    names_columns: bool = False


class TextPart(NamedTuple):
    """Part of a text that goes through the encoder as a whole; the tokens of the part alone are pooled.

    Attributes:
        text: What the encoder reads.
        start: First character of the part, from 0.
        end: One past the last.
    """

    text: str
    start: int
    end: int


Encodable: TypeAlias = str | TextPart
"""What a vector is made of: a text, or part of one with what stands around it."""


class TokenSpan(NamedTuple):
    """Where one token stands in a text, in characters: `text[start:end]`."""

    start: int
    end: int


class TextSpan(NamedTuple):
    """Part of a text, in characters: `text[start:end]`."""

    start: int
    end: int


class SparseVector(NamedTuple):
    """The words of a vocabulary that weigh anything in a text.

    Attributes:
        terms: Their ids, shape (n,), int32, ascending, each once.
        weights: Shape (n,), float32, above 0.
    """

    terms: npt.NDArray[np.int32]
    weights: Vector


class EncodedText(NamedTuple):
    """What the encoder gave for a text.

    Attributes:
        tokens: Tokens of the text, special ones counted in; more than the model takes for a long one; 0 for
            part of a text, which is never too long.
        vector: Shape (dim,), float32, not normalized.
    """

    tokens: int
    vector: Vector


@dataclass(frozen=True, slots=True)
class Source:
    """One place that records are read from.

    Attributes:
        path: The file as the user would name it, relative to the working directory where it was given so;
            None for standard input.
        root: The path on the command line under which it was found; equal to `path` for a file named there.
        named: Named on the command line (or in `--files-from`), not found by a walk.
    """

    path: str | None
    root: str | None = None
    named: bool = True

    @property
    def name(self) -> str:
        """The source as messages call it."""
        return STDIN_NAME if self.path is None else self.path


@dataclass(frozen=True, slots=True)
class Problem:
    """Something about the input that the user must hear of.

    Attributes:
        where: `path`, `path:line`, or `-` and `-:line` for standard input.
        reason: What is the matter, without the place.
        is_error: The input could not be read or parsed (exit code 3); otherwise a rule left it out.
        hint: What to type next, or an empty string.
    """

    where: str
    reason: str
    is_error: bool = True
    hint: str = ""


class ScorePart(NamedTuple):
    """One part of a fused score; the score is the sum of weight x scaled over its parts.

    Attributes:
        value: As the part gives it: a cosine, a BM25 score.
        scaled: The same over the pool of the query, without a unit.
        weight: 0 to 1.
    """

    value: float
    scaled: float
    weight: float


class TermPart(NamedTuple):
    """A word that a query and a chunk have in common by their sparse vectors.

    Attributes:
        term: As the model's tokenizer writes it.
        query: What it weighs in the query.
        document: What it weighs in the chunk; the product of both is its part of the score.
    """

    term: str
    query: float
    document: float


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer to a query.

    Attributes:
        score: What ranks, higher is closer: the cosine, or BM25 or the dot product of sparse vectors (both
            above 0), or a fused score, which says nothing beyond its own query.
        cosine: Cosine of query and chunk, -1 to 1; None where only words were compared.
        id: The record's id.
        chunk: The chunk's number in the record, from 1.
        path: The file, relative to the working directory where that is possible; None for standard input.
        line: First line of the chunk in its source.
        end_line: Last line, inclusive.
        text: The chunk's text; None where an index keeps no text.
        fields: The record's own fields.
        model: The encoder that the cosine is from, where a search asked several; else None.
        parts: What the score is made of, by the name of the part; empty where it is one.
        whole_file: Whether the record is a text file as a whole.
        start: First character of the text in the record's own, from 0.
        end: One past the last character.
        alike: Other records whose best chunk says the same and which are therefore no hits.
        terms: The words that count most in the sparse part of the score, where that was asked for.
    """

    score: float
    cosine: float | None
    id: str
    chunk: int
    path: str | None
    line: int
    end_line: int
    text: str | None
    fields: Mapping[str, Json] = field(default_factory=dict)
    model: str | None = None
    parts: Mapping[str, ScorePart] = field(default_factory=dict)
    whole_file: bool = False
    start: int = 0
    end: int = 0
    alike: int = 0
    terms: tuple[TermPart, ...] = ()


class Duplicate(NamedTuple):
    """Why a record is not kept: the record that it was compared with, and how alike they are.

    Attributes:
        kept: Id of the kept record.
        group: A number that all duplicates of that record share.
        score: What the stage measures, up to 1: a cosine, a Jaccard similarity; 1 for equal texts.
        stage: The first stage that found a kept record this close; the closest one by that stage is named.
    """

    kept: str
    group: int
    score: float
    stage: Stage


class ClusterMember(NamedTuple):
    """Where a text is.

    Attributes:
        cluster: From 0, the largest first; -1 for noise.
        name: The terms that say most of the cluster; None for noise.
        score: Cosine to the cluster's centroid, -1 to 1; None for noise.
    """

    cluster: int
    name: str | None
    score: float | None


@dataclass(slots=True)
class Counts:
    """What a run did, for `--stats-json` and the summary line. Every stage adds to it; none reads it.

    Attributes:
        read: Records read.
        encoded: Texts that went through the encoder.
        cached: Vectors taken from a cache, from an index or from the record itself instead.
        truncated: Texts longer than the model takes that were cut.
        pooled: Texts longer than the model takes whose windows were averaged.
        skipped: Files and records left out, by a rule or by a problem.
        replaced: Records with bytes that are not UTF-8, replaced.
        written: Records, hits or chunks written.
    """

    read: int = 0
    encoded: int = 0
    cached: int = 0
    truncated: int = 0
    pooled: int = 0
    skipped: int = 0
    replaced: int = 0
    written: int = 0


if TYPE_CHECKING:
    OnProblem: TypeAlias = Callable[[Problem], None]
    """Called for each problem as it is met; the caller counts, prints and decides the exit code."""
    MarkedSpans: TypeAlias = Callable[[str], list[TextSpan]]
    """Gives the parts of a text that are to be seen at once, in order, none touching another's inside."""
    TokenSpans: TypeAlias = Callable[[str], list[TokenSpan]]
    """Gives the tokens of a text, in order, special tokens left out."""
