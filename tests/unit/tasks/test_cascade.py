"""The second encoder is asked where the first is unsure, and about nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from embedcli.datatypes import Hit, Record
from embedcli.errors import UsageError
from embedcli.tasks.cascade import CascadeSettings, cascade_models, defer, margin

if TYPE_CHECKING:
    from collections.abc import Sequence

CHEAP, COSTLY = "cheap:int8:1", "costly:int8:2"


class Encoder:
    """Vectors of one angle a text, and a note of what was asked for."""

    vector_model = COSTLY

    def __init__(self, **angles: float) -> None:
        self.angles, self.seen = angles, []

    def record_vectors(self, records: Sequence[Record]) -> np.ndarray:
        self.seen += [record.text for record in records]
        angles = np.array([self.angles[record.text] for record in records], dtype=np.float32)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def hits(**cosines: float) -> list[Hit]:
    return [Hit(value, value, text, 1, None, 1, 1, text) for text, value in cosines.items()]


def run(encoder: Encoder, found: list[Hit], top_k: int = 2, **settings: float) -> list[Hit]:
    return defer(
        [Record("1", "query")], [found], CHEAP, encoder, encoder, CascadeSettings(**settings), top_k
    )[0]


def test_a_sure_answer_stays_and_costs_nothing() -> None:
    encoder = Encoder(query=0, a=1, b=0)
    found = run(encoder, hits(a=0.9, b=0.7, c=0.6), margin=0.15)
    assert [(hit.id, hit.cosine, hit.model) for hit in found] == [("a", 0.9, CHEAP), ("b", 0.7, CHEAP)]
    assert encoder.seen == []


def test_an_unsure_answer_is_ranked_anew() -> None:
    encoder = Encoder(query=0, a=1.2, b=0.1, c=0.5)
    found = run(encoder, hits(a=0.9, b=0.8, c=0.6), margin=0.15)
    assert [hit.id for hit in found] == ["b", "c"]
    assert [hit.cosine for hit in found] == pytest.approx([np.cos(0.1), np.cos(0.5)], abs=1e-6)
    assert all(hit.score == hit.cosine and hit.model == COSTLY for hit in found)


def test_a_margin_of_none_and_of_all() -> None:
    encoder = Encoder(query=0, a=1, b=0)
    assert run(encoder, hits(a=0.5, b=0.5), margin=0)[0].id == "a"
    assert run(encoder, hits(a=1, b=-1), margin=3)[0].id == "b"


def test_equal_cosines_keep_the_first_order() -> None:
    encoder = Encoder(query=0, a=0.3, b=0.3, c=0.3)
    assert [hit.id for hit in run(encoder, hits(a=0.9, b=0.89, c=0.88), top_k=3, margin=1)] == ["a", "b", "c"]


def test_copies_of_the_best_text_say_nothing_about_doubt() -> None:
    found = hits(a=0.9, b=0.9, c=0.5)
    copies = [found[0], *hits(a=0.9), found[2]]
    assert margin(found) == 0
    assert margin(copies) == pytest.approx(0.4)
    assert margin(copies[:2]) == 2.0
    assert margin(copies[:1]) == 2.0


def test_no_hits_stay_none_and_no_texts_are_refused() -> None:
    encoder = Encoder(query=0)
    assert run(encoder, [], margin=1) == []
    bare = [Hit(value, value, "x", 1, None, 1, 1, None) for value in (0.9, 0.9)]
    with pytest.raises(UsageError, match="without texts"):
        run(encoder, bare, margin=1)


@pytest.mark.parametrize("names", ["a", "a,b,c", "a,", ""])
def test_two_models_are_needed(names: str) -> None:
    with pytest.raises(UsageError, match="two models"):
        cascade_models(names)
    assert cascade_models("static, default") == ("static", "default")
