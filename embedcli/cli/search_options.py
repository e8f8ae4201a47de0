"""The options of `search` alone."""

from typing import Annotated, TypeAlias

import typer

Query: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="QUERY", help="What to look for, in your own words.", show_default=False),
]
Like: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--like",
        metavar="TEXT|@FILE",
        help="Instead of QUERY: what is like this text, or the examples in FILE; repeated: like any of them.",
    ),
]
And: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--and", metavar="TEXT|@FILE", help="Hits must be like this as well; repeatable."),
]
Not: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--not", metavar="TEXT|@FILE", help="Hits should not be like this; repeatable."),
]
Hyde: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--hyde", metavar="FILE", help="A drafted answer, or several, that the question is averaged with."
    ),
]
Prf: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--prf",
        metavar="N",
        min=1,
        help="In an index, move the question towards its first N hits, and ask again.",
    ),
]
FuseQueries: TypeAlias = Annotated[
    bool,
    typer.Option("--fuse-queries", help="The questions of --queries are ways to ask one: one list of hits."),
]
NoCollapse: TypeAlias = Annotated[
    bool, typer.Option("--no-collapse", help="Also show hits that say what an earlier one says.")
]
Queries: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--queries",
        metavar="FILE",
        help="Ask every record of FILE (lines, or JSONL with id and text or vector) instead of QUERY.",
    ),
]
Where: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="EXPR",
        help="Only records whose fields meet this: 'year >= 2024 and not draft'.",
    ),
]
PathGlobs: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--path", metavar="GLOB", help="In an index, only files that match; repeatable."),
]
Since: TypeAlias = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="In an index, only files changed since: 7d, 2026-01-31."),
]
Exact: TypeAlias = Annotated[
    bool, typer.Option("--exact", help="Compare every vector of an index: --plan exact.")
]
PlanOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--plan",
        metavar="WAY",
        help="How an index is searched: auto (what costs least), exact, signs or graph.",
    ),
]
Rescore: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--rescore",
        metavar="N",
        min=1,
        help="Rows compared exactly after a scan of sign bits. Default: 512.",
    ),
]
EfSearch: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--ef-search", metavar="N", min=1, help="Candidates kept in a graph. Default: what was tuned."
    ),
]
ExplainPlan: TypeAlias = Annotated[
    bool, typer.Option("--explain-plan", help="Say on standard error how the index is searched.")
]
ModeOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--mode",
        metavar="HOW",
        help="What ranks an index's hits: hybrid (meaning and words), dense (meaning), lexical (words) or"
        " sparse (weighed words, index build --sparse). Default: hybrid.",
    ),
]
Fuse: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--fuse",
        metavar="HOW",
        help="How hybrid makes two scores one: zscore, minmax or rrf (by rank). Default: zscore.",
    ),
]
Alpha: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--alpha", metavar="WEIGHT", min=0, max=1, help="Weight of meaning in hybrid, 0 to 1. Default: 0.45."
    ),
]
SparseWeight: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--sparse-weight",
        metavar="WEIGHT",
        min=0,
        help="Weight of sparse vectors in hybrid, beside the other two. Default: 0.2 where there are any.",
    ),
]
ShowTerms: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--show-terms",
        metavar="N",
        min=1,
        help="Show the N terms that count most in the sparse part of each hit's score.",
    ),
]
LexicalQuery: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--lexical-query",
        metavar="EXPR",
        help="""Look for this instead of QUERY's words: '"exact phrase" AND wor* NOT other'.""",
    ),
]
Explain: TypeAlias = Annotated[
    bool, typer.Option("--explain", help="Show what each hit's score is made of; with --json, as parts.")
]
ByOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="UNIT",
        help="A hit for each chunk, record or file: its best chunk. Default: record; chunk in text files.",
    ),
]
TopK: TypeAlias = Annotated[int, typer.Option("-n", "--top-k", metavar="N", min=1, help="Most hits.")]
MinScore: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--min-score",
        metavar="COSINE",
        help="Only hits at least this close, -1 to 1; auto: closer than unrelated texts come.",
    ),
]
RerankOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--rerank",
        metavar="HOW",
        help="Look at the first hits again: maxsim compares them with the query token by token; any other"
        " word is a cross-encoder, by name or folder, whose score takes the place of the first.",
    ),
]
RerankCommand: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--rerank-cmd",
        metavar="CMD",
        help="Let CMD look again: it reads JSON lines of query and text, and writes a score a line.",
    ),
]
RerankDepth: TypeAlias = Annotated[
    int | None,
    typer.Option("--rerank-depth", metavar="N", min=1, help="Hits that are looked at again. Default: 50."),
]
RerankWeight: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--rerank-weight",
        metavar="WEIGHT",
        min=0,
        help="Weight of the second look beside the first. Default: 1 for maxsim; a model or CMD ranks alone.",
    ),
]
CascadeOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--cascade",
        metavar="CHEAP,COSTLY",
        help="Search with the first model; where its two best hits are close, the second ranks them anew.",
    ),
]
CascadeMargin: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--cascade-margin",
        metavar="COSINE",
        min=0,
        help="How close counts as close: 0 never asks the second model, 3 always. Default: 0.1.",
    ),
]
CascadeDepth: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--cascade-depth", metavar="N", min=2, help="Hits that the second model ranks. Default: 100."
    ),
]
After: TypeAlias = Annotated[
    int | None,
    typer.Option("-A", "--after-context", metavar="N", min=0, help="Show N lines after a hit."),
]
Before: TypeAlias = Annotated[
    int | None,
    typer.Option("-B", "--before-context", metavar="N", min=0, help="Show N lines before a hit."),
]
Context: TypeAlias = Annotated[
    int, typer.Option("-C", "--context", metavar="N", min=0, help="Show N lines around a hit.")
]
FilesWithHits: TypeAlias = Annotated[
    bool, typer.Option("-l", "--files-with-hits", help="Print only the names of files with hits.")
]
Count: TypeAlias = Annotated[
    bool, typer.Option("-c", "--count", help="Print only how many hits each file has.")
]
HitsAsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print hits as JSON, an object a line.")]
HitsAsTrec: TypeAlias = Annotated[
    bool, typer.Option("--trec", help="Print hits as a TREC run: query Q0 id rank score embedcli.")
]
Null: TypeAlias = Annotated[
    bool,
    typer.Option(
        "-0",
        "--null",
        help="Records end with NUL, and so do hits (their line breaks stay), counts and names; with"
        " --files-from, its paths and the names of -l alone.",
    ),
]
ChunkingOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--chunking",
        metavar="HOW",
        help="none, lines, sentences, paragraphs, markdown, code, tokens or late. Default: lines for a named"
        " file, paragraphs in folders.",
    ),
]
QuietSearch: TypeAlias = Annotated[
    bool, typer.Option("-q", "--quiet", help="Print nothing; the exit code tells if there is a hit.")
]
