"""A source folder is read through its own files; what is not understood is refused by name."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from embedcli.encode.export import ExportSettings, export_model
from embedcli.encode.export.graph import require_operators
from embedcli.encode.layout import read_layout
from embedcli.errors import MissingExtraError, MissingPathError, ModelError, UsageError
from tests.models_maker import write_dense, write_modules

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


def write(folder: Path, name: str, value: Any) -> None:
    (folder / name).write_text(json.dumps(value))


def change(folder: Path, name: str, **values: Any) -> None:
    (folder / name).write_text(json.dumps({**FILES[name], **values}))


def test_what_the_files_say_is_what_is_read(folder: Path) -> None:
    source = read_layout(folder)
    assert (source.hidden, source.heads, source.layers, source.intermediate) == (32, 2, 2, 64)
    assert (source.max_tokens, source.max_positions) == (24, 40)
    assert (source.pooling, source.normalize, source.pool_prompt) == ("mean", True, True)
    assert (source.kind, source.model_type, source.dim, source.dense) == ("onnx", "bert", 32, ())
    assert (source.similarity, source.lower_case, source.transformer) == ("cosine", False, folder)
    assert (source.licence, source.languages, source.onnx_files, source.notes) == ("", (), (), ())
    assert source.prompts == {"query": "ask: ", "document": ""}
    assert source.weights_sha256 == hashlib.sha256(b"weights").hexdigest()
    assert source.legal == ("LICENSE",)


def test_padding_and_truncation_are_taken_out_of_the_tokenizer(folder: Path) -> None:
    assert json.loads(read_layout(folder).tokenizer) == {"truncation": None, "padding": None, "model": {}}


def test_a_default_prompt_stands_for_a_role_without_its_own(folder: Path) -> None:
    change(
        folder,
        "config_sentence_transformers.json",
        prompts={"all": "t: ", "passage": "p: "},
        default_prompt_name="all",
    )
    prompts = read_layout(folder).prompts
    assert (prompts["query"], prompts["document"]) == ("t: ", "p: ")


@pytest.mark.parametrize(
    ("prompts", "default", "query", "document"),
    [
        ({"query": "q: ", "passage": "p: ", "document": ""}, None, "q: ", "p: "),
        ({"query": "q: ", "corpus": "c: "}, None, "q: ", "c: "),
        ({"query": "q: ", "document": "d: ", "passage": "p: "}, None, "q: ", "d: "),
        ({"query": "q: ", "document": ""}, "query", "q: ", ""),
        ({"query": "q: "}, "query", "q: ", "q: "),
        ({"query": None, "document": None}, None, "", ""),
        ({}, None, "", ""),
    ],
)
def test_prompts_by_role(folder: Path, prompts: Any, default: Any, query: str, document: str) -> None:
    change(folder, "config_sentence_transformers.json", prompts=prompts, default_prompt_name=default)
    found = read_layout(folder).prompts
    assert (found["query"], found["document"]) == (query, document)


def test_a_default_prompt_that_is_not_there_is_refused(folder: Path) -> None:
    change(folder, "config_sentence_transformers.json", prompts={"query": "q"}, default_prompt_name="all")
    with pytest.raises(ModelError, match="'all'"):
        read_layout(folder)


SWITCHES = {f"pooling_mode_{name}": False for name in ("cls_token", "mean_tokens", "max_tokens")}


@pytest.mark.parametrize(
    ("settings", "pooling"),
    [
        ({}, "mean"),
        ({"pooling_mode": "weightedmean"}, "weighted_mean"),
        ({"pooling_mode": ["lasttoken", "cls"]}, "last_token+cls"),
        ({"pooling_mode": "cls", **SWITCHES, "pooling_mode_mean_tokens": True}, "cls"),
        ({**SWITCHES, "pooling_mode_cls_token": True}, "cls"),
        (
            {
                "pooling_mode_lasttoken": True,
                "pooling_mode_weightedmean_tokens": True,
                "pooling_mode_mean_sqrt_len_tokens": True,
                "pooling_mode_mean_tokens": True,
                "pooling_mode_max_tokens": True,
                "pooling_mode_cls_token": True,
            },
            "cls+max+mean+mean_sqrt_len+weighted_mean+last_token",
        ),
    ],
)
def test_every_pooling_in_the_library_s_own_order(folder: Path, settings: Any, pooling: str) -> None:
    write(folder, "1_Pooling/config.json", {"word_embedding_dimension": 32, **settings})
    source = read_layout(folder)
    assert source.pooling == pooling
    assert source.dim == 32 * len(pooling.split("+"))


def test_a_prompt_can_be_left_out_of_pooling(folder: Path) -> None:
    change(folder, "1_Pooling/config.json", include_prompt=False)
    assert read_layout(folder).pool_prompt is False


@pytest.mark.parametrize(
    ("stated", "tokenizer", "changes", "expected"),
    [
        (24, {"model_max_length": 30}, {}, 24),
        (None, {"model_max_length": 30}, {}, 30),
        (None, {"model_max_length": 10**30}, {}, 40),
        (None, {"model_max_length": 64}, {}, 40),
        (None, {}, {}, 40),
        (64, {}, {}, 40),
        # The first rows of RoBERTa's table are never used.
        (None, {}, {"model_type": "roberta", "pad_token_id": 1}, 38),
        (None, {}, {"model_type": "xlm-roberta", "pad_token_id": 1}, 38),
        (None, {}, {"model_type": "mpnet", "pad_token_id": 1}, 38),
        # Without a table, what is stated holds.
        (64, {}, {"model_type": "modernbert"}, 64),
        (None, {"model_max_length": 64}, {"model_type": "qwen3"}, 40),
    ],
)
def test_the_limit_is_stated_or_the_tokenizer_s_and_bounded(
    folder: Path, stated: int | None, tokenizer: Any, changes: Any, expected: int
) -> None:
    write(folder, "sentence_bert_config.json", {"max_seq_length": stated})
    write(folder, "tokenizer_config.json", tokenizer)
    change(folder, "config.json", **changes)
    source = read_layout(folder)
    assert source.max_tokens == expected
    assert source.max_positions >= expected


def test_names_of_an_architecture_s_own(folder: Path) -> None:
    config = {"model_type": "distilbert", "dim": 12, "n_heads": 3, "n_layers": 4, "hidden_dim": 5}
    write(folder, "config.json", {**config, "max_position_embeddings": 40})
    write(folder, "1_Pooling/config.json", {"word_embedding_dimension": 12})
    source = read_layout(folder)
    assert (source.hidden, source.heads, source.layers, source.intermediate) == (12, 3, 4, 5)


def test_what_version_5_writes_of_a_transformer(folder: Path) -> None:
    text = {"method": "forward", "method_output_name": "last_hidden_state"}
    settings = {
        "transformer_task": "feature-extraction",
        "modality_config": {"text": text},
        "module_output_name": "token_embeddings",
        "unpad_inputs": False,
        "processing_kwargs": {},
        "do_lower_case": True,
    }
    write(folder, "sentence_bert_config.json", settings)
    source = read_layout(folder)
    assert (source.kind, source.lower_case) == ("onnx", True)
    for changed, named in (
        ({"modality_config": {"text": text, "message": text}}, "chat template"),
        ({"modality_config": {"image": text}}, "does not take text"),
        ({"modality_config": {"text": {**text, "method_output_name": "logits"}}}, "something else"),
        ({"transformer_task": "text-generation"}, "text-generation"),
        ({"processing_kwargs": {"text": {"max_length": 5}}}, "processing_kwargs"),
    ):
        write(folder, "sentence_bert_config.json", {**settings, **changed})
        with pytest.raises(ModelError, match=named):
            read_layout(folder)


def test_a_transformer_in_a_folder_of_its_own(folder: Path) -> None:
    inner = folder / "0_Transformer"
    inner.mkdir()
    names = ("config.json", "tokenizer.json", "sentence_bert_config.json", "model.safetensors")
    for name in names:
        (folder / name).rename(inner / name)
    (inner / "onnx").mkdir()
    (inner / "onnx" / "model.onnx").write_bytes(b"graph")
    first = {**FILES["modules.json"][0], "path": "0_Transformer"}
    write(folder, "modules.json", [first, *FILES["modules.json"][1:]])
    source = read_layout(folder)
    assert (source.transformer, source.max_tokens) == (inner, 24)
    assert source.onnx_files == ("0_Transformer/onnx/model.onnx",)


def test_older_names_of_the_settings(folder: Path) -> None:
    (folder / "sentence_bert_config.json").rename(folder / "sentence_roberta_config.json")
    assert read_layout(folder).max_tokens == 24


def test_dense_layers_are_read_in_order(folder: Path) -> None:
    write_modules(folder, ["Transformer", "Pooling", "Dense", "Dense", "Normalize"])
    write_dense(folder / "2_Dense", np.ones((8, 32)), np.ones(8), "torch.nn.modules.activation.GELU")
    write_dense(folder / "3_Dense", np.ones((4, 8)))
    source = read_layout(folder)
    assert [(layer.path.parent.name, layer.inputs, layer.outputs) for layer in source.dense] == [
        ("2_Dense", 32, 8),
        ("3_Dense", 8, 4),
    ]
    assert [layer.activation for layer in source.dense] == ["gelu", "identity"]
    assert (source.dim, source.normalize) == (4, True)


def test_a_dense_layer_without_a_word_on_activation_has_tanh(folder: Path) -> None:
    write_modules(folder, ["Transformer", "Pooling", "Dense"])
    write_dense(folder / "2_Dense", np.ones((8, 32)))
    write(folder, "2_Dense/config.json", {"in_features": 32, "out_features": 8, "bias": False})
    assert read_layout(folder).dense[0].activation == "tanh"


DENSE = {
    "in_features": 32,
    "out_features": 8,
    "bias": False,
    "activation_function": "torch.nn.modules.linear.Identity",
}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({**DENSE, "activation_function": "evil.module.Run"}, "evil.module.Run"),
        ({**DENSE, "activation_function": "torch.nn.modules.activation.SiLU"}, "SiLU"),
        ({**DENSE, "out_features": 9}, "shape"),
        ({**DENSE, "bias": True}, "bias"),
        ({**DENSE, "module_input_name": "token_embeddings"}, "token_embeddings"),
        ({**DENSE, "init": 1}, "'init'"),
        ({"in_features": 32}, "out_features"),
    ],
)
def test_a_dense_layer_that_is_not_understood_is_refused(folder: Path, settings: Any, named: str) -> None:
    write_modules(folder, ["Transformer", "Pooling", "Dense"])
    write_dense(folder / "2_Dense", np.ones((8, 32)))
    write(folder, "2_Dense/config.json", settings)
    with pytest.raises(ModelError, match=named):
        read_layout(folder)


def test_dense_layers_that_do_not_fit_each_other_are_refused(folder: Path) -> None:
    write_modules(folder, ["Transformer", "Pooling", "Dense", "Dense"])
    write_dense(folder / "2_Dense", np.ones((8, 32)))
    write_dense(folder / "3_Dense", np.ones((4, 9)))
    with pytest.raises(ModelError, match="takes 9 numbers, 8 reach it"):
        read_layout(folder)


@pytest.mark.parametrize("place", ["", "2_Dense"])
def test_a_pickle_is_refused_by_name(folder: Path, place: str) -> None:
    write_modules(folder, ["Transformer", "Pooling", "Dense"])
    write_dense(folder / "2_Dense", np.ones((8, 32)))
    (folder / place / "model.safetensors").rename(folder / place / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin is a pickle"):
        read_layout(folder)


def test_weights_in_parts_have_one_hash(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    (folder / "model-2.safetensors").write_bytes(b"more")
    index = {"weight_map": {"b": "model-2.safetensors", "a": "model-1.safetensors"}}
    write(folder, "model.safetensors.index.json", index)
    before = read_layout(folder).weights_sha256
    (folder / "model-2.safetensors").write_bytes(b"Move")
    assert len(before) == 64
    assert read_layout(folder).weights_sha256 != before
    write(folder, "model.safetensors.index.json", {"weight_map": {"a": "../model-1.safetensors"}})
    with pytest.raises(ModelError, match="model-1"):
        read_layout(folder)


def test_graphs_alone_are_enough_and_the_plainest_is_first(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "onnx").mkdir()
    for name in ("model_O4.onnx", "model_quantized.onnx", "model.onnx", "model.onnx_data"):
        (folder / "onnx" / name).write_bytes(b"graph")
    source = read_layout(folder)
    assert source.onnx_files == ("onnx/model.onnx", "onnx/model_quantized.onnx", "onnx/model_O4.onnx")
    assert source.weights_sha256 == ""


def test_what_the_model_says_of_comparison_and_cutting(folder: Path) -> None:
    name = "config_sentence_transformers.json"
    change(folder, name, similarity_fn_name="dot", truncate_dim=8)
    source = read_layout(folder)
    assert (source.similarity, source.dim) == ("dot", 8)
    change(folder, name, truncate_dim=100)
    assert read_layout(folder).dim == 32
    for values, named in (({"similarity_fn_name": "euclidean"}, "euclidean"), ({"truncate_dim": 0}, "0")):
        change(folder, name, **values)
        with pytest.raises(ModelError, match=named):
            read_layout(folder)


@pytest.mark.parametrize(
    ("card", "licence", "languages"),
    [
        ("---\nlicense: apache-2.0\nlanguage: en\n---\n# x", "Apache-2.0", ("en",)),
        ("---\nlanguage:\n- en\n- de\n- multilingual\ntags:\n- fr\nlicense: mit\n---", "MIT", ("en", "de")),
        ("---\nlicense: 'gemma'\nlanguage: [en, \"zh\"]\n---", "LicenseRef-Gemma", ("en", "zh")),
        ("---\nlicense: other\n---", "", ()),
        ("license: mit\n", "", ()),
        ("---\nwidget: {\n---\nlicense: mit", "", ()),
        ("", "", ()),
    ],
)
def test_licence_and_languages_of_the_card(
    folder: Path, card: str, licence: str, languages: tuple[str, ...]
) -> None:
    (folder / "README.md").write_text(card)
    source = read_layout(folder)
    assert (source.licence, source.languages) == (licence, languages)


def test_other_kinds_are_recognized(folder: Path) -> None:
    write_modules(folder, ["MLMTransformer", "SpladePooling"])
    change(folder, "config.json", vocab_size=100)
    source = read_layout(folder)
    assert (source.kind, source.dim, source.pooling) == ("sparse", 100, "")
    write_modules(folder, ["Transformer", "SpladePooling"])
    write(folder, "sentence_bert_config.json", {"transformer_task": "fill-mask"})
    assert read_layout(folder).kind == "sparse"
    write_modules(folder, ["Transformer"])
    write(folder, "sentence_bert_config.json", {"transformer_task": "sequence-classification"})
    assert read_layout(folder).kind == "cross-encoder"
    (folder / "modules.json").unlink()
    (folder / "sentence_bert_config.json").unlink()
    change(
        folder, "config.json", architectures=["BertForSequenceClassification"], id2label={"0": "a", "1": "b"}
    )
    source = read_layout(folder)
    assert (source.kind, source.dim) == ("cross-encoder", 2)


def test_without_modules_nothing_is_guessed(folder: Path) -> None:
    (folder / "modules.json").unlink()
    with pytest.raises(ModelError, match=r"no modules\.json"):
        read_layout(folder)
    with pytest.raises(ModelError, match=r"no modules\.json"):
        read_layout(folder, name="somebody/unheard-of")
    source = read_layout(folder, pooling="cls+max")
    assert (source.pooling, source.dim, source.normalize) == ("cls+max", 64, False)
    with pytest.raises(UsageError, match="'middle'"):
        read_layout(folder, pooling="middle")


def test_the_catalogue_fills_in_where_the_files_are_silent(folder: Path) -> None:
    (folder / "modules.json").unlink()
    (folder / "config_sentence_transformers.json").unlink()
    sizes = {"hidden_size": 384}
    change(folder, "config.json", **sizes)
    source = read_layout(folder, name="Xenova/bge-small-en-v1.5")
    assert (source.pooling, source.normalize, source.family) == ("cls", True, "bge-small-en-v1.5")
    assert source.prompts["query"] == "Represent this sentence for searching relevant passages: "
    assert (source.licence, source.languages) == ("MIT", ("en",))
    with pytest.raises(ModelError, match="768"):
        read_layout(folder, name="BAAI/bge-base-en-v1.5")
    with pytest.raises(ModelError, match="2 dense layers"):
        read_layout(folder, name="google/embeddinggemma-300m")


def test_the_files_are_followed_where_the_catalogue_disagrees(folder: Path) -> None:
    source = read_layout(folder, name="BAAI/bge-small-en-v1.5")
    assert (source.pooling, source.prompts["query"]) == ("mean", "ask: ")
    assert [note.partition(" by its files")[0] for note in source.notes] == [
        "pooling is mean",
        "the prompt for query is 'ask: '",
    ]


def test_a_tokenizer_of_another_model_is_refused(folder: Path) -> None:
    change(folder, "config.json", vocab_size=3)
    for model, added in (
        ({"vocab": {"a": 0, "b": 3}}, []),
        ({"vocab": [["a", 0.0]] * 4}, []),
        ({"vocab": {"a": 0}}, [{"id": 3}]),
    ):
        write(folder, "tokenizer.json", {"model": model, "added_tokens": added})
        with pytest.raises(ModelError, match="token ids up to 3, the model knows 3"):
            read_layout(folder)
    write(folder, "tokenizer.json", {"model": {"vocab": {"a": 2}}})
    assert read_layout(folder).dim == 32


BERT = {"model": {}, "normalizer": {"type": "BertNormalizer", "lowercase": True, "strip_accents": None}}


@pytest.mark.parametrize(
    ("tokenizer", "config", "named"),
    [
        (BERT, {"tokenizer_class": "BertTokenizer", "do_lower_case": False}, "do_lower_case"),
        (BERT, {"tokenizer_class": "BertTokenizerFast", "strip_accents": True}, "strip_accents"),
        (BERT, {"auto_map": {"AutoTokenizer": "x.Y"}}, "auto_map"),
        (BERT, {"truncation_side": "left"}, "truncation_side"),
        (
            {"model": {}, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False}},
            {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True},
            "add_prefix_space",
        ),
        (
            {"model": {}, "post_processor": {"single": ["<s>"]}},
            {"tokenizer_class": "LlamaTokenizer", "add_eos_token": True, "eos_token": {"content": "</s>"}},
            "add_eos_token",
        ),
    ],
)
def test_tokenizer_files_that_disagree_are_refused(
    folder: Path, tokenizer: Any, config: Any, named: str
) -> None:
    write(folder, "tokenizer.json", tokenizer)
    write(folder, "tokenizer_config.json", config)
    with pytest.raises(ModelError, match=named):
        read_layout(folder)


@pytest.mark.parametrize(
    "config",
    [
        {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "padding_side": "left"},
        # It takes the file as it is.
        {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": False},
    ],
)
def test_tokenizer_files_that_agree_are_read(folder: Path, config: Any) -> None:
    write(folder, "tokenizer.json", BERT)
    write(folder, "tokenizer_config.json", config)
    assert read_layout(folder).max_tokens == 24


@pytest.mark.parametrize(
    ("name", "values", "named"),
    [
        ("config.json", {"model_type": "t5"}, "'t5'"),
        ("config.json", {"model_type": None}, "model_type"),
        ("config.json", {"model_type": ["bert"]}, "bert"),
        ("config.json", {"hidden_size": -1}, "hidden_size -1"),
        ("config.json", {"num_hidden_layers": "2"}, "num_hidden_layers '2'"),
        ("config.json", {"auto_map": {"AutoModel": "x.Y"}}, "auto_map"),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False}, "not given"),
        ("1_Pooling/config.json", {"pooling_mode_middle": True}, "'middle'"),
        ("1_Pooling/config.json", {"pooling_mode": "middle"}, "'middle'"),
        ("1_Pooling/config.json", {"pooling_mode": []}, r"\[\]"),
        ("1_Pooling/config.json", {"include_prompt": "no"}, "include_prompt"),
        ("1_Pooling/config.json", {"word_embedding_dimension": 33}, "33 numbers, the model gives 32"),
        ("1_Pooling/config.json", {"scale": 2}, "'scale'"),
        ("sentence_bert_config.json", {"tokenizer_args": {"use_fast": False}}, "use_fast"),
        ("sentence_bert_config.json", {"config_args": {"rope_theta": 1}}, "rope_theta"),
        ("sentence_bert_config.json", {"model_args": {"layers": 1}}, "layers"),
        ("sentence_bert_config.json", {"max_seq_length": "many"}, "max_seq_length"),
        ("sentence_bert_config.json", {"tokenizer_name_or_path": "x"}, "tokenizer_name_or_path"),
        ("config_sentence_transformers.json", {"prompts": {"query": 1}}, "prompts"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    folder: Path, name: str, values: dict[str, Any], named: str
) -> None:
    change(folder, name, **values)
    with pytest.raises(ModelError, match=named):
        read_layout(folder)


def test_a_mode_without_a_word_on_the_mean_is_refused(folder: Path) -> None:
    write(folder, "1_Pooling/config.json", {"pooling_mode_cls_token": True})
    with pytest.raises(ModelError, match="pooling_mode_mean_tokens"):
        read_layout(folder)


OWN = "sentence_transformers.models"


@pytest.mark.parametrize(
    ("modules", "named"),
    [
        *(
            ([*FILES["modules.json"], {"path": "3", "type": f"{OWN}.{name}"}], f"'{name}'")
            for name in ("LayerNorm", "CNN", "LSTM", "WeightedLayerPooling", "WordWeights", "BoW", "Router")
        ),
        ([{"path": "", "type": f"{OWN}.StaticEmbedding"}], "static model"),
        ([*FILES["modules.json"], {"path": "3", "type": f"{OWN}.Dense"}], "order"),
        (FILES["modules.json"][::-1], "order"),
        ([FILES["modules.json"][0]], "no pooling"),
        ([*FILES["modules.json"], FILES["modules.json"][2]], "order"),
        ([{"path": "", "type": "custom_st.Transformer"}, FILES["modules.json"][1]], "custom_st.Transformer"),
        ([FILES["modules.json"][0], {"path": "../x", "type": f"{OWN}.Pooling"}], "outside"),
        ([FILES["modules.json"][0], {"path": "a/../../x", "type": f"{OWN}.Pooling"}], "outside"),
        ([FILES["modules.json"][0], {"path": "/etc", "type": f"{OWN}.Pooling"}], "outside"),
        ([FILES["modules.json"][0], {"path": "..\\x", "type": f"{OWN}.Pooling"}], "not a folder"),
        ([FILES["modules.json"][0], {"path": 1, "type": f"{OWN}.Pooling"}], "not a folder"),
        ([FILES["modules.json"][0], {"path": "link", "type": f"{OWN}.Pooling"}], "is a link"),
        ({"no": "list"}, "not a list"),
    ],
)
def test_other_modules_are_refused(folder: Path, modules: Any, named: str) -> None:
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "link").symlink_to(folder / "1_Pooling")
    with pytest.raises(ModelError, match=named):
        read_layout(folder)


@pytest.mark.parametrize(
    "name", ["config.json", "1_Pooling/config.json", "tokenizer.json", "model.safetensors"]
)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"no {name.rpartition('/')[2]}"):
        read_layout(folder)


def test_damaged_json_is_named(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json"):
        read_layout(folder)


def test_a_missing_folder_is_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError):
        read_layout(tmp_path / "nowhere")


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


def test_a_masked_language_model_is_sparse_where_that_is_said(folder: Path) -> None:
    (folder / "modules.json").unlink()
    change(folder, "config.json", architectures=["BertForMaskedLM"], vocab_size=100)
    source = read_layout(folder, pooling="splade")
    assert (source.kind, source.dim, source.pooling) == ("sparse", 100, "")
    assert read_layout(folder, pooling="mean").kind == "onnx"
    change(folder, "config.json", architectures=["BertModel"])
    with pytest.raises(ModelError, match="--pooling splade weighs the words .*, and this is BertModel"):
        read_layout(folder, pooling="splade")


def test_modules_say_more_than_a_stated_pooling(folder: Path) -> None:
    change(folder, "config.json", architectures=["BertForMaskedLM"])
    assert read_layout(folder, pooling="splade").kind == "onnx"
