"""The sparse model of an index: named when it is built, remembered by it afterwards."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embedcli.cli.run import Run
    from embedcli.datatypes import Role
    from embedcli.index.meta import Identity
    from embedcli.tasks.sparse_vectors import SparseVectorizer


def open_sparse(
    name: str | None,
    identity: "Identity | None",
    run: "Run",
    *,
    device: str,
    jobs: int | None,
    role: "Role" = "document",
) -> "SparseVectorizer | None":
    """Return what makes the sparse vectors of an index; None for an index without.

    Args:
        name: The model that was typed; None for the index's own.
        identity: Of the index; None where it is to be made.
        run: Told of notices. Its counts are those of the other vectors.
        device: From `--device`.
        jobs: From `--jobs`.
        role: What the texts are.

    Raises:
        UnknownModelError: There is no model of that name.
        ModelError: It is of another kind.
    """
    stored = None if identity is None else identity.sparse
    if name is None and stored is None:
        return None
    from embedcli.cli.resolve import encoder_settings, open_model
    from embedcli.datatypes import Counts
    from embedcli.tasks.sparse_vectors import SparseVectorizer
    from embedcli.tasks.vectorize import VectorSettings

    model = open_model(name or (stored.model if stored else None))
    # A model of another name is refused by that name, not for want of a variant.
    known = stored is not None and stored.variant in model.manifest.variants
    return SparseVectorizer(
        model,
        encoder_settings(device=device, jobs=jobs, variant=stored.variant if stored and known else None),
        VectorSettings(role),
        Counts(),
        on_notice=run.notice,
    )
