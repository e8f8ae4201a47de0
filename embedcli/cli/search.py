"""`embedcli search`."""

from typing import TYPE_CHECKING

from embedcli.cli import options
from embedcli.cli import search_options as own
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions

if TYPE_CHECKING:
    from embedcli.cli.run import Run
    from embedcli.cli.search_output import Show
    from embedcli.datatypes import Hit, Vectors
    from embedcli.tasks.chunk_settings import ChunkSettings
    from embedcli.tasks.inputs import Inputs
    from embedcli.tasks.search import SearchSettings
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.vectors.set_query import SetQuery
    from embedcli.where import Condition


@with_groups
def search(
    query: own.Query = None,
    paths: options.Paths = None,
    index: options.IndexesOption = None,
    like: own.Like = None,
    also: own.And = None,
    without: own.Not = None,
    hyde: own.Hyde = None,
    prf: own.Prf = None,
    queries: own.Queries = None,
    fuse_queries: own.FuseQueries = False,
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
    sparse_weight: own.SparseWeight = None,
    show_terms: own.ShowTerms = None,
    explain: own.Explain = False,
    rerank: own.RerankOption = None,
    rerank_cmd: own.RerankCommand = None,
    rerank_depth: own.RerankDepth = None,
    rerank_weight: own.RerankWeight = None,
    by: own.ByOption = None,
    no_collapse: own.NoCollapse = False,
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
    null: own.Null = False,
    reading: ReadOptions = ReadOptions(),
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
    embedcli search 'battery' --and 'complaint' --not 'phone' reviews.csv --column body
    embedcli search --like @good-example.txt -i docs.emb
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
        stdin_bytes,
    )
    from embedcli.cli.run import EXIT_NOTHING, EXIT_OK, Run
    from embedcli.cli.search_asked import (
        check_read,
        places_to_search,
        read_condition,
        read_queries,
        read_unit,
    )
    from embedcli.cli.search_bound import read_bound
    from embedcli.cli.search_cascade import read_cascade, second_look
    from embedcli.cli.search_index import IndexSearch
    from embedcli.cli.search_output import Show, say_alike
    from embedcli.cli.search_question import read_question
    from embedcli.cli.search_ranking import read_ranking
    from embedcli.cli.search_rerank import read_rerank
    from embedcli.cli.search_sparse import SparseOptions
    from embedcli.datatypes import STDIN_NAME
    from embedcli.tasks.inputs import Inputs
    from embedcli.tasks.search import SearchSettings
    from embedcli.tasks.vectorize import Vectorizer, VectorSettings

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    bound = read_bound(min_score)
    if query is not None and (queries is not None or like):
        # As with grep -f and -e: the question is there, and all that is named is to be searched.
        paths, query = [query, *(paths or ())], None
    named, places = places_to_search(paths, reading.files_from, index, run, null=null)
    show = Show(
        color,
        as_json=as_json,
        as_trec=as_trec,
        names_only=files_with_hits,
        counts_only=count,
        explain=explain,
        lines_before=context if before is None else before,
        lines_after=context if after is None else after,
        null=null,
        list_named=bool(reading.files_from),
        many=queries is not None,
        expression=lexical_query,
        quiet=quiet,
    )
    read = reading.settings()
    two = read_cascade(cascade, cascade_margin, cascade_depth, model=model, min_score=min_score)
    model = model if two is None else two.cheap
    again = (rerank, rerank_cmd, rerank_depth, rerank_weight)
    second = read_rerank(*again, cascade=two is not None, device=device, jobs=jobs)
    question = read_question(
        *(query, like, also, without, hyde, prf),
        queries=queries,
        as_one=fuse_queries,
        on_index=bool(places),
        named=named,
        second_look="--cascade" if two is not None else "--rerank" if second is not None else None,
        by_chance=bound.unrelated_ratio is not None,
        read=read,
    )
    typed = read_ranking(
        *(mode, fuse, alpha, lexical_query, sparse_weight),
        by_vectors_alone="--cascade" if two is not None else question.by_vectors_alone,
        many=queries is not None,
    )
    wording = query if question.text is None else question.text
    # Words alone may be all that is said.
    words = lexical_query if mode == "lexical" and wording is None else wording
    asked = read_queries(words, queries, named, run)
    condition = read_condition(where)
    on_index = IndexSearch(
        places, condition, path_globs, since, exact, plan, rescore, ef_search, jobs, explain_plan, typed
    )
    facts = on_index.facts(min_score)
    sparse = SparseOptions(show_terms, device, jobs, quiet)
    sparse.check(facts, shows_hits=not (as_trec or files_with_hits or count or show.needs_lines))
    if facts is not None:
        model, variant = model or facts.identity.model, variant or facts.identity.variant
        dim, pooling = dim or facts.identity.dim, pooling or facts.identity.pooling
    how = chunk_settings(chunking, on_long, chunk_tokens, chunk_overlap, context_title, reads_lines=True)
    check_read(read, how, on_index=facts is not None, has_examples=question.has_files)
    inputs = Inputs(named, read, stdin=stdin_bytes())
    final = SearchSettings(
        top_k,
        bound.min_score,
        read_unit(by, as_trec=as_trec),
        merge=not as_trec,
        collapse=not (no_collapse or as_trec or files_with_hits or count),
        unrelated_ratio=bound.unrelated_ratio,
    )
    depth = max([top_k, question.depth, *(look.settings.depth for look in (two, second) if look is not None)])
    looks_again = two is not None or second is not None or question.as_one is not None
    wanted = final.at_first(depth) if looks_again else final
    if facts is not None and not facts.ranking.uses_vectors:
        question.check_has_vectors(facts.ranking.mode)
        found = sparse.without_vectors(on_index, asked, wanted, facts, run)
        if second is not None:
            found = second.again(asked, found, None, depth, run)
        asked, found = question.answers(asked, found, final, looks_again=looks_again)
        show.choose(asked, found)
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
                side = sparse.side(asked, facts, run)
                vectors = question.vectors(asked, vectorizer)
                found = (
                    _in_records(inputs, vectors, vectorizer, wanted, condition, show, run, how)
                    if facts is None
                    else question.on_index(
                        on_index, asked, vectors, vectorizer, wanted, facts.ranking, run, side
                    )
                )
                if second is not None:
                    found = second.again(asked, found, vectorizer, depth, run)
                if two is not None:
                    origin = vectorizer.vector_model
                    found = second_look(
                        two, asked, found, origin, depth, run, device=device, jobs=jobs, store=store
                    )
                asked, found = question.answers(asked, found, final, looks_again=looks_again)
                show.choose(asked, found, question.centers(vectors), vectorizer)
            finally:
                vectorizer.close()
    say_alike(found, run)
    run.counts.written = sum(map(len, found))
    if not quiet:
        by_id = queries is not None or as_trec
        names = [record.id if by_id else question.label or record.text for record in asked]
        show.write(names, found, inputs, asked)
    run.finish(EXIT_OK if any(found) else EXIT_NOTHING, found_wins=quiet)


def _in_records(
    inputs: "Inputs",
    vectors: "Vectors | list[SetQuery]",
    vectorizer: "Vectorizer",
    wanted: "SearchSettings",
    condition: "Condition | None",
    show: "Show",
    run: "Run",
    chunks: "ChunkSettings",
) -> "list[list[Hit]]":
    """Return the hits among records, read as they come, for each query."""
    from functools import partial

    from embedcli.cli.search_bound import tell_bound
    from embedcli.cli.terminal import Progress
    from embedcli.tasks.background import probe_vectors, search_records_by_background
    from embedcli.tasks.search import matching, search_records
    from embedcli.tasks.vectorize import VectorSettings

    documents = vectorizer.with_settings(
        VectorSettings("document", None, chunks.on_long, vectorizer.settings.dim, normalize=True)
    )
    read = inputs.settings
    with Progress("records", enabled=not run.quiet) as progress:
        records = inputs.for_search(chunks.chunking).records(run.counts, run.on_problem, progress.update)
        if condition is not None:
            records = matching(records, condition, run.notice)
        if show.needs_lines:
            records = show.seen.keep(records)
        text_fields = read.columns or read.text_fields
        if wanted.unrelated_ratio is None or isinstance(vectors, list):
            return search_records(records, vectors, documents, wanted, chunks, text_fields)
        return search_records_by_background(
            *(records, vectors, probe_vectors(vectorizer), documents, wanted, chunks, text_fields),
            partial(tell_bound, run),
        )
