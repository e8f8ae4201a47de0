"""`embedcli search` over indexes: narrowing, ways to search, several indexes and several queries."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY, Finished, Program

Write = Callable[..., Path]

OPEN = ("t1", "t2", "t4", "t5", "t6")
TICKETS = [
    *(
        {"id": f"b{n}", "text": f"Bake bread in oven number {n}.", "status": "closed", "year": 2000 + n % 9}
        for n in range(30)
    ),
    {
        "id": "t1",
        "text": "The printer on the second floor has no paper.",
        "year": 2022,
        "tags": ["printer", "paper"],
    },
    {"id": "t2", "text": "The network drops every hour.", "year": 2023, "tags": ["network"]},
    {
        "id": "t3",
        "text": "The printer makes blank pages.",
        "year": 2024,
        "tags": ["printer"],
        "status": "closed",
    },
    {"id": "t4", "text": "A refund was paid too late.", "year": 2024, "customer": {"city": "Oslo"}},
    {"id": "t5", "text": "The refund went to a wrong account.", "year": 2021},
    {"id": "t6", "text": "A chair in the meeting room is broken.", "year": 2020},
]
FILES = {
    "docs/kitchen/bread.txt": "Mix flour and water, let the dough rest over night and bake it hot.\n",
    "docs/kitchen/soup.txt": "Boil carrots and leeks in broth for half an hour.\n",
    "docs/servers/disk.txt": "The disk was full, because old log files were never deleted.\n",
    "docs/old/tax.txt": "The quarterly tax payment is due on the tenth of March.\n",
    "docs/people.csv": "id,text,salary,city\n"
    "p1,Anna repairs bicycles,3200,Oslo\np2,Ben teaches mathematics,2800,Bern\np3,Cleo flies helicopters,4100,Oslo\n",
    "docs/tickets.jsonl": "".join(json.dumps({"status": "open"} | ticket) + "\n" for ticket in TICKETS),
}
TEXTS = {name.removeprefix("docs/") for name in FILES if name.endswith(".txt")}
LONG_AGO = 1_577_880_000
"""Noon of 2020-01-01 in UTC."""

QUESTIONS = "a refund that came late\n\nno paper in the printer\n"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shelf") / "docs"


@pytest.fixture
def library(program: Program, write: Write, shelf: Path) -> Program:
    """The program beside the folder `docs`, whose index is built once and travels with it."""
    if shelf.exists():
        shutil.copytree(shelf, program.folder / "docs")
        return program
    for name, text in FILES.items():
        write(name, text)
    os.utime(program.folder / "docs/old/tax.txt", (LONG_AGO, LONG_AGO))
    roots = ("docs", "docs/tickets.jsonl", "docs/people.csv")
    program("index", "build", *roots, "--include", "*.txt").ok()
    shutil.copytree(program.folder / "docs", shelf)
    return program


def ids(done: Finished) -> list[str]:
    return [hit["id"] for hit in done.ok().objects]


def all_ids(program: Program, *options: object) -> set[str]:
    """Return the ids of all records of the index that the options let through."""
    return set(ids(program("search", "anything", "-i", "docs", "--json", "-n", 100, *options)))


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ('status = "open" and year >= 2023', {"t2", "t4"}),
        ('tags = "printer" and not status = "closed"', {"t1"}),
        ("salary > 3000", {"p1", "p3"}),
        ('customer.city = "Oslo" or city in ("Oslo", "Bern")', {"t4", "p1", "p2", "p3"}),
        (
            'path like "kitchen/%" or path = "people.csv" and id != "p2" or id = "t1"',
            {"kitchen/bread.txt", "kitchen/soup.txt", "p1", "p3", "t1"},
        ),
    ],
)
def test_where_in_an_index(library: Program, condition: str, found: set[str]) -> None:
    assert all_ids(library, "--where", condition) == found


@pytest.mark.parametrize(
    ("condition", "place", "hint"),
    [
        ("year >> 2023", "expected a value, found '>' at character 7", "texts and dates go in quotes"),
        ("status = open", "found 'open' at character 10", "texts and dates go in quotes"),
        ("year = 1 && id = 2", "found '&&' at character 10", "&& is written and"),
    ],
)
def test_a_wrong_condition_is_shown_with_its_place(
    library: Program, condition: str, place: str, hint: str
) -> None:
    done = library("search", "x", "-i", "docs", "--where", condition)
    assert (done.code, done.out) == (2, b"")
    error, advice = done.err.splitlines()
    assert error.startswith("embedcli: --where: ")
    assert place in error
    assert advice.startswith(f"hint: {hint}")


@pytest.mark.parametrize("way", [(), ("--exact",), ("--plan", "signs", "--rescore", 1)])
def test_as_many_hits_as_there_are_although_the_nearest_are_forbidden(
    library: Program, way: tuple[object, ...]
) -> None:
    query = ("search", "bake bread in an oven", "-i", "docs", "--mode", "dense", "--json", "-n", 5)
    assert all(name.startswith("b") for name in ids(library(*query)))
    hits = library(*query, "--where", 'status = "open"', *way).ok().objects
    assert {hit["id"] for hit in hits} == set(OPEN)
    assert [hit["rank"] for hit in hits] == [1, 2, 3, 4, 5]


def test_nothing_that_meets_the_condition_is_exit_1(library: Program) -> None:
    done = library("search", "bread", "-i", "docs", "--where", "year > 3000")
    assert (done.code, done.out, done.err) == (1, b"", "")


def test_where_in_files_and_in_a_pipe(library: Program) -> None:
    late = ("--where", "year >= 2023", "-n", 50, "--json")
    assert set(ids(library("search", "x", "docs/tickets.jsonl", *late))) == {"t2", "t3", "t4"}
    piped = library("search", "x", "-", *late, stdin=FILES["docs/tickets.jsonl"].encode())
    assert set(ids(piped)) == {"t2", "t3", "t4"}
    walked = library("search", "x", "docs", "--where", 'path like "docs/old/%"', "--json")
    assert ids(walked) == ["docs/old/tax.txt"]


def test_path_globs_add_up_and_since_narrows(library: Program) -> None:
    people = {"p1", "p2", "p3"}
    kitchen = {"kitchen/bread.txt", "kitchen/soup.txt"}
    assert all_ids(library, "--path", "kitchen/*", "--path", "*.csv") == people | kitchen
    assert all_ids(library, "--path", "**/*.txt", "--since", "7d") == TEXTS - {"old/tax.txt"}
    assert all_ids(library, "--path", "*.txt", "--since", "2019-12-30") == TEXTS
    assert all_ids(library, "--path", "*.txt", "--since", "2020-01-03T00:00") == TEXTS - {"old/tax.txt"}
    together = ("--path", "*.{txt,csv}", "--since", "7d", "--where", 'not id in ("p2", "servers/disk.txt")')
    assert all_ids(library, *together) == kitchen | {"p1", "p3"}


def test_a_path_glob_may_name_a_folder_as_with_include(library: Program) -> None:
    assert all_ids(library, "--path", "kitchen/") == {"kitchen/bread.txt", "kitchen/soup.txt"}


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (("--since", "yesterday"), "--since 'yesterday' is not a moment", "7d, 12h, 2026-01-31"),
        (("--path", "a{b"), "glob 'a{b': a brace has no partner", "stand for themselves"),
    ],
)
def test_a_wrong_glob_or_moment(library: Program, options: tuple[str, ...], message: str, hint: str) -> None:
    done = library("search", "x", "-i", "docs", *options)
    assert (done.code, done.out) == (2, b"")
    assert message in done.err
    assert hint in done.err


def test_every_way_to_search_gives_the_same_hits(library: Program) -> None:
    pytest.importorskip("hnswlib")
    query = ("search", "a refund that came late", "-i", "docs", "--json")
    wanted = library(*query).ok()
    assert len(wanted.objects) == 10
    for way in (("--exact",), ("--plan", "exact"), ("--plan", "signs"), ("--plan", "graph")):
        found = library(*query, *way).ok()
        assert (found.out, found.err) == (wanted.out, ""), way


@pytest.mark.parametrize("name", ["rows", "fastest"])
def test_an_unknown_plan_is_refused_and_the_known_ones_are_named(library: Program, name: str) -> None:
    done = library("search", "x", "-i", "docs", "--plan", name)
    assert (done.code, done.out) == (2, b"")
    assert done.err.splitlines() == [
        f"embedcli: --plan '{name}' is not known",
        "hint: auto, exact, signs, graph",
    ]


def test_a_filter_and_a_graph_exclude_each_other(library: Program) -> None:
    done = library("search", "x", "-i", "docs", "--plan", "graph", "--path", "*.txt")
    assert (done.code, done.out) == (2, b"")
    assert "a graph answers no filtered queries" in done.err
    assert "hint: --plan auto" in done.err


@pytest.mark.parametrize(
    "options",
    [("--path", "*.txt"), ("--since", "7d"), ("--plan", "signs"), ("--exact",), ("--explain-plan",)],
)
def test_options_about_an_index_are_refused_without_one(
    program: Program, write: Write, options: tuple[str, ...]
) -> None:
    write("a.txt", "my dog\n")
    done = program("search", "puppy", "a.txt", *options)
    assert (done.code, done.out) == (2, b"")
    assert options[0] in done.err
    assert "hint: -i FILE names one" in done.err


def test_explain_plan_says_one_line_and_changes_no_hit(library: Program) -> None:
    query = ("search", "a refund that came late", "-i", "docs", "--mode", "dense", "--json", "-n", 2)
    silent = library(*query).ok()
    assert silent.err == ""
    for way, method, said in (
        ((), "exact", "43 vectors, queries: 1; estimated: "),
        (("--plan", "signs"), "signs", ", 43 rows compared; 43 vectors"),
        (("--plan", "signs", "--rescore", 7), "signs", ", 7 rows compared; 43 vectors"),
        (("--where", "year > 2000", "--exact"), "exact", "; 32 of 43 vectors, queries: 1; "),
    ):
        done = library(*query, "--explain-plan", *way).ok()
        assert done.out == silent.out
        (line,) = done.err.splitlines()
        assert line.startswith(f"embedcli: docs/.embedcli/index.emb: {method}: "), line
        assert said in line
    assert library(*query, "--rescore", 0).code == 2


def test_several_indexes_are_one_ranking(library: Program, write: Write) -> None:
    write("more/late.txt", "The money came back weeks after it should have.\n")
    write("more/rain.txt", "It rained all night.\n")
    library("index", "build", "more").ok()
    query = ("search", "a refund that came late", "--mode", "dense", "--json", "-n")
    alone = [hit for place in ("docs", "more") for hit in library(*query, 10, "-i", place).ok().objects]
    alone.sort(key=lambda hit: -hit["score"])
    together = library(*query, 4, "-i", "docs", "-i", "more", "-i", "docs", "--explain-plan").ok()
    assert together.objects == [hit | {"rank": rank} for rank, hit in enumerate(alone[:4], start=1)]
    assert {"docs/tickets.jsonl", "more/late.txt"} <= {hit["path"] for hit in together.objects}
    searched = [line.split(": ")[1] for line in together.err.splitlines()]
    assert searched == ["docs/.embedcli/index.emb", "more/.embedcli/index.emb"], "each once"


def test_indexes_of_two_models_or_dimensions_are_refused(library: Program, write: Write) -> None:
    write("a.txt", "my dog\n")
    library("index", "build", "-i", "short.emb", "a.txt", "--dim", 100).ok()
    done = library("search", "x", "-i", "docs", "-i", "short.emb")
    assert (done.code, done.out) == (2, b"")
    assert "short.emb: built with dim 100, this run has 384" in done.err
    twin = library.folder / "models/twin"
    shutil.copytree(REPOSITORY / "models/all-MiniLM-L6-v2", twin)
    manifest = (twin / "model.toml").read_text()
    (twin / "model.toml").write_text(manifest.replace('name = "all-MiniLM-L6-v2"', 'name = "twin"', 1))
    models = {"EMBEDCLI_MODELS": str(twin.parent)}
    library("index", "build", "-i", "twin.emb", "a.txt", "-m", "twin", env=models).ok()
    done = library("search", "x", "-i", "docs", "-i", "twin.emb", env=models)
    assert (done.code, done.out) == (2, b"")
    assert "twin.emb: built with model 'twin', this run has 'all-MiniLM-L6-v2'" in done.err


def test_the_index_of_the_environment(library: Program, write: Write) -> None:
    write("more/rain.txt", "It rained all night.\n")
    library("index", "build", "more").ok()
    query = ("search", "a refund that came late", "--json", "-n", 1)
    assert ids(library(*query, env={"EMBEDCLI_INDEX": "docs"})) == ["t4"]
    assert ids(library(*query, "-i", "more", env={"EMBEDCLI_INDEX": "docs"})) == ["rain.txt"]


@pytest.mark.parametrize("place", [("-i", "docs"), ("docs/tickets.jsonl", "docs/old")])
def test_each_of_many_queries_finds_what_it_finds_alone(
    library: Program, write: Write, place: tuple[str, ...]
) -> None:
    write("q.txt", QUESTIONS)
    found = library("search", "--queries", "q.txt", *place, "--json", "-n", 3).ok().objects
    texts = {str(line): text for line, text in enumerate(QUESTIONS.splitlines(), start=1) if text}
    wanted: list[dict[str, Any]] = []
    for name, text in texts.items():
        alone = library("search", text, *place, "--json", "-n", 3).ok().objects
        assert len(alone) == 3
        wanted += [hit | {"query": name} for hit in alone]
    assert found == wanted, "and the blank line keeps its place without hits"


def test_lines_of_many_queries_begin_with_their_ids(library: Program) -> None:
    options = ("--queries", "-", "-i", "docs", "-n", 1, "--mode", "dense")
    done = library("search", *options, stdin=QUESTIONS.encode()).ok()
    first, second = done.lines
    assert first.startswith("1:docs/tickets.jsonl:34:0.")
    assert first.endswith(":A refund was paid too late.")
    assert second.startswith("3:docs/tickets.jsonl:31:0.")


def test_queries_with_ids_and_with_ready_vectors(library: Program, write: Write) -> None:
    rows = [
        {"id": "late", "text": "a refund that came late"},
        {"id": "paper", "text": "no paper in the printer"},
    ]
    write("q.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    options = ("-i", "docs", "--json", "-n", 2, "--stats-json", "s.json")
    texts = library("search", "--queries", "q.jsonl", *options).ok()
    assert [hit["query"] for hit in texts.objects] == ["late", "late", "paper", "paper"]
    assert json.loads((library.folder / "s.json").read_text())["encoded"] == 2
    library("embed", "q.jsonl", "-o", "v.jsonl").ok()
    vectors = library("search", "--queries", "v.jsonl", *options).ok()
    assert vectors.out == texts.out
    assert json.loads((library.folder / "s.json").read_text())["encoded"] == 0


def test_one_query_with_hits_is_exit_0_and_none_is_1(library: Program, write: Write) -> None:
    write("q.txt", "Bake bread in oven number 7.\nthe moons of Jupiter\n")
    options = ("-i", "docs", "--json", "--min-score", "0.9", "-n", 1)
    found = library("search", "--queries", "q.txt", *options).ok().objects
    assert [(hit["query"], hit["id"]) for hit in found] == [("1", "b7")]
    write("q.txt", "the rings of Saturn\nthe moons of Jupiter\n")
    done = library("search", "--queries", "q.txt", *options)
    assert (done.code, done.out) == (1, b"")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--queries", "empty.txt", "-i", "docs"), "empty.txt: no queries in it"),
        (("--queries", "none.txt", "-i", "docs"), "none.txt: no such file"),
        (("--queries", "-", "-"), "both want standard input"),
        (("--queries", "q.txt", "docs/old", "-A", 1), "-A, -B and -C"),
        (("--queries", "q.txt", "docs/old", "-B", 1, "-A", 0), "-A, -B and -C"),
        (("--queries", "q.txt", "-i", "docs", "-C", 1), "-A, -B and -C"),
    ],
)
def test_queries_that_cannot_be_asked(
    library: Program, write: Write, options: tuple[object, ...], message: str
) -> None:
    write("empty.txt", "")
    write("q.txt", QUESTIONS)
    done = library("search", *options)
    assert (done.code, done.out) == (2, b"")
    assert message in done.err
