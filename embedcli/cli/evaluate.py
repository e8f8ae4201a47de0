"""`embedcli eval`: encoders and searches measured on the user's own data."""

import typer

from embedcli.cli.eval_rank import rank
from embedcli.cli.eval_retrieval import retrieval
from embedcli.cli.eval_tune import tune

eval_app = typer.Typer(
    no_args_is_help=True,
    help="Measure on your own data, with intervals, and gates for cron.",
    rich_markup_mode=None,
)

eval_app.command()(retrieval)
eval_app.command()(rank)
eval_app.command()(tune)
