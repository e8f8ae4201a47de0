"""How close a hit must be: `--min-score`."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from embedcli.cli.run import Run


class Bound(NamedTuple):
    """The lowest cosine of a hit, or the share of unrelated questions that says it; None for no bound."""

    min_score: float | None
    unrelated_ratio: float | None


def read_bound(min_score: str | None) -> Bound:
    """Return what `--min-score` says.

    Raises:
        UsageError: It is neither `auto` nor a number from -1 to 1.
    """
    from embedcli.errors import UsageError

    if min_score is None:
        return Bound(None, None)
    if min_score == "auto":
        from embedcli.tasks.background import UNRELATED_RATIO

        return Bound(None, UNRELATED_RATIO)
    try:
        cosine = float(min_score)
    except ValueError:
        cosine = float("nan")
    if not -1 <= cosine <= 1:
        raise UsageError(
            f"--min-score {min_score}: not a cosine, -1 to 1, and not auto",
            hint="--min-score auto leaves it to what is searched",
        )
    return Bound(cosine, None)


def tell_bound(run: "Run", cosine: float) -> None:
    """Say which cosine `auto` came to: with -v, and in the counts."""
    run.measured["min_score"] = cosine
    if run.verbose:
        run.notice(f"--min-score auto: {cosine:.4f}")
