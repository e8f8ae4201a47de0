"""The modules of a sentence-transformers model: which there are, in which order, and what each was told.

Source: sentence-transformers 5.7, `modules.json` and the `config.json` of `Pooling` and `Dense`, and the
settings that versions 1 to 5 wrote for the same modules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedcli.encode.dense import dense_shape
from embedcli.encode.layout_files import PICKLE_NAMES, WEIGHTS_NAME, inner_folder, read_json, read_object
from embedcli.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.datatypes import Pooling, PoolingMode
    from embedcli.encode.manifest import Activation

_PACKAGE = "sentence_transformers."

_MODES: dict[str, PoolingMode] = {
    "cls": "cls",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weighted_mean",
    "lasttoken": "last_token",
}
_SWITCHES: dict[str, PoolingMode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weighted_mean",
    "pooling_mode_lasttoken": "last_token",
}
"""One switch a mode, as versions before 5.4 wrote them, in the order in which their vectors are joined."""

_ACTIVATIONS: dict[str, Activation] = {
    "torch.nn.modules.linear.Identity": "identity",
    "torch.nn.modules.activation.Tanh": "tanh",
    "torch.nn.modules.activation.GELU": "gelu",
    "torch.nn.modules.activation.ReLU": "relu",
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
}


@dataclass(frozen=True, slots=True)
class LayoutDense:
    """A matrix product that follows pooling.

    Attributes:
        path: Its weights: safetensors with `linear.weight`, shape (outputs, inputs), and, maybe,
            `linear.bias`, shape (outputs,).
        activation: What the result goes through.
        inputs: Numbers it takes.
        outputs: Numbers it gives.
    """

    path: Path
    activation: Activation
    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True)
class Modules:
    """What modules.json lists.

    Attributes:
        transformer: The folder of the transformer.
        pooling: The folder of the pooling module; None if there is none.
        dense: The folders of the dense modules, in order.
        normalize: Whether a normalizing module ends the list.
        is_sparse: Whether token weights over the vocabulary come out instead of one vector.
    """

    transformer: Path
    pooling: Path | None
    dense: tuple[Path, ...] = ()
    normalize: bool = False
    is_sparse: bool = False


def read_modules(folder: Path) -> Modules:
    """Return the modules.

    Raises:
        ModelError: A module is not one that can be applied exactly, or not at its place; it is named.
    """
    places, names = _list_modules(folder)
    if "SpladePooling" in names:
        if names not in (["Transformer", "SpladePooling"], ["MLMTransformer", "SpladePooling"]):
            raise ModelError(f"{folder}: modules {', '.join(names)} in this order are not supported")
        return Modules(places[0], None, is_sparse=True)
    if names == ["Transformer"]:
        return Modules(places[0], None)
    for name in names:
        if name not in {"Transformer", "Pooling", "Dense", "Normalize"}:
            raise ModelError(f"{folder}: module {name!r} is not supported")
    normalize = names[-1:] == ["Normalize"]
    count = len(names) - 2 - normalize
    if names != ["Transformer", "Pooling", *["Dense"] * count, *["Normalize"] * normalize]:
        raise ModelError(f"{folder}: modules {', '.join(names)} in this order are not supported")
    return Modules(places[0], places[1], tuple(places[2 : 2 + count]), normalize)


def _list_modules(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the folder and the name of each module; the library's own alone are let through."""
    path = folder / "modules.json"
    modules = read_json(path)
    try:
        types = [str(module["type"]) for module in modules]
        places = [inner_folder(folder, module["path"], where="the path") for module in modules]
    except (TypeError, KeyError):
        raise ModelError(f"{path}: not a list of modules") from None
    names = [name.rpartition(".")[2] for name in types]
    for name, type_ in zip(names, types, strict=True):
        if not type_.startswith(_PACKAGE):
            raise ModelError(f"{folder}: module {type_!r} is code of its own, which is never run")
        if name in {"StaticEmbedding", "SparseStaticEmbedding"}:
            raise ModelError(
                f"{folder}: module {name!r}: this is a static model, a table and no transformer",
                hint="embedcli models add FOLDER takes it as it is; there is nothing to export",
            )
    return places, names


@dataclass(frozen=True, slots=True)
class PoolingSettings:
    """How token vectors become one.

    Attributes:
        pooling: The modes, joined by `+` in the order in which their vectors are put end to end.
        pool_prompt: Whether the prompt's tokens take part.
    """

    pooling: Pooling
    pool_prompt: bool


def read_pooling(folder: Path, hidden: int) -> PoolingSettings:
    """Read the settings of a pooling module.

    Args:
        folder: Its folder.
        hidden: Numbers in a token vector.

    Raises:
        ModelError: No mode is on, one is not known, or the file is read differently by different versions of
            the library.
    """
    path = folder / "config.json"
    config = read_object(path)
    widths = [config.pop(key) for key in ("word_embedding_dimension", "embedding_dimension") if key in config]
    if any(width != hidden for width in widths):
        raise ModelError(f"{path}: made for token vectors of {widths[0]} numbers, the model gives {hidden}")
    pool_prompt = config.pop("include_prompt", True)
    if not isinstance(pool_prompt, bool):
        raise ModelError(f"{path}: include_prompt {pool_prompt!r} is neither true nor false")
    modes = _read_modes(path, config)
    if config:
        raise ModelError(f"{path}: setting {min(config)!r} is not supported")
    return PoolingSettings("+".join(modes), pool_prompt)


def _read_modes(path: Path, config: dict[str, Any]) -> list[str]:
    """Take the modes out of the settings."""
    switches = {key: config.pop(key) for key in list(config) if key.startswith("pooling_mode_")}
    for key in switches:
        if key not in _SWITCHES:
            raise ModelError(f"{path}: pooling {key.removeprefix('pooling_mode_')!r} is not supported")
    named = config.pop("pooling_mode", None)
    if named is None and not switches:
        return ["mean"]
    if named is None:
        modes: list[str] = [mode for key, mode in _SWITCHES.items() if switches.get(key)]
        if not modes:
            raise ModelError(f"{path}: pooling not given: every mode is off")
        if "pooling_mode_mean_tokens" not in switches:
            # Before 5.4 a missing switch for the mean meant on, since then it means off.
            raise ModelError(f"{path}: does not say whether pooling_mode_mean_tokens is on")
        return modes
    words = [named] if isinstance(named, str) else named
    if not isinstance(words, list) or not words:
        raise ModelError(f"{path}: pooling {named!r} is not supported")
    for word in words:
        if not isinstance(word, str) or word not in _MODES:
            raise ModelError(f"{path}: pooling {word!r} is not supported")
    return [_MODES[word] for word in words]


def read_dense(folder: Path, inputs: int) -> LayoutDense:
    """Read the settings of a dense module.

    Args:
        folder: Its folder.
        inputs: Numbers that reach it.

    Raises:
        ModelError: It is applied to something else than the pooled vector, its weights are a pickle or
            missing, its activation is not known, or its sizes contradict each other.
    """
    path = folder / "config.json"
    config = read_object(path)
    activation = config.pop("activation_function", "torch.nn.modules.activation.Tanh")
    if activation not in _ACTIVATIONS:
        raise ModelError(f"{path}: activation {activation!r} is not supported")
    bias = config.pop("bias", True)
    takes = config.pop("module_input_name", "sentence_embedding")
    gives = config.pop("module_output_name", None) or takes
    if (takes, gives) != ("sentence_embedding", "sentence_embedding"):
        raise ModelError(f"{path}: applied to {takes!r} and not to the pooled vector")
    try:
        said = (config.pop("out_features"), config.pop("in_features"))
    except KeyError as error:
        raise ModelError(f"{path}: lacks {error.args[0]}") from None
    if config:
        raise ModelError(f"{path}: setting {min(config)!r} is not supported")
    weights = folder / WEIGHTS_NAME
    if not weights.is_file() or weights.is_symlink():
        if (folder / PICKLE_NAMES[0]).exists():
            raise ModelError(
                f"{folder}: {PICKLE_NAMES[0]} is a pickle, which can run code when it is read",
                hint="save the model again as safetensors",
            )
        raise ModelError(f"{folder}: no {WEIGHTS_NAME}")
    shape, has_bias = dense_shape(weights)
    if shape != said or has_bias is not bool(bias):
        raise ModelError(
            f"{folder}: the weights have shape {shape}, with{'' if has_bias else 'out'} bias; "
            f"config.json says {said}, with{'' if bias else 'out'} bias"
        )
    if shape[1] != inputs:
        raise ModelError(f"{folder}: takes {shape[1]} numbers, {inputs} reach it")
    return LayoutDense(weights, _ACTIVATIONS[activation], shape[1], shape[0])
