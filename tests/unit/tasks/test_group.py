"""One hit a group: the best, however its chunks are cut into batches."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embedcli.tasks.group import GroupedTop, group_of, runs_to_choose_from
from embedcli.vectors.exact import TopK
from embedcli.vectors.metric import cosine


@st.composite
def streams(draw):
    """Groups in a row with one to five vectors each, and where the batches end."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=12))
    groups = [number for number, size in enumerate(sizes) for _ in range(size)]
    numbers = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0])
    vectors = draw(st.lists(st.tuples(numbers, numbers), min_size=len(groups), max_size=len(groups)))
    ends = sorted(draw(st.sets(st.integers(1, len(groups)))) | {len(groups)})
    return groups, np.array(vectors, dtype=np.float32), ends


@given(streams(), st.integers(1, 13), st.sets(st.integers(0, 60)))
def test_each_group_is_there_once_by_its_best(stream, top_k, unwanted):
    groups, vectors, ends = stream
    # Only what is all of its group can be left out.
    left_out = np.array([row in unwanted and groups.count(own) == 1 for row, own in enumerate(groups)])
    query = np.array([1.0, 0.25], dtype=np.float32)
    top = TopK(query, top_k)
    grouped = GroupedTop(top)
    start = 0
    for end in ends:
        runs = runs_to_choose_from(groups[start:end])
        grouped.add(vectors[start:end], start, runs, left_out[start:end])
        assert grouped.open_row is None or grouped.open_row < end
        start = end
    grouped.close()
    cosines = cosine(vectors, query)
    best = {}
    for row, group in enumerate(groups):
        if group not in best or cosines[row] > cosines[best[group]]:
            best[group] = row
    rows = [row for row in best.values() if vectors[row].any() and not left_out[row]]
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
