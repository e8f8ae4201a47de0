"""Records are dropped because of a kept one, by the first stage that finds one, however they come in blocks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import embedcli
from embedcli.datatypes import Record
from embedcli.errors import UsageError
from embedcli.records.normal_form import normal_form
from embedcli.records.runs import runs_of
from embedcli.tasks.carried import CarriedVectors
from embedcli.tasks.dedupe import Deduper, DedupeSettings
from embedcli.tasks.dedupe_run import Tally, dedupe_by_preference
from embedcli.tasks.preference import Preference
from embedcli.vectors.metric import cosine
from embedcli.vectors.normalize import normalize

STAGES = ("exact", "normalized", "lexical", "semantic")
LONG = "a text of more than a few words, so that one of them says little"
TEXTS = [
    LONG,
    LONG.replace("little", "much"),
    LONG.replace("few", "pair of"),
    "a word",
    "A word!",
    "a  word",
    "two words here",
    "two words there",
    "Two words here.",
    "",
    " ",
    "?",
    "!",
]


def record(number: int, text: str, vector=None) -> Record:
    return Record(f"r{number}", text, text.encode(), vector=vector)


@st.composite
def cases(draw):
    """Records that say much the same, each with one of a few directions; a text has always the same vector."""
    directions = draw(
        st.lists(st.tuples(*[st.integers(-2, 2)] * 3), min_size=len(TEXTS), max_size=len(TEXTS))
    )
    chosen = draw(st.lists(st.sampled_from(range(len(TEXTS))), max_size=25))
    records = []
    for number, place in enumerate(chosen, start=1):
        text = TEXTS[place]
        vector = None if not text.strip() else np.array(directions[place], dtype=np.float32)
        records.append(record(number, text, vector))
    methods = tuple(stage for stage in STAGES if draw(st.booleans()))
    window = draw(st.none() | st.integers(1, 4))
    cuts = sorted(draw(st.lists(st.integers(0, len(records)), max_size=4)))
    return records, DedupeSettings(methods, 0.8, window=window), cuts


def jaccard(some: str, other: str) -> float:
    runs, others = (set(runs_of(form).tolist()) for form in (some, other))
    return len(runs & others) / len(runs | others)


def one_by_one(records, said: DedupeSettings):
    """The rule, word for word: each record against each kept one, stage after stage."""
    kept: list[tuple[int, Record]] = []
    found = []
    for number, each in enumerate(records, start=1):
        answer = None
        if not each.is_blank:
            for stage in said.methods:
                scores = [(score(stage, each, other, said), -other_number) for other_number, other in kept]
                near = [pair for pair in scores if pair[0] is not None]
                if near:
                    best, place = max(near)
                    answer = (stage, -place, best)
                    break
            if answer is None:
                kept = [*kept, (number, each)][-(said.window or len(records) + 1) :]
        found.append(answer)
    return found


def score(stage, each: Record, other: Record, said: DedupeSettings):
    """How alike two records are by a stage, None where they are no duplicates by it."""
    some, theirs = normal_form(each.text), normal_form(other.text)
    if stage == "exact":
        return 1.0 if each.text == other.text else None
    if stage == "normalized":
        return 1.0 if some == theirs else None
    if stage == "lexical":
        alike = jaccard(some, theirs)
        return alike if alike >= said.lexical_threshold else None
    halves = normalize(np.stack([each.vector, other.vector])).astype(np.float16)
    if not halves.any(axis=1).all() or min(len(some), len(theirs)) < 0.5 * max(len(some), len(theirs)):
        return None
    near = float(cosine(halves[:1], halves[1])[0])
    return near if near >= said.threshold else None


def decided(records, said: DedupeSettings, cuts=()):
    deduper = Deduper(said, CarriedVectors() if "semantic" in said.methods else None)
    try:
        found = []
        for first, end in itertools.pairwise([0, *cuts, len(records)]):
            found += deduper.decide(records[first:end])
        return found
    finally:
        deduper.close()


@given(cases())
@settings(max_examples=150)
def test_every_record_is_compared_with_kept_ones_alone(case):
    records, said, cuts = case
    expected = one_by_one(records, said)
    found = decided(records, said, cuts)
    assert [each and (each.stage, each.group, each.score) for each in found] == expected
    assert [each and each.kept for each in found] == [each and f"r{each[1]}" for each in expected]


def test_of_equally_preferred_ones_the_first_stays():
    records = [record(number, "ab c"[: 2 + number % 2] + "!" * (number % 2)) for number in range(500)]
    found, _ = by_rule("longest", records, 7)
    assert {each[0] for each in found if each[1] is None} == {"r1"}


def test_a_chain_is_no_star():
    # Each is near to the one before it; the third is not near to the first.
    angles = (0.0, 0.5, 1.0)
    records = [
        record(number, f"t{number}", np.array([np.cos(angle), np.sin(angle)], dtype=np.float32))
        for number, angle in enumerate(angles, start=1)
    ]
    found = decided(records, DedupeSettings(("semantic",), 0.85))
    assert [each and each.kept for each in found] == [None, "r1", None]


def test_what_is_there_from_the_beginning_is_named_and_never_decided():
    past = [record(7, "here already"), record(8, "here already")]
    deduper = Deduper(DedupeSettings(("exact", "normalized")))
    deduper.keep_all(past)
    found = deduper.decide([record(1, "Here, already"), record(2, "new"), record(3, "here already")])
    assert [each and (each.kept, each.stage, each.group) for each in found] == [
        ("r7", "normalized", 1), None, ("r7", "exact", 1),
    ]  # fmt: skip


class Sink:
    def __init__(self):
        self.found = []

    def head(self, head):
        raise AssertionError

    def kept(self, record, number):
        self.found.append((record.id, None, number))

    def dropped(self, record, duplicate):
        self.found.append((record.id, duplicate.kept, duplicate.group))

    def flush(self):
        pass


def by_rule(rule, records, size):
    sink, tally = Sink(), Tally()
    without = dedupe_by_preference(
        iter(records), Preference.parse(rule), Deduper(DedupeSettings(("normalized",))), sink, tally, size
    )
    return sink.found, without


def test_the_preferred_one_of_the_duplicates_stays_in_its_place():
    said = ["a b", "A b!!!", "x", "a  b", "", "X."]
    records = [
        Record(f"r{number}", text, text.encode(), fields={"n": value})
        for number, (text, value) in enumerate(
            zip(said, [2, "10", None, 3.5, 1, "zzz"], strict=True), start=1
        )
    ]
    for size in (1, 2, 100):
        for rule, kept, without in (
            ("last", {"r4", "r6"}, 0),
            ("longest", {"r2", "r6"}, 0),
            ("shortest", {"r1", "r3"}, 0),
            ("max:n", {"r2", "r3"}, 2),
            ("min:n", {"r1", "r3"}, 2),
        ):
            found, missing = by_rule(rule, records, size)
            assert [each[0] for each in found] == [each.id for each in records]
            assert {each[0] for each in found if each[1] is None} == kept | {"r5"}, rule
            assert missing == without
            groups = {each[0]: each[2] for each in found}
            assert len({groups[name] for name in ("r1", "r2", "r4")}) == 1
            assert groups["r5"] == 0


def test_the_python_function_names_places():
    with embedcli.load_model("static") as model:
        found = embedcli.dedupe(["bread", "", "Bread!", "a harbour", "bread"], model=model)
        assert [each and (each.kept, each.stage) for each in found] == [
            None, None, ("0", "normalized"), None, ("0", "exact"),
        ]  # fmt: skip
        loose = embedcli.dedupe(
            ["a warm loaf of bread", "a loaf of warm bread, please"], threshold=0.5, model=model
        )
        assert loose[1] is not None
        assert (loose[1].kept, loose[1].stage) == ("0", "semantic")
    assert [each is None for each in embedcli.dedupe(["x", "X"], methods=["normalized"])] == [True, False]
    with pytest.raises(TypeError):
        embedcli.dedupe("one text")
    with pytest.raises(UsageError, match="methods"):
        embedcli.dedupe(["x"], methods=["meaning"])
