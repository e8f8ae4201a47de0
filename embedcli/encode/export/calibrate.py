"""The ranges that activations take, channel by channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from embedcli.encode.export.graph import halved_if_large, make_feeds
from embedcli.errors import InputError, MissingPathError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from embedcli.encode.layout import Layout


MAX_TEXTS = 1000
"""Texts that scales are taken from: the ranges of activations hardly grow after the first hundred."""


class Range(NamedTuple):
    """The lowest and highest value of each channel, shape (channels,) each, float32."""

    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]


def read_texts(path: Path) -> tuple[str, ...]:
    """Return a file's lines that are not blank; of more than `MAX_TEXTS`, as many, spread over the file.

    Raises:
        InputError: The file has no text, or is not UTF-8.
        MissingPathError: It is not there, or cannot be read.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8: {error.reason}") from error
    except OSError as error:
        raise MissingPathError(str(path), error.strerror or str(error)) from error
    texts = [line for line in lines if line]
    if not texts:
        raise InputError(f"{path}: no text to take scales from")
    return tuple(texts[:: -(-len(texts) // MAX_TEXTS)])


def calibration_ids(source: Layout, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Return each text's token ids, special tokens included, cut at `max_tokens`."""
    import tokenizers

    loaded = tokenizers.Tokenizer.from_str(source.tokenizer)
    loaded.enable_truncation(max_tokens)
    return [list(loaded.encode(text.lower() if source.lower_case else text).ids) for text in texts]


def run_tapped(
    model: Any, names: Sequence[str], texts: Iterable[Sequence[int]]
) -> Iterator[list[npt.NDArray[np.float32]]]:
    """Run a graph over texts and yield some of its inner tensors, in the order of `names`.

    Args:
        model: An ONNX `ModelProto`; not modified.
        names: Float tensors of the graph.
        texts: Token ids of each text; one unpadded call each.
    """
    import numpy as np
    import onnxruntime
    from onnx import ModelProto, TensorProto, helper

    tapped = ModelProto()
    tapped.CopyFrom(model)
    tapped.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        halved_if_large(tapped).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    inputs = [item.name for item in session.get_inputs()]
    for token_ids in texts:
        yield session.run(names, make_feeds(inputs, np.array([token_ids], dtype=np.int64)))


def measure_ranges(model: Any, names: Iterable[str], texts: Iterable[Sequence[int]]) -> Mapping[str, Range]:
    """Run a graph over texts and note the ranges of some of its inner tensors.

    Args:
        model: An ONNX `ModelProto`; not modified.
        names: Float tensors of the graph with channels in the last axis.
        texts: Token ids of each text; one unpadded call each.

    Returns:
        Ranges by the name of the tensor.
    """
    import numpy as np

    names = list(dict.fromkeys(names))
    ranges: dict[str, Range] = {}
    for arrays in run_tapped(model, names, texts):
        for name, array in zip(names, arrays, strict=True):
            rows = array.reshape(-1, array.shape[-1])
            low, high = rows.min(axis=0), rows.max(axis=0)
            before = ranges.get(name, Range(low, high))
            ranges[name] = Range(np.minimum(before.low, low), np.maximum(before.high, high))
    return ranges
