"""`embedcli search` on an index by meaning, by words and by both, as real processes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embedcli.index.file import open_for_writing, stored_identity
from embedcli.index.writer import IndexWriter
from tests.conftest import Finished, Program

Write = Callable[..., Path]

NAMES = [f"Notes of meeting {number} about the budget, case QX-{number:03}." for number in range(150)]
TEXTS = [
    "The puppy chewed on a slipper.",
    "A young dog needs a lot of sleep.",
    "Dogs and cats: which pet is for you?",
    "error 0x80070057 when mounting the share",
    "The parameter is incorrect when a volume is mounted.",
    *NAMES,
]


INDEX = "docs/.embedcli/index.emb"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shelf") / "docs"


@pytest.fixture
def notes(program: Program, write: Write, shelf: Path) -> Program:
    """The program beside `docs/notes.jsonl`, a record a line, whose index is built once and travels with it."""
    if not shelf.exists():
        rows = [{"id": f"n{number}", "text": text} for number, text in enumerate(TEXTS, start=1)]
        write("docs/notes.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        program("index", "build", "-i", INDEX, "docs/notes.jsonl", "-q").ok()
        shutil.move(program.folder / "docs", shelf)
    shutil.copytree(shelf, program.folder / "docs")
    return program


def search(program: Program, *arguments: object) -> Finished:
    return program("search", "-i", INDEX, *arguments)


def hits(program: Program, *arguments: object) -> list[dict[str, Any]]:
    return search(program, "--json", *arguments).ok().objects


def test_words_and_meaning_rank_together(notes: Program) -> None:
    assert hits(notes, "case QX-077", "-n", 1)[0]["text"] == NAMES[77]
    assert hits(notes, "case QX-077", "-n", 1, "--mode", "lexical")[0]["text"] == NAMES[77]
    # No word in common: the vectors alone find it.
    assert hits(notes, "small canine", "-n", 1)[0]["text"] in TEXTS[:3]
    assert search(notes, "canine", "--mode", "lexical").code == 1
    both = hits(notes, "0x80070057", "-n", 2)
    assert both[0]["text"] == TEXTS[3]


def test_a_score_is_the_sum_that_explain_shows(notes: Program) -> None:
    for fusion in ("zscore", "minmax", "rrf"):
        found = hits(notes, "a young dog", "-n", 20, "--explain", "--fuse", fusion, "--alpha", 0.3)
        assert [hit["rank"] for hit in found] == list(range(1, 21))
        for hit in found:
            dense, words = hit["parts"]["dense"], hit["parts"]["lexical"]
            assert (dense["weight"], words["weight"]) == (0.3, 0.7)
            assert dense["value"] == hit["cosine"]
            assert hit["score"] == pytest.approx(0.3 * dense["scaled"] + 0.7 * words["scaled"], abs=1e-9)
        assert [hit["score"] for hit in found] == sorted((hit["score"] for hit in found), reverse=True)
    assert {"dense"} == set(hits(notes, "dog", "--explain", "--mode", "dense")[0]["parts"])
    alone = hits(notes, "dog", "--explain", "--mode", "lexical")[0]
    assert (alone["cosine"], alone["parts"]["lexical"]["value"]) == (None, alone["score"])
    assert "parts" not in hits(notes, "dog")[0]
    first, second = search(notes, "a young dog", "-n", 1, "--explain").ok().lines
    assert first.startswith("docs/notes.jsonl:2:")
    assert second.startswith("    0.45 x ")
    assert "(dense 0." in second


def test_parts_are_those_of_each_side_alone(notes: Program) -> None:
    question = "which dog is for me"
    dense = {hit["id"]: hit["cosine"] for hit in hits(notes, question, "-n", 200, "--mode", "dense")}
    words = {hit["id"]: hit["score"] for hit in hits(notes, question, "-n", 200, "--mode", "lexical")}
    found = hits(notes, question, "-n", 200, "--explain")
    assert len(found) == len(TEXTS), "those that have no word in common as well"
    for hit in found:
        assert hit["parts"]["dense"]["value"] == pytest.approx(dense[hit["id"]], abs=1e-6)
        assert hit["parts"]["lexical"]["value"] == pytest.approx(words.get(hit["id"], 0.0), abs=1e-9)


def test_more_hits_begin_with_the_same_ones(notes: Program) -> None:
    for question in ("budget meeting about dogs", "case QX-100", "dog"):
        few, many = (hits(notes, question, "-n", count) for count in (10, 155))
        assert many[:10] == few
        assert len(many) == 155
        scores = [hit["score"] for hit in many]
        assert scores == sorted(scores, reverse=True)


def test_alpha_goes_from_words_to_meaning(notes: Program) -> None:
    def order(*options: object) -> list[str]:
        return [hit["id"] for hit in hits(notes, "a dog that sleeps", "-n", 5, *options)]

    assert order("--alpha", 1) == order("--mode", "dense")
    assert order("--alpha", 0)[0] == order("--mode", "lexical")[0]


def test_filters_and_least_scores_apply(notes: Program) -> None:
    narrowed = ("--where", 'id = "n10"', "-n", 50)
    assert [hit["line"] for hit in hits(notes, "dog", *narrowed)] == [10]
    assert search(notes, "dog", *narrowed, "--mode", "lexical").code == 1
    assert [hit["line"] for hit in hits(notes, "budget", *narrowed, "--mode", "lexical")] == [10]
    near = hits(notes, "a young dog", "--min-score", 0.4, "-n", 50)
    assert near
    assert all(hit["cosine"] >= 0.4 for hit in near)
    assert len(near) < 10
    assert search(notes, "0x80070057", "--min-score", 1).code == 1


@pytest.mark.parametrize(
    "question", ['"', "a AND", "NEAR(", "text: x", "-", "*", "^dog", "dog OR (", "é\u0301", "{}"]
)
def test_no_question_is_syntax(notes: Program, question: str) -> None:
    for mode in ("hybrid", "lexical"):
        done = search(notes, "--mode", mode, "--", question)
        assert (done.code in (0, 1), done.err) == (True, "")


def test_an_expression_for_those_who_want_one(notes: Program) -> None:
    exact = hits(notes, "x", "--mode", "lexical", "--lexical-query", '"volume is mounted" NOT dog')
    assert [hit["text"] for hit in exact] == [TEXTS[4]]
    mixed = hits(notes, "a young dog", "--lexical-query", "slipp*", "--explain", "-n", 3)
    assert {hit["text"]: hit["parts"]["lexical"]["value"] > 0 for hit in mixed}[TEXTS[0]]
    done = search(notes, "x", "--lexical-query", "dog AND (")
    assert (done.code, done.out) == (2, b"")
    assert done.err.splitlines()[0].startswith("embedcli: --lexical-query 'dog AND (': fts5: syntax error")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--mode", "both"), "--mode"),
        (("--fuse", "sum"), "--fuse"),
        (("--mode", "dense", "--alpha", "0.5"), "--alpha is about --mode hybrid"),
        (("--mode", "lexical", "--fuse", "rrf"), "--fuse is about --mode hybrid"),
        (("--mode", "dense", "--lexical-query", "x"), "--lexical-query looks for words"),
        (("--mode", "lexical", "--min-score", "0.5"), "--min-score is a cosine"),
        (("--mode", "lexical", "--exact"), "are about vectors"),
        (("--mode", "hybrid", "--cascade", "static,default"), "--cascade compares vectors alone"),
        (("--alpha", "1.5"), "--alpha"),
        (("--explain", "-l"), "--explain shows each hit"),
    ],
)
def test_contradictions_are_one_line(notes: Program, options: tuple[str, ...], said: str) -> None:
    done = search(notes, "dog", *options)
    assert (done.code, done.out) == (2, b"")
    assert said in done.err


def test_files_are_searched_by_meaning_alone(notes: Program) -> None:
    notes("search", "dog", "docs/notes.jsonl", "--mode", "dense").ok()
    for option in (("--mode", "lexical"), ("--alpha", 0.5), ("--lexical-query", "x")):
        done = notes("search", "dog", "docs/notes.jsonl", *option)
        assert (done.code, "are about an index" in done.err) == (2, True)


def test_an_index_without_texts_has_meaning_alone(notes: Program) -> None:
    notes("index", "build", "-i", "bare.emb", "docs/notes.jsonl", "--no-text", "-q").ok()
    found = notes("search", "a young dog", "-i", "bare.emb", "--json", "-n", 1).ok().objects
    assert found[0]["score"] == found[0]["cosine"]
    for mode in ("hybrid", "lexical"):
        done = notes("search", "dog", "-i", "bare.emb", "--mode", mode)
        assert (done.code, "bare.emb: built with --no-text" in done.err) == (2, True)
    # Beside one that has texts it still takes part, by meaning.
    places = ("-i", "bare.emb", "-i", INDEX, "--json", "-n", 200)
    assert len(notes("search", "a young dog", *places).ok().objects) == len(TEXTS), "each record once"
    both = notes("search", "a young dog", *places, "--by", "chunk", "--no-collapse").ok().objects
    assert both[0]["text"] == TEXTS[1]
    assert next(hit["id"] for hit in both if hit["text"] is None) == "n2"


def test_words_alone_need_no_model(notes: Program) -> None:
    gone = {"EMBEDCLI_MODEL": "none-of-that-name"}
    assert notes("search", "dog", "-i", INDEX, "-m", "none-of-that-name").code == 2
    done = notes("search", "dog", "-i", INDEX, "--mode", "lexical", env=gone).ok()
    assert len(done.lines) == 2


def test_each_of_many_questions_finds_what_it_finds_alone(notes: Program, write: Write) -> None:
    questions = ["a young dog", "case QX-011", "", "mounting a share"]
    write("q.jsonl", "".join(json.dumps({"id": text, "text": text}) + "\n" for text in questions))
    for mode in ("hybrid", "lexical"):
        found = hits(notes, "--queries", "q.jsonl", "-n", 4, "--mode", mode)
        alone = [hit for text in questions if text for hit in hits(notes, text, "-n", 4, "--mode", mode)]
        assert found == alone


def test_two_indexes_share_one_pool(notes: Program, write: Write) -> None:
    write("more.txt", "A puppy is a very young dog.\nThe tax is due in March.\n")
    notes("index", "build", "-i", "more.emb", "more.txt", "-q").ok()
    places = ("-i", INDEX, "-i", "more.emb", "--json", "-n", 3)
    both = notes("search", "young dog", *places, "--explain").ok().objects
    assert {hit["path"] for hit in both} == {"docs/notes.jsonl", "more.txt"}
    words = notes("search", "young dog", *places, "--mode", "lexical").ok().objects
    scores = [hit["score"] for hit in words]
    assert scores == sorted(scores, reverse=True)
    assert {hit["path"] for hit in words} == {"docs/notes.jsonl", "more.txt"}


def test_an_index_says_how_it_is_searched(notes: Program) -> None:
    path = notes.folder / INDEX
    own = stored_identity(path)
    with open_for_writing(path, own) as connection:
        writer = IndexWriter(path, connection, own, may_shrink=False)
        writer.put_query_defaults({"mode": "hybrid", "fusion": "minmax", "alpha": 0.25})
        writer.commit()
    stored = hits(notes, "a young dog", "--explain")
    assert stored == hits(notes, "a young dog", "--explain", "--fuse", "minmax", "--alpha", 0.25)
    assert stored != hits(notes, "a young dog", "--explain", "--alpha", 0.5)
    with open_for_writing(path, own) as connection:
        writer = IndexWriter(path, connection, own, may_shrink=False)
        writer.put_query_defaults({"mode": "lexical"})
        writer.commit()
    assert hits(notes, "dog")[0]["cosine"] is None
    assert hits(notes, "dog", "--mode", "dense")[0]["cosine"] is not None
    done = search(notes, "dog", "--min-score", 0.1)
    assert (done.code, "--min-score is a cosine" in done.err) == (2, True)


def test_lines_around_hits_and_counts_of_files(notes: Program) -> None:
    around = search(notes, "puppy slipper", "-n", 1, "-A", 1).ok()
    assert len(around.lines) == 2
    assert search(notes, "dog", "--mode", "lexical", "-c").ok().lines == ["docs/notes.jsonl:2"]
    assert search(notes, "dog", "--mode", "lexical", "-l").ok().lines == ["docs/notes.jsonl"]
    assert search(notes, "dog", "--mode", "lexical", "-q").code == 0
    assert search(notes, " ", "--mode", "lexical").code == 2


def test_a_second_look_token_by_token(notes: Program) -> None:
    question = "which pet needs sleep"
    plain = hits(notes, question, "-n", 50)
    found = hits(notes, question, "-n", 50, "--rerank", "maxsim", "--explain")
    assert {hit["id"] for hit in found} == {hit["id"] for hit in plain}
    for hit in found:
        assert hit["score"] == pytest.approx(
            sum(part["weight"] * part["scaled"] for part in hit["parts"].values()), abs=1e-9
        )
        assert set(hit["parts"]) == {"dense", "lexical", "maxsim"}
        assert -1 <= hit["parts"]["maxsim"]["value"] <= 1
    assert hits(notes, question, "-n", 3, "--rerank", "maxsim", "--explain") == found[:3]
    assert (
        hits(notes, question, "-n", 5, "--rerank", "maxsim", "--rerank-weight", 0, "--explain") != found[:5]
    )
    itself = hits(notes, TEXTS[2], "-n", 1, "--rerank", "maxsim", "--explain", "--mode", "dense")
    assert itself[0]["parts"]["maxsim"]["value"] == pytest.approx(1, abs=1e-6)
    narrowed = ("--where", 'id = "n10"', "--rerank", "maxsim")
    assert [hit["id"] for hit in hits(notes, "dog", *narrowed)] == ["n10"]


def test_a_second_look_at_files_and_by_the_table(notes: Program, write: Write) -> None:
    write("pets.txt", "".join(f"{text}\n" for text in TEXTS[:5]))
    for model in ("default", "static"):
        options = ("-m", model, "--json", "--explain", "--rerank", "maxsim")
        found = notes("search", "small dog", "pets.txt", *options).ok().objects
        assert len(found) == 5
        assert set(found[0]["parts"]) == {"dense", "maxsim"}
        assert found[0]["line"] in (1, 2, 3)


def test_a_second_look_by_a_program(notes: Program, write: Write) -> None:
    write(
        "longest.py",
        "import json, sys\nfor line in sys.stdin:\n    print(len(json.loads(line)['text']))\n",
    )
    program = ("--rerank-cmd", "python3 longest.py")
    found = hits(notes, "dog", "-n", 5, *program, "--rerank-depth", 5, "--explain")
    lengths = [len(hit["text"]) for hit in found]
    assert lengths == sorted(lengths, reverse=True)
    assert [hit["score"] for hit in found] == lengths
    assert found[0]["parts"] == {"command": {"value": lengths[0], "scaled": lengths[0], "weight": 1.0}}
    words = hits(notes, "dog", "--mode", "lexical", *program)
    assert [hit["score"] for hit in words] == sorted((len(text) for text in TEXTS[1:3]), reverse=True)
    assert search(notes, "unheard", "--mode", "lexical", "--rerank-cmd", "no-such-program").code == 1
    done = search(notes, "dog", "--rerank-cmd", "no-such-program")
    assert (done.code, done.out) == (2, b"")
    assert done.err == "embedcli: --rerank-cmd no-such-program: No such file or directory\n"
    endless = search(notes, "dog", "--rerank-cmd", "yes")
    assert (endless.code, endless.out, "wrote more than" in endless.err) == (2, b"", True)
    deaf = search(notes, "dog", "--rerank-cmd", "true")
    assert (deaf.code, "wrote 0 lines" in deaf.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--rerank", "best"), "--rerank 'best' is neither maxsim nor a model"),
        (("--rerank-depth", "5"), "go with --rerank"),
        (("--rerank", "maxsim", "--rerank-cmd", "x"), "exclude each other"),
        (("--rerank", "maxsim", "--mode", "lexical"), "--rerank maxsim compares vectors"),
        (("--rerank", "maxsim", "--cascade", "static,default"), "--cascade looks again already"),
    ],
)
def test_contradictions_of_a_second_look_are_one_line(
    notes: Program, options: tuple[str, ...], said: str
) -> None:
    done = search(notes, "dog", *options)
    assert (done.code, done.out, said in done.err) == (2, b"", True)


def test_no_second_look_without_texts(notes: Program) -> None:
    notes("index", "build", "-i", "bare.emb", "docs/notes.jsonl", "--no-text", "-q").ok()
    done = notes("search", "dog", "-i", "bare.emb", "--rerank", "maxsim")
    assert (done.code, "an index without texts" in done.err) == (2, True)
