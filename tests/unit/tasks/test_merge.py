"""Merging models: what is averaged and how, what is refused, and what is measured on the user's texts."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.datatypes import Counts, Record
from embedcli.encode.catalog import EncoderSettings, Model, find_model, open_encoder
from embedcli.encode.layout_files import file_sha256
from embedcli.encode.manifest import Dense, FileEntry, Manifest, format_manifest, read_manifest
from embedcli.encode.merge_weights import average, find_difference
from embedcli.encode.static_folder import StaticFacts, write_static_folder
from embedcli.encode.static_table import StaticTable
from embedcli.encode.word_vectors import word_tokenizer
from embedcli.errors import MissingExtraError, ModelError, UsageError
from embedcli.tasks import merge as merge_module
from embedcli.tasks.known_item import Item, find_items, item_ranks, measure, split_item
from embedcli.tasks.merge import MergeReport, MergeSettings, merge, sample_texts
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from embedcli.vectors.normalize import normalize
from tests.models_maker import encoder_graph, field

TINY = Path(__file__).resolve().parents[2] / "compat" / "models" / "tiny"
WORDS = [f"{c}{v}{d}" for c in "bdfgklmnprst" for v in "aeiou" for d in "bdfgk"]


def open_vectorizer(model: Model) -> Vectorizer:
    settings = VectorSettings("document", normalize=True)
    return Vectorizer(model, EncoderSettings(jobs=1), settings, Counts())


def make_static(folder: Path, dim: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(len(WORDS) + 1, dim)).astype(np.float32)
    rows[0] = 0
    counts = np.ones(len(rows), np.float32)
    counts[0] = 0
    facts = StaticFacts(folder.name, "here", "1", "MIT", "by hand")
    write_static_folder(folder, StaticTable(rows, counts), word_tokenizer(WORDS), facts)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(TINY, folder / "tiny")
    make_static(folder / "small", 6, 1)
    make_static(folder / "wide", 40, 2)
    return folder


def stories(count: int) -> list[str]:
    """Texts whose first sentence shares its words with the rest."""
    rng = np.random.default_rng(3)
    drawn = [rng.choice(WORDS, size=6) for _ in range(count)]
    return [f"{' '.join(own[:4])}. {' '.join(own[2:])} end" for own in drawn]


def run(models: Path, names: list[str], out: Path, texts: list[str], **settings: object) -> MergeReport:
    found = [find_model(name, (models,)) for name in names]
    return merge(found, out, MergeSettings(out.name, **settings), texts, open_vectorizer)


# --- known-item retrieval ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cat sat down. It did not move.", Item("The cat sat down.", "It did not move.")),
        (
            "How do I stop? Press the red button! Then wait.",
            Item("How do I stop?", "Press the red button! Then wait."),
        ),
        (
            "  A title of sorts  \n\nThe rest of it. And more.\n",
            Item("A title of sorts", "The rest of it. And more."),
        ),
        (
            "Version 1.2 is out now.\nGet it soon please",
            Item("Version 1.2 is out now.", "Get it soon please"),
        ),
        ("one sentence without an end", None),
        ("Introduction. The cat sat on the mat.", None),
        ("The cat sat on the mat. Yes.", None),
        ("", None),
    ],
)
def test_a_text_falls_into_its_first_sentence_and_the_rest(text: str, expected: Item | None) -> None:
    assert split_item(text) == expected


def test_items_are_spread_over_the_texts_and_no_document_is_there_twice() -> None:
    texts = [f"This is text number {n}. It says nothing but {n}." for n in range(100)]
    twins = ["Another first sentence here. It says nothing but 5.", "no second sentence"]
    assert len(find_items([*texts, *twins])) == 100
    assert [item.query[-3:-1].strip() for item in find_items(texts, 4)] == ["0", "25", "50", "75"]


@given(st.lists(st.integers(1, 30), min_size=2, max_size=60))
def test_figures_are_means_within_their_intervals(ranks: list[int]) -> None:
    own = np.array(ranks)
    better = np.ones_like(own)
    figures = measure([("first", own), ("better", better)])
    by_name = {(figure.system, figure.metric): figure for figure in figures}
    assert len(by_name) == len(figures) == 5
    reciprocal = [1 / rank if rank <= 10 else 0.0 for rank in ranks]
    assert by_name["first", "MRR@10"].value == pytest.approx(np.mean(reciprocal))
    assert by_name["first", "recall@1"].value == pytest.approx(ranks.count(1) / len(ranks))
    gain = by_name["better", "gain in MRR@10"]
    assert gain.value == pytest.approx(1 - np.mean(reciprocal))
    for figure in figures:
        assert figure.low - 1e-9 <= figure.value <= figure.high + 1e-9
        assert figure.queries == len(ranks)
    assert measure([("first", own), ("better", better)]) == figures


def test_the_interval_is_about_as_wide_as_theory_says() -> None:
    own = np.array([1, 20] * 200)
    recall = measure([("x", own)])[1]
    assert recall.high - recall.low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 400), rel=0.1)


def test_queries_and_documents_are_encoded_in_their_roles(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "wide", tmp_path / "prompted")
    manifest = replace(read_manifest(tmp_path / "prompted"), prompts={"query": "bab " * 40, "document": ""})
    (tmp_path / "prompted" / "model.toml").write_text(format_manifest(manifest))
    items = find_items(stories(60))
    plain, prompted = (
        item_ranks(open_vectorizer(find_model(f"{folder}/")), items)
        for folder in (models / "wide", tmp_path / "prompted")
    )
    assert plain.mean() < 5, "they share words"
    assert prompted.mean() > plain.mean() + 5, "with such a prompt every query is the same"


# --- texts ------------------------------------------------------------------------------------------------


def test_a_sample_is_drawn_evenly_in_order_without_blanks_and_doubles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = ["b", " ", "a", "b", ""]
    assert sample_texts(Record(str(n), text) for n, text in enumerate(few)) == ["b", "a"]
    monkeypatch.setattr(merge_module, "SAMPLED_TEXTS", 300)
    many = [f"{n:05}" for n in range(10_000)]
    drawn = sample_texts(Record(text, text) for text in many)
    assert len(drawn) == 300
    assert drawn == sorted(drawn)
    assert 4000 < np.mean([int(text) for text in drawn]) < 6000
    assert drawn == sample_texts(Record(text, text) for text in many)


# --- vectors averaged -------------------------------------------------------------------------------------


def test_vectors_are_averaged_and_all_systems_are_measured(models: Path, tmp_path: Path) -> None:
    texts = stories(500)
    report = run(models, ["wide", "tiny"], tmp_path / "both", texts, weights=(3, 1))
    assert (report.how, report.dim, report.parts) == ("average", 40, ("wide", "tiny"))
    assert report.weights == (0.75, 0.25)
    assert report.reason == "wide is static and has no network"
    # One in five is measured, the others are fitted.
    assert report.texts == 400
    systems = [figure.system for figure in report.measured if figure.metric == "MRR@10"]
    assert systems == ["wide", "tiny", "wide+tiny", "both"]
    assert {figure.queries for figure in report.measured} == {100}
    assert not report.unmeasured
    figures = {figure.system: figure.value for figure in report.measured if figure.metric == "MRR@10"}
    assert figures["wide"] > 0.3, "texts share words with their first sentences"
    assert [part.model for part in read_manifest(tmp_path / "both").parts] == ["wide", "tiny"]


def test_the_weight_says_whose_cosines_they_are(models: Path, tmp_path: Path) -> None:
    texts = stories(200)
    own = {name: cosines(models, find_model(name, (models,)), texts) for name in ("wide", "tiny")}
    for number, weights in enumerate([(50, 1), (1, 50)]):
        out = tmp_path / f"m{number}"
        run(models, ["wide", "tiny"], out, texts, weights=weights)
        merged = cosines(models, find_model(f"{out}/", (models,)), texts)
        apart = {name: np.abs(merged - value).mean() for name, value in own.items()}
        assert apart["wide" if number == 0 else "tiny"] < 0.03
        assert apart["tiny" if number == 0 else "wide"] > 0.1


def cosines(models: Path, model: Model, texts: list[str]) -> np.ndarray:
    encoder = open_encoder(model, EncoderSettings(jobs=1))
    units = normalize(encoder.encode(texts).vectors)
    return units @ units.T


def test_what_cannot_be_merged_is_refused_before_anything_is_made(models: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="39 texts to fit a rotation of 40 dimensions"):
        run(models, ["tiny", "wide"], out, stories(39))
    with pytest.raises(UsageError, match="1 models to merge"):
        run(models, ["tiny"], out, [])
    with pytest.raises(UsageError, match="1 weights for 2 models"):
        run(models, ["tiny", "wide"], out, stories(60), weights=(1.0,))
    for weight in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="a number over 0"):
            run(models, ["tiny", "wide"], out, stories(60), weights=(1.0, weight))
    with pytest.raises(UsageError, match=r"tiny\+wide is joined already"):
        run(models, ["small", "tiny+wide"], out, stories(60))
    with pytest.raises(ModelError, match="cannot be averaged: wide is static") as caught:
        run(models, ["tiny", "wide"], out, stories(60), how="weights")
    assert "--how average" in caught.value.hint
    elsewhere = tmp_path / "elsewhere"
    make_static(elsewhere, 6, 7)
    with pytest.raises(UsageError, match="elsewhere is not installed") as caught:
        run(models, ["tiny", f"{elsewhere}/"], out, stories(60))
    assert f"embedcli models add {elsewhere}" in caught.value.hint
    # Another model that has the name of an installed one is not that one.
    make_static(tmp_path / "small", 6, 7)
    with pytest.raises(UsageError, match="small is not installed"):
        run(models, ["tiny", f"{tmp_path}/small"], out, stories(60))
    assert not out.exists()
    out.mkdir()
    with pytest.raises(UsageError, match="exists"):
        run(models, ["tiny", "wide"], out, stories(60))


def test_few_texts_are_fitted_and_not_measured(models: Path, tmp_path: Path) -> None:
    report = run(models, ["tiny", "small"], tmp_path / "out", stories(200))
    assert report.texts == 200
    assert not report.measured
    assert report.unmeasured.startswith(
        "40 texts with a first sentence and a rest to measure by, at least 50"
    )


# --- weights averaged -------------------------------------------------------------------------------------


def changed(models: Path, folder: Path, seed: int | None = None, **changes: object) -> Manifest:
    """Copy the tiny model, with another table or other facts."""
    shutil.copytree(models / "tiny", folder)
    manifest = replace(read_manifest(folder), name=folder.name, **changes)
    if seed is not None:
        rows = np.random.default_rng(seed).normal(size=(304, 24)).astype(np.float32)
        path = folder / "model.onnx"
        path.write_bytes(encoder_graph(rows))
        entry = FileEntry(file_sha256(path), path.stat().st_size)
        manifest = replace(manifest, files={**manifest.files, path.name: entry})
    (folder / "model.toml").write_text(format_manifest(manifest))
    return manifest


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pooling": "cls"}, "pooling is 'mean' in tiny and 'cls' in b"),
        ({"max_tokens": 31}, "max_tokens is 32 in tiny and 31 in b"),
        ({"normalize": False}, "normalize is True in tiny and False in b"),
        ({"prompts": {"query": "q "}}, "prompts is"),
        ({"kind": "static"}, "b is static and has no network"),
        ({"variants": {}}, "b has no variant fp32"),
        (
            {"dense": (Dense("tokenizer.json", "tanh"),)},
            r"the dense layers are \[\] in tiny and \['tanh'\] in b",
        ),
        ({"tokenizer": "model.onnx"}, "the tokenizers of tiny and b differ"),
    ],
)
def test_the_first_difference_is_named(models: Path, change: dict[str, object], reason: str) -> None:
    tiny = read_manifest(models / "tiny")
    assert find_difference([tiny, replace(tiny, name="b")]) == ""
    found = find_difference([tiny, replace(tiny, name="b", **change)])
    assert re.match(reason, found)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20), st.floats(0.01, 0.99))
def test_an_average_of_equal_weights_is_that_weight(values: list[float], share: float) -> None:
    array = np.array(values, np.float32)
    assert average([array, array], (share, 1 - share), "w").tolist() == array.tolist()


def test_weights_without_the_library_are_asked_for_or_left(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match="'export'"):
        run(models, ["tiny", "tiny"], tmp_path / "out", [], how="weights")
    report = run(models, ["tiny", "tiny"], tmp_path / "out", stories(30))
    assert (report.how, report.reason) == ("average", "averaging weights needs the extra 'export'")


def test_a_soup_of_a_model_with_itself_is_that_model(models: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    report = run(models, ["tiny", "tiny"], tmp_path / "soup", stories(60), weights=(0.7, 0.3))
    assert (report.how, report.reason, report.texts) == ("weights", "", 0)
    texts = stories(20)
    soup, own = (
        open_encoder(find_model(f"{folder}/"), EncoderSettings(jobs=1)).encode(texts).vectors
        for folder in (tmp_path / "soup", models / "tiny")
    )
    assert soup.tobytes() == own.tobytes()
    assert {figure.queries for figure in report.measured} == {60}
    assert len({figure.value for figure in report.measured if figure.metric == "MRR@10"}) == 1


def test_a_soup_has_the_weighted_mean_of_the_weights(models: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    for name, seed in (("a", 1), ("b", 2)):
        changed(models, tmp_path / name, seed)
    report = run(models, [f"{tmp_path}/a", f"{tmp_path}/b"], tmp_path / "soup", [], weights=(3.0, 1.0))
    assert report.how == "weights"
    assert report.unmeasured == "no texts were given"
    texts = ["bab dad", "gag"]
    soup, a, b = (
        open_encoder(find_model(f"{tmp_path}/{name}"), EncoderSettings(jobs=1)).encode(texts).vectors
        for name in ("soup", "a", "b")
    )
    # Pooling is linear, and so is looking up: the mean of the tables gives the mean of the vectors.
    assert np.abs(soup - (0.75 * a + 0.25 * b)).max() < 1e-5
    manifest = read_manifest(tmp_path / "soup")
    assert (manifest.kind, manifest.parts, manifest.licence) == ("onnx", (), "Apache-2.0")
    assert manifest.source == "merged from a (0.75), b (0.25)"
    assert "NOTICE" in manifest.files


def test_graphs_that_differ_are_refused_with_the_first_difference(models: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    changed(models, tmp_path / "a", 1)
    manifest = changed(models, tmp_path / "b", 1)
    plain = encoder_graph(np.zeros((304, 24), np.float32))
    graphs = {
        r"weight 'table' has the shapes \[304, 24\] and \[305, 24\]": encoder_graph(
            np.zeros((305, 24), np.float32)
        ),
        "the inputs are input_ids, attention_mask and input_ids": encoder_graph(
            np.zeros((304, 24), np.float32), inputs=("input_ids",)
        ),
        "node 1 is Gather and Expand": plain.replace(b"Gather", b"Expand"),
        "operators are of other versions": plain.replace(field(2, 17), field(2, 18)),
    }
    path = tmp_path / "b" / "model.onnx"
    for reason, graph in graphs.items():
        path.write_bytes(graph)
        files = {**manifest.files, "model.onnx": FileEntry(file_sha256(path), len(graph))}
        (tmp_path / "b" / "model.toml").write_text(format_manifest(replace(manifest, files=files)))
        with pytest.raises(ModelError, match=f"the graphs of a and b differ: .*{reason}"):
            run(models, [f"{tmp_path}/a", f"{tmp_path}/b"], tmp_path / "out", [], how="weights")
    path.write_bytes(b"changed")
    with pytest.raises(ModelError, match="sha256 is not what the manifest says"):
        run(models, [f"{tmp_path}/a", f"{tmp_path}/b"], tmp_path / "out", [], how="weights")
    assert not (tmp_path / "out").exists()
