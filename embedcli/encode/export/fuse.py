"""Operators that ONNX Runtime runs as one: attention, norms with what is added before them, GELU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedcli.encode.export.graph import count_operators, declare_microsoft, require_operators
from embedcli.encode.export.libraries import silent

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.encode.layout import Layout


@dataclass(frozen=True, slots=True)
class Family:
    """What can be fused in the graphs of one architecture.

    Attributes:
        optimizer: What ONNX Runtime's optimizer calls the architecture; empty if it has nothing for it.
        attention: Whether attention is matched, so that missing operators are an error.
        embedding: Whether the lookup of words and positions is matched too.
    """

    optimizer: str
    attention: bool = False
    embedding: bool = False


FAMILIES = {
    "bert": Family("bert", attention=True, embedding=True),
    "distilbert": Family("bert", attention=True, embedding=True),
    "electra": Family("bert", attention=True, embedding=True),
    "roberta": Family("bert", attention=True),
    "xlm-roberta": Family("bert", attention=True),
    "camembert": Family("bert", attention=True),
    "mpnet": Family("bert", attention=True),
    # Norms and GELU alone: what these add within attention is matched by no fusion.
    **dict.fromkeys(("albert", "deberta", "deberta-v2", "modernbert"), Family("bert")),
    **dict.fromkeys(
        ("gemma", "gemma2", "gemma3_text", "llama", "mistral", "qwen2", "qwen3"), Family("qwen3")
    ),
}
"""By the model type in config.json."""


_PARTS = ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "BiasGelu", "FastGelu")
"""What may be fused where attention is not."""


def family_of(source: Layout) -> Family:
    """Return what can be fused in a model; nothing for an architecture that is not known."""
    return FAMILIES.get(source.model_type, Family(""))


def fuse(raw: Path, source: Layout, *, split_attention: bool = False) -> Any:
    """Fuse attention, skip-layer-norm, GELU and the embedding lookup, as far as the architecture allows.

    Args:
        raw: A graph that `trace.write_raw_graph` wrote.
        source: The same model; `layers` counts those that the graph holds.
        split_attention: Whether the products for queries, keys and values stay apart from attention, and
            the lookup from its norm, so that weights inside them can be rounded.

    Returns:
        An `onnxruntime.transformers.onnx_model.OnnxModel`.

    Raises:
        ModelError: The graph was not matched; the message names the operators that are missing.
    """
    import onnx
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.onnx_model import OnnxModel
    from onnxruntime.transformers.optimizer import optimize_model

    family = family_of(source)
    if not family.optimizer:
        return OnnxModel(onnx.load(str(raw)))
    options = None
    if split_attention:
        options = FusionOptions(family.optimizer)
        options.use_multi_head_attention = True
        options.enable_embed_layer_norm = False
    with silent():
        model = optimize_model(
            str(raw),
            model_type=family.optimizer,
            num_heads=source.heads,
            hidden_size=source.hidden,
            # Level 0: ONNX Runtime's own rewriting first would hide the patterns that the fusions look for.
            opt_level=0,
            optimization_options=options,
        )
    _shorten_angles(model, source.max_positions)
    if source.model_type == "distilbert":
        _measure_ids(model)
    if source.model_type == "mpnet":
        from embedcli.encode.export.mpnet import fuse_mpnet_attention

        fuse_mpnet_attention(model, source.heads)
    if family.attention:
        split = split_attention or source.model_type == "mpnet"
        needed = {
            "MultiHeadAttention" if split else "Attention": source.layers,
            "SkipLayerNormalization": 2 * source.layers,
        }
        if uses_gelu(source):
            needed["BiasGelu"] = source.layers
        if family.embedding and not split_attention:
            needed["EmbedLayerNormalization"] = 1
        require_operators(count_operators(model.model), needed, "fusing")
    # The fusions add operators of this domain without declaring it.
    declare_microsoft(model.model)
    model.topological_sort()
    return model


def _shorten_angles(model: Any, positions: int) -> None:
    """Leave the rows of the tables of rotary embeddings that a model has positions for, in place.

    ONNX Runtime 1.31 makes 131,072 rows for any model: 67 MB for heads of 128.
    """
    from onnx import numpy_helper

    for item in model.model.graph.initializer:
        if item.name in {"cos_cache", "sin_cache"} and item.dims[0] > positions:
            item.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(item)[:positions], item.name))


def _measure_ids(model: Any) -> None:
    """Take the number of tokens from the ids where it is taken from their vectors, in place.

    DistilBERT looks up the words once more for nothing but the shape of the result; after fusing, that
    would keep a second table alive.
    """
    looked_up = {
        node.output[0]
        for node in model.model.graph.node
        if node.op_type == "Gather" and node.input[1] == "input_ids"
    }
    for node in model.model.graph.node:
        # The axes of texts and tokens come first in both.
        if node.op_type == "Shape" and node.input[0] in looked_up and "/embeddings/" in node.name:
            node.input[0] = "input_ids"
    model.prune_graph()


def uses_gelu(source: Layout) -> bool:
    """Whether the feed-forward part has GELU in its exact form."""
    activation: str = source.config.get("hidden_act", source.config.get("activation", "gelu"))
    return activation == "gelu"


def is_like_bert(source: Layout) -> bool:
    """Whether a model has BERT's shape, so that its network can be read and built anew."""
    return (
        family_of(source).attention
        and uses_gelu(source)
        # ELECTRA may widen its words before the first layer.
        and source.config.get("embedding_size", source.hidden) == source.hidden
    )


def describe_fusing(model: Any, source: Layout) -> str:
    """Return what was fused, in words for the manifest."""
    if family_of(source).attention:
        return "fused"
    counts = count_operators(model)
    if any(counts[name] for name in _PARTS):
        return f"norms and GELU fused, attention not (no fusion matches that of {source.model_type})"
    return f"not fused (no fusion matches {source.model_type})"
