"""Every architecture with tiny random weights, against sentence-transformers itself.

Needs the extra `export` and sentence-transformers; skipped where they are not installed.
"""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from embedcli.encode.export import ExportSettings, export_model
from embedcli.encode.manifest import read_manifest, verify_files
from embedcli.encode.onnx import OnnxEncoder
from embedcli.errors import ModelError
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from embedcli.datatypes import Vectors

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
sentence_transformers = pytest.importorskip("sentence_transformers")
for library in ("optimum.exporters.onnx", "onnx", "sympy"):
    pytest.importorskip(library, exc_type=ImportError)

torch.set_num_threads(1)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

TEXTS = [
    f"{'abcdefghijklmnopqrstuvwxyz'[number % 26 :]} {number} is {number * number} {'xyz ' * (number % 7)}".strip()
    for number in range(50)
]
SIZES = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128}
VOCABULARY = 100
MAX_TOKENS = 48

# Ids 0 to 3 are special in every tokenizer here; RoBERTa's and MPNet's padding must be 1.
START, PAD, END, UNKNOWN = range(4)
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
DECODERS = {"llama", "qwen3", "gemma3_text"}
BERT = {"pad_token_id": PAD, "vocab_size": VOCABULARY, **SIZES}


def _config(name: str, **more: Any) -> Any:
    """Return the configuration of a tiny model."""
    positions = {"max_position_embeddings": MAX_TOKENS + 2}
    ends = {"bos_token_id": START, "eos_token_id": END}
    match name:
        case "bert":
            return transformers.BertConfig(**BERT, **positions, **more)
        case "roberta":
            return transformers.RobertaConfig(**BERT, **positions, **ends, type_vocab_size=1, **more)
        case "xlm-roberta":
            return transformers.XLMRobertaConfig(**BERT, **positions, **ends, type_vocab_size=1, **more)
        case "mpnet":
            return transformers.MPNetConfig(**BERT, **positions, **ends, **more)
        case "distilbert":
            sizes = {"dim": 64, "n_layers": 3, "n_heads": 4, "hidden_dim": 128}
            return transformers.DistilBertConfig(
                vocab_size=VOCABULARY, pad_token_id=PAD, **sizes, **positions, **more
            )
        case "modernbert":
            marks = {"cls_token_id": START, "sep_token_id": END, "local_attention": 8}
            return transformers.ModernBertConfig(**BERT, **positions, **ends, **marks, **more)
        case "electra":
            return transformers.ElectraConfig(**BERT, **positions, embedding_size=64, **more)
        case "albert":
            return transformers.AlbertConfig(**BERT, **positions, embedding_size=32, **more)
        case "deberta-v2":
            relative = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8}
            return transformers.DebertaV2Config(**BERT, **positions, **relative, share_att_key=True, **more)
        case "llama":
            return transformers.LlamaConfig(**BERT, **positions, **ends, num_key_value_heads=2, **more)
        case "qwen3":
            heads = {"num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 64}
            return transformers.Qwen3Config(**BERT, **ends, **heads, **more)
        case "gemma3_text":
            heads = {"num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 64}
            window = {"sliding_window": 32, "query_pre_attn_scalar": 16, "use_bidirectional_attention": True}
            return transformers.Gemma3TextConfig(**BERT, **ends, **heads, **window, **more)
    raise AssertionError(name)


def _tokenizer(name: str) -> Any:
    """Return a tokenizer of single characters, with the special tokens of an encoder or a decoder."""
    is_decoder = name in DECODERS
    words = [*SPECIAL, " ", *(chr(code) for code in range(33, 33 + VOCABULARY - 5))]
    tokenizer = Tokenizer(models.WordLevel({word: row for row, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    single, pair = (
        ("$A </s>", "$A </s> $B </s>") if is_decoder else ("<s> $A </s>", "<s> $A </s> $B:1 </s>:1")
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[("<s>", START), ("</s>", END)]
    )
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in SPECIAL])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=MAX_TOKENS,
        model_input_names=["input_ids", "attention_mask", *(["token_type_ids"] if name == "bert" else [])],
        padding_side="left" if is_decoder else "right",
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
    )


def save_weights(name: str, folder: Path, automatic: str = "AutoModel", **more: Any) -> Path:
    """Write a tiny model as transformers keeps it and return the folder."""
    torch.manual_seed(sum(map(ord, name)))
    model = getattr(transformers, automatic).from_config(_config(name, **more))
    with torch.no_grad():
        for key, values in model.named_parameters():
            # With the usual small weights every token would look at all others alike, and no mistake within
            # attention could be seen.
            if "relative_attention_bias" in key:
                values.mul_(50)
            elif re.search(r"(attention|attn)\b.*weight$", key) and "norm" not in key.lower():
                values.mul_(5)
    model.save_pretrained(folder)
    _tokenizer(name).save_pretrained(folder)
    return folder


def make_encoder(name: str, folder: Path) -> tuple[Path, Any]:
    """Write a tiny encoder as sentence-transformers keeps it; return the folder and the encoder."""
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    weights = save_weights(name, folder / "weights")
    transformer = modules.Transformer(str(weights))
    parts = [transformer, modules.Pooling(64, "lasttoken" if name == "qwen3" else "mean")]
    if name == "gemma3_text":
        # As EmbeddingGemma has: wider, and back.
        parts += [modules.Dense(64, 96, bias=False, activation_function=torch.nn.Identity())]
        parts += [modules.Dense(96, 64, bias=False, activation_function=torch.nn.Identity())]
    encoder = sentence_transformers.SentenceTransformer(modules=[*parts, modules.Normalize()], device="cpu")
    encoder.save_pretrained(str(folder / "saved"))
    # What was saved counts: some configurations change when they are read again.
    return folder / "saved", sentence_transformers.SentenceTransformer(str(folder / "saved"), device="cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """Make each architecture's source once."""
    sources: dict[str, tuple[Path, Any]] = {}

    def make(name: str) -> tuple[Path, Any]:
        if name not in sources:
            sources[name] = make_encoder(name, tmp_path_factory.mktemp(name))
        return sources[name]

    return make


def _export(source: Path, out: Path, **more: Any) -> None:
    settings = ExportSettings(name="tiny", source="made up", licence="Apache-2.0", **more)
    export_model(source, out, settings, lambda _: None)


def _vectors(folder: Path, variant: str) -> Vectors:
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    encoder = OnnxEncoder(folder, manifest, variant=variant, device="cpu", jobs=1)
    return normalize(np.concatenate([encoder.encode([text], on_long="truncate").vectors for text in TEXTS]))


FUSED = ["bert", "distilbert", "roberta", "xlm-roberta", "mpnet"]
PARTLY_FUSED = ["modernbert", "qwen3", "gemma3_text"]


@pytest.mark.parametrize("name", [*FUSED, *PARTLY_FUSED])
@pytest.mark.parametrize("recipe", ["fp32", "int8", "int8-dynamic", "int8-static", "fp16"])
def test_vectors_are_those_of_sentence_transformers(
    made: Callable[[str], tuple[Path, Any]], tmp_path: Path, name: str, recipe: Any
) -> None:
    source, encoder = made(name)
    if recipe == "int8" and name in PARTLY_FUSED:
        with pytest.raises(ModelError, match=f"cannot be made of a {name}") as caught:
            _export(source, tmp_path / "tiny", recipe=recipe)
        assert caught.value.hint == "--recipe int8-dynamic"
        return
    expected = encoder.encode(TEXTS, batch_size=1, normalize_embeddings=True)
    _export(source, tmp_path / "tiny", recipe=recipe)
    found = _vectors(tmp_path / "tiny", recipe)
    least, least_apart = {"fp32": (0.9999, 0.9999), "fp16": (0.999, 0.99)}.get(recipe, (0.99, 0.97))
    assert (found * expected).sum(axis=1).min() >= least
    # Vectors of random weights have much in common; what tells the texts apart must fit as well.
    middle = expected.mean(axis=0)
    apart = (normalize(found - middle) * normalize(expected - middle)).sum(axis=1)
    assert apart.min() >= least_apart


@pytest.mark.parametrize("name", [*FUSED, *PARTLY_FUSED])
@pytest.mark.parametrize("recipe", ["fp32", "fp16"])
def test_padding_at_the_end_is_not_looked_at(
    made: Callable[[str], tuple[Path, Any]], tmp_path: Path, name: str, recipe: Any
) -> None:
    # On a GPU texts of different lengths share a call.
    _export(made(name)[0], tmp_path / "tiny", recipe=recipe)
    session = onnxruntime.InferenceSession(
        str(tmp_path / "tiny" / f"model_{recipe}.onnx"), providers=["CPUExecutionProvider"]
    )
    ids = np.random.default_rng(3).integers(4, VOCABULARY, (2, 30))
    ids[1, 12:] = PAD
    mask = np.where(np.arange(30) < [[30], [12]], 1, 0)
    places = np.broadcast_to(np.arange(30), ids.shape).copy()

    def run(rows: slice, columns: slice) -> Any:
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": mask * 0, "position_ids": places}
        taken = {item.name: feeds[item.name][rows, columns] for item in session.get_inputs()}
        return session.run(["last_hidden_state"], taken)[0]

    alone = run(slice(1, 2), slice(12))[0]
    together = run(slice(2), slice(30))[1, :12]
    assert np.abs(alone - together).max() < (1e-4 if recipe == "fp32" else 0.05)


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        *(("electra", recipe) for recipe in ("fp32", "int8")),
        *(
            (name, recipe)
            for name in ("albert", "deberta-v2", "llama")
            for recipe in ("fp32", "int8-dynamic")
        ),
    ],
)
def test_other_architectures_give_their_vectors_too(tmp_path: Path, name: str, recipe: Any) -> None:
    source, encoder = make_encoder(name, tmp_path)
    expected = encoder.encode(TEXTS, batch_size=1, normalize_embeddings=True)
    _export(source, tmp_path / "tiny", recipe=recipe)
    cosines = (_vectors(tmp_path / "tiny", recipe) * expected).sum(axis=1)
    assert cosines.min() >= (0.9999 if recipe == "fp32" else 0.99)


@pytest.mark.parametrize("name", ["bert", "mpnet", "qwen3"])
def test_weights_in_4_bits_are_near_and_small(
    made: Callable[[str], tuple[Path, Any]], tmp_path: Path, name: str
) -> None:
    source, encoder = made(name)
    expected = encoder.encode(TEXTS, batch_size=1, normalize_embeddings=True)
    _export(source, tmp_path / "tiny", recipe="int4")
    assert (_vectors(tmp_path / "tiny", "int4") * expected).sum(axis=1).min() > 0.9
    variant = read_manifest(tmp_path / "tiny").variants["int4"]
    products = {"bert": 6, "mpnet": 6, "qwen3": 7}[name]
    assert variant.operators["MatMulNBits"] == 3 * products
    weights = _weight_bytes(tmp_path / "tiny" / variant.file)
    assert weights < 0.4 * _weight_bytes_of_float(source)


def _weight_bytes(path: Path) -> int:
    import onnx

    return sum(len(item.raw_data) for item in onnx.load(path).graph.initializer)


def _weight_bytes_of_float(source: Path) -> int:
    from safetensors.numpy import load_file

    return sum(array.nbytes for array in load_file(source / "model.safetensors").values())


@pytest.mark.parametrize(
    ("name", "recipe", "operators"),
    [
        ("bert", "fp32", {"Attention": 3, "SkipLayerNormalization": 6, "BiasGelu": 3}),
        ("roberta", "int8", {"QAttention": 3, "MatMulIntegerToFloat": 9, "Gelu": 3}),
        ("mpnet", "fp32", {"MultiHeadAttention": 3, "SkipLayerNormalization": 7, "BiasGelu": 3}),
        ("mpnet", "int8", {"MultiHeadAttention": 3, "MatMulIntegerToFloat": 12, "Gelu": 3}),
        ("distilbert", "int8-dynamic", {"QAttention": 3, "MatMulInteger": 9}),
        (
            "modernbert",
            "int8-static",
            {"MatMulIntegerToFloat": 12, "SkipLayerNormalization": 6, "Softmax": 3},
        ),
    ],
)
def test_the_manifest_counts_what_was_fused(
    made: Callable[[str], tuple[Path, Any]], tmp_path: Path, name: str, recipe: Any, operators: dict[str, int]
) -> None:
    _export(made(name)[0], tmp_path / "tiny", recipe=recipe)
    variant = read_manifest(tmp_path / "tiny").variants[recipe]
    assert operators.items() <= variant.operators.items()
    assert ("attention not" in variant.recipe) is (name == "modernbert")


def test_dense_layers_and_settings_reach_the_manifest(
    made: Callable[[str], tuple[Path, Any]], tmp_path: Path
) -> None:
    _export(made("gemma3_text")[0], tmp_path / "tiny", recipe="fp32")
    manifest = read_manifest(tmp_path / "tiny")
    assert [(layer.file, layer.activation) for layer in manifest.dense] == [
        ("dense_1.safetensors", "identity"),
        ("dense_2.safetensors", "identity"),
    ]
    assert (manifest.dim, manifest.pooling, manifest.max_tokens) == (64, "mean", MAX_TOKENS)


def _model_test(folder: Path) -> None:
    from embedcli.encode.catalog import EncoderSettings, Model
    from embedcli.tasks.model_test import run_model_test

    report = run_model_test(Model(folder, read_manifest(folder)), EncoderSettings(device="cpu", jobs=1))
    assert report.passed
    assert report.cosine_min > 0.9999


def test_stored_probes_are_what_a_test_of_the_model_expects(
    made: Callable[[str], tuple[Path, Any]], tmp_path: Path
) -> None:
    source = shutil.copytree(made("bert")[0], tmp_path / "prompted")
    (source / "sentence_bert_config.json").write_text(json.dumps({"do_lower_case": True}))
    settings = json.loads((source / "config_sentence_transformers.json").read_text())
    settings["prompts"] = {"query": "q: ", "document": "some longer words: "}
    (source / "config_sentence_transformers.json").write_text(json.dumps(settings))
    _export(source, tmp_path / "tiny", recipe="int8")
    manifest = read_manifest(tmp_path / "tiny")
    assert (manifest.prompts["document"], manifest.lower_case) == ("some longer words: ", True)
    _model_test(tmp_path / "tiny")
