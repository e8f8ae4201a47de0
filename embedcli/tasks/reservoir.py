"""Some items of a stream, each with the same chance: `sample --random`, and what is measured on a part."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from embedcli.datatypes import Record

T = TypeVar("T")


def sample(items: Iterable[T], count: int, seed: int) -> list[T]:
    """Return items in the order in which they came; each choice of `count` has the same chance.

    Memory is that of what is chosen. The same items and seed give the same choice on every platform.

    Args:
        items: All of them, read once.
        count: How many, at least 1; all where there are no more.
        seed: Of the random numbers.

    Source: J. S. Vitter, "Random sampling with a reservoir", ACM Transactions on Mathematical Software 11(1),
    1985, algorithm R.
    """
    chance = random.Random(seed)  # noqa: S311  (a sample, no secret)
    chosen: list[tuple[int, T]] = []
    for number, item in enumerate(items):
        if number < count:
            chosen.append((number, item))
        # `random` alone gives the same numbers in all versions of Python.
        elif (place := int(chance.random() * (number + 1))) < count:
            chosen[place] = (number, item)
    return [item for _, item in sorted(chosen, key=lambda pair: pair[0])]


def random_records(records: Iterable[Record], count: int, seed: int) -> list[Record]:
    """Return records in input order, blank ones left out; see `sample`."""
    return sample((record for record in records if not record.is_blank), count, seed)
