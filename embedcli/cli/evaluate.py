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

eval_app.command(short_help="Search against judgements: nDCG, MRR, MAP, recall.")(retrieval)
eval_app.command(short_help="Each text finds its other half; no judgements needed.")(rank)
eval_app.command(short_help="Cosines beside human scores: Spearman, Pearson.")(sts)
eval_app.command(short_help="Pairs that belong together told from others: AP, F1.")(pairs)
eval_app.command(short_help="Labels found by heads on frozen vectors.")(classify)
eval_app.command(short_help="Clusters beside labels: V-measure, ARI, NMI.")(cluster)
eval_app.command(short_help="A threshold, chosen on half of the pairs.")(calibrate)
eval_app.command(short_help="Settings of index and search: quality, bytes, time.")(tune)
eval_app.command(short_help="What an encoder cannot see: order, negation, LIMIT.")(stress)
eval_app.command(short_help="Association tests, with a band of unrelated words.")(bias)
eval_app.command(short_help="Two encoders or indexes on the same texts.")(compare)
eval_app.command(short_help="The shape of vectors: rank, spread, hubs, copies.")(geometry)
