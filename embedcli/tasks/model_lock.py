"""`models lock` and `models sync`: the same models, byte for byte, on another machine."""

from __future__ import annotations

import dataclasses
import hashlib
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from embedcli.encode.catalog import Model, iter_models, shipped_folder
from embedcli.encode.manifest import Probe, Variant, format_manifest, read_manifest, verify_files
from embedcli.errors import DamagedModelError, EmbedcliError, InputError, MissingPathError, ModelError
from embedcli.fetch.source import check_name
from embedcli.tasks.model_add import AddSettings, add_model
from embedcli.tasks.model_added import Added, read_added, toml_text
from embedcli.tasks.model_choice import FetchSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from embedcli.encode.export.settings import Recipe
    from embedcli.encode.manifest import Manifest

LOCK_FORMAT = 1
LOCAL, SHIPPED = "local", "shipped"
"""Sources of models that cannot be fetched: made on the machine, and those that come with the program."""

State = Literal["equal", "missing", "different"]


@dataclass(frozen=True, slots=True)
class LockEntry:
    """One model of a lock file.

    Attributes:
        name: The model's name.
        revision: Commit or version, for people to read; the source holds it too.
        added: How to get it again; the source is `local` or `shipped` for one that cannot be fetched.
        manifest_sha256: SHA-256 of its settings; see `settings_sha256`.
        files: SHA-256 of each file by name.
    """

    name: str
    revision: str
    added: Added
    manifest_sha256: str
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What was found, or what was done.

    Attributes:
        name: The model's name.
        state: As it is now.
        action: `none`, `fetched` or `replaced`.
        reason: What is different or missing, in words; empty for an equal one.
    """

    name: str
    state: State
    action: Literal["none", "fetched", "replaced"]
    reason: str


def settings_sha256(manifest: Manifest) -> str:
    """Return the SHA-256 of a manifest in its usual form, without what was measured when it was made.

    Speeds and the last bits of the probes differ from machine to machine; what vectors depend on does not.
    """
    bare = dataclasses.replace(
        manifest,
        probes=tuple(Probe(probe.text, "") for probe in manifest.probes),
        variants={
            name: Variant(entry.file, entry.device, entry.one_text_per_call, entry.recipe)
            for name, entry in manifest.variants.items()
        },
        duplicates=None,
    )
    return hashlib.sha256(format_manifest(bare).encode()).hexdigest()


def lock_models(models: Path) -> str:
    """Return the lock file's text for all models of this machine, those that come with the program included.

    Raises:
        DamagedModelError: A model is not what its manifest says: nothing of it should be locked.
    """
    shipped = shipped_folder()
    lines = [
        "# The models of a machine. `embedcli models sync FILE` brings another one to the same state.",
        f"format = {LOCK_FORMAT}",
    ]
    for model in iter_models((models,)):
        verify_files(model.folder, model.manifest)
        is_shipped = model.folder.parent == shipped
        added = Added(source=SHIPPED) if is_shipped else read_added(model.folder)
        entry = _entry(model, added)
        lines += [
            "",
            "[[models]]",
            f"name = {toml_text(entry.name)}",
            f"revision = {toml_text(entry.revision)}",
        ]
        lines += [
            f"{key} = {toml_text(getattr(added, key))}" for key in Added.__slots__ if getattr(added, key)
        ]
        lines += [f"manifest_sha256 = {toml_text(entry.manifest_sha256)}", "", "[models.files]"]
        lines += [f"{toml_text(name)} = {toml_text(sha256)}" for name, sha256 in sorted(entry.files.items())]
    return "\n".join(lines) + "\n"


def _entry(model: Model, added: Added) -> LockEntry:
    manifest = model.manifest
    return LockEntry(
        name=model.folder.name,
        revision=manifest.revision,
        added=added,
        manifest_sha256=settings_sha256(manifest),
        files={name: entry.sha256 for name, entry in manifest.files.items()},
    )


def read_lock(path: Path) -> list[LockEntry]:
    """Read a lock file.

    Raises:
        MissingPathError: There is none.
        InputError: It is not one.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingPathError(str(path)) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    if table.get("format") != LOCK_FORMAT:
        raise InputError(f"{path}: no lock file of models, or one of another version of embedcli")
    try:
        entries = [_read_entry(entry) for entry in table.get("models", ())]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: an entry is not as `models lock` writes it: {error}") from None
    if len({entry.name for entry in entries}) != len(entries):
        raise InputError(f"{path}: two models of one name")
    return entries


def _read_entry(table: dict[str, Any]) -> LockEntry:
    check_name(table["name"])
    return LockEntry(
        name=table["name"],
        revision=str(table["revision"]),
        added=Added(**{key: str(table[key]) for key in Added.__slots__ if key in table}),
        manifest_sha256=str(table["manifest_sha256"]),
        files={str(name): str(sha256) for name, sha256 in table["files"].items()},
    )


def sync_models(
    entries: list[LockEntry],
    models: Path,
    *,
    check_only: bool,
    replace: bool,
    index_url: str,
    on_bytes: Callable[[int, int | None], None] = lambda _done, _total: None,
    on_step: Callable[[str], None] = lambda _step: None,
) -> list[SyncReport]:
    """Compare the models here with those of a lock file, and fetch those that are missing.

    Args:
        entries: The lock file.
        models: The user's models folder.
        check_only: Whether nothing is fetched; no network is used then.
        replace: Whether a model that is there and different is fetched again.
        index_url: The package index.
        on_bytes: As `add_model`.
        on_step: As `add_model`.

    Returns:
        One report an entry, in order.

    Raises:
        DamagedModelError: What was fetched is not what the lock file says; nothing of it is used.
        EmbedcliError: As `add_model`.
    """
    reports = []
    for entry in entries:
        state, reason = _compare(entry, models)
        wanted = state == "missing" or (state == "different" and replace)
        if not wanted or check_only or entry.added.source in (LOCAL, SHIPPED):
            reports.append(SyncReport(entry.name, state, "none", reason and _why(entry, state, reason)))
            continue
        on_step(f"{entry.name}: fetch {entry.added.source}")
        add_model(
            _settings(entry, models, index_url, replace=state == "different"),
            on_bytes=on_bytes,
            on_step=on_step,
            check=lambda made, entry=entry: _check_made(entry, made),  # type: ignore[misc]
        )
        reports.append(SyncReport(entry.name, "equal", "replaced" if state == "different" else "fetched", ""))
    return reports


def _why(entry: LockEntry, state: State, reason: str) -> str:
    """Return what is wrong, and why it cannot be mended from here."""
    if entry.added.source == LOCAL:
        return f"{reason}; it was made on another machine and cannot be fetched: copy its folder"
    if entry.added.source == SHIPPED:
        return f"{reason}; it comes with embedcli: install the same version"
    return reason if state == "missing" else f"{reason}; --replace fetches it again"


def _settings(entry: LockEntry, models: Path, index_url: str, *, replace: bool) -> AddSettings:
    added = entry.added
    return AddSettings(
        fetch=FetchSettings(
            source=added.source,
            models=models,
            sha256=added.sha256,
            recipe=cast("Recipe | None", added.recipe or None),
            graph=added.graph,
            index_url=index_url,
        ),
        name=entry.name,
        licence=added.licence,
        pooling=added.pooling,
        replace=replace,
    )


def _compare(entry: LockEntry, models: Path) -> tuple[State, str]:
    """Return how the model here compares with the lock file, and what is different, in words."""
    for parent in (models, shipped_folder()):
        folder = parent / entry.name
        if folder.is_dir():
            break
    else:
        return "missing", "not here"
    try:
        _check_folder(entry, folder)
    except EmbedcliError as error:
        return "different", str(error)
    return "equal", ""


def _check_folder(entry: LockEntry, folder: Path) -> None:
    """Raise ModelError unless a folder holds what the lock file says."""
    manifest = read_manifest(folder)
    found = {name: file.sha256 for name, file in manifest.files.items()}
    for name in sorted(found.keys() | entry.files.keys()):
        if found.get(name) != entry.files.get(name):
            raise ModelError(
                f"{name} has sha256 {found.get(name)}, the lock file says {entry.files.get(name)}"
            )
    if settings_sha256(manifest) != entry.manifest_sha256:
        raise ModelError("its settings in model.toml are others than the lock file's")
    verify_files(folder, manifest)


def _check_made(entry: LockEntry, made: Path) -> None:
    """Refuse what was fetched if it is not what the lock file says."""
    try:
        _check_folder(entry, made)
    except ModelError as error:
        hint = (
            "the libraries that export it must have the same versions as there"
            if entry.added.recipe
            else "the source has changed, or the lock file was; nothing of it is used"
        )
        raise DamagedModelError(f"{entry.name}: {error}", hint=hint) from error
