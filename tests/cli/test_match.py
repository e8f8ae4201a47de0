"""`embedcli match`, as a real process."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Program

ASKED = "where is my card\nhow do i rset my pasword\n\nvolcano eruption in Iceland\n"
KNOWN = (
    '{"id":"pw","text":"How do I reset my password?","page":7}\n'
    '{"id":"card","text":"My card has not arrived"}\n'
    '{"id":"close","text":"I want to close my account"}\n'
)


def match(program: Program, *arguments: object, stdin: bytes = b"", model: str = "static"):
    return program("match", *arguments, "-m", model, stdin=stdin)


@pytest.fixture
def sides(write):
    write("asked.txt", ASKED)
    write("known.jsonl", KNOWN)


# --- joining


def test_each_record_gets_its_best_with_score_and_margin(program, sides):
    found = match(program, "asked.txt", "known.jsonl").ok()
    first, second, blank, last = found.objects
    assert list(first)[:6] == ["left", "right", "score", "margin", "cosine", "characters"]
    assert (first["left"], first["right"]) == ("asked.txt:1", "card")
    assert second["right"] == "pw"
    assert second["right_page"] == 7
    assert second["left_text"] == "how do i rset my pasword"
    assert second["right_text"] == "How do I reset my password?"
    assert second["characters"] > 0.7
    assert 0 < second["margin"] < second["score"] <= 1
    assert blank == {
        "left": "asked.txt:3",
        **dict.fromkeys(("right", "score", "margin", "cosine", "characters")),
        "left_text": "",
        "right_text": None,
    }
    assert last["score"] < 0.4
    assert found.err == "embedcli: 3 of 3 records have a match among 3\n"
    # The same bytes again, by any number of threads, and from a pipe.
    assert match(program, "asked.txt", "known.jsonl", "-j", 1).out == found.out
    piped = match(program, "-", "known.jsonl", stdin=ASKED.encode()).ok()
    assert piped.objects[1] == {**second, "left": "2"}


def test_inner_has_what_matches_and_anti_the_other_records_byte_for_byte(program, sides, write):
    inner = match(
        program, "asked.txt", "known.jsonl", "--how", "inner", "--min-score", 0.5, "--to", "tsv"
    ).ok()
    header, *rows = [line.split("\t") for line in inner.lines]
    assert header == ["left", "right", "score", "margin", "cosine", "characters", "left_text", "right_text"]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("asked.txt:1", "card", "My card has not arrived"),
        ("asked.txt:2", "pw", "How do I reset my password?"),
    ]
    table = write("asked.csv", b'\xef\xbb\xbfid,"body"\r\n1,where is my card\r\n2,"lava,\r\nash"\r\n3,')
    anti = match(
        program, table, "known.jsonl", "--left-field", "body", "--how", "anti", "--min-score", 0.5
    ).ok()
    assert anti.out == b'\xef\xbb\xbfid,"body"\r\n2,"lava,\r\nash"\r\n3,'
    none = match(program, "known.jsonl", "known.jsonl", "--how", "anti", "--min-score", -1)
    assert (none.code, none.out) == (1, b"")
    # Two columns of one table are two inputs: a row may be matched with itself.
    write("both.csv", "q,a\nmy lost card,lost my card\na volcano,the volcano\n")
    columns = match(program, "both.csv", "both.csv", "--left-field", "q", "--right-field", "a").ok()
    assert [each["left"] == each["right"] for each in columns.objects] == [True, True]


def test_nothing_found_is_one_and_empty_inputs_are_fine(program, sides, write):
    write("empty.txt", "")
    assert match(program, "empty.txt", "known.jsonl").code == 1
    found = match(program, "known.jsonl", "empty.txt")
    assert (found.code, [each["right"] for each in found.objects]) == (1, [None] * 3)
    found = match(program, "asked.txt", "known.jsonl", "--how", "inner", "--min-score", 0.99, "--to", "tsv")
    assert (found.code, len(found.lines)) == (1, 1)


def test_one_to_one_shares_no_record(program, write):
    write("a.txt", "reset my password\nreset the password\nreset password now\n")
    write("b.txt", "please reset my password\nclose the account\n")
    best = match(program, "a.txt", "b.txt").ok().objects
    assert {each["right"] for each in best} == {"b.txt:1"}
    found = match(program, "a.txt", "b.txt", "--one-to-one").ok().objects
    partners = [each["right"] for each in found]
    assert sorted(filter(None, partners)) == ["b.txt:1", "b.txt:2"]
    assert found[partners.index("b.txt:2")]["margin"] < 0


def test_an_index_is_a_side_and_brings_its_model_and_vectors(program, sides):
    program("index", "build", "known.jsonl", "-i", "known.emb", "-m", "static", "-q").ok()
    found = program("match", "asked.txt", "known.emb", "--stats-json", "stats.json").ok()
    assert [each["right"] for each in found.objects[:2]] == ["card", "pw"]
    stats = json.loads((program.folder / "stats.json").read_text())
    assert stats["encoded"] == 3
    assert (stats["matched"], stats["unmatched"]) == (3, 0)
    other = program("match", "asked.txt", "known.emb", "-m", "default")
    assert other.code == 2
    assert "static-minilm" in other.err


def test_ready_vectors_of_any_model_are_taken(program, write):
    write("a.jsonl", '{"text":"x","vector":[1,0]}\n{"text":"y","vector":[0,2]}\n')
    write("b.jsonl", '{"id":"up","text":"p","vector":[0.1,1]}\n{"id":"on","text":"q","vector":[1,0.1]}\n')
    found = program("match", "a.jsonl", "b.jsonl", "--vectors", "own", "--blend", 0).ok()
    assert [each["right"] for each in found.objects] == ["on", "up"]
    assert found.objects[0]["characters"] is None
    assert found.objects[0]["score"] == found.objects[0]["cosine"]


def test_a_file_beside_a_pipe_is_encoded_once(program, write):
    write("known.txt", "a lost card\n")
    for encoded, cached in ((2, 0), (0, 2)):
        done = program("match", "-", "known.txt", "--stats-json", "stats.json", stdin=b"my card\n").ok()
        assert done.objects[0]["right"] == "known.txt:1"
        stats = json.loads((program.folder / "stats.json").read_text())
        assert (stats["encoded"], stats["cached"]) == (encoded, cached)


# --- pairs


def test_pairs_keep_their_bytes_and_get_a_score(program):
    table = b'a dog,the dog\r\n"one, two",\r\nbread,volcano\r\n'
    found = match(program, "--pairs", "--format", "csv", "--no-header", "--blend", 0, stdin=table).ok()
    first, second, third = found.out.split(b"\r\n")[:-1]
    assert first.startswith(b"a dog,the dog,0.")
    assert second == b'"one, two",,'
    assert third.startswith(b"bread,volcano,")
    assert float(first.split(b",")[-1]) > float(third.split(b",")[-1])
    objects = b'{"q": "a dog",  "n": 1.50, "a": "the dog"}\n{"q": "a dog"}\n'
    found = match(program, "--pairs", "--left-field", "q", "--right-field", "a", stdin=objects)
    assert found.code == 3
    assert found.out.startswith(b'{"q": "a dog",  "n": 1.50, "a": "the dog","score":')
    assert len(found.lines) == 1
    assert "-:2: no pair of texts in 'q' and 'a'" in found.err
    bad = match(program, "--pairs", stdin=b"just a line\n")
    assert (bad.code, bad.out) == (2, b"")
    assert "hint: --format csv or tsv, with --no-header" in bad.err


def test_a_pair_scores_what_its_match_scores_and_is_scored_again(program, sides):
    joined = match(program, "asked.txt", "known.jsonl").ok()
    again = match(program, "--pairs", stdin=joined.out).ok()
    # Each name once.
    assert [line.count(b'"score"') for line in again.out.splitlines()] == [1] * 4
    for before, after in zip(joined.objects, again.objects, strict=True):
        assert list(after) == list(before)
        assert after["score"] == (
            None if before["score"] is None else pytest.approx(before["score"], abs=1e-6)
        )


def test_two_texts_print_one_number(program):
    found = match(program, "--string", "a lost card", "--string", "lost a card").ok()
    assert found.out == b"%.4f\n" % float(found.out)
    as_json = match(program, "--string", "a lost card", "--string", "lost a card", "--json").ok().objects[0]
    assert as_json["score"] == pytest.approx(float(found.out), abs=1e-4)
    assert set(as_json) == {"left_text", "right_text", "score", "cosine", "characters"}
    far = match(program, "--string", "a lost card", "--string", "volcano", "--min-score", 0.5)
    assert (far.code, len(far.lines)) == (1, 1)


# --- two collections


def test_comm_tells_what_changed_between_two_nights(program, write):
    old = [
        "the tax form is due in May",
        "my dog barks at the cat",
        "bread needs flour and yeast",
        "same",
        "same",
    ]
    new = ["same", "bread needs yeast and flour", "the router drops packets", "the tax form is due in May"]
    write("old.txt", "".join(f"{line}\n" for line in old))
    write("new.txt", "".join(f"{line}\n" for line in new))
    found = match(program, "--comm", "old.txt", "new.txt").ok()
    told = [(each["status"], each["left_text"], each["right_text"]) for each in found.objects]
    assert told == [
        ("only_left", old[1], None),
        ("reworded", old[2], new[1]),
        ("only_left", "same", None),
        ("only_right", None, new[2]),
    ]
    assert found.objects[1]["score"] > 0.95
    assert found.objects[0]["right"] is None
    assert found.err == "embedcli: 2 same, 1 reworded, 2 only left, 1 only right\n"
    same = match(program, "--comm", "old.txt", "new.txt", "--status", "same", "--to", "tsv")
    assert (same.code, [line.split("\t")[1] for line in same.lines]) == (
        1,
        ["left", "old.txt:1", "old.txt:4"],
    )


def test_drift_finds_a_planted_topic_and_is_not_moved_by_chance(program, write):
    words = [
        "old",
        "new",
        "red",
        "small",
        "large",
        "first",
        "last",
        "good",
        "late",
        "early",
        "cheap",
        "fine",
        "broken",
        "green",
        "famous",
        "quick",
    ]
    topics = ["the {} bread needs flour and a hot oven", "my {} dog barks at the cat in the garden"]
    texts = [form.format(word) for word in words for form in topics]
    news = [f"the {word} volcano threw ash and lava" for word in words]
    before, after = texts[::2] + texts[1::4], texts[1::2] + texts[::4]
    write("before.txt", "\n".join(before))
    write("after.txt", "\n".join([*after, *news]))
    found = match(program, "--drift", "before.txt", "after.txt", "--json").ok()
    (told,) = found.objects
    assert told["p"] <= 0.01
    assert "volcano" in told["new"][0]["text"]
    assert told["new"][0]["alike"] >= 10
    assert not any("volcano" in each["text"] for each in told["gone"])
    table = match(program, "--drift", "before.txt", "after.txt").ok().lines
    assert table[0].split() == ["measure", "value"]
    assert "volcano" in next(line for line in table if line.startswith("new"))
    assert match(program, "--drift", "before.txt", "before.txt").code == 1
    write("none.txt", "")
    refused = match(program, "--drift", "none.txt", "after.txt")
    assert (refused.code, refused.out) == (2, b"")
    assert "one of the inputs holds nothing" in refused.err


# --- refusals


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["asked.txt"], "match takes two inputs, LEFT and RIGHT, not 1"),
        (["asked.txt", "nowhere.txt"], "nowhere.txt: no such file or directory"),
        (["asked.txt", "known.jsonl", "--how", "anti"], "without a limit everything matches"),
        (["asked.txt", "known.jsonl", "--status", "same"], "--status goes with --comm"),
        (["asked.txt", "asked.txt", "--one-to-one"], "the same"),
        (["asked.txt", "known.jsonl", "--min-score", "nan"], "--min-score nan: not a number"),
        (["--string", "one"], "two texts are compared, not 1"),
    ],
)
def test_what_makes_no_sense_is_refused(program, sides, write, arguments, said):
    done = match(program, *arguments, "-o", "out.jsonl")
    assert done.code == 2
    assert said in done.err.splitlines()[0]
    assert not (program.folder / "out.jsonl").exists()
