"""`embed --sparse`: records to weights of words."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from embedcli.cli.run import Run
    from embedcli.datatypes import Record
    from embedcli.encode.catalog import EncoderSettings
    from embedcli.tasks.vectorize import VectorSettings


def check_sparse_options(model: str | None, others: "dict[str, Any]", form: str) -> None:
    """Refuse what is about vectors of another kind.

    Args:
        model: From `-m`.
        others: Options about them, by name, as they were typed; None where they were not.
        form: From `--to`, or what the name of the output says.

    Raises:
        UsageError: One was typed.
    """
    from embedcli.errors import UsageError

    # The environment names the model where nothing else does.
    if model not in (None, os.environ.get("EMBEDCLI_MODEL")):
        raise UsageError("--sparse names the model; -m contradicts it")
    for option, value in others.items():
        if value:
            raise UsageError(f"{option} is about vectors of numbers; --sparse gives weights of words")
    if form != "jsonl":
        raise UsageError(f"--sparse is written as jsonl, not as {form}", hint="--to jsonl")


def write_sparse(
    model: str,
    encoder: "EncoderSettings",
    settings: "VectorSettings",
    records: "Callable[[], Iterable[Record]]",
    output: str | None,
    run: "Run",
    *,
    show_terms: int | None,
    keep_text: bool,
    text_fields: "Sequence[str]",
) -> None:
    """Write each record with its sparse vector, or the strongest terms of each to read."""
    from embedcli.cli.resolve import open_model
    from embedcli.cli.search_output import hit_style
    from embedcli.tasks.sparse_vectors import SparseVectorizer, embed_sparse
    from embedcli.write.sparse import write_sparse_json, write_sparse_text
    from embedcli.write.target import open_output

    vectorizer = SparseVectorizer(open_model(model), encoder, settings, run.counts, on_notice=run.notice)
    try:
        with open_output(output) as stream:
            for batch, vectors in embed_sparse(records(), vectorizer):
                if show_terms is None:
                    write_sparse_json(
                        *(batch, vectors, vectorizer.terms, stream),
                        vector_model=vectorizer.vector_model,
                        keep_text=keep_text,
                        text_fields=text_fields,
                    )
                else:
                    style = hit_style("auto" if output is None else "never")
                    write_sparse_text(batch, vectors, vectorizer.terms, show_terms, stream, style)
                run.counts.written += len(batch)
            run.stop_if_nothing_was_read()
    finally:
        vectorizer.close()
    if vectorizer.in_windows:
        run.notice(f"{vectorizer.in_windows} texts longer than the model takes, read in windows")
