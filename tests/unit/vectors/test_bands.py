"""Bands of signatures: their plan, and members found in the dictionary and in the runs alike."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.vectors import bands as module
from embedcli.vectors.bands import RECALL, BandPlan, Bands, mix, plan_bands

PLAN = BandPlan(3, 2)
signatures = st.lists(st.lists(st.integers(0, 2), min_size=6, max_size=6), min_size=1, max_size=12)


@given(st.floats(0.01, 1))
def test_a_plan_finds_what_it_promises_with_no_band_to_spare(threshold: float) -> None:
    plan = plan_bands(threshold)
    assert plan.recall(threshold) >= RECALL
    assert plan.bands <= 32 or plan.slots == 1
    assert plan.bands == 1 or plan._replace(bands=plan.bands - 1).recall(threshold) < RECALL


@pytest.mark.parametrize(
    ("threshold", "plan"), [(0.2, (21, 1)), (0.5, (17, 2)), (0.75, (24, 6)), (1, (1, 16))]
)
def test_plans_stay_what_they_are(threshold: float, plan: tuple[int, int]) -> None:
    # Other plans find other pairs: that changes results.
    assert plan_bands(threshold) == plan


def sharing(rows: list[list[int]], row: list[int]) -> set[int]:
    """Return the rows that share a band of two slots, by brute force."""
    cut = [tuple(row[place : place + 2]) for place in (0, 2, 4)]
    return {
        number
        for number, other in enumerate(rows)
        if any(cut[band] == tuple(other[2 * band : 2 * band + 2]) for band in range(3))
    }


@given(signatures, st.sets(st.integers(0, 11)), st.integers(1, 5))
@settings(max_examples=80)
def test_members_are_found_wherever_they_are_held(
    rows: list[list[int]], removed: set[int], flush: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FLUSH_MEMBERS", flush)
        bands = Bands(PLAN)
        keys = bands.keys(np.array(rows, np.uint32))
        for member, row in enumerate(keys.tolist()):
            bands.add(row, member)
            bands.settle()
        # So there are few runs to look into, however many members there are.
        assert all(len(longer) >= 2 * len(shorter) for longer, shorter in pairwise(bands._runs))
        members = [bands.settled(keys).of(row).tolist() for row in range(len(rows))]
        assert [
            set(found) | bands.recent(own) for found, own in zip(members, keys.tolist(), strict=True)
        ] == [sharing(rows, own) for own in rows]
        numbers = np.array([-1 if row in removed else 100 + row for row in range(len(rows))])
        bands.renumber(numbers)
        settled = bands.settled(keys)
        for row, own in enumerate(rows):
            found = [*settled.of(row).tolist(), *bands.recent(keys[row].tolist())]
            assert len(set(found)) == len(found)
            assert set(found) == {100 + member for member in sharing(rows, own) - removed}


def test_the_same_slots_in_another_band_are_another_key() -> None:
    keys = Bands(PLAN).keys(np.array([[1, 2, 1, 2, 1, 2], [2, 1, 2, 1, 2, 1]], np.uint32))
    assert len(set(keys.ravel().tolist())) == 6


def test_mixed_numbers_differ_in_half_of_their_bits() -> None:
    numbers = np.arange(1000, dtype=np.uint64)
    mixed = mix(numbers)
    assert numbers.tolist() == list(range(1000))
    assert len(np.unique(mixed)) == 1000
    flipped = np.bitwise_count(mixed[1:] ^ mixed[:-1])
    assert 31 < flipped.mean() < 33
