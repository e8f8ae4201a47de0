"""`embedcli index list`, `remove`, `check` and `compact`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from embedcli.cli import options

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.cli.run import Run
    from embedcli.tasks.maintain import CheckReport


def list_sources(
    index: options.IndexOption = None,
    null: Annotated[bool, typer.Option("-0", "--null", help="Print only names, each ended by NUL.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """List the files that an index knows: state, chunks and name.

    \b
    embedcli index list
    embedcli index list -i notes.emb --json | jq -r 'select(.state == "partial") .path'
    """  # noqa: D301  (\b keeps the lines apart)
    import json
    import os

    from embedcli.cli.resolve import index_to_read
    from embedcli.tasks.maintain import list_sources as list_all
    from embedcli.write.target import open_output

    with open_output(None) as output:
        for source in list_all(index_to_read(index)):
            if as_json:
                output.write(json.dumps(source).encode() + b"\n")
            elif null:
                output.write(os.fsencode(source["path"]) + b"\0")
            else:
                reason = f"  ({source['reason']})" if source["reason"] else ""
                name = os.fsencode(f"{source['path']}{reason}".replace("\n", "\\n"))
                output.write(f"{source['state']:8} {source['chunks']:7}  ".encode() + name + b"\n")


def remove(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH]...",
            help="Files and folders in the index, there on disk or not; - is what came from standard input.",
            show_default=False,
        ),
    ] = None,
    ids: Annotated[
        list[str] | None,
        typer.Option("--id", metavar="ID", help="A record that came from standard input; repeatable."),
    ] = None,
    index: options.IndexOption = None,
    lock_timeout: options.LockTimeout = 0.0,
    quiet: options.Quiet = False,
) -> None:
    """Take files, folders or records out of an index; the files themselves are not touched.

    \b
    embedcli index remove old-project/
    embedcli index remove -i tickets.emb --id 4711

    A root that is removed is forgotten. A file under a root that stays comes back with the next build, unless
    an ignore file leaves it out.
    """  # noqa: D301  (\b keeps the lines apart)
    from embedcli.cli.resolve import index_to_read
    from embedcli.cli.run import Run
    from embedcli.errors import UsageError
    from embedcli.tasks.maintain import remove as take_out

    if not paths and not ids:
        raise UsageError(
            "nothing to remove: no path and no --id", hint="embedcli index list shows what there is"
        )
    run = Run(quiet=quiet)
    place = index_to_read(index)
    sources, chunks = take_out(place, paths or [], ids or [], lock_timeout_seconds=lock_timeout)
    run.notice(f"{place}: {sources} files and {len(ids or [])} records removed, {chunks} chunks dropped")
    run.finish()


def compact(
    index: options.IndexOption = None,
    lock_timeout: options.LockTimeout = 0.0,
    quiet: options.Quiet = False,
) -> None:
    """Make an index as small as what it holds: deleted vectors go, and their space is given back.

    \b
    embedcli index compact

    Needs as much free room as the compacted index while it works. Stopped at any moment, the index is whole.
    """  # noqa: D301  (\b keeps the lines apart)
    from embedcli.cli.resolve import index_to_read
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.tasks.maintain import compact_index

    run = Run(quiet=quiet)
    place = index_to_read(index)
    with Progress("chunks", enabled=not quiet) as progress:
        before, after = compact_index(place, lock_timeout_seconds=lock_timeout, on_progress=progress.update)
    run.notice(f"{place}: {before} bytes before, {after} after")
    run.finish()


def check(
    index: options.IndexOption = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Take out what is damaged; the next build makes it anew."),
    ] = False,
    recall: Annotated[
        float | None,
        typer.Option(
            "--recall",
            metavar="TARGET",
            min=0,
            max=1,
            help="Also measure how much of the exact answer the faster ways find, and pick their settings.",
        ),
    ] = None,
    top_k: Annotated[
        int, typer.Option("-n", "--top-k", metavar="K", min=1, help="Hits a query, for --recall.")
    ] = 10,
    sample: Annotated[int, typer.Option("--sample", metavar="N", min=1, help="Queries, for --recall.")] = 100,
    save: Annotated[
        bool, typer.Option("--save", help="Keep the settings that --recall picked, for all later searches.")
    ] = False,
    no_encode: Annotated[
        bool, typer.Option("--no-encode", help="Do not encode a sample of the chunks again.")
    ] = False,
    device: options.Device = "auto",
    lock_timeout: options.LockTimeout = 0.0,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Verify an index: every hash, every count, what refers to what, its graph, and a sample encoded again.

    \b
    embedcli index check && echo sound
    embedcli index check --repair && embedcli index build
    embedcli index check --recall 0.98 --save

    Exit code 1 if something is not as it was written; --repair: 0 once what is damaged has been taken out.
    """  # noqa: D301  (\b keeps the lines apart)
    import json

    from embedcli.cli.resolve import encoder_settings, index_to_read, open_model
    from embedcli.cli.run import EXIT_NOTHING, EXIT_OK, Run
    from embedcli.cli.terminal import Progress
    from embedcli.errors import UsageError
    from embedcli.index.file import stored_identity
    from embedcli.tasks.maintain import check_index
    from embedcli.tasks.vectorize import Vectorizer, VectorSettings

    if save and recall is None:
        raise UsageError("--save keeps what --recall picked", hint="--recall 0.98 --save")
    run = Run(quiet=quiet)
    place = index_to_read(index)

    def vectorizer() -> Vectorizer:
        identity = stored_identity(place)
        return Vectorizer(
            open_model(identity.model),
            encoder_settings(device=device, variant=identity.variant, pooling=identity.pooling),
            VectorSettings(dim=identity.dim, prompt=identity.document_prompt, normalize=True),
            run.counts,
        )

    with Progress("vectors", enabled=not quiet) as progress:
        report = check_index(
            place,
            None if no_encode else vectorizer,
            repair=repair,
            lock_timeout_seconds=lock_timeout,
            on_progress=progress.update,
        )
    table = None
    if recall is not None and (repair or not report.findings):
        table = _recall(place, recall, top_k, sample, lock_timeout, save=save)
    if as_json:
        facts = {"path": str(place), "findings": report.findings, "notes": report.notes, "recall": table}
        typer.echo(json.dumps(facts))
    else:
        _show(place, report, table, run)
    run.finish(EXIT_NOTHING if report.findings and not repair else EXIT_OK)


def _show(place: "Path", report: "CheckReport", table: list[dict[str, object]] | None, run: "Run") -> None:
    for finding in report.findings:
        typer.echo(finding)
    for note in report.notes:
        run.notice(f"{place}: {note}")
    if report.repaired is not None:
        records, sources, lost, roots = report.repaired
        run.notice(
            f"{place}: {records} records taken out, {sources} files to be read again by the next build,"
            f" {roots} roots forgotten"
        )
        for name in lost:
            run.notice(f"{place}: record {name!r} came from standard input and has to be given again")
    elif not report.findings:
        run.notice(f"{place}: sound")
    for row in table or ():
        picked = "  <- picked" if row["picked"] else ""
        typer.echo(
            f"{row['method']:6} {row['setting']:>5}  recall {row['recall']:.3f}"
            f"  {row['milliseconds']:8.3f} ms{picked}"
        )


def _recall(
    place: "Path", target: float, top_k: int, sample: int, lock_timeout: float, *, save: bool
) -> list[dict[str, object]]:
    """Return recall and time of each way and setting, and which settings were picked; keep these if asked."""
    from embedcli.encode.processors import usable_cpus
    from embedcli.tasks.recall import tune

    measured, picked = tune(
        place,
        target,
        top_k=top_k,
        sample=sample,
        jobs=usable_cpus(),
        save=save,
        lock_timeout_seconds=lock_timeout,
    )
    for method in {entry.method for entry in measured} - {"exact", *(entry.method for entry in picked)}:
        print(f"embedcli: no setting of {method} reaches {target}", file=sys.stderr)
    return [
        {
            "method": entry.method,
            "setting": entry.setting,
            "recall": entry.recall,
            "milliseconds": 1000 * entry.seconds,
            "picked": entry in picked,
        }
        for entry in measured
    ]
