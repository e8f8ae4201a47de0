"""The roots of a build: where they are, and how their files are read and cut."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from embedcli.datatypes import STDIN_NAME, Chunking, OnLong
from embedcli.errors import UsageError
from embedcli.records.settings import ReadSettings
from embedcli.tasks.chunk_settings import CHOSEN_KEYS, ChunkSettings, check_chunking
from embedcli.tasks.places import store_root

if TYPE_CHECKING:
    from embedcli.index.writer import IndexWriter
    from embedcli.tasks.build_settings import BuildSettings
    from embedcli.tasks.vectorize import Vectorizer


@dataclass(frozen=True, slots=True)
class Root:
    """One root of this run: where it is, its id, and how its files are read and cut."""

    path: Path | None
    id: int
    read: ReadSettings
    chunks: ChunkSettings

    def settings_json(self) -> str:
        """Return what the vectors of a file under this root depend on."""
        keys = ("format", "text_fields", "columns", "header", "id_field", "pre", "pre_glob", "binary_as_text")
        read = asdict(self.read)
        chosen = {key: read[key] for key in keys if read[key] != getattr(ReadSettings(), key)}
        how = {"chunking": self.chunks.chunking or "auto", "on_long": self.chunks.on_long}
        return json.dumps({**how, **self.chunks.chosen(), **chosen})


def check_said(settings: BuildSettings, vectorizer: Vectorizer) -> None:
    """Refuse what was said about chunks where it contradicts itself, before anything is written.

    Raises:
        UsageError: See `check_chunking`.
        ModelError: Likewise.
    """
    said = {key: value for key, value in _said(settings).items() if value is not None}
    check_chunking(ChunkSettings(**said), vectorizer)


def open_root(
    path: str, index: Path, writer: IndexWriter, settings: BuildSettings, vectorizer: Vectorizer
) -> Root:
    """Return a root with its settings: what is said now, then what the index keeps, then the default.

    Raises:
        UsageError: They are not known, or do not go together.
        ModelError: Late chunks of a model that cannot make them.
    """
    where = None if path == STDIN_NAME else Path(path)
    stored = STDIN_NAME.encode() if where is None else store_root(where, index)
    options: dict[str, Any] = json.loads(writer.root_settings(stored))
    options.update(settings.read)
    said = {key: value for key, value in _said(settings).items() if value is not None}
    options.update(said)
    if options.get("context_title") is False:
        del options["context_title"]
    number = writer.put_root(stored, json.dumps(options))
    chunks = _chunk_settings(path, options)
    if said:
        check_chunking(chunks, vectorizer)
    read: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in options.items()
    }
    # Text files are read whole and cut by the chunker, so that a paragraph may span lines.
    text_as = "lines" if chunks.chunking == "lines" and "format" not in read else "whole"
    read = {"text_as": "whole", "named_text_as": "whole", **read} if text_as == "whole" else read
    return Root(where, number, ReadSettings(**read), chunks)


def _said(settings: BuildSettings) -> dict[str, Any]:
    """Return what was said about chunks; None for what was not."""
    return {key: getattr(settings, key) for key in ("chunking", "on_long", *CHOSEN_KEYS)}


def _chunk_settings(path: str, options: dict[str, Any]) -> ChunkSettings:
    """Take what is about chunks out of a root's stored options.

    Raises:
        UsageError: A value is not known: a file can hold anything.
    """
    chunking, on_long = options.pop("chunking", None), options.pop("on_long", "split")
    if chunking not in (None, *get_args(Chunking)) or on_long not in get_args(OnLong):
        raise UsageError(f"{path}: chunking {chunking!r} or on-long {on_long!r} is not known")
    chosen = {key: options.pop(key) for key in CHOSEN_KEYS if key in options}
    for key, value in chosen.items():
        wanted, least = (bool, False) if key == "context_title" else (int, key == "chunk_tokens")
        if type(value) is not wanted or value < least:
            raise UsageError(f"{path}: {key} {value!r} is not known")
    return ChunkSettings(chunking, on_long, **chosen)
