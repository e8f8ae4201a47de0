"""What was typed for `classify` to what its tasks take."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from embedcli.datatypes import STDIN_NAME
from embedcli.errors import UsageError

if TYPE_CHECKING:
    from embedcli.cli.reading import ReadOptions
    from embedcli.datatypes import Record
    from embedcli.tasks.label_set import LabelSet
    from embedcli.tasks.train import TrainSettings

_SOURCES = ("--labels", "--labels-file", "--examples", "--load")
_EXCLUDE: dict[str, tuple[str, ...]] = {
    "--load": (*_SOURCES[:-1], "--template", "--save"),
    "--labels": ("--labels-file",),
    "--abstain": ("--min-margin", "--multi", "--taxonomy", "--hub-correct"),
    "--multi": ("--min-margin", "--taxonomy"),
    "--counts": ("--gold", "-n", "--prefix"),
    "--gold": ("-n", "--prefix"),
}
_NEED: dict[str, tuple[str, ...]] = {
    "--label-field": ("--examples",),
    "--head": ("--examples",),
    "--neighbors": ("--examples",),
    "--abstain": ("--examples", "--load"),
    "--json": ("--counts", "--gold"),
}
_EXTENSIONS = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")


class Learning(NamedTuple):
    """What labels come from, as typed.

    Attributes:
        labels: Names, separated by commas.
        labels_file: A file with names and descriptions.
        template: What is encoded of a name.
        examples: A file with labelled records.
        field: Where their label is.
        load: A file with a head.
        settings: How a head is learnt.
    """

    labels: str | None
    labels_file: str | None
    template: str | None
    examples: str | None
    field: str
    load: str | None
    settings: "TrainSettings"


def check_options(typed: dict[str, Any]) -> None:
    """Refuse options that contradict each other, or say nothing here.

    Args:
        typed: What was typed, by the option's name; None, False or empty where nothing was.

    Raises:
        UsageError: There are such, or nothing says what the labels are.
    """
    is_typed = {
        option: value is not None and value is not False and value != "" for option, value in typed.items()
    }
    if not any(is_typed[option] for option in _SOURCES):
        raise UsageError(
            "which labels? one of " + ", ".join(_SOURCES),
            hint="embedcli classify --labels refund,delivery,other PATH",
        )
    for option, others in _EXCLUDE.items():
        for other in others:
            if is_typed[option] and is_typed[other]:
                raise UsageError(f"{option} and {other} exclude each other")
    for option, needed in _NEED.items():
        if is_typed[option] and not any(is_typed[other] for other in needed):
            hint = "without examples, --min-margin and --min-score" if option == "--abstain" else ""
            raise UsageError(f"{option} is about {' and '.join(needed)}", hint=hint)
    for option in ("--min-score", "--min-margin"):
        if typed[option] is not None and not math.isfinite(typed[option]):
            raise UsageError(f"{option} {typed[option]}: no number")


def train_settings(kind: str | None, neighbors: int | None, *, many: bool, seed: int) -> "TrainSettings":
    """Return how a head is learnt.

    Raises:
        UsageError: There is no such kind, or neighbours are no part of it.
    """
    from embedcli.cli.resolve import choice
    from embedcli.tasks.train import HeadKind, TrainSettings

    if neighbors is not None and kind not in (None, "knn"):
        raise UsageError(f"--neighbors is about --head knn, not {kind}")
    wanted = choice("--head", kind or ("auto" if neighbors is None else "knn"), HeadKind)
    return TrainSettings(wanted, neighbors or TrainSettings().neighbors, many, seed)


def read_target(typed: str | None) -> float | None:
    """Return the share of right answers that `--abstain` asks for.

    Raises:
        UsageError: It is none.
    """
    from embedcli.vectors.abstain import TARGET

    if typed is None:
        return None
    try:
        found = TARGET if typed == "auto" else float(typed)
    except ValueError:
        found = math.nan
    if not 0 < found <= 1:
        raise UsageError(f"--abstain {typed}: not a share, above 0 to 1, and not auto", hint="--abstain 0.95")
    return found


def check_text_fields(option: str, field: str, reading: "ReadOptions") -> None:
    """See that the label is no part of the text.

    Raises:
        UsageError: It is.
    """
    from embedcli.records.settings import ReadSettings

    settings = reading.settings()
    texts = settings.get("columns") or settings.get("text_fields") or ReadSettings().text_fields
    if field in texts:
        raise UsageError(
            f"{option} {field} is the text itself", hint="--field and --column say what the text is"
        )


def read_labels(learning: Learning) -> "LabelSet | None":
    """Return the labels that were named; None where examples say which there are.

    Raises:
        UsageError: There are fewer than two, or a file of them cannot be read.
    """
    from embedcli.tasks.label_set import LABEL_FIELD, name_labels, read_label_set

    if learning.labels is not None:
        return name_labels([name.strip() for name in learning.labels.split(",")], learning.template)
    if learning.labels_file is None:
        return None
    records = _records("--labels-file", learning.labels_file, {"text_fields": (LABEL_FIELD,)})
    return read_label_set(records, learning.template)


def read_example_records(file: str, reading: "ReadOptions", option: str = "--examples") -> "list[Record]":
    """Return the records of a file of examples, read like the input; its format goes by its own extension.

    Args:
        file: Which.
        reading: What was typed about reading.
        option: What named the file, for messages.

    Raises:
        UsageError: There is nothing in it, or it cannot be read whole.
    """
    settings = reading.settings()
    if file.removesuffix(".gz").endswith(_EXTENSIONS):
        settings.pop("format", None)
    return _records(option, file, settings)


def check_stdin(files: dict[str, str | None], *, stdin_is_taken: bool) -> None:
    """See that standard input is read once.

    Raises:
        UsageError: It would be read again.
    """
    if sum(file == STDIN_NAME for file in files.values()) + stdin_is_taken > 1:
        raise UsageError("standard input can be read once")


def lines_of(option: str, file: str) -> "list[Record]":
    """Return the lines of a file; raises as `read_example_records`."""
    return _records(option, file, {"format": "lines"})


def _records(option: str, file: str, reading: dict[str, Any]) -> "list[Record]":
    """Return the records of a file, a text file as its lines.

    Raises:
        UsageError: It is a folder, there is nothing in it, or it could not be read whole.
    """
    from embedcli.cli.search_question import file_records

    if not file or Path(file).is_dir():
        raise UsageError(f"{option} {file}: no file")
    as_lines = dict.fromkeys(("text_as", "named_text_as", "stdin_text_as"), "lines")
    return file_records(option, file, {**as_lines, **reading}, hint="")
