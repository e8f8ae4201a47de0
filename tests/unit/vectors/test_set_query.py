"""Questions made of several vectors, against a computation row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.errors import VectorError
from embedcli.vectors.set_query import NOT_WEIGHT, SetQuery, SetTop

numbers = st.sampled_from([-2.0, -1.0, -0.3, 0.0, 0.1, 0.5, 1.0, 3.0])
vectors = st.lists(numbers, min_size=3, max_size=3) | st.just([0.0, 0.0, 0.0])
wanted = (
    st.lists(numbers, min_size=3, max_size=3).filter(any).map(lambda row: np.array(row, dtype=np.float32))
)


@st.composite
def questions(draw):
    any_of, all_of = draw(
        st.tuples(st.lists(wanted, max_size=3), st.lists(wanted, max_size=2)).filter(
            lambda two: any(map(len, two))
        )
    )
    return SetQuery(tuple(any_of), tuple(all_of), tuple(draw(st.lists(wanted, max_size=2))))


def cosine(left, right):
    lengths = math.sqrt(sum(x * x for x in left)) * math.sqrt(sum(x * x for x in right))
    return sum(x * y for x, y in zip(left, right, strict=True)) / lengths if lengths else 0.0


def score(row, question):
    near = [max(cosine(row, each) for each in question.any_of)] if question.any_of else []
    near += [cosine(row, each) for each in question.all_of]
    product = math.prod(max(0.0, each) for each in near)
    return product ** (1 / len(near)) - NOT_WEIGHT * max(
        [0.0, *(cosine(row, each) for each in question.none_of)]
    )


@given(questions(), st.lists(vectors, min_size=1, max_size=30), st.data())
def test_the_best_rows_are_those_of_a_plain_computation(question, rows, data):
    stored = np.array(rows, dtype=np.float32)
    count = data.draw(st.integers(1, 8))
    dead = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    ends = sorted(data.draw(st.sets(st.integers(1, len(rows)))) | {len(rows)})
    bar = data.draw(st.sampled_from([None, 0.1]))
    top = SetTop(question, count, bar)
    start = 0
    for end in ends:
        top.add(stored[start:end], start, dead[start:end])
        start = end
    plain = {row: score(rows[row], question) for row in range(len(rows)) if any(rows[row]) and not dead[row]}
    plain = {row: value for row, value in plain.items() if bar is None or value >= bar}
    found = top.result()
    assert len(found) == min(count, len(plain))
    worst_wanted = sorted(plain.values(), reverse=True)[: len(found)]
    assert [each.score for each in found] == pytest.approx(worst_wanted, abs=1e-6)
    for each in found:
        assert each.score == pytest.approx(plain[each.row], abs=1e-6)
        assert each.cosines == pytest.approx(
            [cosine(rows[each.row], own) for own in question.vectors], abs=1e-6
        )
    assert {each.row for each in found} <= {each.row for each in top.result(ties=True)}


def test_large_blocks_are_scanned_without_losing_a_row():
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((5000, 64)).astype(np.float16)
    question = SetQuery(
        (vectors[7].astype(np.float32),), tuple(rng.standard_normal((2, 64)).astype(np.float32))
    )
    top = SetTop(question, 20)
    top.add(vectors, 100)
    exact = question.scores(question.cosines(vectors.astype(np.float32)))
    order = np.lexsort((np.arange(5000), -exact))[:20]
    assert [each.row - 100 for each in top.result()] == order.tolist()


def test_numbers_that_are_none_are_refused():
    top = SetTop(SetQuery((np.array([1.0, 0.0], dtype=np.float32),)), 3)
    with pytest.raises(VectorError, match="vector 2 holds"):
        top.add(np.array([[1, 0], [np.nan, 1]], dtype=np.float32))
