"""What is said on standard error, and whether colours and progress bars are wanted."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

PROGRESS_AFTER_SECONDS = 1.0


def say(message: str, *, hint: str = "") -> None:
    """Write one line, and a hint under it, to standard error."""
    lines = [f"embedcli: {message}"] + ([f"hint: {hint}"] if hint else [])
    try:
        for line in lines:
            print(_visible(line), file=sys.stderr)
        sys.stderr.flush()
    except (OSError, ValueError):
        # Nobody listens: closed, or full.
        return


def _visible(text: str) -> str:
    """Show control characters, and bytes of file names that are no UTF-8, as escapes."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )


def wants_color(when: str, stream: TextIO | None) -> bool:
    """Decide on colours for a stream.

    Raises:
        UsageError: `when` is not auto, always or never.
    """
    if when not in ("auto", "always", "never"):
        raise UsageError(f"--color {when}: not auto, always or never")
    if when != "auto":
        return when == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("CLICOLOR_FORCE") or os.environ.get("FORCE_COLOR"):
        return True
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def terminal_width() -> int | None:
    """Return how many columns standard output has, or None where it is no terminal."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns or None


class Progress:
    """A progress bar on standard error: only on a terminal, and only once a run has taken a second."""

    def __init__(self, what: str, *, enabled: bool) -> None:
        self._what = what
        self._enabled = enabled and sys.stderr is not None and sys.stderr.isatty()
        self._start = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, total: int | None = None) -> None:
        """Show how far the run is; `total` is None where that is not known."""
        if not self._enabled:
            return
        if self._bar is None:
            if time.monotonic() - self._start < PROGRESS_AFTER_SECONDS:
                return
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=total)
        self._bar.update(self._task, completed=done, total=total)
