"""Stars are what comparing each row with every kept one, one after the other, gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedcli.errors import UsageError, VectorError
from embedcli.vectors import bounds, kept, look, pairing, scanned_rows
from embedcli.vectors.kept import widened
from embedcli.vectors.metric import cosine
from embedcli.vectors.normalize import normalize
from embedcli.vectors.stars import Stars


def near_of(rows):
    """The cosine of any two rows as rounded, NaN where one is zero; each is computed alone, in float64."""
    halves = normalize(rows).astype(np.float16)
    cosines = np.stack([cosine(halves, row) for row in halves]) if len(rows) else np.empty((0, 0))
    zero = ~rows.any(axis=1)
    cosines[zero] = np.nan
    cosines[:, zero] = np.nan
    return cosines


def greedy(given_rows, vectors, lengths, threshold, *, ratio=0.0, window=None, unkept=(), unasked=()):
    """What each row's nearest should be, and whether it is kept: (cosine, number) or None, by two loops."""
    cosines = near_of(np.concatenate((given_rows, vectors)))
    start = len(given_rows)
    remembered, answers = list(range(start)), []
    recent = []
    for row in range(start, start + len(vectors)):
        near = [
            (cosines[row, other], other)
            for other in remembered + recent
            if cosines[row, other] >= threshold
            and min(lengths[row], lengths[other])
            >= ratio * max(lengths[row], lengths[other]) * (min(lengths[row], lengths[other]) > 0)
        ]
        answers.append(max(near, key=lambda pair: (pair[0], -pair[1]), default=None))
        if (answers[-1] is None or row - start in unasked) and row - start not in unkept:
            recent.append(row)
            recent = recent[-window:] if window else recent
    return answers


def run(given_rows, vectors, lengths, threshold, cuts=(), *, jobs=1, unkept=(), unasked=(), **options):
    """The same by `Stars`, with blocks cut where `cuts` say."""
    start = len(given_rows)
    answers = []
    with Stars(vectors.shape[1], threshold, jobs=jobs, **options) as kept_rows:
        half = start // 2
        kept_rows.keep_all(given_rows[:half], np.arange(half), lengths[:half])
        kept_rows.keep_all(given_rows[half:], np.arange(half, start), lengths[half:start])
        for first, end in itertools.pairwise([0, *cuts, len(vectors)]):
            look = kept_rows.look(vectors[first:end], lengths[start + first : start + end])
            for row in range(end - first):
                found = None if first + row in unasked else look.nearest(row)
                answers.append(found and (found.cosine, found.number))
                if found is None and first + row not in unkept:
                    look.keep(row, start + first + row)
    return answers


@st.composite
def cases(draw):
    """Few directions and small whole numbers, so that there are ties, and huge and tiny lengths of vectors."""
    dim, count, given_count = draw(st.integers(1, 6)), draw(st.integers(0, 40)), draw(st.integers(0, 8))
    numbers = st.integers(-2, 2).map(float)
    vectors = draw(arrays(np.float32, (given_count + count, dim), elements=numbers))
    sizes = draw(arrays(np.float32, given_count + count, elements=st.sampled_from([1, 3, 1e-30, 1e30, 0.1])))
    vectors *= sizes[:, np.newaxis]
    lengths = draw(arrays(np.int64, given_count + count, elements=st.integers(0, 12)))
    threshold = draw(st.sampled_from([0.9, 0.5, 1.0, 0.0, -0.5]) | st.floats(-1, 1))
    cosines = near_of(vectors)
    if np.isfinite(cosines).any() and draw(st.booleans()):
        # Exactly a cosine that there is: the threshold is inclusive.
        threshold = float(draw(st.sampled_from(cosines[np.isfinite(cosines)].tolist())))
    options = {
        "length_ratio": draw(st.sampled_from([0.0, 0.5, 0.9, 1.0])),
        "window": draw(st.none() | st.integers(1, 12)),
        "unkept": draw(st.frozensets(st.integers(0, 40), max_size=4)),
        "unasked": draw(st.frozensets(st.integers(0, 40), max_size=4)),
    }
    return vectors[:given_count], vectors[given_count:], lengths, threshold, options


def expected(case):
    given_rows, vectors, lengths, threshold, options = case
    options = dict(options)
    ratio, unasked = options.pop("length_ratio"), options["unasked"]
    answers = greedy(given_rows, vectors, lengths, threshold, ratio=ratio, **options)
    return [None if row in unasked else answer for row, answer in enumerate(answers)]


@settings(max_examples=150)
@given(cases(), st.data())
def test_stars_are_what_two_loops_find(case, data):
    given_rows, vectors, lengths, threshold, options = case
    cuts = sorted(data.draw(st.lists(st.integers(0, len(vectors)), max_size=4)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(look, "BLOCK_ROWS", data.draw(st.sampled_from([3, 7, 1024])))
        patch.setattr(pairing, "PIECE_ROWS", data.draw(st.sampled_from([2, 5, 2048])))
        patch.setattr(kept, "SLAB_NUMBERS", data.draw(st.sampled_from([4, 40, 1 << 20])))
        patch.setattr(scanned_rows, "FIT_ROWS", data.draw(st.sampled_from([4, 10, 8192])))
        # A bound is then taken whatever it costs, from one number on, and used where it leaves most pairs over.
        patch.setattr(bounds, "AXES_TRIED", (1, 2))
        patch.setattr(bounds, "_LEFT_OVER_NS", 0)
        patch.setattr(pairing, "CROWDED", data.draw(st.sampled_from([1, 128])))
        found = run(given_rows, vectors, lengths, threshold, cuts, **options)
    assert found == expected(case)


def planted(count, seed=1, dim=32, near=0.05):
    """Rows of which each second one is an earlier one with a little noise, in an order without order."""
    rng = np.random.default_rng(seed)
    base = rng.standard_normal((count // 2, dim)).astype(np.float32)
    noisy = base + near * rng.standard_normal(base.shape).astype(np.float32)
    return np.concatenate((base, noisy))[rng.permutation(2 * len(base))]


@pytest.fixture
def small_parts(monkeypatch):
    """Blocks of hundreds of rows have many parts, pieces and slabs."""
    monkeypatch.setattr(look, "BLOCK_ROWS", 128)
    monkeypatch.setattr(pairing, "STRIP_ROWS", 48)
    monkeypatch.setattr(scanned_rows, "FIT_ROWS", 100)
    monkeypatch.setattr(pairing, "PIECE_ROWS", 64)
    monkeypatch.setattr(kept, "SLAB_NUMBERS", 32 * 200)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("block", [100, 900])
def test_blocks_and_jobs_change_nothing(jobs, block):
    rows = planted(900)
    lengths = np.random.default_rng(2).integers(1, 9, len(rows))
    found = run(rows[:150], rows[150:], lengths, 0.95, range(block, 750, block), jobs=jobs, length_ratio=0.3)
    assert found == greedy(rows[:150], rows[150:], lengths, 0.95, ratio=0.3)
    assert sum(answer is not None for answer in found) > 100


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("window", [1, 50, 200, 5000])
def test_a_window_forgets_whatever_the_blocks(window):
    rows, lengths = planted(900, near=0.02), np.ones(900)
    found = run(rows[:0], rows, lengths, 0.95, range(700, 900, 70), window=window)
    assert found == greedy(rows[:0], rows, lengths, 0.95, window=window)


def test_memory_is_that_of_the_window(monkeypatch):
    monkeypatch.setattr(kept, "SLAB_NUMBERS", 32 * 16)
    rows = planted(1000)
    with Stars(32, 0.999, window=10) as near:
        for first in range(1000):
            near.look(rows[first : first + 1], np.ones(1)).keep(0, first)
            assert len(near._windowed.slabs) <= 2


@pytest.mark.parametrize("seed", range(8))
def test_rows_that_only_exact_arithmetic_tells_apart(seed):
    rng = np.random.default_rng(seed)
    query = rng.standard_normal(256)
    rows = np.concatenate((query + rng.standard_normal((400, 256)) * 1e-4, [query])).astype(np.float32)
    with Stars(256, 0.99) as near:
        near.keep_all(rows[:-1], np.arange(400), np.ones(400))
        far = near.look(rows[-1:], np.ones(1)).nearest(0)
    with Stars(256, 0.99) as near:
        look = near.look(rows, np.ones(401))
        for row in range(400):
            look.keep(row, row)
        close = look.nearest(400)
    cosines = near_of(rows)[-1, :-1]
    assert far == close == (int(np.argmax(cosines)), cosines.max())


def test_equal_vectors_are_equal_and_the_lowest_number_is_named():
    rows = np.tile(np.array([[0.3, -7, 2e-5]], np.float32), (5, 1))
    with Stars(3, 1.0) as near:
        near.keep_all(rows[:2], np.array([7, 3]), np.ones(2))
        look = near.look(rows[2:], np.ones(3))
        assert look.nearest(0) == (3, 1.0)
        look.keep(1, 2)
        assert look.nearest(2) == (2, 1.0)


def test_rows_are_taken_in_order():
    with Stars(2, 0.5) as near:
        look = near.look(np.ones((2000, 2), np.float32), np.ones(2000))
        look.keep(1500, 1)
        with pytest.raises(IndexError, match="row 3 "):
            look.nearest(3)
        with pytest.raises(IndexError, match="row 2000 "):
            look.nearest(2000)
        assert look.nearest(1999) == (1, 1.0)
        assert near.look(np.ones((0, 2), np.float32), np.ones(0)) is not None
        assert near.look(np.ones((1, 2), np.float32), np.ones(1)).nearest(0) == (1, 1.0)


def test_what_does_not_fit_is_refused():
    for options in (
        {"threshold": 1.1},
        {"threshold": np.nan},
        {"jobs": 0},
        {"window": 0},
        {"length_ratio": 2},
    ):
        with pytest.raises(UsageError):
            Stars(2, **({"threshold": 0.5} | options))
    with Stars(2, 0.5) as near:
        with pytest.raises(VectorError, match="dimension 2"):
            near.look(np.ones((1, 3), np.float32), np.ones(1))
        with pytest.raises(VectorError, match="dimension 2"):
            near.keep_all(np.ones((2, 2), np.float32), np.arange(2), np.ones(1))
        with pytest.raises(VectorError, match="vector 2 .*finite"):
            near.look(np.array([[1, 1], [1, np.inf]], np.float32), np.ones(2))


def test_every_float16_is_widened_as_it_is():
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    assert widened(halves).tobytes() == halves.astype(np.float32).tobytes()
