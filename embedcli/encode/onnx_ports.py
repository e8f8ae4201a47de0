"""What an ONNX graph takes and gives: whether it is an encoder of texts, or scores pairs of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embedcli.errors import DamagedModelError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids", "position_ids"})
TOKEN_VECTORS = ("last_hidden_state", "token_embeddings")
"""What exporters call token vectors. A pooled vector that is published beside them is left alone: how it was
pooled cannot be seen."""

WORD_SCORES = ("logits",)
"""What they call the scores that a masked language model gives each word of the vocabulary, at each token."""

_SCORES = "logits"
"""What they call the scores of labels."""

_INTEGERS = {"tensor(int64)": "int64", "tensor(int32)": "int32"}


def input_dtypes(session: Any, path: Path) -> dict[str, str]:
    """Return what the graph takes: the dtype of each input by its name.

    Raises:
        DamagedModelError: An input that an encoder of texts does not have.
        ModelError: A graph that writes text, with a cache of keys and values.
    """
    inputs = {item.name: item.type for item in session.get_inputs()}
    if cache := sorted(name for name in inputs if name.startswith("past_")):
        raise ModelError(
            f"{path}: takes {cache[0]}: exported for writing text, with a cache of keys and values",
            hint="export it for feature extraction: embedcli models export",
        )
    if unknown := sorted(set(inputs) - _INPUTS):
        raise DamagedModelError(f"{path}: takes {unknown[0]}, which is no input of a text encoder")
    if "input_ids" not in inputs or not set(inputs.values()) <= set(_INTEGERS):
        raise DamagedModelError(f"{path}: inputs {inputs} are not those of a text encoder")
    return {name: _INTEGERS[kind] for name, kind in inputs.items()}


def token_output(session: Any, path: Path, names: tuple[str, ...] = TOKEN_VECTORS) -> tuple[str, int | None]:
    """Return the output that holds a row of numbers for each token, and its width if the graph states it.

    Args:
        session: The open graph.
        path: Its file, for messages.
        names: What the output may be called; where none is, the only one of three axes is taken.

    Raises:
        DamagedModelError: There is none, or several could be it.
    """
    shapes = {item.name: list(item.shape or ()) for item in session.get_outputs()}
    known = [name for name in names if name in shapes and len(shapes[name]) in (0, 3)]
    found = known or [name for name, shape in shapes.items() if len(shape) == 3]
    if len(found) != 1 and not known:
        raise DamagedModelError(f"{path}: outputs {sorted(shapes)}: none is known to be token vectors")
    shape = shapes[found[0]]
    return found[0], shape[2] if len(shape) == 3 and isinstance(shape[2], int) else None


def score_output(session: Any, path: Path) -> tuple[str, int | None]:
    """Return the output that holds the scores of pairs, and how many each pair gets if the graph states it.

    Raises:
        DamagedModelError: There is none, or several could be it.
    """
    shapes = {item.name: list(item.shape or ()) for item in session.get_outputs()}
    found = [name for name, shape in shapes.items() if len(shape) in (0, 2)]
    if _SCORES in found:
        found = [_SCORES]
    if len(found) != 1:
        raise DamagedModelError(f"{path}: outputs {sorted(shapes)}: none is known to be scores of pairs")
    shape = shapes[found[0]]
    return found[0], shape[1] if shape and isinstance(shape[1], int) else None
