"""What was typed for `sample` to what its tasks take."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from embedcli.cli.reading import ReadOptions
    from embedcli.datatypes import Record
    from embedcli.tasks.hard_negatives import MiningSettings
    from embedcli.vectors.set_query import SetQuery


DEFAULT_NEGATIVES = 5

_BY_VECTORS = ("--diverse", "--representative", "--outliers")

_BELONGS = {
    "-n": ("--like", "--novel", "--hard-negatives"),
    "--max-score": ("--novel",),
    "--update": ("--novel",),
    "--query-field": ("--hard-negatives",),
    "--positive-field": ("--hard-negatives",),
    "--corpus": ("--hard-negatives",),
    "--guide": ("--hard-negatives",),
    "--no-guide": ("--hard-negatives",),
    "--margin": ("--hard-negatives",),
    "--seed": ("--random",),
    "--vectors": _BY_VECTORS,
    "--index": (*_BY_VECTORS, "--random", "--like", "--novel"),
    "--json": (*_BY_VECTORS, "--random", "--like", "--novel"),
}
"""Which way of choosing an option is about."""


class Mode(NamedTuple):
    """How records are chosen, and how many; None for no limit."""

    name: str
    most: int | None

    @property
    def wanted(self) -> int:
        """How many, where that has to be said.

        Raises:
            UsageError: It was not.
        """
        if self.most is None:
            raise UsageError(f"{self.name} needs to know how many", hint="-n N")
        return self.most


def read_mode(typed: dict[str, Any], top_k: int | None) -> Mode:
    """Return the one way of choosing that was typed.

    Args:
        typed: What was typed, by the option's name; None, False or nothing where nothing was.
        top_k: From `-n`.

    Raises:
        UsageError: There is none, or there are several.
    """
    found = [name for name, value in typed.items() if value is not None and value is not False]
    if not found:
        raise UsageError(
            "which records? one of " + ", ".join(typed), hint="embedcli sample --diverse 40 PATH"
        )
    if len(found) > 1:
        raise UsageError(f"{found[0]} and {found[1]} exclude each other")
    value = typed[found[0]]
    return Mode(found[0], value if type(value) is int else top_k)


def check_options(mode: str, typed: dict[str, bool]) -> None:
    """Refuse options that are about another way of choosing.

    Raises:
        UsageError: One was typed.
    """
    for option, is_typed in typed.items():
        if is_typed and mode not in _BELONGS[option]:
            raise UsageError(f"{option} goes with {' and '.join(_BELONGS[option])}, not with {mode}")
    if typed["--guide"] and typed["--no-guide"]:
        raise UsageError("--guide and --no-guide exclude each other")
    if typed["--margin"] and typed["--no-guide"]:
        raise UsageError("--margin says what the guide suspects, and --no-guide leaves it out")


class Bound(NamedTuple):
    """The highest cosine of what is new, or the share of usual records that says it."""

    max_score: float | None
    new_ratio: float


class Past(NamedTuple):
    """What `--novel` compares with."""

    place: str
    bound: Bound
    lock_timeout: float
    update: bool = False


def read_bound(typed: str | None) -> Bound:
    """Return what `--max-score` says.

    Raises:
        UsageError: It is neither a cosine nor `auto`.
    """
    from embedcli.tasks.novel import NEW_RATIO

    if typed in (None, "auto"):
        return Bound(None, NEW_RATIO)
    text = str(typed)
    by_ratio = text.startswith("auto:")
    try:
        number = float(text.removeprefix("auto:"))
    except ValueError:
        number = float("nan")
    if by_ratio and 0 < number < 1:
        return Bound(None, number)
    if by_ratio or not -1 <= number <= 1:
        raise UsageError(
            f"--max-score {text}: not a cosine, -1 to 1, and not auto",
            hint="--max-score auto leaves it to the index; auto:0.05 calls 5 % of what is usual new",
        )
    return Bound(number, NEW_RATIO)


def mining(
    mode: Mode, query: str | None, positive: str | None, margin: float | None, *, guided: bool
) -> "MiningSettings":
    """Return how negatives are chosen."""
    from embedcli.encode.processors import usable_cpus
    from embedcli.tasks.hard_negatives import MARGIN, MiningSettings

    return MiningSettings(
        query or MiningSettings().query,
        positive or MiningSettings().positive,
        mode.most or DEFAULT_NEGATIVES,
        guided=guided,
        margin=MARGIN if margin is None else margin,
        jobs=usable_cpus(),
    )


def read_examples(like: list[str], reading: "ReadOptions", *, stdin_is_taken: bool) -> "list[Record]":
    """Return the texts that were typed, and the records of the files that were named.

    Raises:
        UsageError: There is nothing in a file, it cannot be read whole, or `@` was forgotten.
    """
    from embedcli.cli.search_question import ABOUT_FIELDS, file_records
    from embedcli.datatypes import STDIN_NAME, Record

    if sum(value == f"@{STDIN_NAME}" for value in like) + stdin_is_taken > 1:
        raise UsageError("standard input can be read once")
    said = reading.settings()
    how = {key: said[key] for key in ABOUT_FIELDS if key in said}
    how |= dict.fromkeys(("text_as", "named_text_as", "stdin_text_as"), "lines")
    found: list[Record] = []
    for value in like:
        if value.startswith("@"):
            found += (each for each in file_records("--like", value[1:], how) if not each.is_blank)
        elif Path(value).is_file():
            raise UsageError(f"--like {value}: a file, and not a text", hint=f"--like @{value} reads it")
        else:
            found.append(Record(value, value))
    return found


def examples_query(records: "list[Record]", vectors: Any) -> "SetQuery":
    """Return the examples as a question: near to any of them.

    Args:
        records: At least one.
        vectors: Makes the vectors of records.

    Raises:
        UsageError: The model knows no word of them.
    """
    import numpy as np

    from embedcli.vectors.normalize import normalize
    from embedcli.vectors.set_query import SetQuery

    found = normalize(vectors.record_vectors(records))
    known = np.unique(found[found.any(axis=1)], axis=0)
    if not len(known):
        raise UsageError("--like: the model knows no word of the examples")
    return SetQuery(tuple(known))
