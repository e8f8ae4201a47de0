"""What a run of `cluster` writes: records, files of them, a table, a tree."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embedcli.cli.cluster_shown import ShownOptions
    from embedcli.cli.work import Work
    from embedcli.tasks.cluster_report import ClusterReport

FIELDS = ("cluster", "cluster_name", "cluster_score")
"""Added to each record; null for one without a vector, name and score also for noise."""


def write_clusters(work: "Work", report: "ClusterReport", shown: "ShownOptions") -> None:
    """Write what was asked for."""
    if shown.writes_records:
        _write_records(work, report)
        return
    # What can fail for lack of sense comes before the first file.
    nodes = report.tree() if shown.tree else []
    if shown.split_into is not None:
        _write_files(work, report, shown.split_into)
    if shown.summary or shown.tree:
        from embedcli.cli.terminal import terminal_width
        from embedcli.write import cluster_summary
        from embedcli.write.target import STDOUT_NAME, open_output

        with open_output(work.output) as output:
            width = terminal_width() if output.name == STDOUT_NAME else None
            if shown.tree and shown.as_json:
                cluster_summary.write_tree_json(nodes, output)
            elif shown.tree:
                cluster_summary.write_tree(nodes, output, width)
            elif shown.as_json:
                cluster_summary.write_summary_json(report.summaries(), output)
            else:
                cluster_summary.write_summary(report.summaries(), output, width)


def _write_records(work: "Work", report: "ClusterReport") -> None:
    """Write all records in input order, each with the fields of its cluster."""
    from embedcli.write.added_fields import AddedFields
    from embedcli.write.target import open_output

    with open_output(work.output) as output:
        added = AddedFields(output, FIELDS)
        for head in work.heads:
            added.head(head)
        for number, member in enumerate(report.members()):
            added.write(report.pool.spool.record(number), member or (None, None, None))
            work.run.counts.written += 1


def _write_files(work: "Work", report: "ClusterReport", folder: str) -> None:
    """Write a file for each cluster."""
    from embedcli.tasks.cluster_report import extension_of
    from embedcli.write.split import write_split

    inputs, spool = work.typed.inputs, report.pool.spool
    is_list = inputs.settings.format == "whole" or work.typed.source is not None
    first = spool.record(0) if len(spool) else None
    extension = extension_of([] if is_list else inputs.paths, work.heads, first)
    files = write_split(folder, report.files(work.heads, extension))
    work.run.counts.written = len(spool)
    work.run.measured["files"] = files
    work.run.notice(f"{folder}: {files} {'file' if files == 1 else 'files'}")
