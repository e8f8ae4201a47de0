from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedcli.vectors.pareto import pareto_set

COSTS = arrays(np.float64, st.tuples(st.integers(1, 12), st.just(3)), elements=st.integers(0, 3).map(float))


@given(COSTS)
def test_a_row_is_out_exactly_if_another_one_dominates_it(costs):
    kept = pareto_set(costs)
    for own, is_in in zip(costs.tolist(), kept.tolist(), strict=True):
        beaten = any(
            all(a <= b for a, b in zip(other, own, strict=True)) and other != own for other in costs.tolist()
        )
        assert is_in is not beaten


@given(COSTS)
def test_someone_is_always_in_and_equal_rows_share_their_fate(costs):
    kept = pareto_set(costs)
    assert kept.any()
    twice = pareto_set(np.concatenate([costs, costs]))
    assert twice.tolist() == kept.tolist() * 2
