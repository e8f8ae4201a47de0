"""Tiny models, made on the spot: ONNX graphs, tokenizers of each kind, and folders as their makers keep them.

The graphs are written in the wire format of onnx.proto by hand: the tests' own environment has no onnx.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FLOAT, INT64, INT32 = 1, 7, 6
_DTYPES = {"float32": FLOAT, "int64": INT64, "int32": INT32}


def _varint(value: int) -> bytes:
    """Return a number in base 128, the lowest part first."""
    parts = []
    while True:
        value, low = value >> 7, value & 127
        parts.append(low | (128 if value else 0))
        if not value:
            return bytes(parts)


def field(number: int, value: int | str | bytes) -> bytes:
    """Return one field of a message: a number, or bytes with their length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def tensor(name: str, values: np.ndarray) -> bytes:
    """Return a TensorProto."""
    dims = b"".join(field(1, size) for size in values.shape)
    return dims + field(2, _DTYPES[values.dtype.name]) + field(8, name) + field(9, values.tobytes())


def value_info(name: str, dtype: int, shape: Sequence[int | str]) -> bytes:
    """Return a ValueInfoProto."""
    dims = b"".join(field(1, field(1, size) if isinstance(size, int) else field(2, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, dtype) + field(2, dims)))


def node(operator: str, inputs: Sequence[str], outputs: Sequence[str], **numbers: int) -> bytes:
    """Return a NodeProto with integer attributes."""
    attributes = b"".join(
        field(5, field(1, name) + field(3, value) + field(20, 2)) for name, value in numbers.items()
    )
    ends = b"".join(field(1, name) for name in inputs) + b"".join(field(2, name) for name in outputs)
    return ends + field(4, operator) + attributes


def graph_bytes(
    nodes: Sequence[bytes], tensors: Sequence[bytes], inputs: Sequence[bytes], outputs: Sequence[bytes]
) -> bytes:
    """Return a ModelProto of opset 17."""
    graph = b"".join(field(1, item) for item in nodes) + field(2, "tiny")
    graph += b"".join(field(5, item) for item in tensors)
    graph += b"".join(field(11, item) for item in inputs) + b"".join(field(12, item) for item in outputs)
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17))


def encoder_graph(
    table: np.ndarray,
    *,
    positions: np.ndarray | None = None,
    output: str = "last_hidden_state",
    also: str | None = None,
    pooled: str | None = None,
    inputs: Sequence[str] = ("input_ids", "attention_mask"),
    dtype: int = INT64,
) -> bytes:
    """Return a graph that looks token vectors up.

    Args:
        table: A row for each token, shape (tokens, dim), float32.
        positions: Rows that are added by `position_ids`, which is then an input.
        output: What the token vectors are called.
        also: Another output before them, of the same shape: their negatives.
        pooled: Another output beside them: their sum, with padding counted in.
        inputs: What the graph takes; only the ids are looked at.
        dtype: Of the inputs.
    """
    names = [*inputs, *(["position_ids"] if positions is not None and "position_ids" not in inputs else [])]
    nodes = [node("Gather", ["table", "input_ids"], [output if positions is None else "words"])]
    tensors = [tensor("table", table.astype(np.float32))]
    if positions is not None:
        tensors.append(tensor("positions", positions.astype(np.float32)))
        nodes += [
            node("Gather", ["positions", "position_ids"], ["places"]),
            node("Add", ["words", "places"], [output]),
        ]
    outputs = [value_info(output, FLOAT, ["texts", "tokens", table.shape[1]])]
    if also is not None:
        nodes.append(node("Neg", [output], [also]))
        outputs.insert(0, value_info(also, FLOAT, ["texts", "tokens", table.shape[1]]))
    if pooled is not None:
        tensors.append(tensor("axes", np.array([1], dtype=np.int64)))
        # From opset 18 the axes are an input; the sum takes them so from 13.
        nodes.append(node("ReduceSum", [output, "axes"], [pooled], keepdims=0))
        outputs.append(value_info(pooled, FLOAT, ["texts", table.shape[1]]))
    return graph_bytes(
        nodes, tensors, [value_info(name, dtype, ["texts", "tokens"]) for name in names], outputs
    )


def pair_graph(
    table: np.ndarray,
    labels: np.ndarray | Sequence[float] = (1.0,),
    *,
    output: str = "logits",
    dtype: int = INT64,
    instead: tuple[Sequence[bytes], Sequence[bytes]] | None = None,
    company: bool = False,
) -> bytes:
    """Return a graph that scores pairs by the words that both texts have.

    The vectors of the tokens of type 0 are added up, and those of type 1; the score is the scalar product of
    the two, times a number for each label. Padding is left out by its mask.

    Args:
        table: A row for each token, shape (tokens, dim), float32.
        labels: What the product is multiplied by, a number for each label.
        output: What the scores are called.
        dtype: Of the inputs.
        instead: Nodes and tensors that give `table`, in place of the table itself.
        company: Whether the products of all pairs of a call are added to each.
    """
    names = ("input_ids", "attention_mask", "token_type_ids")
    nodes = [
        *(() if instead is None else instead[0]),
        node("Gather", ["table", "input_ids"], ["words"]),
        node("Cast", ["attention_mask"], ["present"], to=FLOAT),
        node("Unsqueeze", ["present", "last"], ["mask"]),
        node("Mul", ["words", "mask"], ["kept"]),
        node("Cast", ["token_type_ids"], ["types"], to=FLOAT),
        node("Unsqueeze", ["types", "last"], ["of_second"]),
        node("Mul", ["kept", "of_second"], ["second_words"]),
        node("ReduceSum", ["kept", "middle"], ["whole"], keepdims=0),
        node("ReduceSum", ["second_words", "middle"], ["second"], keepdims=0),
        node("Sub", ["whole", "second"], ["first"]),
        node("Mul", ["first", "second"], ["products"]),
        node("ReduceSum", ["products", "middle"], ["product"], keepdims=1),
        node("ReduceSum", ["product", "rows"], ["of_all"], keepdims=1),
        node("Add", ["product", "of_all"], ["mixed"]),
        node("Mul", ["mixed" if company else "product", "labels"], [output]),
    ]
    tensors = [
        *([tensor("table", table.astype(np.float32))] if instead is None else instead[1]),
        tensor("labels", np.array([labels], dtype=np.float32)),
        tensor("rows", np.array([0], dtype=np.int64)),
        tensor("last", np.array([2], dtype=np.int64)),
        tensor("middle", np.array([1], dtype=np.int64)),
    ]
    inputs = [value_info(name, dtype, ["pairs", "tokens"]) for name in names]
    return graph_bytes(nodes, tensors, inputs, [value_info(output, FLOAT, ["pairs", len(labels)])])


WORDS = "the a of to query passage search document task title none text dog cat runs sleeps"
_ASCII = [chr(number) for number in range(33, 127)]


def _with_specials(inner: Any, first: str, last: str) -> Any:
    """Put special tokens around every text."""
    from tokenizers import processors

    inner.add_special_tokens([token for token in (first, last) if token])
    single = " ".join(part for part in (first, "$A", last) if part)
    pair = " ".join(part for part in (first, "$A", last, "$B:1", f"{last}:1" if last else "") if part)
    specials = [(token, inner.token_to_id(token)) for token in (first, last) if token]
    if specials:
        template = processors.TemplateProcessing(single=single, pair=pair, special_tokens=specials)
        present = inner.post_processor
        inner.post_processor = template if present is None else processors.Sequence([present, template])
    return inner


def wordpiece(*, lower_case: bool = True, first: str = "[CLS]", last: str = "[SEP]") -> Any:
    """Return a tokenizer as BERT has it: words, and the characters of all others."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    pieces = ["[PAD]", "[UNK]", first, last, *WORDS.split(), *_ASCII, *(f"##{char}" for char in _ASCII)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=lower_case)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return _with_specials(inner, first, last)


def byte_level(*, first: str = "<s>", last: str = "</s>") -> Any:
    """Return a tokenizer as RoBERTa, ModernBERT and Qwen have it: any byte, and some merges over a space."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "d"), ("o", "g"), ("Ġd", "og"), ("t", "h"), ("th", "e"), ("Ġ", "the")]
    pieces = [*alphabet, *(left + right for left, right in merges)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    inner = Tokenizer(models.BPE(vocabulary, merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return _with_specials(inner, first, last)


def unigram(*, first: str = "<s>", last: str = "</s>") -> Any:
    """Return a tokenizer as XLM-R has it: pieces with their probabilities, a mark for the space before."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    pieces = [("<unk>", 0.0), ("▁", -4.0), *((f"▁{word}", -3.0) for word in WORDS.split())]
    pieces += [(char, -6.0) for char in [*_ASCII, "é", "漢"]]
    inner = Tokenizer(models.Unigram(pieces, unk_id=0))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    return _with_specials(inner, first, last)


def spaced_bpe(*, first: str = "<bos>", last: str = "<eos>") -> Any:
    """Return a tokenizer as Gemma has it: spaces become a mark, no space is put in front."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    merges = [("d", "o"), ("do", "g"), ("▁", "dog"), ("t", "h"), ("th", "e")]
    pieces = ["<unk>", "▁", "\n", *_ASCII, *(left + right for left, right in merges)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    inner = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True))
    inner.normalizer = normalizers.Replace(" ", "▁")
    inner.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    return _with_specials(inner, first, last)


TOKENIZERS = {
    **dict.fromkeys(("bert", "distilbert", "electra"), wordpiece),
    "mpnet": lambda: wordpiece(first="<s>", last="</s>"),
    "roberta": byte_level,
    "modernbert": lambda: byte_level(first="[CLS]", last="[SEP]"),
    "qwen3": lambda: byte_level(first="", last="<|endoftext|>"),
    "xlm-roberta": unigram,
    "gemma3_text": spaced_bpe,
}
"""What each architecture's tokenizer is like."""


def transformer_config(architecture: str, hidden: int, vocabulary: int) -> dict[str, Any]:
    """Return config.json of a tiny model."""
    sizes = {
        "hidden_size": hidden,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "intermediate_size": 2 * hidden,
    }
    if architecture == "distilbert":
        names = ("dim", "n_heads", "n_layers", "hidden_dim")
        sizes = dict(zip(names, sizes.values(), strict=True))
    return {"model_type": architecture, "vocab_size": vocabulary, "max_position_embeddings": 514, **sizes}


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_dense(
    folder: Path,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    activation: str = "torch.nn.modules.linear.Identity",
) -> None:
    """Write a dense module as sentence-transformers does."""
    from safetensors.numpy import save_file

    settings = {"in_features": weight.shape[1], "out_features": weight.shape[0], "bias": bias is not None}
    write_json(folder / "config.json", {**settings, "activation_function": activation})
    tensors = {"linear.weight": weight.astype(np.float32)}
    if bias is not None:
        tensors["linear.bias"] = bias.astype(np.float32)
    save_file(tensors, folder / "model.safetensors")


def write_modules(folder: Path, names: Sequence[str]) -> None:
    """Write modules.json: the first at the top, each other in a folder of its own."""
    write_json(
        folder / "modules.json",
        [
            {
                "idx": number,
                "name": str(number),
                "path": f"{number}_{name}" if number else "",
                "type": f"sentence_transformers.models.{name}",
            }
            for number, name in enumerate(names)
        ],
    )


def write_source(
    folder: Path,
    *,
    architecture: str = "bert",
    hidden: int = 16,
    pooling: Mapping[str, Any] | None = None,
    normalize: bool = True,
    max_tokens: int | None = 64,
    prompts: Mapping[str, str] | None = None,
    modules: bool = True,
    seed: int = 0,
    **graph: Any,
) -> np.ndarray:
    """Write a folder in the sentence-transformers layout, with a graph that looks tokens up.

    Args:
        folder: Where.
        architecture: What config.json says; the tokenizer is of its kind.
        hidden: Numbers in a token vector.
        pooling: Settings of the pooling module; None for the mean.
        normalize: Whether there is a normalizing module.
        max_tokens: The limit; None for none stated.
        prompts: What config_sentence_transformers.json says.
        modules: Whether there is a modules.json at all.
        seed: Of the random numbers.
        graph: For `encoder_graph`.

    Returns:
        The token vectors, shape (tokens, hidden), float32.
    """
    tokenizer = TOKENIZERS[architecture]()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    size = tokenizer.get_vocab_size()
    table = np.random.default_rng(seed).standard_normal((size, hidden)).astype(np.float32)
    (folder / "onnx").mkdir(exist_ok=True)
    (folder / "onnx" / "model.onnx").write_bytes(encoder_graph(table, **graph))
    write_json(folder / "config.json", transformer_config(architecture, hidden, size))
    if modules:
        write_modules(folder, ["Transformer", "Pooling", *(["Normalize"] if normalize else [])])
        write_json(folder / "1_Pooling" / "config.json", pooling or {"pooling_mode_mean_tokens": True})
        write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_tokens})
        if prompts is not None:
            write_json(folder / "config_sentence_transformers.json", {"prompts": dict(prompts)})
    return table


def words_graph(table: np.ndarray, head: np.ndarray) -> bytes:
    """Return a graph that gives each token scores of all words: its row of a table times a matrix.

    Args:
        table: Shape (tokens, hidden), float32.
        head: Shape (hidden, words), float32.
    """
    nodes = [node("Gather", ["table", "input_ids"], ["rows"]), node("MatMul", ["rows", "head"], ["logits"])]
    tensors = [tensor("table", table.astype(np.float32)), tensor("head", head.astype(np.float32))]
    names = ("input_ids", "attention_mask")
    return graph_bytes(
        nodes,
        tensors,
        [value_info(name, INT64, ["texts", "tokens"]) for name in names],
        [value_info("logits", FLOAT, ["texts", "tokens", head.shape[1]])],
    )


def write_sparse_model(
    folder: Path, *, max_tokens: int = 16, seed: int = 0, table: np.ndarray | None = None
) -> np.ndarray:
    """Write a model folder of kind `sparse` with the tokenizer of BERT, named after the folder.

    Special tokens score high for every word, so that it shows where they are not left out.

    Args:
        folder: Where.
        max_tokens: Tokens that one call takes.
        seed: Of the random numbers.
        table: The rows of the tokens, shape (tokens, 8), in place of random ones.

    Returns:
        The scores that each token gives each word, shape (tokens, words), float32.
    """
    from embedcli.encode.manifest import FileEntry, Manifest, Variant, format_manifest

    folder.mkdir(parents=True)
    tokenizer = wordpiece()
    tokenizer.save(str(folder / "tokenizer.json"))
    size = tokenizer.get_vocab_size()
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((size, 8)).astype(np.float32) if table is None else table
    head = rng.standard_normal((8, size)).astype(np.float32)
    # A last direction that only special tokens have.
    rows = np.column_stack([rows, [9.0 if number in (2, 3) else 0.0 for number in range(size)]])
    head = np.vstack([head - 0.2, np.ones((1, size))])
    rows, head = rows.astype(np.float32), head.astype(np.float32)
    (folder / "model.onnx").write_bytes(words_graph(rows, head))
    files = {
        name: FileEntry(
            hashlib.sha256((folder / name).read_bytes()).hexdigest(), (folder / name).stat().st_size
        )
        for name in ("model.onnx", "tokenizer.json")
    }
    manifest = Manifest(
        name=folder.name,
        kind="sparse",
        description="",
        source="made for tests",
        revision="1",
        weights_sha256=files["model.onnx"].sha256,
        licence="Apache-2.0",
        languages=(),
        not_for="",
        dim=size,
        dims=(),
        max_tokens=max_tokens,
        pooling="cls",
        normalize=False,
        tokenizer="tokenizer.json",
        default_variant="fp32",
        prompts={"query": "", "document": ""},
        variants={"fp32": Variant("model.onnx", "cpu", one_text_per_call=False, recipe="two matrices")},
        files=files,
    )
    (folder / "model.toml").write_text(format_manifest(manifest))
    with np.errstate(invalid="ignore"):
        scores: np.ndarray = rows @ head
    return scores


def write_pair_model(
    folder: Path,
    tokenizer: Any = None,
    *,
    max_tokens: int = 32,
    one_text_per_call: bool = False,
    seed: int = 0,
    table: np.ndarray | None = None,
    probes: bool = True,
    **graph: Any,
) -> np.ndarray:
    """Write the model folder of a cross-encoder; see `pair_graph`.

    Args:
        folder: Where; its name is the model's.
        tokenizer: Of the library tokenizers; None for the one of BERT.
        max_tokens: The limit.
        one_text_per_call: What the manifest says of company.
        seed: Of the random numbers in the table.
        table: The token vectors, shape (tokens, dim).
        probes: Whether the manifest holds pairs with their scores.
        graph: For `pair_graph`.

    Returns:
        The token vectors, shape (tokens, dim), float32.
    """
    from dataclasses import replace

    from embedcli.encode.layout_files import file_sha256
    from embedcli.encode.manifest import FileEntry, Manifest, Variant, format_manifest
    from embedcli.encode.pair_probes import make_pair_probes
    from embedcli.encode.pairs import PairEncoder

    inner = wordpiece() if tokenizer is None else tokenizer
    folder.mkdir(parents=True)
    inner.save(str(folder / "tokenizer.json"))
    if table is None:
        size = inner.get_vocab_size()
        # Eighths: their sums and products are exact in whatever order.
        table = (np.random.default_rng(seed).integers(-8, 9, (size, 8)) / 8).astype(np.float32)
    (folder / "model.onnx").write_bytes(pair_graph(table, **graph))
    manifest = Manifest(
        name=folder.name,
        kind="cross-encoder",
        description="made up",
        source="made up",
        revision="1",
        weights_sha256="0",
        licence="Apache-2.0",
        languages=("en",),
        not_for="anything",
        dim=len(graph.get("labels", (1.0,))),
        dims=(),
        max_tokens=max_tokens,
        pooling="cls",
        normalize=False,
        tokenizer="tokenizer.json",
        default_variant="fp32",
        prompts={},
        variants={"fp32": Variant("model.onnx", "cpu", one_text_per_call, "made by hand")},
        files={
            name: FileEntry(file_sha256(folder / name), (folder / name).stat().st_size)
            for name in ("model.onnx", "tokenizer.json")
        },
    )
    if probes:
        encoder = PairEncoder(folder, manifest, variant="fp32", device="cpu", jobs=1)
        manifest = replace(manifest, probes=make_pair_probes(encoder, ("the dog runs", "a cat", "none")))
    (folder / "model.toml").write_text(format_manifest(manifest), encoding="utf-8")
    return table
