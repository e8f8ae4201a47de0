"""The cosine from which two texts are duplicates, measured on the user's own texts, or on judged pairs.

From texts, pairs are made: each text and a copy of it with small changes (`tasks.edits`) are duplicates,
each text and the nearest other one are not; two that are each other's nearest are one pair, as one of them
would be lost. Chance pairs would say nothing, they lie far apart for every encoder. Nothing is known of the
user's texts, so a nearest one may be a duplicate after all: equal ones are taken for one text beforehand, and
of others a few do no harm, since the rule leaves room for one in a hundred.

In more texts than the sample the nearest one is nearer: the precision is that of a set as large as that.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.errors import UsageError
from embedcli.records.normal_form import normal_form
from embedcli.tasks.edits import EDITS, Edit, edit_text
from embedcli.tasks.judged_pairs import judged_pair, read_label
from embedcli.tasks.reservoir import sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Record, Vectors
    from embedcli.encode.duplicates import Duplicates
    from embedcli.tasks.vectorize import Vectorizer

    Doubles = npt.NDArray[np.float64]

SAMPLE_TEXTS: Final = 2000
"""Texts that pairs are made of: precision and recall are then known to about a point of a hundred."""

SAMPLE_PAIRS: Final = 20_000
"""Judged pairs that are looked at."""

LEAST_TEXTS: Final = 100
"""With fewer, one pair in a hundred is less than one."""

FEW_TEXTS: Final = 1000
"""With fewer, what is chosen suits sets of that size: of 106 sentences 0.77 for the default encoder, of 2,000
0.93."""

SHOWN_PAIRS: Final = 5
_COMPARED: Final[tuple[Edit, ...]] = ("edited", "shuffled", "shortened")
"""Copies that are for the vectors to find; the others are found by their text."""
_BLOCK_ROWS: Final = 1024


class LabelledPair(NamedTuple):
    """Two texts and whether they are duplicates."""

    left: str
    right: str
    are_duplicates: bool


class ClosePair(NamedTuple):
    """Two texts that count as distinct, and their cosine."""

    left: str
    right: str
    cosine: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """A threshold and what it does on the pairs that it comes from.

    Attributes:
        threshold: Above 0, at most 1: pairs with at least this cosine are duplicates.
        precision: Of the pairs at or above it, the share that are duplicates, 0 to 1.
        recall: Of the duplicates, the share at or above it, 0 to 1.
        recall_by: The same for copies of each kind that the texts allow; empty for judged pairs.
        pairs: How many pairs it was chosen from.
        texts: How many texts they were made of; of judged pairs, how many there are in them.
        closest: The distinct pairs at or above it, the closest first, at most `SHOWN_PAIRS`.
    """

    threshold: float
    precision: float
    recall: float
    recall_by: Mapping[str, float]
    pairs: int
    texts: int
    closest: tuple[ClosePair, ...]

    @property
    def is_precise(self) -> bool:
        """Whether the precision is what the rule asks for."""
        from embedcli.vectors.threshold import PRECISION

        return self.precision >= PRECISION


def calibrate(
    texts: Iterable[str],
    vectorizer: Vectorizer,
    *,
    at_most: int = SAMPLE_TEXTS,
    seed: int = 0,
    at_least: float = 0.0,
) -> Calibration:
    """Choose a threshold by pairs made of texts. Memory is O(at_most).

    Args:
        texts: As `dedupe` would be given them; blank ones are passed over.
        vectorizer: Makes their vectors.
        at_most: How many are taken, by chance, each as likely as any other.
        seed: Another one takes others, and changes them in other places.
        at_least: The lowest threshold that may be chosen.

    Raises:
        UsageError: There are fewer than `LEAST_TEXTS` different ones.
    """
    import numpy as np

    from embedcli.vectors.metric import pair_cosines

    drawn = sample((text for text in texts if text and not text.isspace()), at_most, seed)
    distinct = list({normal_form(text): text for text in reversed(drawn)}.values())[::-1]
    if len(distinct) < LEAST_TEXTS:
        raise UsageError(
            f"--calibrate: {len(distinct)} different texts, at least {LEAST_TEXTS} are needed",
            hint="give more of them, or --threshold NUMBER",
        )
    vectors = vectorizer.text_vectors(distinct)
    rows_of, copies_of = _copies(distinct, seed)
    cosines: dict[Edit, Doubles] = {"exact": pair_cosines(vectors, vectors)}
    for edit, copies in copies_of.items():
        cosines[edit] = pair_cosines(vectors[rows_of[edit]], vectorizer.text_vectors(copies))
    pairs = nearest_pairs(vectors)
    return _calibration(
        np.concatenate([cosines[edit] for edit in _COMPARED if edit in cosines]),
        pair_cosines(vectors[pairs[:, 0]], vectors[pairs[:, 1]]),
        [(distinct[row], distinct[other]) for row, other in pairs.tolist()],
        cosines,
        texts=len(distinct),
        at_least=at_least,
    )


def calibrate_pairs(pairs: Iterable[LabelledPair], vectorizer: Vectorizer) -> Calibration:
    """Choose a threshold by judged pairs, of which at most `SAMPLE_PAIRS` are looked at.

    Raises:
        UsageError: They are all duplicates, or none of them is.
    """
    import numpy as np

    from embedcli.vectors.metric import pair_cosines

    drawn = sample(pairs, SAMPLE_PAIRS, seed=0)
    labels = np.array([pair.are_duplicates for pair in drawn], dtype=bool)
    if labels.all() or not labels.any():
        raise UsageError(
            f"--calibrate: {labels.sum()} of {len(labels)} pairs are duplicates, both kinds are needed",
            hint="without labels, texts are enough: pairs are made of them",
        )
    left = vectorizer.text_vectors([pair.left for pair in drawn])
    cosines = pair_cosines(left, vectorizer.text_vectors([pair.right for pair in drawn]))
    return _calibration(
        cosines[labels],
        cosines[~labels],
        [(pair.left, pair.right) for pair in drawn if not pair.are_duplicates],
        {},
        texts=len({text for pair in drawn for text in pair[:2]}),
    )


def _calibration(
    duplicates: Doubles,
    distinct: Doubles,
    distinct_texts: Sequence[tuple[str, str]],
    cosines: Mapping[Edit, Doubles],
    *,
    texts: int,
    at_least: float = 0.0,
) -> Calibration:
    import numpy as np

    from embedcli.vectors.threshold import choose_threshold

    chosen = choose_threshold(duplicates, distinct, at_least=at_least)
    closest = np.argsort(-distinct, kind="stable")[:SHOWN_PAIRS].tolist()
    return Calibration(
        threshold=chosen.value,
        precision=chosen.precision,
        recall=chosen.recall,
        recall_by={edit: float((cosines[edit] >= chosen.value).mean()) for edit in EDITS if edit in cosines},
        pairs=len(duplicates) + len(distinct),
        texts=texts,
        closest=tuple(
            ClosePair(left, right, float(distinct[row]))
            for row in closest
            for left, right in [distinct_texts[row]]
            if distinct[row] >= chosen.value
        ),
    )


def _copies(texts: Sequence[str], seed: int) -> tuple[dict[Edit, list[int]], dict[Edit, list[str]]]:
    """Return the rows and the copies of each kind: each text re-cased, and changed in one of its ways.

    One copy a text, so that there are as many duplicates as other pairs.
    """
    rows_of: dict[Edit, list[int]] = {}
    copies_of: dict[Edit, list[str]] = {}
    for row, text in enumerate(texts):
        chooser = random.Random(f"{seed} {text}")  # noqa: S311  (nothing secret)
        ways = chooser.sample(_COMPARED, len(_COMPARED))
        way = next((edit for edit in ways if edit_text(text, edit, seed) is not None), None)
        for edit in ("recased", way):
            if edit and (copy := edit_text(text, edit, seed)) is not None:
                rows_of.setdefault(edit, []).append(row)
                copies_of.setdefault(edit, []).append(copy)
    return rows_of, copies_of


def nearest_pairs(vectors: Vectors) -> npt.NDArray[np.intp]:
    """Return the pairs of each row and the one nearest to it by cosine, each pair once, shape (p, 2).

    The lower row stands first, the pairs are in order. O(n^2 dim); n is at least 2.
    """
    import numpy as np

    from embedcli.vectors.normalize import normalize

    unit = normalize(vectors)
    nearest = np.zeros(len(unit), dtype=np.intp)
    for first in range(0, len(unit), _BLOCK_ROWS):
        products = unit[first : first + _BLOCK_ROWS] @ unit.T
        rows = np.arange(len(products))
        products[rows, first + rows] = -np.inf
        nearest[first : first + _BLOCK_ROWS] = products.argmax(axis=1)
    pairs = np.stack([np.arange(len(unit)), nearest], axis=1)
    return np.unique(np.sort(pairs, axis=1), axis=0)


def labelled_pairs(records: Iterable[Record], names: tuple[str, str, str]) -> Iterable[LabelledPair]:
    """Yield the pairs that records hold.

    Args:
        records: With the two texts and the label among their fields.
        names: Of the fields: one text, the other, and 1 or true for duplicates, 0 or false for others.

    Raises:
        InputError: A record lacks one of them, or its label is another.
    """
    for record in records:
        pair = judged_pair(record, names, read_label)
        yield LabelledPair(pair.left, pair.right, bool(pair.value))


def save_duplicates(folder: Path, duplicates: Duplicates) -> None:
    """Write a threshold into the manifest of a model's folder; all of it is written, or nothing.

    Raises:
        UsageError: The model comes with embedcli, or is several models as one: there is no such folder.
        DamagedModelError: Its manifest cannot be read.
        OutputError: It cannot be written.
    """
    from dataclasses import replace

    from embedcli.encode.catalog import shipped_folder
    from embedcli.encode.manifest import MANIFEST_NAME, format_manifest, read_manifest
    from embedcli.write.target import open_output

    use = f"use --threshold {duplicates.threshold}"
    if folder.resolve().parent == shipped_folder().resolve():
        raise UsageError(f"--save: model {folder.name} comes with embedcli and stays as it is", hint=use)
    if not (folder / MANIFEST_NAME).is_file():
        raise UsageError(f"--save: {folder} is no folder of a model", hint=use)
    manifest = replace(read_manifest(folder), duplicates=duplicates)
    with open_output(str(folder / MANIFEST_NAME)) as output:
        output.write(format_manifest(manifest).encode())
