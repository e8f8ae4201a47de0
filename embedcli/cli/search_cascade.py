"""`search --cascade`: what was typed, and the second look."""

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.cli.run import Run
    from embedcli.datatypes import Hit, Record
    from embedcli.index.cache import VectorCache
    from embedcli.tasks.cascade import CascadeSettings


class Cascade(NamedTuple):
    """The two encoders and when the second is asked."""

    cheap: str
    costly: str
    settings: "CascadeSettings"


def read_cascade(
    names: str | None, margin: float | None, depth: int | None, *, model: str | None, min_score: str | None
) -> Cascade | None:
    """Return what was asked for; None for a search with one encoder.

    Raises:
        UsageError: The options contradict each other.
    """
    from embedcli.errors import UsageError

    if names is None:
        if margin is not None or depth is not None:
            raise UsageError(
                "--cascade-margin and --cascade-depth go with --cascade", hint="--cascade static,default"
            )
        return None
    from embedcli.tasks.cascade import DEFAULT_DEPTH, DEFAULT_MARGIN, CascadeSettings, cascade_models

    # The environment names the model where nothing else does.
    if model not in (None, os.environ.get("EMBEDCLI_MODEL")):
        raise UsageError("--cascade names the models; -m contradicts it")
    if min_score is not None:
        raise UsageError(
            "--min-score has no meaning with --cascade: the cosines of two encoders are no common scale"
        )
    cheap, costly = cascade_models(names)
    return Cascade(
        cheap,
        costly,
        CascadeSettings(
            DEFAULT_MARGIN if margin is None else margin, DEFAULT_DEPTH if depth is None else depth
        ),
    )


def second_look(
    cascade: Cascade,
    asked: "Sequence[Record]",
    found: "list[list[Hit]]",
    cheap: str,
    top_k: int,
    run: "Run",
    *,
    device: str,
    jobs: int | None,
    store: "VectorCache | None",
) -> "list[list[Hit]]":
    """Return the hits after the costly encoder has looked at those of unsure queries."""
    from embedcli.cli.resolve import encoder_settings, open_model
    from embedcli.tasks.cascade import defer
    from embedcli.tasks.vectorize import Vectorizer, VectorSettings

    queries = Vectorizer(
        open_model(cascade.costly),
        encoder_settings(device=device, jobs=jobs),
        VectorSettings("query", normalize=True),
        run.counts,
        cache=store,
        on_notice=run.notice,
    )
    try:
        documents = queries.with_settings(VectorSettings("document", normalize=True))
        return defer(asked, found, cheap, queries, documents, cascade.settings, top_k)
    finally:
        queries.close()
