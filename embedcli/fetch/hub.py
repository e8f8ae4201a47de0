"""Repositories of a model hub: what they hold, and which of it a model needs."""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedcli.errors import MissingExtraError, ModelError, UsageError
from embedcli.fetch.download import Remote, fetch_file
from embedcli.fetch.files import RemoteFile, check_listing, is_safe_path
from embedcli.fetch.transport import NETWORK_HINT, StatusError, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_NAME = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_GATED = "GatedRepo"
_ERROR_HEADER = "x-error-code"


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at one commit.

    Attributes:
        name: `owner/name`, as the hub has it now: what it was asked for may have moved.
        commit: The commit, 40 hexadecimal digits.
        files: All of its files, by path.
        licence: What its card says; empty if it says nothing.
        languages: The same.
    """

    name: str
    commit: str
    files: tuple[RemoteFile, ...]
    licence: str
    languages: tuple[str, ...]


def list_repository(name: str, revision: str | None) -> Repository:
    """Return what a repository holds, with one request.

    Args:
        name: `owner/name`.
        revision: A branch, tag or commit; None for the main branch.

    Raises:
        MissingExtraError: The library huggingface_hub is not installed.
        UsageError: The name cannot be one.
        ModelError: The hub refuses or cannot be reached; the message says why.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"hf:{name} is not a repository", hint="hf:owner/name, or hf:owner/name@revision")
    with _library() as hub:
        try:
            info = hub.HfApi().model_info(
                name,
                revision=revision,
                files_metadata=True,
                timeout=hub.constants.HF_HUB_DOWNLOAD_TIMEOUT,
            )
        except Exception as error:  # the library's own classes, and those of the HTTP library that it uses
            raise _in_words(error, name, revision, hub.constants.ENDPOINT) from error
    if not _COMMIT.fullmatch(info.sha or "") or not _NAME.fullmatch(info.id or ""):
        raise ModelError(f"hf:{name}: the hub's answer names no commit")
    files = tuple(_remote_file(sibling) for sibling in info.siblings or ())
    check_listing(f"hf:{name}", files)
    card: Any = info.card_data or {}
    return Repository(
        name=info.id,
        commit=info.sha,
        files=tuple(sorted(files, key=lambda file: file.path)),
        licence=_licence(card),
        languages=_words(card.get("language")),
    )


def fetch_hub_files(
    repository: Repository,
    files: Sequence[RemoteFile],
    folder: Path,
    on_bytes: Callable[[int], None] = lambda _count: None,
) -> None:
    """Bring files of a repository into a folder, under their paths; those that are there already stay.

    Args:
        repository: Where they are from.
        files: Those to fetch.
        folder: Where they go.
        on_bytes: Told how many bytes of all are there.

    Raises:
        ModelError: The hub refuses or cannot be reached.
        DamagedModelError: A file has another length or hash than the hub's listing says.
        OutputError: The disk is full, or cannot be written.
    """
    before = 0
    with _library() as hub:
        headers = {
            key: value
            for key, value in hub.utils.build_hf_headers().items()
            if key.lower() == "authorization"
        }
        for file in files:
            if not is_safe_path(file.path):
                raise ModelError(f"hf:{repository.name}: {file.path!r} is not a name below the folder")
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            remote = Remote(
                url=hub.hf_hub_url(repository.name, file.path, revision=repository.commit),
                sha256=file.sha256,
                git_sha1=file.git_sha1,
                bytes=file.bytes,
                headers=headers,
            )
            try:
                fetch_file(
                    remote,
                    path,
                    timeout_seconds=hub.constants.HF_HUB_DOWNLOAD_TIMEOUT,
                    on_bytes=lambda count, before=before: on_bytes(before + count),  # type: ignore[misc]
                )
            except StatusError as error:
                raise _refused(error, repository.name, hub.constants.ENDPOINT) from error
            before += file.bytes


@contextlib.contextmanager
def _library() -> Iterator[Any]:
    """Hand over the library huggingface_hub, its own words on standard error switched off.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import huggingface_hub
        import huggingface_hub.utils
    except ImportError:
        raise MissingExtraError("hub", "a model from a hub") from None
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield huggingface_hub
    finally:
        logger.setLevel(level)


def _remote_file(sibling: Any) -> RemoteFile:
    """Return one file of the hub's answer, whose metadata are there because they were asked for."""
    large = getattr(sibling, "lfs", None)
    return RemoteFile(
        path=str(sibling.rfilename),
        bytes=int(large.size if large else sibling.size or 0),
        sha256=str(large.sha256) if large else None,
        git_sha1=None if large else str(sibling.blob_id),
    )


def _licence(card: Any) -> str:
    """Return the licence on a card; one that is in no list has a name of its own beside."""
    licence = card.get("license")
    name = card.get("license_name")
    return str((name if licence == "other" and name else licence) or "")


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(word) for word in value) if isinstance(value, list) else ()


def _in_words(error: Exception, name: str, revision: str | None, endpoint: str) -> ModelError:
    """Return a failure of the library as one line and a hint.

    What is looked at has stayed through its versions: the status, one header, and the names of two classes.
    """
    if type(error).__name__ == "OfflineModeIsEnabled":
        return ModelError(
            f"hf:{name}: HF_HUB_OFFLINE is set, so the hub is not asked", hint="unset HF_HUB_OFFLINE"
        )
    response = getattr(error, "response", None)
    if response is None:
        reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
        return ModelError(
            f"hf:{name}: {endpoint} cannot be reached: {reason}",
            hint=f"{NETWORK_HINT}; HF_ENDPOINT names another hub",
        )
    status = StatusError(response.status_code, dict(response.headers.items()))
    if revision is not None and type(error).__name__ == "RevisionNotFoundError":
        return ModelError(
            f"hf:{name}: no revision {revision!r}", hint="a branch, a tag or a commit of the repository"
        )
    return _refused(status, name, endpoint)


def _refused(error: StatusError, name: str, endpoint: str) -> ModelError:
    """Return a refusal of the hub as one line and a hint."""
    what = f"hf:{name}"
    advice = "set HF_TOKEN to a token that may read it"
    if error.headers.get(_ERROR_HEADER) == _GATED:
        return ModelError(
            f"{what}: its owner gives access to those who accept the terms",
            hint=f"accept them at {endpoint}/{name}, then {advice}",
        )
    if error.status == 401:
        return ModelError(
            f"{what}: there is no such repository, or it is private", hint=f"check the spelling, or {advice}"
        )
    if error.status == 404:
        return ModelError(f"{what}: there is no such repository or revision", hint="check the spelling")
    if error.status == 403:
        return ModelError(f"{what}: the hub refuses access (HTTP 403)", hint=advice)
    if error.status == 429:
        words = refusal(error, what)
        return ModelError(str(words), hint=f"{words.hint}; with HF_TOKEN the limit is higher")
    return refusal(error, what)
