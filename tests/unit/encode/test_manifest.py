"""`model.toml`: what is written is read back; what cannot be trusted is refused by name."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.encode.catalog import find_model, iter_models, shipped_folder
from embedcli.encode.duplicates import Duplicates
from embedcli.encode.manifest import (
    Dense,
    FileEntry,
    Manifest,
    Part,
    Probe,
    Variant,
    _from_table,
    format_manifest,
    read_manifest,
    verify_files,
)
from embedcli.errors import DamagedModelError, ModelError, UnknownModelError

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = Manifest(
    name="tiny",
    kind="onnx",
    description="for tests",
    source="here",
    revision="1",
    weights_sha256="0" * 64,
    licence="Apache-2.0",
    languages=("en",),
    not_for="work",
    dim=8,
    dims=(4,),
    max_tokens=16,
    pooling="mean",
    normalize=True,
    tokenizer="tokenizer.json",
    default_variant="int8",
    prompts={"query": "q: ", "document": ""},
    variants={
        "int8": Variant(
            "m.onnx", "cpu", True, "by hand", {"MatMulInteger": 3}, 0.9, 0.95, 1.5, {"torch": "1"}
        )
    },
    files={"m.onnx": FileEntry("1" * 64, 5), "tokenizer.json": FileEntry("2" * 64, 6)},
    probes=(Probe("a", "AAAA"),),
    dense=(Dense("m.onnx", "tanh"),),
    similarity="dot",
    lower_case=True,
    pool_prompt=False,
    duplicates=Duplicates(0.9379, 0.99, 1, 200, 'texts "of mine"\n'),
)

words = st.text(st.characters(codec="utf-8"), max_size=30)


@given(words, words, st.dictionaries(words, words, max_size=3))
def test_a_manifest_reads_back_as_it_was(name: str, not_for: str, prompts: dict[str, str]) -> None:
    import tomllib

    manifest = replace(EXAMPLE, name=name, not_for=not_for, prompts=prompts)
    assert _from_table(tomllib.loads(format_manifest(manifest))) == manifest


def write(folder: Path, manifest: Manifest) -> Path:
    (folder / "model.toml").write_text(format_manifest(manifest), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["../m.onnx", "/etc/passwd", "a/b", "..", "", "a\\b"])
def test_a_file_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    variants = {"int8": replace(EXAMPLE.variants["int8"], file=name)}
    files = {**EXAMPLE.files, name: FileEntry("1" * 64, 1)}
    with pytest.raises(DamagedModelError, match="not a plain file name"):
        read_manifest(write(tmp_path, replace(EXAMPLE, variants=variants, files=files)))


def joined(*parts: Part, **changes: object) -> Manifest:
    return replace(
        EXAMPLE,
        kind="joined",
        parts=parts,
        tokenizer="",
        dense=(),
        variants={"int8": replace(EXAMPLE.variants["int8"], file="")},
        files={"r.safetensors": FileEntry("4" * 64, 7)},
        **changes,
    )


FIRST = Part("a", 0.25, {"int8": "int8"}, {"int8": "f" * 32})
SECOND = Part("b", 0.75, {"int8": "fp32"}, {"int8": "e" * 32}, "r.safetensors")


def test_a_joined_model_reads_back_as_it_was(tmp_path: Path) -> None:
    averaged = joined(FIRST, SECOND, prompts={"query": "q: \x1f"})
    assert read_manifest(write(tmp_path, averaged)) == averaged
    assert averaged.is_averaged
    end_to_end = replace(averaged, parts=(FIRST, replace(SECOND, file="")))
    assert read_manifest(write(tmp_path, end_to_end)) == end_to_end
    assert not end_to_end.is_averaged


def test_the_fingerprint_of_a_joined_model_covers_its_parts() -> None:
    manifest = joined(FIRST, SECOND)
    prints = {
        other.fingerprint("int8")
        for other in (
            manifest,
            joined(SECOND, FIRST),
            joined(FIRST, replace(SECOND, fingerprints={"int8": "d" * 32})),
            joined(FIRST, replace(SECOND, weight=0.5)),
            joined(FIRST, replace(SECOND, file="")),
            replace(manifest, dim=9),
            replace(manifest, files={"r.safetensors": FileEntry("5" * 64, 7)}),
        )
    }
    assert len(prints) == 7
    assert joined(replace(FIRST, model="renamed"), SECOND).fingerprint("int8") in prints


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (joined(FIRST), "1 parts in a model of kind joined"),
        (joined(), "0 parts"),
        (replace(EXAMPLE, parts=(FIRST, SECOND)), "2 parts in a model of kind onnx"),
        (joined(FIRST, replace(SECOND, model="../b")), "'../b' is not a plain name"),
        (joined(FIRST, replace(SECOND, model="b+c")), "'b.c' is not a plain name"),
        (joined(FIRST, replace(SECOND, model="")), "'' is not a plain name"),
        (joined(FIRST, replace(SECOND, weight=0.0)), "b has the weight 0.0"),
        (joined(FIRST, replace(SECOND, weight=float("nan"))), "b has the weight nan"),
        (joined(FIRST, replace(SECOND, weight="1")), "b has the weight '1'"),
        (joined(FIRST, replace(SECOND, variants={"fp32": "fp32"})), "part b lacks a variant"),
        (joined(FIRST, replace(SECOND, fingerprints={})), "part b lacks a variant"),
        (joined(FIRST, replace(SECOND, variants=["int8"])), "part b lacks a variant"),
        (joined(FIRST, SECOND, SECOND, replace(SECOND, file="")), "a part has no rotation"),
        (joined(FIRST, replace(SECOND, file="s.safetensors")), "no sha256 for 's.safetensors'"),
        (joined(FIRST, replace(SECOND, file="../r")), "not a plain file name"),
    ],
)
def test_parts_that_cannot_be_one_model_are_refused(tmp_path: Path, manifest: Manifest, reason: str) -> None:
    with pytest.raises(DamagedModelError, match=reason):
        read_manifest(write(tmp_path, manifest))


def test_a_manifest_without_duplicates_is_whole(tmp_path: Path) -> None:
    plain = replace(EXAMPLE, duplicates=None)
    assert "duplicates" not in format_manifest(plain)
    assert read_manifest(write(tmp_path, plain)) == plain


@pytest.mark.parametrize(
    "changes",
    [
        *({key: value} for key in ("threshold", "precision", "recall") for value in (-0.1, 1.1, "1", True)),
        *({"threshold": value} for value in (0, 0.0, float("nan"), float("inf"))),
        *({"pairs": value} for value in (0, -1, 2.0, True)),
        {"texts": 7},
    ],
)
def test_figures_that_nobody_measured_are_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(DamagedModelError, match=r"\[duplicates\]"):
        read_manifest(write(tmp_path, replace(EXAMPLE, duplicates=replace(EXAMPLE.duplicates, **changes))))


@pytest.mark.parametrize("table", ["duplicates = 1", "[duplicates]\nthreshold = 0.9", "[[duplicates]]"])
def test_duplicates_that_are_no_table_of_figures_are_refused(tmp_path: Path, table: str) -> None:
    text = format_manifest(replace(EXAMPLE, duplicates=None))
    (tmp_path / "model.toml").write_text(f"{table}\n{text}" if "=" in table[:15] else f"{text}{table}\n")
    with pytest.raises(DamagedModelError, match=str(tmp_path)):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["default", "static"])
def test_a_shipped_encoder_says_when_texts_are_duplicates(name: str) -> None:
    found = find_model(name).manifest.duplicates
    assert found is not None
    assert found.precision >= 0.99
    assert found.pairs > 10_000


def test_what_is_missing_or_unknown_is_named(tmp_path: Path) -> None:
    with pytest.raises(DamagedModelError, match="no model.toml"):
        read_manifest(tmp_path)
    with pytest.raises(ModelError, match="pooling 'magic'"):
        read_manifest(write(tmp_path, replace(EXAMPLE, pooling="magic")))
    with pytest.raises(DamagedModelError, match="no variant named 'fp8'"):
        read_manifest(write(tmp_path, replace(EXAMPLE, default_variant="fp8")))
    (tmp_path / "model.toml").write_text("format = 1\nname = 'x'\n")
    with pytest.raises(DamagedModelError, match="'kind' is missing"):
        read_manifest(tmp_path)
    (tmp_path / "model.toml").write_text("format = 7\n")
    with pytest.raises(ModelError, match="manifest format 7"):
        read_manifest(tmp_path)


def test_changed_missing_and_linked_files_are_noticed(tmp_path: Path) -> None:
    content = b"hello"
    digest = hashlib.sha256(content).hexdigest()
    manifest = replace(EXAMPLE, files={"m.onnx": FileEntry(digest, 5)})
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    verify_files(tmp_path, manifest)
    path.write_bytes(b"hellO")
    with pytest.raises(DamagedModelError, match="sha256 is"):
        verify_files(tmp_path, manifest)
    path.unlink()
    with pytest.raises(DamagedModelError, match="missing"):
        verify_files(tmp_path, manifest)
    (tmp_path / "real").write_bytes(content)
    path.symlink_to("real")
    with pytest.raises(DamagedModelError, match="not a plain file"):
        verify_files(tmp_path, manifest)


def test_the_fingerprint_covers_what_a_vector_depends_on() -> None:
    base = EXAMPLE.fingerprint("int8")
    assert replace(EXAMPLE, name="renamed", licence="MIT", duplicates=None).fingerprint("int8") == base
    for change in (
        {"max_tokens": 17},
        {"pooling": "cls"},
        {"dim": 9},
        {"files": {**EXAMPLE.files, "m.onnx": FileEntry("3" * 64, 5)}},
        {"files": {**EXAMPLE.files, "tokenizer.json": FileEntry("3" * 64, 5)}},
    ):
        assert replace(EXAMPLE, **change).fingerprint("int8") != base, change


def test_models_are_found_by_name_by_folder_and_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "all-MiniLM-L6-v2"
    folder.mkdir()
    write(folder, EXAMPLE)
    assert find_model("all-MiniLM-L6-v2").folder.parent == shipped_folder()
    assert find_model(None, (tmp_path,)).folder == folder, "the user's folder comes first"
    assert find_model(str(folder)).manifest == EXAMPLE
    assert [model.folder for model in iter_models((tmp_path,))].count(folder) == 1
    with pytest.raises(UnknownModelError, match="no model named 'nothing'") as caught:
        find_model("nothing")
    assert "all-MiniLM-L6-v2" in caught.value.hint
