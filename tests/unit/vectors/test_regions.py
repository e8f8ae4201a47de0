"""Regions of a map: nested, complete, and where the points are; crowds and colours of figures."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.vectors.crowds import crowds, in_letters
from embedcli.vectors.nested_regions import LEVELS, regions
from embedcli.vectors.paint import COLORS, SHADES, paint
from embedcli.vectors.picture import Picture, Region
from embedcli.vectors.regions import heights, level_of


def blobs(count: int, size: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(np.repeat(np.arange(count), size))
    centres = np.stack([np.arange(count) % 4, np.arange(count) // 4], axis=1) / 4
    return (centres[kinds] + 0.01 * rng.standard_normal((len(kinds), 2))).astype(np.float32), kinds


@settings(max_examples=25)
@given(st.integers(0, 1 << 16), st.integers(1, 400), st.booleans())
def test_every_level_has_every_point_once_and_is_made_of_the_next(seed, rows, copied):
    points = np.random.default_rng(seed).random((rows, 2), dtype=np.float32)
    if copied:
        points = np.round(points * 2) / 2
    levels = regions(points)
    assert 1 <= len(levels) <= len(LEVELS)
    for level in levels:
        assert np.bincount(level.labels).tolist() == level.sizes.tolist()
        assert (level.sizes > 0).all()
        assert (np.diff(level.sizes) <= 0).all()
        for number, place in enumerate(level.places):
            own = points[level.labels == number]
            assert (own == place).all(axis=1).any()
            assert np.isclose(level.radii[number] ** 2, np.square(own - place).sum(axis=1).mean(), atol=1e-5)
    for coarse, fine in pairwise(levels):
        assert len(fine.sizes) > len(coarse.sizes)
        for number in range(len(fine.sizes)):
            assert len(set(coarse.labels[fine.labels == number].tolist())) == 1
    again = regions(points)
    assert all((one.labels == other.labels).all() for one, other in zip(levels, again, strict=True))


def test_clumps_are_found():
    points, kinds = blobs(8, 40)
    top = regions(points)[0]
    assert len(top.sizes) == 8
    assert {*zip(top.labels.tolist(), kinds.tolist(), strict=True)} == {
        (int(top.labels[kinds == kind][0]), kind) for kind in range(8)
    }


def test_a_name_goes_where_most_points_are():
    rng = np.random.default_rng(0)
    crowd = 0.02 * rng.random((60, 2), dtype=np.float32)
    tail = np.stack([np.linspace(0.2, 1, 40), np.zeros(40)], axis=1).astype(np.float32)
    points = np.concatenate([tail, crowd])
    level = level_of(points, np.zeros(100, dtype=np.int64), heights(points))
    assert level.places.max() < 0.05
    assert points.mean(axis=0)[0] > 0.2


def picture(points, labels) -> Picture:
    count = int(labels.max()) + 1
    level = [Region(f"r{number}", 0.5, 0.5, 0.1, 1, None) for number in range(count)]
    return Picture(points, np.arange(len(points)), [level], labels)


@settings(max_examples=40)
@given(st.integers(0, 1 << 16), st.integers(1, 300), st.integers(1, 40))
def test_crowds_have_all_points_in_their_middle_with_the_commonest_colour(seed, rows, cells):
    rng = np.random.default_rng(seed)
    points = rng.random((rows, 2), dtype=np.float32)
    colors = rng.integers(-1, 3, rows)
    found = crowds(picture(points, np.zeros(rows, dtype=np.int64)), colors, cells)
    assert sum(crowd.size for crowd in found) == rows
    assert [crowd.size for crowd in found] == sorted(crowd.size for crowd in found)
    places = np.minimum((points.astype(np.float64) * cells).astype(int), cells - 1)
    for crowd in found:
        cell = np.minimum((np.array([crowd.x, crowd.y]) * cells).astype(int), cells - 1)
        own = (places == cell).all(axis=1)
        if own.sum() != crowd.size:
            continue  # The mean of points at a cell's very edge may round into the next one.
        assert np.allclose(points[own].mean(axis=0), [crowd.x, crowd.y], atol=1e-5)
        assert (colors[own] == crowd.color).sum() == np.bincount(colors[own] + 1).max()


@settings(max_examples=40)
@given(st.integers(0, 1 << 16), st.integers(1, 60), st.integers(1, 30), st.integers(1, 20))
def test_every_letter_with_points_has_dots_and_a_colour(seed, rows, columns, lines):
    rng = np.random.default_rng(seed)
    points = rng.random((rows, 2), dtype=np.float32)
    points -= points.min(axis=0)
    points /= points.max() or 1
    labels = rng.integers(0, 3, rows)
    found = in_letters(picture(points, labels), columns, lines)
    assert found.dots.shape == found.colors.shape == (lines, columns)
    assert (found.dots >= 0).all()
    assert (found.dots < 256).all()
    assert ((found.dots > 0) <= (found.colors >= 0)).all()
    if rows <= 8 * columns * lines * 0.3:
        # Few points: each is a dot.
        assert ((found.dots > 0) == (found.colors >= 0)).all()


def test_the_first_point_is_at_the_top_left():
    points = np.array([[0, 1], [1, 0]], dtype=np.float32)
    dots = in_letters(picture(points, np.array([0, 1])), 3, 2)
    assert dots.dots.tolist() == [[1, 0, 0], [0, 0, 0x80]]
    assert dots.colors.tolist() == [[0, -1, -1], [-1, -1, 1]]


def test_words_get_a_colour_each_and_the_rest_one_together():
    values = ["b", "a", "a", None, True, ""]
    found = paint(values)
    assert found.legend == ["a", "(empty)", "b", "none", "true"]
    assert [found.legend[number] for number in found.numbers] == ["b", "a", "a", "none", "true", "(empty)"]
    many = [str(number) + "x" for number in range(20)] + ["0x"]
    found = paint(many)
    assert found.legend[0] == "0x"
    assert found.legend[-1] == "13 more values"
    assert len(found.legend) == COLORS
    assert found.numbers.count(-1) == 13


def test_numbers_get_shades_also_those_of_a_table():
    for values in ([*range(100), None], [*map(str, range(100)), ""]):
        found = paint(values)
        assert found.is_shaded
        assert found.numbers[:100] == sorted(found.numbers[:100])
        assert set(found.numbers[:100]) == set(range(SHADES))
        assert found.numbers[100] == -1
        assert found.legend[-1] == "none"
    # One odd number does not make all others alike.
    assert len(set(paint([*range(100), 10**9]).numbers)) == SHADES
    assert not paint([1, 2, 3, 1]).is_shaded
    assert not paint([*range(20), "x"]).is_shaded
    assert not paint([*range(20), float("nan")]).is_shaded
