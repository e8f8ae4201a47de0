"""`embedcli sample`, as a real process."""

from __future__ import annotations

import fcntl
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Program

Write = Callable[..., Path]

TOPICS = {
    "bread": "the {} bread needs flour, yeast and a hot oven",
    "tax": "the {} tax form is due at the revenue office",
    "dog": "my {} dog barks at the cat in the garden",
    "piano": "she plays a {} sonata on the old piano",
    "football": "the {} football team won the match by two goals",
    "volcano": "the {} volcano threw ash and lava into the sky",
    "passport": "my {} passport expires before the visa is granted",
    "network": "the {} router drops packets when the wireless signal is weak",
    "wedding": "the bride wore a {} dress at the wedding",
    "tooth": "the dentist pulled a {} tooth and filled a cavity",
    "bicycle": "a {} bicycle chain slipped off the rear wheel",
    "election": "the {} candidate lost the election by few votes",
    "vaccine": "the {} vaccine protects children against measles",
    "chess": "he gave up a {} rook and mated the king at chess",
    "wine": "this {} wine was pressed from grapes of the valley",
    "submarine": "the {} submarine dived below the ice of the ocean",
    "comet": "a {} comet passes the sun and shows its tail to telescopes",
    "mortgage": "the bank raised the interest of my {} mortgage",
    "novel": "the {} novel tells of an author who forgets her plot",
    "tractor": "the {} tractor ploughs the field before the wheat is sown",
}
WORDS = [
    "old",
    "new",
    "red",
    "small",
    "large",
    "first",
    "last",
    "good",
    "bad",
    "late",
    "early",
    "cheap",
    "fine",
    "broken",
    "green",
    "famous",
]


def planted(seed: int = 0) -> list[tuple[str, str]]:
    """Texts of 20 topics, from 16 of the first down to 3 of the last, mixed."""
    sizes = [max(3, 16 - number) for number in range(len(TOPICS))]
    texts = [
        (topic, form.format(word))
        for (topic, form), size in zip(TOPICS.items(), sizes, strict=True)
        for word in WORDS[:size]
    ]
    random.Random(seed).shuffle(texts)
    return texts


def topics_of(lines: list[str]) -> set[str]:
    of_text = {text: topic for topic, text in planted()}
    return {of_text[line] for line in lines}


def sample(program: Program, *arguments: object, stdin: bytes = b"", model: str = "static"):
    return program("sample", *arguments, "-m", model, stdin=stdin)


# --- what is written


def test_forty_diverse_records_have_all_topics_and_forty_random_ones_do_not(program):
    lines = [text for _, text in planted()]
    stdin = "".join(f"{line}\n" for line in lines).encode()
    diverse = sample(program, "--diverse", 40, stdin=stdin).ok()
    assert topics_of(diverse.lines) == set(TOPICS)
    assert len(diverse.lines) == 40
    for seed in range(3):
        found = program("sample", "--random", 40, "--seed", seed, stdin=stdin).ok()
        assert len(topics_of(found.lines)) < 20
        assert found.lines == [line for line in lines if line in set(found.lines)]
    # In input order, the same bytes for any number of threads.
    assert diverse.lines == [line for line in lines if line in set(diverse.lines)]
    for jobs in (1, 2):
        assert sample(program, "--diverse", 40, "-j", jobs, stdin=stdin).out == diverse.out


def test_representatives_stand_for_most_and_outliers_for_none(program):
    lines = [text for _, text in planted() if _ in ("bread", "tax", "dog")]
    strangers = ["colourless green ideas sleep furiously", "kubectl rollout undo deployment"]
    stdin = "".join(f"{line}\n" for line in [*lines[:20], *strangers, *lines[20:]]).encode()
    assert sample(program, "--outliers", 2, stdin=stdin).ok().lines == strangers
    found = sample(program, "--representative", 3, stdin=stdin).ok()
    assert topics_of(found.lines) == {"bread", "tax", "dog"}
    assert "on average" in found.err
    # A pair of strangers is no company for each other, nor is a copy.
    doubled = stdin + strangers[0].encode() + b"\n"
    assert sample(program, "--outliers", 2, stdin=doubled).ok().lines == strangers


FORMS = {
    "bom.csv": (
        b'\xef\xbb\xbfid,"text"\r\n',
        [b'1,"a dog,\r\nbarking"\r\n', b"2,the tax form\r\n", b"3,\r\n", b'4,"say ""yes"""\r\n', b"5,bread"],
    ),
    "x.jsonl": (
        b"",
        [b'{"text":"a dog", "n": 1.50}\n', b'{"text": "the tax form"}\n', b"\n", b' {"text":"bread"}\n'],
    ),
    "lines.txt": (b"", [b"a dog\r\n", b"the tax form\n", b"  \n", b"br\xffead\n", b"wine"]),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("mode", ["--diverse", "--representative", "--outliers", "--random"])
def test_what_is_chosen_is_written_as_it_was(program, write, name, mode):
    head, rows = FORMS[name]
    write(name, head + b"".join(rows))
    full = [row for row in rows if row.strip(b"\r\n ,3")]
    # More than there are: everything but the blank ones.
    assert sample(program, mode, 9, name).ok().out == head + b"".join(full)
    some = sample(program, mode, 2, name, "-o", "out").ok()
    assert some.out == b""
    content = (program.folder / "out").read_bytes()
    assert content.startswith(head)
    assert sum(content.removeprefix(head) == b"".join((a, b)) for a in full for b in full) == 1


def test_copies_come_last(program):
    stdin = b"a dog\na dog\nthe tax form\na dog\nbread\n"
    for mode in ("--diverse", "--representative", "--outliers"):
        assert sorted(sample(program, mode, 3, stdin=stdin).ok().lines) == ["a dog", "bread", "the tax form"]
        assert sample(program, mode, 4, stdin=stdin).ok().lines == [
            "a dog", "a dog", "the tax form", "bread",
        ]  # fmt: skip
    found = sample(program, "--like", "dogs", "-n", 2, stdin=stdin).ok()
    assert found.lines[0] == "a dog"
    assert len(set(found.lines)) == 2


def test_objects_come_in_the_order_of_choice(program, write):
    write(
        "x.jsonl",
        "".join(json.dumps({"id": f"r{n}", "text": t}) + "\n" for n, (_, t) in enumerate(planted())),
    )
    for mode in ("--diverse", "--outliers", "--representative"):
        found = sample(program, mode, 12, "--json", "--stats-json", "s.json", "x.jsonl").ok().objects
        assert [each["sample_rank"] for each in found] == list(range(1, 13))
        scores = [each["sample_score"] for each in found if each["sample_score"] is not None]
        ascending = mode == "--outliers" or mode == "--diverse"
        assert mode == "--diverse" or scores == sorted(scores, reverse=not ascending)
        assert set(found[0]) == {"id", "text", "sample_rank", "sample_score"}
        plain = sample(program, mode, 12, "x.jsonl").ok().objects
        assert {each["id"] for each in plain} == {each["id"] for each in found}
        counts = json.loads((program.folder / "s.json").read_text())
        assert (counts["chosen"], counts["written"], counts["read"]) == (12, 12, len(planted()))
        assert -1 <= counts["reach"] <= 1


def test_ready_vectors_are_used(program, write):
    rows = [[1, 0, 0], [0.9, 0.1, 0], [0, 1, 0], [0, 0.9, 0.1], [0, 0, 1]]
    write(
        "v.jsonl", "".join(json.dumps({"text": f"t{n}", "vector": row}) + "\n" for n, row in enumerate(rows))
    )
    found = program("sample", "--representative", 2, "--vectors", "own", "v.jsonl").ok().objects
    assert [each["text"][0] for each in found] == ["t", "t"]
    assert {each["text"] in ("t0", "t1") for each in found} == {True, False}
    assert program("sample", "--outliers", 1, "--vectors", "own", "v.jsonl").code == 0
    # Of this model, without being asked.
    text = program("embed", "-m", "static", stdin=b"a dog\nbread\n").ok().out
    counted = sample(program, "--diverse", 1, "--stats-json", "s.json", stdin=text).ok()
    assert len(counted.objects) == 1
    assert json.loads((program.folder / "s.json").read_text())["encoded"] == 0
    bad = sample(program, "--diverse", 1, "v.jsonl")
    assert (bad.code, bad.out) == (2, b"")


def test_an_index_can_be_what_is_chosen_from(program, write):
    write("x.txt", "".join(f"{text}\n" for _, text in planted()))
    program("index", "build", "-q", "-i", "x.emb", "x.txt", "--chunking", "lines", "-m", "static").ok()
    found = program("sample", "-i", "x.emb", "--diverse", 40, "--stats-json", "s.json").ok()
    assert topics_of([each["text"] for each in found.objects]) == set(TOPICS)
    assert json.loads((program.folder / "s.json").read_text())["encoded"] == 0


def test_nothing_in_is_nothing_out(program, write):
    write("empty.csv", "text\n")
    for mode in (("--diverse", 3), ("--outliers", 3), ("--representative", 3), ("--like", "x", "-n", 3)):
        assert sample(program, *mode, "empty.csv").ok().out == b"text\n"
        assert sample(program, *mode, stdin=b"\n \n").ok().out == b""
        assert sample(program, *mode, stdin=b"\none dog\n").ok().out == b"one dog\n"


# --- like


def test_like_takes_what_is_nearest_to_any_example(program, write):
    write("good.jsonl", '{"text": "dogs and cats"}\n\n{"text": "bake bread in an oven"}\n')
    stdin = "".join(f"{text}\n" for _, text in planted()).encode()
    found = sample(program, "--like", "@good.jsonl", "-n", 20, stdin=stdin).ok()
    assert topics_of(found.lines) == {"dog", "bread"}
    one = sample(program, "--like", "dogs and cats", "-n", 5, stdin=stdin).ok()
    assert topics_of(one.lines) == {"dog"}
    both = sample(
        program, "--like", "dogs and cats", "--like", "bake bread in an oven", "-n", 20, stdin=stdin
    )
    assert both.ok().out == found.out
    forgotten = sample(program, "--like", "good.jsonl", "-n", 2, stdin=stdin)
    assert forgotten.code == 2
    assert "hint: --like @good.jsonl reads it" in forgotten.err


# --- novel


def test_novel_is_what_the_past_has_not_seen_and_tells_so_by_its_exit_code(program, write):
    write("day1.txt", "".join(f"{text}\n" for topic, text in planted() if topic in ("tax", "dog", "bread")))
    missing = sample(program, "--novel", "seen.emb", "day1.txt")
    assert missing.code == 2
    assert "hint: --update makes one" in missing.err
    first = sample(program, "--novel", "seen.emb", "--update", "day1.txt").ok()
    assert first.out == (program.folder / "day1.txt").read_bytes()
    again = sample(program, "--novel", "seen.emb", "--update", "day1.txt")
    assert (again.code, again.out) == (1, b"")
    lines = b"my second dog barks at the cat in the garden\nthe volcano threw ash into the sky\n"
    for _ in range(2):
        second = program("sample", "--novel", "seen.emb", "--json", stdin=lines).ok()
        assert [each["text"] for each in second.objects] == ["the volcano threw ash into the sky"]
        assert second.objects[0]["sample_score"] < 0.6
        assert len(second.objects[0]["sample_nearest"]) == 32
    assert (
        program("sample", "--novel", "seen.emb", "--update", stdin=lines).ok().lines
        == lines.decode().splitlines()[1:]
    )
    assert program("sample", "--novel", "seen.emb", stdin=lines).code == 1
    # A bound of one's own, and the farthest first where there are too many.
    stdin = b"a dog\nchess\nthe tax form\n"
    assert len(program("sample", "--novel", "seen.emb", "--max-score", 1, stdin=stdin).ok().lines) == 3
    assert program("sample", "--novel", "seen.emb", "--max-score", 1, "-n", 1, stdin=stdin).ok().lines == [
        "chess"
    ]
    assert program("sample", "--novel", "seen.emb", "--max-score", -1, stdin=stdin).code == 1
    # What was remembered is an index like any other.
    assert "volcano" in program("search", "eruption", "-n", 1, "-i", "seen.emb").ok().out.decode()


def test_what_could_not_be_told_is_not_remembered(program, write):
    write("day.txt", "the dog barks\nthe tax form\n")
    failed = sample(program, "--novel", "seen.emb", "--update", "-o", "no/such/folder", "day.txt")
    assert failed.code == 2
    told = sample(program, "--novel", "seen.emb", "--update", "day.txt").ok()
    assert told.lines == ["the dog barks", "the tax form"]
    with (program.folder / "seen.emb.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        locked = sample(program, "--novel", "seen.emb", "--update", "day.txt")
        assert (locked.code, locked.out) == (75, b"")
        assert sample(program, "--novel", "seen.emb", "day.txt").code == 1


# --- hard negatives


PAIRS = [
    ("how do I reset my password", "reset your password in the settings"),
    ("when does the shop open", "the shop opens at nine"),
]
MISSED = "your password can be reset in the settings"


def test_hard_negatives_leave_out_what_may_be_a_missed_positive(program, write):
    write("pairs.jsonl", "".join(json.dumps({"n": 1, "query": q, "positive": p}) + "\n" for q, p in PAIRS))
    write("more.txt", f"{MISSED}\nhow to reset the router\n")
    arguments = ("--hard-negatives", "pairs.jsonl", "--corpus", "more.txt", "-n", 2)
    guided = sample(program, *arguments).ok()
    assert guided.objects[0]["suspected"] == [MISSED]
    assert guided.objects[0]["negatives"][0] == "how to reset the router"
    assert guided.objects[0]["n"] == 1
    assert guided.objects[0]["positive_score"] > guided.objects[0]["negative_scores"][0]
    plain = sample(program, *arguments, "--no-guide").ok()
    assert plain.objects[0]["negatives"][0] == MISSED
    assert "suspected" not in plain.objects[0]
    other = sample(program, *arguments, "--guide", "all-MiniLM-L6-v2").ok()
    assert MISSED in other.objects[0]["suspected"]
    strict = sample(program, *arguments, "--margin", 2).ok()
    assert [each["negatives"] for each in strict.objects] == [[], []]
    assert "2 pairs have fewer than 2" in strict.err
    assert sample(program, *arguments, "-j", 2).out == guided.out


def test_pairs_of_a_table_and_pairs_that_are_none(program, write):
    write("pairs.csv", "question,answer\nreset my password,use the settings\nwhen do you open,at nine\n")
    names = ("--query-field", "question", "--positive-field", "answer")
    found = sample(program, "--hard-negatives", "pairs.csv", *names, "--no-guide").ok()
    assert [each["negatives"] for each in found.objects] == [["at nine"], ["use the settings"]]
    half = sample(program, "--hard-negatives", stdin=b'{"query": "x", "positive": "y"}\n{"query": "z"}\n')
    assert half.code == 3
    assert "-:2: no text in field 'positive'" in half.err
    assert [each["query"] for each in half.objects] == ["x"]


# --- what makes no sense


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "which records?"),
        (("--diverse", 3, "--random", 3), "--diverse and --random exclude each other"),
        (("--like", "x"), "hint: -n N"),
        (("--diverse", 3, "-n", 3), "-n goes with --like and --novel and --hard-negatives, not with --diverse"),
        (("--diverse", 3, "--update"), "--update goes with --novel"),
        (("--diverse", 3, "--seed", 1), "--seed goes with --random"),
        (("--diverse", 3, "--on-long", "split"), "sample chooses records"),
        (("--novel", "x.emb", "--max-score", "near"), "not a cosine"),
        (("--novel", "x.emb", "--max-score", "auto:2"), "not a cosine"),
        (("--hard-negatives", "--no-guide", "--margin", 0.2), "--no-guide leaves it out"),
        (("--hard-negatives", "--json"), "--json goes with"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said(program, arguments, said):
    found = program("sample", *arguments, stdin=b"x\n")
    assert (found.code, found.out) == (2, b"")
    assert said in found.err
