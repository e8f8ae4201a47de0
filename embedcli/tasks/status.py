"""What an index holds, as `index status` shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embedcli.index.file import open_for_reading
from embedcli.index.reader import IndexReader
from embedcli.index.rows import json_object
from embedcli.index.schema import FORMAT_VERSION, SPARSE_FORMAT_VERSION
from embedcli.tasks.chunk_settings import described
from embedcli.tasks.places import shown_source

if TYPE_CHECKING:
    from pathlib import Path


def index_facts(index: Path) -> dict[str, Any]:
    """Return the facts about an index, in the order in which they are shown.

    Raises:
        IndexFileError: There is none, or it cannot be read.
    """
    from embedcli.index.graph import graph_state

    with open_for_reading(index) as connection:
        reader = IndexReader(index, connection)
        status = reader.status()
        left_out = [
            {
                "path": shown_source(root, path, index),
                "reason": reason,
            }
            for root, path, reason in reader.skipped()
        ]
        query_defaults = reader.query_defaults()
        graph = graph_state(reader)
    sparse = status.identity.sparse
    settings = [json_object(index, text, "the settings of a file") for text in status.settings]
    return {
        "path": str(index),
        "format": FORMAT_VERSION if sparse is None else SPARSE_FORMAT_VERSION,
        "model": f"{status.identity.model} ({status.identity.variant})",
        "fingerprint": status.identity.fingerprint,
        **({} if sparse is None else {"sparse": str(sparse)}),
        "dim": status.identity.dim,
        "dtype": status.identity.dtype,
        "roots": [shown_source(root, b"", index) for root in status.roots],
        "sources": status.sources,
        "records": status.records,
        "chunks": status.chunks,
        "deleted": status.deleted,
        "skipped": status.skipped,
        "partial": status.partial,
        "chunking": sorted({described(entry) for entry in settings if "chunking" in entry}),
        "bytes": index.stat().st_size,
        "commit": status.commit,
        "query_defaults": query_defaults,
        "graph": "current" if graph is None else graph.cause,
        "left_out": left_out,
    }
