"""The run of `eval rank`: texts or pairs read, each model asked."""

from dataclasses import replace
from typing import TYPE_CHECKING

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.cli.work import Work
    from embedcli.reports import Evaluation
    from embedcli.tasks.evaluate.rank import Halves
    from embedcli.vectors.ranking_measures import RankingMetric


def read_pair_names(pairs: str | None) -> tuple[str, ...]:
    """Return the two fields of `--pairs`; none where texts are asked for by their first sentence.

    Raises:
        UsageError: There are not two.
    """
    if pairs is None:
        return ()
    names = tuple(name.strip() for name in pairs.split(","))
    if len(names) != 2 or not all(names):
        raise UsageError(f"--pairs {pairs!r}: two fields or columns, A,B", hint="--pairs title,abstract")
    return names


def evaluate(
    work: "Work",
    names: tuple[str, ...],
    metrics: "Sequence[RankingMetric]",
    max_items: int | None,
    against: "Sequence[str]",
    seed: int,
) -> "Evaluation":
    """Return what each model reaches, and the bag of words.

    Raises:
        InputError: There is nothing to rank.
        UsageError: What was typed makes no sense.
    """
    from embedcli.tasks.evaluate.bag_of_words import NAME
    from embedcli.tasks.evaluate.rank import rank_evaluation, ranks_of_model, ranks_of_words

    plain = replace(work.encoding, prompt=None)
    encodings = [plain, *(replace(plain, model=name, variant=None) for name in against)]
    # Before the input is read: a name that is wrong is told at once.
    opened = [replace(work, encoding=encoding).vectorizer() for encoding in encodings]
    systems = {
        (name or vectorizer.model.manifest.name): vectorizer
        for name, vectorizer in zip((encoding.model for encoding in encodings), opened, strict=True)
    }
    halves = _halves(work, names, max_items)
    ranks = {}
    for name, vectorizer in systems.items():
        ranks[name] = ranks_of_model(
            halves, vectorizer, work.encoding.prompt, work.jobs, work.progress.update
        )
    ranks[NAME] = ranks_of_words(halves, work.jobs)
    about = {
        "paths": list(work.typed.inputs.paths),
        "pairs": list(names),
        "candidates": len(halves.candidates),
    }
    return rank_evaluation(ranks, halves, metrics, seed, about)


def _halves(work: "Work", names: tuple[str, ...], max_items: int | None) -> "Halves":
    from embedcli.tasks.evaluate.rank import halves_of_pairs, halves_of_texts
    from embedcli.tasks.match_pairs import read_pairs

    run, inputs = work.run, work.typed.inputs
    if not names:
        work.typed = work.typed._replace(inputs=inputs.for_search(None))
        return halves_of_texts(work.records(), max_items, run.notice)
    inputs = replace(inputs, options={**inputs.options, "text_fields": names, "columns": names})
    work.typed = work.typed._replace(inputs=inputs)
    hint = "--pairs A,B says where they are"
    found = read_pairs(work.records(), inputs, names, run.counts, run.on_problem, hint)
    return halves_of_pairs(found, max_items, run.notice)
