"""What an export cost and gained: fidelity to fp32 and speed relative to it."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from embedcli.encode.export.graph import LOGITS_NAME, make_feeds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Vector
    from embedcli.encode.manifest import Manifest

_ROUNDS = 5
_ENOUGH_SECONDS = 120.0
"""No further round is started after this: rounds of large models are long and hardly differ."""


@dataclass(frozen=True, slots=True)
class Cost:
    """How a graph compares with the fused fp32 graph of the whole model.

    Attributes:
        cosine_min: Lowest cosine between the two vectors of a probe text.
        cosine_mean: Mean of the same.
        speed_ratio: Texts per CPU second, fp32 = 1, the median over rounds of both in turn.
    """

    cosine_min: float
    cosine_mean: float
    speed_ratio: float


class Runner(Protocol):
    """A model folder on one CPU thread, one text a call."""

    def outputs(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return what the model makes of texts, one row to be compared with another's, unit length."""
        ...


def open_runner(folder: Path, manifest: Manifest, variant: str) -> Runner:
    """Open a variant of a model folder."""
    if manifest.kind == "onnx":
        return EncoderRunner(folder, manifest, variant)
    if manifest.kind == "sparse":
        return _SparseRunner(folder, manifest, variant)
    return _LogitsRunner(folder, manifest, variant)


class EncoderRunner:
    """The encoder as every command runs it: its tokenizer, its pooling and what follows."""

    def __init__(self, folder: Path, manifest: Manifest, variant: str) -> None:
        from embedcli.encode.onnx import OnnxEncoder

        self._encoder = OnnxEncoder(folder, manifest, variant=variant, device="cpu", jobs=1)

    def outputs(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the vectors of the beginnings of texts, shape (n, dim), unit length."""
        import numpy as np

        from embedcli.vectors.normalize import normalize

        rows = [self._encoder.encode([text], on_long="truncate").vectors[0] for text in texts]
        return normalize(np.stack(rows))

    def probe(self, text: str, prompt: str) -> Vector:
        """Return the vector of a whole text with a prompt before it, shape (dim,), unit length."""
        from embedcli.vectors.normalize import normalize

        vector: Vector = normalize(self._encoder.encode([text], prompt=prompt).vectors)[0]
        return vector


class _SparseRunner:
    """A learned sparse encoder as every command runs it."""

    def __init__(self, folder: Path, manifest: Manifest, variant: str) -> None:
        from embedcli.encode.sparse import SparseEncoder

        self._encoder = SparseEncoder(folder, manifest, variant=variant, device="cpu", jobs=1)

    def outputs(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the weights of all words in the beginnings of texts, shape (n, terms), unit length."""
        from embedcli.encode.sparse import dense_rows
        from embedcli.vectors.normalize import normalize

        vectors = [self._encoder.encode([text], on_long="truncate").vectors[0] for text in texts]
        return normalize(dense_rows(vectors, len(self._encoder.terms)))


class _LogitsRunner:
    """A graph that gives the scores of labels for a pair."""

    def __init__(self, folder: Path, manifest: Manifest, variant: str) -> None:
        import tokenizers

        from embedcli.encode.session import open_session

        file = manifest.variants[variant].file
        self._session = open_session(
            folder / file, manifest.files[file].sha256, device="cpu", threads=1, cache_folder=None
        )
        self._inputs = [item.name for item in self._session.get_inputs()]
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / manifest.tokenizer))
        self._tokenizer.enable_truncation(manifest.max_tokens)
        self._lower_case = manifest.lower_case

    def outputs(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the scores of all pairs of neighbours as one row.

        The scores of a pair alone, often a single number, have no direction to compare; around their mean
        and all together, they have: the cosine is then the correlation of two models' scores.
        """
        import numpy as np

        from embedcli.vectors.normalize import normalize

        if self._lower_case:
            texts = [text.lower() for text in texts]
        pairs = zip(texts, [*texts[1:], texts[0]], strict=True)
        scores = np.stack([self._logits(self._tokenizer.encode(*pair))[0] for pair in pairs])
        return normalize((scores - scores.mean(axis=0)).reshape(1, -1))

    def _logits(self, encoding: Any) -> npt.NDArray[np.float32]:
        """Return what the graph gives for one pair, the axis of pairs in front."""
        import numpy as np

        from embedcli.encode.session import run

        feeds = make_feeds(self._inputs, np.array([encoding.ids], dtype=np.int64))
        if "token_type_ids" in feeds:
            feeds["token_type_ids"] = np.array([encoding.type_ids], dtype=np.int64)
        logits: npt.NDArray[np.float32] = run(self._session, feeds, LOGITS_NAME)
        return logits


def measure_cost(runner: Runner, reference: Runner, texts: Sequence[str]) -> Cost:
    """Compare a variant with the fp32 one over the same texts.

    Args:
        runner: The variant that was made.
        reference: The fused fp32 graph of the whole model.
        texts: What to run both on.
    """
    cosines = (runner.outputs(texts) * reference.outputs(texts)).sum(axis=1)
    ratios: list[float] = []
    start = time.monotonic()
    while len(ratios) < _ROUNDS and (not ratios or time.monotonic() - start < _ENOUGH_SECONDS):
        seconds = []
        for graph in (reference, runner):
            begin = time.process_time()
            graph.outputs(texts)
            seconds.append(time.process_time() - begin)
        ratios.append(seconds[0] / seconds[1])
    return Cost(
        cosine_min=round(float(cosines.min()), 4),
        cosine_mean=round(float(cosines.mean()), 4),
        speed_ratio=round(statistics.median(ratios), 2),
    )
