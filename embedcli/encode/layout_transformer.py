"""What a source folder says of its transformer: architecture, token limit, tokenizer.

Source: sentence-transformers 5.7, `base/modules/transformer.py`, and the settings that older versions wrote
for the same module; transformers 4.57 for the names of each architecture's settings.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from embedcli.encode.layout_files import read_object
from embedcli.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

TOKENIZER_NAME = "tokenizer.json"

_SETTINGS_NAMES = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)
"""The library takes the first that is there and not empty."""

_TEXT_ONLY = {"method": "forward", "method_output_name": "last_hidden_state"}
_HARMLESS_MODEL_SETTINGS = frozenset(
    {"add_pooling_layer", "attn_implementation", "dtype", "torch_dtype", "trust_remote_code"}
)
_UNLIMITED = 1 << 40
"""A tokenizer without a limit says 10^30."""


class _Names(NamedTuple):
    """What an architecture calls its settings, and how it counts positions.

    Attributes:
        offset: Rows at the head of the position table that no token takes; None where there is no table.
    """

    offset: int | None = 0
    hidden: str = "hidden_size"
    heads: str = "num_attention_heads"
    layers: str = "num_hidden_layers"
    intermediate: str = "intermediate_size"
    positions: str = "max_position_embeddings"


_TABLE, _OFFSET, _NO_TABLE = _Names(), _Names(offset=2), _Names(offset=None)

_ARCHITECTURES: dict[str, _Names] = {
    **dict.fromkeys(("albert", "bert", "deberta", "electra", "ernie"), _TABLE),
    "distilbert": _Names(hidden="dim", heads="n_heads", layers="n_layers", intermediate="hidden_dim"),
    **dict.fromkeys(("camembert", "mpnet", "roberta", "xlm-roberta"), _OFFSET),
    **dict.fromkeys(
        ("deberta-v2", "gemma", "gemma2", "gemma3_text", "llama", "mistral", "modernbert", "qwen2", "qwen3"),
        _NO_TABLE,
    ),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a transformer.

    Attributes:
        hidden: Numbers in a token vector.
        heads: Attention heads in each layer.
        layers: Transformer layers.
        intermediate: Width of the feed-forward part.
        positions: Tokens that it has positions for.
        has_table: Whether more positions than that cannot be computed.
    """

    hidden: int
    heads: int
    layers: int
    intermediate: int
    positions: int
    has_table: bool


def read_shape(folder: Path, config: dict[str, Any]) -> Shape:
    """Return the sizes that config.json states.

    Raises:
        ModelError: The architecture is not known, brings code of its own, or lacks a size.
    """
    if config.get("auto_map"):
        raise ModelError(f"{folder}: the model brings code of its own (auto_map), which is never run")
    kind = config.get("model_type")
    if kind is None:
        raise ModelError(f"{folder}: config.json lacks model_type")
    names = _ARCHITECTURES.get(kind) if isinstance(kind, str) else None
    if names is None:
        raise ModelError(
            f"{folder}: model type {kind!r} is not supported",
            hint="supported: " + ", ".join(sorted(_ARCHITECTURES)),
        )
    keys = (names.hidden, names.heads, names.layers, names.intermediate, names.positions)
    missing = sorted(key for key in keys if key not in config)
    if missing:
        raise ModelError(f"{folder}: config.json lacks {', '.join(missing)}")
    for key in keys:
        if not isinstance(config[key], int) or isinstance(config[key], bool) or not 0 < config[key] < 1 << 31:
            raise ModelError(f"{folder}: {key} {config[key]!r} in config.json is not a size")
    offset = names.offset
    if offset:
        # Positions start after that of padding. MPNet's is fixed.
        pad = config.get("pad_token_id", 1)
        offset = pad + 1 if isinstance(pad, int) and kind != "mpnet" else offset
    hidden, heads, layers, intermediate, positions = (int(config[key]) for key in keys)
    if offset is not None and positions <= offset:
        raise ModelError(f"{folder}: {names.positions} {positions} leaves no position for a token")
    return Shape(hidden, heads, layers, intermediate, positions - (offset or 0), offset is not None)


@dataclass(frozen=True, slots=True)
class TransformerSettings:
    """What sentence-transformers was told of its transformer.

    Attributes:
        task: `feature-extraction` for token vectors; other words for other kinds of models.
        max_tokens: The limit stated; None for none.
        lower_case: Whether texts are put into lower case before the tokenizer, beside what it does itself.
    """

    task: str = "feature-extraction"
    max_tokens: int | None = None
    lower_case: bool = False


def read_settings(folder: Path) -> TransformerSettings:
    """Read the settings of the transformer module, in whichever of their files they are.

    Raises:
        ModelError: A setting that changes the vectors is not understood; it is named.
    """
    settings: dict[str, Any] = {}
    path = folder / _SETTINGS_NAMES[0]
    for name in _SETTINGS_NAMES:
        if settings := read_object(folder / name, optional=True):
            path = folder / name
            break
    limit = settings.pop("max_seq_length", None)
    tokenizer = {
        **(settings.pop("tokenizer_args", None) or {}),
        **(settings.pop("processor_kwargs", None) or {}),
    }
    # The library lets the tokenizer's own setting win.
    limit = tokenizer.pop("model_max_length", limit)
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise ModelError(f"{path}: max_seq_length {limit!r} is not a number of tokens")
    for key in ("padding_side", "trust_remote_code"):
        tokenizer.pop(key, None)
    model = {**(settings.pop("model_args", None) or {}), **(settings.pop("model_kwargs", None) or {})}
    other = {**(settings.pop("config_args", None) or {}), **(settings.pop("config_kwargs", None) or {})}
    other.pop("trust_remote_code", None)
    task = settings.pop("transformer_task", "feature-extraction")
    if task == "feature-extraction":
        _check_modalities(path, settings)
    settings.pop("modality_config", None)
    settings.pop("module_output_name", None)
    # It changes how a batch is laid out, not what comes out.
    settings.pop("unpad_inputs", None)
    lower_case = settings.pop("do_lower_case", False)
    left = [
        *(key for key, value in settings.items() if value not in (None, {}, [])),
        *tokenizer,
        *(key for key in model if key not in _HARMLESS_MODEL_SETTINGS),
        *other,
    ]
    if left:
        raise ModelError(f"{path}: setting {left[0]!r} is not supported")
    return TransformerSettings(str(task), limit, bool(lower_case))


def _check_modalities(path: Path, settings: dict[str, Any]) -> None:
    """Refuse a transformer that takes anything but plain text, or gives anything but token vectors."""
    modalities = settings.get("modality_config", {"text": _TEXT_ONLY})
    if not isinstance(modalities, dict) or "text" not in modalities:
        raise ModelError(f"{path}: the model does not take text")
    # With a chat template, the library wraps every text in it.
    if "message" in modalities:
        raise ModelError(f"{path}: texts go through a chat template, which is not supported")
    if modalities["text"] != _TEXT_ONLY or settings.get("module_output_name", "token_embeddings") != (
        "token_embeddings"
    ):
        raise ModelError(f"{path}: the transformer gives something else than token vectors")


def read_max_tokens(folder: Path, settings: TransformerSettings, shape: Shape) -> int:
    """Return how many tokens one call takes, special tokens counted in.

    The stated limit, else the tokenizer's, bounded by the positions there are. A stated limit may exceed the
    positions of a model without a position table.
    """
    if settings.max_tokens is not None:
        return min(settings.max_tokens, shape.positions) if shape.has_table else settings.max_tokens
    limit = read_object(folder / "tokenizer_config.json", optional=True).get("model_max_length")
    if isinstance(limit, (int, float)) and not isinstance(limit, bool) and 1 <= limit < _UNLIMITED:
        return min(int(limit), shape.positions)
    return shape.positions


def read_tokenizer(folder: Path) -> str:
    """Return the tokenizer's JSON text without padding and truncation, which are the encoder's business.

    Raises:
        ModelError: It is missing, or tokenizer_config.json makes another tokenizer of it.
    """
    tokenizer = read_object(folder / TOKENIZER_NAME)
    config = read_object(folder / "tokenizer_config.json", optional=True)
    if config.get("auto_map"):
        raise ModelError(f"{folder}: the tokenizer brings code of its own (auto_map), which is never run")
    if config.get("truncation_side", "right") != "right":
        raise ModelError(f"{folder}: truncation_side {config['truncation_side']!r} is not supported")
    _check_agreement(folder, tokenizer, config)
    bare = {**tokenizer, "truncation": None, "padding": None}
    return json.dumps(bare, ensure_ascii=False, separators=(",", ":"))


def _check_agreement(folder: Path, tokenizer: dict[str, Any], config: dict[str, Any]) -> None:
    """Refuse two files that disagree: which of them wins depends on the version of the library.

    Source: transformers 4.57, the constructors of `BertTokenizerFast` and `RobertaTokenizerFast`, and
    `update_post_processor` of `LlamaTokenizerFast` and `GemmaTokenizerFast`.
    """
    kind = str(config.get("tokenizer_class", "")).removesuffix("Fast")
    normalizer = tokenizer.get("normalizer") or {}
    pairs: list[tuple[str, Any]] = []
    if kind in {"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MPNetTokenizer"}:
        if normalizer.get("type") == "BertNormalizer":
            pairs = [
                ("do_lower_case", normalizer.get("lowercase")),
                ("strip_accents", normalizer.get("strip_accents")),
                ("tokenize_chinese_chars", normalizer.get("handle_chinese_chars")),
            ]
    elif kind in {"RobertaTokenizer", "GPT2Tokenizer"}:
        pairs = [("add_prefix_space", (tokenizer.get("pre_tokenizer") or {}).get("add_prefix_space", False))]
    elif kind in {"LlamaTokenizer", "GemmaTokenizer"}:
        special = json.dumps(tokenizer.get("post_processor"))
        for key, token in (("add_bos_token", "bos_token"), ("add_eos_token", "eos_token")):
            word = config.get(token)
            word = word.get("content") if isinstance(word, dict) else word
            if isinstance(word, str):
                pairs.append((key, json.dumps(word) in special))
    for key, found in pairs:
        if key in config and config[key] != found:
            raise ModelError(
                f"{folder}: tokenizer_config.json says {key} = {config[key]!r}, {TOKENIZER_NAME} {found!r}"
            )


def vocabulary_size(tokenizer: str) -> int:
    """Return one more than the highest token id of a tokenizer in JSON; 0 if none can be told."""
    value = json.loads(tokenizer)
    vocabulary = (value.get("model") or {}).get("vocab") or {}
    ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else [len(vocabulary) - 1]
    ids += [token.get("id") for token in value.get("added_tokens") or () if isinstance(token, dict)]
    return 1 + max((number for number in ids if isinstance(number, int)), default=-1)
