"""A static encoder from any other: its tokens, then its vectors of the user's texts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from embedcli.errors import UsageError
from embedcli.tasks.pipeline import batches, overlapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from embedcli.datatypes import Record, Vectors
    from embedcli.encode.catalog import Model
    from embedcli.encode.distill import TableFit
    from embedcli.encode.static_table import StaticTable
    from embedcli.encode.tokenizer import Tokenizer
    from embedcli.tasks.vectorize import Vectorizer

HELD_OUT_EVERY = 50
"""One text in so many is kept out of the fit, to measure it by."""

MAX_HELD_OUT = 2000
_MAX_TEXT_TOKENS = 256
"""Tokens of a text that take part in the fit: an average over more says little of each."""


@dataclass(frozen=True, slots=True)
class DistillSettings:
    """What the static encoder is to be.

    Attributes:
        name: Its name.
        dim: Numbers in a vector; None for as many as the teacher gives.
        description: One line for lists of models.
    """

    name: str
    dim: int | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class DistillReport:
    """What came of it.

    Attributes:
        tokens: Rows of the table that count.
        texts: Texts that the table was fitted to; 0 for none.
        held_out: Texts that were kept out, to measure by.
        cosine_before: Mean cosine of a held-out text's vector to the teacher's before the fit; None where
            no text was held out.
        cosine: The same after it, from the table as it is stored.
        agreement: Spearman's rank correlation between the two encoders' cosines of pairs of held-out texts,
            -1 to 1; None likewise.
        bytes: Size of the model folder.
    """

    tokens: int
    texts: int
    held_out: int
    cosine_before: float | None = None
    cosine: float | None = None
    agreement: float | None = None
    bytes: int = 0


@dataclass(slots=True)
class _HeldOut:
    """Texts that the fit does not see, and the teacher's vectors of them."""

    ids_of: list[list[int]]
    vectors: list[Vectors]


def distill(
    teacher: Vectorizer,
    records: Iterable[Record],
    out: Path,
    settings: DistillSettings,
    on_step: Callable[[str], None] = lambda _step: None,
) -> DistillReport:
    """Make the model folder of a static encoder.

    Each token goes through the teacher alone; where there are texts, the table is then fitted to the
    teacher's vectors of them. Memory: a few tables, and eight bytes a token of text.

    Args:
        teacher: The encoder to learn from, with its own normalizing and the role that texts are to have.
        records: Texts, better many and varied; a record that brings the teacher's vector is not encoded.
        out: The folder to make; must not exist.
        settings: What it is to be.
        on_step: Called with a few words before each step.

    Raises:
        UsageError: `out` is there, or the teacher has no tokens to take rows from.
        OutputError: It cannot be written.
        VectorError: A vector that came with a record does not fit.
    """
    from embedcli.encode.distill import TableFit
    from embedcli.encode.static_folder import StaticFacts, write_static_folder
    from embedcli.encode.static_table import quantize_rows
    from embedcli.encode.tokenizer import Tokenizer

    manifest = teacher.model.manifest
    if out.exists():
        raise UsageError(f"{out}: exists", hint="another name, or remove it first")
    if manifest.kind != "onnx":
        raise UsageError(
            f"{manifest.name} is {manifest.kind}: only an encoder with a network can be distilled"
        )
    dim = settings.dim or teacher.dim
    if not 1 <= dim <= teacher.dim:
        raise UsageError(f"--dim {dim}: {manifest.name} gives 1 to {teacher.dim} numbers")
    tokenizer = Tokenizer(teacher.model.folder / manifest.tokenizer)
    on_step("encode each token")
    fit = TableFit(_token_vectors(teacher, tokenizer))
    on_step("encode the texts")
    held_out = _HeldOut([], [])
    for ids_of, vectors in _encoded(teacher, tokenizer, records):
        _take(fit, held_out, ids_of, vectors)
    if fit.texts:
        on_step(f"fit the table to {fit.texts} texts")
    table = quantize_rows(fit.solve(dim))
    on_step("measure and write")
    report = _measured(fit, table, held_out, dim)
    facts = StaticFacts(
        name=settings.name,
        source=f"distilled from {manifest.name}",
        revision=teacher.fingerprint,
        licence=manifest.licence,
        languages=manifest.languages,
        description=settings.description or f"Static encoder distilled from {manifest.name}",
        not_for="word order, negation and long-range context: a text is the sum of its tokens",
        recipe=_recipe(report),
        legal=_legal(teacher.model),
    )
    tokenizer_text = (teacher.model.folder / manifest.tokenizer).read_text("utf-8")
    made = write_static_folder(out, table, tokenizer_text, facts)
    return replace(report, bytes=sum(entry.bytes for entry in made.files.values()))


def _measured(fit: TableFit, table: StaticTable, held_out: _HeldOut, dim: int) -> DistillReport:
    """Return how near the table comes to the teacher on texts that it was not fitted to."""
    import numpy as np

    from embedcli.encode.static_table import StaticTable
    from embedcli.encode.token_ids import TokenIds
    from embedcli.vectors.normalize import normalize

    report = DistillReport(int(np.count_nonzero(table.scales)), fit.texts, len(held_out.ids_of))
    if not held_out.ids_of:
        return report
    start = fit.start(dim)
    lone = StaticTable(start, (start != 0).any(axis=1).astype(np.float32))
    tokens = TokenIds.of(held_out.ids_of)
    before, after = (normalize(made.means(tokens)) for made in (lone, table))
    wanted = normalize(np.concatenate(held_out.vectors) @ fit.axes(dim))
    return replace(
        report,
        cosine_before=float((before * wanted).sum(axis=1).mean()),
        cosine=float((after * wanted).sum(axis=1).mean()),
        agreement=_agreement(after, wanted),
    )


def _recipe(report: DistillReport) -> str:
    """Return how the table was made, in words."""
    if not report.texts:
        return "int8 token table, weighted by the rank of tokens"
    return f"int8 token table, fitted to the encoder's vectors of {report.texts} texts" + (
        "" if report.cosine is None else f"; mean cosine to them on others {report.cosine:.3f}"
    )


def _token_vectors(teacher: Vectorizer, tokenizer: Tokenizer) -> Vectors:
    """Return the teacher's vector of each token, shape (vocabulary, dim); a zero row for those of no text."""
    import numpy as np

    texts = tokenizer.token_texts()
    vectors = np.zeros((len(texts), teacher.dim), dtype=np.float32)
    rows = [row for row, text in enumerate(texts) if text]
    if not rows:
        raise UsageError(f"{teacher.model.manifest.name}: its tokenizer has no tokens that stand for text")
    for start in range(0, len(rows), 1024):
        some = rows[start : start + 1024]
        vectors[some] = teacher.text_vectors([texts[row] for row in some])
    return vectors


def _encoded(
    teacher: Vectorizer, tokenizer: Tokenizer, records: Iterable[Record]
) -> Iterator[tuple[list[list[int]], Vectors]]:
    """Yield texts as token ids with the teacher's vectors of them, of unit length, batch by batch."""
    from embedcli.encode.words import WordTokenizer
    from embedcli.vectors.normalize import normalize

    words = WordTokenizer(tokenizer)
    texts = (record for record in records if record.text.strip())
    for batch, vectors in overlapped(batches(texts, lambda record: record.text), teacher.record_vectors):
        tokens = words.token_ids([record.text for record in batch], _MAX_TEXT_TOKENS)
        yield tokens.cut(_MAX_TEXT_TOKENS).lists(), normalize(vectors)


def _take(fit: TableFit, held_out: _HeldOut, ids_of: list[list[int]], vectors: Vectors) -> None:
    """Give one text in `HELD_OUT_EVERY` to the measuring, while there is room, and the rest to the fit."""
    room = MAX_HELD_OUT - len(held_out.ids_of)
    kept = [row for row, ids in enumerate(ids_of) if ids and row % HELD_OUT_EVERY == HELD_OUT_EVERY - 1][
        :room
    ]
    if kept:
        held_out.ids_of += [ids_of[row] for row in kept]
        held_out.vectors.append(vectors[kept])
    rest = sorted(set(range(len(ids_of))) - set(kept))
    if rest:
        fit.add([ids_of[row] for row in rest], vectors[rest])


def _agreement(one: Vectors, other: Vectors) -> float | None:
    """Return how alike two encoders rank pairs of texts: Spearman's correlation of their cosines."""
    if len(one) < 4:
        return None
    from scipy.stats import spearmanr

    half = len(one) // 2
    # Each text with a neighbour in the list and with a far one: near and random pairs alike.
    pairs = [(slice(0, -1), slice(1, None)), (slice(0, half), slice(half, 2 * half))]
    cosines = [
        [float(value) for a, b in pairs for value in (vectors[a] * vectors[b]).sum(axis=1)]
        for vectors in (one, other)
    ]
    return float(spearmanr(*cosines).statistic)


def _legal(teacher: Model) -> dict[str, str]:
    """Return the licence of the weights, if the teacher's folder has it, and a notice."""
    manifest, licence = teacher.manifest, teacher.folder / "LICENSE"
    notice = (
        f"A table of token vectors that embedcli computed with the encoder {manifest.name}\n"
        f"({manifest.source}, licence {manifest.licence}). The weights of that encoder are not in it.\n"
    )
    return {"NOTICE": notice, **({"LICENSE": licence.read_text("utf-8")} if licence.is_file() else {})}
