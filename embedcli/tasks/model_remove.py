"""`models remove`: from the user's models folder, and from nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedcli.encode.catalog import shipped_folder
from embedcli.encode.manifest import MANIFEST_NAME
from embedcli.errors import UnknownModelError, UsageError
from embedcli.fetch.source import check_name
from embedcli.tasks.model_staging import lock_name, remove_stale, take_away

if TYPE_CHECKING:
    from pathlib import Path


def remove_model(models: Path, name: str) -> Path:
    """Remove a model and return the folder that it was in.

    One rename takes it away as a whole; then its files are deleted. What is there under the name goes also
    when it is damaged. Of a link only the link goes.

    Raises:
        UnknownModelError: There is no model of that name.
        UsageError: The model comes with the program, or the name is none.
        IndexLockedError: Another run is adding or removing it.
        OutputError: The folder cannot be written.
    """
    check_name(name)
    target = models / name
    if not target.is_dir() and not target.is_symlink():
        if (shipped_folder() / name / MANIFEST_NAME).is_file():
            raise UsageError(f"{name} comes with embedcli and is not removed")
        known = (path.parent.name for path in models.glob(f"*/{MANIFEST_NAME}"))
        raise UnknownModelError(name, tuple(sorted(known)) or ("none",))
    with lock_name(models, name):
        take_away(target)
    remove_stale(models)
    return target
