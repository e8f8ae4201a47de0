"""A map of records: who is on it, what its regions are called, which fields go along."""

from __future__ import annotations

import sys
from contextlib import contextmanager

import numpy as np
import pytest

from embedcli.datatypes import Record
from embedcli.errors import UsageError
from embedcli.tasks.carried import CarriedVectors
from embedcli.tasks.map import MapSettings, draw_map, lay_out
from embedcli.tasks.map_fields import MOST_FIELDS, FieldNames
from embedcli.tasks.pool import Pool
from embedcli.vectors.normalize import normalize

TOPICS = ["bread flour oven", "dog cat garden", "tax form office"]


@contextmanager
def pool_of(records):
    pool = Pool(CarriedVectors(), is_lookup=True)
    yield pool, pool.gather(records)
    pool.close()


def map_of(records, settings):
    with pool_of(records) as (pool, vectors):
        return draw_map(pool, lay_out(vectors, settings), settings)


def topical(each: int, seed: int = 0) -> list[Record]:
    """Records of three topics in turn, with vectors around an axis each."""
    rng = np.random.default_rng(seed)
    vectors = normalize(
        (np.tile(np.eye(3, 8), (each, 1)) + 0.05 * rng.standard_normal((3 * each, 8))).astype("float32")
    )
    return [
        Record(str(number), f"{TOPICS[number % 3]} {number}", vector=vector)
        for number, vector in enumerate(vectors)
    ]


def test_regions_are_named_by_their_own_texts_at_every_level():
    picture = map_of(topical(70), MapSettings())
    assert len(picture.points) == 210
    assert len(picture.regions) == 2
    numbers = picture.region_of.tolist()
    for region, group in zip(picture.regions[-1], range(len(picture.regions[-1])), strict=True):
        own = {at % 3 for at, number in enumerate(numbers) if number == group}
        assert len(own) == 1
        assert set(region.name.split(", ")[0].split()) <= set(TOPICS[own.pop()].split())
        assert region.parent in range(len(picture.regions[0]))
    names = [region.name for level in picture.regions for region in level]
    assert len(set(names)) == len(names)
    for level, labels in zip(picture.regions, (picture.top_of, picture.region_of), strict=True):
        assert [region.size for region in level] == np.bincount(labels).tolist()


def test_copies_stand_in_one_place_and_blank_or_unknown_records_in_none():
    records = topical(5)
    copies = [records[0]._replace(id="copy"), Record("blank", " "), records[1]._replace(id="other copy")]
    zero = Record("unknown", "unknown", vector=np.zeros(8, dtype=np.float32))
    picture = map_of([*records, *copies, zero], MapSettings("pca"))
    assert picture.numbers.tolist() == [*range(16), 17]
    assert picture.points[15].tolist() == picture.points[0].tolist()
    assert picture.points[16].tolist() == picture.points[1].tolist()
    assert sum(region.size for region in picture.regions[0]) == 17


@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("layout", ["auto", "pca", "tsne"])
def test_next_to_nothing_is_a_map_too(count, layout):
    settings = MapSettings(layout)
    with pool_of(topical(1)[:count]) as (pool, vectors):
        found = lay_out(vectors, settings)
        picture = draw_map(pool, found, settings)
    assert found.trust is None
    assert found.name == "principal components"
    assert len(picture.points) == count
    assert max(picture.extent) == (count > 1)
    assert [region.size for level in picture.regions for region in level] == [count] * (count > 0)


def test_without_the_extra_scikit_learn_lays_out_and_that_is_said(monkeypatch):
    vectors = np.stack([record.vector for record in topical(10)])
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    monkeypatch.delitem(sys.modules, "embedcli.vectors.tsne", raising=False)
    found = lay_out(vectors, MapSettings())
    assert not found.has_extra
    assert "scikit-learn" in found.name
    assert lay_out(vectors, MapSettings("pca")).has_extra


def chosen(records, wanted=(), color_by=None, text_fields=(), id_field=None):
    names = FieldNames(text_fields, id_field)
    assert [*names.watch(records)] == records
    return names.chosen(wanted, color_by)


def test_fields_that_are_shown_anyway_are_not_kept_twice():
    records = [
        Record("1", "x", fields={"id": 1, "body": "x", "key": 1, "a": 1}),
        Record("2", "y", fields={"b": 2}),
    ]
    assert chosen(records, text_fields=("body",), id_field="key") == (("a", "b"), 0)
    # A column by its number.
    assert chosen(records, text_fields=("2",)) == (("key", "a", "b"), 0)
    assert chosen(records, ["b", "key"]) == (("b", "key"), 0)
    assert chosen(records, ["b"], "a") == (("a", "b"), 0)


def test_of_many_fields_the_first_are_kept_and_the_rest_are_counted():
    many = [Record("1", "x", fields={f"f{number}": number for number in range(20)})]
    kept, left = chosen(many)
    assert kept == tuple(f"f{number}" for number in range(MOST_FIELDS))
    assert left == 20 - MOST_FIELDS
    kept, left = chosen(many, color_by="f19")
    assert kept == ("f19", *(f"f{number}" for number in range(MOST_FIELDS - 1)))
    assert left == 20 - MOST_FIELDS
    assert chosen(many, [f"f{number}" for number in range(12)]) == (
        tuple(f"f{number}" for number in range(12)),
        0,
    )


@pytest.mark.parametrize(
    ("wanted", "color_by", "option"), [(["zzz"], None, "--hover"), ([], "zzz", "--color-by")]
)
def test_a_field_that_no_record_has_is_refused(wanted, color_by, option):
    with pytest.raises(UsageError, match=f"{option}: no record has a field 'zzz'") as caught:
        chosen([Record("1", "x", fields={"a": 1})], wanted, color_by)
    assert caught.value.hint == "fields: a"
