"""`embedcli search` over files and pipes, as a real process."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Program

Write = Callable[..., Path]
NOTES = "how to bake bread\nthe stock market fell\n\nmy dog chased the cat\nserver is out of disk space\n"


def stats(program: Program) -> dict[str, float]:
    return json.loads((program.folder / "s.json").read_text())


def test_hits_look_like_grep(program: Program, write: Write) -> None:
    write("notes.txt", NOTES)
    done = program("search", "a puppy ran after a kitten", "notes.txt", "-n", 2).ok()
    path, line, score, text = done.lines[0].split(":", 3)
    assert (path, line, text) == ("notes.txt", "4", "my dog chased the cat")
    assert 0.3 < float(score) < 1
    assert len(done.lines) == 2
    assert done.err == ""


def test_a_pipe_has_no_path_and_vectors_travel_along(program: Program, write: Write) -> None:
    write("a.txt", NOTES)
    done = program.shell("embedcli embed < a.txt | embedcli search 'puppy' - -n 1 --stats-json s.json").ok()
    line, _, text = done.lines[0].split(":", 2)
    assert (line, text) == ("4", "my dog chased the cat")
    assert stats(program)["encoded"] == 1, "the query alone"


@pytest.mark.parametrize(
    "options", ["", "--to base64", "--dtype float16", "--dtype int8", "--dtype int8 --to base64"]
)
def test_every_json_form_can_be_searched(program: Program, write: Write, options: str) -> None:
    write("a.txt", NOTES)
    done = program.shell(
        f"embedcli embed a.txt {options} | embedcli search puppy - -n 1 --json --stats-json s.json"
    ).ok()
    assert done.objects[0]["text"] == "my dog chased the cat"
    assert stats(program)["encoded"] == 1


def test_json_has_the_documented_fields(program: Program, write: Write) -> None:
    write("in.jsonl", '{"id": "d7", "text": "my dog", "kind": "note"}\n{"text": "a tax form"}\n')
    first, second = program("search", "puppy", "in.jsonl", "--json").ok().objects
    assert {
        key: first[key]
        for key in ("query", "rank", "id", "chunk", "path", "line", "end_line", "text", "kind")
    } == {
        "query": "puppy",
        "rank": 1,
        "id": "d7",
        "chunk": 1,
        "path": "in.jsonl",
        "line": 1,
        "end_line": 1,
        "text": "my dog",
        "kind": "note",
    }
    assert first["score"] == first["cosine"] > second["cosine"]
    assert second["rank"] == 2
    assert second["id"] == "in.jsonl:2"


def test_exit_codes_for_found_nothing_and_failure(program: Program, write: Write) -> None:
    write("notes.txt", NOTES)
    assert program("search", "-q", "puppy", "notes.txt").code == 0
    nothing = program("search", "--min-score", "0.99", "puppy", "notes.txt")
    assert (nothing.code, nothing.out) == (1, b"")
    assert program("search", "puppy", stdin=b"").code == 1
    assert program("search", "puppy", "-", stdin=b"\n \n\n").code == 1
    missing = program("search", "puppy", "notes.txt", "no-such-file")
    assert (missing.code, missing.out) == (2, b""), "a missing path stops everything before it starts"
    assert "no-such-file: no such file" in missing.err
    empty = program("search", "  ", "notes.txt")
    assert empty.code == 2
    assert "the query is empty" in empty.err
    quiet = program("search", "-q", "puppy", "notes.txt")
    assert (quiet.out, quiet.err) == (b"", "")


def test_min_score_is_inclusive_and_top_k_bounds(program: Program, write: Write) -> None:
    write("notes.txt", NOTES)
    scores = [hit["cosine"] for hit in program("search", "puppy", "notes.txt", "--json").ok().objects]
    assert len(scores) == 4, "the blank line is never a hit"
    assert scores == sorted(scores, reverse=True)
    kept = program("search", "puppy", "notes.txt", "--json", "--min-score", repr(scores[1])).ok().objects
    assert len(kept) == 2
    assert len(program("search", "puppy", "notes.txt", "-n", 100).ok().lines) == 4
    assert program("search", "puppy", "notes.txt", "-n", 0).code == 2


def test_equal_texts_come_in_input_order(program: Program) -> None:
    text = b"same line\nother\n" * 40
    hits = program("search", "same line", "-", "-n", 25, "--json", "--no-collapse", stdin=text).ok().objects
    assert [hit["line"] for hit in hits] == list(range(1, 50, 2))


def test_names_only_and_counts(program: Program, write: Write) -> None:
    write("a.txt", "my dog\nmy other dog\n")
    write("b.txt", "a tax form\n")
    assert program("search", "puppy", "a.txt", "b.txt", "-l", "--min-score", 0.4).ok().lines == ["a.txt"]
    assert program("search", "puppy", "a.txt", "b.txt", "-c", "--min-score", 0.4).ok().lines == ["a.txt:2"]


def test_context_lines(program: Program, write: Write) -> None:
    write("notes.txt", NOTES)
    lines = program("search", "puppy", "notes.txt", "-n", 1, "-C", 1).ok().lines
    assert lines[0] == "notes.txt-3-"
    assert lines[1].startswith("notes.txt:4:")
    assert lines[2] == "notes.txt-5-server is out of disk space"
    assert len(program("search", "puppy", "notes.txt", "-n", 1, "-A", 1).ok().lines) == 2
    piped = program("search", "puppy", "-", "-n", 1, "-B", 1, stdin=NOTES.encode()).ok().lines
    assert piped[0] == "3-"


def test_a_folder_is_searched_by_paragraph(program: Program, write: Write) -> None:
    write(
        "docs/a.md",
        "# Bread\n\nMix flour and water and a little yeast in a bowl.\nLet it rest over night and bake it hot.\n\n"
        "Eat it with butter on the same day, since it goes stale soon; toast what is left of it.\n",
    )
    write("docs/b.md", "Taxes are due in March.\n")
    (hit,) = program("search", "how long must dough rest", "docs", "-n", 1, "--json").ok().objects
    assert hit["path"] == "docs/a.md"
    assert (hit["line"], hit["end_line"]) == (1, 4), "the heading goes with what follows it"
    assert "Let it rest" in hit["text"]
    (line,) = (
        program("search", "how long must dough rest", "docs", "-n", 1, "--chunking", "lines", "--json")
        .ok()
        .objects
    )
    assert (line["line"], line["end_line"]) == (4, 4)


def test_a_second_search_over_the_same_files_encodes_nothing(program: Program, write: Write) -> None:
    write("notes.txt", NOTES)
    program("search", "puppy", "notes.txt", "--stats-json", "s.json").ok()
    assert stats(program)["encoded"] == 5
    program("search", "puppy", "notes.txt", "--stats-json", "s.json").ok()
    assert stats(program)["encoded"] == 0
    program("search", "a new question", "notes.txt", "--stats-json", "s.json").ok()
    assert stats(program)["encoded"] == 1


def test_compressed_and_converted_files(program: Program, write: Write) -> None:
    write("notes.txt.gz", gzip.compress(NOTES.encode()))
    hit = program("search", "puppy", "notes.txt.gz", "-n", 1).ok().lines[0]
    assert hit.startswith("notes.txt.gz:4:")
    write("notes.bin", "my dog chased the cat\0\n")
    hit = program("search", "puppy", "notes.bin", "--pre", "tr -d '\\0' <", "-n", 1)
    assert hit.code == 3, "no shell is started for --pre"
    write("strip", "#!/bin/sh\ntr -d '\\000'\n").chmod(0o755)
    hit = program("search", "puppy", "notes.bin", "--pre", "./strip", "-n", 1).ok()
    assert hit.lines[0].endswith("my dog chased the cat")


def test_colour_only_when_it_is_wanted(program: Program, write: Write) -> None:
    write("notes.txt", NOTES)
    assert b"\x1b[" in program("search", "puppy", "notes.txt", "--color", "always").ok().out
    assert b"\x1b[" not in program("search", "puppy", "notes.txt").ok().out
    assert program("search", "puppy", "notes.txt", "--color", "pink").code == 2


def test_control_characters_pass_through_a_pipe_unchanged(program: Program) -> None:
    done = program("search", "puppy", "-", stdin=b"my \x1b]0;title\x07dog\n").ok()
    assert done.out.endswith(b"my \x1b]0;title\x07dog\n")


def test_stdin_is_searched_when_there_is_no_path_and_no_index(program: Program) -> None:
    assert program("search", "puppy", stdin=NOTES.encode()).ok().lines[0].endswith("my dog chased the cat")


def test_files_from_a_list(program: Program, write: Write) -> None:
    write("a b.txt", "my dog\n")
    write("list", b"a b.txt\0")
    assert program("search", "puppy", "--files-from", "list", "-0").ok().lines[0].startswith("a b.txt:1:")
    assert (
        program("search", "puppy", "--files-from", "-", stdin=b"a b.txt\n")
        .ok()
        .lines[0]
        .startswith("a b.txt:1:")
    )


def test_names_that_look_like_markup_or_options(program: Program, write: Write) -> None:
    for name in ("[red]x[/red].txt", "[/x]", "-dash.txt", "new\nline.txt", "tab\t.txt"):
        write(name, "my dog\n")
    done = program(
        "search",
        "puppy",
        "--json",
        "--no-collapse",
        "--",
        *sorted(path.name for path in program.folder.iterdir()),
    ).ok()
    assert {hit["path"] for hit in done.objects} == {
        "[red]x[/red].txt",
        "[/x]",
        "-dash.txt",
        "new\nline.txt",
        "tab\t.txt",
    }


def test_contradictions_and_impossible_scores_are_wrong_usage(program: Program, write: Write) -> None:
    write("notes.txt", NOTES)
    for options in (("--json", "-l"), ("-l", "-c"), ("--min-score", 5)):
        assert program("search", "x", "notes.txt", *options).code == 2, options
