"""Some records of a stream, each with the same chance: `sample --random`."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from embedcli.datatypes import Record


def random_records(records: Iterable[Record], count: int, seed: int) -> list[Record]:
    """Return records in input order; each choice of `count` that are not blank has the same chance.

    Memory is that of what is chosen. The same input and seed give the same records on every platform.

    Args:
        records: All of them, read once.
        count: How many, at least 1; all where there are no more.
        seed: Of the random numbers.

    Source: J. S. Vitter, "Random sampling with a reservoir", ACM Transactions on Mathematical Software 11(1),
    1985, algorithm R.
    """
    chance = random.Random(seed)  # noqa: S311  (a sample, no secret)
    chosen: list[tuple[int, Record]] = []
    seen = 0
    for number, record in enumerate(records):
        if record.is_blank:
            continue
        seen += 1
        if len(chosen) < count:
            chosen.append((number, record))
        # `random` alone gives the same numbers in all versions of Python.
        elif (place := int(chance.random() * seen)) < count:
            chosen[place] = (number, record)
    return [record for _, record in sorted(chosen, key=lambda item: item[0])]
