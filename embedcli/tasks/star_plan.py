"""How rows are compared with the rows kept before them: all, or most of what can be near."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from typing import Final

    from embedcli.vectors.stars import Stars

StarPlan = Literal["auto", "exact", "blocks", "hnsw"]
"""`exact` compares with all kept rows, `blocks` with those of the nearest k-means lists, `hnsw` with those
that a walk through a graph meets; `auto` compares all while there are few, then by lists."""

EXACT_ROWS: Final = 1 << 18
"""Kept rows up to which `auto` compares all: 0.4 ms of one core for each row, less than the default model
takes for a line."""


def make_stars(
    dim: int,
    threshold: float,
    plan: StarPlan = "auto",
    *,
    jobs: int = 1,
    length_ratio: float = 0.0,
    window: int | None = None,
) -> Stars:
    """Return stars that compare as the plan says; all else is as in `Stars`.

    Raises:
        UsageError: No such plan, a window with an approximate one, or a value is out of range.
        MissingExtraError: `hnsw`, and hnswlib is not installed.
    """
    from embedcli.vectors.stars import Stars

    if plan not in get_args(StarPlan):
        raise UsageError(f"no plan {plan!r}", hint="one of " + ", ".join(get_args(StarPlan)))
    if window is not None and plan in {"blocks", "hnsw"}:
        raise UsageError(
            f"the plan {plan} cannot forget, as a window does", hint="leave out the plan or the window"
        )
    stars = partial(Stars, dim, threshold, jobs=jobs, length_ratio=length_ratio, window=window)
    if plan == "exact":
        return stars()
    if plan == "hnsw":
        from embedcli.index.star_graph import GraphRows

        return stars(rows=partial(GraphRows, jobs=jobs))
    from embedcli.vectors.listed_rows import LIST_FROM, ListedRows

    return stars(rows=partial(ListedRows, list_from=EXACT_ROWS if plan == "auto" else LIST_FROM))
