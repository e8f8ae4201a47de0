"""Two encoders side by side on the same texts, without judgements: `eval compare`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from embedcli.datatypes import VectorDtype
from embedcli.errors import InputError, UsageError
from embedcli.reports import Evaluation, Measurement
from embedcli.tasks.evaluate.measured import mean_measurements
from embedcli.tasks.pipeline import batches

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Record, Vectors
    from embedcli.tasks.vectorize import Vectorizer

SideKind = Literal["model", "rows", "index"]
"""Where vectors come from: an encoder, a `.npy` file whose rows are the records', or an index."""

SAMPLE_TEXTS: Final = 3_000
"""All pairs of them are compared twice: 150 MB, some seconds, and shares of neighbours to about 0.01."""

MAX_TEXTS: Final = 20_000
"""Pairs of more do not fit into memory: 6.4 GB."""

DEPTHS: Final = (1, 5, 10, 50)
_SHARED_DEPTH: Final = 10
_RANKED: Final = 50
_SETTINGS: Final = ("dim", "dtype", "variant", "pooling")

MEASURES: Final = {
    "Jaccard@10": "shared among the 10 nearest of a text on both sides, over all of them",
    "Jaccard@1": "share of texts whose nearest text is the same",
    "RBO": "rank-biased overlap of the neighbours, p = .9: near ones count most",
    "CKA": "debiased linear; 1 for a rotated or scaled copy",
}
"""The measures and what they mean."""


class SideSpec(NamedTuple):
    """A side of the comparison, as it was typed.

    Attributes:
        typed: All of it: the name in the table.
        name: A model's name or folder, or a file.
        kind: Which of these.
        settings: What follows `@`, by name.
    """

    typed: str
    name: str
    kind: SideKind
    settings: Mapping[str, str]

    @property
    def dim(self) -> int | None:
        """How many of the first numbers are kept; None for all."""
        return int(self.settings["dim"]) if "dim" in self.settings else None


class Entry(NamedTuple):
    """A text that is compared.

    Attributes:
        number: Its place among all records, from 0.
        id: Of its record.
        text: Empty where there are vectors alone.
    """

    number: int
    id: str
    text: str


class Chosen(NamedTuple):
    """What is compared.

    Attributes:
        entries: The texts.
        missing: Records that an index does not have.
        records: All that were read, blank ones too.
    """

    entries: list[Entry]
    missing: int
    records: int


def parse_side(typed: str) -> SideSpec:
    """Return what `NAME[@dim=N][@dtype=T][@variant=V][@pooling=P]` means.

    Raises:
        UsageError: A setting is not known, makes no sense, or does not go with a file.
    """
    from embedcli.tasks.places import index_path

    name, *said = typed.split("@")
    pairs = [part.partition("=") for part in said]
    wrong = [key for key, is_set, value in pairs if key not in _SETTINGS or not is_set or not value]
    if wrong or not name or len({key for key, _, _ in pairs}) < len(said):
        raise UsageError(
            f"{typed!r} is no side of a comparison",
            hint="MODEL@dim=128@dtype=int8@variant=fp32, FILE.npy, an index",
        )
    found = {key: value for key, _, value in pairs}
    if "dim" in found and not (found["dim"].isdecimal() and 0 < int(found["dim"]) < 1 << 20):
        raise UsageError(f"{typed!r}: dim is a number from 1")
    if found.get("dtype", "float32") not in get_args(VectorDtype):
        raise UsageError(f"{typed!r}: no such dtype", hint=", ".join(get_args(VectorDtype)))
    kind: SideKind = "rows" if name.endswith(".npy") else "index" if index_path(name).is_file() else "model"
    if kind != "model" and ("variant" in found or "pooling" in found):
        raise UsageError(f"{typed!r}: variant and pooling are those of a model, not of a file")
    return SideSpec(typed, name, kind, found)


def choose_entries(records: Iterable[Record], ids: Sequence[Container[str]], count: int, seed: int) -> Chosen:
    """Return texts to compare, each different text once.

    Memory is that of what is chosen, and 16 bytes and a set's place for each text.

    Args:
        records: All of them.
        ids: Of each index that is compared.
        count: At most so many, drawn at random.
        seed: Of the draw.
    """
    from embedcli.tasks.reservoir import sample

    missing = total = 0

    def distinct() -> Iterator[Entry]:
        nonlocal missing, total
        seen: set[bytes] = set()
        for number, record in enumerate(records):
            total += 1
            if record.is_blank:
                continue
            key = hashlib.blake2b(record.text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
            if not all(record.id in each for each in ids):
                missing += 1
            elif key not in seen:
                seen.add(key)
                yield Entry(number, record.id, record.text)

    chosen = sample(distinct(), count, seed)
    return Chosen(chosen, missing, total)


def row_entries(rows: int, count: int, seed: int) -> list[Entry]:
    """Return entries for the rows of files alone, at most `count` at random."""
    from embedcli.tasks.reservoir import sample

    return [Entry(row, str(row + 1), "") for row in sample(range(rows), count, seed)]


def index_ids(path: Path) -> set[str]:
    """Return the ids of an index, one for each vector."""
    from embedcli.tasks.export_index import iter_index_records

    return {record.id for record in iter_index_records(path)}


def index_vectors(path: Path, entries: Sequence[Entry]) -> Vectors:
    """Return the vectors of entries, shape (n, dim), float32; all of their ids are in the index."""
    import numpy as np

    from embedcli.tasks.export_index import iter_index_records

    places = {entry.id: place for place, entry in enumerate(entries)}
    found: Vectors | None = None
    for record in iter_index_records(path):
        place = places.get(record.id)
        if place is not None and record.vector is not None:
            if found is None:
                found = np.zeros((len(entries), len(record.vector)), np.float32)
            found[place] = record.vector
    return np.zeros((0, 1), np.float32) if found is None else found


def file_vectors(rows: npt.NDArray[Any], path: str, entries: Sequence[Entry]) -> Vectors:
    """Return the rows of entries, shape (n, dim), float32.

    Raises:
        InputError: The file has fewer rows than there are records.
    """
    import numpy as np

    numbers = [entry.number for entry in entries]
    if max(numbers, default=-1) >= len(rows):
        raise InputError(f"{path}: {len(rows)} rows, and more records than that")
    with np.errstate(over="ignore"):
        return np.asarray(rows[numbers], dtype=np.float32)


def encoded(vectorizer: Vectorizer, entries: Sequence[Entry]) -> Vectors:
    """Return the vectors of the texts of entries, shape (n, dim), float32."""
    import numpy as np

    parts = batches(entries, lambda entry: entry.text)
    found = [vectorizer.text_vectors([entry.text for entry in part]) for part in parts]
    return np.concatenate([*found, np.zeros((0, vectorizer.dim), np.float32)])


def as_stored(vectors: Vectors, spec: SideSpec) -> Vectors:
    """Return vectors cut and rounded as a side says, at unit length; a row that is not finite is zeros."""
    import numpy as np

    from embedcli.vectors.normalize import normalize, truncate_dim
    from embedcli.vectors.quantize import quantize, restore

    finite = np.where(np.isfinite(vectors).all(axis=1, keepdims=True), vectors, np.float32(0))
    if spec.dim is not None and spec.kind != "model":
        if spec.dim > finite.shape[1]:
            raise UsageError(f"{spec.typed}: its vectors have {finite.shape[1]} numbers")
        finite = truncate_dim(finite, spec.dim)
    unit = normalize(finite)
    dtype: Any = spec.settings.get("dtype")
    if dtype is None:
        return unit
    codes, scale = quantize(unit, dtype)
    stored = restore(codes, dtype, scale)
    # Signs of zeros would be a direction.
    stored[~unit.any(axis=1)] = 0
    return normalize(stored)


def compare(
    sides: Sequence[tuple[str, Vectors]], entries: Sequence[Entry], seed: int
) -> tuple[Evaluation, int]:
    """Return how far the sides agree, and how many texts were left out since a side has no vector for them.

    The first row is both sides; then each of them and the bag of words, where there are texts. O(n**2).

    Args:
        sides: Two names with vectors of the entries, shape (n, dim), unit length or zero.
        entries: What was compared.
        seed: Of the intervals.

    Raises:
        InputError: Fewer than four texts are left.
    """
    import numpy as np

    from embedcli.tasks.evaluate.bag_of_words import NAME, TfidfVectors
    from embedcli.vectors.agreement import LEAST_TEXTS, chance_agreement, products_of

    known = np.logical_and.reduce([vectors.any(axis=1) for _, vectors in sides])
    there = [entry for entry, is_known in zip(entries, known.tolist(), strict=True) if is_known]
    if len(there) < LEAST_TEXTS:
        raise InputError(
            f"{len(there)} texts have a vector on both sides: too few to compare",
            hint="ids join an index with the records; rows of a .npy file are the records' in their order",
        )
    products = [(name, products_of(vectors[known])) for name, vectors in sides]
    if any(entry.text for entry in there):
        words = TfidfVectors([entry.text for entry in there]).vectors([entry.text for entry in there])
        products.append((NAME, np.asarray((words @ words.T).toarray(), dtype=np.float64)))
    couples = [(0, 1), (0, 2), (1, 2)] if len(products) > 2 else [(0, 1)]
    depths = [depth for depth in DEPTHS if depth < len(there)]
    depths.sort(key=lambda depth: (depth != _SHARED_DEPTH, depth))
    measurements = [
        each for one, other in couples for each in _agreement(products[one], products[other], depths, seed)
    ]
    chance = chance_agreement(len(there), depths, min(_RANKED, len(there) - 1))
    guessed = {f"Jaccard@{depth}": chance.jaccard[depth] for depth in depths}
    guessed |= {"RBO": chance.rank_biased, "CKA": 0.0}
    about = {"sides": [name for name, _ in sides]}
    found = Evaluation(
        "compare", tuple(entry.id for entry in there), "texts", tuple(measurements), guessed, about
    )
    return found, len(entries) - len(there)


def _agreement(
    left: tuple[str, npt.NDArray[np.float64]],
    right: tuple[str, npt.NDArray[np.float64]],
    depths: Sequence[int],
    seed: int,
) -> list[Measurement]:
    """Return all measures of two sides."""
    from embedcli.vectors.agreement import cka_interval, list_agreement, nearest_lists

    name = f"{left[0]} ~ {right[0]}"
    depth = min(_RANKED, len(left[1]) - 1)
    found = list_agreement(nearest_lists(left[1], depth), nearest_lists(right[1], depth), depths)
    values = {f"Jaccard@{each}": found.jaccard[each] for each in depths}
    measured = mean_measurements(name, {**values, "RBO": found.rank_biased}, seed)
    cka = cka_interval(left[1], right[1], seed)
    return [*measured, Measurement(name, "CKA", *cka)]
