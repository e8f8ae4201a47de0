"""`embedcli classify`, as a real process."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from embedcli.tasks.head_file import read_head
from embedcli.vectors.normalize import normalize
from tests.cli.test_sample import TOPICS, WORDS
from tests.conftest import REPOSITORY

Write = Callable[..., Path]

CHOSEN = ("bread", "tax", "dog", "piano", "football")
LABELS = ",".join(CHOSEN)


def texts(words: list[str], topics: tuple[str, ...] = CHOSEN) -> list[tuple[str, str]]:
    """Texts with their topics, in turn."""
    return [(TOPICS[topic].format(word), topic) for word in words for topic in topics]


def table(rows: list[tuple[str, str]]) -> str:
    return "text,topic\n" + "".join(f'"{text}",{topic}\n' for text, topic in rows)


def classify(program, *arguments: object, stdin: bytes = b"", model: str = "static"):
    return program("classify", *arguments, "-m", model, stdin=stdin)


@pytest.fixture
def files(write: Write) -> None:
    """Examples to learn from, and others to ask about."""
    write("train.csv", table(texts(WORDS[:6])))
    write("test.csv", table(texts(WORDS[6:])))


# --- what is written


def test_names_are_enough_and_tables_get_columns(program, files):
    first = classify(program, "--labels", LABELS, "test.csv").ok()
    rows = list(csv.DictReader(io.StringIO(first.out.decode())))
    assert [row["label"] for row in rows] == [row["topic"] for row in rows]
    assert list(rows[0]) == ["text", "topic", "label", "score", "margin"]
    assert all(0 < float(row["margin"]) <= float(row["score"]) <= 1 for row in rows)
    own = (program.folder / "test.csv").read_bytes().splitlines()
    assert all(
        line.startswith(before + b",") for line, before in zip(first.out.splitlines(), own, strict=True)
    )
    assert "labelled 50 of 50 records" in first.err
    # The same bytes again, with any number of threads, and for each record by itself.
    assert classify(program, "--labels", LABELS, "-j", 1, "-o", "out", "test.csv").ok().out == b""
    assert (program.folder / "out").read_bytes() == first.out
    single = b"\n".join(own[:1] + own[7:8]) + b"\n"
    alone = classify(program, "--labels", LABELS, "--format", "csv", stdin=single).ok()
    assert alone.out.splitlines()[1] == first.out.splitlines()[7]


FORMS = {
    "lines.txt": b"my old dog barks\n\n  \nthe tax form is due",
    "x.jsonl": b'{"text":"my old dog barks", "n": 1.50}\n\n{"text": " "}\n{"text": "the tax form is due", "score": 7}\n',
    "bom.csv": b'\xef\xbb\xbftext,n\r\n"my old\r\ndog barks",1\r\n,2\r\n" ",3\r\nthe tax form is due,4',
}


@pytest.mark.parametrize("name", FORMS)
def test_blank_records_keep_their_place_and_bytes_stay(program, write, name):
    write(name, FORMS[name])
    found = classify(program, "--labels", LABELS, "-n", 2, name).ok()
    assert "labelled 2 of 4 records; 2 blank" in found.err
    if name == "bom.csv":
        assert found.out.startswith(
            b'\xef\xbb\xbftext,n,label,score,margin,labels\r\n"my old\r\ndog barks",1,dog,0.'
        )
        rows = list(csv.DictReader(io.StringIO(found.out.decode())))
        assert [row["label"] for row in rows] == ["dog", "", "", "tax"]
        assert [each["label"] for each in json.loads(rows[0]["labels"])][:1] == ["dog"]
        assert rows[1]["labels"] == ""
        return
    objects = found.objects
    assert [each["label"] for each in objects] == ["dog", None, None, "tax"]
    assert [each["labels"] if each["labels"] is None else len(each["labels"]) for each in objects] == [
        2,
        None,
        None,
        2,
    ]
    assert objects[0]["labels"][0] == {"label": "dog", "score": objects[0]["score"]}
    assert objects[0]["margin"] == pytest.approx(
        objects[0]["score"] - objects[0]["labels"][1]["score"], abs=2e-6
    )
    if name == "x.jsonl":
        assert found.lines[0].startswith('{"text":"my old dog barks", "n": 1.50,"label":"dog"')
        assert "fields of 1 records were replaced; --prefix NAME_ keeps both" in found.err
        both = classify(program, "--labels", LABELS, "--prefix", "my_", name).ok()
        assert both.objects[3]["score"] == 7
        assert both.objects[3]["my_label"] == "tax"


def test_a_column_that_is_there_already_is_kept(program, write):
    write("x.csv", "text,label\nmy dog,cat\n")
    found = classify(program, "--labels", LABELS, "-o", "out", "x.csv")
    assert (found.code, found.out) == (2, b"")
    assert "has a column 'label' already\nhint: --prefix NAME_ gives the new ones other names" in found.err
    assert not (program.folder / "out").exists()
    kept = classify(program, "--labels", LABELS, "--prefix", "new_", "x.csv").ok()
    assert kept.lines[0] == "text,label,new_label,new_score,new_margin"
    assert kept.lines[1].startswith("my dog,cat,dog,")


def test_nothing_in_is_nothing_out(program, write):
    write("empty.csv", "text\n")
    assert classify(program, "--labels", LABELS, "empty.csv").ok().out == b"text,label,score,margin\n"
    assert classify(program, "--labels", LABELS).ok().out == b""
    assert classify(program, "--labels", LABELS, "--hub-correct").ok().out == b""


def test_descriptions_say_what_names_do_not(program, write):
    write(
        "labels.jsonl",
        '{"label": "A1", "description": "loaves, flour and ovens"}\n{"label": "B2", "description": "cats and dogs"}\n'
        '{"label": "B2", "text": "animals that bark"}\n',
    )
    write("labels.csv", 'label,description\nA1,"loaves, flour and ovens"\nB2,cats and dogs\n')
    write("names.txt", "bread\ndog\n")
    stdin = "".join(f"{text}\n" for text, _ in texts(WORDS, ("bread", "dog"))).encode()
    for name, labels in (
        ("labels.jsonl", ["A1", "B2"]),
        ("labels.csv", ["A1", "B2"]),
        ("names.txt", ["bread", "dog"]),
    ):
        found = classify(program, "--labels-file", name, stdin=stdin).ok()
        assert [each["label"] for each in found.objects] == labels * len(WORDS)


# --- examples and heads


def test_examples_are_learnt_saved_and_loaded_without_scikit_learn(program, write, files):
    shuffled = {"bread": "x1", "tax": "x2", "dog": "x3", "piano": "x4", "football": "x5"}
    write("train.csv", table([(text, shuffled[topic]) for text, topic in texts(WORDS[:6])]))
    load = (
        "import sys; sys.argv = ['embedcli', 'classify', '--load', 'h', '-q', 'test.csv']\n"
        "import embedcli.cli.main as m\n"
        "try: m.main()\n"
        "finally: assert not {'sklearn', 'scipy', 'threadpoolctl'} & set(sys.modules)"
    )
    write("load.py", load)
    for kind in ("knn", "auto"):
        how = ("--examples", "train.csv", "--label-field", "2", "--head", kind, "--save", "h")
        learnt = classify(program, *how, "test.csv").ok()
        rows = list(csv.DictReader(io.StringIO(learnt.out.decode())))
        assert [row["label"] for row in rows] == [shuffled[row["topic"]] for row in rows]
        assert "learnt 5 labels from 30 examples: " in learnt.err
        assert "100.0% of 30 held out are right" in learnt.err
        assert program.shell("python load.py").ok().out == learnt.out
    first = (program.folder / "h").read_bytes()
    # Without input nothing is read; the number of threads changes nothing.
    assert classify(program, *how, "-j", 1, stdin=b"a dog\n").ok().out == b""
    assert (program.folder / "h").read_bytes() == first
    hubs = program("classify", "--load", "h", "--hub-correct", "test.csv")
    assert (hubs.code, "--hub-correct is about cosines" in hubs.err) == (2, True)


def test_a_head_that_does_not_fit_is_refused(program, write, files):
    classify(program, "--labels", LABELS, "--save", "h").ok()
    other = program("classify", "--load", "h", "-m", "all-MiniLM-L6-v2", stdin=b"a dog\n")
    assert (other.code, other.out) == (2, b"")
    assert "the head takes static-minilm" in other.err
    assert "hint: -m static-minilm" in other.err
    prompted = program("classify", "--load", "h", "--prompt", "x ", stdin=b"a dog\n")
    assert "with another prompt or pooling" in prompted.err
    content = bytearray((program.folder / "h").read_bytes())
    content[-9] ^= 1
    write("bad", bytes(content))
    write("text", "not a head")
    for name, said in (("bad", "damaged"), ("text", "no classifier-head file"), ("gone", "no such file")):
        found = program("classify", "--load", name, stdin=b"a dog\n")
        assert (found.code, found.out) == (2, b"")
        assert said in found.err
    # It is the prompt of the head that is used, and the one of its model.
    classify(program, "--labels", LABELS, "--prompt", "about ", "--save", "p").ok()
    found = program("classify", "--load", "p", stdin=b"a dog\n").ok()
    assert found.objects[0]["label"] == "dog"
    same = program("classify", "--load", "p", "--prompt", "about ", stdin=b"a dog\n").ok()
    assert found.out == same.out != classify(program, "--labels", LABELS, stdin=b"a dog\n").out


def test_what_is_unsure_is_left_open_and_the_rest_is_right_more_often(program, write):
    # Two labels for the same topic: half of what is said of it is wrong.
    rows = texts(WORDS[:12], ("dog", "bread", "tax"))
    noisy = [
        (text, "cat" if topic == "dog" and place % 2 else topic) for place, (text, topic) in enumerate(rows)
    ]
    write("train.csv", table(noisy))
    write(
        "test.csv",
        table(
            [
                (t, "cat" if x == "dog" and p % 2 else x)
                for p, (t, x) in enumerate(texts(WORDS[12:], ("dog", "bread", "tax")))
            ]
        ),
    )
    how = ("--examples", "train.csv", "--label-field", "topic", "--save", "h")
    plain = json.loads(classify(program, *how, "--gold", "topic", "--json", "test.csv").ok().out)
    assert plain["answered"] == plain["records"] == 12
    assert plain["accuracy"] < 1
    found = program(
        "classify",
        "--load",
        "h",
        "--abstain",
        0.9,
        "--gold",
        "topic",
        "--json",
        "--stats-json",
        "s",
        "test.csv",
    ).ok()
    report = json.loads(found.out)
    assert 6 <= report["answered"] < 12
    assert report["accuracy_answered"] > plain["accuracy"]
    assert "of the examples held out" in found.err
    counts = json.loads((program.folder / "s").read_text())
    assert counts["open"] == 12 - report["answered"]
    assert counts["expected_accuracy"] >= 0.9
    written = program("classify", "--load", "h", "--abstain", 0.9, "test.csv").ok()
    answers = list(csv.DictReader(io.StringIO(written.out.decode())))
    assert sum(row["label"] == "" for row in answers) == counts["open"]
    assert all(float(row["margin"]) < counts["min_margin"] for row in answers if row["label"] == "")
    assert f"{counts['open']} left open" in written.err
    write(
        "any.csv",
        table([(text, "xyz"[(place // 3 * 2 + place) % 3]) for place, (text, _) in enumerate(rows)]),
    )
    chance = classify(
        program, "--examples", "any.csv", "--label-field", "topic", "--abstain", "auto", stdin=b"a dog\n"
    ).ok()
    assert "right; 0.95 is out of reach" in chance.err


def test_margins_and_scores_can_be_demanded_by_number(program):
    stdin = b"my dog barks\nthe bread and the tax form\n"
    found = classify(program, "--labels", "dog,bread,tax", stdin=stdin).ok().objects
    margin, score = found[1]["margin"], found[0]["score"]
    by_margin = classify(
        program, "--labels", "dog,bread,tax", "--min-margin", margin + 0.001, stdin=stdin
    ).ok()
    assert [each["label"] for each in by_margin.objects] == ["dog", None]
    assert by_margin.objects[1]["score"] == found[1]["score"]
    assert "1 left open" in by_margin.err
    by_score = classify(program, "--labels", "dog,bread,tax", "--min-score", score, stdin=stdin).ok()
    assert [each["label"] for each in by_score.objects] == ["dog", None]


def test_a_record_can_have_several_labels(program, write):
    single = [{"text": text, "label": topic} for text, topic in texts(WORDS[:8], ("dog", "tax", "bread"))]
    pairs = [
        {"text": f"{TOPICS['dog'].format(word)} and {TOPICS['tax'].format(word)}", "label": ["dog", "tax"]}
        for word in WORDS[:8]
    ]
    write("train.jsonl", "".join(json.dumps(each) + "\n" for each in [*single, *pairs]))
    asked = [
        {
            "text": f"{TOPICS['tax'].format('last')} and {TOPICS['dog'].format('fine')}",
            "gold": ["tax", "dog"],
        },
        {"text": TOPICS["bread"].format("fine"), "gold": "bread"},
    ]
    write("test.jsonl", "".join(json.dumps(each) + "\n" for each in asked))
    found = classify(program, "--examples", "train.jsonl", "--multi", "--save", "h", "test.jsonl").ok()
    given = [{each["label"] for each in answer["labels"]} for answer in found.objects]
    assert given == [{"dog", "tax"}, {"bread"}]
    assert "scores from 0." in found.err
    assert program("classify", "--load", "h", "--multi", "test.jsonl").ok().out == found.out
    report = json.loads(
        program("classify", "--load", "h", "--multi", "--gold", "gold", "--json", "test.jsonl").ok().out
    )
    assert (report["accuracy"], report["micro_f1"], report["confusion"]) == (1, 1, [])
    refused = program("classify", "--load", "h", "test.jsonl")
    assert (refused.code, "learnt for several labels" in refused.err) == (2, True)
    assert (
        "an example with 2 labels\nhint: --multi"
        in classify(program, "--examples", "train.jsonl", "test.jsonl").err
    )
    open_ = classify(program, "--labels", "dog,tax", "--multi", "--min-score", 0.99, stdin=b"bread\n").ok()
    assert open_.objects[0]["label"] is None
    assert open_.objects[0]["labels"] == []


# --- counts, gold, taxonomies


def test_labels_are_counted(program, files):
    found = classify(program, "--labels", LABELS, "--counts", "test.csv").ok()
    assert found.lines[0].split() == ["count", "share", "score", "label"]
    assert sorted(line.split()[3] for line in found.lines[1:]) == sorted(CHOSEN)
    assert {tuple(line.split()[:2]) for line in found.lines[1:]} == {("10", "20.0%")}
    counted = (
        classify(program, "--labels", LABELS, "--counts", "--json", "--min-score", 2, "test.csv").ok().objects
    )
    assert counted[-1] == {"label": None, "count": 50, "share": 1.0, "score": counted[-1]["score"]}


def test_gold_labels_are_compared_and_never_read(program, write, files):
    wrong = [(text, CHOSEN[(CHOSEN.index(topic) + 1) % 5]) for text, topic in texts(WORDS[6:])]
    write("wrong.csv", table(wrong))
    found = classify(program, "--labels", LABELS, "--gold", "topic", "wrong.csv").ok()
    assert found.lines[0] == "accuracy 0.0000 of 50 records, macro F1 0.0000"
    assert "      10  bread -> football" in found.lines
    right = classify(program, "--labels", LABELS, "--gold", "topic", "test.csv").ok()
    assert right.lines[0] == "accuracy 1.0000 of 50 records, macro F1 1.0000"
    assert "   1.0000  1.0000  1.0000        10      10  dog" in right.lines
    # Rows of what is right, columns of what was given.
    assert "        10         0         0         0         0  bread" in right.lines
    for option in ("--gold", "--label-field"):
        leak = classify(program, "--examples", "train.csv", "--column", "topic", option, "topic", "test.csv")
        assert (leak.code, "topic is the text itself" in leak.err) == (2, True)
    missing = classify(program, "--labels", LABELS, "--gold", "kind", "-o", "out", "test.csv")
    assert missing.code == 2
    assert "no record has a field 'kind'; their fields: text, topic\nhint: --gold NAME" in missing.err
    assert not (program.folder / "out").exists()


def test_a_taxonomy_answers_with_what_lies_between(program, write):
    write("tree.tsv", "thing\tanimal\nthing\tfood\nanimal\tdog\nanimal\tcat\nfood\tbread\nfood\twine\n")
    stdin = b"a cat and a dog\nmy dog barks\nwine and bread\n"
    plain = classify(program, "--labels", "dog,cat,bread,wine", stdin=stdin).ok().objects
    assert {each["label"] for each in plain} <= {"dog", "cat", "bread", "wine"}
    found = classify(
        program, "--labels", "dog,cat,bread,wine", "--taxonomy", "tree.tsv", "-n", 2, stdin=stdin
    ).ok()
    assert [each["label"] for each in found.objects] == ["animal", "dog", "food"]
    assert all(0 < each["score"] <= 1 for each in found.objects)
    lost = classify(program, "--labels", "dog,cat,fish", "--taxonomy", "tree.tsv", stdin=stdin)
    assert "label 'fish' is not in it" in lost.err


def test_hubs_are_corrected_over_all_records(program, write, files):
    stdin = (program.folder / "test.csv").read_bytes()
    plain = classify(program, "--labels", LABELS, "test.csv").ok()
    found = classify(program, "--labels", LABELS, "--hub-correct", "--format", "csv", stdin=stdin).ok()
    assert found.lines[0] == plain.lines[0]
    scores = [[float(line.split(",")[-2]) for line in each.lines[1:]] for each in (found, plain)]
    assert scores[0] != scores[1]
    assert [line.split(",")[-3] for line in found.lines] == [line.split(",")[-3] for line in plain.lines]
    again = classify(program, "--labels", LABELS, "--hub-correct", "-j", 1, "test.csv").ok()
    assert again.out == found.out


# --- ready vectors and indexes


def test_ready_vectors_and_what_an_index_holds(program, write):
    places = {"up": [1, 0, 0], "down": [0, 0, 1]}
    rows = [
        {"text": f"{name} {n}", "label": name, "vector": [*place[:1], n / 20, *place[2:]]}
        for n in range(6)
        for name, place in places.items()
    ]
    write("v.jsonl", "".join(json.dumps(row) + "\n" for row in rows[:8]))
    write(
        "asked.jsonl",
        "".join(json.dumps({k: v for k, v in row.items() if k != "label"}) + "\n" for row in rows[8:]),
    )
    how = ("classify", "--vectors", "own")
    found = program(*how, "--examples", "v.jsonl", "--save", "h", "asked.jsonl").ok()
    assert [each["label"] for each in found.objects] == ["up", "down"] * 2
    assert program(*how, "--load", "h", "asked.jsonl").ok().out == found.out
    refused = program("classify", "--load", "h", stdin=b"x\n")
    assert (refused.code, "hint: --vectors FILE.npy, or --vectors own" in refused.err) == (2, True)
    bare = program(*how, "--labels", "up,down", "asked.jsonl")
    assert (bare.code, "brings no vector" in bare.err) == (2, True)
    write("x.txt", "".join(f"{text}\n" for text, _ in texts(WORDS[:3])))
    program("index", "build", "-q", "-i", "x.emb", "x.txt", "--chunking", "lines", "-m", "static").ok()
    stored = program("classify", "-i", "x.emb", "--labels", LABELS, "--stats-json", "s.json").ok()
    assert [each["label"] for each in stored.objects] == [topic for _, topic in texts(WORDS[:3])]
    # The labels alone.
    assert json.loads((program.folder / "s.json").read_text())["encoded"] == len(CHOSEN)


def test_a_model_with_a_prompt_for_the_task_gets_it(program, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(REPOSITORY / "tests/compat/models/tiny", folder)
    manifest = folder / "model.toml"
    manifest.write_text(
        manifest.read_text().replace("[prompts]\n", '[prompts]\n"classification" = "task: "\n')
    )
    for options, prompt in (((), "task: "), (("--prompt", "x "), "x ")):
        program("classify", "--labels", "dog,bread", "--save", "h", "-m", folder, *options).ok()
        trained, source = read_head(program.folder / "h")
        assert source.prompt == prompt
        own = (
            program("embed", "--string", f"{prompt}dog", "-m", folder, "--prompt", "")
            .ok()
            .objects[0]["vector"]
        )
        np.testing.assert_allclose(trained.head.directions[0], normalize(np.array([own]))[0], atol=1e-6)
        used = program("classify", "--load", "h", "-m", folder, "-n", 1, stdin=b"dog\n").ok().objects[0]
        assert used["score"] == pytest.approx(1, abs=1e-5)


# --- what makes no sense


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "which labels? one of --labels, --labels-file, --examples, --load"),
        (("--labels", "a"), "only one label, 'a'"),
        (("--labels", "a,b", "--multi"), "--multi: no example could be held out"),
        (("--labels", "a,b", "--on-long", "split"), "classify gives each record one answer"),
        (("--examples", "e.csv", "--abstain", "2"), "--abstain 2: not a share"),
        (("--examples", "e.csv"), "no record has a field 'label'; their fields: text, kind"),
        (
            ("--examples", "e.csv", "--label-field", "kind", "--abstain", "auto"),
            "nothing says what is unsure",
        ),
        (("--examples", "gone.csv"), "gone.csv: no such file"),
        (("--examples", "-"), "standard input can be read once"),
        (("--labels-file", "e.csv"), "no column 'label'"),
        (("--labels", "a,b", "--save", "e.csv", "e.csv"), "--save e.csv would be written over e.csv"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(program, write, arguments, said):
    write("e.csv", "text,kind\na dog,x\nbread,y\n")
    found = classify(program, *arguments, stdin=b"a dog\n")
    assert (found.code, found.out) == (2, b"")
    assert said in found.err
    assert len(found.err.splitlines()) <= 3
