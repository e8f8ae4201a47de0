"""The first hits looked at once more, by something that is too costly for all of them."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Final

from embedcli.datatypes import ScorePart
from embedcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from embedcli.datatypes import Counts, Hit, Record
    from embedcli.encode.catalog import EncoderSettings, Model
    from embedcli.tasks.vectorize import Vectorizer

    Values = list[list[float]]

DEFAULT_DEPTH: Final = 50
"""Hits that are looked at again, or as many as are wanted where that is more."""

MAXSIM_WEIGHT: Final = 1.0
"""Weight of the token-level score beside those that ranked before. Measured: docs/search.md."""

_NUMBER_BYTES = 1024
"""Most bytes that a program may write for a pair, so that one that never ends takes no memory."""

_TEXTS_AT_A_TIME = 64
"""Texts whose token vectors are held at once: 25 MB at 256 tokens of 384 numbers."""


@dataclass(frozen=True, slots=True)
class RerankSettings:
    """What is made of the second look.

    Attributes:
        depth: Hits of each query that are looked at again.
        weight: What the new score, scaled over those hits, weighs beside the old one; None where it takes the
            old one's place.
    """

    depth: int = DEFAULT_DEPTH
    weight: float | None = None


def maxsim_values(
    asked: Sequence[Record],
    found: Sequence[Sequence[Hit]],
    queries: Vectorizer,
    documents: Vectorizer,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Values:
    """Return for each hit how well the query's tokens are met by its own, -1 to 1; see `vectors.maxsim`.

    Each text is encoded once, however many queries found it.

    Args:
        asked: The queries; one without a text scores 0 everywhere.
        found: The hits of each.
        queries: The encoder in the role of a query.
        documents: The same in the role of a document.
        on_progress: Told how many of how many texts were looked at.

    Raises:
        UsageError: A hit has no text, as from an index without texts.
        ModelError: The encoder has no token vectors.
    """
    from embedcli.vectors.maxsim import maxsim

    values = [[0.0] * len(hits) for hits in found]
    wanted: dict[str, list[tuple[int, int]]] = {}
    for number, (record, hits) in enumerate(zip(asked, found, strict=True)):
        for place, hit in enumerate(hits if record.text.strip() else ()):
            wanted.setdefault(_text_of(hit), []).append((number, place))
    if not wanted:
        return values
    numbers = sorted({number for places in wanted.values() for number, _ in places})
    of_queries = dict(
        zip(numbers, queries.token_vectors([asked[number].text for number in numbers]), strict=True)
    )
    texts = list(wanted)
    for start in range(0, len(texts), _TEXTS_AT_A_TIME):
        on_progress(start, len(texts))
        batch = texts[start : start + _TEXTS_AT_A_TIME]
        for text, tokens in zip(batch, documents.token_vectors(batch), strict=True):
            for number, place in wanted[text]:
                values[number][place] = maxsim(of_queries[number], tokens)
    return values


def command_values(asked: Sequence[Record], found: Sequence[Sequence[Hit]], command: str) -> Values:
    """Return for each hit what a program says: it reads pairs and writes a number a line.

    Each line that it reads is a JSON object with `query` and `text`. It is started once, if there is a hit.

    Raises:
        UsageError: It cannot be run, fails, or does not write one finite number for each pair.
    """
    from embedcli.records.command import command_words

    words = command_words("--rerank-cmd", command)
    pairs = [
        json.dumps({"query": record.text, "text": _text_of(hit)})
        for record, hits in zip(asked, found, strict=True)
        for hit in hits
    ]
    if not pairs:
        return [[] for _ in found]
    out = _run(words, "".join(f"{pair}\n" for pair in pairs).encode(), _NUMBER_BYTES * len(pairs), command)
    numbers = iter(_numbers(out, len(pairs), command))
    return [[next(numbers) for _ in hits] for hits in found]


def pair_values(
    asked: Sequence[Record],
    found: Sequence[Sequence[Hit]],
    model: Model,
    settings: EncoderSettings,
    counts: Counts,
    on_notice: Callable[[str], None] = lambda _notice: None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Values:
    """Return for each hit what a cross-encoder says of it and the query; see `encode.pairs`.

    The model is loaded if there is a hit. A text that a query found twice is scored once.

    Args:
        asked: The queries; one without a text scores 0 everywhere.
        found: The hits of each.
        model: The cross-encoder.
        settings: How to open it.
        counts: Gets the pairs, and the texts that were cut; a query that was cut counts as one text.
        on_notice: Told when `auto` falls back from a GPU to the CPU.
        on_progress: Told how many of how many queries were looked at.

    Raises:
        UsageError: A hit has no text, as from an index without texts; or the model is of another kind.
        ModelError: The model cannot be used, or fails.
    """
    from embedcli.encode.catalog import open_pair_encoder

    values = [[0.0] * len(hits) for hits in found]
    texts_of = [
        [_text_of(hit) for hit in hits] if record.text.strip() else []
        for record, hits in zip(asked, found, strict=True)
    ]
    if not any(texts_of):
        return values
    encoder = open_pair_encoder(model, settings, on_notice)
    try:
        for number, texts in enumerate(texts_of):
            on_progress(number, len(texts_of))
            if not texts:
                continue
            once = list(dict.fromkeys(texts))
            scored = encoder.score(asked[number].text, once)
            of_text = dict(zip(once, scored.scores, strict=True))
            values[number] = [of_text[text] for text in texts]
            counts.encoded += len(once)
            counts.truncated += scored.texts_cut + scored.query_was_cut
    finally:
        encoder.close()
    return values


def rerank(
    hits: Sequence[Hit], values: Sequence[float], name: str, weight: float | None, top_k: int
) -> list[Hit]:
    """Return the best hits after the second look; equal scores keep their order.

    Args:
        hits: Best first.
        values: What the second look says of each, higher is better.
        name: What it is called among the parts of a score.
        weight: None for the values alone. Else their z-score over these hits has this weight beside the fused
            score; a score that is no fused one (a cosine, BM25) becomes a z-score as well.
        top_k: Most hits.
    """
    if not hits:
        return []
    if weight is None:
        again = [
            replace(hit, score=value, parts={name: ScorePart(value, value, 1.0)})
            for hit, value in zip(hits, values, strict=True)
        ]
        return sorted(again, key=lambda hit: -hit.score)[:top_k]
    import numpy as np

    from embedcli.vectors.fuse import Part, fuse

    everywhere = np.ones(len(hits), dtype=np.bool_)
    before = Part(np.array([hit.score for hit in hits]), everywhere, 1.0)
    fused = fuse([before, Part(np.array(values), everywhere, weight)], everywhere, "zscore")
    again = []
    for place, hit in enumerate(hits):
        new = ScorePart(values[place], float(fused.scaled[1][place]), weight)
        if len(hit.parts) > 1:
            parts, score = {**hit.parts, name: new}, hit.score + weight * new.scaled
        else:
            side = next(iter(hit.parts), "dense")
            parts = {side: ScorePart(hit.score, float(fused.scaled[0][place]), 1.0), name: new}
            score = float(fused.scores[place])
        again.append(replace(hit, score=score, parts=parts))
    return sorted(again, key=lambda hit: -hit.score)[:top_k]


def _text_of(hit: Hit) -> str:
    """Return the text of a hit.

    Raises:
        UsageError: It has none.
    """
    if hit.text is None:
        raise UsageError("an index without texts has nothing that could be looked at again")
    return hit.text


def _run(words: Sequence[str], given: bytes, limit_bytes: int, command: str) -> bytes:
    """Return what a program writes.

    Raises:
        UsageError: It cannot be run, fails, or writes more than it may.
    """
    import subprocess
    from threading import Thread

    try:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except OSError as error:
        raise UsageError(f"--rerank-cmd {words[0]}: {error.strerror}") from error
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        writer = Thread(target=_feed, args=(process.stdin, given))
        writer.start()
        out = process.stdout.read(limit_bytes + 1)
        if len(out) > limit_bytes:
            process.kill()
        writer.join()
    if len(out) > limit_bytes:
        raise UsageError(
            f"--rerank-cmd {command}: wrote more than {limit_bytes} bytes", hint="one number a line"
        )
    if process.returncode:
        raise UsageError(f"--rerank-cmd {command}: ended with exit code {process.returncode}")
    return out


def _feed(stream: IO[bytes], given: bytes) -> None:
    """Write to a program that may have ended."""
    with contextlib.suppress(BrokenPipeError), stream:
        stream.write(given)


def _numbers(out: bytes, count: int, command: str) -> list[float]:
    lines = out.decode("utf-8", "replace").splitlines()
    if len(lines) != count:
        raise UsageError(
            f"--rerank-cmd {command}: wrote {len(lines)} lines for {count} pairs", hint="one number a line"
        )
    numbers = []
    for number, line in enumerate(lines, start=1):
        try:
            value = float(line)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UsageError(f"--rerank-cmd {command}: line {number}: {line[:80]!r} is no finite number")
        numbers.append(value)
    return numbers
