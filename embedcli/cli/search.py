"""`embedcli search`."""

import sys
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from embedcli.cli import options
from embedcli.cli import search_options as own

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.cli.run import Run
    from embedcli.cli.search_output import Show
    from embedcli.datatypes import Hit, Record, Vectors
    from embedcli.index.plan import Plan, Workload
    from embedcli.tasks.inputs import Inputs
    from embedcli.tasks.search import SearchSettings
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.where import Condition


def search(
    query: own.Query = None,
    paths: options.Paths = None,
    index: options.IndexesOption = None,
    queries: own.Queries = None,
    where: own.Where = None,
    path_globs: own.PathGlobs = None,
    since: own.Since = None,
    exact: own.Exact = False,
    plan: own.PlanOption = "auto",
    rescore: own.Rescore = None,
    ef_search: own.EfSearch = None,
    explain_plan: own.ExplainPlan = False,
    top_k: own.TopK = 10,
    min_score: own.MinScore = None,
    after: own.After = None,
    before: own.Before = None,
    context: own.Context = 0,
    files_with_hits: own.FilesWithHits = False,
    count: own.Count = False,
    as_json: own.HitsAsJson = False,
    prompt: options.Prompt = None,
    chunking: own.ChunkingOption = None,
    on_long: options.OnLong = None,
    input_format: options.InputFormat = "auto",
    null: options.Null = False,
    files_from: options.FilesFrom = None,
    field: options.Field = None,
    column: options.ColumnOption = None,
    no_header: options.NoHeader = False,
    id_field: options.IdField = None,
    include: options.Include = None,
    exclude: options.Exclude = None,
    hidden: options.Hidden = False,
    no_ignore: options.NoIgnore = False,
    max_filesize: options.MaxFilesize = None,
    max_record_bytes: options.MaxRecord = None,
    pre: options.Pre = None,
    pre_glob: options.PreGlob = None,
    text: options.Text = False,
    model: options.Model = None,
    cascade: own.CascadeOption = None,
    cascade_margin: own.CascadeMargin = None,
    cascade_depth: own.CascadeDepth = None,
    variant: options.Variant = None,
    device: options.Device = "auto",
    jobs: options.Jobs = None,
    dim: options.Dim = None,
    pooling: options.Pooling = None,
    cache: options.CacheFile = None,
    no_cache: options.NoCache = False,
    color: options.Color = "auto",
    quiet: own.QuietSearch = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Find what is closest in meaning: in files, in a pipe, or in an index.

    \b
    embedcli search 'how do I undo a commit' notes/ README.md
    git log --format=%s | embedcli search 'fix for a race' - -n 5
    embedcli search 'late refund' -i tickets.emb --where 'status = "open"' --json
    embedcli search --queries questions.txt -i docs.emb --json
    embedcli search --cascade static,default 'disk full' /var/log/
    if embedcli search -q --min-score 0.5 'disk full' app.log; then …; fi

    Reads the paths if there are any; else the index (-i, or the nearest .embedcli/index.emb); else standard
    input. Prints path:line:score:text, best first. Exit code 1 if there is no hit.
    """  # noqa: D301  (\b keeps the lines apart)
    from embedcli.cli.resolve import encoder_settings, open_cache, open_model, read_options, stdin_bytes
    from embedcli.cli.run import EXIT_NOTHING, EXIT_OK, Run
    from embedcli.cli.search_cascade import read_cascade, second_look
    from embedcli.cli.search_output import Show
    from embedcli.datatypes import STDIN_NAME
    from embedcli.errors import UsageError
    from embedcli.tasks.inputs import Inputs
    from embedcli.tasks.search import SearchSettings, query_vectors
    from embedcli.tasks.vectorize import Vectorizer, VectorSettings

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    if queries is not None and query is not None:
        # As with grep -f: the questions come from the file, and all that is named is to be searched.
        paths, query = [query, *(paths or ())], None
    named, places = _places(paths, files_from, index, run, null=null)
    show = Show(
        run,
        color,
        as_json=as_json,
        names_only=files_with_hits,
        counts_only=count,
        lines_before=context if before is None else before,
        lines_after=context if after is None else after,
        name_end=b"\0" if null else b"\n",
    )
    if queries is not None and show.needs_lines:
        raise UsageError("-A, -B and -C show the lines around the hits of one query, not of --queries")
    two = read_cascade(cascade, cascade_margin, cascade_depth, model=model, min_score=min_score)
    if two is not None:
        model = two.cheap
    asked = _queries(query, queries, named, run)
    narrowing = _Narrowing(_condition(where), path_globs, since)
    if exact and plan not in ("auto", "exact"):
        raise UsageError(f"--exact contradicts --plan {plan}")
    way = _Way("exact" if exact else plan, rescore, ef_search, jobs, explain_plan)
    if places:
        from embedcli.index.file import stored_identity

        identity = stored_identity(places[0])
        model, variant = model or identity.model, variant or identity.variant
        dim, pooling = dim or identity.dim, pooling or identity.pooling
    elif narrowing.needs_index or way.needs_index:
        raise UsageError(
            "--path, --since, --plan, --exact, --rescore, --ef-search and --explain-plan are about an index",
            hint="-i FILE names one; --include and --exclude narrow folders",
        )
    encoder = encoder_settings(device=device, jobs=jobs, variant=variant, pooling=pooling)
    found_model = open_model(model)
    inputs = Inputs(
        named,
        read_options(
            input_format=input_format,
            null=null and not files_from,
            field=field,
            column=column,
            no_header=no_header,
            id_field=id_field,
            include=include,
            exclude=exclude,
            hidden=hidden,
            no_ignore=no_ignore,
            max_filesize=max_filesize,
            max_record_bytes=max_record_bytes,
            pre=pre,
            pre_glob=pre_glob,
            text=text,
        ),
        stdin=stdin_bytes(),
    )
    wanted = SearchSettings(top_k if two is None else max(top_k, two.settings.depth), min_score)
    reads_files = any(path != STDIN_NAME for path in named)
    with open_cache(cache, no_cache=no_cache, by_default=reads_files) as store:
        vectorizer = Vectorizer(
            found_model,
            encoder,
            VectorSettings("query", prompt, "pool", dim, normalize=True),
            run.counts,
            cache=store,
            on_notice=run.notice,
        )
        try:
            vectors = query_vectors(asked, vectorizer)
            if places:
                found = _in_indexes(places, vectors, vectorizer, wanted, narrowing, way, run)
            else:
                found = _in_records(
                    inputs, vectors, vectorizer, wanted, narrowing, show, run, chunking, on_long
                )
        finally:
            vectorizer.close()
        if two is not None:
            origin = vectorizer.vector_model
            found = second_look(two, asked, found, origin, top_k, run, device=device, jobs=jobs, store=store)
    run.counts.written = sum(map(len, found))
    if not quiet:
        show.write([record.id if query is None else query for record in asked], found, inputs)
    run.finish(EXIT_OK if any(found) else EXIT_NOTHING, found_wins=quiet)


def _condition(where: str | None) -> "Condition | None":
    if where is None:
        return None
    # 7 ms, for those who ask for it.
    from embedcli.where import parse_where

    return parse_where(where)


class _Narrowing(NamedTuple):
    """What a record must be to be found, as it was typed; the condition is parsed."""

    condition: "Condition | None"
    path_globs: list[str] | None
    since: str | None

    @property
    def needs_index(self) -> bool:
        return bool(self.path_globs or self.since)


class _Way(NamedTuple):
    """How an index is to be searched, as it was typed."""

    plan: Any
    rescore: int | None
    ef_search: int | None
    jobs: int | None
    explain: bool

    @property
    def needs_index(self) -> bool:
        return self.plan != "auto" or self.explain or self.rescore is not None or self.ef_search is not None


def _in_indexes(
    places: list["Path"],
    vectors: "Vectors",
    vectorizer: "Vectorizer",
    wanted: "SearchSettings",
    narrowing: _Narrowing,
    way: _Way,
    run: "Run",
) -> "list[list[Hit]]":
    """Return the hits of indexes for each query."""
    from embedcli.cli.resolve import choice, since_ns
    from embedcli.encode.processors import usable_cpus
    from embedcli.tasks.search_index import IndexSettings, search_indexes
    from embedcli.tasks.select import Selection

    choice("--plan", way.plan, Literal["auto", "exact", "signs", "graph"])
    since = None if narrowing.since is None else since_ns(narrowing.since)
    return search_indexes(
        places,
        vectors,
        vectorizer,
        wanted,
        IndexSettings(
            Selection(narrowing.condition, tuple(narrowing.path_globs or ()), since),
            method=None if way.plan == "auto" else way.plan,
            rescored=way.rescore,
            ef_search=way.ef_search,
            jobs=way.jobs or usable_cpus(),
        ),
        on_notice=run.notice,
        on_plan=_say_plan if way.explain else lambda _index, _work, _plan: None,
    )


def _in_records(
    inputs: "Inputs",
    vectors: "Vectors",
    vectorizer: "Vectorizer",
    wanted: "SearchSettings",
    narrowing: _Narrowing,
    show: "Show",
    run: "Run",
    chunking: str | None,
    on_long: str | None,
) -> "list[list[Hit]]":
    """Return the hits among records, read as they come, for each query."""
    from embedcli.cli.resolve import choice, on_long_of
    from embedcli.cli.terminal import Progress
    from embedcli.datatypes import Chunking
    from embedcli.tasks.search import matching, search_records
    from embedcli.tasks.vectorize import VectorSettings

    how = None if chunking is None else choice("--chunking", chunking, Chunking)
    long = on_long_of(on_long, "pool" if how in ("none", "lines") else "split")
    documents = vectorizer.with_settings(
        VectorSettings("document", None, long, vectorizer.settings.dim, normalize=True)
    )
    with Progress("records", enabled=not run.quiet) as progress:
        records = inputs.for_search(how).records(run.counts, run.on_problem, progress.update)
        if narrowing.condition is not None:
            records = matching(records, narrowing.condition)
        if show.needs_lines:
            records = show.seen.keep(records)
        return search_records(records, vectors, documents, wanted, how)


def _queries(query: str | None, file: str | None, named: list[str], run: "Run") -> list["Record"]:
    """Return the queries as records: the one that was typed, or those of a file."""
    from pathlib import Path

    from embedcli.cli.resolve import stdin_bytes
    from embedcli.datatypes import STDIN_NAME, Record
    from embedcli.errors import UsageError
    from embedcli.tasks.inputs import Inputs

    if file is not None and Path(file).is_dir():
        raise UsageError(f"--queries {file} is a folder", hint="a file with a question a line, or -")
    if file is None:
        if query is None:
            raise UsageError("no query", hint="embedcli search 'what to look for' PATH…")
        return [Record("1", query)]
    if file == STDIN_NAME and STDIN_NAME in named:
        raise UsageError("--queries - and the path - both want standard input")
    found = list(Inputs([file], {"text_as": "lines"}, stdin_bytes()).records(run.counts, run.on_problem))
    if not found:
        raise UsageError(f"{file}: no queries in it")
    # A query without an id of its own goes by its line, as it would from standard input.
    return [
        record._replace(id=str(record.line)) if record.id == f"{record.path}:{record.line}" else record
        for record in found
    ]


def _say_plan(index: "Path", work: "Workload", plan: "Plan") -> None:
    """Say how an index is searched, and what each way would have cost."""
    from embedcli.cli.terminal import say

    how = {
        "exact": "every vector compared",
        "rows": "the rows that the filter lets through compared",
        "signs": f"sign bits scanned, {min(plan.rescored, work.vectors)} rows compared",
        "graph": "graph walked" + (" after building it" if plan.builds_graph else ""),
    }[plan.method]
    allowed = "" if work.allowed is None else f"{work.allowed} of "
    costs = ", ".join(
        f"{way} {seconds:.2g} s" for way, seconds in sorted(plan.costs.items(), key=lambda cost: cost[1])
    )
    say(
        f"{index}: {plan.method}: {how}; {allowed}{work.vectors} vectors, queries: {work.queries};"
        f" estimated: {costs}"
    )


def _places(
    paths: list[str] | None, files_from: str | None, indexes: list[str] | None, run: "Run", *, null: bool
) -> tuple[list[str], list["Path"]]:
    """Return what to read: paths, or indexes. Paths win over an index, an index over standard input."""
    import os
    from pathlib import Path

    from embedcli.cli.resolve import index_to_read, input_paths
    from embedcli.tasks.places import nearest_index

    if paths or files_from:
        return input_paths(paths, files_from, null=null), []
    given = indexes or ([os.environ["EMBEDCLI_INDEX"]] if os.environ.get("EMBEDCLI_INDEX") else [])
    if given:
        return [], list(dict.fromkeys(index_to_read(name) for name in given))
    nearest = nearest_index(Path())
    if nearest is None:
        return input_paths(None, None, null=null), []
    if sys.stdin is not None and not sys.stdin.closed and _carries_data(os.fstat(sys.stdin.fileno()).st_mode):
        run.notice(f"searching the index {nearest}; the path - searches standard input")
    return [], [nearest]


def _carries_data(mode: int) -> bool:
    """Whether standard input is a pipe or a file: somebody meant it to be read."""
    import stat

    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)
