"""`search --min-score auto`: something is found or nothing is, as real processes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Program

Write = Callable[..., Path]

TEXTS = [
    "The puppy chewed on a slipper and tore the curtain.",
    "A young dog needs a lot of sleep, and a walk every three hours.",
    "Kittens learn to use a litter box within a few days.",
    "Feed an adult cat twice a day, and weigh the portions.",
    "Brush a long-haired dog once a week or its coat becomes matted.",
    "Rabbits need hay at all times and should not live alone.",
    "A parrot that is bored plucks its own feathers.",
    "Goldfish grow too large for a bowl; give them a pond.",
    "Ticks are removed with fine tweezers, close to the skin.",
    "Most puppies have all their adult teeth after seven months.",
    "Hamsters are awake at night and sleep through the day.",
    "Chocolate and grapes are poisonous to dogs.",
]
ANSWERED = "how much does a puppy sleep"
UNANSWERED = "which form declares the capital gains of a limited partnership"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shelf") / "pets"


@pytest.fixture
def pets(program: Program, write: Write, shelf: Path) -> Program:
    """The program beside `pets/notes.jsonl`, a record a line, whose index is built once and travels with it."""
    if not shelf.exists():
        rows = [{"id": f"n{number}", "text": text, "number": number} for number, text in enumerate(TEXTS)]
        write("pets/notes.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        for dtype in ("float16", "int8", "binary"):
            program(
                "index", "build", "-i", f"pets/{dtype}.emb", "pets/notes.jsonl", "--dtype", dtype, "-q"
            ).ok()
        shutil.move(program.folder / "pets", shelf)
    shutil.copytree(shelf, program.folder / "pets")
    return program


@pytest.mark.parametrize(
    ("dtype", "mode"), [("float16", "hybrid"), ("float16", "dense"), ("int8", "dense"), ("binary", "hybrid")]
)
def test_what_is_answered_is_found_and_what_is_not_ends_with_1(pets: Program, dtype: str, mode: str) -> None:
    options = ("-i", f"pets/{dtype}.emb", "--mode", mode, "--min-score", "auto", "--json")
    found = pets("search", ANSWERED, *options).ok()
    assert "n1" in [hit["id"] for hit in found.objects]
    assert len(found.objects) < len(TEXTS)
    nothing = pets("search", UNANSWERED, *options)
    assert (nothing.code, nothing.out, nothing.err) == (1, b"", "")


def test_the_bound_is_told_and_does_the_same_as_a_number(pets: Program) -> None:
    options = ("-i", "pets/float16.emb", "--json")
    auto = pets("search", ANSWERED, *options, "--min-score", "auto", "-v", "--stats-json", "stats.json").ok()
    bound = json.loads((pets.folder / "stats.json").read_text())["min_score"]
    assert f"embedcli: --min-score auto: {bound}" in auto.err, "what is told is all of it"
    assert all(hit["cosine"] >= bound for hit in auto.objects)
    assert pets("search", ANSWERED, *options, "--min-score", bound).ok().out == auto.out
    assert pets("search", ANSWERED, *options, "--min-score", "auto").ok().out == auto.out
    nothing = pets("search", UNANSWERED, *options, "--min-score", "auto", "-v")
    assert (nothing.code, f"{bound:.4f}" in nothing.err) == (1, True), "one bound for all questions"


def test_each_of_many_queries_has_the_same_bound(pets: Program, write: Write) -> None:
    write("asked.txt", f"{UNANSWERED}\n{ANSWERED}\n")
    done = pets("search", "--queries", "asked.txt", "-i", "pets/float16.emb", "--min-score", "auto", "--json")
    alone = pets("search", ANSWERED, "-i", "pets/float16.emb", "--min-score", "auto", "--json")
    assert [hit["query"] for hit in done.ok().objects] == ["2"] * len(alone.ok().objects)


def bound_of(program: Program, *options: object) -> float:
    program("search", ANSWERED, *options, "--min-score", "auto", "-q", "--stats-json", "stats.json")
    found: float = json.loads((program.folder / "stats.json").read_text())["min_score"]
    return found


def test_the_bound_is_that_of_what_may_be_found(pets: Program) -> None:
    everything = bound_of(pets, "-i", "pets/float16.emb")
    assert bound_of(pets, "-i", "pets/float16.emb", "--where", "number < 12") == everything
    # Among fewer texts, the nearest unrelated one is farther.
    assert bound_of(pets, "-i", "pets/float16.emb", "--where", "number < 2") < everything
    twice = bound_of(pets, "-i", "pets/float16.emb", "-i", "pets/float16.emb")
    assert twice == everything


def test_files_and_pipes_have_the_bound_of_an_index_over_them(pets: Program) -> None:
    of_index = bound_of(pets, "-i", "pets/float16.emb")
    assert bound_of(pets, "pets/notes.jsonl") == pytest.approx(of_index, abs=0.002)
    piped = "cat pets/notes.jsonl | embedcli search --min-score auto -q"
    assert pets.shell(f"{piped} '{ANSWERED}' -").code == 0
    nothing = pets.shell(f"{piped} --json '{UNANSWERED}' -")
    assert (nothing.code, nothing.out, nothing.err) == (1, b"", "")


def test_nothing_to_search_is_nothing_found(program: Program) -> None:
    done = program("search", ANSWERED, "-", "--min-score", "auto", "--json", stdin=b"\n\n")
    assert (done.code, done.out) == (1, b"")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--min-score", "close"), "--min-score close: not a cosine"),
        (("--min-score", "nan"), "--min-score nan: not a cosine"),
        (("--min-score", "1.01"), "--min-score 1.01: not a cosine"),
        (("--min-score", "auto", "--mode", "lexical"), "--min-score is a cosine"),
        (("--min-score", "auto", "--cascade", "static,default"), "no common scale"),
    ],
)
def test_contradictions_are_one_line(pets: Program, options: tuple[str, ...], said: str) -> None:
    done = pets("search", ANSWERED, "-i", "pets/float16.emb", *options)
    assert (done.code, done.out) == (2, b"")
    assert said in done.err
