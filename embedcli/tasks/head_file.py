"""Heads in a file: labels, numbers, what they were learnt with, and what held-out examples said of them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from embedcli.errors import InputError, VectorError
from embedcli.tasks.train import HeldOut, Trained

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.index.array_file import Arrays
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.vectors.heads import Head

KIND: Final = "classifier-head"
VERSION: Final = 1

_KEPT_HELD_OUT: Final = 100_000
"""Held-out examples that are kept: enough for any share."""


@dataclass(frozen=True, slots=True)
class HeadSource:
    """What the vectors are from that a head takes.

    Attributes:
        model: The model's name; empty where vectors were ready (`--vectors`), of whatever model.
        variant: Which of its variants.
        fingerprint: `Manifest.fingerprint`.
        pooling: How token vectors were pooled.
        prompt: What was put before each text.
        dim: Numbers in a vector.
    """

    model: str
    variant: str
    fingerprint: str
    pooling: str
    prompt: str
    dim: int

    @property
    def name(self) -> str:
        """What messages call it."""
        if not self.model:
            return f"vectors of {self.dim} numbers that were ready"
        return f"{self.model} ({self.variant}, {self.fingerprint[:12]}), {self.dim} numbers"


def source_of(vectorizer: Vectorizer | None, dim: int) -> HeadSource:
    """Return what vectors are from; None for ready ones."""
    if vectorizer is None:
        return HeadSource("", "", "", "", "", dim)
    name = vectorizer.model.manifest.name
    about = (vectorizer.variant, vectorizer.fingerprint, vectorizer.pooling, vectorizer.prompt)
    return HeadSource(name, *about, vectorizer.dim)


def check_source(saved: HeadSource, used: HeadSource) -> None:
    """See that a head is given the vectors that it was learnt with.

    Raises:
        VectorError: They are others, both named.
    """
    if used.model and saved != used:
        hint = f"-m {saved.model}" if saved.model else "--vectors FILE.npy, or vectors in the records: own"
        differs = "" if saved.name != used.name else ", with another prompt or pooling"
        raise VectorError(f"the head takes {saved.name}; this run uses {used.name}{differs}", hint=hint)
    if saved.dim != used.dim:
        raise VectorError(f"the head takes vectors of {saved.dim} numbers, these have {used.dim}")


def head_bytes(trained: Trained, source: HeadSource) -> bytes:
    """Return the bytes of a file; equal heads are equal bytes."""
    import numpy as np

    from embedcli.index.array_file import array_file
    from embedcli.vectors.heads import DirectionHead, LinearHead, NeighborHead

    head = trained.head
    settings: dict[str, Any]
    arrays: dict[str, Any]
    if isinstance(head, DirectionHead):
        settings, arrays = (
            {"kind": "directions", "sharpness": head.sharpness},
            {"directions": head.directions},
        )
    elif isinstance(head, LinearHead):
        settings = {"kind": "linear", "sharpness": head.sharpness}
        arrays = {"weights": head.weights, "bias": head.bias}
    else:
        assert isinstance(head, NeighborHead)  # there are no others
        settings = {"kind": "neighbors", "neighbors": head.neighbors}
        arrays = {"vectors": head.vectors, "targets": head.targets.astype(np.uint8)}
    held_out = trained.held_out
    if held_out is not None:
        arrays["held_out_margins"] = held_out.margins[:_KEPT_HELD_OUT]
        arrays["held_out_right"] = held_out.right[:_KEPT_HELD_OUT].astype(np.uint8)
        settings |= {"cut": held_out.cut, "f1": held_out.f1}
    about = {
        "labels": list(trained.labels),
        "head": settings,
        "how": trained.how,
        "many": trained.many,
        "examples": trained.examples,
        "source": asdict(source),
    }
    return array_file(KIND, VERSION, about, arrays)


def read_head(path: str | Path) -> tuple[Trained, HeadSource]:
    """Return a head from a file, and what its vectors have to be from.

    Raises:
        MissingPathError: There is no such file.
        InputError: It is damaged, of another kind, or does not fit together.
    """
    from embedcli.index.array_file import read_array_file

    about, arrays = read_array_file(path, KIND, VERSION)
    try:
        source = HeadSource(**about["source"])
        labels = tuple(about["labels"])
        many, examples = about["many"], about["examples"]
        head = _head(about["head"], arrays, many=many)
        trained = Trained(labels, head, about["how"], many, examples, _held_out(about["head"], arrays))
        is_whole = _is_whole(trained, source, arrays)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputError(f"{path}: a {KIND} file that does not fit together") from error
    if not is_whole:
        raise InputError(f"{path}: a {KIND} file that does not fit together")
    return trained, source


def _head(settings: dict[str, Any], arrays: Arrays, *, many: bool) -> Head:
    """Return the head; raises what looking for its parts raises."""
    from embedcli.vectors.heads import DirectionHead, LinearHead, NeighborHead

    if settings["kind"] == "directions":
        return DirectionHead(arrays["directions"], float(settings["sharpness"]))
    if settings["kind"] == "linear":
        return LinearHead(arrays["weights"], arrays["bias"], float(settings["sharpness"]), many)
    if settings["kind"] == "neighbors":
        neighbors = settings["neighbors"]
        if type(neighbors) is not int or neighbors < 1:
            raise ValueError(neighbors)
        return NeighborHead(arrays["vectors"], arrays["targets"].astype(bool), neighbors)
    raise ValueError(settings["kind"])


def _held_out(settings: dict[str, Any], arrays: Arrays) -> HeldOut | None:
    if "held_out_margins" not in arrays:
        return None
    cut, f1 = settings["cut"], settings["f1"]
    right = arrays["held_out_right"].astype(bool)
    return HeldOut(arrays["held_out_margins"], right, *(None if x is None else float(x) for x in (cut, f1)))


def _is_whole(trained: Trained, source: HeadSource, arrays: Arrays) -> bool:
    """Whether all parts are of the kinds and sizes that go together."""
    import numpy as np

    labels, head, held_out = trained.labels, trained.head, trained.held_out
    rows = {name: array for name, array in arrays.items() if name in ("directions", "weights", "vectors")}
    texts = (source.model, source.variant, source.fingerprint, source.pooling, source.prompt, trained.how)
    return bool(
        len(labels) >= 2
        and len(set(labels)) == len(labels) == head.labels
        and all(isinstance(label, str) and label for label in labels)
        and all(isinstance(text, str) for text in texts)
        and type(source.dim) is type(trained.examples) is int
        and type(trained.many) is bool
        and math.isfinite(getattr(head, "sharpness", 1.0))
        and all(array.ndim == 2 and array.dtype == np.float32 for array in rows.values())
        and all(array.shape[1] == source.dim > 0 and len(array) > 0 for array in rows.values())
        and all(np.isfinite(array).all() for array in arrays.values())
        and _fits_together(arrays)
        and (held_out is None or _is_measured(held_out, many=trained.many))
    )


def _fits_together(arrays: Arrays) -> bool:
    """Whether what stands beside the rows has as many."""
    if "weights" in arrays:
        return bool(arrays["bias"].shape == (len(arrays["weights"]),))
    if "vectors" in arrays:
        return bool(arrays["targets"].ndim == 2 and len(arrays["targets"]) == len(arrays["vectors"]))
    return True


def _is_measured(held_out: HeldOut, *, many: bool) -> bool:
    return bool(
        held_out.margins.ndim == 1
        and held_out.margins.dtype.kind == "f"
        and 0 < len(held_out.margins) == len(held_out.right)
        and (held_out.cut is not None) == many
        and (held_out.f1 is not None) == many
    )
