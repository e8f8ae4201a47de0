"""`search --rerank` and `--rerank-cmd`: what was typed, and the second look."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.datatypes import Hit, Record
    from embedcli.tasks.rerank import RerankSettings
    from embedcli.tasks.vectorize import Vectorizer


class Rerank(NamedTuple):
    """Who looks again: a program, or the encoder where there is none; and what is made of it."""

    command: str | None
    settings: "RerankSettings"

    def again(
        self,
        asked: "Sequence[Record]",
        found: "list[list[Hit]]",
        vectorizer: "Vectorizer | None",
        top_k: int,
    ) -> "list[list[Hit]]":
        """Return the best hits after the second look.

        Raises:
            UsageError: The encoder is to look, and the search uses none.
        """
        from embedcli.errors import UsageError
        from embedcli.tasks.rerank import command_values, maxsim_values, rerank
        from embedcli.tasks.vectorize import VectorSettings

        if self.command is not None:
            name, values = "command", command_values(asked, found, self.command)
        elif vectorizer is None:
            raise UsageError(
                "--rerank maxsim compares vectors, which --mode lexical and sparse do not", hint="--alpha 0"
            )
        else:
            documents = vectorizer.with_settings(VectorSettings("document", dim=vectorizer.settings.dim))
            name, values = "maxsim", maxsim_values(asked, found, vectorizer, documents)
        return [
            rerank(hits, own, name, self.settings.weight, top_k)
            for hits, own in zip(found, values, strict=True)
        ]


def read_rerank(
    how: str | None, command: str | None, depth: int | None, weight: float | None, *, cascade: bool
) -> Rerank | None:
    """Return what was asked for; None for no second look.

    Raises:
        UsageError: A value is not known, or two options contradict each other.
    """
    from embedcli.errors import UsageError
    from embedcli.tasks.rerank import DEFAULT_DEPTH, MAXSIM_WEIGHT, RerankSettings

    if how is None and command is None:
        if depth is not None or weight is not None:
            raise UsageError("--rerank-depth and --rerank-weight go with --rerank", hint="--rerank maxsim")
        return None
    if how is not None and command is not None:
        raise UsageError("--rerank and --rerank-cmd exclude each other")
    if cascade:
        raise UsageError("--cascade looks again already; --rerank contradicts it")
    if how not in (None, "maxsim"):
        raise UsageError(
            f"--rerank {how!r} is not known", hint="maxsim, or --rerank-cmd for a program of yours"
        )
    usual = MAXSIM_WEIGHT if command is None else None
    return Rerank(
        command,
        RerankSettings(DEFAULT_DEPTH if depth is None else depth, usual if weight is None else weight),
    )
