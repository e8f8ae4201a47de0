"""What was typed for `match` to what its tasks take."""

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from embedcli.cli.match_run import MatchWork
    from embedcli.cli.reading import ReadOptions
    from embedcli.cli.work import Typed
    from embedcli.tasks.match import MatchSettings
    from embedcli.tasks.match_comm import Status
    from embedcli.write.matches import MatchForm

How = Literal["left", "inner", "anti"]
Margin = Literal["ratio"]
Mode = Literal["LEFT RIGHT", "--pairs", "--string", "--comm", "--drift"]

_JOIN, _SIDES = "LEFT RIGHT", ("LEFT RIGHT", "--comm", "--drift")

_BELONGS: dict[str, tuple[str, ...]] = {
    "--how": (_JOIN,),
    "-n": (_JOIN, "--drift"),
    "--min-score": (_JOIN, "--comm", "--string"),
    "--min-margin": (_JOIN,),
    "--one-to-one": (_JOIN,),
    "--blend": (_JOIN, "--comm", "--pairs", "--string"),
    "--margin": (_JOIN,),
    "--neighbors": (_JOIN,),
    "--left-field": (*_SIDES, "--pairs"),
    "--right-field": (*_SIDES, "--pairs"),
    "--status": ("--comm",),
    "--max-p": ("--drift",),
    "--seed": ("--drift",),
    "--to": (_JOIN, "--comm"),
    "--json": ("--string", "--drift"),
    "--vectors": _SIDES,
    "--files-from": ("--pairs",),
    "PATH": (*_SIDES, "--pairs"),
}
"""Which way of matching an option is about."""


def read_mode(typed: dict[str, bool], options: dict[str, bool]) -> Mode:
    """Return the one way of matching that was typed; two inputs are joined if nothing else was said.

    Args:
        typed: Whether each of the other ways was.
        options: Whether each option was that is not about all of them.

    Raises:
        UsageError: There are several, or an option is about another one.
    """
    found = [name for name, is_typed in typed.items() if is_typed]
    if len(found) > 1:
        raise UsageError(f"{found[0]} and {found[1]} exclude each other")
    mode: Any = found[0] if found else _JOIN
    for option, is_typed in options.items():
        if is_typed and mode not in _BELONGS[option]:
            without = "a match of LEFT and RIGHT" if mode == _JOIN else mode
            raise UsageError(f"{option} goes with {' and '.join(_BELONGS[option])}, not with {without}")
    return mode  # type: ignore[no-any-return]


def check_numbers(typed: dict[str, float | None]) -> None:
    """Refuse what is no number, which nothing is above or below of.

    Raises:
        UsageError: One is none.
    """
    for option, value in typed.items():
        if value is not None and not math.isfinite(value):
            raise UsageError(f"{option} {value}: not a number that anything can be compared with")


def check_join(how: How, settings: "MatchSettings", *, has_top_k: bool, has_neighbors: bool) -> None:
    """Refuse what contradicts itself in a join.

    Raises:
        UsageError: Something does.
    """
    if has_neighbors and not settings.ratio:
        raise UsageError("--neighbors is about --margin ratio")
    if has_top_k and settings.one_to_one:
        raise UsageError("-n and --one-to-one exclude each other")
    if how != "anti":
        return
    if has_top_k:
        raise UsageError("-n says how many matches are written, and --how anti writes none")
    if settings.min_score is None and settings.min_margin is None and not settings.one_to_one:
        raise UsageError(
            "--how anti: without a limit everything matches", hint="--min-score, --min-margin or --one-to-one"
        )


def comm_settings(work: "MatchWork", settings: "MatchSettings") -> "MatchSettings":
    """Return from which score on a record is another one in other words.

    Raises:
        UsageError: Nobody says.
    """
    if settings.min_score is not None:
        return settings
    if settings.blend:
        raise UsageError(
            "--comm --blend: the model's threshold is a cosine, and no blend", hint="--min-score SCORE"
        )
    if work.own_vectors:
        raise UsageError("--comm --vectors own: no model says what is reworded", hint="--min-score COSINE")
    from embedcli.tasks.dedupe import threshold_of

    return replace(settings, min_score=threshold_of(work.encoder.model.manifest))


class Sides(NamedTuple):
    """The two inputs.

    Attributes:
        left: One of them.
        right: The other; None where there is one.
        are_same: Whether they are one and the same.
    """

    left: "Typed"
    right: "Typed | None" = None
    are_same: bool = False


def read_sides(
    mode: Mode,
    paths: list[str] | None,
    reading: "ReadOptions",
    left_field: list[str] | None,
    right_field: list[str] | None,
    vectors: str | None,
) -> Sides:
    """Return the two inputs, or the one of `--pairs`; `--string` reads none.

    Raises:
        UsageError: There are not two, or both are standard input.
        MissingPathError: One does not exist.
    """
    from embedcli.cli.input_records import OWN_VECTORS
    from embedcli.cli.work import read_inputs
    from embedcli.datatypes import STDIN_NAME

    if mode in ("--pairs", "--string"):
        named = [STDIN_NAME] if mode == "--string" else paths
        return Sides(read_inputs(named, None, None, reading))
    if paths is None or len(paths) != 2:
        raise UsageError(
            f"match takes two inputs, LEFT and RIGHT, not {len(paths or ())}",
            hint=f"{STDIN_NAME} is standard input; --help shows examples",
        )
    if vectors not in (None, OWN_VECTORS):
        raise UsageError(f"--vectors {vectors}: match takes those that records bring", hint="--vectors own")
    sides = [
        _side(path, reading, names, vectors)
        for path, names in zip(paths, (left_field, right_field), strict=True)
    ]
    _check_exist([path for path, side in zip(paths, sides, strict=True) if side.source is None], reading)
    # Two columns of one table are two inputs.
    return Sides(sides[0], sides[1], left_field == right_field and _is_same(*paths))


def _side(path: str, reading: "ReadOptions", names: list[str] | None, vectors: str | None) -> "Typed":
    from embedcli.cli.work import read_inputs
    from embedcli.tasks.against import is_index

    own = replace(reading, field=names, column=None) if names else reading
    return read_inputs(None, path, None, own) if is_index(path) else read_inputs([path], None, vectors, own)


def _check_exist(paths: list[str], reading: "ReadOptions") -> None:
    """Make sure that both inputs can be read before one of them is, which may take long."""
    from embedcli.records.settings import ReadSettings
    from embedcli.records.source import find_sources

    find_sources(paths, ReadSettings(**reading.settings()), lambda _problem: None)


def _is_same(left: str, right: str) -> bool:
    is_file = Path(left).exists() and Path(right).exists()
    return is_file and os.path.samefile(left, right)  # noqa: PTH121


def read_statuses(typed: str | None) -> frozenset["Status"]:
    """Return what `--comm` is to write.

    Raises:
        UsageError: A word is not known.
    """
    from embedcli.tasks.match_comm import Status

    known = get_args(Status)
    words = [each for each in known if each != "same"] if typed is None else typed.split(",")
    for word in words:
        if word not in known:
            raise UsageError(f"--status {word!r} is not known", hint=", ".join(known))
    return frozenset(words)  # type: ignore[arg-type]


def read_form(typed: str | None, output: str | None) -> "MatchForm":
    """Return the form of the output.

    Raises:
        UsageError: It is not known.
    """
    from embedcli.cli.resolve import choice
    from embedcli.write.matches import MatchForm

    suffix = Path(output or "").suffix
    if typed is None and suffix == ".csv":
        raise UsageError(f"-o {output}: matches are written as JSONL or TSV", hint="--to jsonl or --to tsv")
    form: MatchForm = choice("--to", typed or ("tsv" if suffix == ".tsv" else "jsonl"), MatchForm)
    return form


def pair_names(left: list[str] | None, right: list[str] | None) -> tuple[str, ...]:
    """Return the two fields of `--pairs`; none where the defaults are meant.

    Raises:
        UsageError: There is one, or more than two.
    """
    names = (*(left or ()), *(right or ()))
    if names and (len(left or ()), len(right or ())) != (1, 1):
        raise UsageError("--pairs takes one --left-field and one --right-field, or none of them")
    return names
