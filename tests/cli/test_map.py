"""`embedcli map`, as a real process."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import select
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Program

Write = Callable[..., Path]

FORMS = ["the {} bread needs flour and a hot oven", "my {} dog barks at the cat", "the {} tax form is due"]
WORDS = ["old", "new", "red", "small", "large", "first", "last", "good", "bad", "late", "early", "cheap"]
LINES = [form.format(word) for word in WORDS for form in FORMS]
STDIN = "".join(f"{line}\n" for line in LINES).encode()
FEW = b"".join(STDIN.splitlines(keepends=True)[:9])


def draw(program: Program, *arguments: object, stdin: bytes = STDIN, **options):
    return program("map", "-m", "static", *arguments, stdin=stdin, **options)


def records_of(page: bytes) -> list[list]:
    packed = re.findall(rb'id="data-records">(.*?)<', page)[0]
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def about_of(page: bytes) -> dict:
    return json.loads(zlib.decompress(base64.b64decode(re.findall(rb'id="data-about">(.*?)<', page)[0])))


def test_a_page_has_every_text_and_two_runs_are_equal(program):
    found = draw(program, "-o", "map.html", "--stats-json", "stats.json").ok()
    assert found.out == b""
    assert "a map of 36 of 36 records by t-SNE" in found.err
    page = (program.folder / "map.html").read_bytes()
    assert [row[:2] for row in records_of(page)] == [
        [str(at), line] for at, line in enumerate(LINES, start=1)
    ]
    footer = about_of(page)["footer"]
    assert footer[0] == "36 texts"
    assert footer[1].startswith("model ")
    assert re.fullmatch(r"trustworthiness@10 0\.\d{3}", footer[3])
    stats = json.loads((program.folder / "stats.json").read_text())
    assert (stats["read"], stats["points"]) == (36, 36)
    assert 0.5 < stats["trustworthiness"] <= 1
    assert draw(program, "-j", 1).ok().out == page
    assert draw(program, "-j", 2, "--seed", 1).ok().out != page


def test_the_form_follows_the_name_and_a_run_gives_several(program):
    draw(program, "-o", "x.svg", "--svg", "y.svg", "--png", "z.png", stdin=FEW).ok()
    assert (program.folder / "x.svg").read_bytes() == (program.folder / "y.svg").read_bytes()
    assert (program.folder / "x.svg").read_bytes().startswith(b"<svg ")
    assert (program.folder / "z.png").read_bytes().startswith(b"\x89PNG")
    assert draw(program, "--to", "jsonl", "--svg", "only.svg", stdin=FEW).ok().objects[0]["id"] == "1"
    assert (program.folder / "only.svg").read_bytes() == (program.folder / "x.svg").read_bytes()
    assert draw(program, "--svg", "only.svg", stdin=FEW).ok().out == b""


def test_json_has_all_records_with_their_places(program, write):
    rows = [{"text": line, "kind": at % 3} for at, line in enumerate(LINES)]
    rows.insert(5, {"text": " ", "kind": 9})
    write("in.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    found = draw(program, "in.jsonl", "--json").ok()
    objects = found.objects
    assert [(each["text"], each["kind"]) for each in objects] == [(row["text"], row["kind"]) for row in rows]
    assert [objects[5][key] for key in ("x", "y", "cluster", "cluster_name")] == [None] * 4
    assert "blank records left out: 1" in found.err
    placed = objects[:5] + objects[6:]
    assert min(each["x"] for each in placed) == 0
    assert max(max(each["x"], each["y"]) for each in placed) == 1
    # What means alike stands together.
    points = np.array([[each["x"], each["y"]] for each in placed])
    far = np.hypot(*(points[:, None] - points).T)
    np.fill_diagonal(far, np.inf)
    assert (far.argmin(axis=1) % 3 == np.arange(36) % 3).mean() > 0.9
    assert len({each["cluster_name"] for each in placed}) == len({each["cluster"] for each in placed}) > 1


def test_fields_go_along_and_colour_the_page_and_the_drawing(program, write):
    write(
        "in.csv", "body,stars,kind\n" + "".join(f"{line},{at},k{at % 2}\n" for at, line in enumerate(LINES))
    )
    common = ("in.csv", "--column", "body", "--layout", "pca")
    draw(program, *common, "--color-by", "kind", "-o", "m.html", "--svg", "m.svg", "--title", "<My> map").ok()
    page = (program.folder / "m.html").read_bytes()
    about = about_of(page)
    assert (about["fields"], about["colour"]) == (["stars", "kind"], 1)
    assert records_of(page)[3] == ["in.csv:5", LINES[3], "3", "k1"]
    assert b"<title>&lt;My&gt; map</title>" in page
    svg = (program.folder / "m.svg").read_text()
    assert ">k0</text>" in svg
    assert ">k1</text>" in svg
    assert "&lt;My&gt; map" in svg
    assert about_of(draw(program, *common, "--hover", "kind").ok().out)["fields"] == ["kind"]
    wrong = draw(program, *common, "--color-by", "colour", "-o", "new.html")
    assert (wrong.code, wrong.out) == (2, b"")
    assert "no record has a field 'colour'\nhint: fields: body, stars, kind" in wrong.err
    assert not (program.folder / "new.html").exists()


def test_vectors_of_any_model_and_of_an_index_are_drawn(program, write):
    write("in.txt", FEW)
    np.save(program.folder / "v.npy", np.random.default_rng(0).standard_normal((9, 5)).astype(np.float32))
    found = program("map", "in.txt", "--vectors", "v.npy", "-o", "m.html").ok()
    assert "9 of 9" in found.err
    assert "vectors that were given" in about_of((program.folder / "m.html").read_bytes())["footer"]
    program("index", "build", "in.txt", "-i", "x.emb", "-m", "static", "--chunking", "lines").ok()
    page = program("map", "-i", "x.emb").ok().out
    assert sorted(row[1] for row in records_of(page)) == sorted(LINES[:9])


def test_a_terminals_picture_fits_and_is_plain_in_a_pipe(program):
    found = draw(program, "--ascii", stdin=FEW, env={"COLUMNS": "60", "LINES": "20"}).ok()
    rows = found.out.decode().splitlines()
    assert len(rows) == 18
    assert max(map(len, rows)) <= 60
    assert "\x1b" not in found.out.decode()
    assert any("\u2800" < letter <= "\u28ff" for letter in found.out.decode())
    assert re.search("dog|barks", found.out.decode())


def test_on_a_terminal_it_draws_there(program, write):
    write("in.txt", FEW)
    master, slave = pty.openpty()
    process = program.start(
        "map", "in.txt", "-m", "static", "-q", stdout=slave, stdin=slave, env={"TERM": "xterm"}
    )
    os.close(slave)
    seen = b""
    while select.select([master], [], [], 60)[0]:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        seen += part
    os.close(master)
    assert process.wait(30) == 0
    assert b"<html" not in seen
    assert b"\x1b[38;5;" in seen


def test_nothing_is_a_map_of_nothing(program):
    found = draw(program, "-o", "m.html", "--svg", "m.svg", "--png", "m.png", stdin=b"").ok()
    assert "a map of 0 of 0 records" in found.err
    assert records_of((program.folder / "m.html").read_bytes()) == []
    assert all((program.folder / name).stat().st_size for name in ("m.svg", "m.png"))
    assert draw(program, "--ascii", stdin=b"\n").ok().out == b""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--layout", "umap"], "--layout 'umap' is not known"),
        (["--to", "pdf"], "--to 'pdf' is not known"),
        (["--ascii", "--json"], "ascii and jsonl are two forms of one output"),
        (["-o", "a.svg", "--svg", "./a.svg"], "two pictures would be written to one file"),
        (["--on-long", "split"], "map draws records"),
        (["missing.txt"], "missing.txt"),
    ],
)
def test_what_makes_no_sense_is_refused(program, arguments, said):
    found = draw(program, *arguments, stdin=b"a\nb\n")
    assert (found.code, found.out) == (2, b"")
    assert said in found.err


def test_without_the_extra_there_is_a_map_and_no_png(program, write):
    for name in ("openTSNE", "PIL"):
        write(f"hidden/{name}.py", "raise ImportError\n")
    hidden = {"PYTHONPATH": f"{program.folder / 'hidden'}:{program.environment['PYTHONPATH']}"}
    found = draw(program, "-o", "m.html", env=hidden).ok()
    assert "by t-SNE (scikit-learn)" in found.err
    assert "pip install 'embedcli[map]'" in found.err
    found = draw(program, "--png", "m.png", env=hidden)
    assert found.code == 2
    assert "a PNG needs the extra 'map'" in found.err
    assert not (program.folder / "m.png").exists()
