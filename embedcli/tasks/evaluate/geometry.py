"""The shape of a collection of vectors: `eval geometry`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from embedcli.reports import Evaluation, Measurement
from embedcli.tasks.pipeline import batches, in_turn, overlapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from embedcli.datatypes import Record, Vectors
    from embedcli.tasks.dedupe import RecordVectors
    from embedcli.tasks.match_pairs import Pair
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.vectors.geometry import Geometry

MEASURES: Final = {
    "rows": "vectors that were looked at",
    "dim": "numbers in a vector",
    "effective rank": "directions that are used: 1 to dim",
    "intrinsic dimension": "TwoNN; above 10 a lower bound: it reads 17 for 20, 32 for 50",
    "mean cosine": "of random pairs; 0: spread over all directions, 1: one direction",
    "uniformity": "0: one point; about -4: spread evenly",
    "hubness": "skewness of being among others' 10 nearest; above 2: a few are near to all",
    "alignment": "mean squared distance of pairs: 0 for equal ones, 2 for unrelated ones",
    "duplicates": "vectors equal to an earlier one, to the last bit",
    "zero": "vectors of zeros, left out",
    "non-finite": "vectors with a value that is no number, left out",
    "least norm": "",
    "mean norm": "",
    "greatest norm": "",
}
"""The measures and what they mean, in the order of the table."""

_STEP_ROWS: Final = 4_096
_ONE_DIRECTION: Final = 1.5
"""An effective rank below it means that nearly all vectors say one thing."""


class AlignedPairs(NamedTuple):
    """Both sides of pairs, shape (n, dim), float32, unit length; those without a vector are left out."""

    left: Vectors
    right: Vectors


def iter_rows(rows: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield the rows of a mapped array in blocks that fit into memory."""
    for start in range(0, len(rows), _STEP_ROWS):
        yield rows[start : start + _STEP_ROWS]


def iter_vectors(
    records: Iterable[Record], maker: RecordVectors, *, is_lookup: bool = False
) -> Iterator[Vectors]:
    """Yield the vectors of all records that are not blank, shape (n, dim), as they come.

    Args:
        records: What is read.
        maker: Makes or finds the vectors.
        is_lookup: Whether that takes no longer than reading.
    """
    there = (record for record in records if not record.is_blank or record.vector is not None)
    staged = in_turn if is_lookup else overlapped
    for _, vectors in staged(batches(there, lambda record: record.text), maker.record_vectors):
        yield vectors


def pair_vectors(pairs: Iterable[Pair], vectorizer: Vectorizer) -> AlignedPairs:
    """Return the vectors of pairs of texts; pairs with a text that has none are left out. O(pairs) memory."""
    import numpy as np

    def encode(batch: list[Pair]) -> Vectors:
        return vectorizer.text_vectors([text for pair in batch for text in (pair.left, pair.right)])

    there = (pair for pair in pairs if pair.left.strip() and pair.right.strip())
    staged = in_turn if vectorizer.is_lookup else overlapped
    found = [vectors for _, vectors in staged(batches(there, lambda pair: pair.left + pair.right), encode)]
    both = np.concatenate([*found, np.zeros((0, vectorizer.dim), np.float32)])
    left, right = both[::2], both[1::2]
    known = left.any(axis=1) & right.any(axis=1)
    return AlignedPairs(left[known], right[known])


def geometry_evaluation(system: str, found: Geometry, alignment: float | None = None) -> Evaluation:
    """Return the measures of a collection; one that says nothing is NaN.

    Args:
        system: Whose vectors they are.
        found: From `vectors.geometry`.
        alignment: Of pairs; None where there are none.
    """
    norms = found.norms or (None,) * 3
    values: dict[str, float | None] = {
        "rows": found.rows,
        "dim": found.dim,
        "effective rank": found.effective_rank,
        "intrinsic dimension": found.intrinsic_dim,
        "mean cosine": found.mean_cosine,
        "uniformity": found.uniformity,
        "hubness": found.hubness,
        "alignment": alignment,
        "duplicates": found.duplicates,
        "zero": found.zero,
        "non-finite": found.non_finite,
        **dict(zip(("least norm", "mean norm", "greatest norm"), norms, strict=True)),
    }
    if alignment is None:
        del values["alignment"]
    measurements = tuple(
        Measurement(system, metric, float("nan") if value is None else value)
        for metric, value in values.items()
    )
    items = tuple(map(str, range(1, found.sampled + 1)))
    return Evaluation("geometry", items, "vectors", measurements, about={"rows": found.rows})


def warnings_of(found: Geometry) -> Iterator[str]:
    """Yield what is wrong with a collection, in words."""
    left_out = found.non_finite + found.zero
    if left_out:
        yield (
            f"{left_out} of {found.rows} vectors were left out:"
            f" {found.non_finite} not finite, {found.zero} zero"
        )
    if found.rows - left_out > found.sampled:
        yield f"pairs, ranks and neighbours are those of {found.sampled} vectors, drawn at random"
    if found.effective_rank is not None and found.rows > 1 and found.effective_rank < _ONE_DIRECTION:
        yield (
            f"effective rank {found.effective_rank:.2f}: nearly all vectors have one direction;"
            " cosines of these tell little apart"
        )
    if found.duplicates * 10 > found.rows:
        yield f"{found.duplicates} of {found.rows} vectors are copies of others"
