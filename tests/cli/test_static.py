"""The static encoder, `models distill` and `search --cascade` as real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.conftest import Program

Write = Callable[..., Path]
TINY = Path(__file__).resolve().parent.parent / "compat" / "models" / "tiny"
LINES = [
    "A dog runs along the beach.",
    "The stock market fell on Friday.",
    "She poured the tea and said nothing.",
    "Snow is expected above eight hundred metres tonight.",
    "My invoice shows the wrong company address.",
]
TEXT = "\n".join(LINES).encode() + b"\n"


def words(seed: int, count: int) -> list[str]:
    """Lines of the words that the tiny encoder knows."""
    vocabulary = list(json.loads((TINY / "tokenizer.json").read_text())["model"]["vocab"])[4:]
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(vocabulary, size=rng.integers(2, 9))) for _ in range(count)]


def test_static_means_the_shipped_table(program: Program) -> None:
    assert program("models", "test", "static").ok().lines[0].startswith("static-minilm int8 on cpu")
    program("models", "verify", "static").ok()
    found = program("search", "a hound near the sea", "-", "-m", "static", "-n", "1", stdin=TEXT).ok().lines
    assert "A dog runs" in found[0]
    shown = json.loads(program("models", "show", "static", "--json").ok().out)
    line = f"duplicates cosine {shown['duplicates']['threshold']:g} and above: precision 0.99"
    assert any(said.startswith(line) for said in program("models", "show", "static").ok().lines)
    assert (shown["kind"], shown["dim"], shown["licence"]) == ("static", 384, "Apache-2.0")


def test_a_table_gives_the_same_bytes_whatever_the_jobs_and_the_company(
    program: Program, write: Write
) -> None:
    many = "".join(f"{line} {number}\n" for number in range(4000) for line in LINES)
    path = write("many.txt", many.encode())
    for jobs in (1, 2):
        program("embed", path, "-m", "static", "-j", jobs, "-o", f"{jobs}.npy", "-q").ok()
    one, other = (np.load(program.folder / f"{jobs}.npy") for jobs in (1, 2))
    assert one.tobytes() == other.tobytes()
    alone = program("embed", "-m", "static", "--string", f"{LINES[2]} 3999").ok().objects[0]["vector"]
    assert np.array_equal(np.array(alone, dtype=np.float32), one[-3])


def test_an_index_of_the_static_model_is_asked_with_it(program: Program, write: Write) -> None:
    write("notes.txt", TEXT)
    program("index", "build", "notes.txt", "-i", "x.emb", "-m", "static", "--chunking", "lines").ok()
    found = program("search", "wrong address on the bill", "-i", "x.emb", "-n", "1", "--json").ok().objects
    assert found[0]["line"] == 5
    refused = program("search", "x", "-i", "x.emb", "-m", "default")
    assert refused.code == 2
    assert "static-minilm" in refused.err
    assert "all-MiniLM-L6-v2" in refused.err


def test_distilling_gives_a_table_that_agrees_with_its_encoder(program: Program, write: Write) -> None:
    path = write("corpus.txt", "\n".join(words(1, 3000)).encode())
    done = program(
        "models", "distill", path, "-m", f"{TINY}/", "-o", "made", "--json", "--stats-json", "s.json"
    ).ok()
    report = json.loads(done.out)
    assert report["texts"] + report["held_out"] == 3000
    assert report["cosine"] > 0.95
    assert report["cosine"] > report["cosine_before"] + 0.1
    assert 0.6 < report["agreement"] <= 1
    assert json.loads((program.folder / "s.json").read_text())["read"] == 3000
    shown = json.loads(program("models", "show", "./made", "--json").ok().out)
    assert shown["source"] == "distilled from tiny"
    assert "fitted to the encoder's vectors of" in shown["variants"]["int8"]["recipe"]
    program("models", "verify", "./made").ok()
    program("models", "test", "./made").ok()
    again = program("models", "distill", path, "-m", f"{TINY}/", "-o", "made")
    assert again.code == 2
    assert "exists" in again.err


def test_vectors_that_come_with_the_texts_are_not_made_again(program: Program, write: Write) -> None:
    write("corpus.txt", "\n".join(words(2, 400)).encode())
    program("embed", "corpus.txt", "-m", f"{TINY}/", "-o", "corpus.jsonl", "-q").ok()
    program("models", "distill", "corpus.txt", "-m", f"{TINY}/", "-o", "a").ok()
    program("models", "distill", "corpus.jsonl", "-m", f"{TINY}/", "-o", "b", "--stats-json", "s.json").ok()
    assert json.loads((program.folder / "s.json").read_text())["cached"] >= 400
    same = [(program.folder / name / "table.safetensors").read_bytes() for name in "ab"]
    assert same[0] == same[1]


def test_distilling_without_texts_and_to_fewer_numbers(program: Program) -> None:
    out = program("models", "distill", "-m", f"{TINY}/", "-o", "plain", "--dim", "8").ok()
    assert "fitted to 0 texts" in out.out.decode()
    assert json.loads(program("models", "show", "./plain", "--json").ok().out)["dim"] == 8


@pytest.mark.parametrize(
    ("arguments", "words_said"),
    [
        ((), "where to"),
        (("-o", "x", "--dim", "999"), "--dim 999"),
        (("-o", "x", "-m", "static"), "only an encoder with a network"),
        (("-o", "x", "nowhere.txt"), "no such file"),
        (("-o", "."), "exists"),
    ],
)
def test_what_cannot_be_distilled(program: Program, arguments: tuple[str, ...], words_said: str) -> None:
    given = arguments if "-m" in arguments else (*arguments, "-m", f"{TINY}/")
    refused = program("models", "distill", *given)
    assert refused.code == 2
    assert words_said in refused.err
    assert refused.out == b""
    assert not (program.folder / "x").exists()


def test_an_interrupted_distillation_leaves_nothing(program: Program, write: Write) -> None:
    path = write("corpus.txt", "\n".join(f"{line} {n}" for n in range(4000) for line in LINES).encode())
    process = subprocess.Popen(
        [*program.command, "models", "distill", str(path), "-o", "made"],
        cwd=program.folder,
        env=program.environment,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    assert process.stderr.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert [entry.name for entry in program.folder.iterdir() if "made" in entry.name] == []


def test_a_cascade_asks_the_second_encoder_where_the_first_is_unsure(program: Program, write: Write) -> None:
    write("notes.txt", TEXT)
    command = ("search", "a hound near the sea", "notes.txt", "--cascade", "static,default", "--json")
    never, always = (program(*command, "--cascade-margin", margin).ok().objects for margin in ("0", "3"))
    assert all(hit["model"].startswith("static-minilm:int8:") for hit in never)
    assert all(hit["model"].startswith("all-MiniLM-L6-v2:int8:") for hit in always)
    plain = program("search", "a hound near the sea", "notes.txt", "--json").ok().objects
    assert [hit["id"] for hit in always] == [hit["id"] for hit in plain]
    assert [hit["cosine"] for hit in always] == [hit["cosine"] for hit in plain]
    assert "model" not in plain[0]


def test_a_cascade_ranks_no_more_hits_than_its_depth(program: Program, write: Write) -> None:
    write("notes.txt", TEXT)
    program("index", "build", "notes.txt", "-i", "x.emb", "-m", "static", "--chunking", "lines").ok()
    command = ("search", "tea", "-i", "x.emb", "--cascade", "static,default", "--cascade-margin", "3")
    found = (
        program(*command, "--cascade-depth", "2", "-n", "2", "--json", "--stats-json", "s.json").ok().objects
    )
    assert len(found) == 2
    assert found[0]["line"] == 3
    # The query twice, once for each encoder, and two texts.
    assert json.loads((program.folder / "s.json").read_text())["encoded"] == 4


@pytest.mark.parametrize(
    ("options", "words_said"),
    [
        (("--cascade", "static"), "two models"),
        (("--cascade", "static,default", "-m", "static"), "contradicts"),
        (("--cascade", "static,default", "--min-score", "0.5"), "no common scale"),
        (("--cascade", "static,nosuch"), "nosuch"),
        (("--cascade-margin", "0.1"), "go with --cascade"),
    ],
)
def test_a_cascade_that_makes_no_sense(
    program: Program, write: Write, options: tuple[str, ...], words_said: str
) -> None:
    write("notes.txt", TEXT)
    refused = program("search", "tea", "notes.txt", *options)
    assert refused.code == 2
    assert words_said in refused.err
    assert refused.out == b""
