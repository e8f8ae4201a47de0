"""Where a model is to come from, as the user writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit

from embedcli.errors import MissingPathError, UsageError
from embedcli.fetch.archive import ARCHIVES, is_archive
from embedcli.fetch.files import is_safe_path

SourceKind = Literal["folder", "archive", "file", "hub", "package", "url"]

_HUB = re.compile(r"hf:(?P<name>[^@]+)(?:@(?P<version>.+))?")
_PACKAGE = re.compile(
    r"pypi:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:==(?P<version>[^/\s]+))?(?:/(?P<inner>.+))?"
)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model is to come from.

    Attributes:
        kind: What it is.
        text: As it was written.
        where: The path, the repository, the package or the URL.
        version: The revision or version that was asked for; None for the latest.
        inner: The folder within a package; empty for the only one that holds a model.
    """

    kind: SourceKind
    text: str
    where: str
    version: str | None = None
    inner: str = ""

    @property
    def default_name(self) -> str:
        """The name that a model from here gets when none is given."""
        if self.kind == "url":
            last = PurePosixPath(unquote(urlsplit(self.where).path)).name
        elif self.kind == "package":
            last = PurePosixPath(self.inner).name or self.where
        elif self.kind == "hub":
            last = self.where.rpartition("/")[2]
        else:
            last = Path(self.where).resolve().name
        for ending in ARCHIVES if self.kind in ("archive", "url", "package") else ():
            last = last.removesuffix(ending)
        return _NOT_IN_NAMES.sub("-", last).strip("-.")[:100] or "model"


def parse_source(text: str) -> Source:
    """Return what a source means.

    Raises:
        UsageError: It is none of the forms there are.
        MissingPathError: It is a path, and nothing is there.
    """
    if match := _HUB.fullmatch(text):
        return Source("hub", text, match["name"].strip("/"), match["version"])
    if text.startswith("pypi:"):
        match = _PACKAGE.fullmatch(text)
        if match is None or not is_safe_path((match["inner"] or "x").strip("/")):
            raise UsageError(
                f"{text}: not a package", hint="pypi:NAME, pypi:NAME==VERSION or pypi:NAME/FOLDER"
            )
        return Source("package", text, match["name"], match["version"], (match["inner"] or "").strip("/"))
    if text.startswith(("https://", "http://")):
        return Source("url", text, text)
    path = Path(text)
    if path.is_dir():
        return Source("folder", text, text)
    if path.is_file() and is_archive(path.name):
        return Source("archive", text, text)
    if path.exists():
        return Source("file", text, text)
    error = MissingPathError(text)
    error.hint = "a repository of a hub is hf:OWNER/NAME, a package is pypi:NAME"
    raise error


def check_name(name: str) -> None:
    """Refuse a name that is no plain file name.

    Raises:
        UsageError: It is not.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a model's name",
            hint="letters, digits, '.', '_' and '-', up to 100, a letter or digit first",
        )
