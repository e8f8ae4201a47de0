"""`embedcli search`."""

from typing import TYPE_CHECKING

from embedcli.cli import options
from embedcli.cli import search_options as own

if TYPE_CHECKING:
    from embedcli.cli.run import Run
    from embedcli.cli.search_output import Show
    from embedcli.datatypes import Hit, Vectors
    from embedcli.tasks.chunk_settings import ChunkSettings
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
    mode: own.ModeOption = None,
    fuse: own.Fuse = None,
    alpha: own.Alpha = None,
    lexical_query: own.LexicalQuery = None,
    explain: own.Explain = False,
    rerank: own.RerankOption = None,
    rerank_cmd: own.RerankCommand = None,
    rerank_depth: own.RerankDepth = None,
    rerank_weight: own.RerankWeight = None,
    by: own.ByOption = None,
    top_k: own.TopK = 10,
    min_score: own.MinScore = None,
    after: own.After = None,
    before: own.Before = None,
    context: own.Context = 0,
    files_with_hits: own.FilesWithHits = False,
    count: own.Count = False,
    as_json: own.HitsAsJson = False,
    as_trec: own.HitsAsTrec = False,
    prompt: options.Prompt = None,
    chunking: own.ChunkingOption = None,
    chunk_tokens: options.ChunkTokens = None,
    chunk_overlap: options.ChunkOverlap = None,
    context_title: options.ContextTitle = None,
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
    """Find what is closest in meaning: in files, in a pipe, or, by its words too, in an index.

    \b
    embedcli search 'how do I undo a commit' notes/ README.md
    git log --format=%s | embedcli search 'fix for a race' - -n 5
    embedcli search 'late refund' -i tickets.emb --where 'status = "open"' --json
    embedcli search --mode lexical 'E4042' -i logs.emb
    embedcli search --queries questions.txt -i docs.emb --json
    embedcli search --rerank maxsim 'who approved the budget' -i minutes.emb
    embedcli search --cascade static,default 'disk full' /var/log/
    if embedcli search -q --min-score 0.5 'disk full' app.log; then …; fi

    Reads the paths if there are any; else the index (-i, or the nearest .embedcli/index.emb); else standard
    input. Prints path:line:score:text, best first. Exit code 1 if there is no hit.
    """  # noqa: D301  (\b keeps the lines apart)
    from embedcli.cli.resolve import (
        chunk_settings,
        encoder_settings,
        open_cache,
        open_model,
        read_options,
        stdin_bytes,
    )
    from embedcli.cli.run import EXIT_NOTHING, EXIT_OK, Run
    from embedcli.cli.search_asked import places_to_search, read_condition, read_queries, read_unit
    from embedcli.cli.search_cascade import read_cascade, second_look
    from embedcli.cli.search_index import IndexSearch
    from embedcli.cli.search_output import Show
    from embedcli.cli.search_ranking import read_ranking
    from embedcli.cli.search_rerank import read_rerank
    from embedcli.datatypes import STDIN_NAME
    from embedcli.errors import UsageError
    from embedcli.tasks.inputs import Inputs
    from embedcli.tasks.search import SearchSettings, query_vectors
    from embedcli.tasks.vectorize import Vectorizer, VectorSettings

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    if queries is not None and query is not None:
        # As with grep -f: the questions come from the file, and all that is named is to be searched.
        paths, query = [query, *(paths or ())], None
    named, places = places_to_search(paths, files_from, index, run, null=null)
    show = Show(
        color,
        as_json=as_json,
        as_trec=as_trec,
        names_only=files_with_hits,
        counts_only=count,
        explain=explain,
        lines_before=context if before is None else before,
        lines_after=context if after is None else after,
        name_end=b"\0" if null else b"\n",
    )
    if queries is not None and show.needs_lines:
        raise UsageError("-A, -B and -C show the lines around the hits of one query, not of --queries")
    two = read_cascade(cascade, cascade_margin, cascade_depth, model=model, min_score=min_score)
    if two is not None:
        model = two.cheap
    second = read_rerank(rerank, rerank_cmd, rerank_depth, rerank_weight, cascade=two is not None)
    typed = read_ranking(
        *(mode, fuse, alpha, lexical_query), cascade=two is not None, many=queries is not None
    )
    asked = read_queries(query, queries, named, run)
    condition = read_condition(where)
    on_index = IndexSearch(
        places, condition, path_globs, since, exact, plan, rescore, ef_search, jobs, explain_plan, typed
    )
    facts = on_index.facts(min_score)
    if facts is not None:
        model, variant = model or facts.identity.model, variant or facts.identity.variant
        dim, pooling = dim or facts.identity.dim, pooling or facts.identity.pooling
    how = chunk_settings(chunking, on_long, chunk_tokens, chunk_overlap, context_title, reads_lines=True)
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
    depths = [look.settings.depth for look in (two, second) if look is not None]
    wanted = SearchSettings(max([top_k, *depths]), min_score, read_unit(by, as_trec=as_trec))
    if facts is not None and facts.ranking.mode == "lexical":
        found = on_index.by_words(asked, wanted, facts.ranking, run)
        if second is not None:
            found = second.again(asked, found, None, top_k)
    else:
        reads_files = any(path != STDIN_NAME for path in named)
        found_model = open_model(model)
        encoder = encoder_settings(device=device, jobs=jobs, variant=variant, pooling=pooling)
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
                found = (
                    _in_records(inputs, vectors, vectorizer, wanted, condition, show, run, how)
                    if facts is None
                    else on_index.by_vectors(asked, vectors, vectorizer, wanted, facts.ranking, run)
                )
                if second is not None:
                    found = second.again(asked, found, vectorizer, top_k)
            finally:
                vectorizer.close()
            if two is not None:
                origin = vectorizer.vector_model
                found = second_look(
                    two, asked, found, origin, top_k, run, device=device, jobs=jobs, store=store
                )
    run.counts.written = sum(map(len, found))
    if not quiet:
        show.write([record.id if query is None or as_trec else query for record in asked], found, inputs)
    run.finish(EXIT_OK if any(found) else EXIT_NOTHING, found_wins=quiet)


def _in_records(
    inputs: "Inputs",
    vectors: "Vectors",
    vectorizer: "Vectorizer",
    wanted: "SearchSettings",
    condition: "Condition | None",
    show: "Show",
    run: "Run",
    chunks: "ChunkSettings",
) -> "list[list[Hit]]":
    """Return the hits among records, read as they come, for each query."""
    from embedcli.cli.terminal import Progress
    from embedcli.tasks.search import matching, search_records
    from embedcli.tasks.vectorize import VectorSettings

    documents = vectorizer.with_settings(
        VectorSettings("document", None, chunks.on_long, vectorizer.settings.dim, normalize=True)
    )
    read = inputs.settings
    with Progress("records", enabled=not run.quiet) as progress:
        records = inputs.for_search(chunks.chunking).records(run.counts, run.on_problem, progress.update)
        if condition is not None:
            records = matching(records, condition)
        if show.needs_lines:
            records = show.seen.keep(records)
        return search_records(records, vectors, documents, wanted, chunks, read.columns or read.text_fields)
