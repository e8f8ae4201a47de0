"""Globs that narrow a set of paths."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from typing import Final

_TOKEN: Final = re.compile(
    r"(?P<any_folders>(?<![^/])\*\*/)"
    r"|(?P<below>(?<=/)\*\*$)"
    r"|(?P<stars>\*+)"
    r"|(?P<one>\?)"
    r"|\[(?P<negated>[!^]?)(?P<set>\]?[^\]/]*)\]"
    r"|(?P<open>\{)|(?P<comma>,)|(?P<close>\})"
    r"|\\(?P<escaped>.)"
    r"|(?P<plain>.)",
    re.DOTALL,
)

_FIXED: Final = {
    "any_folders": "(?:.*/)?",
    "below": ".+",
    "stars": "[^/]*",
    "one": "[^/]",
    "open": "(?:",
    "close": ")",
}


def compile_glob(glob: str) -> re.Pattern[str]:
    """Return a pattern whose `fullmatch` takes a path, relative and parted by `/`, or one of its folders.

    `*`, `?` and `[a-z]` stop at a slash, `**` passes it, `{a,b}` is either. A glob without a slash, but for
    one at its end, is met by a name at any depth.

    Source: gitignore(5), "Pattern format", and the globset crate for the braces. Here a glob never negates.

    Raises:
        UsageError: A brace has no partner, or a set of characters is wrong.
    """
    body = glob.rstrip("/")
    anchored = "/" in body
    parts: list[str] = []
    depth = 0
    for token in _TOKEN.finditer(body.lstrip("/")):
        kind = token.lastgroup
        depth += (kind == "open") - (kind == "close")
        if depth < 0:
            break
        parts.append(_translate(token, kind, in_braces=depth > 0))
    if depth:
        raise UsageError(f"glob {glob!r}: a brace has no partner", hint=r"\{ and \} stand for themselves")
    prefix = "" if anchored else "(?:.*/)?"
    try:
        return re.compile(prefix + "".join(parts), re.DOTALL)
    except re.error as error:
        raise UsageError(f"glob {glob!r}: {error.msg}") from error


def matches(pattern: re.Pattern[str], path: str) -> bool:
    """Return whether a relative path, or a folder that it lies in, is what the glob means."""
    if pattern.fullmatch(path):
        return True
    slash = path.find("/")
    while slash >= 0:
        if pattern.fullmatch(path, 0, slash):
            return True
        slash = path.find("/", slash + 1)
    return False


def _translate(token: re.Match[str], kind: str | None, *, in_braces: bool) -> str:
    """Return the regular expression for one token of a glob."""
    if kind in _FIXED:
        return _FIXED[kind]
    if kind == "comma" and in_braces:
        return "|"
    if kind == "set":
        # What is special in a class here is not special in a glob; and a class never takes a slash.
        chars = re.sub(r"([\\\[\]&~|^])", r"\\\1", token["set"])
        return f"(?!/)[{'^' if token['negated'] else ''}{chars}]"
    return re.escape(token["escaped"] or token[0])
