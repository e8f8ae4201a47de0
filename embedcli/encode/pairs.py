"""The cross-encoder: a query and a text go through one graph together, and one score comes out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedcli.encode.manifest import verify_files
from embedcli.encode.onnx_ports import score_output
from embedcli.encode.token_graph import TokenGraph, TokenRow
from embedcli.encode.tokenizer import Tokenizer
from embedcli.errors import DamagedModelError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from embedcli.encode.manifest import Manifest


class PairScores(NamedTuple):
    """How relevant some texts are to one query.

    Attributes:
        scores: One a text, in the order given; any range, higher is better.
        query_was_cut: Whether the query was longer than its share of the limit.
        texts_cut: How many texts were longer than what the query left of it.
    """

    scores: list[float]
    query_was_cut: bool
    texts_cut: int


class PairEncoder:
    """Runs a cross-encoder's ONNX graph on CPU or GPU; see `TokenGraph` for what shares a call.

    The score of a pair is the graph's only number for it, as it comes out. Where a model was trained under a
    sigmoid, this is the number before it: the order is the same.

    Source: sentence-transformers 5.7, `CrossEncoder.rank`, which refuses models with several labels likewise:
    which of them would be the relevance is not said.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        *,
        variant: str,
        device: str,
        jobs: int,
        cache_folder: Path | None = None,
    ) -> None:
        """Load tokenizer and graph.

        Raises:
            DamagedModelError: A file is missing or is not what the manifest says.
            DeviceError: The device cannot be had.
            ModelError: It does not give one score for a pair.
        """
        self.manifest, self.variant, self.device, self._jobs = manifest, variant, device, jobs
        if manifest.dim != 1:
            raise ModelError(
                f"{manifest.name} gives {manifest.dim} scores for a pair: which is the relevance is not said",
                hint="what is needed is a cross-encoder with one label",
            )
        verify_files(folder, manifest, (manifest.tokenizer,))
        self._tokenizer = Tokenizer(folder / manifest.tokenizer, lower_case=manifest.lower_case)
        self._frame = self._tokenizer.pair_frame()
        if self.query_tokens < 1:
            raise DamagedModelError(f"{folder}: max_tokens {manifest.max_tokens} leaves no room for a pair")
        self._graph = TokenGraph(
            folder,
            manifest,
            variant=variant,
            device=device,
            jobs=jobs,
            pad_id=self._tokenizer.pad_id,
            cache_folder=cache_folder,
        )
        self._output, labels = score_output(self._graph.session, self._graph.path)
        self._check_labels((labels,))

    @property
    def content_tokens(self) -> int:
        """Tokens of query and text together that one pair takes."""
        return self.manifest.max_tokens - self._frame.special_tokens

    @property
    def query_tokens(self) -> int:
        """Most tokens of a query: half of the room. What it leaves of the other half goes to the text."""
        return self.content_tokens // 2

    def score(self, query: str, texts: Sequence[str]) -> PairScores:
        """Return how relevant each text is to a query. A pair has the same score in any company.

        The beginning of a long text is scored. What is cut never meets the graph, and hardly the tokenizer.

        Raises:
            ModelError: The graph failed or gave a number that is not finite.
        """
        prompt = self.manifest.prompts.get("query", "")
        query_ids = self._tokenizer.token_ids(prompt + query, self.query_tokens)
        query_was_cut = len(query_ids) > self.query_tokens
        query_ids = query_ids[: self.query_tokens]
        room = self.content_tokens - len(query_ids)
        ids_of: list[list[int]] = [[] for _ in texts]

        def work(rows: Iterator[int]) -> None:
            for row in rows:
                # One more than there is room for tells that the text goes on.
                ids_of[row] = self._tokenizer.token_ids(texts[row], room)[: room + 1]

        self._graph.share(work, range(len(texts)), self._jobs)
        texts_cut = sum(len(ids) > room for ids in ids_of)
        ids_of = [ids[:room] for ids in ids_of]
        scores = [0.0] * len(texts)

        def pair(number: int) -> TokenRow:
            ids = ids_of[number]
            return TokenRow(
                self._frame.token_ids(query_ids, ids), self._frame.type_ids(len(query_ids), len(ids))
            )

        def take(number: int, labels: npt.NDArray[np.float32]) -> None:
            self._check_labels(np.shape(labels))
            scores[number] = float(labels[0])

        lengths = [self._frame.special_tokens + len(query_ids) + len(ids) for ids in ids_of]
        self._graph.run_rows(lengths, pair, self._output, take)
        for score, text in zip(scores, texts, strict=True):
            if not math.isfinite(score):
                raise ModelError(
                    f"model {self.manifest.name} gave a number that is not finite for {text[:80]!r}"
                )
        return PairScores(scores, query_was_cut, texts_cut)

    def close(self) -> None:
        """Stop the workers, also in the middle of a call."""
        self._graph.close()

    def _check_labels(self, shape: tuple[int | None, ...]) -> None:
        """Compare what comes out for a pair with the manifest; None stands for a size that is not stated."""
        if shape not in ((1,), (None,)):
            found = shape[0] if len(shape) == 1 else shape
            raise DamagedModelError(
                f"model {self.manifest.name}: gives {found} numbers for a pair, its manifest says 1"
            )
