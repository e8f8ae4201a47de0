"""A source folder is read through its own files; what is not understood is refused by name."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from embedcli.encode.export import ExportSettings, export_model
from embedcli.encode.export.graph import require_operators
from embedcli.encode.export.source import read_source
from embedcli.errors import MissingExtraError, MissingPathError, ModelError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

FILES: dict[str, Any] = {
    "config.json": {
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": 32,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 40,
    },
    "modules.json": [
        {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ],
    "1_Pooling/config.json": {
        "word_embedding_dimension": 32,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
    },
    "sentence_bert_config.json": {"max_seq_length": 24, "do_lower_case": False},
    "config_sentence_transformers.json": {"prompts": {"query": "ask: "}, "default_prompt_name": None},
    "tokenizer.json": {"truncation": {"max_length": 8}, "padding": {"strategy": {"Fixed": 8}}, "model": {}},
}
SETTINGS = ExportSettings(name="tiny", source="here", licence="Apache-2.0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "1_Pooling").mkdir(parents=True)
    for name, value in FILES.items():
        (source / name).write_text(json.dumps(value))
    (source / "model.safetensors").write_bytes(b"weights")
    (source / "LICENSE").write_text("free")
    return source


def change(folder: Path, name: str, **values: Any) -> None:
    (folder / name).write_text(json.dumps({**FILES[name], **values}))


def test_what_the_files_say_is_what_is_read(folder: Path) -> None:
    source = read_source(folder)
    assert (source.dim, source.heads, source.layers, source.intermediate) == (32, 2, 2, 64)
    assert (source.max_tokens, source.max_positions) == (24, 40)
    assert (source.pooling, source.normalize) == ("mean", True)
    assert source.prompts == {"query": "ask: ", "document": ""}
    assert source.weights_sha256 == hashlib.sha256(b"weights").hexdigest()
    assert source.legal == ("LICENSE",)


def test_padding_and_truncation_are_taken_out_of_the_tokenizer(folder: Path) -> None:
    assert json.loads(read_source(folder).tokenizer) == {"truncation": None, "padding": None, "model": {}}


def test_a_default_prompt_stands_for_a_role_without_its_own(folder: Path) -> None:
    change(
        folder,
        "config_sentence_transformers.json",
        prompts={"all": "t: ", "passage": "p: "},
        default_prompt_name="all",
    )
    prompts = read_source(folder).prompts
    assert (prompts["query"], prompts["document"]) == ("t: ", "p: ")


@pytest.mark.parametrize(
    ("name", "values", "named"),
    [
        ("config.json", {"model_type": "t5"}, "'t5'"),
        ("config.json", {"hidden_act": "relu"}, "'relu'"),
        ("config.json", {"auto_map": {"AutoModel": "x.Y"}}, "auto_map"),
        ("config.json", {"position_embedding_type": "relative_key"}, "'relative_key'"),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True}, "mean_tokens"),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False}, "not given"),
        (
            "1_Pooling/config.json",
            {"pooling_mode_mean_tokens": False, "pooling_mode_mean_sqrt_len_tokens": True},
            "mean_sqrt_len_tokens",
        ),
        ("1_Pooling/config.json", {"include_prompt": False}, "include_prompt"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "lower case"),
        ("config_sentence_transformers.json", {"prompts": {"query": 1}}, "prompts"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    folder: Path, name: str, values: dict[str, Any], named: str
) -> None:
    change(folder, name, **values)
    with pytest.raises(ModelError, match=named):
        read_source(folder)


@pytest.mark.parametrize(
    ("modules", "named"),
    [
        ([*FILES["modules.json"], {"path": "3", "type": "sentence_transformers.models.Dense"}], "'Dense'"),
        (FILES["modules.json"][::-1], "order"),
        ([{"path": "0", "type": "a.Transformer"}, FILES["modules.json"][1]], "'0'"),
        ([FILES["modules.json"][0], {"path": "../x", "type": "a.Pooling"}], "outside"),
        ({"no": "list"}, "not a list"),
    ],
)
def test_other_modules_are_refused(folder: Path, modules: Any, named: str) -> None:
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelError, match=named):
        read_source(folder)


@pytest.mark.parametrize("name", ["config.json", "modules.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        read_source(folder)


def test_damaged_json_is_named(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json"):
        read_source(folder)


def test_a_missing_folder_is_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError):
        read_source(tmp_path / "nowhere")


def test_more_tokens_than_positions_are_refused(folder: Path, tmp_path: Path) -> None:
    settings = ExportSettings(name="tiny", source="here", licence="MIT", max_tokens=41)
    with pytest.raises(UsageError, match="40"):
        export_model(folder, tmp_path / "out", settings, lambda _: None)


def test_a_folder_that_is_no_model_is_left_alone(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="not a model folder"):
        export_model(folder, out, SETTINGS, lambda _: None)
    assert [path.name for path in out.iterdir()] == ["letter.txt"]


def test_a_missing_library_names_the_extra(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError) as caught:
        export_model(folder, tmp_path / "out" / "tiny", SETTINGS, lambda _: None)
    assert caught.value.extra == "export"
    assert not list((tmp_path / "out").iterdir())


def test_missing_operators_are_named_with_both_counts() -> None:
    require_operators({"Attention": 6, "Gelu": 7}, {"Attention": 6, "Gelu": 6}, "fusing")
    with pytest.raises(ModelError, match=r"after fusing .* 2 of 6 Attention, 0 of 1 Gelu"):
        require_operators({"Attention": 2}, {"Attention": 6, "Gelu": 1}, "fusing")
