"""`search --rerank` and `--rerank-cmd`: what was typed, and the second look."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from embedcli.cli.run import Run
    from embedcli.datatypes import Hit, Record
    from embedcli.encode.catalog import EncoderSettings, Model
    from embedcli.tasks.rerank import RerankSettings
    from embedcli.tasks.vectorize import Vectorizer


class Rerank(NamedTuple):
    """Who looks again: a program, a cross-encoder, or the encoder where there is neither.

    Attributes:
        command: The program.
        model: The cross-encoder, and how it is opened.
        settings: What is made of the second look.
    """

    command: str | None
    model: "tuple[Model, EncoderSettings] | None"
    settings: "RerankSettings"

    def again(
        self,
        asked: "Sequence[Record]",
        found: "list[list[Hit]]",
        vectorizer: "Vectorizer | None",
        top_k: int,
        run: "Run",
        on_progress: "Callable[[int, int], None]" = lambda _done, _total: None,
    ) -> "list[list[Hit]]":
        """Return the best hits after the second look; `on_progress` is told how far it is.

        Raises:
            UsageError: The encoder is to look, and the search uses none.
        """
        from embedcli.errors import UsageError
        from embedcli.tasks.rerank import command_values, maxsim_values, pair_values, rerank
        from embedcli.tasks.vectorize import VectorSettings

        if self.command is not None:
            name, values = "command", command_values(asked, found, self.command)
        elif self.model is not None:
            name = "cross-encoder"
            values = pair_values(asked, found, *self.model, run.counts, run.notice, on_progress)
        elif vectorizer is None:
            raise UsageError(
                "--rerank maxsim compares vectors, which --mode lexical and sparse do not", hint="--alpha 0"
            )
        else:
            documents = vectorizer.with_settings(VectorSettings("document", dim=vectorizer.settings.dim))
            name, values = "maxsim", maxsim_values(asked, found, vectorizer, documents, on_progress)
        return [
            rerank(hits, own, name, self.settings.weight, top_k)
            for hits, own in zip(found, values, strict=True)
        ]


def read_rerank(
    how: str | None,
    command: str | None,
    depth: int | None,
    weight: float | None,
    *,
    cascade: bool,
    device: str,
    jobs: int | None,
) -> Rerank | None:
    """Return what was asked for; None for no second look.

    Raises:
        UsageError: A value is neither `maxsim` nor a cross-encoder, or two options contradict each other.
        ModelError: The model's manifest cannot be read.
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
    model = None if how in (None, "maxsim") else _find_pair_model(str(how), device, jobs)
    usual = MAXSIM_WEIGHT if how == "maxsim" else None
    return Rerank(
        command,
        model,
        RerankSettings(DEFAULT_DEPTH if depth is None else depth, usual if weight is None else weight),
    )


def _find_pair_model(name: str, device: str, jobs: int | None) -> "tuple[Model, EncoderSettings]":
    """Return the cross-encoder of that name, and how it is to be opened."""
    from embedcli.cli.resolve import encoder_settings, open_model
    from embedcli.encode.catalog import check_scores_pairs
    from embedcli.errors import UnknownModelError, UsageError

    try:
        model = open_model(name)
    except UnknownModelError as error:
        raise UsageError(
            f"--rerank {name!r} is neither maxsim nor a model",
            hint="models list names the models; --rerank-cmd takes a program of yours",
        ) from error
    check_scores_pairs(model.manifest)
    return model, encoder_settings(device=device, jobs=jobs)
