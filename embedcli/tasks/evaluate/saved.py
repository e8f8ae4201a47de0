"""An evaluation in a file, with what a later run needs to be compared with it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from embedcli.errors import InputError, MissingPathError
from embedcli.reports import Evaluation, Measurement
from embedcli.write.objects import dump

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from embedcli.write.target import Output

    Doubles = npt.NDArray[np.float64]

FORMAT: Final = "embedcli-evaluation-1"

MAX_BYTES: Final = 256 << 20
"""A larger file is none of ours: ten measures of ten systems over 100,000 queries take 200 MB."""


def write_saved(evaluation: Evaluation, output: Output) -> None:
    """Write an evaluation as one JSON object."""
    output.write(
        dump(
            {
                "format": FORMAT,
                "task": evaluation.task,
                "unit": evaluation.unit,
                "about": dict(evaluation.about),
                "chance": dict(evaluation.chance),
                "items": list(evaluation.items),
                "measurements": [_measurement_object(each) for each in evaluation.measurements],
            }
        )
        + b"\n"
    )


def read_saved(path: Path) -> Evaluation:
    """Return a saved evaluation; nothing in it is taken on trust.

    Raises:
        MissingPathError: There is no such file.
        InputError: It is no saved evaluation, or damaged.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise MissingPathError(str(path)) from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    try:
        found = json.loads(content) if len(content) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(f"{path}: no saved evaluation", hint="embedcli eval … --save FILE writes one")
    try:
        return _evaluation(found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: a damaged evaluation: {type(error).__name__}") from error


def _measurement_object(each: Measurement) -> dict[str, Any]:
    own: dict[str, Any] = {
        "system": each.system,
        "metric": each.metric,
        "value": each.value,
        "low": each.low,
        "high": each.high,
    }
    # Resamples of a mean follow from its values.
    if each.values is not None:
        own["values"] = each.values.tolist()
    elif each.resampled is not None:
        own["resampled"] = each.resampled.tolist()
    return own


def _evaluation(found: dict[str, Any]) -> Evaluation:
    from embedcli.vectors.resampling import RESAMPLES

    items = tuple(_word(item) for item in found["items"])
    if len(set(items)) < len(items):
        raise ValueError
    measurements = tuple(
        Measurement(
            _word(each["system"]),
            _word(each["metric"]),
            _number(each["value"]),
            None if each["low"] is None else _number(each["low"]),
            None if each["high"] is None else _number(each["high"]),
            _numbers(each.get("values"), len(items)),
            _numbers(each.get("resampled"), RESAMPLES),
        )
        for each in found["measurements"]
    )
    if not measurements:
        raise ValueError
    about, chance = found.get("about", {}), found.get("chance", {})
    return Evaluation(
        _word(found["task"]), items, _word(found["unit"]), measurements, dict(chance), dict(about)
    )


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: object) -> float:
    """Return a number; null stands for one that JSON does not have."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _numbers(value: object, count: int) -> Doubles | None:
    import numpy as np

    if value is None:
        return None
    if not isinstance(value, list) or len(value) != count:
        raise ValueError
    return np.array([_number(item) for item in value], dtype=np.float64)
