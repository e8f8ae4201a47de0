"""The ranking that was found to be the best, stored in an index as its default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedcli.index.file import open_for_writing, stored_identity
from embedcli.index.reader import IndexReader
from embedcli.index.writer import IndexWriter

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.index.meta import Identity
    from embedcli.tuning import TuneSetting, Tuning


def check_storable(index: Path, models: list[str]) -> None:
    """Refuse an index that nothing which is measured could be stored in.

    Raises:
        IndexFileError: There is none, or it cannot be read.
        UsageError: It is of another model, or keeps no text.
    """
    from embedcli.errors import UsageError

    identity = stored_identity(index)
    if identity.model not in models:
        raise UsageError(
            f"{index}: of {identity.model}, which is not among what is measured", hint=f"-m {identity.model}"
        )
    if not identity.keep_text:
        raise UsageError(f"{index}: built with --no-text: vectors alone can rank it")


def ranking_for(tuning: Tuning, identity: Identity) -> TuneSetting:
    """Return the best setting on the first half among those that an index of this kind can be searched with.

    Of other numbers or another dtype where none of the index's own was measured.
    """
    fits = [
        number
        for number, point in enumerate(tuning.points)
        if point.setting.model == identity.model and not point.setting.rerank
    ]
    own = [
        number
        for number in fits
        if (tuning.points[number].setting.dim, tuning.points[number].setting.dtype)
        == (identity.dim, identity.dtype)
    ]
    if tuning.chosen in own:
        return tuning.points[tuning.chosen].setting
    return tuning.points[max(own or fits, key=tuning.on_first_half)].setting


def store_ranking(index: Path, setting: TuneSetting, *, lock_timeout_seconds: float = 0.0) -> None:
    """Store how an index is searched where nothing is said.

    Raises:
        IndexFileError: There is none, or it cannot be written.
    """
    identity = stored_identity(index)
    said = {"mode": setting.mode}
    if setting.mode == "hybrid":
        said |= {"fusion": setting.fusion, "alpha": setting.alpha}  # type: ignore[dict-item]
    with open_for_writing(index, identity, lock_timeout_seconds=lock_timeout_seconds) as connection:
        writer = IndexWriter(index, connection, identity, may_shrink=False)
        defaults = IndexReader(index, connection).query_defaults()
        writer.put_query_defaults({**defaults, **said})
        writer.commit()
