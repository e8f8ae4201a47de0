"""What an export cost and gained: fidelity to fp32 and speed relative to it."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedcli.encode.export.graph import OUTPUT_NAME
from embedcli.encode.pooling import pool

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from embedcli.datatypes import Pooling, Vector, Vectors

_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """How a graph compares with the fused fp32 graph.

    Attributes:
        cosine_min: Lowest cosine between the two vectors of a probe text.
        cosine_mean: Mean of the same.
        speed_ratio: Texts per CPU second, fp32 = 1, the median over rounds of both in turn.
    """

    cosine_min: float
    cosine_mean: float
    speed_ratio: float


class GraphRunner:
    """One ONNX file on one CPU thread, one unpadded text a call."""

    def __init__(self, path: Path, pooling: Pooling) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._inputs = [item.name for item in self._session.get_inputs()]
        self._pooling = pooling

    def vector(self, token_ids: Sequence[int]) -> Vector:
        """Return the vector of one text, shape (dim,), float32, unit length."""
        import numpy as np

        ids = np.array([token_ids], dtype=np.int64)
        feeds = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        tokens = self._session.run([OUTPUT_NAME], {name: feeds[name] for name in self._inputs})[0][0]
        vector: Vector = pool(tokens, self._pooling)
        return vector / np.float32(np.linalg.norm(vector))

    def vectors(self, texts: Sequence[Sequence[int]]) -> Vectors:
        """Return the vectors of texts, shape (n, dim), float32, unit length."""
        import numpy as np

        return np.stack([self.vector(token_ids) for token_ids in texts])


def token_ids(tokenizer: Path, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Return each text's token ids, special tokens included, cut at `max_tokens`."""
    import tokenizers

    loaded = tokenizers.Tokenizer.from_file(str(tokenizer))
    loaded.enable_truncation(max_tokens)
    return [list(loaded.encode(text).ids) for text in texts]


def measure_cost(runner: GraphRunner, reference: GraphRunner, texts: Sequence[Sequence[int]]) -> Cost:
    """Compare a graph with the fp32 one over the same texts.

    Args:
        runner: The graph that was made.
        reference: The fused fp32 graph.
        texts: Token ids of each text.
    """
    cosines = (runner.vectors(texts) * reference.vectors(texts)).sum(axis=1)
    ratios = []
    for _ in range(_ROUNDS):
        seconds = []
        for graph in (reference, runner):
            start = time.process_time()
            graph.vectors(texts)
            seconds.append(time.process_time() - start)
        ratios.append(seconds[0] / seconds[1])
    return Cost(
        cosine_min=round(float(cosines.min()), 4),
        cosine_mean=round(float(cosines.mean()), 4),
        speed_ratio=round(statistics.median(ratios), 2),
    )
