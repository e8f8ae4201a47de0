"""`embedcli cluster`: names, --summary, --tree and --split-into, as a real process."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_sample import planted
from tests.cli.test_search_terminal import on_terminal
from tests.conftest import Program

Write = Callable[..., Path]

ABOUT = {
    "bread": {"bread", "flour", "yeast", "oven"},
    "tax": {"tax", "revenue", "office"},
    "dog": {"dog", "barks", "cat", "garden"},
    "piano": {"piano", "sonata"},
    "football": {"football", "match", "goals"},
}
TOPICS = [pair for pair in planted() if pair[0] in ABOUT]
"""70 texts: 16 of bread down to 12 of football."""


def as_csv(rows: list[tuple[str, str]], end: str = "\n") -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator=end).writerows([("topic", "text"), *rows])
    return out.getvalue()


@pytest.fixture
def tickets(write: Write) -> Path:
    return write("tickets.csv", as_csv(TOPICS))


def cluster(program: Program, *arguments: object, stdin: bytes = b""):
    """Run with stars, which find the topics, and load the least."""
    return program("cluster", "--threshold", 0.6, *arguments, "-m", "static", stdin=stdin)


# --- names


def test_names_say_what_clusters_are_about(program: Program, tickets: Path) -> None:
    rows = [*csv.DictReader(cluster(program, tickets).ok().out.decode().splitlines())]
    names = {row["cluster_name"] for row in rows}
    assert len(names) == 5
    assert all(set(row["cluster_name"].replace(",", "").split()) & ABOUT[row["topic"]] for row in rows)


# --- --summary


def test_a_summary_is_a_table_by_size(program: Program, write: Write) -> None:
    long = "the\told volcano\x1b[31m threw ash,\tand lava into the sky " + "and lava " * 60
    objects = [{"id": f"r{number}", "text": text} for number, (_, text) in enumerate(TOPICS)]
    copies = [{"id": f"long{number}", "text": long} for number in range(40)]
    path = write(
        "in.jsonl", "".join(json.dumps(each) + "\n" for each in [*objects, *copies, {"id": "b", "text": ""}])
    )
    done = cluster(program, path, "--summary").ok()
    header, *lines = [line.split("\t") for line in done.lines]
    assert header == ["cluster", "size", "share", "cohesion", "name", "example"]
    assert [line[0] for line in lines] == ["0", "1", "2", "3", "4", "5"]
    assert [int(line[1]) for line in lines] == [40, 16, 15, 14, 13, 12]
    assert sum(float(line[2]) for line in lines) == pytest.approx(1, abs=0.001)
    assert lines[0][2:4] == ["0.3636", "1.0000"]
    # Whole, on one line, and in a pipe as it is otherwise.
    assert lines[0][5] == " ".join(long.split())
    assert all(line[5] in {each["text"] for each in objects} for line in lines[1:])
    done = cluster(program, path, "--summary", "--json", "-o", "out.jsonl").ok()
    assert done.out == b""
    found = [json.loads(line) for line in (program.folder / "out.jsonl").read_text().splitlines()]
    assert [*found[0]] == ["cluster", "name", "size", "share", "cohesion", "example", "example_id", "words"]
    assert found[0]["example"] == long
    assert found[0]["example_id"] == "long0"
    for each in found[1:]:
        assert next(one["id"] for one in objects if one["text"] == each["example"]) == each["example_id"]
    assert [each["name"] for each in found] == [line[4] for line in lines]
    assert all(len(each["words"]) >= 3 for each in found[1:])
    shown = on_terminal(
        program, "cluster", "--threshold", "0.6", path, "--summary", "-m", "static"
    ).splitlines()
    assert shown[0].split()[:5] == header[:5]
    assert max(map(len, shown)) == 60
    assert "\x1b" not in "".join(shown)
    assert shown[1].endswith("…")


# --- --tree


def test_a_tree_joins_what_is_near(program: Program, tickets: Path) -> None:
    nodes = cluster(program, tickets, "--tree", "--json").ok().objects
    assert [*nodes[0]] == ["node", "parent", "depth", "cluster", "name", "size", "cosine"]
    assert len(nodes) == 9
    assert len({node["name"] for node in nodes}) == 9
    by_number = {node["node"]: node for node in nodes}
    assert nodes[0]["parent"] is None
    assert nodes[0]["size"] == len(TOPICS)
    for node in nodes[1:]:
        above = by_number[node["parent"]]
        assert node["depth"] == above["depth"] + 1
        assert nodes.index(above) < nodes.index(node)
        assert (node["cosine"] is None) == (node["cluster"] is not None)
        assert node["cosine"] is None or node["cosine"] >= above["cosine"]
    for node in nodes:
        below = [each for each in nodes if each["parent"] == node["node"]]
        assert sum(each["size"] for each in below) in {0, node["size"]}
        assert len(below) == (0 if node["cosine"] is None else 2)
    text = cluster(program, tickets, "--tree").ok().lines
    assert [line.split("  ")[-1] for line in text] == [node["name"] for node in nodes]
    assert text[0].startswith(f"{nodes[0]['cosine']:.2f}  {len(TOPICS)}  ")
    assert [line.index(line.lstrip("│├└─ ")) for line in text] == [3 * node["depth"] for node in nodes]
    assert sum("└─" in line for line in text) == 4


# --- --split-into


def files(program: Program, name: str = "topics") -> dict[str, bytes]:
    folder = program.folder / name
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name[0] != "."}


def test_a_split_has_each_row_once_as_it_was(program: Program, write: Write) -> None:
    table = "\ufeff" + as_csv(TOPICS, end="\r\n") + 'blank,""\r\nlast,"the ""old""\ndog barks"'
    path = write("tickets.CSV", table)
    done = cluster(program, path, "--column", "text", "--split-into", "topics").ok()
    assert done.out == b""
    assert "topics: 6 files" in done.err
    found = files(program)
    assert len(found) == 6
    assert found["noise.CSV"] == '\ufefftopic,text\r\nblank,""\r\n'.encode()
    head = "\ufefftopic,text\r\n".encode()
    rows = [content.removeprefix(head) for content in found.values()]
    assert all(content.startswith(head) for content in found.values())
    assert sum(map(len, rows)) == len(table.encode()) - len(head)
    for name, content in found.items():
        if name != "noise.CSV":
            topics = {line.split(b",")[0] for line in content.removeprefix(head).splitlines() if b"," in line}
            assert len(topics - {b"last"}) == 1
            assert set(name[4:-4].split("-")) & ABOUT[(topics - {b"last"}).pop().decode()]
    assert sorted(name[:3] for name in found) == ["000", "001", "002", "003", "004", "noi"]
    assert any(content.endswith(b'last,"the ""old""\ndog barks"') for content in found.values())


def test_a_split_replaces_an_earlier_one_and_nothing_else(program: Program, tickets: Path) -> None:
    cluster(program, tickets, "--split-into", "topics").ok()
    cluster(program, tickets, "--threshold", -1, "--split-into", "topics").ok()
    before = files(program)
    assert len(before) == 1
    (program.folder / "topics/notes.txt").write_bytes(b"mine")
    done = cluster(program, tickets, "--split-into", "topics")
    assert done.code == 2
    assert done.err == (
        "embedcli: topics: not replaced, 'notes.txt' is in it\n"
        "hint: --split-into wants a folder that is new, empty, or of an earlier split alone\n"
    )
    assert files(program) == {**before, "notes.txt": b"mine"}


def test_a_split_goes_with_a_summary(program: Program) -> None:
    lines = "".join(text + "\n" for _, text in TOPICS).encode()
    done = cluster(program, "--split-into", "topics", "--summary", stdin=lines).ok()
    assert len(done.lines) == 6
    found = files(program)
    assert all(name.endswith(".txt") for name in found)
    assert sorted(b"".join(found.values()).splitlines()) == sorted(lines.splitlines())
    sizes = [int(line.split("\t")[1]) for line in done.lines[1:]]
    assert [len(content.splitlines()) for content in found.values()] == sizes


# --- little or nothing to cluster


@pytest.mark.parametrize("stdin", [b"\n\n", b"one dog\n"], ids=["blank", "one"])
def test_little_or_nothing(program: Program, stdin: bytes) -> None:
    done = cluster(program, "--state", "s", stdin=stdin).ok()
    assert [each["cluster"] for each in done.objects] == [
        -1 if each["text"] else None for each in done.objects
    ]
    assert len(done.objects) == stdin.count(b"\n")
    assert (program.folder / "s").exists() is (b"dog" in stdin)
    done = cluster(program, "--summary", "--split-into", "topics", "--state", "s", stdin=stdin).ok()
    assert done.lines == ["cluster\tsize\tshare\tcohesion\tname\texample"] + [
        "-1\t1\t1.0000\t\t(noise)\t"
    ] * (b"dog" in stdin)
    assert files(program) == ({"noise.txt": stdin} if stdin else {})


# --- what does not fit together


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--summary", "--tree"], "--summary and --tree exclude each other"),
        (["--json"], "--json goes with --summary and --tree"),
        (["--split-into", "new", "-o", "out"], "-o: with --split-into there is nothing else to write"),
        (["--split-into", "tickets.csv"], "cannot write to tickets.csv"),
        (["--split-into", "no/where"], "cannot write to no/where: the folder does not exist"),
        (["--events", "e.jsonl"], "--events says what became of the clusters of --state"),
        (["--state", "s", "--events", "-"], "--events: standard output is for the records"),
    ],
)
def test_what_does_not_fit_is_refused(
    program: Program, tickets: Path, arguments: list[str], said: str
) -> None:
    before = sorted(program.folder.iterdir())
    done = cluster(program, tickets, *arguments)
    assert done.code == 2
    assert said in done.err
    assert done.out == b""
    assert sorted(program.folder.iterdir()) == before
