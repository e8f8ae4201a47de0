"""The runs of `sample`: records in, a choice, records out, and what is said of it."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from embedcli.cli.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedcli.cli.sample_parts import Past
    from embedcli.datatypes import Record, Vectors
    from embedcli.tasks.hard_negatives import MiningSettings
    from embedcli.tasks.pool import Chosen, Pool
    from embedcli.tasks.sample import Sample
    from embedcli.tasks.vectorize import Vectorizer


@dataclass
class SampleWork(Work):
    """A run of `sample`.

    Attributes:
        as_json: Whether objects are written in the order of choice.
    """

    whole: str = "sample chooses records"
    as_json: bool = False

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


def choose_random(work: SampleWork, count: int, seed: int) -> None:
    """Run `--random`."""
    from embedcli.tasks.pool import Chosen
    from embedcli.tasks.reservoir import random_records

    found = random_records(work.records(), count, seed)
    work.write([Chosen(number, None) for number in range(len(found))], found.__getitem__)
    work.run.notice(f"chose {len(found)} of {work.run.counts.read} records")


def choose(work: SampleWork, name: str, count: int) -> None:
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
    pool = work.pool()
    vectors = pool.gather(work.records())
    found = way(pool, vectors, count, work.jobs)
    work.write(found.chosen, pool.spool.record)
    _tell(work, pool, found, said)


def choose_alike(work: SampleWork, like: list[str], count: int) -> None:
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


def choose_novel(work: SampleWork, past: "Past", count: int | None) -> int:
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


def mine(work: SampleWork, settings: "MiningSettings", corpus: list[str] | None, guide: str | None) -> None:
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


def _tell(work: SampleWork, pool: "Pool", found: "Sample", said: str) -> None:
    """Say what was chosen, and how well it does."""
    run = work.run
    if found.reach is not None:
        run.measured["reach"] = found.reach
    reach = "" if found.reach is None else f"; {said.format(found.reach)}"
    run.notice(f"chose {len(found.chosen)} of {run.counts.read} records{reach}")
    _tell_left_out(work, pool)


def _tell_left_out(work: SampleWork, pool: "Pool") -> None:
    """Say what could not be chosen."""
    if pool.unknown:
        work.run.notice(f"{pool.unknown} texts were left out: the model knows no word of them")
