"""What was typed to what the tasks take: the only place where options, environment and defaults meet."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from embedcli.cli.config import user_folder
from embedcli.cli.run import stdin_is_terminal
from embedcli.datatypes import STDIN_NAME, Chunking, OnLong
from embedcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from embedcli.encode.catalog import EncoderSettings, Model
    from embedcli.index.cache import VectorCache
    from embedcli.tasks.chunk_settings import ChunkSettings

_SIZE = re.compile(r"(\d+)([kmgKMG]?)")
_AGO = re.compile(r"(\d{1,6})([mhdw])")
_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhd]?)")
_AGO_SECONDS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_CACHE_NAME = "vectors.db"
_GRAPHS_NAME = "graphs"
_MODELS_NAME = "models"


def choice(option: str, value: Any, kind: Any) -> Any:
    """Return `value` if it is one of a Literal's words.

    Raises:
        UsageError: It is not; the words are in the hint.
    """
    words = get_args(kind)
    if value not in words:
        raise UsageError(f"{option} {value!r} is not known", hint=", ".join(words))
    return value


def size_bytes(option: str, value: str) -> int:
    """Return a size such as `500K` or `10M` in bytes.

    Raises:
        UsageError: It is no size.
    """
    match = _SIZE.fullmatch(value)
    if match is None:
        raise UsageError(f"{option} {value!r} is not a size", hint="for example 500K, 10M or 1G")
    return int(match[1]) * _UNITS[match[2].lower()]


def input_paths(paths: list[str] | None, files_from: str | None, *, null: bool) -> list[str]:
    """Return the paths to read: those named, those in the list, or standard input.

    Raises:
        UsageError: There is nothing to read: no path, and standard input is a terminal.
    """
    named = list(paths or ())
    if files_from is not None:
        from embedcli.records.source import read_path_list

        if files_from == STDIN_NAME:
            if STDIN_NAME in named:
                raise UsageError("--files-from - and the path - both want standard input")
            named += read_path_list(sys.stdin.buffer, null)
        else:
            with Path(files_from).open("rb") as stream:
                named += read_path_list(stream, null)
        return named
    if named:
        return named
    if stdin_is_terminal():
        raise UsageError(
            "nothing to read: no path, and standard input is a terminal", hint="--help shows examples"
        )
    return [STDIN_NAME]


def stdin_bytes() -> BinaryIO:
    """Return standard input as bytes; an empty one where it is closed."""
    import io

    return io.BytesIO() if sys.stdin is None else sys.stdin.buffer


def models_folders() -> tuple[Path, ...]:
    """Return where models are looked for before the shipped ones."""
    given = os.environ.get("EMBEDCLI_MODELS")
    return (Path(given),) if given else (user_folder("data") / _MODELS_NAME,)


def graphs_folder() -> Path:
    """Return where optimized graphs are kept."""
    return cache_folder() / _GRAPHS_NAME


def cache_folder() -> Path:
    """Return the folder of derived data."""
    given = os.environ.get("EMBEDCLI_CACHE_DIR")
    return Path(given) if given else user_folder("cache")


def open_model(name: str | None) -> Model:
    """Return the model of that name, from the user's folder or the shipped ones.

    Raises:
        UnknownModelError: There is none.
    """
    from embedcli.encode.catalog import find_model

    return find_model(name, models_folders())


def encoder_settings(
    *, device: str = "auto", jobs: int | None = None, variant: str | None = None, pooling: str | None = None
) -> EncoderSettings:
    """Return how the encoder is to be opened.

    Raises:
        UsageError: The pooling or the device is not known.
    """
    from embedcli.encode.catalog import EncoderSettings, check_device
    from embedcli.encode.pooling import pooling_modes

    check_device(device)
    return EncoderSettings(
        device=device,
        jobs=jobs,
        variant=variant,
        pooling=None if pooling is None else "+".join(pooling_modes(pooling)),
        cache_folder=graphs_folder(),
    )


def on_long_of(value: str | None, default: OnLong) -> OnLong:
    """Return what is done with long texts."""
    if value is None:
        return default
    how: OnLong = choice("--on-long", value, OnLong)
    return how


def chunk_settings(
    chunking: str | None,
    on_long: str | None,
    tokens: int | None,
    overlap: int | None,
    context_title: bool | None,
    *,
    reads_lines: bool = False,
) -> ChunkSettings:
    """Return how records are cut; where nothing else is said, long ones are split.

    Args:
        chunking: From `--chunking`.
        on_long: From `--on-long`.
        tokens: From `--chunk-tokens`.
        overlap: From `--chunk-overlap`.
        context_title: From `--context-title`.
        reads_lines: Whether records that are lines keep one vector unless a size of chunks is said.

    Raises:
        UsageError: A word is not known.
    """
    from embedcli.tasks.chunk_settings import ChunkSettings

    how = None if chunking is None else choice("--chunking", chunking, Chunking)
    keeps_whole = reads_lines and how in ("none", "lines") and tokens is None and overlap is None
    long = on_long_of(on_long, "pool" if keeps_whole else "split")
    return ChunkSettings(how, long, tokens, overlap, context_title=bool(context_title))


def cache_path(given: str | None) -> Path | None:
    """Return the cache file that is meant, None for `off`."""
    if given == "off":
        return None
    return Path(given) if given else cache_folder() / _CACHE_NAME


def seconds_of(option: str, text: str) -> float:
    """Return a time such as `90s`, `20m` or `2h` in seconds; a bare number is seconds.

    Raises:
        UsageError: It is no time.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise UsageError(f"{option} {text!r} is not a time", hint="for example 90s, 20m or 2h")
    return float(match[1]) * {"": 1, "s": 1, **_AGO_SECONDS}[match[2]]


def since_ns(text: str) -> int:
    """Return a moment in nanoseconds since 1970: a date, a date with a time, or how long ago, as in `7d`.

    Raises:
        UsageError: It is none of these.
    """
    import time
    from datetime import datetime

    match = _AGO.fullmatch(text)
    if match is not None:
        return time.time_ns() - int(match[1]) * _AGO_SECONDS[match[2]] * 1_000_000_000
    try:
        # Without a zone it is local time, as the user's files show it.
        return int(datetime.fromisoformat(text).timestamp() * 1e9)
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"--since {text!r} is not a moment", hint="for example 7d, 12h, 2026-01-31 or 2026-01-31T18:00"
        ) from None


def index_to_read(given: str | None) -> Path:
    """Return the index to read: the one named, or the nearest one.

    Raises:
        MissingIndexError: There is none.
    """
    from embedcli.errors import MissingIndexError
    from embedcli.tasks.places import index_path, nearest_index

    found = index_path(given) if given is not None else nearest_index(Path())
    if found is None:
        raise MissingIndexError(
            "no index here or in a folder above",
            hint="-i FILE names one, embedcli index build PATH makes one",
        )
    return found


@contextlib.contextmanager
def open_cache(given: str | None, *, no_cache: bool, by_default: bool) -> Iterator[VectorCache | None]:
    """Open the vector cache for a block.

    Args:
        given: From `--cache` or EMBEDCLI_CACHE: a file, `off`, or None.
        no_cache: From `--no-cache`.
        by_default: Whether this run uses the user's cache without being told to.
    """
    path = cache_path(given)
    if no_cache or path is None or (given is None and not by_default):
        yield None
        return
    from embedcli.index.cache import VectorCache

    cache = VectorCache(path)
    try:
        yield cache
    finally:
        cache.close()


_NO_FILES = ("-", "/dev/null", "/dev/stdout", "/dev/stderr")


def check_paths(read: Sequence[str], written: dict[str, str | None], output: str | None) -> None:
    """Refuse to write two things to one file, or over what is read.

    Args:
        read: What is read; `-o` alone may take its place, at the end and as a whole.
        written: What else is written, by the option's name.
        output: From `-o`.

    Raises:
        UsageError: A file would be lost.
    """
    taken = {os.path.realpath(path): path for path in read}
    if output is not None:
        taken[os.path.realpath(output)] = f"-o {output}"
    for option, path in written.items():
        if path is None or path in _NO_FILES:
            continue
        real = os.path.realpath(path)
        if real in taken:
            raise UsageError(f"{option} {path} would be written over {taken[real]}", hint="use two names")
        taken[real] = f"{option} {path}"
