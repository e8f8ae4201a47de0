"""`models add`: from anywhere to the user's models folder, whole or not at all."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedcli.encode.catalog import shipped_folder
from embedcli.encode.manifest import MANIFEST_NAME, format_manifest, read_manifest, verify_files
from embedcli.encode.trust_folder import check_folder
from embedcli.errors import DamagedModelError, ModelError, UsageError
from embedcli.fetch.source import check_name, parse_source
from embedcli.tasks.model_added import ADDED_NAME, Added, format_added
from embedcli.tasks.model_facts import find_licence, forbids_commerce, read_facts
from embedcli.tasks.model_sources import fetch_source
from embedcli.tasks.model_staging import lock_name, publish, remove_stale

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from embedcli.encode.adopt import Origin
    from embedcli.encode.manifest import Manifest
    from embedcli.tasks.model_choice import FetchSettings
    from embedcli.tasks.model_sources import Fetched


@dataclass(frozen=True, slots=True)
class AddSettings:
    """What `models add` was told.

    Attributes:
        fetch: The source, and what is wanted of it.
        name: The model's name; empty for the source's own.
        licence: SPDX identifier, against what the source says; empty for that.
        pooling: How token vectors become one, where no file of the source says so.
        replace: Whether a model of that name is replaced.
    """

    fetch: FetchSettings
    name: str = ""
    licence: str = ""
    pooling: str = ""
    replace: bool = False


@dataclass(frozen=True, slots=True)
class AddReport:
    """What came of it.

    Attributes:
        folder: The new model folder.
        manifest: Its manifest.
        added: How it came here.
        notes: What is good to know, in words.
    """

    folder: Path
    manifest: Manifest
    added: Added
    notes: tuple[str, ...]


def add_model(
    settings: AddSettings,
    *,
    on_bytes: Callable[[int, int | None], None] = lambda _done, _total: None,
    on_step: Callable[[str], None] = lambda _step: None,
    check: Callable[[Path], None] = lambda _made: None,
) -> AddReport:
    """Fetch a model, check it, and make it usable by its name.

    Everything happens beside the models; one rename makes the model visible. Stopped at any moment, there is
    the old state or the new one.

    Args:
        settings: What is wanted.
        on_bytes: Told how many bytes were fetched, and of how many, if that is known.
        on_step: Told a few words before each step that takes time.
        check: Called with the finished folder before it becomes visible; may raise.

    Returns:
        Where it is and what it is.

    Raises:
        UsageError: A setting is wrong, or a model of that name is there already.
        MissingPathError: The source is a path, and nothing is there.
        MissingExtraError: A library that the source needs is not installed.
        ModelError: The source cannot be reached, or is refused; the message says why.
        DamagedModelError: What was sent is not what was announced.
        IndexLockedError: Another run adds a model of that name.
        OutputError: The disk is full, or cannot be written.
    """
    models = settings.fetch.models
    name = settings.name or parse_source(settings.fetch.source).default_name
    check_name(name)
    remove_stale(models)
    with lock_name(models, name):
        target = models / name
        _check_free(target, replace=settings.replace)
        with fetch_source(settings.fetch, on_bytes) as fetched:
            added = Added(
                source=fetched.pinned,
                sha256=fetched.sha256,
                recipe=(settings.fetch.recipe or "auto") if fetched.needs_export else "",
                graph=settings.fetch.graph,
                licence=settings.licence,
                pooling=settings.pooling,
            )
            manifest = _make(fetched, name, settings, added, on_step)
            if added.recipe:
                # What "auto" meant, so that the same is made again by a later version.
                added = dataclasses.replace(added, recipe=manifest.default_variant)
            (fetched.staging.made / ADDED_NAME).write_text(format_added(added), encoding="utf-8")
            check(fetched.staging.made)
            notes = (*_disagreements(fetched, settings), *_notes(manifest))
            publish(fetched.staging.made, target)
    return AddReport(target, manifest, added, notes)


def preview_model(settings: AddSettings) -> dict[str, Any]:
    """Return what `models add` would do, as JSON has it, having fetched at most the small settings files.

    Raises:
        The same as `add_model`, but for what shows only in the weights.
    """
    name = settings.name or parse_source(settings.fetch.source).default_name
    check_name(name)
    fetch = dataclasses.replace(settings.fetch, settings_only=True)
    with fetch_source(fetch) as fetched:
        folder = fetched.folder
        licence, facts = settings.licence, {}
        if folder is not None and folder.is_dir():
            licence = licence or find_licence(folder, fetched.name, fetched.licence)
            facts = dataclasses.asdict(read_facts(folder, fetched.name, licence, fetched.languages))
        sizes = [size for _, size in fetched.files]
        return {
            "name": name,
            "source": fetched.pinned,
            "revision": fetched.revision,
            **facts,
            "commercial": False if forbids_commerce(facts.get("licence", "")) else None,
            "needs_export": fetched.needs_export,
            "graph": fetched.graph,
            "bytes": None if None in sizes else sum(size or 0 for size in sizes),
            "files": [{"path": path, "bytes": size} for path, size in fetched.files],
        }


def _check_free(target: Path, *, replace: bool) -> None:
    """Refuse a name that a model has already, here or among those that come with the program."""
    if replace:
        return
    if target.exists() or target.is_symlink():
        raise UsageError(
            f"a model named {target.name} is there already",
            hint="--name gives another name, --replace replaces it",
        )
    if (shipped_folder() / target.name / MANIFEST_NAME).is_file():
        raise UsageError(
            f"a model named {target.name} comes with embedcli",
            hint="--name gives another name, --replace uses the new one instead",
        )


def _make(
    fetched: Fetched,
    name: str,
    settings: AddSettings,
    added: Added,
    on_step: Callable[[str], None],
) -> Manifest:
    """Make the model folder in the staging place and check it as if it had come from a stranger."""
    folder, made = fetched.folder, fetched.staging.made
    if folder is None:
        raise ModelError(f"{settings.fetch.source}: nothing was fetched")
    licence = settings.licence
    if not licence and folder.is_dir() and not (folder / MANIFEST_NAME).is_file():
        licence = find_licence(folder, fetched.name, fetched.licence)
    if added.recipe:
        from embedcli.encode.export import ExportSettings, export_model

        export = ExportSettings(
            name=name,
            source=fetched.name,
            licence=licence,
            revision=fetched.revision,
            recipe=settings.fetch.recipe or "auto",
            pooling=settings.pooling or None,
        )
        export_model(folder, made, export, on_step)
    else:
        from embedcli.encode.adopt import Origin, adopt_folder

        on_step("check the model and run it on some texts")
        origin = Origin(name=name, source=fetched.name, revision=fetched.revision, licence=licence)
        if folder.is_file():
            _adopt_file(folder, made, origin)
        else:
            adopt_folder(
                folder, made, origin, onnx_file=fetched.graph or None, pooling=settings.pooling or None
            )
    check_folder(made)
    manifest = read_manifest(made)
    if settings.licence and manifest.licence != settings.licence:
        manifest = dataclasses.replace(manifest, licence=settings.licence)
        (made / MANIFEST_NAME).write_text(format_manifest(manifest), encoding="utf-8")
    verify_files(made, manifest)
    if manifest.name != name:
        raise DamagedModelError(f"{made}: its manifest names it {manifest.name!r}, not {name!r}")
    return manifest


def _adopt_file(file: Path, made: Path, origin: Origin) -> None:
    from embedcli.encode.static_layout import adopt_static

    adopt_static(file, made, origin)


def _disagreements(fetched: Fetched, settings: AddSettings) -> tuple[str, ...]:
    """Return where the source's files and the catalogue disagree; an export has told it already."""
    folder = fetched.folder
    if folder is None or not fetched.graph:
        return ()
    from embedcli.encode.layout import read_layout

    return read_layout(folder, name=fetched.name, pooling=settings.pooling or None).notes


def _notes(manifest: Manifest) -> tuple[str, ...]:
    if forbids_commerce(manifest.licence):
        return (f"{manifest.name}: its licence, {manifest.licence}, is not for commercial use",)
    if not manifest.licence:
        return (f"{manifest.name}: its licence is not stated; --licence ID notes it",)
    return ()
