"""Turn text into vectors; embed, search, dedupe and cluster text files.

    import embedcli

    with embedcli.load_model() as model:
        vectors = model.encode(["one text", "another"])    # shape (2, 384), float32

    embedcli.build_index(["notes/"])
    for hit in embedcli.open_index("notes/").search("how do I undo a commit"):
        print(hit.path, hit.line, hit.score)

    embedcli.dedupe(["one text", "One text!", "another"])   # [None, Duplicate("0", …), None]
    embedcli.cluster(texts, count=20)                       # [ClusterMember(3, "card, lost", 0.71), …]

Importing this loads nothing heavy: the names below arrive when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embedcli.datatypes import ClusterMember, Duplicate, Hit, Problem, Record
from embedcli.errors import EmbedcliError

if TYPE_CHECKING:
    from embedcli.tasks.api import (
        Embedder,
        Index,
        build_index,
        cluster,
        dedupe,
        list_models,
        load_model,
        open_index,
    )

__all__ = [
    "ClusterMember",
    "Duplicate",
    "EmbedcliError",
    "Embedder",
    "Hit",
    "Index",
    "Problem",
    "Record",
    "build_index",
    "cluster",
    "dedupe",
    "list_models",
    "load_model",
    "open_index",
]


def __getattr__(name: str) -> Any:
    """Fetch a public name from where it lives, on first use."""
    if name in __all__:
        from embedcli.tasks import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
