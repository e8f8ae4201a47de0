"""`embedcli map`."""

from embedcli.cli import map_options as own
from embedcli.cli import options
from embedcli.cli.encoding import EncodeOptions
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions


@with_groups
def draw(
    paths: options.Paths = None,
    index: options.IndexInput = None,
    layout: own.Layout = "auto",
    to: own.To = None,
    ascii_only: own.Ascii = False,
    as_json: own.AsJson = False,
    output: options.Output = None,
    svg: own.Svg = None,
    png: own.Png = None,
    color_by: own.ColorBy = None,
    hover: own.Hover = None,
    title: own.Title = None,
    seed: own.Seed = 0,
    color: options.Color = "auto",
    vectors: options.ReadyVectors = None,
    reading: ReadOptions = ReadOptions(),
    encoding: EncodeOptions = EncodeOptions(),
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Draw all records as a map on which those that mean alike are near each other.

    \b
    embedcli map tickets.csv --column body -o tickets.html
    embedcli map notes.txt
    embedcli map reviews.jsonl --color-by stars -o map.html --svg map.svg
    embedcli embed < lines.txt | embedcli map --vectors own --json > xy.jsonl

    The page is one file without any link to the network: zoom, search, select, colour. Blank records are
    left out.
    """  # noqa: D301  (\b keeps the lines apart)
    from contextlib import ExitStack

    from embedcli.cli.map_run import MapWork
    from embedcli.cli.map_targets import find_targets
    from embedcli.cli.resolve import choice
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.cli.work import read_inputs
    from embedcli.tasks.map import LayoutName, MapSettings

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    settings = MapSettings(choice("--layout", layout, LayoutName), seed)
    targets = find_targets(
        "ascii" if ascii_only else None, "jsonl" if as_json else None, to, output=output, svg=svg, png=png
    )
    with ExitStack() as stack:
        work = MapWork(
            *(stack, run, stack.enter_context(Progress("records", enabled=not quiet))),
            *(read_inputs(paths, index, vectors, reading), encoding, output),
            targets=targets,
            title=title,
            color_by=color_by,
            hover=tuple(hover or ()),
            color=color,
        )
        work.draw(settings)
    run.finish()
