"""`embedcli eval`: encoders and searches measured on the user's own data."""

import typer

from embedcli.cli.eval_bias import bias
from embedcli.cli.eval_compare import compare
from embedcli.cli.eval_geometry import geometry
from embedcli.cli.eval_retrieval import retrieval
from embedcli.cli.eval_stress import stress

eval_app = typer.Typer(
    no_args_is_help=True,
    help="Measure on your own data, with intervals, and gates for cron.",
    rich_markup_mode=None,
)

eval_app.command()(bias)
eval_app.command()(compare)
eval_app.command()(geometry)
eval_app.command()(retrieval)
eval_app.command()(stress)
