"""`embedcli eval`: encoders and searches measured on the user's own data."""

import typer

from embedcli.cli.eval_bias import bias
from embedcli.cli.eval_calibrate import calibrate
from embedcli.cli.eval_classify import classify
from embedcli.cli.eval_cluster import cluster
from embedcli.cli.eval_compare import compare
from embedcli.cli.eval_geometry import geometry
from embedcli.cli.eval_pairs import pairs
from embedcli.cli.eval_rank import rank
from embedcli.cli.eval_retrieval import retrieval
from embedcli.cli.eval_stress import stress
from embedcli.cli.eval_sts import sts
from embedcli.cli.eval_tune import tune

eval_app = typer.Typer(
    no_args_is_help=True,
    help="Measure on your own data, with intervals, and gates for cron.",
    rich_markup_mode=None,
)

eval_app.command()(retrieval)
eval_app.command()(rank)
eval_app.command()(sts)
eval_app.command()(pairs)
eval_app.command()(classify)
eval_app.command()(cluster)
eval_app.command()(calibrate)
eval_app.command()(tune)
eval_app.command()(stress)
eval_app.command()(bias)
eval_app.command()(compare)
eval_app.command()(geometry)
