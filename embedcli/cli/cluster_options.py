"""The options of `cluster` alone."""

from typing import Annotated, TypeAlias

import typer

Method: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help="kmeans, density, communities or threshold. Default: kmeans with -k or --auto, threshold with"
        " --threshold, else communities.",
        show_default=False,
    ),
]
Clusters: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "-k",
        "--clusters",
        metavar="N",
        min=1,
        help="How many clusters; communities: as nearly so many as can be.",
        show_default=False,
    ),
]
Auto: TypeAlias = Annotated[
    bool,
    typer.Option("--auto", help="k-means: choose how many from the records, at most -k (default: 100)."),
]
Threshold: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        metavar="COSINE",
        help="Clusters whose records are all so near to the one in the middle, -1 to 1.",
        show_default=False,
    ),
]
Resolution: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--resolution",
        metavar="X",
        help="Communities: more and smaller ones above 1, fewer below. Default: 1.",
        show_default=False,
    ),
]
MinSize: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--min-size",
        metavar="N",
        min=1,
        help="Records of the smallest cluster; smaller ones are noise, -1. Default: 10 for density, 1 for"
        " kmeans, else 2.",
        show_default=False,
    ),
]
AssignNoise: TypeAlias = Annotated[
    bool, typer.Option("--assign-noise", help="Give each record of the noise to the nearest cluster.")
]
Instruct: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--instruct",
        metavar="TEXT",
        help="Say by what to cluster, as in 'Group the complaints by product', to a model that takes"
        " instructions.",
        show_default=False,
    ),
]
Seed: TypeAlias = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, help="Of what is left to chance.", show_default=True)
]
