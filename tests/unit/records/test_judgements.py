"""Qrels, runs and the folder of a test collection: all their forms, and what is wrong with its line."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.errors import EmbedcliError, InputError, MissingPathError
from embedcli.records import judgements
from embedcli.records.judgements import find_collection, read_judgements, read_run

JUDGED = {"q1": {"d1": 1.0, "d 2": 0.0}, "q2": {"d1": 2.0}}
JSONL = (
    '{"query-id": "q1", "corpus-id": "d1", "score": 1}\n{"query-id": "q1", "corpus-id": "d 2", "score": 0}\n'
    '{"query-id": "q2", "corpus-id": "d1", "score": 2.0}'
)
TSV = "q1\td1\t1\nq1\td 2\t0\n\nq2\td1\t2\n"


@pytest.fixture
def put(tmp_path):
    def put(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return put


@pytest.mark.parametrize(
    "content",
    [
        TSV,
        "query-id\tcorpus-id\tscore\n" + TSV,
        "\ufeffquery-id\tcorpus-id\tscore\r\n" + TSV.replace("\n", "\r\n"),
        "q1\t0\td1\t1\nq1\tQ0\td 2\t0\nq2\t0\td1\t2\n",
        JSONL,
    ],
)
def test_all_forms_of_qrels_say_the_same(put, content):
    assert read_judgements(put("qrels", content)) == JUDGED


def test_columns_may_be_parted_by_blanks_and_a_file_may_be_packed(put):
    text = "1 0  31715818   1\n 3   0 14717500 -2"
    expected = {"1": {"31715818": 1.0}, "3": {"14717500": -2.0}}
    assert read_judgements(put("qrels.txt", text)) == expected
    assert read_judgements(put("qrels.txt.gz", gzip.compress(text.encode()))) == expected
    # The same judgement twice says nothing new.
    assert read_judgements(put("qrels.txt", f"{text}\n3 0 14717500 -2\n")) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no judgements in it"),
        ("query-id\tcorpus-id\tscore\n", "no judgements in it"),
        ("q d\n", "1: no judgement: 'q d'"),
        ("q 0 d 1\nq 0 d2\n", "2: no judgement: 'q 0 d2'"),
        ("q 0 d high\n", "1: no judgement: 'q 0 d high'"),
        ("q 0 d nan\n", "1: no judgement: 'q 0 d nan'"),
        ("q\td\t1\nq\te\tx\n", r"2: no judgement: 'q\te\tx'"),
        ("q 0 d 31715818\n", "1: the grade 3.17158e+07 is no small number"),
        ("q 0 d 1\n\nq 0 d 2\n", "3: query q has document d twice"),
        (
            '{"query-id": "q", "corpus-id": "d", "score": 1}\nq 0 d 1\n',
            "2: no JSON: Expecting value at column 1",
        ),
        ('{"query-id": "q", "score": 1}\n', "1: no judgement: "),
        ('{"query-id": "q", "corpus-id": "d", "score": true}\n', "1: no judgement: "),
        ('{"query-id": "q", "corpus-id": "d", "score": 1e999}\n', "1: the grade inf is no small number"),
        (b"q\t\xff\t1\n", "1: not UTF-8"),
        (b"q 0 d\0 1\n", "NUL"),
        ("q 0 " + "d" * 70_000 + " 1\n", "over the limit"),
    ],
)
def test_a_broken_line_ends_the_run_with_its_place(put, content, message):
    path = put("qrels", content)
    with pytest.raises(InputError) as caught:
        read_judgements(path)
    assert str(caught.value).startswith(f"{path}:")
    assert message in str(caught.value)


def test_a_run_is_read_for_the_judged_queries(put):
    path = put("run", "q1 Q0 d1 1 0.5 me\nq1\tQ0\td 2\t2\t-1e-3\tme\nq9 Q0 d1 1 7 me\n")
    assert read_run(path, {"q1", "q2"}) == {"q1": {"d1": 0.5, "d 2": -0.001}}
    with pytest.raises(InputError, match="finds nothing for any judged query"):
        read_run(path, {"other"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q1 Q0 d1 1 0.5", "1: no line of a run: 'q1 Q0 d1 1 0.5'"),
        ("q1 Q0 d1 1 inf me", "1: no line of a run: 'q1 Q0 d1 1 inf me'"),
        ("q1 Q0 d1 1 0.5 me\nq1 Q0 d1 2 0.4 me", "2: query q1 has document d1 twice"),
    ],
)
def test_a_broken_run_ends_with_its_place(put, line, message):
    path = put("run", line)
    with pytest.raises(InputError) as caught:
        read_run(path, {"q1"})
    assert str(caught.value) == f"{path}:{message}"


def test_too_many_lines_are_refused(put, monkeypatch):
    monkeypatch.setattr(judgements, "MAX_ROWS", 3)
    with pytest.raises(InputError, match="4: more than 3 lines"):
        read_judgements(put("qrels", "".join(f"q 0 d{number} 1\n" for number in range(9))))


def test_a_folder_is_a_collection_if_it_has_all_three(put, tmp_path):
    with pytest.raises(MissingPathError):
        find_collection(str(tmp_path / "none"))
    put("c/corpus.jsonl", "")
    put("c/queries.jsonl", "")
    folder = str(tmp_path / "c")
    with pytest.raises(InputError, match=r"no qrels\.tsv or qrels/test\.tsv or qrels\.jsonl in it"):
        find_collection(folder)
    assert find_collection(folder, judgements="own").judgements == "own"
    named = put("c/qrels/test.tsv", "")
    assert find_collection(folder) == (f"{folder}/corpus.jsonl", f"{folder}/queries.jsonl", named)
    with pytest.raises(InputError, match="no folder"):
        find_collection(named)
    with pytest.raises(InputError, match="a folder, where a file is needed"):
        read_judgements(folder)
    with pytest.raises(MissingPathError):
        read_run(f"{folder}/none", {"q"})


@given(st.binary(max_size=60))
def test_any_bytes_are_judgements_or_a_clear_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(content)
    for read in (read_judgements, lambda name: read_run(name, {"q"})):
        message = str(path)
        try:
            read(str(path))
        except EmbedcliError as error:
            message = str(error)
        assert message.startswith(str(path))
