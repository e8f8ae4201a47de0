"""Several models as one: cosines are the mean of the parts', and each part is applied as it would be alone."""

from __future__ import annotations

import base64
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.encode.alignment import fit_rotation, rotate, write_rotation
from embedcli.encode.catalog import (
    EncoderSettings,
    Model,
    choose_variant,
    find_model,
    iter_models,
    open_encoder,
)
from embedcli.encode.joined_manifest import PROMPT_MARK, join_licences, join_models, joint_variants
from embedcli.encode.layout_files import file_sha256
from embedcli.encode.manifest import FileEntry, Manifest, Variant, format_manifest, read_manifest
from embedcli.encode.merge_folder import Aligned, MergeFacts, write_averaged_vectors
from embedcli.encode.static_folder import StaticFacts, write_static_folder
from embedcli.encode.static_table import StaticTable
from embedcli.encode.word_vectors import word_tokenizer
from embedcli.errors import DamagedModelError, DeviceError, ModelError, UnknownModelError, UsageError
from embedcli.tasks.model_test import run_model_test
from embedcli.vectors.normalize import normalize

TINY = Path(__file__).resolve().parents[2] / "compat" / "models" / "tiny"
WORDS = [f"{c}{v}{d}" for c in "bdfgklmnprst" for v in "aeiou" for d in "bdfgk"]
FACTS = StaticFacts("", "here", "1", "MIT", "by hand", languages=("en", "de"), max_tokens=10)

words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join)


def table(dim: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(len(WORDS) + 1, dim)).astype(np.float32)
    rows[0] = 0
    return rows


def make_static(folder: Path, rows: np.ndarray, **facts: object) -> Manifest:
    counts = np.ones(len(rows), np.float32)
    counts[0] = 0
    facts = {"name": folder.name} | facts
    return write_static_folder(
        folder, StaticTable(rows, counts), word_tokenizer(WORDS), replace(FACTS, **facts)
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models: a graph of 24 dimensions, tables of 6, 6 and 40."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(TINY, folder / "tiny")
    make_static(folder / "small", table(6, 1), prompts={"query": "bab dad "}, not_for="poems")
    make_static(folder / "other", table(6, 2), languages=("fr", "de"), licence="MIT OR Apache-2.0")
    make_static(folder / "wide", table(40, 3), languages=(), licence="")
    return folder


def encode(models: Path, name: str, texts: list[str], **options: str) -> np.ndarray:
    encoder = open_encoder(find_model(name, (models,)), EncoderSettings(jobs=2))
    try:
        return encoder.encode(texts, **options).vectors
    finally:
        encoder.close()


def cosines(vectors: np.ndarray) -> np.ndarray:
    units = normalize(vectors).astype(np.float64)
    return units @ units.T


@settings(max_examples=25)
@given(
    st.lists(words, min_size=2, max_size=5),
    st.lists(st.sampled_from(["tiny", "small", "wide"]), min_size=2, max_size=4),
)
def test_a_cosine_is_the_mean_of_the_parts_cosines(models: Path, texts: list[str], names: list[str]) -> None:
    whole = encode(models, "+".join(names), texts)
    parts = [cosines(encode(models, name, texts)) for name in names]
    assert whole.dtype == np.float32
    assert np.abs(np.linalg.norm(whole, axis=1) - 1).max() < 1e-6
    assert np.abs(cosines(whole) - np.mean(parts, axis=0)).max() < 1e-6


def test_a_model_joined_with_itself_ranks_as_it_does_alone(models: Path) -> None:
    rng = np.random.default_rng(4)
    texts = [" ".join(rng.choice(WORDS, size=4)) for _ in range(40)]
    alone, twice = (cosines(encode(models, name, texts)) for name in ("tiny", "tiny+tiny"))
    assert np.abs(alone - twice).max() < 1e-6
    assert (np.argsort(-alone, axis=1)[:, :5] == np.argsort(-twice, axis=1)[:, :5]).all()


@pytest.mark.parametrize("name", ["tiny+small", "wide+tiny+other", "averaged"])
def test_a_vector_is_the_same_bits_alone_and_in_company(models: Path, averaged: Path, name: str) -> None:
    rng = np.random.default_rng(5)
    texts = [" ".join(rng.choice(WORDS, size=size)) for size in (1, 2, 3, 7, 31, 60, 3, 3, 3)] + ["", "zebra"]
    place = str(averaged) if name == "averaged" else name
    together = encode(models, place, texts)
    alone = np.concatenate([encode(models, place, [text]) for text in reversed(texts)])[::-1]
    assert together.tobytes() == alone.tobytes()


def test_what_is_said_of_the_whole(models: Path) -> None:
    found = find_model("tiny+small+other", (models,))
    manifest = found.manifest
    assert (manifest.name, manifest.kind, manifest.dim) == ("tiny+small+other", "joined", 36)
    assert manifest.max_tokens == 10
    assert manifest.licence == "Apache-2.0 AND MIT AND (MIT OR Apache-2.0)"
    # The first one states no language.
    assert manifest.languages == ("de",)
    assert manifest.not_for == "anything but tests; poems"
    assert manifest.pooling == "mean+mean+mean"
    assert manifest.prompts == {"query": f"{PROMPT_MARK}bab dad {PROMPT_MARK}", "document": ""}
    assert [part.model for part in manifest.parts] == ["tiny", "small", "other"]
    assert sum(part.weight for part in manifest.parts) == pytest.approx(1)
    assert find_model("tiny+small", (models,)).manifest.languages == ("en", "de")
    assert find_model("tiny+wide", (models,)).manifest.licence == "Apache-2.0 AND NOASSERTION"
    assert join_licences(["MIT OR X", "MIT OR X"]) == "MIT OR X"


def test_models_are_joined_by_name_path_and_alias(models: Path, tmp_path: Path) -> None:
    by_path = find_model(f"default+{models / 'small'}/", (models,)).manifest
    assert by_path.name == "all-MiniLM-L6-v2+small"
    assert by_path.fingerprint("int8+float32") == find_model("default+small", (models,)).manifest.fingerprint(
        "int8+float32"
    )
    # A folder that has a + in its name is not taken apart.
    make_static(tmp_path / "tiny+small", table(3, 9))
    assert find_model("tiny+small", (tmp_path, models)).manifest.dim == 3
    assert find_model(f"{tmp_path}/tiny+small").manifest.dim == 3
    many = "+".join(["small"] * 60)
    assert find_model(many, (models,)).manifest.dim == 360
    for name in ("tiny+", "+tiny", "tiny++small"):
        with pytest.raises(UsageError, match="nothing stands beside"):
            find_model(name, (models,))
    with pytest.raises(UnknownModelError, match="no model named 'nothing'"):
        find_model("tiny+nothing", (models,))


def test_only_models_that_give_vectors_of_texts_are_joined(models: Path, averaged: Path) -> None:
    tiny = read_manifest(models / "tiny")
    with pytest.raises(UsageError, match="tiny is cross-encoder: only"):
        join_models(["a", "b"], [tiny, replace(tiny, kind="cross-encoder")])
    with pytest.raises(UsageError, match="averaged is joined already") as caught:
        find_model(f"tiny+{averaged}/", (models,))
    assert "name its parts" in caught.value.hint


def test_each_part_has_its_own_prompt(models: Path) -> None:
    texts = ["fab gag", "kik"]
    manifest = find_model("tiny+small", (models,)).manifest
    whole = encode(models, "tiny+small", texts, prompt=manifest.prompts["query"]) * np.sqrt(2)
    assert np.abs(whole[:, :24] - normalize(encode(models, "tiny", texts))).max() < 1e-6
    prompted = normalize(encode(models, "small", texts, prompt="bab dad "))
    assert np.abs(whole[:, 24:] - prompted).max() < 1e-6
    assert np.abs(prompted - normalize(encode(models, "small", texts))).max() > 0.1
    for_all = encode(models, "tiny+small", texts, prompt="mam ")
    spelled_out = encode(models, "tiny+small", texts, prompt=f"mam {PROMPT_MARK}mam ")
    assert for_all.tobytes() == spelled_out.tobytes()
    with pytest.raises(UsageError, match="a prompt for 3 models, there are 2"):
        encode(models, "tiny+small", texts, prompt=f"{PROMPT_MARK}{PROMPT_MARK}")


@pytest.mark.parametrize("on_long", ["pool", "truncate"])
def test_a_long_text_is_cut_or_averaged_by_each_part_alone(models: Path, on_long: str) -> None:
    texts = [" ".join(WORDS[start : start + 20]) for start in (0, 100)]
    whole = encode(models, "tiny+small", texts, on_long=on_long) * np.sqrt(2)
    for name, columns in (("tiny", slice(0, 24)), ("small", slice(24, 30))):
        own = normalize(encode(models, name, texts, on_long=on_long))
        assert np.abs(whole[:, columns] - own).max() < 1e-6, name


def test_limits_and_counts_are_those_of_the_part_that_takes_least(models: Path) -> None:
    encoder = open_encoder(find_model("tiny+small", (models,)), EncoderSettings(jobs=1))
    assert encoder.content_tokens == 10
    assert encoder.token_spans("bab zebra!") == [(0, 3), (4, 9), (9, 10)]
    counts = encoder.encode([" ".join(WORDS[:size]) for size in (3, 9, 10, 11, 40)]).token_counts
    # Eleven tokens are too many for the table only, forty for both: the graph counts its two special ones in.
    assert counts == [3, 9, 10, 11, 42]


def test_variants_are_named_and_chosen_for_all_parts(models: Path) -> None:
    cpu, gpu = Variant("m", "cpu", False, "x"), Variant("g", "cuda", False, "x")
    tiny = read_manifest(models / "tiny")
    one = replace(tiny, default_variant="int8", variants={"int8": cpu, "fp16": gpu, "fp32": cpu})
    two = replace(tiny, default_variant="int4", variants={"int4": cpu, "fp32": cpu})
    static = read_manifest(models / "small")
    assert joint_variants([one, one]) == {
        "int8": ("int8", "int8"),
        "fp16": ("fp16", "fp16"),
        "fp32": ("fp32", "fp32"),
    }
    assert joint_variants([one, two]) == {"int8+int4": ("int8", "int4"), "fp32": ("fp32", "fp32")}
    assert joint_variants([one, static]) == {
        "int8+float32": ("int8", "float32"),
        "fp16+float32": ("fp16", "float32"),
    }
    files = {**tiny.files, "m": FileEntry("1" * 64, 1), "g": FileEntry("2" * 64, 1)}
    whole = join_models(["a", "b"], [replace(one, files=files), static])
    assert choose_variant(whole, EncoderSettings(device="cpu")) == "int8+float32"
    assert choose_variant(whole, EncoderSettings(device="cuda")) == "fp16+float32"
    assert whole.fingerprint("int8+float32") != whole.fingerprint("fp16+float32")
    joined = find_model("tiny+small", (models,)).manifest
    with pytest.raises(DeviceError, match="no variant for a GPU"):
        choose_variant(joined, EncoderSettings(device="cuda"))
    with pytest.raises(ModelError, match="no variant 'int8'"):
        choose_variant(joined, EncoderSettings(variant="int8"))


def test_another_pooling_is_refused_and_its_own_is_taken(models: Path) -> None:
    joined = find_model("tiny+small", (models,))
    open_encoder(joined, EncoderSettings(pooling="mean+mean")).close()
    for pooling in ("mean", "cls", "cls+mean"):
        with pytest.raises(UsageError, match="each with its own pooling"):
            open_encoder(joined, EncoderSettings(pooling=pooling))


def test_the_fingerprint_is_made_of_the_parts_and_their_order(models: Path) -> None:
    names = ("tiny+small", "small+tiny", "tiny+other", "tiny+small+small")
    prints = set()
    for name in names:
        manifest = find_model(name, (models,)).manifest
        prints.add(manifest.fingerprint(manifest.default_variant))
    assert len(prints) == len(names)


def test_probes_of_the_parts_make_probes_of_the_whole(models: Path) -> None:
    model = find_model("default+default")
    for probe in model.manifest.probes:
        vector = np.frombuffer(base64.b64decode(probe.vector), dtype="<f2").astype(np.float32)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)
    report = run_model_test(model, EncoderSettings(jobs=2))
    assert report.passed
    assert report.probes > 1
    assert report.cosine_min > 0.99
    assert not find_model("tiny+small", (models,)).manifest.probes, "the first one has none"


def test_joined_models_have_no_tokens_in_common(models: Path) -> None:
    encoder = open_encoder(find_model("small+other", [models]), EncoderSettings(jobs=1))
    with pytest.raises(ModelError, match="no tokens in common"):
        encoder.token_vectors(["x"])


def test_a_closed_encoder_stays_closed(models: Path) -> None:
    encoder = open_encoder(find_model("tiny+small", (models,)), EncoderSettings(jobs=1))
    encoder.close()
    with pytest.raises(ModelError, match="closed"):
        encoder.encode(["bab"])


# --- vectors brought into one space -----------------------------------------------------------------------


def some_texts(count: int) -> list[str]:
    rng = np.random.default_rng(6)
    return [" ".join(rng.choice(WORDS, size=rng.integers(1, 9))) for _ in range(count)]


def align(models: Path, names: list[str], out: Path, weights: tuple[float, ...] = (0.5, 0.5)) -> Manifest:
    vectors = [normalize(encode(models, name, some_texts(300))) for name in names]
    found = [find_model(name, (models,)) for name in names]
    parts = [
        Aligned(
            model,
            name,
            model.manifest.default_variant,
            fit_rotation(vectors[0], vectors[number]) if number else None,
        )
        for number, (model, name) in enumerate(zip(found, names, strict=True))
    ]
    return write_averaged_vectors(parts, out, MergeFacts(out.name, "", weights))


@pytest.fixture(scope="module")
def averaged(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("merged") / "averaged"
    align(models, ["tiny", "wide"], out)
    return out


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.9, 0.1)])
def test_a_model_averaged_with_a_rotated_copy_of_itself_has_its_own_cosines(
    models: Path, tmp_path: Path, weights: tuple[float, float]
) -> None:
    turn = np.linalg.qr(np.random.default_rng(8).normal(size=(40, 40)))[0]
    shelf = tmp_path / "models"
    shutil.copytree(models / "wide", shelf / "wide")
    make_static(shelf / "turned", (table(40, 3) @ turn).astype(np.float32))
    manifest = align(shelf, ["wide", "turned"], tmp_path / "both", weights)
    assert manifest.dim == 40
    texts = some_texts(50)
    alone = encode(shelf, "wide", texts)
    both = encode(shelf, f"{tmp_path}/both", texts)
    assert np.abs(cosines(both) - cosines(alone)).max() < 1e-5
    # In the space of the first, too: a query of the one finds documents of the other.
    assert np.abs(both - normalize(alone)).max() < 1e-5


@settings(max_examples=20)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**31))
def test_a_rotation_keeps_all_of_a_space_that_is_not_larger(target: int, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, wanted = (normalize(rng.normal(size=(30, size))) for size in (dim, target))
    rotation = fit_rotation(wanted, vectors).astype(np.float64)
    small, large = sorted((dim, target))
    product = rotation.T @ rotation if dim <= target else rotation @ rotation.T
    assert rotation.shape == (target, dim)
    assert np.abs(product - np.eye(small)).max() < 1e-5
    assert len(product) <= large
    # No other of some random ones brings them closer.
    closeness = (wanted * (vectors @ rotation.T)).sum()
    for _ in range(5):
        other = np.linalg.qr(rng.normal(size=(large, small)))[0]
        other = other if dim <= target else other.T
        assert (wanted * (vectors @ other.T)).sum() <= closeness + 1e-4


def test_turning_a_vector_does_not_depend_on_its_company() -> None:
    rng = np.random.default_rng(0)
    for dim, target in ((7, 13), (384, 384), (30, 5)):
        rotation = rng.normal(size=(target, dim)).astype(np.float32)
        vectors = rng.normal(size=(33, dim)).astype(np.float32)
        together = rotate(vectors, rotation)
        alone = np.concatenate([rotate(vectors[row : row + 1].copy(), rotation) for row in range(33)])
        assert together.tobytes() == alone.tobytes()
        assert np.abs(together - vectors.astype(np.float64) @ rotation.T).max() < 1e-3


def test_the_folder_says_all_and_reads_back(models: Path, averaged: Path) -> None:
    manifest = read_manifest(averaged)
    assert (manifest.kind, manifest.dim, manifest.is_averaged) == ("joined", 24, True)
    assert [part.model for part in manifest.parts] == ["tiny", "wide"]
    assert [part.file for part in manifest.parts] == ["", "rotation_2.safetensors"]
    assert manifest.licence == "Apache-2.0 AND NOASSERTION"
    assert set(manifest.files) == {"NOTICE", "rotation_2.safetensors"}
    assert not (averaged.parent / ".averaged.").exists()
    report = run_model_test(find_model(f"{averaged}/", (models,)), EncoderSettings(jobs=2))
    assert report.passed
    assert report.cosine_min > 0.99999
    with pytest.raises(UsageError, match="exists"):
        align(models, ["tiny", "wide"], averaged)


def test_parts_beside_the_folder_are_found_without_being_told_where(
    models: Path, averaged: Path, tmp_path: Path
) -> None:
    for path in (models / "tiny", models / "wide", averaged):
        shutil.copytree(path, tmp_path / path.name)
    model = Model(tmp_path / "averaged", read_manifest(averaged))
    assert open_encoder(model, EncoderSettings(jobs=1)).encode(["bab"]).vectors.shape == (1, 24)
    assert {model.manifest.name for model in iter_models((tmp_path,))} >= {"averaged", "tiny", "wide"}


def test_a_part_that_is_another_model_now_is_refused(models: Path, averaged: Path, tmp_path: Path) -> None:
    shelf = tmp_path / "models"
    shutil.copytree(models / "tiny", shelf / "tiny")
    with pytest.raises(UnknownModelError, match="no model named 'wide'"):
        encode(shelf, str(averaged), ["bab"])
    make_static(shelf / "wide", table(40, 99))
    with pytest.raises(ModelError, match="its part wide is another model now"):
        encode(shelf, str(averaged), ["bab"])
    shutil.rmtree(shelf / "wide")
    shutil.copytree(averaged, shelf / "wide")
    with pytest.raises(ModelError, match="its part wide is joined itself"):
        encode(shelf, str(averaged), ["bab"])


def rewritten(source: Path, folder: Path, manifest: Manifest, rotation: np.ndarray | None = None) -> Path:
    shutil.copytree(source, folder)
    if rotation is not None:
        file = folder / "rotation_2.safetensors"
        write_rotation(file, rotation)
        files = {**manifest.files, file.name: FileEntry(file_sha256(file), file.stat().st_size)}
        manifest = replace(manifest, files=files)
    (folder / "model.toml").write_text(format_manifest(manifest), encoding="utf-8")
    return folder


def test_a_rotation_that_does_not_fit_is_refused(models: Path, averaged: Path, tmp_path: Path) -> None:
    manifest = read_manifest(averaged)
    wrong = np.zeros((24, 41), np.float32)
    with pytest.raises(DamagedModelError, match=r"shape \(24, 41\), not \(24, 40\)"):
        encode(models, str(rewritten(averaged, tmp_path / "a", manifest, wrong)), ["bab"])
    with pytest.raises(DamagedModelError, match="no rotation of finite float32"):
        encode(models, str(rewritten(averaged, tmp_path / "b", manifest, np.full((24, 40), np.nan))), ["bab"])
    with pytest.raises(DamagedModelError, match="its parts give 24 numbers, its manifest says 23"):
        cut = np.zeros((23, 40), np.float32)
        encode(models, str(rewritten(averaged, tmp_path / "c", replace(manifest, dim=23), cut)), ["bab"])
    folder = rewritten(averaged, tmp_path / "d", manifest)
    write_rotation(folder / "rotation_2.safetensors", np.eye(40, dtype=np.float32)[:24])
    with pytest.raises(DamagedModelError, match="sha256"):
        encode(models, str(folder), ["bab"])
