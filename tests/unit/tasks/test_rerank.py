"""The second look: what it makes of scores, and what it asks of whom."""

from __future__ import annotations

import json
import statistics
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.datatypes import Counts, Hit, Record, ScorePart
from embedcli.encode.catalog import EncoderSettings, Model, find_model
from embedcli.encode.manifest import read_manifest
from embedcli.encode.pairs import PairEncoder
from embedcli.errors import UsageError
from embedcli.tasks.rerank import command_values, maxsim_values, pair_values, rerank
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from embedcli.vectors.maxsim import maxsim
from tests.models_maker import write_pair_model

VALUES = st.sampled_from([-1.0, 0.0, 0.5, 2.0])


def hit(name: str, score: float, text: str | None = "x", *, fused: bool = False) -> Hit:
    parts = {"dense": ScorePart(0.5, 1.0, 0.45), "lexical": ScorePart(3.0, 2.0, 0.55)} if fused else {}
    return Hit(score, 0.5, name, 1, None, 1, 1, text, parts=parts)


def zscores(values: list[float]) -> list[float]:
    width = statistics.pstdev(values)
    return [(value - statistics.fmean(values)) / width if width > 1e-9 else 0.0 for value in values]


@given(
    st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=8),
    st.sampled_from([None, 0.0, 0.3, 2.0]),
    st.integers(1, 9),
    st.booleans(),
)
def test_a_second_look_weighs_beside_the_first_or_takes_its_place(pairs, weight, top_k, fused):
    pairs.sort(key=lambda pair: -pair[0])
    hits = [hit(str(number), score, fused=fused) for number, (score, _) in enumerate(pairs)]
    values = [value for _, value in pairs]
    found = rerank(hits, values, "maxsim", weight, top_k)
    new, old = zscores(values), [score for score, _ in pairs]
    if weight is None:
        scores = values
    else:
        first = old if fused else zscores(old)
        scores = [before + weight * after for before, after in zip(first, new, strict=True)]
    wanted = sorted(range(len(hits)), key=lambda place: (-round(scores[place], 9), place))[:top_k]
    assert [round(each.score, 6) for each in found] == pytest.approx(
        [scores[place] for place in wanted], abs=1e-5
    )
    for each in found:
        assert each.score == pytest.approx(
            sum(
                part.weight * part.scaled
                for name, part in each.parts.items()
                if not fused or name == "maxsim"
            )
            + (old[int(each.id)] if fused and weight is not None else 0.0),
            abs=1e-9,
        )
        assert each.parts["maxsim"].value == values[int(each.id)]


@pytest.fixture(scope="module")
def vectorizer():
    made = Vectorizer(find_model("static", []), EncoderSettings("cpu", 1), VectorSettings("query"), Counts())
    yield made
    made.close()


def test_each_text_is_encoded_once_for_all_queries(vectorizer, monkeypatch):
    texts = ["a dog", "a cat", "tax"]
    asked = [Record("1", "puppy"), Record("2", "kitten"), Record("3", " ")]
    found = [
        [hit(text, 1.0, text) for text in texts],
        [hit(text, 1.0, text) for text in texts[:2]],
        [hit("x", 1)],
    ]
    encoded: list[str] = []
    original = Vectorizer.token_vectors

    def token_vectors(self, texts):
        encoded.extend(texts)
        return original(self, texts)

    monkeypatch.setattr(Vectorizer, "token_vectors", token_vectors)
    values = maxsim_values(asked, found, vectorizer, vectorizer)
    assert sorted(encoded) == sorted([*texts, "puppy", "kitten"])
    of = {text: original(vectorizer, [text])[0] for text in encoded}
    assert values == [
        [maxsim(of[record.text], of[each.text]) for each in hits] if record.text.strip() else [0.0]
        for record, hits in zip(asked, found, strict=True)
    ]


def test_a_hit_without_text_cannot_be_looked_at(vectorizer):
    with pytest.raises(UsageError, match="without texts"):
        maxsim_values([Record("1", "x")], [[hit("1", 1.0, None)]], vectorizer, vectorizer)


def test_each_pair_is_scored_once_and_what_was_cut_is_counted(tmp_path, monkeypatch):
    write_pair_model(tmp_path / "tiny")
    model, settings = Model(tmp_path / "tiny", read_manifest(tmp_path / "tiny")), EncoderSettings("cpu", 2)
    asked = [Record("1", "dog " * 20), Record("2", "cat"), Record("3", " "), Record("4", "runs")]
    found = [
        [hit(text, 1.0, text) for text in ("a", "cat " * 40, "a")],
        [hit("a", 1.0, "a")],
        [hit("x", 1)],
        [],
    ]
    scored: list[tuple[str, list[str]]] = []
    plain = PairEncoder.score

    def score(self, query, texts):
        scored.append((query, list(texts)))
        return plain(self, query, texts)

    monkeypatch.setattr(PairEncoder, "score", score)
    counts = Counts()
    values = pair_values(asked, found, model, settings, counts)
    assert scored == [(asked[0].text, ["a", "cat " * 40]), ("cat", ["a"])]
    assert (counts.encoded, counts.truncated) == (3, 2)
    encoder = PairEncoder(model.folder, model.manifest, variant="fp32", device="cpu", jobs=1)
    first = plain(encoder, asked[0].text, ["a", "cat " * 40]).scores
    assert values == [[first[0], first[1], first[0]], plain(encoder, "cat", ["a"]).scores, [0.0], []]
    assert pair_values(asked, [[], [], [], []], find_model("static"), settings, counts) == [[], [], [], []]
    with pytest.raises(UsageError, match="without texts"):
        pair_values(asked[:1], [[hit("1", 1.0, None)]], model, settings, counts)


def script(code: str) -> str:
    return f"{sys.executable} -c '{code}'"


def test_a_program_reads_pairs_and_writes_scores():
    code = (
        "import sys, json\nfor line in sys.stdin:\n    pair = json.loads(line)\n"
        '    print(len(pair["query"]) * 100 + len(pair["text"]))'
    )
    asked = [Record("1", "ab"), Record("2", "é\n漢")]
    found = [[hit("1", 1.0, "x"), hit("2", 1.0, "xyz")], [hit("3", 1.0, "line\nbreak")]]
    assert command_values(asked, found, script(code)) == [[201.0, 203.0], [310.0]]
    assert command_values(asked, [[], []], "no-such-program") == [[], []]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("no-such-program --x", "no-such-program: No such file"),
        ("", "no command given"),
        ("sh -c 'exit 3'", "ended with exit code 3"),
        ("true", "wrote 0 lines for 2 pairs"),
        (script('print(1); print("two")'), "line 2: .two. is no finite number"),
        (script('print(1); print("nan")'), "line 2: .nan. is no finite number"),
        ("'", "No closing quotation"),
    ],
)
def test_a_program_that_fails_is_one_error(command, said):
    with pytest.raises(UsageError, match=said):
        command_values([Record("1", "q")], [[hit("1", 1.0), hit("2", 1.0)]], command)


def test_pairs_are_lines_of_json(tmp_path):
    out = tmp_path / "pairs"
    command_values([Record("1", "q\n")], [[hit("1", 1.0, "a\nb")]], f"sh -c 'tee {out} | wc -l'")
    assert json.loads(out.read_text()) == {"query": "q\n", "text": "a\nb"}
