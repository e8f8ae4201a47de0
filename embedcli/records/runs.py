"""Texts as sets of runs of four characters: the Jaccard similarity of two, and their MinHash signatures.

A run is four UTF-16 units of a normal form with a space before and after: eight bytes, so that it is itself
the number that stands for it, and similarities are exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    Runs = npt.NDArray[np.uint64]

_RUN_UNITS: Final = 4
_SEED: Final = 20
_BLOCK_UNITS: Final = 1 << 20
"""UTF-16 units that are hashed at once, at some 30 bytes each; a longer text is hashed by itself."""


def runs_of(form: str) -> Runs:
    """Return the different runs of a normal form that is not empty, uint64, in ascending order."""
    import numpy as np

    return np.unique(_packed(_units(form)))


def short_runs_of(form: str) -> Runs:
    """Return the different runs of three UTF-16 units of a normal form that is not empty, in ascending order.

    A typo of one character changes three of them, and four of those of four.
    """
    import numpy as np

    # A unit more lets a run begin at the third from the end; of each run that is read, three are kept.
    return np.unique(_packed(_spaced(form) + b"\0\0") & np.uint64(0xFFFF_FFFF_FFFF))


def jaccard(first: Runs, second: Runs) -> float:
    """Return the share, 0 to 1, of the runs of either text that both have. Exact."""
    import numpy as np

    both = int(np.intersect1d(first, second, assume_unique=True).size)
    return both / (len(first) + len(second) - both)


def signatures_of(forms: Sequence[str], length: int) -> npt.NDArray[np.uint32]:
    """Return MinHash signatures, shape (len(forms), length): the same for the same forms, everywhere.

    Two of them agree in a slot with the probability of the two forms' Jaccard similarity. Time is linear;
    memory is O(the signatures), and 30 bytes for each character of the longest text or of a million.

    Source: S. Dahlgaard, M. Knudsen and M. Thorup, "Fast similarity sketching", FOCS 2017, as rensa has it.
    """
    import numpy as np
    from rensa import RMinHash

    signatures = np.empty((len(forms), length), np.uint32)
    for first, units in _blocks(forms):
        ends = np.cumsum([len(text) // 2 for text in units])
        runs = _packed(b"".join(units))
        # Without those that begin in one text and end in the next.
        within = np.ones(len(runs), np.bool_)
        for units_before in range(1, _RUN_UNITS):
            within[ends[:-1] - units_before] = False
        offsets = np.zeros(len(units) + 1, np.uint64)
        offsets[1:] = ends - (_RUN_UNITS - 1) * np.arange(1, len(units) + 1)
        rows = RMinHash.digest_matrix_from_flat_token_hashes(runs[within], offsets, length, _SEED).to_rows()
        signatures[first : first + len(units)] = rows
    return signatures


def _units(form: str) -> bytes:
    """Return a form with a space before and after in UTF-16, at least one run long."""
    # What is too short is filled with a unit that is no text.
    return _spaced(form).ljust(2 * _RUN_UNITS, b"\xff")


def _spaced(form: str) -> bytes:
    """Return a form with a space before and after in UTF-16."""
    # Half surrogate pairs are units like any other.
    return f" {form} ".encode("utf-16-le", "surrogatepass")


def _packed(units: bytes) -> Runs:
    """Return the run that begins at each unit, as far as there are four."""
    import numpy as np

    # The eight bytes that lie there, read as one number.
    return np.ndarray((len(units) // 2 - _RUN_UNITS + 1,), "<u8", units, 0, (2,)).astype(np.uint64)


def _blocks(forms: Sequence[str]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield texts in UTF-16, so many at once as together are short, each time with the place of the first."""
    units: list[bytes] = []
    size = first = 0
    for place, form in enumerate(forms):
        encoded = _units(form)
        if units and size + len(encoded) > 2 * _BLOCK_UNITS:
            yield first, units
            units, size, first = [], 0, place
        units.append(encoded)
        size += len(encoded)
    if units:
        yield first, units
