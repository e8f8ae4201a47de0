"""The probes of a cross-encoder: pairs of texts, and the score that each must get."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import numpy as np

from embedcli.encode.manifest import PAIR_MARK, Probe
from embedcli.errors import DamagedModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from embedcli.encode.pairs import PairEncoder


def make_pair_probes(encoder: PairEncoder, texts: Sequence[str]) -> tuple[Probe, ...]:
    """Return each text with each as its query, and the score: base64 of one little-endian float16."""
    return tuple(
        Probe(
            f"{query}{PAIR_MARK}{text}", base64.b64encode(np.array([score], "<f2").tobytes()).decode("ascii")
        )
        for query in texts
        for text, score in zip(texts, encoder.score(query, texts).scores, strict=True)
    )


def expected_scores(probes: Sequence[Probe]) -> npt.NDArray[np.float32]:
    """Return what the probes say, shape (probes,), float32.

    Raises:
        DamagedModelError: One is no pair with a score.
    """
    values = []
    for probe in probes:
        content = base64.b64decode(probe.vector)
        if probe.text.count(PAIR_MARK) != 1 or len(content) != 2:
            raise DamagedModelError(f"the probe {probe.text[:60]!r} is no pair with one score")
        values.append(np.frombuffer(content, dtype="<f2")[0])
    return np.array(values, dtype=np.float32)


def found_scores(encoder: PairEncoder, probes: Sequence[Probe], *, alone: bool) -> npt.NDArray[np.float32]:
    """Return the scores of the probes' pairs, shape (probes,), float32.

    Args:
        encoder: The cross-encoder.
        probes: As the manifest has them.
        alone: Whether each pair is scored by itself, or all of a query together.
    """
    scores = np.zeros(len(probes), dtype=np.float32)
    rows_of: dict[tuple[str, int], list[int]] = {}
    for row, probe in enumerate(probes):
        query = probe.text.partition(PAIR_MARK)[0]
        rows_of.setdefault((query, row if alone else 0), []).append(row)
    for (query, _), rows in rows_of.items():
        texts = [probes[row].text.partition(PAIR_MARK)[2] for row in rows]
        scores[rows] = encoder.score(query, texts).scores
    return scores


def correlation(left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]) -> float:
    """Return how far two lists of scores rise and fall together, -1 to 1; 1 where both are constant."""
    first, second = left - left.mean(dtype=np.float64), right - right.mean(dtype=np.float64)
    lengths = float(np.linalg.norm(first)), float(np.linalg.norm(second))
    if not all(lengths):
        return 1.0 if lengths == (0.0, 0.0) else 0.0
    return float(first @ second) / (lengths[0] * lengths[1])
