"""The runs of `sample`: records in, a choice, records out, and what is said of it."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from embedcli.cli.encoding import EncodeOptions
    from embedcli.cli.run import Run
    from embedcli.cli.sample_parts import Past, Typed
    from embedcli.cli.terminal import Progress
    from embedcli.datatypes import Head, Record, Vectors
    from embedcli.index.meta import Identity
    from embedcli.tasks.dedupe import RecordVectors
    from embedcli.tasks.hard_negatives import MiningSettings
    from embedcli.tasks.sample import Chosen, Pool, Sample
    from embedcli.tasks.vectorize import Vectorizer


@dataclass
class Work:
    """One run.

    Attributes:
        stack: Closes what was opened.
        run: Counts, and says notices.
        progress: Shows how far it is.
        typed: What is read.
        encoding: What was typed about the encoder.
        output: Where to write; None for standard output.
        as_json: Whether objects are written in the order of choice.
        heads: What stands before the first record, once that is known.
    """

    stack: ExitStack
    run: "Run"
    progress: "Progress"
    typed: "Typed"
    encoding: "EncodeOptions"
    output: str | None
    as_json: bool = False

    def __post_init__(self) -> None:
        self.heads: list[Head] = []

    @property
    def jobs(self) -> int:
        """Threads."""
        from embedcli.encode.processors import usable_cpus

        return self.encoding.jobs or usable_cpus()

    def vectorizer(self, identity: "Identity | None" = None) -> "Vectorizer":
        """Return the encoder of documents.

        Raises:
            UsageError: Long texts are to be split.
        """
        if self.encoding.on_long == "split":
            raise UsageError(
                "--on-long split makes several vectors of a record, and sample chooses records",
                hint="--on-long pool uses all of a text; embedcli chunk --json makes records of parts",
            )
        if identity is None and self.typed.source is not None:
            from embedcli.index.file import stored_identity

            identity = stored_identity(self.typed.source)
        return self.encoding.open(self.stack, self.run, identity, reads_files=self.typed.inputs.reads_files)

    def pool(self, vectors: "RecordVectors", *, is_lookup: bool) -> "Pool":
        """Return an empty pool that is closed with the run."""
        from embedcli.tasks.sample import Pool

        pool = Pool(vectors, is_lookup=is_lookup)
        self.stack.callback(pool.close)
        return pool

    def records(self) -> "Iterator[Record]":
        """Return what is read, each record with the bytes that are written for it."""
        from embedcli.cli.input_records import input_records

        typed = self.typed
        return input_records(
            typed.inputs,
            typed.source,
            typed.rows,
            self.heads.append,
            self.run,
            self.progress,
            null=typed.reading.null,
        )

    def write(
        self,
        chosen: "list[Chosen]",
        record: "Callable[[int], Record]",
        more: "dict[int, dict[str, Any]] | None" = None,
    ) -> None:
        """Write what was chosen: unchanged in input order, or as objects in the order of choice.

        Args:
            chosen: Best first.
            record: Gives a record by its number.
            more: Fields that some objects have beside rank and score, by the record's number.
        """
        from embedcli.write.objects import object_line
        from embedcli.write.target import open_output

        self.run.stop_if_nothing_was_read()
        with open_output(self.output) as output:
            if self.as_json:
                for rank, each in enumerate(chosen, start=1):
                    fields = {
                        "sample_rank": rank,
                        "sample_score": each.score,
                        **(more or {}).get(each.number, {}),
                    }
                    output.write(object_line(record(each.number), fields))
            else:
                for head in self.heads:
                    output.write(head.content)
                for number in sorted(each.number for each in chosen):
                    output.write(record(number).raw)
        self.run.counts.written = len(chosen)
        self.run.measured["chosen"] = len(chosen)


def choose_random(work: Work, count: int, seed: int) -> None:
    """Run `--random`."""
    from embedcli.tasks.reservoir import random_records
    from embedcli.tasks.sample import Chosen

    found = random_records(work.records(), count, seed)
    work.write([Chosen(number, None) for number in range(len(found))], found.__getitem__)
    work.run.notice(f"chose {len(found)} of {work.run.counts.read} records")


def choose(work: Work, name: str, count: int) -> None:
    """Run `--diverse`, `--representative` or `--outliers`."""
    from embedcli.tasks.sample import diverse, outlying, representative

    way: Callable[[Pool, Vectors, int, int], Sample]
    way, said = {
        "--diverse": (diverse, "every text is at cosine {:.4f} or nearer to one of them"),
        "--representative": (
            representative,
            "a record is at cosine {:.4f} to the nearest of them, on average",
        ),
        "--outliers": (outlying, "each is at cosine {:.4f} or less to its fifth nearest text"),
    }[name]
    pool = _gathered_by(work)
    vectors = pool.gather(work.records())
    found = way(pool, vectors, count, work.jobs)
    work.write(found.chosen, pool.spool.record)
    _tell(work, pool, found, said)


def _gathered_by(work: Work) -> "Pool":
    if work.typed.carries_vectors:
        from embedcli.tasks.carried import CarriedVectors

        return work.pool(CarriedVectors(), is_lookup=True)
    vectorizer = work.vectorizer()
    return work.pool(vectorizer, is_lookup=vectorizer.is_lookup)


def choose_alike(work: Work, like: list[str], count: int) -> None:
    """Run `--like`."""
    from embedcli.cli.sample_parts import examples_query, read_examples
    from embedcli.datatypes import STDIN_NAME
    from embedcli.tasks.sample import alike

    taken = STDIN_NAME in work.typed.inputs.paths
    examples = read_examples(like, work.typed.reading, stdin_is_taken=taken)
    vectorizer = work.vectorizer()
    pool = work.pool(vectorizer, is_lookup=vectorizer.is_lookup)
    found = alike(pool, work.records(), examples_query(examples, vectorizer), count)
    work.write(found.chosen, pool.spool.record)
    _tell(work, pool, found, "each is at cosine {:.4f} or nearer to an example")


def choose_novel(work: Work, past: "Past", count: int | None) -> int:
    """Run `--novel`; return how many records are new."""
    from embedcli.index.file import stored_identity
    from embedcli.tasks.novel import find_novel, remember_all
    from embedcli.tasks.places import index_path
    from embedcli.tasks.remember import MemorySettings, open_memory

    index = index_path(past.place)
    read = work.typed.inputs.settings
    settings = MemorySettings(
        update=past.update,
        text_fields=read.columns or read.text_fields,
        id_field=read.id_field,
        lock_timeout_seconds=past.lock_timeout,
        graph_jobs=work.jobs,
    )
    has_past = index.exists() and index.stat().st_size > 0
    vectorizer = work.vectorizer(stored_identity(index) if has_past else None)
    with open_memory(index, vectorizer, settings) as memory:
        pool = work.pool(vectorizer, is_lookup=vectorizer.is_lookup)
        vectors = pool.gather(work.records())
        found = find_novel(
            vectors,
            memory,
            max_score=past.bound.max_score,
            new_ratio=past.bound.new_ratio,
            count=count,
            jobs=work.jobs,
        )
        chosen = pool.chosen([(each.row, each.cosine) for each in found.unlike], count)
        rows, ids = pool.rows, {each.row: each.nearest for each in found.unlike}
        more = {each.number: {"sample_nearest": ids[int(rows[each.number])]} for each in chosen}
        work.write(chosen, pool.spool.record, more)
        # What was found is written: from now on it is no news.
        if past.update:
            remember_all(pool, vectors, memory)
            work.run.measured |= {"added": memory.report.added, "replaced": memory.report.replaced}
        size = memory.size()
    if found.bound is not None:
        work.run.measured["max_score"] = found.bound
    how = "nothing to compare with" if found.bound is None else f"cosine <= {found.bound:.4f}"
    work.run.notice(
        f"chose {len(chosen)} of {work.run.counts.read} records as new"
        f" ({how}{'' if count is None else f', at most {count}'}; {index}: {size} vectors)"
    )
    _tell_left_out(work, pool)
    return len(chosen)


def mine(work: Work, settings: "MiningSettings", corpus: list[str] | None, guide: str | None) -> None:
    """Run `--hard-negatives`."""
    from embedcli.datatypes import Counts
    from embedcli.tasks.hard_negatives import Mine, mined_object
    from embedcli.tasks.inputs import Inputs
    from embedcli.tasks.vectorize import VectorSettings
    from embedcli.write.objects import dump
    from embedcli.write.target import open_output

    typed, run = work.typed, work.run
    settings = replace(settings, jobs=work.jobs)
    fields = {"text_fields": (settings.query, settings.positive)}
    about = {key: value for key, value in typed.inputs.options.items() if key != "columns"}
    pairs = replace(typed.inputs, options={**about, **fields})

    def by_role(documents: "Vectorizer") -> "tuple[Vectorizer, Vectorizer]":
        own = VectorSettings(
            "query", on_long=documents.settings.on_long, dim=documents.settings.dim, normalize=True
        )
        return documents.with_settings(own), documents

    documents = work.vectorizer()
    looks = None
    if guide is not None:
        plain = replace(work.encoding, model=guide, variant=None, dim=None, pooling=None, prompt=None)
        looks = by_role(plain.open(work.stack, run, reads_files=typed.inputs.reads_files))
    found = Mine(settings)
    work.stack.callback(found.close)
    found.add_pairs(
        pairs.records(run.counts, run.on_problem, work.progress.update), run.counts, run.on_problem
    )
    run.stop_if_nothing_was_read()
    if corpus:
        texts = Inputs(corpus, typed.reading.settings(), stdin=typed.inputs.stdin)
        found.add_texts(texts.records(Counts(), run.on_problem))
    short = negatives = suspected = 0
    with open_output(work.output) as output:
        for each in found.mine(*by_role(documents), looks, work.progress.update):
            output.write(dump(mined_object(each, settings)) + b"\n")
            run.counts.written += 1
            negatives += len(each.negatives)
            suspected += len(each.suspected)
            short += len(each.negatives) < settings.count
    run.measured |= {"negatives": negatives, "suspected": suspected, "short": short}
    run.notice(
        f"{run.counts.written} pairs, {negatives} negatives"
        + (f"; {suspected} left out that may be positives" if settings.guided else "")
        + (f"; {short} pairs have fewer than {settings.count}" if short else "")
    )


def _tell(work: Work, pool: "Pool", found: "Sample", said: str) -> None:
    """Say what was chosen, and how well it does."""
    run = work.run
    if found.reach is not None:
        run.measured["reach"] = found.reach
    reach = "" if found.reach is None else f"; {said.format(found.reach)}"
    run.notice(f"chose {len(found.chosen)} of {run.counts.read} records{reach}")
    _tell_left_out(work, pool)


def _tell_left_out(work: Work, pool: "Pool") -> None:
    """Say what could not be chosen."""
    if pool.unknown:
        work.run.notice(f"{pool.unknown} texts were left out: the model knows no word of them")
