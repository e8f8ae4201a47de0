"""The entry point: the command tree, signals, and every outcome to its exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from embedcli.cli.run import EXIT_BUG, EXIT_FAILED, EXIT_LOCKED, EXIT_OK
from embedcli.cli.terminal import say
from embedcli.cli.tree import app
from embedcli.errors import EmbedcliError, IndexLockedError, Interrupted, OutputClosedError

if TYPE_CHECKING:
    from types import FrameType


_DEBUG = "--debug"

_NEEDED_BYTES = 96 << 20
"""Address space that must be free at the start: with less, numpy's OpenBLAS gives up on its own."""


def main() -> None:
    """Run the command line and exit."""
    # One query is bound by memory, and texts go to our own workers: the threads that OpenBLAS would start
    # only spin beside them. Half of the CPU time of a short search, measured.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if sys.stderr is None:
        # Closed by the caller. What is said to nobody must not end up in the data.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  (open until the end)
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
        _check_limits()
        result = app(prog_name="embedcli", standalone_mode=False)
    except BaseException as error:  # noqa: BLE001  (the last line of defence)
        if _DEBUG in sys.argv[1:2] and not isinstance(error, SystemExit):
            sys.excepthook(type(error), error, error.__traceback__)
        return _exit_code(error)
    return result if isinstance(result, int) else EXIT_OK


def _exit_code(error: BaseException) -> int:
    """Say what went wrong and return the exit code for it."""
    interrupt = _interrupt_behind(error)
    if interrupt is not None:
        return 128 + interrupt.signal_number
    match error:
        case OutputClosedError():
            code = EXIT_OK
        case SystemExit():
            # Typer's own answer to a closed pipe, in the middle of a help text.
            closed = isinstance(error.__context__, BrokenPipeError)
            code = EXIT_OK if closed else int(error.code or 0)
        case EmbedcliError():
            say(str(error), hint=error.hint)
            code = EXIT_LOCKED if isinstance(error, IndexLockedError) else EXIT_FAILED
        case MemoryError() | ImportError() | RuntimeError() if _is_out_of_memory(error):
            say("out of memory", hint="fewer --jobs, or a smaller --max-record-bytes")
            code = EXIT_FAILED
        case OSError():
            where = f"{error.filename}: " if error.filename else "cannot write to standard output: "
            say(f"{where}{error.strerror or error}")
            code = EXIT_FAILED
        # Wrong usage: Typer's classes for it are its own business, what they offer is not.
        case _ if hasattr(error, "format_message") and hasattr(error, "show"):
            error.show()
            code = EXIT_FAILED
        case _:
            sys.excepthook(type(error), error, error.__traceback__)
            say("this is a bug in embedcli", hint="please report it with the lines above")
            code = EXIT_BUG
    return code


def _interrupt_behind(error: BaseException | None) -> Interrupted | None:
    """Return the signal that an error is about; a library that was being loaded reports it as its own."""
    while error is not None and not isinstance(error, Interrupted):
        error = error.__cause__ or error.__context__ if isinstance(error, ImportError) else None
    return error


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether memory is what was missing: libraries say so in several ways."""
    return isinstance(error, MemoryError) or any(
        sign in str(error).lower()
        for sign in ("failed to map segment", "cannot allocate memory", "can't start new thread")
    )


def _check_limits() -> None:
    """Fail in words where a limit leaves too little room: OpenBLAS would end the process with code 1.

    Raises:
        MemoryError: There is less than `_NEEDED_BYTES` of address space.
    """
    import resource

    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        import mmap

        try:
            mmap.mmap(-1, _NEEDED_BYTES).close()
        except OSError as error:
            raise MemoryError from error


def _flush(code: int) -> int:
    """Flush standard output while a failure can still become an exit code."""
    try:
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
    except OSError as error:
        _drop_stdout()
        if code != EXIT_FAILED:
            say(f"cannot write to standard output: {error.strerror}")
        return EXIT_FAILED
    return code


def _drop_stdout() -> None:
    """Give the interpreter somewhere to flush to on exit."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
