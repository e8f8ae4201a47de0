"""The recipes against sentence-transformers itself, on real architectures with random weights.

Skipped where torch and the libraries of an export are not installed.
"""

from __future__ import annotations

import random
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from embedcli.encode.adopt import Origin, adopt_folder
from embedcli.encode.catalog import EncoderSettings, Model, open_encoder
from embedcli.encode.layout import read_layout
from embedcli.errors import ModelError
from tests.models_maker import TOKENIZERS

torch = pytest.importorskip("torch")
sentence_transformers = pytest.importorskip("sentence_transformers")
pytest.importorskip("optimum.exporters.onnx")
transformers = pytest.importorskip("transformers")

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.slow,
]

MAX_TOKENS = 48
_RANDOM = random.Random(4)
_WORDS = [
    "the",
    "dog",
    "runs",
    "a",
    "Cat",
    "SLEEPS",
    "query",
    "text",
    "naïve",
    "漢字",
    "x²",
    "\U0001f600",
    "of",
]
TEXTS = [
    "x",
    ".",
    " leading and trailing space ",
    "two\n\nlines\tand a tab",
    "ends in a line end\n",
    "    ",
    "[SEP] </s> <eos>",
    "ÀÉÎÕÜ ß ΑΣ İ",
    "the dog " * 200,
    "漢字" * 100,
    *(" ".join(_RANDOM.choices(_WORDS, k=_RANDOM.randint(1, 60))) for _ in range(40)),
]


@dataclass(frozen=True)
class Recipe:
    """A model to make: architecture, and what follows it."""

    architecture: str
    pooling: str | tuple[str, ...] = "mean"
    normalize: bool = True
    prompts: dict[str, str] = field(default_factory=dict)
    include_prompt: bool = True
    dense: tuple[tuple[int, str], ...] = ()
    padding_side: str = "right"
    truncate_dim: int | None = None
    lower_case: bool = False
    similarity: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


E5 = {"query": "query: ", "passage": "passage: "}
RECIPES = {
    "minilm": Recipe("bert"),
    "e5": Recipe("bert", prompts=E5),
    "bge": Recipe("bert", "cls", prompts={"query": "search document: ", "document": ""}),
    "mpnet-dot": Recipe("mpnet", "cls", normalize=False, similarity="dot"),
    "labse": Recipe("bert", "cls", dense=((24, "Tanh"),)),
    "granite": Recipe("roberta", "cls"),
    "multilingual-e5": Recipe("xlm-roberta", prompts=E5),
    "modernbert-embed": Recipe(
        "modernbert", prompts={"query": "search_query: ", "document": "search_document: "}
    ),
    "qwen3": Recipe("qwen3", "lasttoken", prompts={"query": "task: the\nquery:"}, padding_side="left"),
    "gemma": Recipe(
        "gemma3_text",
        prompts={"query": "task: search | query: ", "document": "title: none | text: "},
        dense=((64, "Identity"), (32, "Identity")),
    ),
    "all-modes": Recipe(
        "bert", ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"), normalize=False
    ),
    "other-order": Recipe("bert", ("lasttoken", "mean"), dense=((16, "GELU"), (12, "ReLU"), (10, "Sigmoid"))),
    "instructor": Recipe("bert", "mean", prompts={"query": "task: the query "}, include_prompt=False),
    "instructor-bytes": Recipe(
        "roberta", ("cls", "max", "weightedmean"), prompts={"query": "task: "}, include_prompt=False
    ),
    "instructor-bare": Recipe(
        "qwen3", ("mean", "lasttoken"), prompts={"query": "task: "}, include_prompt=False
    ),
    "cut": Recipe("bert", truncate_dim=20),
    "lower": Recipe("roberta", lower_case=True),
}


def make_transformer(recipe: Recipe, folder: Path) -> None:
    """Write a transformer with random weights that are large enough to tell texts apart."""
    torch.manual_seed(7)
    inner = TOKENIZERS[recipe.architecture]()
    pads = {"bert": "[PAD]", "mpnet": "[PAD]"}
    specials = {
        "pad_token": pads.get(recipe.architecture, "<pad>"),
        **{
            key: token
            for key, token in (("cls_token", "[CLS]"), ("sep_token", "[SEP]"))
            if inner.token_to_id(token)
        },
        **{
            key: token
            for key, token in (("bos_token", "<s>"), ("eos_token", "</s>"))
            if inner.token_to_id(token)
        },
        **({"eos_token": "<|endoftext|>"} if recipe.architecture == "qwen3" else {}),
        **({"bos_token": "<bos>", "eos_token": "<eos>"} if recipe.architecture == "gemma3_text" else {}),
    }
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        padding_side=recipe.padding_side,
        model_max_length=MAX_TOKENS,
        model_input_names=["input_ids", "attention_mask"],
        **specials,
    )
    tokenizer.save_pretrained(folder)
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 60,
        "initializer_range": 0.4,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if recipe.architecture in ("roberta", "xlm-roberta", "mpnet"):
        sizes["pad_token_id"] = 1
    if recipe.architecture in ("qwen3", "gemma3_text"):
        sizes |= {"num_key_value_heads": 2, "head_dim": 8}
    if recipe.architecture == "gemma3_text":
        sizes |= {"use_bidirectional_attention": True}
    config = transformers.AutoConfig.for_model(recipe.architecture, **sizes, **recipe.options)
    model = transformers.AutoModel.from_config(config, attn_implementation="eager").eval()
    model.save_pretrained(folder)


def make_model(recipe: Recipe, folder: Path) -> Any:
    """Save a model through sentence-transformers, with a plain ONNX graph beside, and return it."""
    from optimum.exporters.onnx import main_export
    from sentence_transformers.sentence_transformer import modules as parts

    bare = folder.with_name(folder.name + "-bare")
    make_transformer(recipe, bare)
    transformer = parts.Transformer(
        str(bare), do_lower_case=recipe.lower_case, model_kwargs={"attn_implementation": "eager"}
    )
    modes = recipe.pooling if isinstance(recipe.pooling, str) else list(recipe.pooling)
    pooling = parts.Pooling(32, pooling_mode=modes, include_prompt=recipe.include_prompt)
    width, following = pooling.get_embedding_dimension(), []
    for outputs, activation in recipe.dense:
        following.append(parts.Dense(width, outputs, activation_function=getattr(torch.nn, activation)()))
        # As they are by themselves, products are so small that all texts come out alike.
        torch.nn.init.normal_(following[-1].linear.weight, std=0.5)
        width = outputs
    if recipe.normalize:
        following.append(parts.Normalize())
    model = sentence_transformers.SentenceTransformer(
        modules=[transformer, pooling, *following],
        prompts=recipe.prompts or None,
        truncate_dim=recipe.truncate_dim,
        similarity_fn_name=recipe.similarity,
        device="cpu",
    )
    model.save(str(folder), create_model_card=False)
    main_export(
        str(bare),
        folder / "exported",
        task="feature-extraction",
        library_name="transformers",
        device="cpu",
        local_files_only=True,
        do_validation=False,
    )
    (folder / "onnx").mkdir()
    (folder / "exported" / "model.onnx").rename(folder / "onnx" / "model.onnx")
    return model


@pytest.fixture(scope="module", params=RECIPES)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Path, Recipe]:
    """One of the models, its folder and its recipe."""
    recipe = RECIPES[request.param]
    folder = tmp_path_factory.mktemp("torch") / request.param
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_model(recipe, folder), folder, recipe


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return (left * right).sum(axis=1) / lengths


def test_vectors_are_those_of_sentence_transformers(made: tuple[Any, Path, Recipe], tmp_path: Path) -> None:
    model, folder, recipe = made
    manifest = adopt_folder(folder, tmp_path / "out", Origin("tiny", "nobody/tiny", "", ""))
    assert manifest.max_tokens == MAX_TOKENS
    assert manifest.normalize is recipe.normalize
    assert manifest.similarity == (recipe.similarity or "cosine")
    encoder = open_encoder(Model(tmp_path / "out", manifest), EncoderSettings(device="cpu", jobs=2))
    for role in ("query", "document"):
        prompt = manifest.prompts[role]
        expected = model.encode(TEXTS, prompt=prompt, batch_size=1)
        found = encoder.encode(TEXTS, on_long="truncate", prompt=prompt).vectors
        assert found.shape == expected.shape
        assert cosines(found, expected).min() >= 0.9999, role
        if not recipe.normalize:
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
        # Not all alike: otherwise nothing was compared.
        assert np.median(cosines(expected[:-1], expected[1:])) < 0.999
    encoder.close()


def test_another_pooling_would_be_seen(tmp_path: Path) -> None:
    recipe = RECIPES["minilm"]
    folder = tmp_path / "minilm"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make_model(recipe, folder)
    pooling = folder / "1_Pooling" / "config.json"
    assert '"mean"' in pooling.read_text()
    pooling.write_text(pooling.read_text().replace('"mean"', '"cls"'))
    manifest = adopt_folder(folder, tmp_path / "followed", Origin("tiny", "nobody/tiny", "", ""))
    assert manifest.pooling == "cls"
    encoder = open_encoder(Model(tmp_path / "followed", manifest), EncoderSettings(device="cpu", jobs=1))
    found = encoder.encode(TEXTS, on_long="truncate").vectors
    encoder.close()
    assert cosines(found, model.encode(TEXTS, batch_size=1)).min() < 0.9
    pooling.write_text(pooling.read_text().replace('"cls"', '"middle"'))
    with pytest.raises(ModelError, match="'middle'"):
        read_layout(folder)
