"""Does a model give, on this machine, the vectors or scores that its manifest says?"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedcli.encode.catalog import check_gives_vectors, open_encoder, open_pair_encoder
from embedcli.errors import DamagedModelError

if TYPE_CHECKING:
    from embedcli.encode.catalog import EncoderSettings, Model

MIN_COSINE = 0.98
"""Integer kernels differ a little between CPUs, and int8 from fp16; a wrong model, tokenizer or pooling is
far below."""

_SPEED_TEXTS = 64


@dataclass(frozen=True, slots=True)
class ModelTestReport:
    """What was found.

    Attributes:
        probes: Texts, or pairs of texts, that were compared.
        cosine_min: Lowest cosine between a probe's vector and the expected one; of a cross-encoder, the
            correlation of all scores with the expected ones.
        is_stable: Whether each probe got the same vector or score, bit for bit, alone and among the others.
        texts_per_second: One-line texts, or pairs of them, with all jobs.
        passed: Whether the model can be trusted here.
    """

    variant: str
    device: str
    probes: int
    cosine_min: float
    is_stable: bool
    texts_per_second: float
    passed: bool


def run_model_test(model: Model, settings: EncoderSettings) -> ModelTestReport:
    """Encode the probe texts of a model and compare.

    Raises:
        DamagedModelError: The manifest holds no probes, or one that is no vector.
        ModelError: The model gives no vectors of texts.
    """
    import numpy as np

    from embedcli.vectors.normalize import normalize

    if model.manifest.kind != "cross-encoder":
        check_gives_vectors(model.manifest)
    probes = model.manifest.probes
    if not probes:
        raise DamagedModelError(f"{model.folder}: the manifest has no probe texts")
    if model.manifest.kind == "cross-encoder":
        return _run_pair_test(model, settings)
    expected = np.stack(
        [np.frombuffer(base64.b64decode(probe.vector), dtype="<f2").astype(np.float32) for probe in probes]
    )
    if expected.shape != (len(probes), model.manifest.dim):
        raise DamagedModelError(f"{model.folder}: a probe is not a vector of {model.manifest.dim} numbers")
    encoder = open_encoder(model, settings)
    try:
        prompt = model.manifest.prompts.get("document", "")
        texts = [probe.text for probe in probes]
        together = encoder.encode(texts, prompt=prompt).vectors
        alone = np.concatenate([encoder.encode([text], prompt=prompt).vectors for text in texts])
        start = time.perf_counter()
        encoder.encode(_speed_texts())
        seconds = time.perf_counter() - start
    finally:
        encoder.close()
    cosines = (normalize(together) * normalize(expected)).sum(axis=1)
    # A table that knows none of a probe's words gives zeros, and is to.
    cosines[~together.any(axis=1) & ~expected.any(axis=1)] = 1
    cosine_min = float(cosines.min())
    is_stable = bool(np.array_equal(together, alone)) or encoder.device != "cpu"
    return ModelTestReport(
        variant=encoder.variant,
        device=encoder.device,
        probes=len(probes),
        cosine_min=cosine_min,
        is_stable=is_stable,
        texts_per_second=_SPEED_TEXTS / seconds,
        passed=cosine_min >= MIN_COSINE and is_stable,
    )


def _run_pair_test(model: Model, settings: EncoderSettings) -> ModelTestReport:
    """Score the probe pairs of a cross-encoder and compare."""
    import numpy as np

    from embedcli.encode.pair_probes import correlation, expected_scores, found_scores

    probes = model.manifest.probes
    expected = expected_scores(probes)
    encoder = open_pair_encoder(model, settings)
    try:
        together = found_scores(encoder, probes, alone=False)
        alone = found_scores(encoder, probes, alone=True)
        start = time.perf_counter()
        encoder.score("Which animal jumps over the dogs?", _speed_texts())
        seconds = time.perf_counter() - start
    finally:
        encoder.close()
    cosine = correlation(together, expected)
    is_stable = bool(np.array_equal(together, alone)) or encoder.device != "cpu"
    return ModelTestReport(
        variant=encoder.variant,
        device=encoder.device,
        probes=len(probes),
        cosine_min=cosine,
        is_stable=is_stable,
        texts_per_second=_SPEED_TEXTS / seconds,
        passed=cosine >= MIN_COSINE and is_stable,
    )


def _speed_texts() -> list[str]:
    return [f"The quick brown fox jumps over {number} lazy dogs." for number in range(_SPEED_TEXTS)]
