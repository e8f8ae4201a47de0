"""Every error that embedcli raises on purpose.

    EmbedcliError
    ├── UsageError            a setting is wrong or two settings contradict each other
    ├── InputError            input that stops the whole run
    │   ├── MissingPathError  a path named by the user does not exist
    │   └── TextTooLongError  a text is over the model's limit and `--on-long error` was asked for
    ├── VectorError           vectors that do not fit: dimension, dtype, model, not finite
    ├── ModelError            a model cannot be used
    │   ├── UnknownModelError no model of that name
    │   ├── DamagedModelError a file of the model is missing or not what its manifest says
    │   └── DeviceError       the device that was demanded cannot be had
    ├── IndexFileError        an index cannot be used
    │   ├── MissingIndexError there is no index here
    │   ├── DamagedIndexError a checksum does not match, or the file is not an index
    │   ├── IndexMismatchError the index was built with another model or other settings
    │   ├── ShrinkError       the run would drop a large part of the index
    │   └── IndexLockedError  another run is writing (exit code 75)
    ├── OutputError           the result cannot be written
    │   └── OutputClosedError the reader closed the pipe (exit code 0)
    └── MissingExtraError     an optional dependency is not installed

`str(error)` is one line with the cause; `error.hint` says what to type next. Each error means exit code 2
unless the table above says otherwise. Problems with single records are not exceptions: see
`datatypes.Problem`.
"""

from __future__ import annotations


class Interrupted(BaseException):
    """The run was told to stop. Like KeyboardInterrupt it passes every handler of ordinary exceptions.

    Attributes:
        signal_number: The signal that asked.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


class EmbedcliError(Exception):
    """The base of all errors raised on purpose.

    Attributes:
        hint: What to type next; empty when there is nothing useful to say.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(EmbedcliError):
    """A setting is wrong, or two settings contradict each other."""


class InputError(EmbedcliError):
    """Input that stops the whole run."""


class MissingPathError(InputError):
    """A path that the user named does not exist, or cannot be reached."""

    def __init__(self, path: str, reason: str = "no such file or directory") -> None:
        super().__init__(f"{path}: {reason[:1].lower()}{reason[1:]}")
        self.path = path


class TextTooLongError(InputError):
    """A text is longer than the model takes, and the user asked to hear of that."""

    def __init__(self, where: str, *, found: int, limit: int) -> None:
        super().__init__(
            f"{where}: {found} tokens, the model takes {limit}",
            hint="--on-long pool uses all of it, --on-long truncate its beginning",
        )
        self.where, self.found, self.limit = where, found, limit


class VectorError(EmbedcliError):
    """Vectors that do not fit: dimension, dtype or model, or values that are not finite."""


class ModelError(EmbedcliError):
    """A model cannot be used."""


class UnknownModelError(ModelError):
    """There is no model of that name."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(
            f"no model named {name!r}",
            hint="known models: "
            + ", ".join(known)
            + "; a folder with a model.toml can be named by its path",
        )
        self.name, self.known = name, known


class DamagedModelError(ModelError):
    """A file of the model is missing, or not what its manifest says."""


class DeviceError(ModelError):
    """The device that was demanded cannot be had."""


class IndexFileError(EmbedcliError):
    """An index cannot be used."""


class MissingIndexError(IndexFileError):
    """There is no index where one was looked for."""


class DamagedIndexError(IndexFileError):
    """A checksum does not match, or the file is not an index."""


class IndexMismatchError(IndexFileError):
    """The index was built with another model or other settings."""


class ShrinkError(IndexFileError):
    """The run would drop a large part of the index."""


class IndexLockedError(IndexFileError):
    """Another run is writing to the index."""


class OutputError(EmbedcliError):
    """The result cannot be written."""


class OutputClosedError(OutputError):
    """The reader closed the pipe: no failure, there is just nobody left to write for."""


class MissingExtraError(EmbedcliError):
    """An optional dependency is not installed."""

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the extra {extra!r}", hint=f"pip install 'embedcli[{extra}]'")
        self.extra = extra
