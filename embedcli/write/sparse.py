"""Records with their sparse vectors, as JSON or as lines to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedcli.write.hits import write_place
from embedcli.write.objects import dump, record_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.datatypes import Record, SparseVector
    from embedcli.write.hits import HitStyle
    from embedcli.write.target import Output


def strongest_terms(vector: SparseVector, terms: Sequence[str], count: int | None = None) -> dict[str, float]:
    """Return the terms that weigh most, in that order; equal ones in the order of the vocabulary.

    Args:
        vector: What they weigh.
        terms: The words of the vocabulary by id.
        count: Most terms; None for all.
    """
    import numpy as np

    order = np.argsort(-vector.weights, kind="stable")[:count]
    # The shortest decimals that give the same float32.
    return {terms[vector.terms[place]]: float(str(vector.weights[place])) for place in order.tolist()}


def write_sparse_json(
    records: Sequence[Record],
    vectors: Sequence[SparseVector | None],
    terms: Sequence[str],
    output: Output,
    *,
    vector_model: str,
    keep_text: bool = True,
    text_fields: Sequence[str] = (),
) -> None:
    """Write one object a line: the record, and `sparse`, its terms and their weights, the largest first.

    Args:
        records: In the order of the output; a vector that came with one is written as it was.
        vectors: One a record; None becomes null.
        terms: The words of the vocabulary by id.
        output: Where to.
        vector_model: What each object names as the model of its sparse vector.
        keep_text: Whether the text is written.
        text_fields: The fields that the text was made of.
    """
    lines = []
    for record, vector in zip(records, vectors, strict=True):
        row = record_object(record, keep_text=keep_text, text_fields=text_fields)
        own = {
            "sparse": None if vector is None else strongest_terms(vector, terms),
            "sparse_model": vector_model,
        }
        row = {**{key: value for key, value in row.items() if key not in own}, **own}
        if record.vector is not None:
            row["vector"] = [float(str(number)) for number in record.vector]
            row |= {} if record.vector_model is None else {"vector_model": record.vector_model}
        lines.append(dump(row) + b"\n")
    output.write(b"".join(lines))
    output.flush()


def write_sparse_text(
    records: Sequence[Record],
    vectors: Sequence[SparseVector | None],
    terms: Sequence[str],
    count: int,
    output: Output,
    style: HitStyle,
) -> None:
    """Write `path:line:term weight, term weight, …` with the `count` strongest terms of each record."""
    for record, vector in zip(records, vectors, strict=True):
        shown = {} if vector is None else strongest_terms(vector, terms, count)
        text = ", ".join(f"{term} {weight:.2f}" for term, weight in shown.items())
        write_place(record.path, record.line, text, output, style)
