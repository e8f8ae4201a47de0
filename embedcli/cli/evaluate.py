"""`embedcli eval`: encoders and searches measured on the user's own data."""

import typer

from embedcli.cli.eval_tune import tune

eval_app = typer.Typer(
    no_args_is_help=True,
    help="Measure on your own data, with intervals, and gates for cron.",
    rich_markup_mode=None,
)

eval_app.command()(tune)
