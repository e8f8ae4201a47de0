"""One run of a command: what it met, what it says at the end, and its exit code."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, NoReturn

import typer

from embedcli.cli.terminal import say
from embedcli.datatypes import Counts
from embedcli.errors import EmbedcliError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from embedcli.datatypes import Problem

EXIT_OK = 0
EXIT_NOTHING = 1
EXIT_FAILED = 2
EXIT_PARTIAL = 3
EXIT_BUG = 70
EXIT_LOCKED = 75

EXIT_CODES = {
    EXIT_OK: "done; for `search`, `match` and `sample --novel`: something found; for `dedupe --check`: no"
    " duplicates; also when the reader closed the pipe",
    EXIT_NOTHING: "ran cleanly, but nothing found; for `dedupe --check`: duplicates are there; for the"
    " limits of `eval`: one is missed",
    EXIT_FAILED: "could not do it: wrong usage, missing path, bad model or index, write failure",
    EXIT_PARTIAL: "done, except for inputs that could not be read or parsed (named on stderr)",
    EXIT_BUG: "a bug in embedcli (traceback; please report it)",
    EXIT_LOCKED: "another run is writing to the index",
    130: "interrupted (Ctrl-C); what was encoded is kept",
    143: "terminated; what was encoded is kept",
}
"""What each exit code means; the README and the manual page are generated from here."""

_NOTICES_SHOWN = 3

_ALIKE_SHOWN = 10
"""Errors of one kind in one file that are told one by one: a wrong field name is one in every line."""


class Run:
    """Counts and problems of one run.

    Attributes:
        counts: What all stages add to.
        quiet: Say errors only.
        verbose: Say more.
        measured: More numbers for `--stats-json`.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False, stats_json: str | None = None) -> None:
        self.counts = Counts()
        self.quiet, self.verbose = quiet, verbose
        self.measured: dict[str, float] = {}
        self._stats_json = stats_json
        self._has_errors = False
        self._notices: list[Problem] = []
        self._alike: dict[tuple[str, str], int] = {}
        self._hints: set[str] = set()
        self._start, self._cpu_start = time.monotonic(), time.process_time()

    def on_problem(self, problem: Problem) -> None:
        """Say an error at once; keep what a rule left out for the end."""
        if problem.is_error:
            self._has_errors = True
            kind = (_file_of(problem.where), problem.reason.split(";")[0])
            self._alike[kind] = self._alike.get(kind, 0) + 1
            if self._alike[kind] > _ALIKE_SHOWN and not self.verbose:
                return
            # The same advice once: a file may have it for every line.
            hint = "" if problem.hint in self._hints else problem.hint
            self._hints.add(hint)
            say(f"{problem.where}: {problem.reason}", hint=hint)
        elif self.verbose:
            say(f"{problem.where}: {problem.reason}", hint=problem.hint)
        else:
            self._notices.append(problem)

    def notice(self, message: str) -> None:
        """Say something that is good to know."""
        if not self.quiet:
            say(message)

    def stop_if_nothing_was_read(self) -> None:
        """End the command where every input failed, before its output takes the place of an older one."""
        if self._has_errors and self.counts.read == 0:
            self.finish()

    @contextmanager
    def naming_left_out(self) -> Iterator[None]:
        """Say which files were left out before an error that may come of it."""
        try:
            yield
        except EmbedcliError:
            if not self.quiet:
                self._say_left_out()
            raise

    def finish(
        self, code: int = EXIT_OK, *, extra: dict[str, int] | None = None, found_wins: bool = False
    ) -> NoReturn:
        """Say what is left to say, write the counts, and end the command.

        Args:
            code: The exit code if every input could be read.
            extra: More counts for `--stats-json`.
            found_wins: Whether code 0 stands although an input could not be read, as in `grep -q`.
        """
        for (place, reason), count in self._alike.items():
            if count > _ALIKE_SHOWN and not self.verbose:
                say(f"{place}: {count - _ALIKE_SHOWN} more lines: {reason}; -v names them")
        if not self.quiet:
            self._say_notices()
        self._write_stats(extra or {})
        if self._has_errors and not (found_wins and code == EXIT_OK):
            code = EXIT_PARTIAL
        raise typer.Exit(code)

    def _say_left_out(self) -> None:
        shown = self._notices if len(self._notices) <= _NOTICES_SHOWN else []
        for problem in shown:
            say(f"{problem.where}: {problem.reason}", hint=problem.hint)
        if not shown and self._notices:
            reasons = sorted({problem.reason.split(":")[0] for problem in self._notices})
            say(f"left out {len(self._notices)} files ({'; '.join(reasons)}); -v names them")
        self._notices = []

    def _say_notices(self) -> None:
        self._say_left_out()
        for count, what in (
            (self.counts.replaced, "with bytes that are not UTF-8, replaced by U+FFFD"),
            (self.counts.truncated, "longer than the model takes, cut to its beginning"),
            (self.counts.pooled, "longer than the model takes, averaged over windows"),
        ):
            if count:
                say(f"{count} {'text' if count == 1 else 'texts'} {what}")

    def _write_stats(self, extra: dict[str, int]) -> None:
        if self._stats_json is None:
            return
        from embedcli.write.target import open_output

        stats = {
            **asdict(self.counts),
            **extra,
            **self.measured,
            "seconds": round(time.monotonic() - self._start, 6),
            "cpu_seconds": round(time.process_time() - self._cpu_start, 6),
        }
        with open_output(self._stats_json) as stream:
            stream.write(json.dumps(stats).encode() + b"\n")


def _file_of(where: str) -> str:
    """Return the file of a place such as `path:line`."""
    path, _, line = where.rpartition(":")
    return path if path and line.isdecimal() else where


def stdin_is_terminal() -> bool:
    """Whether standard input is a terminal, or is closed: nothing will come from it."""
    return sys.stdin is None or sys.stdin.closed or sys.stdin.isatty()
