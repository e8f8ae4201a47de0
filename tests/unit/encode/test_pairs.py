"""The cross-encoder against a computation by hand: pairs, special tokens, long texts, damage."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.encode.catalog import (
    EncoderSettings,
    Model,
    find_model,
    open_encoder,
    open_pair_encoder,
)
from embedcli.encode.layout_files import file_sha256
from embedcli.encode.manifest import PAIR_MARK, FileEntry, Probe, format_manifest, read_manifest
from embedcli.encode.tokenizer import Tokenizer
from embedcli.errors import DamagedModelError, ModelError, UsageError
from embedcli.tasks.model_test import run_model_test
from tests.models_maker import (
    FLOAT,
    INT32,
    TOKENIZERS,
    encoder_graph,
    graph_bytes,
    node,
    pair_graph,
    tensor,
    value_info,
    wordpiece,
    write_pair_model,
)

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.encode.pairs import PairEncoder

LIMIT = 24
TEXTS = [
    "the dog runs",
    "a cat sleeps, the dog does not",
    "x",
    "",
    "dog " * 40,
    "[SEP] of </s>",
    "the dog runs",
    "ÀÉ \ud800 漢字",
]
QUERIES = ["which dog runs", "cat", "", "the query is longer than its share of the limit is"]


def open_pairs(folder: Path, jobs: int = 1) -> PairEncoder:
    return open_pair_encoder(Model(folder, read_manifest(folder)), EncoderSettings(device="cpu", jobs=jobs))


def ids_by_hand(inner: Any, query: str, text: str) -> tuple[list[int], list[int]]:
    """Return ids and types as the tokenizer's own post-processor makes them of two texts that were cut."""
    clean = [part.encode("utf-8", "replace").decode().replace("?", "\ufffd") for part in (query, text)]
    special = inner.num_special_tokens_to_add(is_pair=True)
    room = LIMIT - special
    left, right = (inner.encode(part, add_special_tokens=False) for part in clean)
    left.truncate(room // 2)
    right.truncate(max(1, room - len(left.ids)))
    both = inner.post_process(left, right)
    return both.ids, both.type_ids


def score_by_hand(table: np.ndarray, ids: list[int], types: list[int]) -> float:
    vectors = table[ids].astype(np.float64)
    second = np.array(types, dtype=bool)
    return float(vectors[~second].sum(axis=0) @ vectors[second].sum(axis=0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny"
    write_pair_model(path, max_tokens=LIMIT)
    return path


@pytest.mark.parametrize("name", sorted(set(TOKENIZERS)))
def test_scores_are_those_of_the_pair_as_its_tokenizer_makes_it(tmp_path: Path, name: str) -> None:
    inner = TOKENIZERS[name]()
    table = write_pair_model(tmp_path / "tiny", inner, max_tokens=LIMIT)
    encoder = open_pairs(tmp_path / "tiny")
    frame = Tokenizer(tmp_path / "tiny" / "tokenizer.json").pair_frame()
    assert frame.special_tokens == inner.num_special_tokens_to_add(is_pair=True)
    for query in QUERIES:
        expected = [score_by_hand(table, *ids_by_hand(inner, query, text)) for text in TEXTS]
        found = encoder.score(query, TEXTS).scores
        assert np.abs(np.array(found) - expected).max() <= 1e-6
        assert len(set(found)) > 3


@settings(max_examples=15)
@given(st.permutations(range(len(TEXTS))), st.sampled_from([1, 2, 5, 8]), st.sampled_from([1, 3]))
def test_a_score_does_not_depend_on_company_order_or_jobs(
    folder: Path, order: list[int], size: int, jobs: int
) -> None:
    expected = [open_pairs(folder).score("which dog", [text]).scores[0] for text in TEXTS]
    encoder = open_pairs(folder, jobs)
    found = [
        score
        for start in range(0, len(order), size)
        for score in encoder.score("which dog", [TEXTS[row] for row in order[start : start + size]]).scores
    ]
    encoder.close()
    assert found == [expected[number] for number in order]


def test_texts_of_one_length_share_a_call_only_where_company_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from embedcli.encode import token_graph

    rows: list[int] = []
    plain = token_graph.run

    def run(session: Any, feeds: dict[str, Any], output: str) -> Any:
        rows.append(len(feeds["input_ids"]))
        return plain(session, feeds, output)

    monkeypatch.setattr(token_graph, "run", run)
    for alone in (True, False):
        write_pair_model(tmp_path / str(alone), one_text_per_call=alone, probes=False)
        rows.clear()
        open_pairs(tmp_path / str(alone)).score("dog", ["a", "b", "c d"])
        assert sorted(rows) == ([1, 1, 1] if alone else [1, 2])


def test_padding_as_on_a_gpu_changes_no_score(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from embedcli.encode import token_graph

    expected = open_pairs(folder).score("which dog", TEXTS)
    rows: list[int] = []
    plain = token_graph.run

    def run(session: Any, feeds: dict[str, Any], output: str) -> Any:
        rows.append(len(feeds["input_ids"]))
        return plain(session, feeds, output)

    monkeypatch.setattr(token_graph, "run", run)
    encoder = open_pairs(folder)
    # What is decided by the device is how calls are made up; the graph runs here all the same.
    monkeypatch.setattr(encoder._graph, "_device", "cuda:0")
    assert encoder.score("which dog", TEXTS) == expected
    assert rows == [len(TEXTS)]


def test_only_what_does_not_fit_is_cut_and_counted(folder: Path) -> None:
    encoder = open_pairs(folder)
    room = LIMIT - 3
    assert (encoder.content_tokens, encoder.query_tokens) == (room, room // 2)
    whole = encoder.score("dog", ["cat " * (room - 1)])
    assert (whole.query_was_cut, whole.texts_cut) == (False, 0)
    over = encoder.score("dog", ["cat " * room, "x", "cat " * (room - 1) + "dog"])
    assert (over.query_was_cut, over.texts_cut) == (False, 2)
    assert over.scores[0] == over.scores[2] == whole.scores[0]
    half = encoder.score("dog " * (room // 2), ["cat"])
    longer = encoder.score("dog " * (room // 2 + 1), ["cat"])
    assert (half.query_was_cut, longer.query_was_cut) == (False, True)
    assert half.scores == longer.scores


def test_a_long_text_hardly_meets_the_tokenizer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    plain = Tokenizer._encode

    def encode(self: Tokenizer, piece: str) -> Any:
        seen.append(len(piece))
        return plain(self, piece)

    encoder = open_pairs(folder)
    monkeypatch.setattr(Tokenizer, "_encode", encode)
    scored = encoder.score("word " * 200_000, ["dog " * 500_000])
    assert (scored.query_was_cut, scored.texts_cut) == (True, 1)
    assert sum(seen) < 40_000


def test_the_prompt_of_the_query_goes_before_it_alone(folder: Path, tmp_path: Path) -> None:
    write_pair_model(tmp_path / "tiny", max_tokens=LIMIT)
    manifest = replace(read_manifest(folder), prompts={"query": "query ", "document": "text "})
    (tmp_path / "tiny" / "model.toml").write_text(format_manifest(manifest))
    assert open_pairs(tmp_path / "tiny").score("dog", TEXTS) == open_pairs(folder).score("query dog", TEXTS)


def rewritten(folder: Path, content: bytes, name: str = "model.onnx", **changes: Any) -> Path:
    """Put another file into a model folder, under a manifest that knows it."""
    write_pair_model(folder, max_tokens=LIMIT, probes=False)
    (folder / name).write_bytes(content)
    manifest = read_manifest(folder)
    entry = FileEntry(file_sha256(folder / name), len(content))
    changed = replace(manifest, files={**manifest.files, name: entry}, **changes)
    (folder / "model.toml").write_text(format_manifest(changed))
    return folder


def table(size: int = 300) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((size, 8)).astype(np.float32)


def test_what_is_no_relevance_is_refused(tmp_path: Path) -> None:
    write_pair_model(tmp_path / "three", labels=(1.0, 2.0, 3.0), probes=False)
    with pytest.raises(ModelError, match="three gives 3 scores for a pair") as caught:
        open_pairs(tmp_path / "three")
    assert "one label" in caught.value.hint
    two = rewritten(tmp_path / "two", pair_graph(table(), (1.0, 2.0)))
    with pytest.raises(DamagedModelError, match="gives 2 numbers for a pair, its manifest says 1"):
        open_pairs(two)


def test_a_folder_that_is_damaged_or_of_another_model_is_refused(tmp_path: Path) -> None:
    write_pair_model(tmp_path / "a", probes=False)
    content = bytearray((tmp_path / "a" / "model.onnx").read_bytes())
    content[-20] ^= 1
    (tmp_path / "a" / "model.onnx").write_bytes(content)
    with pytest.raises(DamagedModelError, match="sha256 is"):
        open_pairs(tmp_path / "a")
    with pytest.raises(DamagedModelError, match="no room for a pair"):
        open_pairs(rewritten(tmp_path / "b", pair_graph(table()), max_tokens=4))
    small = rewritten(tmp_path / "c", pair_graph(table(20)))
    with pytest.raises(ModelError, match="belongs to another model"):
        open_pairs(small).score("dog", ["~"])
    with pytest.raises(DamagedModelError, match="none is known to be scores of pairs"):
        open_pairs(rewritten(tmp_path / "d", encoder_graph(table())))
    nothing = table()
    nothing[:] = np.inf
    with pytest.raises(ModelError, match="not finite for 'cat'"):
        open_pairs(rewritten(tmp_path / "e", pair_graph(nothing))).score("dog", ["cat"])
    encoder = open_pairs(rewritten(tmp_path / "f", pair_graph(table(), output="relevance", dtype=INT32)))
    assert len(encoder.score("dog", ["cat"]).scores) == 1
    encoder.close()
    with pytest.raises(ModelError, match="closed"):
        encoder.score("dog", ["cat", "dog"])


def test_a_graph_that_gives_fewer_rows_than_it_takes_is_refused(tmp_path: Path) -> None:
    one = graph_bytes(
        [
            node("ReduceSum", ["input_ids", "axes"], ["sum"], keepdims=1),
            node("Cast", ["sum"], ["logits"], to=FLOAT),
        ],
        [tensor("axes", np.array([0, 1], dtype=np.int64))],
        [value_info("input_ids", 7, ["pairs", "tokens"])],
        [value_info("logits", FLOAT, ["rows", 1])],
    )
    encoder = open_pairs(rewritten(tmp_path / "one", one))
    with pytest.raises(DamagedModelError, match=r"gives \(1, 1\) for 2 texts"):
        encoder.score("dog", ["a", "b"])


def test_a_tokenizer_that_turns_pairs_around_is_refused(tmp_path: Path) -> None:
    from tokenizers import processors

    inner = wordpiece()
    ids = [(token, inner.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $B [SEP] $A", special_tokens=ids
    )
    with pytest.raises(ModelError, match="do not stand around a pair"):
        write_pair_model(tmp_path / "tiny", inner)


def test_each_kind_is_refused_in_the_others_place(folder: Path) -> None:
    with pytest.raises(ModelError, match="tiny is a cross-encoder") as refused:
        open_encoder(Model(folder, read_manifest(folder)), EncoderSettings())
    assert refused.value.hint.startswith("search --rerank tiny")
    for name, kind in (
        ("default", "an encoder"),
        ("static", "a static encoder"),
        ("default+static", "several"),
    ):
        with pytest.raises(UsageError, match=f"is {kind}.*: it does not score pairs") as caught:
            open_pair_encoder(find_model(name), EncoderSettings())
        assert "cross-encoder" in caught.value.hint


def test_the_probes_tell_another_model(folder: Path, tmp_path: Path) -> None:
    model = Model(folder, read_manifest(folder))
    report = run_model_test(model, EncoderSettings(device="cpu", jobs=2))
    assert (report.passed, report.is_stable, report.probes) == (True, True, 9)
    assert report.cosine_min > 0.9999
    other = rewritten(tmp_path / "other", pair_graph(table()[::-1]), probes=model.manifest.probes)
    report = run_model_test(Model(other, read_manifest(other)), EncoderSettings(device="cpu"))
    assert not report.passed
    pair = Probe(f"dog{PAIR_MARK}cat", "AAA=")
    mixed = rewritten(tmp_path / "mixed", pair_graph(table(), company=True), probes=(pair, pair))
    report = run_model_test(Model(mixed, read_manifest(mixed)), EncoderSettings(device="cpu"))
    assert (report.passed, report.is_stable, report.cosine_min) == (False, False, 1.0)
    broken = replace(model.manifest, probes=(replace(model.manifest.probes[0], text="no pair"),))
    with pytest.raises(DamagedModelError, match="no pair with one score"):
        run_model_test(Model(folder, broken), EncoderSettings(device="cpu"))
