"""The closest other row is what comparing each with each finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embedcli.errors import VectorError
from embedcli.vectors import closest as module
from embedcli.vectors.closest import NO_ROW, closest_others
from embedcli.vectors.kept import rounded
from embedcli.vectors.metric import cosine


def fits(length, other, ratio):
    return 0 in (length, other) or min(length, other) >= ratio * max(length, other)


def by_comparing_all(vectors, lengths, ratio):
    halves = rounded(vectors, lengths).halves
    best = []
    for row, length in enumerate(lengths):
        scores = cosine(halves, halves[row]) if halves[row].any() else None
        found = [
            scores[other]
            for other in range(len(halves))
            if scores is not None
            and other != row
            and halves[other].any()
            and fits(length, lengths[other], ratio)
        ]
        best.append(max(found, default=None))
    return best


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(0, 12), st.just(3)), elements=st.integers(-3, 3)),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.data(),
)
def test_each_row_has_the_closest_other(vectors, block_rows, ratio, data):
    lengths = np.array(
        data.draw(st.lists(st.integers(0, 9), min_size=len(vectors), max_size=len(vectors))), dtype=np.int64
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_ROWS", block_rows)
        found = closest_others(vectors, lengths, ratio)
    wanted = by_comparing_all(vectors, lengths, ratio)
    halves = rounded(vectors, lengths).halves
    for row, best in enumerate(wanted):
        if best is None:
            assert (found.rows[row], found.cosines[row]) == (NO_ROW, 0)
            continue
        other = found.rows[row]
        assert other != row
        assert found.cosines[row] == cosine(halves[other : other + 1], halves[row])[0]
        # Of rows that differ in rounding alone, either may be named.
        assert found.cosines[row] >= best - 1e-6
        assert fits(lengths[row], lengths[other], ratio)


def test_of_equally_close_rows_the_first_is_named_across_blocks():
    vectors = np.tile(np.array([[1, 0], [0, 1]], dtype=np.float32), (1200, 1))
    found = closest_others(vectors, np.ones(2400, dtype=np.int64))
    assert found.rows[:4].tolist() == [2, 3, 0, 1]
    assert found.rows[4:].tolist() == [0, 1] * 1198
    assert (found.cosines == 1).all()


def test_what_is_not_finite_is_refused():
    with pytest.raises(VectorError):
        closest_others(np.array([[np.nan, 1.0]]), np.ones(1, dtype=np.int64))
