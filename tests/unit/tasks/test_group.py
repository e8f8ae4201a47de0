"""One hit a group: the best, however its chunks are cut into batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.datatypes import Hit
from embedcli.tasks.group import GroupedTop, best_of_groups, enough_groups, group_of, runs_to_choose_from
from embedcli.vectors.exact import TopK
from embedcli.vectors.metric import cosine


def hit(record: str, score: float, *, path: str | None = "a", chunk: int = 1, whole: bool = False) -> Hit:
    return Hit(score, score, record, chunk, path, 1, 1, "x", whole_file=whole)


@st.composite
def streams(draw):
    """Groups in a row with one to five vectors each, and where the batches end."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=12))
    groups = [number for number, size in enumerate(sizes) for _ in range(size)]
    numbers = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0])
    vectors = draw(st.lists(st.tuples(numbers, numbers), min_size=len(groups), max_size=len(groups)))
    ends = sorted(draw(st.sets(st.integers(1, len(groups)))) | {len(groups)})
    return groups, np.array(vectors, dtype=np.float32), ends


@given(streams(), st.integers(1, 13))
def test_each_group_is_there_once_by_its_best(stream, top_k):
    groups, vectors, ends = stream
    query = np.array([1.0, 0.25], dtype=np.float32)
    top = TopK(query, top_k)
    grouped = GroupedTop(top, query)
    start = 0
    for end in ends:
        grouped.add(vectors[start:end], start, runs_to_choose_from(groups[start:end]))
        assert grouped.open_row is None or grouped.open_row < end
        start = end
    grouped.close()
    cosines = cosine(vectors, query)
    best = {}
    for row, group in enumerate(groups):
        if group not in best or cosines[row] > cosines[best[group]]:
            best[group] = row
    rows = [row for row in best.values() if vectors[row].any()]
    wanted = sorted(rows, key=lambda row: (-cosines[row], row))[:top_k]
    assert [found.row for found in top.result()] == wanted


def test_what_makes_a_group():
    def of(by, path, record, chunk, *, whole=False):
        return group_of(by, path=path, record=record, chunk=chunk, whole_file=whole)

    assert of(None, "a", "r", 1) == of(None, "a", "r", 2) == of("record", "a", "r", 3)
    assert of(None, "a", "r", 1) != of(None, "b", "r", 1)
    assert of(None, "a", "a", 1, whole=True) != of(None, "a", "a", 2, whole=True)
    assert of("record", "a", "a", 1, whole=True) == of("record", "a", "a", 2, whole=True)
    assert of("file", "a", "r", 1) == of("file", "a", "s", 2) != of("file", "b", "r", 1)
    assert of("file", None, "r", 1) != of("file", None, "s", 1)
    assert of("chunk", "a", "r", 1) != of("chunk", "a", "r", 2)


def test_the_first_of_each_group_stays_in_its_place():
    hits = [hit("r", 9, chunk=2), hit("s", 8), hit("r", 7), hit("t", 6), hit("s", 5, chunk=2)]
    assert [(each.id, each.chunk) for each in best_of_groups(hits, None, 10)] == [
        ("r", 2),
        ("s", 1),
        ("t", 1),
    ]
    assert len(best_of_groups(hits, "chunk", 10)) == 5
    assert [each.id for each in best_of_groups(hits, "file", 10)] == ["r"]
    assert [each.id for each in best_of_groups(hits, None, 2)] == ["r", "s"]


@pytest.mark.parametrize(("by", "asked"), [(None, [(0, 1), (1,), (1,)]), ("chunk", [(0, 1)])])
def test_more_is_asked_for_only_where_it_is_needed(by, asked):
    plenty = [hit(f"r{number}", 100 - number) for number in range(50)]
    crowded = [hit("one", 100 - number, chunk=number + 1) for number in range(40)] + [
        hit("two", 1), hit("three", 0), hit("four", -1),
    ]  # fmt: skip
    calls = []

    def search(numbers, count):
        calls.append(tuple(numbers))
        return [(plenty, crowded)[number][:count] for number in numbers]

    found = enough_groups(search, 2, by, 3)
    assert calls == asked
    assert [each.id for each in found[0]] == ["r0", "r1", "r2"]
    assert [each.id for each in found[1]] == (["one"] * 3 if by else ["one", "two", "three"])
