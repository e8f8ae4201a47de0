"""The entry point: the command tree, signals, and every outcome to its exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from typing import TYPE_CHECKING

import typer

from embedcli.cli.run import EXIT_BUG, EXIT_FAILED, EXIT_LOCKED, EXIT_OK
from embedcli.cli.terminal import say
from embedcli.cli.tree import app
from embedcli.errors import EmbedcliError, IndexLockedError, Interrupted, OutputClosedError

if TYPE_CHECKING:
    from types import FrameType


def main() -> None:
    """Run the command line and exit."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    sys.exit(_flush(_run()))


def _stop(number: int, _frame: FrameType | None) -> None:
    """On the first signal unwind, so that state is committed; a second one ends the process at once."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_DFL)
    raise Interrupted(number)


def _run() -> int:
    """Run the command and return its exit code."""
    try:
        result = app(standalone_mode=False)
    except Interrupted as interrupt:
        return 128 + interrupt.signal_number
    except OutputClosedError:
        return EXIT_OK
    except EmbedcliError as error:
        if _debug():
            raise
        say(str(error), hint=error.hint)
        return EXIT_LOCKED if isinstance(error, IndexLockedError) else EXIT_FAILED
    except SystemExit as error:
        # Typer's own answer to a closed pipe, in the middle of a help text.
        closed = isinstance(error.__context__, OSError) and error.__context__.errno == errno.EPIPE
        return EXIT_OK if closed else int(error.code or 0)
    except typer.Abort:
        return EXIT_FAILED
    except OSError as error:
        if _debug():
            raise
        say(f"{error.filename or 'input or output'}: {error.strerror or error}")
        return EXIT_FAILED
    except Exception as error:  # noqa: BLE001  (the last line of defence)
        # Wrong usage: Typer's classes for it are its own business, what they offer is not.
        if hasattr(error, "format_message") and hasattr(error, "show"):
            error.show()
            return EXIT_FAILED
        if isinstance(error, MemoryError):
            say("out of memory", hint="fewer --jobs, or a smaller --max-record-bytes")
            return EXIT_FAILED
        sys.excepthook(type(error), error, error.__traceback__)
        say("this is a bug in embedcli", hint="please report it with the lines above")
        return EXIT_BUG
    return result if isinstance(result, int) else EXIT_OK


def _debug() -> bool:
    return bool(os.environ.get("EMBEDCLI_DEBUG")) or "--debug" in sys.argv[1:2]


def _flush(code: int) -> int:
    """Flush standard output while a failure can still become an exit code."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
    except OSError as error:
        say(f"cannot write to standard output: {error.strerror}")
        _drop_stdout()
        return EXIT_FAILED
    except ValueError:  # closed
        return code
    return code


def _drop_stdout() -> None:
    """Give the interpreter somewhere to flush to on exit."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
