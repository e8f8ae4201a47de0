"""The options of `embedcli eval tune`."""

from typing import Annotated, TypeAlias

import typer

Collection: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FOLDER|PATH…",
        help="Test collection: corpus.jsonl, queries.jsonl, qrels; or documents, with --queries and --qrels.",
        show_default=False,
    ),
]
Models: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "-m",
        "--model",
        metavar="NAME|DIR",
        help="Model to try; repeatable, the first one is what you use now. Default: default and static.",
        show_default=False,
    ),
]
Metric: TypeAlias = Annotated[
    str,
    typer.Option("--metric", metavar="NAME", help="nDCG@K, MRR@K, MAP, recall@K, precision@K or hit@K."),
]
Dims: TypeAlias = Annotated[
    list[int] | None,
    typer.Option(
        "--dim",
        metavar="N",
        min=1,
        help="Numbers of a vector to try; repeatable. Default: all, and what it was trained for or half.",
        show_default=False,
    ),
]
Dtypes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--dtype",
        metavar="TYPE",
        help="Stored vectors to try: float16, float32, int8, binary; repeatable. Default: all.",
        show_default=False,
    ),
]
Chunkings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--chunking",
        metavar="HOW",
        help="Cuts to try: split, pool, or as index build has them: sentences, tokens:128, …; repeatable."
        " Default: split and pool.",
        show_default=False,
    ),
]
Alphas: TypeAlias = Annotated[
    list[float] | None,
    typer.Option(
        "--alpha",
        metavar="W",
        min=0,
        max=1,
        help="Weights of the cosine to try; repeatable. Default: .15 to .9.",
        show_default=False,
    ),
]
Fusions: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--fuse",
        metavar="HOW",
        help="Fusions to try: zscore, minmax, rrf; repeatable. Default: all.",
        show_default=False,
    ),
]
Rerank: TypeAlias = Annotated[
    bool, typer.Option("--rerank", help="Also try the best of each model with --rerank maxsim: slow.")
]
Within: TypeAlias = Annotated[
    float,
    typer.Option(
        "--within",
        metavar="X",
        min=0,
        max=1,
        help="Give up so much of the metric at most for a smaller index and less time.",
    ),
]
MaxTime: TypeAlias = Annotated[
    str,
    typer.Option(
        "--max-time", metavar="TIME", help="Begin no further combination after this long, as in 20m."
    ),
]
NoLayers: TypeAlias = Annotated[
    bool, typer.Option("--no-layers", help="Leave layers, pooling and whitening out.")
]
Sample: TypeAlias = Annotated[
    int,
    typer.Option(
        "--sample", metavar="N", min=2, help="Documents that layers, pooling and whitening are tried on."
    ),
]
Plot: TypeAlias = Annotated[
    str | None,
    typer.Option("--plot", metavar="FILE", help="Write a page with two plots, as HTML.", show_default=False),
]
Write: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--write",
        metavar="INDEX",
        help="Store the best ranking in this index, as what search does where nothing is said.",
        show_default=False,
    ),
]
