"""Packages of an index in the way of PyPI: which file holds a version, and its hash. Nothing is installed.

Source: PEP 503 (the simple index as HTML), PEP 691 (the same as JSON) and PEP 592 (withdrawn files).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from embedcli.errors import ModelError
from embedcli.fetch.archive import is_archive
from embedcli.fetch.download import Remote
from embedcli.fetch.files import is_safe_path
from embedcli.fetch.transport import (
    NETWORK_HINT,
    TIMEOUT_SECONDS,
    StatusError,
    UnreachableError,
    is_same_server,
    open_url,
    refusal,
    split_login,
    unreachable,
)

DEFAULT_INDEX = "https://pypi.org/simple"

_JSON = "application/vnd.pypi.simple.v1+json"
_ACCEPT = f"{_JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_MAX_PAGE_BYTES = 64 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FINAL = re.compile(r"v?(?:(\d{1,9})!)?(\d{1,9}(?:\.\d{1,9})*)(?:\.post(\d{1,9}))?")
_SDIST_ENDINGS = (".tar.gz", ".zip")


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file of a package.

    Attributes:
        version: The version that it is of.
        name: Its file name.
        remote: Where it is and what it hashes to.
    """

    version: str
    name: str
    remote: Remote


def find_package(name: str, version: str | None, index_url: str) -> PackageFile:
    """Return the file of a package that is to be fetched: a wheel if there is one, best one for all systems.

    Args:
        name: The package.
        version: The version; None for the latest final one that was not withdrawn.
        index_url: The simple index.

    Raises:
        ModelError: There is none, it has no SHA-256, or the index cannot be reached.
    """
    what = f"pypi:{name}"
    index, login = split_login(index_url)
    url = f"{index.rstrip('/')}/{_plain(name)}/"
    files = [file for file in _read_page(url, what, login) if _version(file["filename"], name) is not None]
    if version is None:
        finals = [file for file in files if not file["yanked"] and _order(_of(file, name)) is not None]
        if not finals:
            raise ModelError(
                f"{what}: no version of it has a wheel or an archive", hint="pypi:NAME==VERSION names one"
            )
        version = _of(max(finals, key=lambda file: _order(_of(file, name)) or ()), name)
    wanted = [file for file in files if _is_same(_of(file, name), version)]
    if not wanted:
        raise ModelError(f"{what}: no wheel or archive of version {version}")
    best = min(wanted, key=lambda file: _rank(file["filename"]))
    sha256 = best["sha256"]
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ModelError(f"{what}: the index gives no SHA-256 for {best['filename']}")
    size = best["size"] if isinstance(best["size"], int) and best["size"] > 0 else None
    headers = login if is_same_server(best["url"], index) else {}
    return PackageFile(version, best["filename"], Remote(best["url"], sha256, bytes=size, headers=headers))


def _read_page(url: str, what: str, login: dict[str, str]) -> list[dict[str, Any]]:
    """Return the files that an index lists for a package."""
    try:
        with contextlib.closing(open_url(url, {"Accept": _ACCEPT, **login}, TIMEOUT_SECONDS)) as answer:
            page = answer.read(_MAX_PAGE_BYTES + 1)
            kind = answer.headers.get_content_type()
            base = answer.geturl()
    except StatusError as error:
        raise refusal(error, what) from error
    except UnreachableError as error:
        raise ModelError(f"{what}: {url} cannot be reached: {error}", hint=NETWORK_HINT) from error
    except (OSError, http.client.HTTPException) as error:
        raise ModelError(f"{what}: {url}: {unreachable(error)}", hint=NETWORK_HINT) from error
    if len(page) > _MAX_PAGE_BYTES:
        raise ModelError(f"{what}: the index's page is larger than any should be")
    try:
        return _from_json(page, base) if kind == _JSON else _from_html(page, base)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{what}: the index's page cannot be read: {error}") from error


def _from_json(page: bytes, base: str) -> list[dict[str, Any]]:
    return [
        {
            "filename": str(file["filename"]),
            "url": urljoin(base, file["url"]),
            "sha256": file["hashes"].get("sha256"),
            "size": file.get("size"),
            "yanked": bool(file.get("yanked")),
        }
        for file in json.loads(page)["files"]
    ]


def _from_html(page: bytes, base: str) -> list[dict[str, Any]]:
    links = _Links()
    links.feed(page.decode("utf-8", "replace"))
    files = []
    for attributes in links.found:
        url, fragment = urldefrag(urljoin(base, attributes.get("href") or ""))
        name, _, digest = fragment.partition("=")
        files.append(
            {
                "filename": unquote(PurePosixPath(urlsplit(url).path).name),
                "url": url,
                "sha256": digest if name == "sha256" else None,
                "size": None,
                "yanked": "data-yanked" in attributes,
            }
        )
    return files


class _Links(HTMLParser):
    """Collects the attributes of links."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append(dict(attrs))


def _version(filename: str, name: str) -> str | None:
    """Return the version that a file is of; None for one that is no wheel or archive of the package."""
    if not is_archive(filename) or not is_safe_path(filename) or "/" in filename:
        return None
    if filename.endswith(".whl"):
        parts = filename.split("-")
        return parts[1] if len(parts) >= 5 and _plain(parts[0]) == _plain(name) else None
    ending = next((ending for ending in _SDIST_ENDINGS if filename.endswith(ending)), None)
    stem, _, version = filename.removesuffix(ending or "").rpartition("-")
    return version if ending and _plain(stem) == _plain(name) else None


def _of(file: dict[str, Any], name: str) -> str:
    return _version(file["filename"], name) or ""


def _plain(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def _order(version: str) -> tuple[int, tuple[int, ...], int] | None:
    """Return what final versions are ordered by; None for pre-releases and the like.

    Source: PEP 440, of which epochs, releases and post-releases are needed here.
    """
    match = _FINAL.fullmatch(version)
    if match is None:
        return None
    release = [int(part) for part in match[2].split(".")]
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    return int(match[1] or 0), tuple(release), -1 if match[3] is None else int(match[3])


def _is_same(found: str, wanted: str) -> bool:
    """Whether two versions are the same one: `1.0` and `1` are."""
    order = _order(found)
    return found.lower() == wanted.lower() or (order is not None and order == _order(wanted))


def _rank(filename: str) -> tuple[bool, bool, str]:
    """Return what files of one version are preferred by: wheels, then those for all systems."""
    return not filename.endswith(".whl"), not filename.endswith("-none-any.whl"), filename
