"""Links that a terminal opens on a click.

Source: "Hyperlinks (a.k.a. HTML-like anchors) in terminal emulators", E. Koblinger, 2017 (OSC 8); RFC 8089
for `file` URLs, whose host tells a terminal that shows another machine's output that the file is not its own.
"""

from __future__ import annotations

import os
from typing import NamedTuple


class LinkBase(NamedTuple):
    """What makes the URL of a file of a path.

    Attributes:
        host: The machine's name.
        folder: The working directory, absolute.
    """

    host: str
    folder: str


def file_url(path: str, base: LinkBase) -> str:
    """Return the URL of a file: ASCII, with every byte beyond the unreserved ones as `%XX`."""
    from urllib.parse import quote, quote_from_bytes

    whole = os.path.normpath(os.path.join(base.folder, path))  # noqa: PTH118  (bytes that are no UTF-8 stay)
    return f"file://{quote(base.host, safe='')}{quote_from_bytes(os.fsencode(whole))}"


def linked(shown: str, url: str) -> str:
    """Return what is shown as a link."""
    return f"\x1b]8;;{url}\x1b\\{shown}\x1b]8;;\x1b\\"
