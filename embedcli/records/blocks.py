"""The bytes of a source in blocks: opened, unpacked, put through a command, and as UTF-8."""

from __future__ import annotations

import codecs
import os
import stat
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from embedcli.errors import UsageError
from embedcli.records.glob import compile_glob, matches

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import BinaryIO, Final

    from embedcli.datatypes import Source
    from embedcli.records.settings import ReadSettings

BLOCK_BYTES: Final = 1 << 18
"""Most bytes that are read at once: large enough that calls cost nothing, small beside everything else."""

_STDERR_BYTES: Final = 4096
"""How much of the end of a command's stderr is looked at for its last line."""

_LONGEST_BOM: Final = 4
_BOMS: Final = (
    # UTF-32 first: its little-endian mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARK_WRONG: Final = "embedcli-mark-wrong"


class ReadFailedError(Exception):
    """The rest of a source cannot be read. Never leaves this package: it becomes a problem.

    Attributes:
        reason: What is the matter.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Utf8Blocks(NamedTuple):
    """A source's bytes as UTF-8.

    Attributes:
        bom: The byte order mark if the source was UTF-8 and had one, else empty.
        blocks: What follows it, never with an empty block.
    """

    bom: bytes
    blocks: Iterator[bytes]


def read_blocks(
    source: Source, settings: ReadSettings, stdin: BinaryIO | None = None
) -> Generator[bytes, None, None]:
    """Yield a source's bytes, unpacked if its name ends in `.gz`, or what `pre` makes of them.

    A block is given out as soon as there is one, so that a slow pipe is read as it comes. Memory: one block.

    Raises:
        ReadFailedError: In place of the next block.
        UsageError: The command of `pre` cannot be run, or there is no standard input.
    """
    if source.path is None:
        if stdin is None:
            raise UsageError("there is no standard input to read")
        yield from _stream_blocks(stdin)
        return
    with _opened(source) as file:
        if uses_pre(source, settings):
            yield from _command_blocks(source.path, file, settings.pre or "")
        elif source.path.lower().endswith(".gz"):
            import gzip

            with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                yield from _stream_blocks(unpacked)  # type: ignore[arg-type]
        else:
            yield from _stream_blocks(file)


def uses_pre(source: Source, settings: ReadSettings) -> bool:
    """Return whether the `pre` command runs for a source: a regular file that `pre_glob` matches."""
    if settings.pre is None or source.path is None or not os.path.isfile(source.path):  # noqa: PTH113
        return False
    if settings.pre_glob is None:
        return True
    return matches(compile_glob(settings.pre_glob), os.path.normpath(source.path).lstrip("/"))


def is_regular(source: Source) -> bool:
    """Return whether a source can be read twice with the same result."""
    return source.path is not None and os.path.isfile(source.path)  # noqa: PTH113


def as_utf8(blocks: Iterator[bytes]) -> Utf8Blocks:
    """Return the same text as UTF-8 and without byte order mark.

    UTF-16 and UTF-32 are known by their marks. What is wrong in them becomes a byte 0xFF, which is wrong in
    UTF-8 too, so that it is replaced and counted in the record it stands in.
    """
    head = b""
    marks = (codecs.BOM_UTF8, *(mark for mark, _ in _BOMS))
    for block in blocks:
        head += block
        # As soon as it can be no mark any more: a slow pipe is not waited for.
        if len(head) >= _LONGEST_BOM or not any(mark.startswith(head) for mark in marks):
            break
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return Utf8Blocks(b"", _transcoded(head[len(mark) :], blocks, encoding))
    bom = codecs.BOM_UTF8 if head.startswith(codecs.BOM_UTF8) else b""
    return Utf8Blocks(bom, _chained(head[len(bom) :], blocks))


def holds_nul(source: Source, settings: ReadSettings) -> bool:
    """Return whether there is a NUL anywhere in a file, after unpacking and decoding.

    What cannot be read holds none: reading it for its records will tell.
    """
    with closing(read_blocks(source, settings)) as blocks:
        try:
            return any(b"\0" in block for block in as_utf8(blocks).blocks)
        except ReadFailedError:
            return False


def _opened(source: Source) -> BinaryIO:
    """Return a file, open and without a buffer.

    What a walk found was a regular file then. Should it be a FIFO by now, opening it must not hang.
    """
    assert source.path is not None  # standard input is open already
    try:
        if source.named:
            return open(source.path, "rb", buffering=0)  # noqa: PTH123  (a name need not be UTF-8)
        descriptor = os.open(source.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ReadFailedError("is no regular file any more")
        return open(descriptor, "rb", buffering=0)  # noqa: PTH123
    except OSError as error:
        raise ReadFailedError(_reason(error)) from error


def _stream_blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield what a stream gives, as it comes."""
    import zlib

    read = getattr(stream, "read1", stream.read)
    while True:
        try:
            block = read(BLOCK_BYTES)
        except EOFError:
            raise ReadFailedError("the compressed data ends too soon") from None
        except zlib.error as error:
            raise ReadFailedError(f"the compressed data is damaged: {error}") from error
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            raise ReadFailedError(_reason(error)) from error
        if not block:
            return
        yield block


def _command_blocks(path: str, file: BinaryIO, pre: str) -> Iterator[bytes]:
    """Yield what a command makes of a file.

    Source: ripgrep, `--pre`: the path is its argument and the file its standard input.
    """
    import subprocess
    import tempfile

    from embedcli.records.command import command_words

    command = command_words("--pre", pre)
    # A name with a leading dash must not become an option of the command.
    argument = os.path.join(".", path) if path.startswith("-") else path  # noqa: PTH118
    with tempfile.TemporaryFile() as stderr:
        try:
            process = subprocess.Popen(
                [*command, argument], stdin=file, stdout=subprocess.PIPE, stderr=stderr
            )
        except OSError as error:
            raise UsageError(f"--pre {command[0]}: {_reason(error)}") from error
        with process:
            assert process.stdout is not None  # it is a pipe
            try:
                yield from _stream_blocks(process.stdout)  # type: ignore[arg-type]
                code = process.wait()
            finally:
                process.kill()
        if code != 0:
            raise ReadFailedError(f"{command[0]} failed: {_last_line(stderr) or f'exit code {code}'}")


def _last_line(stderr: BinaryIO) -> str:
    """Return the last line that a command wrote, or an empty string."""
    stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - _STDERR_BYTES))
    lines = stderr.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _chained(head: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from blocks


def _transcoded(head: bytes, blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield blocks of another encoding as UTF-8."""
    # Half a surrogate pair, which the encoder below writes as the one byte 0xFF.
    codecs.register_error(_MARK_WRONG, lambda error: ("\udcff", error.end))  # type: ignore[attr-defined]
    decoder = codecs.getincrementaldecoder(encoding)(_MARK_WRONG)
    for block in _chained(head, blocks):
        if text := decoder.decode(block):
            yield text.encode("utf-8", "surrogateescape")
    if text := decoder.decode(b"", final=True):
        yield text.encode("utf-8", "surrogateescape")


def _reason(error: Exception) -> str:
    """Return what the system says is the matter, in the middle of a sentence."""
    reason = getattr(error, "strerror", None) or str(error)
    return f"{reason[:1].lower()}{reason[1:]}"
