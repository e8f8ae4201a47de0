"""The command tree."""

from typing import Annotated

import typer

from embedcli.cli.cache import cache_app
from embedcli.cli.chunk import chunk
from embedcli.cli.classify import classify
from embedcli.cli.cluster import cluster
from embedcli.cli.config import apply_config
from embedcli.cli.dedupe import dedupe
from embedcli.cli.doctor import doctor
from embedcli.cli.embed import embed
from embedcli.cli.evaluate import eval_app
from embedcli.cli.index import index_app
from embedcli.cli.map import draw
from embedcli.cli.match import match
from embedcli.cli.models import models_app
from embedcli.cli.sample import sample
from embedcli.cli.search import search

app = typer.Typer(
    name="embedcli",
    no_args_is_help=True,
    add_completion=False,
    # Plain help: half the start-up time of the boxed one, and the same everywhere.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"embedcli {version('embedcli')}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
) -> None:
    """Turn text into vectors; search text files by meaning.

    \b
    embedcli search 'how do I undo a commit' notes/
    embedcli index build notes/ && embedcli search 'late refund' -i notes/
    git log --format=%s | embedcli search 'fix for a race' -
    embedcli dedupe tickets.csv --column body > unique.csv
    embedcli sample --diverse 40 tickets.csv --column body > to-label.csv
    embedcli cluster -k 20 tickets.csv --column body > clustered.csv
    embedcli classify --labels refund,delivery,password tickets.csv --column body > labelled.csv
    embedcli match asked.txt faq.txt > answered.jsonl
    embedcli map tickets.csv --column body -o tickets.html
    embedcli embed < lines.txt > vectors.jsonl
    """  # noqa: D301  (\b keeps the lines apart)
    del version, debug
    apply_config(context)


app.command()(embed)
app.command()(search)
app.command()(dedupe)
app.command()(sample)
app.command()(cluster)
app.command()(classify)
app.command()(match)
app.command("map")(draw)
app.command()(chunk)
app.add_typer(index_app, name="index")
app.add_typer(eval_app, name="eval")
app.add_typer(models_app, name="models")
app.add_typer(cache_app, name="cache")
app.command()(doctor)
