"""The options of `embedcli eval retrieval` and `embedcli eval rank`."""

from typing import Annotated, TypeAlias

import typer

Collection: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="[FOLDER]",
        help="Test collection: corpus.jsonl, queries.jsonl, and qrels.tsv, qrels/test.tsv or qrels.jsonl.",
        show_default=False,
    ),
]
Index: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "-i",
        "--index",
        metavar="FILE|DIR",
        help="Ask this index instead of a folder's corpus; with --queries and --qrels.",
        show_default=False,
    ),
]
Runs: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--run",
        metavar="FILE",
        help="Instead of searching: a run of any tool in TREC's form; repeat to compare. With --qrels.",
    ),
]
Queries: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--queries", metavar="FILE", help="Queries with ids: JSONL, CSV or lines.", show_default=False
    ),
]
Qrels: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--qrels",
        metavar="FILE",
        help="Judgements: TREC's four columns, BEIR's three, or JSON lines.",
        show_default=False,
    ),
]
Metrics: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        metavar="NAME,…",
        help="nDCG@K, MRR@K, MAP, recall@K, precision@K, hit@K; the first one decides."
        " Default: nDCG@10,MRR@10,MAP,recall@100,hit@10.",
        show_default=False,
    ),
]
Systems: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--systems",
        metavar="NAME,…",
        help="Of hybrid, dense, sparse and BM25; the others are compared with the first. Default: all.",
        show_default=False,
    ),
]
Rerank: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--rerank",
        metavar="HOW",
        help="Also the first system with a second look: maxsim or a cross-encoder, as in search; repeatable.",
    ),
]
Depth: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--depth",
        metavar="N",
        min=1,
        max=10_000,
        help="Documents asked for. Default: 100, or the deepest cut-off.",
        show_default=False,
    ),
]
WriteRuns: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--write-runs",
        metavar="DIR",
        help="Also write what each system found, as DIR/SYSTEM.trec.",
        show_default=False,
    ),
]
CorpusField: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        metavar="NAME",
        help="Field of the corpus with the text; repeat to join several. Default: title and text.",
    ),
]
Pairs: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--pairs",
        metavar="A,B",
        help="The two fields or columns of a pair, by name or by number from 1: each A has to find its B.",
        show_default=False,
    ),
]
RankMetrics: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        metavar="NAME,…",
        help="MRR@K, hit@K, nDCG@K, …; the first one decides. Default: MRR@10,hit@1,hit@3.",
        show_default=False,
    ),
]
MaxItems: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-items",
        metavar="N",
        min=2,
        help="Ask for so many, spread evenly. Default: 2000 texts, all pairs.",
        show_default=False,
    ),
]
Against: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--against",
        metavar="MODEL",
        help="Another model, compared with the first; repeatable.",
        show_default=False,
    ),
]
