"""Labels and examples as records bring them, heads in files, answers and their counts."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_recall_fscore_support

from embedcli.cli.classify_parts import check_options, read_target, train_settings
from embedcli.datatypes import Record
from embedcli.errors import EmbedcliError, InputError, UsageError, VectorError
from embedcli.index.array_file import array_file, read_array_file
from embedcli.tasks import classify as task
from embedcli.tasks.carried import CarriedVectors
from embedcli.tasks.classify import Answer, AnswerSettings, Classifier, LabelStream, Scored
from embedcli.tasks.gold import GoldTally, Tally
from embedcli.tasks.head_file import KIND, VERSION, HeadSource, check_source, head_bytes, read_head
from embedcli.tasks.label_set import label_vectors, label_words, name_labels, read_label_set
from embedcli.tasks.labelled import Labelled, labels_of, read_labelled
from embedcli.tasks.taxonomy import read_taxonomy
from embedcli.tasks.train import Trained, TrainSettings, train
from embedcli.vectors.heads import DirectionHead
from embedcli.vectors.normalize import normalize

SOURCE = HeadSource("m", "int8", "0123456789abcdef", "mean", "", 4)


def unit(rows: int, dim: int = 4, seed: int = 0) -> np.ndarray:
    return normalize(np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32))


def carried(text: str, row: object, **fields: object) -> Record:
    return Record(text, text, b"", fields=fields, vector=np.array(row, dtype=np.float32))


# --- labels


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("card_arrival", "card arrival"),
        ("cardArrival", "card arrival"),
        ("CardArrival", "card arrival"),
        ("resetHTTPCookie", "reset HTTP cookie"),
        ("iPhone", "iPhone"),
        ("Sci/Tech", "Sci/Tech"),
        ("Refund_not_showing_up", "Refund not showing up"),
        ("two  words", "two words"),
        ("two wordsTogether", "two wordsTogether"),
        ("top-up", "top-up"),
        ("USA", "USA"),
        ("___", "___"),
    ],
)
def test_names_are_read_as_words(name, words):
    assert label_words(name) == words


def lines(*texts: str, **fields: object) -> list[Record]:
    return [Record(str(n), text, fields={"label": text, **fields}, line=n) for n, text in enumerate(texts, 1)]


def test_a_label_means_what_is_said_of_it_else_its_name():
    records = [
        Record("1", "a_b", fields={"label": "a_b"}),
        Record("2", " "),
        Record("3", "c", fields={"label": "c", "description": "first"}),
        Record("4", "c", fields={"label": "c", "text": "second"}),
        carried("d", [0, 1], label="d"),
        Record("6", "c", fields={"label": "c"}),
    ]
    found = read_label_set(records, "about {}!")
    assert found.labels == ("a_b", "c", "d")
    assert [[each.text for each in own] for own in found.meanings] == [
        ["about a b!"],
        ["first", "second"],
        [""],
    ]
    assert found.meanings[2][0].vector is not None
    vectors = {"first": [1, 0], "second": [0, 1], "about a b!": [3, 0]}

    class Known:
        def record_vectors(self, asked):
            rows = [vectors.get(each.text) if each.vector is None else each.vector for each in asked]
            return np.array(rows, dtype=np.float32)

    half = 0.5**0.5
    np.testing.assert_allclose(label_vectors(found, Known()), [[1, 0], [half, half], [0, 1]], atol=1e-6)
    vectors["first"] = vectors["second"] = [0, 0]
    with pytest.raises(UsageError, match="knows no word of label 'c'"):
        label_vectors(found, Known())


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "no labels: two at least"),
        (["a"], "only one label, 'a'"),
        (["a", ""], "a label is empty"),
        (["a", "b", "a"], "label 'a' is there twice"),
    ],
)
def test_there_has_to_be_something_to_choose_from(names, said):
    with pytest.raises(UsageError, match=said):
        name_labels(names)


def test_label_files_that_say_nothing_are_refused():
    with pytest.raises(UsageError, match="-:2: label 'a' is there twice"):
        read_label_set(lines("a", "a", "b"))
    with pytest.raises(UsageError, match="no labels"):
        read_label_set([Record("1", " ")])
    with pytest.raises(UsageError, match="has no place for the name"):
        name_labels(["a", "b"], "about it")


# --- what was typed


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"--labels-file": "x"}, "--labels and --labels-file exclude each other"),
        ({"--head": "knn"}, "--head is about --examples"),
        ({"--abstain": "0.9"}, "--abstain is about --examples and --load"),
        ({"--json": True}, "--json is about --counts and --gold"),
        ({"--multi": True, "--min-margin": 0.1}, "--multi and --min-margin exclude each other"),
        ({"--min-score": float("nan")}, "--min-score nan: no number"),
        ({"--min-margin": float("inf")}, "--min-margin inf: no number"),
    ],
)
def test_options_that_say_nothing_here_are_refused(typed, said):
    names = "labels labels-file template examples label-field head neighbors save load abstain min-score min-margin multi"
    others = "counts gold json taxonomy hub-correct prefix"
    nothing = {**{f"--{name}": None for name in f"{names} {others}".split()}, "-n": None}
    check_options({**nothing, "--labels": "a,b"})
    with pytest.raises(UsageError, match=said):
        check_options({**nothing, "--labels": "a,b", **typed})


def test_heads_and_shares_are_read():
    assert train_settings(None, None, many=False, seed=1) == TrainSettings("auto", 20, many=False, seed=1)
    assert train_settings(None, 3, many=True, seed=0) == TrainSettings("knn", 3, many=True)
    for kind, neighbors in (("tree", None), ("mean", 3)):
        with pytest.raises(UsageError):
            train_settings(kind, neighbors, many=False, seed=0)
    assert [read_target(typed) for typed in (None, "auto", "1", "0.5")] == [None, 0.95, 1, 0.5]
    for typed in ("0", "1.1", "nan", "x", ""):
        with pytest.raises(UsageError, match="not a share"):
            read_target(typed)


# --- examples


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("a", ("a",)),
        (" a ", ("a",)),
        ("", ()),
        (None, ()),
        (3, ("3",)),
        (True, ("true",)),
        (["a", "b", "a"], ("a", "b")),
        ([], ()),
    ],
)
def test_labels_of_a_record(value, labels):
    record = Record("1", "t", fields={"text": "t", "label": value})
    assert labels_of(record, "label") == labels
    assert labels_of(record, "2") == labels
    assert labels_of(record, "other") is None
    assert labels_of(record, "3") is None


@pytest.mark.parametrize("value", [{}, [{}], [["a"]]])
def test_what_is_no_label_is_refused(value):
    with pytest.raises(InputError, match="-:1: field 'label' holds no label"):
        labels_of(Record("1", "t", fields={"label": value}), "label")


def examples(*labels: object) -> list[Record]:
    return [
        carried(f"t{n}", row, label=label)
        for n, (row, label) in enumerate(zip(unit(len(labels)), labels, strict=True))
    ]


def test_examples_are_read_with_their_vectors():
    records = [*examples("b", "a", "", None, "b"), carried("zero", [0] * 4, label="a"), Record("x", " ")]
    found = read_labelled(records, "label", CarriedVectors())
    assert found.labels == ("a", "b")
    assert found.targets.tolist() == [[False, True], [True, False], [False, True]]
    assert found.vectors.tobytes() == unit(5)[[0, 1, 4]].tobytes()
    assert found.passed == 4
    given = read_labelled(records, "label", CarriedVectors(), labels=("b", "a"))
    assert given.targets.tolist() == found.targets[:, ::-1].tolist()
    many = read_labelled(examples(["a", "b"], "c"), "label", CarriedVectors(), many=True)
    assert many.targets.tolist() == [[True, True, False], [False, False, True]]


@pytest.mark.parametrize(
    ("records", "options", "said"),
    [
        (examples("a", "b"), {"labels": ("a", "b", "c")}, "label 'c' has no example"),
        (examples("a", "b"), {"labels": ("a", "x", "y")}, "'b' is not among those that were named"),
        (examples("a", ["a", "b"]), {}, "-:1: an example with 2 labels"),
        (examples("a", "a"), {}, "only one label, 'a'"),
        (examples(None), {}, "no labels"),
        (
            [carried("t", [1, 0], body="t", kind="a")],
            {},
            "no record has a field 'label'; their fields: body, kind",
        ),
        ([], {}, "no record has a field 'label'"),
    ],
)
def test_examples_that_teach_nothing_are_refused(records, options, said):
    with pytest.raises(EmbedcliError, match=said):
        read_labelled(records, "label", CarriedVectors(), **options)


def test_auto_takes_what_is_right_most_often_on_examples_held_out():
    # One label in two far places: no mean of it is near to either.
    rng = np.random.default_rng(0)
    places = np.array([[1, 0, 0, 0], [-1, 0, 0, 0], [0, 1, 0, 0]], dtype=np.float32)
    labels = np.repeat([0, 0, 1], 12)
    rows = normalize(
        places[np.repeat(np.arange(3), 12)] + 0.2 * rng.standard_normal((36, 4)).astype(np.float32)
    )
    labelled = Labelled(("a", "b"), rows, np.eye(2, dtype=bool)[labels], 0)
    found = {kind: train(labelled, None, TrainSettings(kind)) for kind in ("auto", "mean", "knn", "logistic")}
    right = {kind: each.held_out.accuracy for kind, each in found.items()}
    assert right["mean"] < 0.95
    assert right["auto"] == max(right["mean"], right["logistic"])
    assert found["auto"].how == found["logistic"].how
    assert right["knn"] == 1
    assert (
        train(labelled, None, TrainSettings()).head.scores(rows).tobytes()
        == found["auto"].head.scores(rows).tobytes()
    )


def test_one_example_a_label_leaves_none_to_be_held_out():
    labelled = Labelled(("a", "b"), unit(2), np.eye(2, dtype=bool), 0)
    found = train(labelled, None, TrainSettings())
    assert found.held_out is None
    assert found.head.scores(unit(2)).argmax(axis=1).tolist() == [0, 1]


# --- heads in files


@cache
def trained(kind: str, *, many: bool = False) -> Trained:
    return learnt(kind, many=many)


def learnt(kind: str, *, many: bool) -> Trained:
    labels = np.arange(30) % 3
    labelled = Labelled(("a", "b", "größe"), unit(30, seed=3), np.eye(3, dtype=bool)[labels], 0)
    if kind == "names":
        return Trained(labelled.labels, DirectionHead(unit(3)), "by their names")
    return train(labelled, unit(3), TrainSettings(kind, 5, many))


@pytest.mark.parametrize("kind", ["names", "mean", "knn", "logistic", "auto"])
@pytest.mark.parametrize("many", [False, True])
def test_a_head_comes_back_as_it_was(tmp_path, kind, many):
    made = trained(kind, many=many)
    (tmp_path / "h").write_bytes(head_bytes(made, SOURCE))
    found, source = read_head(tmp_path / "h")
    assert source == SOURCE
    asked = unit(9, seed=5)
    assert found.head.scores(asked).tobytes() == made.head.scores(asked).tobytes()
    assert (found.labels, found.how, found.many, found.examples) == (
        made.labels,
        made.how,
        made.many,
        made.examples,
    )
    assert (
        head_bytes(found, source) == head_bytes(made, SOURCE) == head_bytes(trained(kind, many=many), SOURCE)
    )
    if kind != "names":
        assert (found.held_out.accuracy, found.held_out.cut) == (made.held_out.accuracy, made.held_out.cut)


_WRONG = st.sampled_from(
    [None, 0, -1, 1.5, True, "", "x", [], ["a", "b"], ["a", "a", "b"], [1, 2, 3], {}, {"kind": "linear"}]
)


@settings(max_examples=120)
@given(st.sampled_from(["names", "knn", "logistic"]), st.data())
def test_a_file_that_was_made_up_is_refused_or_works(tmp_path_factory, kind, data):
    path = tmp_path_factory.mktemp("heads") / "h"
    path.write_bytes(head_bytes(trained(kind), SOURCE))
    about, arrays = read_array_file(path, KIND, VERSION)
    about, arrays = copy.deepcopy(about), dict(arrays)
    if data.draw(st.booleans()):
        where = data.draw(st.sampled_from([about, about["head"], about["source"]]))
        where[data.draw(st.sampled_from(sorted(where)))] = data.draw(_WRONG)
    else:
        name = data.draw(st.sampled_from(sorted(arrays)))
        changes = {
            "gone": None,
            "flat": arrays[name].ravel(),
            "short": arrays[name][:1],
            "empty": arrays[name][:0],
            "wide": np.concatenate([arrays[name], arrays[name]], axis=-1),
            "int": arrays[name].astype(np.int64),
            "nan": arrays[name].astype(np.float32) * np.nan,
        }
        changed = changes[data.draw(st.sampled_from(sorted(changes)))]
        if changed is None:
            del arrays[name]
        else:
            arrays[name] = changed
    path.write_bytes(array_file(KIND, VERSION, about, arrays))
    try:
        found, source = read_head(path)
    except InputError:
        return
    assert len(found.head.scores(unit(2, source.dim))) == 2
    assert len(Classifier(found.labels, found.head).answers(unit(2, source.dim))) == 2


def test_a_head_takes_the_vectors_that_it_was_learnt_with():
    check_source(SOURCE, SOURCE)
    for changed in ({"model": "n"}, {"fingerprint": "f"}, {"dim": 5}, {"prompt": "x"}, {"pooling": "cls"}):
        with pytest.raises(VectorError, match="the head takes m"):
            check_source(SOURCE, replace(SOURCE, **changed))
    with pytest.raises(VectorError, match="with another prompt or pooling"):
        check_source(SOURCE, replace(SOURCE, prompt="x"))
    ready = HeadSource("", "", "", "", "", 4)
    check_source(SOURCE, ready)
    with pytest.raises(VectorError, match="of 4 numbers, these have 5"):
        check_source(SOURCE, replace(ready, dim=5))
    with pytest.raises(VectorError):
        check_source(ready, SOURCE)


# --- answers


class Plain(DirectionHead):
    """Scores are the vectors themselves."""

    def raw(self, vectors):
        return vectors.astype(np.float64)


HEAD = Plain(np.eye(3, dtype=np.float32))


def answers(rows: list[list[float]], **settings_: object) -> list[Answer]:
    classifier = Classifier(("a", "b", "c"), HEAD, AnswerSettings(**settings_))
    return classifier.answers(np.array(rows, dtype=np.float32))


def test_answers_and_what_is_left_open():
    rows = [[0.5, 0.25, 0.125], [0.25, 0.5, 0.5], [0, 0, 0]]
    assert answers(rows) == [
        Answer("a", 0.5, 0.25, (Scored("a", 0.5),)),
        Answer("b", 0.5, 0, (Scored("b", 0.5),)),
        Answer(),
    ]
    assert [each.label for each in answers(rows, min_margin=0.25)] == ["a", None, None]
    assert [each.label for each in answers(rows, min_score=0.5)] == ["a", "b", None]
    assert [each.label for each in answers(rows, min_score=0.51)] == [None, None, None]
    open_ = answers(rows, min_margin=0.3, top_k=2)[0]
    assert open_ == Answer(None, 0.5, 0.25, (Scored("a", 0.5), Scored("b", 0.25)))
    many = answers(rows, min_score=0.25, many=True)
    assert [[label.label for label in each.labels] for each in many] == [["a", "b"], ["b", "c", "a"], []]
    assert answers(rows, min_score=0.75, many=True)[0] == Answer(None, 0.5, 0.25, ())
    assert answers(rows, min_score=0.375, many=True)[0].labels == (Scored("a", 0.5),)
    assert [len(each.labels) for each in answers(rows, min_score=0.25, many=True, top_k=1)] == [1, 1, 0]


def test_penalties_and_taxonomies_change_who_is_best():
    rows = np.array([[0.5, 0.4, 0.1]], dtype=np.float32)
    found = Classifier(("a", "b", "c"), HEAD, penalties=np.array([0.2, 0, -0.1])).answers(rows)[0]
    assert found[:3] == ("b", 0.4, 0.1)
    tree = read_taxonomy(lines("top\ta", "top\tb", "other\tc", "root\ttop", "root\tother"), ("a", "b", "c"))
    flat = Plain(np.eye(3, dtype=np.float32), sharpness=1e-9)
    unsure = Classifier(("a", "b", "c"), flat, taxonomy=tree).answers(rows)[0]
    assert (unsure.label, unsure.labels[0].label) == ("top", "top")
    sure = Classifier(("a", "b", "c"), replace(flat, sharpness=1e3), taxonomy=tree).answers(rows)[0]
    assert (sure.label, sure.score) == ("a", 1)


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["a", "b", " ", "zero"]), max_size=30), st.integers(1, 7), st.integers(1, 5))
def test_blocks_change_no_answer(texts, records, chars):
    rows = dict(zip("ab", unit(2), strict=True)) | {"zero": np.zeros(4, dtype=np.float32)}
    asked = [Record(text, " ") if text == " " else carried(text, rows[text]) for text in texts]
    classifier = Classifier(("x", "y"), DirectionHead(unit(2, seed=9)))

    def run() -> list:
        found: list = []
        LabelStream(
            classifier, CarriedVectors(), lambda record, answer: found.append((record.id, answer))
        ).run(asked)
        return found

    whole = run()
    assert [record for record, _ in whole] == texts
    for text, answer in whole:
        single = classifier.answers(rows[text][None]) if text in rows else [Answer()]
        assert answer == single[0]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(task, "BLOCK_RECORDS", records)
        patched.setattr(task, "BLOCK_CHARS", chars)
        assert run() == whole


# --- counts


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from(["a", "b", "c", None])), min_size=1, max_size=40
    )
)
def test_a_report_says_what_scikit_learn_says(pairs):
    tally = GoldTally()
    for own, given_ in pairs:
        tally.add((own,), Answer(given_, 0.5, 0.1))
    tally.add((), Answer("a", 0.5, 0.1))
    tally.add(None, Answer("a", 0.5, 0.1))
    tally.add(("a",), Answer())
    report = tally.report()
    own = [gold for gold, _ in pairs]
    said = [given_ or "(open)" for _, given_ in pairs]
    names = [each.label for each in report.labels]
    assert names == sorted({*own, *(given_ for _, given_ in pairs if given_)})
    wanted = precision_recall_fscore_support(own, said, labels=names, zero_division=0)
    for each, *measures, support in zip(report.labels, *wanted, strict=True):
        assert (each.precision, each.recall, each.f1, each.gold) == pytest.approx(
            (*measures, support), abs=1e-6
        )
    assert report.macro_f1 == pytest.approx(
        f1_score(own, said, labels=sorted(set(own)), average="macro", zero_division=0), abs=1e-6
    )
    assert (report.records, tally.without, tally.has_field) == (len(pairs), 2, True)
    assert sum(cell.count for cell in report.confusion) == len(pairs)
    assert {(cell.gold, cell.label): cell.count for cell in report.confusion} == {
        pair: pairs.count(pair) for pair in pairs
    }


def test_several_labels_are_compared_as_sets():
    tally = GoldTally(many=True)
    tally.add(("a", "b"), Answer("a", 0.9, 0, (Scored("a", 0.9), Scored("b", 0.8))))
    tally.add(("a",), Answer("a", 0.9, 0, (Scored("a", 0.9), Scored("b", 0.8))))
    tally.add(("c",), Answer(None, 0.1, 0, ()))
    report = tally.report()
    assert (report.accuracy, report.answered, report.micro_f1) == (pytest.approx(1 / 3, abs=1e-6), 2, 0.75)
    assert report.confusion == ()


def test_counts_are_of_what_was_given():
    tally = Tally()
    for answer in (Answer("b", 0.5, 0), Answer("b", 0.7, 0), Answer(None, 0.1, 0), Answer()):
        tally.add(answer, is_blank=answer.score is None)
    tally.add(Answer())
    found = [(each.label, each.count, each.share, each.score) for each in tally.counts(("a", "b"))]
    assert found == [("b", 2, 0.666667, 0.6), ("a", 0, 0, None), (None, 1, 0.333333, 0.1)]
    assert (tally.blank, tally.unknown, tally.with_vector) == (1, 1, 3)


# --- taxonomies


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        (["a b c d"], "-:1: neither two labels"),
        (["a\tb\tx"], "the distance 'x' is no number above 0"),
        (["a\tb\t0"], "no number above 0"),
        (["a\tb\tnan"], "no number above 0"),
        (["a\ta"], "a label and itself"),
        (["a b", "c d"], "no way leads from 'a' to 'c'"),
        (["a c"], "label 'b' is not in it"),
    ],
)
def test_a_taxonomy_that_is_none_is_refused(given_, said):
    with pytest.raises(InputError, match=said):
        read_taxonomy(lines(*given_), ("a", "b"))


def test_a_taxonomy_is_read():
    found = read_taxonomy(lines("a b", "two words\tb\t2.5", " ", "a b"), ("b", "a"))
    assert found.labels == ("a", "b", "two words")
    assert found.distances.tolist() == [[1, 0, 2.5], [0, 1, 3.5]]
